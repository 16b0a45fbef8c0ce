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


@dataclass(frozen=True)
class Fit:
    """How a model of other people is fitted: lags either way, and in which unit.

    With `in_mv` all leads are in mV, as an electrode gives them. Else each lead is scaled by the
    training part of its own record, the hidden ones as well, which nobody has without a
    calibration: r does not feel it, an error does, and is not scored.
    """

    reach_s: float
    in_mv: bool

    def signals(self, prepared: Prepared, part: np.ndarray) -> np.ndarray:
        """Return a part `(lead, time)` of a record in the unit of the fit."""
        return prepared.scaling.to_mv(part) if self.in_mv else part


POPULATION_FITS = {
    "population_line": Fit(0.0, in_mv=False),
    "population_ridge": Fit(0.1, in_mv=False),
    "population_line_mv": Fit(0.0, in_mv=True),
    "population_ridge_mv": Fit(0.1, in_mv=True),
}

_ERRORS = ["mse", "rmse_mv", "slope", "variance_ratio", "r2_beyond_average_beat"]

PairOfParts = tuple[Moments, Moments]


def _part_moments(prepared: Prepared, fit: Fit) -> list[PairOfParts]:
    """Return the moments of the training and validation part, one pair per input lead."""
    reach = round(fit.reach_s * prepared.sampling_rate)
    parts = [fit.signals(prepared, part) for part in (prepared.train, prepared.validation)]
    return [
        tuple(lag_moments(part[lead], part, reach) for part in parts) for lead in range(len(LEADS))
    ]


def total(moments: Sequence[list[PairOfParts]]) -> list[PairOfParts]:
    """Return the sums over records, one pair per input lead."""
    return [
        tuple(reduce(add, (record[lead][part] for record in moments)) for part in range(2))
        for lead in range(len(LEADS))
    ]


def _predict_left_out(prepared: Prepared, others: list[PairOfParts], fit: Fit) -> np.ndarray:
    """Return predictions of the test part `(input, lead, time)`, scaled, by fits on others."""
    visible = fit.signals(prepared, prepared.test)
    found = np.stack([solve_ridge(*pair).predict(visible[i]) for i, pair in enumerate(others)])
    return prepared.scaling.apply(found) if fit.in_mv else found


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
            method: [_part_moments(one, fit) for one in records]
            for method, fit in POPULATION_FITS.items()
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
    nor synthetic ones of one source. Errors are scored where the fit was in mV; the unit of `mse`
    is the scaled one of all tables.
    """
    one, known = population.records[index], population.others(index)
    beat = predict_test(one, "average_beat")
    tables = []
    for method, each in population.moments.items():
        others, fit = total([each[number] for number in known]), POPULATION_FITS[method]
        predictions = _predict_left_out(one, others, fit)
        scores = score_pairs(one.test, predictions, one.scaling, average_beat=beat)
        if not fit.in_mv:
            scores[_ERRORS] = np.nan
        labels = {"record": one.record.name, "heart": one.record.heart}
        labels |= {"origin": one.record.origin, "method": method}
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
