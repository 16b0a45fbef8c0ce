"""Make the table of what to expect from recorded people, or test it with each heart left out.

    python benchmarks/expectation.py MIRROR ecgnb/data/expectation.json
    python benchmarks/expectation.py MIRROR --test

The test fits errors and expiry on all other hearts and prints, for each heart and situation, the
share of samples that the 90 % bands cover.
"""

import contextlib
import sys

import numpy as np
import pandas as pd

from ecgnb.progress import follow
from ecgnb.reconstruction.expectation import fit_error_model
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
    """Return a row per case: heart, situation, covered share, mean half width in mV."""
    rows = []
    for heart in dict.fromkeys(case.error.heart for case in cases):
        errors = fit_error_model([case.error for case in cases if case.error.heart != heart])
        for one in (case.error for case in cases if case.error.heart == heart):
            half = errors.half_width(one.terms, one.situation)
            covered = float((np.abs(one.error) <= half).mean())
            rows.append((one.situation, heart, covered, float(half.mean())))
    return pd.DataFrame(rows, columns=["situation", "heart", "covered", "half_width_mv"])


if __name__ == "__main__":
    folder, out = sys.argv[1:]
    found = read_cases(folder)
    if out != "--test":
        print(write_expectation(found, out))
    else:
        by_heart = coverage(found).groupby(["situation", "heart"]).mean()
        print(by_heart.round(3).to_string())
        print(by_heart.groupby("situation").mean().round(3))
