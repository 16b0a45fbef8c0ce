"""Scores of sets of leads: the best set of each size, the knee, and what each lead is worth."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from ecgnb.intervals import Estimate, bootstrap_mean, rank_alike
from ecgnb.leads import INDEPENDENT_LEADS, LEADS, LIMB_LEADS


def summarise_sets(table: pd.DataFrame, named: Mapping[str, str]) -> pd.DataFrame:
    """Return how well sets of leads do: the best of 1 to 7 leads, and those that are named.

    The best set of each size has the least mean error where it is not scored: on the validation
    part (`validation_uv`), or on other hearts, those of other folds if there are folds.

    Parameters
    ----------
    table
        A row per set and recording: `heart`, `set`, `r`, `rmse_uv`, `st_<lead>`, and
        `validation_uv`, `fold` or neither.
    named
        Names of sets to show beside, by what they are called.

    Returns
    -------
    pandas.DataFrame
        `what`, `set` (of several choices the most frequent), `n_lead`, `n_heart`; `r`, `rmse_uv`
        and `st_band_uv` (90 % of the errors of the ST level of hidden independent leads are
        smaller), each with `_low` and `_high` of the 95 % interval over hearts.
    """
    table = table.assign(n_lead=table["set"].str.count(r"\+") + 1)
    rows = [
        {"what": f"best of {n}"} | _summarise_set(_choose_set(own))
        for n, own in table.groupby("n_lead")
    ]
    for what, name in named.items():
        rows.append({"what": what} | _summarise_set(table[table["set"] == name]))
    return pd.DataFrame(rows)


def keep_chosen(table: pd.DataFrame, named: Iterable[str]) -> pd.DataFrame:
    """Return the rows of all sets that `summarise_sets` chooses or that are named.

    It says the same of them as of the whole table, a hundred times as long.
    """
    number = table["set"].str.count(r"\+")
    chosen = [_choose_set(own)["set"].unique() for _, own in table.groupby(number)]
    return table[table["set"].isin({*named, *np.concatenate(chosen)})].reset_index(drop=True)


def mean_of_sets(table: pd.DataFrame) -> pd.DataFrame:
    """Return mean `r` and `rmse_uv` of every set, each heart once, and how many hearts."""
    hearts = table.groupby(["set", "heart"], sort=False)[["r", "rmse_uv"]].mean()
    groups = hearts.groupby("set", sort=False)
    return groups.mean().assign(n_heart=groups.size()).reset_index()


def _choose_set(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the set that is best where they are not scored."""
    if "validation_uv" in table:
        means = table.groupby(["set", "heart"])["validation_uv"].mean().groupby("set").mean()
        return table[table["set"] == means.idxmin()]
    unit = table["fold" if "fold" in table else "heart"]
    plan = table["plan"] if "plan" in table else pd.Series("", index=table.index)
    found = [_choose_elsewhere(own, unit[own.index]) for _, own in table.groupby(plan)]
    return pd.concat(found)


def _choose_elsewhere(table: pd.DataFrame, unit: pd.Series) -> pd.DataFrame:
    """Return the rows of the set with the least mean error over the hearts of all other units."""
    each = table.assign(unit=unit).groupby(["set", "unit", "heart"], as_index=False)["rmse_uv"]
    sums = each.mean().pivot_table("rmse_uv", "set", "unit", aggfunc="sum")
    others = -sums.sub(sums.sum(axis=1), axis=0)  # of all hearts outside the unit, equally many
    chosen = {one: others[one].idxmin() for one in others}
    return table[table["set"] == unit.map(chosen)]


def _summarise_set(rows: pd.DataFrame) -> dict[str, object]:
    name = rows["set"].mode()[0]
    found: dict[str, object] = {"set": name, "n_lead": name.count("+") + 1}
    found["n_heart"] = rows["heart"].nunique()
    for score in ("r", "rmse_uv"):
        each = bootstrap_mean(rows[score], groups=rows["heart"])
        found |= {score: each.value, f"{score}_low": each.low, f"{score}_high": each.high}
    return found | _st_band(rows)


def _st_band(
    rows: pd.DataFrame, *, share: float = 0.9, n_bootstrap: int = 1000
) -> dict[str, float]:
    """Return the band of the ST error with its interval; every heart weighs the same."""
    hidden = {name: _hidden_by(name) for name in rows["set"].unique()}
    errors = [
        pd.DataFrame({"heart": own["heart"], "uv": own[f"st_{lead}"].abs()})
        for name, own in rows.groupby("set")
        for lead in hidden[name]
    ]
    errors = pd.concat(errors).sort_values("uv")
    hearts, place = np.unique(errors["heart"], return_inverse=True)
    weights = (1 / np.bincount(place))[place]
    draws = np.random.default_rng(0).integers(0, hearts.size, (n_bootstrap, hearts.size))
    counts = np.stack([np.bincount(draw, minlength=hearts.size) for draw in draws])
    counts = np.vstack([np.ones(hearts.size), counts])
    sums = np.cumsum(counts[:, place] * weights, axis=1)
    bands = errors["uv"].to_numpy()[(sums < share * sums[:, -1:]).sum(axis=1)]
    low, high = np.quantile(bands[1:], [0.025, 0.975])
    return {"st_band_uv": bands[0], "st_band_uv_low": low, "st_band_uv_high": high}


