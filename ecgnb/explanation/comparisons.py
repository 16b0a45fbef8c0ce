"""How conditions differ from health in what the maps mark, and what is left of each claim.

Maps of two groups come from two networks, so the unit of a comparison is the refit: see
`judge_refits`.
"""

import numpy as np
import pandas as pd

from ecgnb.explanation.shares import (
    ENOUGH_POWER,
    LEVEL,
    N_LEAST,
    NAMED_WAVE,
    PAIR,
    densest_waves,
    rank_tests,
    ranking_leads,
    summarise_shares,
    widen,
)
from ecgnb.intervals import rank_alike
from ecgnb.paper import NEAR
from ecgnb.records.labels import HEALTHY

ALIKE = 0.8  # rank correlation from which two maps count as similar

PLAIN = {"target": "latent_norm", "attribution": "Grad-CAM"}

NEAR_RANK, AVL_RANK = 3.5, 11.0  # V2-V4 within the first five places, aVL in the last two


def _compare_groups(
    group: pd.DataFrame, other: pd.DataFrame, *, n_bootstrap: int = 2000
) -> pd.DataFrame:
    """Return the differences of mean shares of two groups, with intervals over patients.

    The networks stay as they are: that another fit to the same people would move the shares too
    is not in these intervals. A target and attribution without shares for every patient (a map
    that is zero) is left out.

    Parameters
    ----------
    group, other
        From `widen`.
    """
    known = [table.dropna(axis=1).columns for table in (group, other)]
    columns = known[0].intersection(known[1], sort=False)
    first, second = group[columns].to_numpy(), other[columns].to_numpy()
    generator = np.random.default_rng(0)
    draws = [
        part[generator.integers(len(part), size=(n_bootstrap, len(part)))].mean(axis=1)
        for part in (first, second)
    ]
    low, high = np.quantile(draws[0] - draws[1], [0.025, 0.975], axis=0)
    table = columns.to_frame(index=False)
    return table.assign(
        difference=first.mean(axis=0) - second.mean(axis=0),
        low=low,
        high=high,
        n_patient=len(first),
        n_other=len(second),
    )


def _count_agreeing(differences: pd.DataFrame) -> pd.DataFrame:
    """Return the differences with `agrees` and `pairs`, for each lead and wave.

    `agrees` counts the pairs of target and method in which the interval leaves out zero and the
    difference has the same sign as in this row; `pairs` counts the pairs that there are.

    Parameters
    ----------
    differences
        From `_compare_groups`.
    """
    sign = np.sign(differences["difference"])
    clear = sign * (np.sign(differences["low"]) == np.sign(differences["high"]))
    keys = [differences["axis"], differences["name"]]
    up, down = ((clear == side).groupby(keys).transform("sum") for side in (1, -1))
    pairs = clear.groupby(keys).transform("size")
    return differences.assign(agrees=np.where(sign > 0, up, down), pairs=pairs)


def compare_with_healthy(
    found: pd.DataFrame, healthy: pd.DataFrame, *, n_bootstrap: int = 2000
) -> pd.DataFrame:
    """Return how the shares of one condition differ from healthy people's, and how many agree.

    Leads by the maps that can rank them, waves by all targets that name none. Nobody is compared
    with themselves, and no group of fewer than three patients: the table is empty then.

    Parameters
    ----------
    found
        Rows of `shares.share_rows` with `condition`, patient, target and attribution.
    healthy
        The same of healthy people.
    """
    sides = [widen(_comparable(table)) for table in (found, healthy)]
    alone = (found["condition"] == HEALTHY).all() or min(map(len, sides)) < N_LEAST
    table = _count_agreeing(_compare_groups(*sides, n_bootstrap=n_bootstrap))
    return table.head(0) if alone else table


def _comparable(shares: pd.DataFrame) -> pd.DataFrame:
    """Return shares of leads by maps that can rank them, and of waves by targets of no wave."""
    leads = ranking_leads(shares[shares["axis"] == "lead"])
    waves = shares[(shares["axis"] == "wave") & (shares["target"] != NAMED_WAVE)]
    return pd.concat([leads, waves])


