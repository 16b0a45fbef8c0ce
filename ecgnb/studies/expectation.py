"""How well a personal model knows its own limits: expected against achieved scores, resumable."""

import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from ecgnb.files import code_digest
from ecgnb.leads import LEADS
from ecgnb.reconstruction.methods import METHODS
from ecgnb.reconstruction.personal import clean_input, fit_personal, reconstruct
from ecgnb.reconstruction.scores import score_leads
from ecgnb.records.record import Record
from ecgnb.records.wfdb_files import read_record, write_record
from ecgnb.studies.plan import Source, Task, key_of, list_sources
from ecgnb.studies.runner import Outcome, write_study

RECORDED = ("neighbours", "best")

GAIN = 2000.0


def _score_expectation(record: Record, method: str, *, lead: str = "V2") -> pd.DataFrame:
    """Return expected and achieved scores of each lead, and the largest round-trip error.

    A record is calibrated on its first 60 % and reconstructed from one lead after a gap of 1 s.
    The achieved r compares the reconstruction, written as WFDB and read again, with the recording;
    `round_trip_units` is what writing changed, in units of the converter.
    """
    calibration, rest = record.split()
    model = fit_personal(calibration, lead, method=method)
    made = reconstruct(rest.only(lead), model, name="made")
    with tempfile.TemporaryDirectory() as folder:
        again = read_record(write_record(made, folder, adc_gain=GAIN))
    truth = np.stack([clean_input(rest, name, model.options) for name in LEADS])
    achieved = score_leads(truth, again.signals, lead)
    table = model.expected.merge(achieved, on="lead", suffixes=("_expected", "_achieved"))
    table.insert(0, "record", record.name)
    table.insert(1, "origin", record.origin)
    table.insert(2, "method", method)
    table["round_trip_units"] = GAIN * np.abs(again.signals - made.signals).max()
    return table


def run_expectation(
    folder: Path | str,
    out: Path | str,
    *,
    methods: Sequence[str] = RECORDED,
    records: Sequence[str] | None = None,
    lead: str = "V2",
    jobs: int = 1,
    progress: bool = True,
) -> Outcome:
    """Return `score_expectation` of all records, one method after the other, written to `out`.

    Parameters
    ----------
    folder
        A mirror, a database, or any folder of 12-lead WFDB records.
    out
        The table, `.csv` or `.csv.gz`; a task is one record with one method.
    methods
        Keys of `methods.METHODS`.
    records
        Names of records; all by default.
    lead
        The lead that is given.
    jobs
        Local processes, one thread each.
    progress
        Whether it is told how far the run is.
    """
    unknown = sorted(set(methods) - set(METHODS))
    if unknown:
        raise ValueError(f"no method {', '.join(unknown)}; choose from {', '.join(METHODS)}")
    sources, code = list_sources(folder, records, tell=progress), code_digest(__name__)
    tasks = [
        Task(
            f"{source.path.stem}--{method}",
            key_of(code, [source], method=method, lead=lead),
            partial(_score, source, method, lead),
            about=source.name,
            labels={"record": source.name},
        )
        for method in methods
        for source in sources
    ]
    facts = {"options": {"methods": list(methods), "lead": lead}, "code": code}
    return write_study(tasks, out, sources, digits=5, facts=facts, jobs=jobs, progress=progress)


def _score(source: Source, method: str, lead: str) -> dict[str, pd.DataFrame]:
    return {"rows": _score_expectation(source.read(), method, lead=lead)}


def summarise_expectation(table: pd.DataFrame) -> pd.DataFrame:
    """Return a row per method: how far expected and achieved r differ.

    `of_leads` is the median difference of single leads, `of_records` that of the means over the
    leads of a record, `round_trip_units` the largest.
    """
    away = (table["r_expected"] - table["r_achieved"]).abs()
    means = table.groupby(["method", "record"])[["r_expected", "r_achieved"]].mean()
    of_records = (means["r_expected"] - means["r_achieved"]).abs().groupby("method").median()
    groups = table.assign(away=away).groupby("method", sort=False)
    summary = groups.agg(
        n_record=("record", "nunique"),
        r_expected=("r_expected", "mean"),
        r_achieved=("r_achieved", "mean"),
        of_leads=("away", "median"),
        round_trip_units=("round_trip_units", "max"),
    )
    return summary.assign(of_records=of_records).reset_index()
