"""Scores of reconstructed leads: intervals over records, the worst case beside the mean."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ecgnb.intervals import FLAT_VARIANCE, bootstrap_mean, correlation, joint_moments, r_of_moments
from ecgnb.leads import INDEPENDENT_LEADS, LEADS, lead_index, other_leads
from ecgnb.signals.preparation import Scaling

SCORES = ("mse", "r", "rmse_mv", "slope", "variance_ratio", "r2_beyond_average_beat")


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
    truth_power, power, mixed = joint_moments(truth, predictions)
    with np.errstate(invalid="ignore", divide="ignore"):
        slope = np.where(truth_power > FLAT_VARIANCE, mixed / truth_power, np.nan)
        ratio = np.where(truth_power > FLAT_VARIANCE, power / truth_power, np.nan)
    r = r_of_moments(truth_power, power, mixed)
    beyond = np.full(error.shape, np.nan)
    if average_beat is not None:
        beat_error = np.square(np.asarray(average_beat, np.float64) - truth).mean(axis=-1)
        beyond = 1 - error / np.maximum(beat_error, FLAT_VARIANCE)
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


def lead_usefulness(scores: pd.DataFrame, *, method: str = "average_beat_ridge") -> pd.Series:
    """Return the mean r with which each lead reconstructs the other independent leads.

    Parameters
    ----------
    scores
        The recorded run of the reconstruction experiment.
    """
    chosen = only_independent(scores[scores["method"] == method])
    return chosen.groupby("input_lead")["r"].mean().reindex(LEADS)


def score_leads(truth_mv: np.ndarray, guess_mv: np.ndarray, lead: str) -> pd.DataFrame:
    """Return `lead`, `r` (NaN if either is flat) and `rmse_mv` of the 11 leads not given.

    Examples
    --------
    >>> signals = np.random.default_rng(0).normal(size=(12, 50))
    >>> score_leads(signals, signals, "V2")["r"].round(6).unique().tolist()
    [1.0]
    """
    rows = []
    for name in other_leads(lead):
        truth, guess = truth_mv[lead_index(name)], guess_mv[lead_index(name)]
        r = float(correlation(truth, guess))
        rows.append((name, r, float(np.sqrt(np.mean(np.square(truth - guess))))))
    return pd.DataFrame(rows, columns=["lead", "r", "rmse_mv"])