def judge_refits(
    table: pd.DataFrame, *, together: int = 1, n_bootstrap: int = 100
) -> pd.DataFrame:
    """Return how far groups lie from healthy people, and how far healthy people from each other.

    Each refit has a profile: its shares over the leads, or over the waves. The distance of two
    refits is the mean absolute difference of their profiles. Distances between healthy people who
    share nobody are what there is without any difference; `chance` is their median and `limit`
    their 95 % point. A row per group and measure holds the median `distance` of its refits from
    healthy ones, `p`, the share of the distances without a difference that are as large (one
    more counted above and below), and `beyond`, the share of distances beyond the limit, with its
    95 % interval over refits. Of planted differences `beyond` is the power.

    Parameters
    ----------
    table
        Of `run_power`.
    together
        Refits whose profiles are averaged before they are compared: what more people would give.
        More than one is for simulated people, who are new in every refit; real ones are left out.
    n_bootstrap
        Draws of refits for the intervals.
    """
    rows, keys = [], ["people", "measure", "axis"]
    for key, part in table.groupby(keys, sort=False):
        alone, ill = key[0] == "simulated", part["condition"] != HEALTHY
        base = _profiles(part[~ill])
        chance = _chance_distances(base, alone=alone, together=together)
        if not chance.size or (together > 1 and not alone):
            continue
        limit = float(np.quantile(chance, 1 - LEVEL))
        groups = part[ill].groupby(["condition", "severity"], sort=False, dropna=False)
        for labels, refits in groups:
            apart = _distances(_profiles(refits).to_numpy(), base.to_numpy(), together)
            low, high = _interval_of_share(
                _profiles(refits).to_numpy(), base.to_numpy(), limit, together, n_bootstrap
            )
            row = dict(zip([*keys, "condition", "severity"], [*key, *labels], strict=True))
            row |= {name: refits[name].mean() for name in ("size", "size_uv")}
            row |= {"distance": float(np.median(apart)), "chance": float(np.median(chance))}
            row |= {"limit": limit, "beyond": float((apart > limit).mean())}
            row["p"] = float((1 + (chance >= row["distance"]).sum()) / (1 + chance.size))
            row |= {"low": low, "high": high, "together": together}
            row |= {"n_refit": len(_profiles(refits)), "n_healthy": len(base)}
            rows.append(row)
    return pd.DataFrame(rows)


def _profiles(refits: pd.DataFrame) -> pd.DataFrame:
    """Return a row per refit, a column per lead or wave."""
    return refits.pivot_table(index=["number", "part"], columns="name", values="share")


_N_DRAW = 2000  # pairs of means of refits


def _distances(first: np.ndarray, second: np.ndarray, together: int = 1) -> np.ndarray:
    """Return the mean absolute differences of profiles: all pairs, or of means over several."""
    if together == 1:
        return np.abs(first[:, None] - second[None]).mean(axis=2).ravel()
    generator = np.random.default_rng(0)
    places = [
        generator.random((_N_DRAW, len(p))).argsort(axis=1)[:, :together] for p in (first, second)
    ]
    means = [p[rows].mean(axis=1) for p, rows in zip((first, second), places, strict=True)]
    return np.abs(means[0] - means[1]).mean(axis=1)


def _chance_distances(healthy: pd.DataFrame, *, alone: bool, together: int) -> np.ndarray:
    """Return the distances of healthy refits, or of means over several, that share nobody.

    Simulated people are new in every refit (`alone`): any. Of real ones the two parts of a draw;
    there is none where healthy people are too few for two groups.
    """
    if not alone:
        parts = healthy.index.get_level_values("part")
        first, second = (healthy[parts == part].droplevel("part") for part in ("a", "b"))
        both = first.index.intersection(second.index)
        return np.abs(first.loc[both] - second.loc[both]).mean(axis=1).to_numpy()
    if together == 1:
        places = np.triu_indices(len(healthy), 1)
        return _distances(*[healthy.to_numpy()] * 2).reshape([len(healthy)] * 2)[places]
    order = np.random.default_rng(0).random((_N_DRAW, len(healthy))).argsort(axis=1)
    order = order[:, : 2 * together].reshape(_N_DRAW, 2, together)
    means = healthy.to_numpy()[order].mean(axis=2)
    return np.abs(means[:, 0] - means[:, 1]).mean(axis=1)


def _interval_of_share(
    refits: np.ndarray, healthy: np.ndarray, limit: float, together: int, n_bootstrap: int
) -> tuple[float, float]:
    """Return the 95 % interval, over drawn refits, of the share of distances beyond a limit."""
    draws = np.random.default_rng(0).integers(len(refits), size=(n_bootstrap, len(refits)))
    shares = [(_distances(refits[rows], healthy, together) > limit).mean() for rows in draws]
    low, high = np.quantile(shares, [0.025, 0.975])
    return float(low), float(high)


