"""Closed forms fitted on other people: what a lead tells about the others without calibration.

The sums over time that a lagged fit needs simply add up over records, so that a fit on all but
one person adds up the sums of the others: every fit costs one small solve.
"""

from collections.abc import Iterator, Sequence
from functools import reduce
from operator import add
from pathlib import Path

import numpy as np
import pandas as pd

from ecgnb.databases import find_records, label_record, patient_of_twadb, read_records
from ecgnb.experiments import ALL_INPUTS, METHODS
from ecgnb.leads import DOWER_INVERSE, KORS, LEADS, frank_from_leads
from ecgnb.linear import Moments, lag_moments, solve_ridge
from ecgnb.metrics import correlation, score_pairs
from ecgnb.preprocessing import (
    Prepared,
    PreprocessingOptions,
    fill_missing,
    filter_signals,
    prepare_record,
)
from ecgnb.progress import follow
from ecgnb.records import Record, read_record
from ecgnb.runs import record_paths
from ecgnb.tasks import write_table

POPULATION_REACHES_S = {"population_line": 0.0, "population_ridge": 0.1}
PairOfParts = tuple[Moments, Moments]


def part_moments(prepared: Prepared, reach_s: float) -> list[PairOfParts]:
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


def predict_left_out(prepared: Prepared, others: list[PairOfParts]) -> np.ndarray:
    """Return predictions of the test part `(input, lead, time)` by fits on other people."""
    models = [solve_ridge(*pair) for pair in others]
    return np.stack([m.predict(prepared.test[i]) for i, m in enumerate(models)])


def score_population(records: Sequence[Prepared]) -> Iterator[pd.DataFrame]:
    """Yield the scores of each record by models of all records of other people.

    Records of one person, as far as known, are never on both sides. All are scaled by their own
    training part, so that only shape is carried over.
    """
    people = np.array([patient_of_twadb(one.record.name) for one in records])
    moments = {
        method: [part_moments(one, reach_s) for one in records]
        for method, reach_s in POPULATION_REACHES_S.items()
    }
    for one, person in zip(follow(records, len(records), "records"), people, strict=True):
        beat = METHODS["average_beat"].fit(one, ALL_INPUTS).predict(one.test)
        for method, each in moments.items():
            others = total([each[index] for index in np.flatnonzero(people != person)])
            predictions = predict_left_out(one, others)
            scores = score_pairs(one.test, predictions, one.scaling, average_beat=beat)
            labels = {"record": one.record.name, "origin": one.record.origin, "method": method}
            yield scores.assign(database=one.record.database, **labels)


def run_population(
    folder: Path | str, out: Path | str, *, options: PreprocessingOptions | None = None
) -> pd.DataFrame:
    """Return the table of all records of a folder, also written to `out` (.csv.gz)."""
    records = [
        prepare_record(label_record(read_record(path), path, "twadb"), options)
        for path in record_paths(folder, None)
    ]
    table = pd.concat(score_population(records), ignore_index=True)
    write_table(Path(out), table, digits=5)
    return table


def score_frank(record: Record) -> pd.DataFrame:
    """Return how well two published matrices give the recorded Frank leads, a row for each lead.

    Inverse Dower (Edenbrandt and Pahlm 1988) and Kors (Kors et al. 1990) were both fitted on
    other people. Signals are filtered 0.5-40 Hz; `rmse_mv` in mV.
    """
    leads, frank = (
        filter_signals(fill_missing(part), record.sampling_rate)
        for part in (record.signals, record.frank)
    )
    rows = []
    for name, matrix in (("inverse Dower", DOWER_INVERSE), ("Kors", KORS)):
        for lead, guess, truth in zip("XYZ", frank_from_leads(leads, matrix), frank, strict=True):
            r = float(correlation(truth, guess))
            rmse_mv = float(np.sqrt(np.square(guess - truth).mean()))
            rows.append((record.name, record.patient, name, lead, r, rmse_mv))
    return pd.DataFrame(rows, columns=["record", "patient", "method", "lead", "r", "rmse_mv"])


def run_frank(folder: Path | str, out: Path | str) -> pd.DataFrame:
    """Return `score_frank` of all records of ptbdb with Frank leads, also written to `out`."""
    read = (one for one in read_records(find_records(folder, "ptbdb"), "ptbdb"))
    scored = [
        score_frank(one) for one in read if isinstance(one, Record) and one.frank is not None
    ]
    if not scored:
        raise FileNotFoundError("no record of ptbdb with Frank leads in the folder")
    table = pd.concat(scored, ignore_index=True)
    table.to_csv(out, index=False, float_format="%.4g")
    return table
