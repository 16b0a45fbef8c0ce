"""Make the table of what to expect from recorded people, or test it with each heart left out.

    python benchmarks/expectation.py MIRROR ecgnb/data/expectation.json
    python benchmarks/expectation.py MIRROR --test

The test fits errors and expiry on all other hearts and prints, for each heart and situation, the
share of samples that the 90 % bands cover.
"""

import sys

import numpy as np
import pandas as pd

from ecgnb.reconstruction.expectation import fit_error_model
from ecgnb.reconstruction.expiry import RecordedCase, read_cases, write_expectation

INPUTS = ("I", "II", "V2")


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
    found = list(read_cases(folder, inputs=INPUTS))
    if out != "--test":
        print(write_expectation(found, out))
    else:
        by_heart = coverage(found).groupby(["situation", "heart"]).mean()
        print(by_heart.round(3).to_string())
        print(by_heart.groupby("situation").mean().round(3))