def _hidden_by(name: str) -> list[str]:
    """Return the independent leads that a set leaves open; two limb leads give I and II."""
    given = name.split("+")
    known = {*given, "I", "II"} if len(set(given) & set(LIMB_LEADS)) > 1 else set(given)
    return [lead for lead in INDEPENDENT_LEADS if lead not in known]


def find_knee(
    summary: pd.DataFrame, *, band_uv: float = 100.0, certain: bool = False
) -> int | None:
    """Return how few leads bring the band of the ST level below a limit; None if none do.

    Parameters
    ----------
    summary
        From `summarise_sets`.
    band_uv
        The limit, µV.
    certain
        Ask the upper end of the band's interval to lie below.
    """
    best = summary[summary["what"].str.startswith("best of")]
    enough = best.loc[best["st_band_uv_high" if certain else "st_band_uv"] < band_uv, "n_lead"]
    return int(enough.min()) if len(enough) else None


def rank_leads(values: pd.DataFrame, *, n_bootstrap: int = 2000) -> pd.DataFrame:
    """Return the mean value of each lead with its interval over hearts, the most useful first.

    `rank` is 1 for the most; `rank_low` and `rank_high` hold it in 95 % of the draws.

    Parameters
    ----------
    values
        A row per heart, a column per lead; leads without a value are left out.
    """
    wide = values.dropna(axis=1)
    each = wide.to_numpy()
    means = _drawn_means(each, n_bootstrap)
    ranks = _ranks(means)
    low, high = np.quantile(means, [0.025, 0.975], axis=0)
    rank_low, rank_high = np.quantile(ranks, [0.025, 0.975], axis=0)
    found = {"lead": wide.columns, "value": each.mean(axis=0)}
    found |= {"value_low": low, "value_high": high}
    table = pd.DataFrame(found | {"rank_low": rank_low, "rank_high": rank_high})
    table = table.sort_values("value", ascending=False, ignore_index=True)
    table.insert(1, "rank", np.arange(len(table)) + 1)
    return table.assign(n_heart=len(wide))


def rank_of_leads(
    values: pd.DataFrame, leads: Sequence[str], *, n_bootstrap: int = 2000
) -> Estimate:
    """Return the mean rank of some leads, 1 for the most useful, with its interval over hearts.

    Parameters
    ----------
    values
        A row per heart, a column per lead.
    leads
        Some of the columns.

    Examples
    --------
    >>> values = pd.DataFrame({"I": [0.1, 0.2], "II": [0.3, 0.5], "V2": [0.2, 0.4]})
    >>> rank_of_leads(values, ["II", "V2"])
    Estimate(value=1.5, low=1.5, high=1.5, n=2)
    """
    each, columns = values.to_numpy(), [values.columns.get_loc(lead) for lead in leads]
    drawn = _ranks(_drawn_means(each, n_bootstrap))[:, columns].mean(axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    whole = _ranks(each.mean(axis=0, keepdims=True))[0, columns].mean()
    return Estimate(float(whole), float(low), float(high), len(each))


def _drawn_means(each: np.ndarray, n_bootstrap: int) -> np.ndarray:
    """Return the means `(draw, lead)` of hearts drawn with repetition."""
    draws = np.random.default_rng(0).integers(0, len(each), (n_bootstrap, len(each)))
    return each[draws].mean(axis=1)


def _ranks(means: np.ndarray) -> np.ndarray:
    """Return the rank of each column in its row, 1 for the largest."""
    return (-means).argsort(axis=1).argsort(axis=1) + 1


def correlate_ranks(
    first: pd.DataFrame, second: pd.DataFrame, *, n_bootstrap: int = 1000
) -> Estimate:
    """Return Spearman's correlation over leads of two means, with its 95 % interval over hearts.

    Tables of the same hearts are drawn together, others each by itself.

    Parameters
    ----------
    first, second
        A row per heart, a column per lead; leads that one of them lacks are left out.
    """
    leads = [lead for lead in LEADS if {lead} <= set(first.dropna(axis=1)) & set(second)]
    leads = [lead for lead in leads if second[lead].notna().all()]
    generator, arrays = (
        np.random.default_rng(0),
        [one[leads].to_numpy() for one in (first, second)],
    )
    sizes = [(n_bootstrap, len(one)) for one in arrays]
    draws = [generator.integers(0, size[1], size) for size in sizes]
    if first.index.equals(second.index):
        draws[1] = draws[0]
    means = [one[draw].mean(axis=1) for one, draw in zip(arrays, draws, strict=True)]
    seen = [rank_alike(*pair) for pair in zip(*means, strict=True)]
    low, high = np.quantile(seen, [0.025, 0.975])
    whole = rank_alike(*(one.mean(axis=0) for one in arrays))
    return Estimate(whole, float(low), float(high), len(first))