def smallest_found(refits: pd.DataFrame) -> pd.DataFrame:
    """Return the smallest planted size with enough power, of each measure, axis and condition.

    Of single refits, as real people allow no others. `size` is NaN where even the largest planted
    difference is found too rarely: then nothing may be called absent.

    Parameters
    ----------
    refits
        From `judge_refits`.
    """
    planted = refits[(refits["people"] == "simulated") & (refits["together"] == 1)]
    rows = []
    for key, part in planted.groupby(["measure", "axis", "condition"], sort=False):
        part = part.sort_values("size")
        enough = (part["beyond"] >= ENOUGH_POWER)[::-1].cummin()[::-1]  # and at all larger sizes
        known = part[enough]
        size, size_uv = known[["size", "size_uv"]].iloc[0] if len(known) else (np.nan, np.nan)
        rows.append((*key, size, size_uv, part["beyond"].max()))
    columns = ["measure", "axis", "condition", "size", "size_uv", "most power"]
    return pd.DataFrame(rows, columns=columns)


def alike_healthy(summary: pd.DataFrame, *, healthy: str = "healthy control") -> pd.DataFrame:
    """Return the rank correlation of each condition's shares with those of healthy people.

    Columns: condition, target, attribution, `lead`, `wave` and `n_patient`; `lead` is NaN for
    maps that cannot rank leads.
    """
    rows = []
    wide = summary.pivot_table(
        index=["condition", *PAIR], columns=["axis", "name"], values="share", sort=False
    )
    counts = summary.groupby("condition")["n_patient"].max()
    for (condition, *pair), row in wide.iterrows():
        if condition == healthy:
            continue
        other = wide.loc[(healthy, *pair)]
        found = {axis: rank_alike(row[axis], other[axis]) for axis in ("lead", "wave")}
        labels = {"condition": condition} | dict(zip(PAIR, pair, strict=True))
        rows.append(labels | found | {"n_patient": counts[condition]})
    table = pd.DataFrame(rows, columns=["condition", *PAIR, "lead", "wave", "n_patient"])
    table["lead"] = ranking_leads(table)["lead"]  # NaN elsewhere
    return table


def alike_ranges(table: pd.DataFrame) -> pd.DataFrame:
    """Return patients, lowest and median rank correlations of each condition over all pairs.

    Parameters
    ----------
    table
        From `alike_healthy`.
    """
    return table.groupby("condition", sort=False).agg(
        patients=("n_patient", "max"),
        lead_lowest=("lead", "min"),
        lead_median=("lead", "median"),
        wave_lowest=("wave", "min"),
        wave_median=("wave", "median"),
    )


