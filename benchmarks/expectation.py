"""Make the table of what to expect from recorded people, or test it with each heart left out.

    python benchmarks/expectation.py MIRROR ecgnb/data/expectation.json
    python benchmarks/expectation.py MIRROR results/days/bands.csv

The test fits the errors on all other hearts and writes, for each case of a heart, the share of
samples that the 90 % bands cover, and the r to expect, its lowest and highest, beside
the r that was achieved, means over hidden leads; the means by heart and situation are printed.
"""

import contextlib
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

from ecgnb.files import code_digest, file_beside, write_manifest, write_table
from ecgnb.progress import follow
from ecgnb.reconstruction.expectation import BAND_LEVEL, expected_r, fit_error_model
from ecgnb.reconstruction.expiry import RecordedCase, heart_cases, write_expectation
from ecgnb.reconstruction.prior import clean_record, combine, share_of_heart
from ecgnb.records.record import Record, RecordError
from ecgnb.studies.day_trials import find_sessions

INPUTS = ("I", "II", "V2")


def read_hearts(folder: str) -> dict[str, list[Record]]:
    """Return the recordings of each heart in a mirror; those that cannot be read are left out."""
    hearts: dict[str, list[Record]] = {}
    for session in find_sessions(folder):
        with contextlib.suppress(RecordError):
            hearts.setdefault(session.heart, []).append(session.source.read())
    return hearts


def read_cases(folder: str) -> list[RecordedCase]:
    """Return the cases of ptbdb, each heart's with a prior of all others."""
    hearts = read_hearts(folder)
    shares = []
    for heart, records in follow(hearts.items(), len(hearts), "hearts"):
        share = share_of_heart(heart, [clean_record(one, first_s=10.0) for one in records])
        shares += [] if share is None else [share]
    cases: list[RecordedCase] = []
    own = {heart: records for heart, records in hearts.items() if heart.startswith("ptbdb")}
    for heart, records in follow(own.items(), len(own), "hearts"):
        prior = combine(shares, without=heart)
        cases += heart_cases(heart, records, prior, inputs=INPUTS)
    return cases


def coverage(cases: list[RecordedCase]) -> pd.DataFrame:
    """Return a row per case: situation, heart, input lead, covered share, half width in mV, r."""
    rows = []
    for heart in dict.fromkeys(case.error.heart for case in cases):
        errors = fit_error_model([case.error for case in cases if case.error.heart != heart])
        for case in (case for case in cases if case.error.heart == heart):
            one = case.error
            half = errors.half_width(one.terms, one.situation)
            covered = float((np.abs(one.error) <= half).mean())
            squared = errors.variance(one.terms).mean(axis=-1)
            told = expected_r(case.power, squared, errors.ratios[one.situation]).mean(axis=1)
            bands = (covered, float(half.mean()))
            rows.append((one.situation, heart, case.lead, *bands, *told, np.nanmean(case.r)))
    columns = ["situation", "heart", "input_lead", "covered", "half_width_mv"]
    columns += ["r_expected", "r_low", "r_high", "r"]
    return pd.DataFrame(rows, columns=columns)


def write_coverage(table: pd.DataFrame, folder: str, out: Path) -> None:
    """Write the table of covered shares, and beside it from what it was made."""
    sources = [session.source for session in find_sessions(folder)]
    facts = {"records": {one.name: one.digest for one in sources}, "inputs": INPUTS}
    facts |= {"level": BAND_LEVEL, "hearts": sorted(table["heart"].unique())}
    facts["cpu_s"] = round(time.process_time(), 1)
    write_table(out, table, digits=5)
    facts["code"] = code_digest("ecgnb.reconstruction.expiry")
    write_manifest(file_beside(out, "_manifest.json"), facts)


if __name__ == "__main__":
    folder, out = sys.argv[1:]
    found = read_cases(folder)
    if out.endswith(".json"):
        print(write_expectation(found, out))
    else:
        table = coverage(found)
        write_coverage(table, folder, Path(out))
        apart = (table["r_expected"] - table["r"]).abs()
        print(apart.groupby(table["situation"]).median().round(4).to_string())
        by_heart = table.groupby(["situation", "heart"])[table.columns[3:]].mean()
        print(by_heart.round(3).to_string())
        print(by_heart.groupby("situation").mean().round(3))
