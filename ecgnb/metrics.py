"""Scores of reconstructed leads: intervals over records, the worst case beside the mean."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ecgnb.leads import INDEPENDENT_LEADS, LEADS
from ecgnb.preprocessing import Scaling

SCORES = ("mse", "r", "rmse_mv", "slope", "variance_ratio", "r2_beyond_average_beat")
_TINY = 1e-12  # a variance up to here is that of a flat signal


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % bootstrap interval and the number of units behind it."""

    value: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


def correlation(truth: np.ndarray, guess: np.ndarray) -> np.ndarray:
    """Return Pearson's r along time; NaN where truth or guess is flat, which has no shape.

    Parameters
    ----------
    truth, guess
        `(..., time)` of shapes that broadcast, in mV or scaled units.

    Examples
    --------
    >>> correlation(np.array([0.0, 1.0, 2.0]), np.array([[0.0, 2.0, 4.0], [1.0, 1.0, 1.0]]))
    array([ 1., nan])
    """
    return _r_of(*_moments(truth, guess))


def _moments(truth: np.ndarray, guess: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the variance of truth and of guess, and their covariance, along time."""
    centred, spread = (
        part - part.mean(axis=-1, keepdims=True)
        for part in (np.asarray(truth, np.float64), np.asarray(guess, np.float64))
    )
    powers = (np.square(each).mean(axis=-1) for each in (centred, spread))
    return (*powers, (spread * centred).mean(axis=-1))


def _r_of(power: np.ndarray, other: np.ndarray, mixed: np.ndarray) -> np.ndarray:
    """Return Pearson's r from two variances and the covariance."""
    with np.errstate(invalid="ignore", divide="ignore"):
        r = mixed / np.sqrt(power * other)
    return np.where((power > _TINY) & (other > _TINY), r, np.nan)


def score_pairs(
    truth: np.ndarray,
    predictions: np.ndarray,
    scaling: Scaling,
    *,
    average_beat: np.ndarray | None = None,
) -> pd.DataFrame:
    """Return one row of scores for each pair of input and other lead.

    `mse` is in squared scaled units, `r` Pearson's (NaN where truth or prediction is flat: such
    pairs are counted, never scored 0), `slope` that of prediction on truth, `variance_ratio`
    var(prediction) / var(truth), `r2_beyond_average_beat` the share of the average beat's squared
    error that is removed (1 all, 0 none, below 0 worse).

    Parameters
    ----------
    truth
        `(lead, time)`, scaled.
    predictions
        `(input, lead, time)`, scaled; the pair of a lead with itself is left out.
    scaling
        Of the record; brings the error to mV.
    average_beat
        Predictions of the pasted average beat `(input, lead, time)`, if known.

    Raises
    ------
    ValueError
        If predictions are not of all input leads, all leads and the time of the truth.
    """
    truth = np.asarray(truth, dtype=np.float64)
    predictions = np.asarray(predictions, dtype=np.float64)
    _check_shapes(truth, predictions, average_beat)
    error = np.square(predictions - truth).mean(axis=-1)
    truth_power, power, mixed = _moments(truth, predictions)
    with np.errstate(invalid="ignore", divide="ignore"):
        slope = np.where(truth_power > _TINY, mixed / truth_power, np.nan)
        ratio = np.where(truth_power > _TINY, power / truth_power, np.nan)
    r = _r_of(truth_power, power, mixed)
    beyond = np.full(error.shape, np.nan)
    if average_beat is not None:
        beat_error = np.square(np.asarray(average_beat, np.float64) - truth).mean(axis=-1)
        beyond = 1 - error / np.maximum(beat_error, _TINY)
    factor = np.asarray(scaling.factor, dtype=np.float64).reshape(-1)
    table = [error, r, np.sqrt(error) * factor, slope, ratio, beyond]
    return _pairs(dict(zip(SCORES, table, strict=True)))


def _check_shapes(
    truth: np.ndarray, predictions: np.ndarray, average_beat: np.ndarray | None
) -> None:
    """Refuse predictions that numpy would stretch over the truth without a word."""
    wanted = (len(LEADS), len(LEADS), truth.shape[-1])
    named = {"predictions": predictions, "average_beat": average_beat}
    for name, array in named.items():
        if array is not None and np.shape(array) != wanted:
            found = np.shape(array)
            raise ValueError(f"{name} must be (input, lead, time) {wanted}, got shape {found}")


def _pairs(values: dict[str, np.ndarray]) -> pd.DataFrame:
    """Return matrices `(input, lead)` as columns, without the diagonal."""
    n_lead = len(LEADS)
    keep = ~np.eye(n_lead, dtype=bool)
    inputs, outputs = np.indices((n_lead, n_lead))
    names = np.array(LEADS)
    columns = {"input_lead": names[inputs[keep]], "output_lead": names[outputs[keep]]}
    return pd.DataFrame(columns | {name: matrix[keep] for name, matrix in values.items()})


def bootstrap_mean(
    values: Sequence[float] | np.ndarray,
    *,
    groups: Sequence | np.ndarray | None = None,
    statistic: Callable[..., np.ndarray] = np.mean,
    n_bootstrap: int = 2000,
    seed: int = 0,
) -> Estimate:
    """Return a statistic with its 95 % percentile interval over resampled groups.

    Values of one group (a record or patient) stay together: they are first reduced to the
    group's mean, so that the interval counts independent units. NaN values are left out.

    Parameters
    ----------
    values
        One number per row.
    groups
        A label per row; without it every value is its own group.
    statistic
        Of the group means, called with `axis=-1`.

    Examples
    --------
    >>> bootstrap_mean([1.0, 1.0, 4.0, 4.0], groups=["a", "a", "b", "b"]).n
    2
    """
    values = np.asarray(values, dtype=np.float64)
    labels = np.arange(values.size) if groups is None else np.asarray(groups)
    units = pd.Series(values).groupby(labels).mean().dropna().to_numpy()
    if units.size == 0:
        return Estimate(float("nan"), float("nan"), float("nan"), 0)
    draws = np.random.default_rng(seed).integers(0, units.size, (n_bootstrap, units.size))
    low, high = np.quantile(statistic(units[draws], axis=-1), [0.025, 0.975])
    return Estimate(float(statistic(units, axis=-1)), float(low), float(high), units.size)


def only_independent(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows whose output is one of the independent leads I, II, V1 ... V6."""
    return table[table["output_lead"].isin(INDEPENDENT_LEADS)]


def summarise(
    table: pd.DataFrame, *, by: Sequence[str] = ("method",), n_bootstrap: int = 2000
) -> pd.DataFrame:
    """Return per group the mean r and MSE with intervals over records, and the spread behind.

    Columns: `n_record`, `n_pair`, `n_undefined` (pairs without an r), `r_mean`, `r_low`, `r_high`,
    `r_fisher` (mean by Fisher's z), `r_median`, `r_worst_decile`, `r_lowest`, `worst` (record and
    leads of it), `mse_mean`, `mse_low`, `mse_high`, `mse_highest`, `rmse_mv`, `beyond_median`
    (R2 beyond the average beat), `beyond_above_0` (share of pairs).
    """
    rows = []
    for key, group in table.groupby(list(by), sort=False):
        names = dict(zip(by, key if isinstance(key, tuple) else (key,), strict=True))
        rows.append(names | _summary(group, n_bootstrap))
    return pd.DataFrame(rows)


def _summary(group: pd.DataFrame, n_bootstrap: int) -> dict[str, object]:
    r = group["r"].dropna()
    r_mean = bootstrap_mean(group["r"], groups=group["record"], n_bootstrap=n_bootstrap)
    mse = bootstrap_mean(group["mse"], groups=group["record"], n_bootstrap=n_bootstrap)
    worst = group.loc[r.idxmin()] if len(r) else None
    beyond = group["r2_beyond_average_beat"].dropna()
    fisher = np.tanh(np.arctanh(np.clip(r, -0.999999, 0.999999)).mean()) if len(r) else np.nan
    return {
        "n_record": group["record"].nunique(),
        "n_pair": len(group),
        "n_undefined": int(group["r"].isna().sum()),
        "r_mean": r_mean.value,
        "r_low": r_mean.low,
        "r_high": r_mean.high,
        "r_fisher": float(fisher),
        "r_median": float(r.median()),
        "r_worst_decile": float(r.quantile(0.1)),
        "r_lowest": float(r.min()),
        "worst": "" if worst is None else _name_pair(worst),
        "mse_mean": mse.value,
        "mse_low": mse.low,
        "mse_high": mse.high,
        "mse_highest": float(group["mse"].max()),
        "rmse_mv": float(group["rmse_mv"].mean()),
        "beyond_median": float(beyond.median()),
        "beyond_above_0": float((beyond > 0).mean()) if len(beyond) else float("nan"),
    }


def _name_pair(row: pd.Series) -> str:
    return f"{row['record']} {row['input_lead']} to {row['output_lead']}"


def compare_methods(
    table: pd.DataFrame, first: str, second: str, *, score: str = "r", n_bootstrap: int = 2000
) -> dict[str, object]:
    """Return the paired difference `first - second` of a score over records.

    Keys: `difference` (an `Estimate`) and `share_won`, the share of records on which `first` is
    better (r and R2: larger; errors: smaller).
    """
    means = table.groupby(["record", "method"])[score].mean().unstack("method")
    difference = (means[first] - means[second]).dropna()
    sign = -1 if score in {"mse", "rmse_mv"} else 1
    return {
        "difference": bootstrap_mean(difference.to_numpy(), n_bootstrap=n_bootstrap),
        "share_won": float((sign * difference > 0).mean()),
    }


def compare_by_origin(table: pd.DataFrame, first: str, second: str) -> pd.DataFrame:
    """Return `compare_methods` on all records and on those of each origin, for r and MSE.

    Columns: `origin`, `n_record`, then for each score the mean difference, its interval `_low`,
    `_high` and, as `_won`, the share of records on which `first` is better.
    """
    groups = {"all": table} | dict(list(table.groupby("origin", sort=False)))
    rows = []
    for origin, group in groups.items():
        row = {"origin": origin, "n_record": group["record"].nunique()}
        for score in ("r", "mse"):
            found = compare_methods(group, first, second, score=score)
            gain = found["difference"]
            row |= {score: gain.value, f"{score}_low": gain.low, f"{score}_high": gain.high}
            row[f"{score}_won"] = found["share_won"]
        rows.append(row)
    return pd.DataFrame(rows)
