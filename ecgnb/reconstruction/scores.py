"""Scores of reconstructed leads: every heart counts once, the worst case beside the mean."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ecgnb.intervals import (
    FLAT_VARIANCE,
    Estimate,
    bootstrap_mean,
    correlation,
    joint_moments,
    paired_p,
    r_of_moments,
)
from ecgnb.leads import INDEPENDENT_LEADS, LEADS, lead_index, other_leads
from ecgnb.records.labels import heart_of
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


def hearts_of(table: pd.DataFrame) -> pd.Series:
    """Return whose heart each row of a table shows: the unit of means, intervals and pairs.

    The column `heart` says it; where it is absent or empty, name and origin of the record do.

    Raises
    ------
    ValueError
        If the table tells neither hearts nor origins.
    """
    if "heart" not in table and "origin" not in table:
        raise ValueError(
            f"hearts are told by a column `heart`, or by `record` and `origin`; the table has "
            f"{', '.join(map(str, table.columns))}"
        )
    told, origins = _labels(table, "heart"), _labels(table, "origin")
    names = pd.MultiIndex.from_arrays([table["record"], origins])
    known = {key: heart_of(*key) for key in names.unique()}
    return told.where(told != "", pd.Series(names.map(known), index=table.index))


def _labels(table: pd.DataFrame, column: str) -> pd.Series:
    """Return a column of texts, empty where it is absent; one that was empty is read as NaN."""
    if column not in table:
        return pd.Series("", index=table.index)
    return table[column].astype(object).fillna("")


def recorded_hearts(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of recorded hearts: without the synthetic records of twadb.

    Examples
    --------
    >>> recorded_hearts(pd.DataFrame({"origin": ["synthetic", "INCART"]}))["origin"].tolist()
    ['INCART']
    """
    return table[table["origin"] != "synthetic"]


def count_hearts(table: pd.DataFrame) -> dict[str, int]:
    """Return how many records and hearts a table of scores holds, recorded and synthetic apart.

    Keys: `n_record`, `n_heart`, `n_recorded` and `n_synthetic` (hearts).
    """
    hearts, recorded = hearts_of(table), recorded_hearts(table)
    n_heart, n_recorded = hearts.nunique(), hearts[recorded.index].nunique()
    counts = {"n_record": table["record"].nunique(), "n_heart": n_heart}
    return counts | {"n_recorded": n_recorded, "n_synthetic": n_heart - n_recorded}


def headline(scores: pd.DataFrame) -> pd.DataFrame:
    """Return what the book quotes of each method: a row each, indexed by `method`.

    The columns of `summarise` over recorded hearts; beside them the mean r over the hearts of each
    other group: `r_synthetic`, `r_ptbdb`, `r_INCART` and `r_all`. README, front page, chapters and
    scorecard all take their numbers from here.

    Parameters
    ----------
    scores
        The recorded run of the reconstruction experiment, or that of the fits on other hearts.
    """
    table = summarise(recorded_hearts(scores)).set_index("method")
    by_heart = scores.groupby(["method", "origin", hearts_of(scores)])["r"].mean()
    by_origin = by_heart.groupby(["method", "origin"]).mean().unstack().add_prefix("r_")
    return table.join(by_origin).assign(r_all=by_heart.groupby("method").mean())


def summarise(
    table: pd.DataFrame, *, by: Sequence[str] = ("method",), n_bootstrap: int = 2000
) -> pd.DataFrame:
    """Return per group the mean r and MSE with intervals over hearts, and the spread behind.

    In means every heart counts once, however many records show it; medians, deciles and shares
    are of all pairs of leads.

    Columns: `n_record`, `n_heart`, `n_pair`, `n_undefined` (pairs without an r), `r_mean`,
    `r_low`, `r_high`, `r_fisher` (mean by Fisher's z), `r_median`, `r_worst_decile`, `r_lowest`,
    `worst` (record and leads of it), `mse_mean`, `mse_low`, `mse_high`, `mse_highest`, `rmse_mv`,
    `beyond_median` (R2 beyond the average beat, NaN in a table without it), `beyond_above_0`
    (share of pairs).
    """
    table, rows = table.assign(heart=hearts_of(table)), []
    for key, group in table.groupby(list(by), sort=False):
        names = dict(zip(by, key if isinstance(key, tuple) else (key,), strict=True))
        rows.append(names | _summary(group, n_bootstrap))
    return pd.DataFrame(rows)