def _plain(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the plain map: signed Grad-CAM of the size of the latents."""
    return table[(table[list(PLAIN)] == pd.Series(PLAIN)).all(axis=1)]


def survive(
    shares: pd.DataFrame,
    audit: pd.DataFrame,
    refits: pd.DataFrame,
    withheld: pd.DataFrame | None = None,
    *,
    n_bootstrap: int = 2000,
) -> pd.DataFrame:
    """Return a row per claim: with plain Grad-CAM, after the audit, and the share of tests.

    `share_of_tests` is that of the tests after the audit that came out as claimed (NaN: none could
    be made). A claim about waves is put to every pair of target and attribution but the error of
    the T wave; a claim about leads to maps that can rank leads, in plain beats and at equal
    amplitude, and to what is lost when a lead is withheld.

    Parameters
    ----------
    shares
        Rows of `shares.share_rows` with condition, patient, target and attribution.
    audit
        Rows of `audit._audit_vae` for healthy people.
    refits
        From `judge_refits`.
    withheld
        Rows of `group_scores.withheld_leads` for healthy people.
    """
    summary = summarise_shares(shares, n_bootstrap=n_bootstrap)
    healthy = summary[summary["condition"] == HEALTHY]
    rows = [_waves(healthy), *_ranks(audit, withheld), _alike(summary), _differ(refits)]
    return pd.DataFrame(rows, columns=["claim", "plain", "after", "share_of_tests"])


def _waves(healthy: pd.DataFrame) -> tuple[str, str, str, float]:
    per_ms = densest_waves(healthy)
    per_mv = densest_waves(healthy, density="per_mv")
    plain = _plain(per_ms).iloc[0]
    after = (
        f"QRS and T are the two densest per time in {per_ms['qrs_t'].sum()} of {len(per_ms)} "
        f"pairs of target and method, per voltage in {per_mv['qrs_t'].sum()}"
    )
    share_of_tests = (per_ms["qrs_t"].sum() + per_mv["qrs_t"].sum()) / (2 * len(per_ms))
    before = f"densest: {plain['first']}, then {plain['second']}"
    return "qrs-t-focus", before, after, float(share_of_tests)


def withheld_ranks(withheld: pd.DataFrame) -> dict[str, float]:
    """Return the mean rank of V2-V4 (`near`) and that of aVL by the R² lost; 1 is the largest."""
    lost = withheld.groupby("lead")["r2_lost"].mean()
    ranks = lost.rank(ascending=False)
    return {"near": float(ranks[list(NEAR)].mean()), "aVL": float(ranks["aVL"])}


def _ranks(
    audit: pd.DataFrame, withheld: pd.DataFrame | None
) -> list[tuple[str, str, str, float]]:
    """Return the rows of V2-V4 and aVL. Plain Grad-CAM has no say: it cannot rank leads."""
    rows, lost = [], {} if withheld is None else withheld_ranks(withheld)
    before = "Grad-CAM of the first layer cannot rank leads"
    for claim, lead in (("v2-v4-most", "near"), ("avl-least", "aVL")):
        table = rank_tests(audit, lead)
        good = _as_claimed(lead, table["rank"])
        forms = []
        for form, ranks in table.groupby("form", sort=False)["rank"]:
            counted = f"as claimed in {good[ranks.index].sum()} of {len(ranks)}"
            forms.append(f"{form}: rank {ranks.min():.1f} to {ranks.max():.1f}, {counted}")
        tests = good.tolist()
        if lost:
            forms.append(f"R² lost when withheld: rank {lost[lead]:.1f}")
            tests.append(bool(_as_claimed(lead, lost[lead])))
        rows.append((claim, before, "; ".join(forms), float(np.mean(tests))))
    return rows


def _as_claimed(lead: str, rank: pd.Series | float) -> pd.Series | bool:
    return rank <= NEAR_RANK if lead == "near" else rank >= AVL_RANK


def _alike(summary: pd.DataFrame) -> tuple[str, str, str, float]:
    table = alike_healthy(summary)
    table = table[table["n_patient"] >= N_LEAST]
    if not len(table):
        return "conditions-alike", "no condition has three patients", "-", float("nan")
    good = table["wave"] >= ALIKE
    plain = _plain(table)
    before = f"{(plain['wave'] >= ALIKE).sum()} of {len(plain)} conditions"
    low, high = table["wave"].min(), table["wave"].max()
    after = (
        f"rank correlation of the waves {low:.2f} to {high:.2f}; at least {ALIKE} in {good.sum()} "
        f"of {len(good)} (condition x target x method)"
    )
    return "conditions-alike", before, after, float(good.mean())


def _differ(refits: pd.DataFrame) -> tuple[str, str, str, float]:
    """Return the row on lead differences of real people, refit by refit.

    A difference that is not found counts against the claim only if one as large as the planted
    ones would have been found; else the test says nothing.
    """
    claim, before = "leads-differ-by-condition", "Grad-CAM of the first layer cannot rank leads"
    found = refits[(refits["people"] == "recorded") & (refits["axis"] == "lead")]
    if not len(found):
        return claim, before, "no condition has enough patients for a refit", float("nan")
    known = smallest_found(refits)
    known = known[known["axis"] == "lead"].groupby("measure")["size"].min()
    tests, texts = [], []
    for _, row in found.iterrows():
        differs, size = row["p"] < LEVEL, known.get(row["measure"], np.nan)
        tests.append(1.0 if differs else 0.0 if np.isfinite(size) else np.nan)
        texts.append(
            f"{row['condition']}, {row['measure']}: {row['distance']:.3f} apart, healthy people "
            f"{row['chance']:.3f} (p = {row['p']:.2f})"
        )
    planted = refits[(refits["people"] == "simulated") & (refits["axis"] == "lead")]
    if len(planted):
        texts.append(
            f"planted differences of up to {100 * planted['size'].max():.0f} % of the heartbeat "
            f"are found in at most {100 * planted['beyond'].max():.0f} %"
        )
    told = [test for test in tests if np.isfinite(test)]
    return claim, before, "; ".join(texts), float(np.mean(told)) if told else float("nan")


def recorded_shares(table: pd.DataFrame) -> pd.DataFrame:
    """Return the shares of the recorded run, each lead by its own size, with `condition`."""
    return table[table["scaling"] == "lead"].rename(columns={"trained_on": "condition"})
