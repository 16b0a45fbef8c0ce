"""What is left of each claim about maps: with plain Grad-CAM, and after the audit."""

import pandas as pd

from ecgnb.explanation.audit import rank_tests
from ecgnb.explanation.comparisons import ALIKE, alike_healthy
from ecgnb.explanation.shares import N_LEAST, densest_waves, summarise_shares
from ecgnb.records.labels import HEALTHY

PLAIN = {"target": "latent_norm", "attribution": "Grad-CAM"}

NEAR_RANK, AVL_RANK = 3.5, 11.0  # V2-V4 within the first five places, aVL in the last two


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
        Rows of `audit.audit_vae` for healthy people.
    differences
        From `shares.compare_with_healthy`.
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
