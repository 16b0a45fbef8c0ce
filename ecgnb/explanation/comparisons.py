"""How conditions differ from health in what the maps mark, and what is left of each claim."""

import numpy as np
import pandas as pd
from scipy import stats

from ecgnb.explanation.audit import rank_tests
from ecgnb.explanation.shares import KEYS, N_LEAST, PAIR, densest_waves, summarise_shares, widen
from ecgnb.intervals import permutation_p, rank_alike
from ecgnb.records.labels import HEALTHY

ALIKE = 0.8  # rank correlation from which two maps count as similar

PLAIN = {"target": "latent_norm", "attribution": "Grad-CAM"}

NEAR_RANK, AVL_RANK = 3.5, 11.0  # V2-V4 within the first five places, aVL in the last two


def compare_groups(
    group: pd.DataFrame, other: pd.DataFrame, *, n_bootstrap: int = 2000
) -> pd.DataFrame:
    """Return the differences of mean shares of two groups, with intervals and probabilities.

    A target and attribution without shares for every patient (a map that is zero) is left out.

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
        p=permutation_p(first, second),
        n_patient=len(first),
        n_other=len(second),
    )


def _correct(table: pd.DataFrame, *, level: float = 0.05) -> pd.DataFrame:
    """Return comparisons with `p_corrected` for their number, `survives` and `agrees`.

    Benjamini and Hochberg (1995), over all rows of one target and attribution. A difference
    `agrees` where it survives with the same sign under every target and attribution.
    """
    table = table.copy()
    for _, rows in table.groupby(["target", "attribution"]).groups.items():
        table.loc[rows, "p_corrected"] = stats.false_discovery_control(table.loc[rows, "p"])
    table["survives"] = table["p_corrected"] < level
    table["sign"] = np.sign(table["difference"]) * table["survives"]
    together = table.groupby(["condition", "axis", "name"])["sign"]
    table["agrees"] = together.transform("sum").abs() == together.transform("count")
    return table.drop(columns="sign")


def compare_with_healthy(table: pd.DataFrame, *, n_bootstrap: int = 2000) -> pd.DataFrame:
    """Return `compare_groups` of each condition with healthy controls, corrected.

    Conditions with fewer than three patients are left out.

    Parameters
    ----------
    table
        Rows of `share_rows` with the columns `condition`, `patient`, `target`, `attribution`.
    """
    wide = {name: widen(rows) for name, rows in table.groupby("condition", sort=False)}
    healthy = wide[HEALTHY]
    found = [
        compare_groups(group, healthy, n_bootstrap=n_bootstrap).assign(condition=name)
        for name, group in wide.items()
        if name != HEALTHY and min(len(group), len(healthy)) >= N_LEAST
    ]
    columns = [*KEYS, "difference", "low", "high", "p", "n_patient", "n_other"]
    if not found:
        return pd.DataFrame(columns=[*columns, "p_corrected", "survives", "agrees"])
    return _correct(pd.concat(found, ignore_index=True)[columns])


def alike_healthy(summary: pd.DataFrame, *, healthy: str = "healthy control") -> pd.DataFrame:
    """Return the rank correlation of each condition's shares with those of healthy people.

    Columns: condition, target, attribution, `lead`, `wave` and `n_patient`.
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
    return pd.DataFrame(rows, columns=["condition", *PAIR, "lead", "wave", "n_patient"])


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
    differences: pd.DataFrame,
    equal: pd.DataFrame,
    *,
    n_bootstrap: int = 2000,
) -> pd.DataFrame:
    """Return a row per claim: with plain Grad-CAM, after the audit, and the share of tests.

    `share_of_tests` is that of the tests after the audit that came out as claimed (NaN: none could
    be made). A claim about healthy people is put to every pair of target and attribution, in plain
    beats and at equal amplitude of the leads.

    Parameters
    ----------
    shares
        Rows of `shares.share_rows` with condition, patient, target and attribution.
    audit
        Rows of `audit._audit_vae` for healthy people.
    differences
        From `comparisons.compare_with_healthy`.
    equal
        The same at equal numbers of patients.
    """
    summary = summarise_shares(shares, n_bootstrap=n_bootstrap)
    healthy = summary[summary["condition"] == HEALTHY]
    rows = [
        _waves(healthy),
        *_ranks(audit),
        _alike(summary),
        _differ(differences, equal),
    ]
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


