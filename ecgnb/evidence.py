"""What the maps say about each claim: shares and audits put against rules fixed beforehand."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from ecgnb.intervals import bootstrap_mean, rank_alike
from ecgnb.leads import LEADS
from ecgnb.paper import NEAR

PAIR = ["target", "attribution"]

SCORE_KEYS = ["condition", "method"]

ALIKE = 0.8  # rank correlation from which two maps count as similar

# What a number must be for a map to pass: (≥ or ≤, limit).
RULES: dict[str, tuple[str, float]] = {
    "randomised down to first": ("≤", 0.5),
    "permuted leads, follows_lead": ("≥", 0.7),
    "permuted leads, stays_in_row": ("≤", 0.7),
    "lead amplitude": ("≤", 0.7),
    "deletion against random": ("≥", 1.0),
    "deletion against amplitude": ("≥", 1.0),
    "insertion against random": ("≥", 1.0),
    "insertion against amplitude": ("≥", 1.0),
    "points at a bump": ("≥", 0.9),
    "points at a wave": ("≥", 0.9),
    "agrees with reconstruction": ("≥", 0.5),
}


def summarise_scores(
    table: pd.DataFrame, *, by_lead: bool = False, n_bootstrap: int = 2000
) -> pd.DataFrame:
    """Return mean squared error and r of each condition and method with intervals over patients.

    Columns: `mse`, `mse_low`, `mse_high`, `mse_highest` (worst patient), `r`, `r_low`, `r_high`,
    `r_lowest`, `n_patient`; with `by_lead` a row for every lead.
    """
    keys = [*SCORE_KEYS, "lead"] if by_lead else SCORE_KEYS
    rows = []
    for key, group in table.groupby(keys, sort=False):
        row = dict(zip(keys, key, strict=True))
        for score, worst in (("mse", "highest"), ("r", "lowest")):
            found = bootstrap_mean(group[score], groups=group["patient"], n_bootstrap=n_bootstrap)
            patients = group.groupby("patient")[score].mean()
            row |= {score: found.value, f"{score}_low": found.low, f"{score}_high": found.high}
            row[f"{score}_{worst}"] = patients.max() if worst == "highest" else patients.min()
            row["n_patient"] = found.n
        rows.append(row)
    return pd.DataFrame(rows)


def compare_scores(
    table: pd.DataFrame, first: str = "VAE", second: str = "PCA", *, n_bootstrap: int = 2000
) -> pd.DataFrame:
    """Return how the error of one method relates to that of another, over the same patients.

    Columns: `ratio` of the mean errors with its interval over patients, `won` (share of patients
    on which the first is better), `n_patient`.
    """
    rows = []
    for condition, group in table.groupby("condition", sort=False):
        errors = group.groupby(["patient", "method"])["mse"].mean().unstack("method")
        pair = errors[[first, second]].dropna().to_numpy()
        draws = np.random.default_rng(0).integers(len(pair), size=(n_bootstrap, len(pair)))
        means = pair[draws].mean(axis=1)
        low, high = np.quantile(means[:, 0] / means[:, 1], [0.025, 0.975])
        ratio = pair[:, 0].mean() / pair[:, 1].mean()
        won = (pair[:, 0] < pair[:, 1]).mean()
        rows.append((condition, ratio, low, high, won, len(pair)))
    columns = ["condition", "ratio", "low", "high", "won", "n_patient"]
    return pd.DataFrame(rows, columns=columns)


def densest_waves(summary: pd.DataFrame, *, density: str = "per_ms") -> pd.DataFrame:
    """Return for each condition, target and attribution the two waves of largest density.

    `qrs_t` says whether they are the QRS complex and the T wave.

    Parameters
    ----------
    summary
        From `shares.summarise_shares`.
    density
        `per_ms` or `per_mv`.
    """
    rows = []
    waves = summary[summary["axis"] == "wave"]
    for key, group in waves.groupby(["condition", *PAIR], sort=False):
        first, second = group.sort_values(density, ascending=False)["name"].iloc[:2]
        rows.append(
            (*key, first, second, {first, second} == {"QRS", "T"}, group["n_patient"].max())
        )
    columns = ["condition", *PAIR, "first", "second", "qrs_t", "n_patient"]
    return pd.DataFrame(rows, columns=columns)


def lead_ranks_of(shares: pd.DataFrame, *, n_bootstrap: int = 2000) -> pd.DataFrame:
    """Return the mean rank of V2-V4 and of aVL for each target and attribution, over patients.

    Rank 1 is the largest share of 12. Columns `near`, `near_low`, `near_high`, `avl`, `avl_low`,
    `avl_high`, `n_patient`.
    """
    rows = []
    leads = shares[shares["axis"] == "lead"]
    for key, group in leads.groupby(PAIR, sort=False):
        wide = group.pivot_table(index="patient", columns="name", values="share")
        ranks = wide.rank(axis=1, ascending=False)
        row = dict(zip(PAIR, key, strict=True))
        for name, values in (("near", ranks[list(NEAR)].mean(axis=1)), ("avl", ranks["aVL"])):
            found = bootstrap_mean(values.to_numpy(), n_bootstrap=n_bootstrap)
            row |= {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}
            row["n_patient"] = found.n
        rows.append(row)
    return pd.DataFrame(rows)


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


def ranking_agreement(summary: pd.DataFrame, usefulness: pd.Series) -> pd.DataFrame:
    """Return rows of the audit: rank correlation of lead shares with an independent ranking."""
    rows = []
    leads = summary[summary["axis"] == "lead"]
    for key, group in leads.groupby(PAIR, sort=False):
        shares = group.set_index("name")["share"].reindex(LEADS)
        rows.append(("agrees with reconstruction", *key, rank_alike(shares, usefulness)))
    return pd.DataFrame(rows, columns=["test", *PAIR, "number"])


def judge_audit(audit: pd.DataFrame) -> pd.DataFrame:
    """Return the verdict of each audit test and attribution over the declared targets.

    Columns: the rule, `lowest` and `highest` number over targets (each the mean over fits),
    `best` (the target that does best), `passed` of `targets`, and the `verdict`.
    """
    tests: dict[str, Callable] = {"≥": np.greater_equal, "≤": np.less_equal}
    rows = []
    for test, (side, limit) in RULES.items():
        found = audit[audit["test"] == test]
        for attribution, group in found.groupby("attribution", sort=False):
            numbers = group.groupby("target", sort=False)["number"].mean()
            passed = int(tests[side](numbers, limit).sum())
            best = numbers.idxmax() if side == "≥" else numbers.idxmin()
            verdict = {0: "fails", len(numbers): "passes"}.get(passed, "depends on the target")
            row = (test, attribution, f"{side}\u00a0{limit:g}", numbers.min(), numbers.max(), best)
            rows.append((*row, passed, len(numbers), verdict))
    columns = ["test", "attribution", "rule", "lowest", "highest", "best", "passed", "targets"]
    return pd.DataFrame(rows, columns=[*columns, "verdict"])


def rank_tests(audit: pd.DataFrame, lead: str) -> pd.DataFrame:
    """Return the mean rank of a lead (or `near`: V2-V4) for each form, target and attribution.

    Parameters
    ----------
    audit
        Rows of `audit.audit_vae`, several fits together.
    lead
        `near` or `aVL`.
    """
    names = {f"rank of {lead}, {form}": form for form in ("plain", "equal amplitude")}
    found = audit[audit["test"].isin(names)].assign(form=audit["test"].map(names))
    keys = [key for key in ("scaling", "form") if key in found] + PAIR
    return found.groupby(keys, sort=False)["number"].mean().rename("rank").reset_index()


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


def whole_groups(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the recorded run whose VAEs had whole groups, each lead by its size."""
    return table[(table["draw"] == "all") & (table["scaling"] == "lead")]


def real_ratios(scores: pd.DataFrame, fits: pd.DataFrame) -> pd.DataFrame:
    """Return for each condition of the recorded run the VAE's error over that of PCA.

    Columns: `ratio`, `low`, `high`, `won`, `n_patient` of `compare_scores`, `against PCA of
    varied beats` (the ratio to the stricter baseline), `trained on` (most patients of a fit) and
    `fewest latents in use`.
    """
    scores, by_group = whole_groups(scores), whole_groups(fits).groupby("trained_on")
    own = scores[scores["condition"] == scores["trained_on"]]
    strict = compare_scores(own, second="PCA, varied beats").set_index("condition")["ratio"]
    return (
        compare_scores(own)
        .set_index("condition")
        .assign(
            **{
                "against PCA of varied beats": strict,
                "trained on": by_group["n_train"].max(),
                "fewest latents in use": by_group["in_use"].min(),
            }
        )
    )
