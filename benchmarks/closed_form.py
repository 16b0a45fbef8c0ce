"""Lagged ridge of one record, 12 inputs x 11 outputs: moments once against separate fits.

Run `ECGNB_DATA=folder OMP_NUM_THREADS=1 python benchmarks/closed_form.py`.
"""

import numpy as np
from sklearn.linear_model import Ridge
from subjects import subjects
from timing import compare, print_comparison

from ecgnb.reconstruction.linear import PENALTIES, lag_moments, solve_ridge
from ecgnb.reconstruction.methods import fit_lagged_ridge
from ecgnb.signals.preparation import Prepared

REACH = 25  # samples, 100 ms at 250 Hz
TOLD = 1e-3


def ours(prepared: Prepared, penalty: float | None = None) -> np.ndarray:
    """Return predictions `(input, lead, time)` by the package; the penalty is chosen or told."""
    if penalty is None:
        models = [fit_lagged_ridge(prepared, lead) for lead in range(12)]
    else:
        sums = [lag_moments(signal, prepared.train, REACH) for signal in prepared.train]
        models = [solve_ridge(moments, None, (penalty,)) for moments in sums]
    return np.stack([m.predict(prepared.test[i]) for i, m in enumerate(models)])


def lag_matrix(signal: np.ndarray) -> np.ndarray:
    """Return the lagged input `(time, lag)`."""
    padded = np.pad(signal.astype(np.float64), REACH)
    return np.lib.stride_tricks.sliding_window_view(padded, 2 * REACH + 1)


def separate_fits(prepared: Prepared, tried: tuple[float, ...] = PENALTIES) -> np.ndarray:
    """Return predictions by 12 x 11 scikit-learn fits per penalty, the best on validation kept."""
    predicted = np.tile(prepared.test.astype(np.float64), (12, 1, 1))
    for given in range(12):
        parts = (prepared.train, prepared.validation, prepared.test)
        lagged = [np.ascontiguousarray(lag_matrix(part[given])) for part in parts]
        centred = lagged[0] - lagged[0].mean(axis=0)
        power = np.square(centred).sum() / lagged[0].shape[1]
        for lead in set(range(12)) - {given}:
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


def largest_difference(first: np.ndarray, second: np.ndarray) -> float:
    """Return the largest difference of two predictions of the hidden leads."""
    difference = np.abs(first - second)[~np.eye(12, dtype=bool)].max()
    assert difference < 1e-6, f"the two arms differ by {difference}"
    return float(difference)


def main() -> None:
    """Print CPU time and equality for the first record, the penalty chosen and told."""
    prepared = next(subjects(1))
    arms = {
        "132 x 17 Ridge fits, the best on validation": lambda: separate_fits(prepared),
        "ours, one eigendecomposition an input": lambda: ours(prepared),
    }
    told = {
        "132 Ridge fits, one penalty for all": lambda: separate_fits(prepared, (TOLD,)),
        "ours, the same penalty": lambda: ours(prepared, TOLD),
    }
    for title, pair in (("penalty chosen", arms), ("penalty told", told)):
        result = compare(pair, n_round=5)
        print_comparison(f"lagged ridge of record {prepared.record.name}, {title}", result)
        difference = largest_difference(*(arm() for arm in pair.values()))
        print(f"  largest difference of the predictions {difference:.1e} (scaled units)")


if __name__ == "__main__":
    main()
