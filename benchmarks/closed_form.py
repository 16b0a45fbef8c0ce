"""Lagged ridge of one record, 12 inputs x 11 outputs: moments once against separate fits.

Run `ECGNB_DATA=folder OMP_NUM_THREADS=1 python benchmarks/closed_form.py`.
"""

import numpy as np
from sklearn.linear_model import Ridge
from subjects import subjects
from timing import compare, print_comparison

from ecgnb.experiments import fit_lagged_ridge
from ecgnb.linear import PENALTIES
from ecgnb.preprocessing import Prepared

REACH = 25  # samples, 100 ms at 250 Hz


def ours(prepared: Prepared) -> np.ndarray:
    """Return predictions `(input, lead, time)` by the package."""
    models = [fit_lagged_ridge(prepared, lead) for lead in range(12)]
    return np.stack([m.predict(prepared.test[i]) for i, m in enumerate(models)])


def lag_matrix(signal: np.ndarray) -> np.ndarray:
    """Return the lagged input `(time, lag)`."""
    padded = np.pad(signal.astype(np.float64), REACH)
    return np.lib.stride_tricks.sliding_window_view(padded, 2 * REACH + 1)


def separate_fits(prepared: Prepared, penalties: np.ndarray | None = None) -> np.ndarray:
    """Return predictions by 12 x 11 scikit-learn fits per penalty, the best on validation kept.

    With `penalties (input, lead)` each pair is fitted once, at the penalty told.
    """
    predicted = np.tile(prepared.test.astype(np.float64), (12, 1, 1))
    for given in range(12):
        parts = (prepared.train, prepared.validation, prepared.test)
        lagged = [np.ascontiguousarray(lag_matrix(part[given])) for part in parts]
        centred = lagged[0] - lagged[0].mean(axis=0)
        power = np.square(centred).sum() / lagged[0].shape[1]
        for lead in set(range(12)) - {given}:
            tried = PENALTIES if penalties is None else [penalties[given, lead]]
            fits = [
                Ridge(alpha=p * power, solver="cholesky").fit(lagged[0], prepared.train[lead])
                for p in tried
            ]
            errors = [
                np.square(fit.predict(lagged[1]) - prepared.validation[lead]).sum()
                for fit in (fits if len(fits) > 1 else ())
            ]
            best = fits[int(np.argmin(errors)) if errors else 0]
            predicted[given, lead] = best.predict(lagged[2])
    return predicted


def main() -> None:
    """Print CPU time and equality for the first record."""
    prepared = next(subjects(1))
    penalties = np.stack([fit_lagged_ridge(prepared, lead).penalties for lead in range(12)])
    hidden = ~np.eye(12, dtype=bool)
    difference = np.abs(ours(prepared) - separate_fits(prepared))[hidden].max()
    assert difference < 1e-6, f"the two arms differ by {difference}"
    arms = {
        "132 x 17 Ridge fits, penalty chosen": lambda: separate_fits(prepared),
        "132 Ridge fits, penalty told": lambda: separate_fits(prepared, penalties),
        "moments and one eigendecomposition an input": lambda: ours(prepared),
    }
    result = compare(arms, n_round=3)
    print_comparison(f"lagged ridge of record {prepared.record.name}", result)
    print(f"  largest difference of the predictions {difference:.1e} (scaled units)")


if __name__ == "__main__":
    main()