def _summary(group: pd.DataFrame, n_bootstrap: int) -> dict[str, object]:
    r, hearts = group["r"].dropna(), group["heart"]
    r_mean = bootstrap_mean(group["r"], groups=hearts, n_bootstrap=n_bootstrap)
    mse = bootstrap_mean(group["mse"], groups=hearts, n_bootstrap=n_bootstrap)
    worst = group.loc[r.idxmin()] if len(r) else None
    beyond = group.get("r2_beyond_average_beat", pd.Series(dtype=float)).dropna()
    fisher = np.arctanh(np.clip(group["r"], -0.999999, 0.999999)).groupby(hearts).mean()
    return {
        "n_record": group["record"].nunique(),
        "n_heart": hearts.nunique(),
        "n_pair": len(group),
        "n_undefined": int(group["r"].isna().sum()),
        "r_mean": r_mean.value,
        "r_low": r_mean.low,
        "r_high": r_mean.high,
        "r_fisher": float(np.tanh(fisher.mean())),
        "r_median": float(r.median()),
        "r_worst_decile": float(r.quantile(0.1)),
        "r_lowest": float(r.min()),
        "worst": "" if worst is None else _name_pair(worst),
        "mse_mean": mse.value,
        "mse_low": mse.low,
        "mse_high": mse.high,
        "mse_highest": float(group["mse"].max()),
        "rmse_mv": float(group["rmse_mv"].groupby(hearts).mean().mean()),
        "beyond_median": float(beyond.median()),
        "beyond_above_0": float((beyond > 0).mean()) if len(beyond) else float("nan"),
    }


def _name_pair(row: pd.Series) -> str:
    return f"{row['record']} {row['input_lead']} to {row['output_lead']}"


def compare_methods(
    table: pd.DataFrame, first: str, second: str, *, score: str = "r", n_bootstrap: int = 2000
) -> dict[str, object]:
    """Return the difference `first - second` of a score, paired by heart.

    Methods are compared on the records that both have seen, each heart once.

    Keys: `difference` (an `Estimate` over hearts), `share_won`, the share of hearts on which
    `first` is better (r and R2: larger; errors: smaller), and `p` of a permutation of the signs.
    """
    keys = [hearts_of(table).rename("heart"), "record", "method"]
    means = table.groupby(keys)[score].mean().unstack("method")
    by_heart = (means[first] - means[second]).dropna().groupby("heart").mean()
    sign = -1 if score in {"mse", "rmse_mv"} else 1
    return {
        "difference": bootstrap_mean(by_heart.to_numpy(), n_bootstrap=n_bootstrap),
        "share_won": float((sign * by_heart > 0).mean()),
        "p": paired_p(by_heart.to_numpy()),
    }


def network_gains(scores: pd.DataFrame) -> dict[str, Estimate]:
    """Return what `best` gains over simpler methods on recorded hearts, paired by heart.

    `gain_r` over the best fitted closed form (average beat + ridge), and what the network itself
    adds to the neighbours that it starts from and whose library it shares: `over_neighbours` (r)
    and `over_mse` (squared error; below 0 is better).

    Parameters
    ----------
    scores
        The recorded run of the reconstruction experiment.
    """
    hearts = recorded_hearts(scores)
    asked = {
        "gain_r": ("average_beat_ridge", "r"),
        "over_neighbours": ("neighbours", "r"),
        "over_mse": ("neighbours", "mse"),
    }
    return {
        name: compare_methods(hearts, "best", other, score=score)["difference"]
        for name, (other, score) in asked.items()
    }


def compare_leads(table: pd.DataFrame) -> pd.DataFrame:
    """Return by how much the best visible lead beats each other one, paired by heart.

    A row per other lead, the nearest first: `best_lead`, `input_lead`, `difference` of mean r with
    its interval `low`, `high`, `share_won` and `p` of a permutation of the signs. Intervals of
    single leads overlap because hearts differ; that says nothing about a difference within hearts.

    Parameters
    ----------
    table
        Scores of one method, a row per pair of leads.
    """
    by_lead = table.assign(method=table["input_lead"])
    best, *others = summarise(by_lead).sort_values("r_mean", ascending=False)["method"]
    rows = []
    for other in others:
        found = compare_methods(by_lead, best, other)
        gain = found["difference"]
        row = (best, other, gain.value, gain.low, gain.high, found["share_won"], found["p"])
        rows.append(row)
    names = ["best_lead", "input_lead", "difference", "low", "high", "share_won", "p"]
    return pd.DataFrame(rows, columns=names)


def lead_usefulness(scores: pd.DataFrame, *, method: str = "average_beat_ridge") -> pd.Series:
    """Return the mean r with which each lead reconstructs the other independent leads.

    Every recorded heart counts once; the synthetic ones of twadb do not.

    Parameters
    ----------
    scores
        The recorded run of the reconstruction experiment.
    """
    chosen = recorded_hearts(only_independent(scores[scores["method"] == method]))
    by_heart = chosen.groupby(["input_lead", hearts_of(chosen)])["r"].mean()
    return by_heart.groupby("input_lead").mean().reindex(LEADS)


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