def _ranks(audit: pd.DataFrame) -> list[tuple[str, str, str, float]]:
    """Return the rows of V2-V4 and aVL.

    Plain is the map where leads keep their relative sizes, if such a VAE was fitted.
    """
    rows = []
    for claim, lead in (("v2-v4-most", "near"), ("avl-least", "aVL")):
        table = rank_tests(audit, lead)
        good = table["rank"] <= NEAR_RANK if lead == "near" else table["rank"] >= AVL_RANK
        plain = _plain(table[table["form"] == "plain"]).iloc[-1]
        own = " where leads keep their sizes" if plain.get("scaling") == "common" else ""
        before = f"rank {plain['rank']:.1f} of 12{own}"
        forms = []
        for form, ranks in table.groupby("form", sort=False)["rank"]:
            counted = f"as claimed in {good[ranks.index].sum()} of {len(ranks)}"
            forms.append(f"{form}: rank {ranks.min():.1f} to {ranks.max():.1f}, {counted}")
        rows.append((claim, before, "; ".join(forms), float(good.mean())))
    return rows


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


def _differ(table: pd.DataFrame, equal: pd.DataFrame) -> tuple[str, str, str, float]:
    """Return the row on lead differences: plain, under every pair, and at equal numbers."""
    leads, matched = (each[each["axis"] == "lead"] for each in (table, equal))
    if not len(leads):
        return "leads-differ-by-condition", "no condition has three patients", "-", float("nan")
    plain = _plain(leads)
    agree, agree_equal = (
        each.drop_duplicates(["condition", "name"])["agrees"] for each in (leads, matched)
    )
    before = f"{plain['survives'].sum()} of {len(plain)} differences survive the correction"
    after = (
        f"{agree.sum()} of {len(agree)} survive under every target and method, "
        f"{agree_equal.sum()} of {len(agree_equal)} at equal numbers of patients"
    )
    found = [plain["survives"].any(), agree.any(), agree_equal.any()]
    return "leads-differ-by-condition", before, after, sum(map(bool, found)) / len(found)


def recorded_shares(table: pd.DataFrame, *, draw: str = "all") -> pd.DataFrame:
    """Return the shares of the recorded run of whole groups, with the column `condition`."""
    chosen = table[(table["draw"] == draw) & (table["scaling"] == "lead")]
    return chosen.rename(columns={"trained_on": "condition"})


def compare_matched(table: pd.DataFrame) -> pd.DataFrame:
    """Return the differences of each condition from as many healthy people, corrected.

    The healthy people were drawn, fitted and explained anew at the condition's number of
    patients, so that neither the test nor the network has more to learn from.

    Parameters
    ----------
    table
        Shares of the recorded run, with `trained_on`, `draw` and `scaling`.
    """
    whole, found = recorded_shares(table), []
    for condition, rows in whole.groupby("condition", sort=False):
        count = rows["patient"].nunique()
        healthy = recorded_shares(table, draw=f"{count} drawn 0")
        if condition == HEALTHY or count < N_LEAST or not len(healthy):
            continue
        compared = compare_groups(widen(rows), widen(healthy))
        found.append(compared.assign(condition=condition))
    if not found:
        return compare_with_healthy(whole[whole["condition"] == HEALTHY])
    return _correct(pd.concat(found, ignore_index=True))


def equal_numbers(shares: pd.DataFrame, *, seed: int = 0) -> pd.DataFrame:
    """Return the shares with every condition of 3 patients or more cut to the smallest."""
    counts = shares.groupby("condition")["patient"].nunique()
    counts = counts[counts >= N_LEAST]
    parts = []
    for condition in counts.index:
        rows = shares[shares["condition"] == condition]
        patients = sorted(rows["patient"].unique())
        kept = rows["patient"].isin(
            pd.Series(patients).sample(counts.min(), random_state=seed).tolist()
        )
        parts.append(rows[kept])
    return pd.concat(parts, ignore_index=True)


def count_survivors(runs: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Return for each comparison and axis how many differences survive, and how many agree.

    Parameters
    ----------
    runs
        Tables of `comparisons.compare_with_healthy` or `compare_matched` by name.
    """
    rows = {}
    for run, table in runs.items():
        for axis in ("lead", "wave"):
            part = table[table["axis"] == axis]
            once = part.drop_duplicates(["condition", "name"])
            pairs = part.groupby(["target", "attribution"])["survives"].sum()
            rows[run, axis] = {
                "differences": len(once),
                "fewest patients": once["n_patient"].min(),
                "survive, lowest of pairs": pairs.min(),
                "survive, highest of pairs": pairs.max(),
                "agree in all pairs": once["agrees"].sum(),
            }
    return pd.DataFrame(rows).T
