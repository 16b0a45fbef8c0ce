"""Closed forms fitted on other people: what a lead tells about the others without calibration.

The sums over time that a lagged fit needs simply add up over records, so that a fit on all but
one person adds up the sums of the others: every fit costs one small solve.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial, reduce
from operator import add
from pathlib import Path

import numpy as np
import pandas as pd

from ecgnb.files import code_digest
from ecgnb.leads import LEADS
from ecgnb.reconstruction.linear import Moments, lag_moments, solve_ridge
from ecgnb.reconstruction.methods import predict_test
from ecgnb.reconstruction.scores import score_pairs
from ecgnb.records.record import RecordError
from ecgnb.signals.preparation import Prepared, PreprocessingOptions, prepare_record
from ecgnb.studies.plan import EXACT, Source, Task, key_of, list_sources
from ecgnb.studies.runner import Outcome, write_study

POPULATION_REACHES_S = {"population_line": 0.0, "population_ridge": 0.1}

PairOfParts = tuple[Moments, Moments]


def _part_moments(prepared: Prepared, reach_s: float) -> list[PairOfParts]:
    """Return the moments of the training and validation part, one pair per input lead."""
    reach = round(reach_s * prepared.sampling_rate)
    parts = (prepared.train, prepared.validation)
    return [
        tuple(lag_moments(part[lead], part, reach) for part in parts) for lead in range(len(LEADS))
    ]


def total(moments: Sequence[list[PairOfParts]]) -> list[PairOfParts]:
    """Return the sums over records, one pair per input lead."""
    return [
        tuple(reduce(add, (record[lead][part] for record in moments)) for part in range(2))
        for lead in range(len(LEADS))
    ]


def _predict_left_out(prepared: Prepared, others: list[PairOfParts]) -> np.ndarray:
    """Return predictions of the test part `(input, lead, time)` by fits on other people."""
    models = [solve_ridge(*pair) for pair in others]
    return np.stack([m.predict(prepared.test[i]) for i, m in enumerate(models)])


@dataclass(frozen=True)
class Population:
    """Records ready for a model, whose heart each shows, and their moments by method."""

    records: Sequence[Prepared]
    people: Sequence[object]
    moments: dict[str, list[list[PairOfParts]]]

    @classmethod
    def of(cls, records: Sequence[Prepared]) -> "Population":
        """Return the population of some records; one of which no heart is known stands alone."""
        people = [one.record.heart or number for number, one in enumerate(records)]
        moments = {
            method: [_part_moments(one, reach_s) for one in records]
            for method, reach_s in POPULATION_REACHES_S.items()
        }
        return cls(records, people, moments)

    def others(self, index: int) -> list[int]:
        """Return the records of other people.

        Raises
        ------
        ValueError
            If there is nobody else.
        """
        found = [i for i, person in enumerate(self.people) if person != self.people[index]]
        if not found:
            raise ValueError("there is no other person to learn from: give records of two or more")
        return found


def _score_left_out(population: Population, index: int) -> pd.DataFrame:
    """Return the scores of one record by models of all records of other people.

    Records of one heart, as far as known, are never on both sides: neither those of one person
    nor synthetic ones of one source. All are scaled by their own training part, so that only shape
    is carried over.
    """
    one, known = population.records[index], population.others(index)
    beat = predict_test(one, "average_beat")
    tables = []
    for method, each in population.moments.items():
        predictions = _predict_left_out(one, total([each[number] for number in known]))
        scores = score_pairs(one.test, predictions, one.scaling, average_beat=beat)
        labels = {"record": one.record.name, "origin": one.record.origin, "method": method}
        tables.append(scores.assign(database=one.record.database, **labels))
    return pd.concat(tables, ignore_index=True)


def run_population(
    folder: Path | str,
    out: Path | str,
    *,
    options: PreprocessingOptions | None = None,
    jobs: int = 1,
    progress: bool = True,
) -> Outcome:
    """Return the table of all records of a folder, also written to `out` (.csv.gz).

    A record is a task, whose result depends on the bytes of all. Each process prepares all records
    once, if a task is left to do.
    """
    options, code = options or PreprocessingOptions(), code_digest(__name__)
    sources = list_sources(folder, tell=progress)
    needs = [partial(_prepare_people, tuple(sources), options) for _ in range(jobs)]
    tasks = [
        Task(
            source.path.stem,
            key_of(code, [source, *sources], preprocessing=options),
            partial(_score_source, number),
            needs=needs[number % jobs],
            about=source.name,
            labels={"record": source.name},
            digits=EXACT,
        )
        for number, source in enumerate(sources)
    ]
    facts, how = {"options": options, "code": code}, {"jobs": jobs, "progress": progress}
    return write_study(tasks, out, sources, digits=5, facts=facts, **how)


def _prepare_people(
    sources: Sequence[Source], options: PreprocessingOptions
) -> tuple[Population, dict[int, int | Exception]]:
    """Return who can be used, and for each record its place among them or why it has none."""
    records, places = [], {}
    for number, source in enumerate(sources):
        try:
            prepared = prepare_record(source.read(), options)
        except (RecordError, ValueError) as error:
            places[number] = error
            continue
        places[number] = len(records)
        records.append(prepared)
    return Population.of(records), places


def _score_source(
    number: int, given: tuple[Population, dict[int, int | Exception]]
) -> dict[str, pd.DataFrame]:
    population, places = given
    if isinstance(places[number], Exception):
        raise places[number]
    return {"rows": _score_left_out(population, places[number])}
