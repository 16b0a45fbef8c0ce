"""The paper's ten claims, the numbers that speak to them, and the rules that give a verdict."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ecgnb.metrics import compare_methods, summarise
from ecgnb.report import Chapter, MissingArtifactError

VERDICTS = ("holds", "holds in part", "does not hold", "cannot be told")
_COMPARED = "09_conditions_compared"
REAL = "60 real records of twadb, recorded run"
HEADS = "12 real records of twadb, 4 of each origin, 5 seeds, recorded run"


@dataclass(frozen=True)
class Claim:
    """One claim of the paper (Matyschik et al. 2020) and where the book looks at it.

    `says` is the claim, `done` what the book did about it, `section` the heading in `chapter`.
    """

    name: str
    says: str
    done: str
    chapter: str
    section: str


CLAIMS = (
    Claim(
        "cnn-scores",
        "Personal CNNs reach a mean squared error of 0.02 (highest 0.67) and a mean r of 0.77 "
        "(lowest -0.07).",
        "Both kinds of head, fitted per person and visible lead; all hidden leads scored.",
        "04_cnn",
        "How well do the heads do?",
    ),
    Claim(
        "ls-scores",
        "Least squares reaches a mean squared error of 0.08 (highest 1.0) and a mean r of 0.0 "
        "(lowest -0.54).",
        "Least squares with and without an intercept, on the same pairs.",
        "03_least_squares",
        "What did the recorded run on real data find?",
    ),
    Claim(
        "2d-beats-1d",
        "A network that stays two-dimensional beats one that flattens.",
        "A 1-D and a 2-D head compared at the same number of weights.",
        "04_cnn",
        "What are the two heads?",
    ),
    Claim(
        "qrs-t-focus",
        "QRS complex and T wave are most influential in healthy people.",
        "Relevance per time of each wave, for four declared targets.",
        "07_grad_cam",
        "Which waves, which leads?",
    ),
    Claim(
        "v2-v4-most",
        "The leads near the heart, V2, V3 and V4, matter most.",
        "Rank of these leads in the map, as it is and at equal amplitude of all leads.",
        "10_audit",
        "Is it only amplitude?",
    ),
    Claim(
        "avl-least",
        "aVL holds only a small portion of useful data.",
        "Rank of aVL in the map, as it is and at equal amplitude of all leads.",
        "10_audit",
        "Is it only amplitude?",
    ),
    Claim(
        "conditions-alike",
        "In seven heart conditions the focus lies on regions similar to those in health.",
        "Rank correlation of the shares of the waves with those of healthy people.",
        "09_conditions_compared",
        "How alike are the maps?",
    ),
    Claim(
        "leads-differ-by-condition",
        "Yet the results by lead differ between conditions.",
        "Permutation tests over patients, corrected for their number.",
        "09_conditions_compared",
        "Which differences are more than chance?",
    ),
    Claim(
        "symptoms-affect-cnn",
        "Symptoms in the signal can affect the CNNs.",
        "Looked for diagnoses in the records that the networks were fitted on.",
        "05_every_lead",
        "What could be had at most?",
    ),
    Claim(
        "feasible",
        "Twelve leads can be had reliably from one with personal models.",
        "Mean r of the best method in each origin of the records, against 0.95.",
        "05_every_lead",
        "Which method, on which records?",
    ),
)


def verdict(share_of_tests: float) -> str:
    """Return the verdict for the share of a claim's tests that came out as claimed.

    All: holds; none: does not hold; NaN: cannot be told; else: holds in part.

    Examples
    --------
    >>> [verdict(share) for share in (1.0, 0.5, 0.0, float("nan"))]
    ['holds', 'holds in part', 'does not hold', 'cannot be told']
    """
    if np.isnan(share_of_tests):
        return VERDICTS[3]
    if share_of_tests >= 1:
        return VERDICTS[0]
    return VERDICTS[1] if share_of_tests > 0 else VERDICTS[2]


def score_claims(chapter: Chapter) -> pd.DataFrame:
    """Return one row per claim: its fields, what was measured, the verdict and the data."""
    own = f"this run ({'simulated' if chapter.simulated else 'real'})"
    recorded = chapter.recorded("reconstruction")
    rules = {
        "cnn-scores": lambda: _network_scores(chapter),
        "ls-scores": lambda: _least_squares(recorded),
        "2d-beats-1d": lambda: _heads(chapter),
        "qrs-t-focus": lambda: _waves(chapter, own),
        "v2-v4-most": lambda: _rank(chapter, own, "v2_v4_rank", low=3.5),
        "avl-least": lambda: _rank(chapter, own, "avl_rank", high=11.5),
        "conditions-alike": lambda: _alike(chapter, own),
        "leads-differ-by-condition": lambda: _differ(chapter, own),
        "symptoms-affect-cnn": lambda: ("twadb does not say who has symptoms", np.nan, "-"),
        "feasible": lambda: _feasible(recorded),
    }
    rows = []
    for claim in CLAIMS:
        try:
            measured, share, data = rules[claim.name]()
        except (MissingArtifactError, KeyError):
            measured, share, data = "not measured in this run", np.nan, "-"
        told = {"measured": measured, "verdict": verdict(share), "data": data}
        rows.append(vars(claim) | told)
    return pd.DataFrame(rows).rename(columns={"name": "claim"})


def _describe(row: pd.Series) -> str:
    return (
        f"mean MSE {row['mse_mean']:.3f} (highest {row['mse_highest']:.2f}), "
        f"mean r {row['r_mean']:.2f} [{row['r_low']:.2f}, {row['r_high']:.2f}] "
        f"(lowest {row['r_lowest']:.2f})"
    )


def _head_scores(chapter: Chapter) -> tuple[pd.DataFrame, str]:
    """Return the scores of both heads from the recorded run, else from this run, and which."""
    try:
        return chapter.recorded("heads"), HEADS
    except MissingArtifactError:
        scores = chapter.read_table("04_cnn", "scores")
        scores = scores[scores["method"].str.startswith("cnn")]
        kind = "simulated" if chapter.simulated else "real"
        return scores, f"this run ({kind}), n = {scores['record'].nunique()}"


def _network_scores(chapter: Chapter) -> tuple[str, float, str]:
    scores, data = _head_scores(chapter)
    table = summarise(scores).set_index("method")
    tests = [
        abs(row[key] - claimed) < near
        for _, row in table.iterrows()
        for key, claimed, near in (("mse_mean", 0.02, 0.01), ("r_mean", 0.77, 0.05))
    ]
    text = "; ".join(f"{name}: {_describe(row)}" for name, row in table.iterrows())
    return text, float(np.mean(tests)), data


def _least_squares(recorded: pd.DataFrame) -> tuple[str, float, str]:
    table = summarise(recorded).set_index("method")
    line, origin = table.loc["least_squares"], table.loc["line_through_origin"]
    tests = [
        abs(row[key] - claimed) < near
        for row in (line, origin)
        for key, claimed, near in (("mse_mean", 0.08, 0.02), ("r_mean", 0.0, 0.1))
    ]
    text = f"with intercept: {_describe(line)}; through the origin: {_describe(origin)}"
    return text, float(np.mean(tests)), REAL


def _heads(chapter: Chapter) -> tuple[str, float, str]:
    scores, data = _head_scores(chapter)
    readings = {"shared": "cnn_2d", "separable": "cnn_2d_separable"}
    texts, tests = [], []
    for name in [name for name, method in readings.items() if method in set(scores["method"])]:
        found = compare_methods(scores, readings[name], "cnn_1d")
        gain = found["difference"]
        texts.append(f"2-D ({name}) r {gain}, better on {found['share_won']:.0%}")
        tests.append(gain.low > 0 if gain.n >= 3 else np.nan)
    return "2-D minus 1-D at equal weights: " + "; ".join(texts), float(np.mean(tests)), data


def _waves(chapter: Chapter, own: str) -> tuple[str, float, str]:
    waves = chapter.read_table("07_grad_cam", "waves")
    density = waves.pivot(index="target", columns="name", values="density")
    tops = [set(row.sort_values(ascending=False).index[:2]) for _, row in density.iterrows()]
    share = float(np.mean([top == {"QRS", "T"} for top in tops]))
    text = f"QRS and T are the two densest waves for {share:.0%} of {len(tops)} targets"
    return text, share, f"{own}, n = {int(waves['n_patient'].max())} patients"


def _rank(
    chapter: Chapter, own: str, key: str, *, low: float = 0.0, high: float = 99.0
) -> tuple[str, float, str]:
    numbers = chapter.read_numbers("10_audit", "numbers")
    plain, equal = numbers[key], numbers[f"{key}_equal"]
    tests = [rank <= low if low else rank >= high for rank in (plain, equal)]
    text = f"mean rank {plain:.1f} of 12, {equal:.1f} at equal amplitude"
    return text, float(np.mean(tests)), own


def _alike(chapter: Chapter, own: str) -> tuple[str, float, str]:
    alike = chapter.read_table("09_conditions_compared", "alike")
    alike = alike[(alike["condition"] != "healthy control") & (alike["patients"] >= 3)]
    share = float((alike["wave"] > 0.8).mean()) if len(alike) else np.nan
    text = f"rank correlation of waves above 0.8 in {share:.0%} of {len(alike)} conditions"
    return text, share, own


def _differ(chapter: Chapter, own: str) -> tuple[str, float, str]:
    numbers = chapter.read_numbers("09_conditions_compared", "numbers")
    survived, tested = numbers["n_survived"], numbers["n_tested"]
    share = survived / tested if tested else np.nan
    text = f"{survived:.0f} of {tested:.0f} lead differences survive the correction"
    return text, share, own


def _feasible(recorded: pd.DataFrame) -> tuple[str, float, str]:
    row = summarise(recorded[recorded["method"] == "best"]).iloc[0]
    by_origin = recorded[recorded["method"] == "best"].groupby("origin")["r"].mean()
    parts = ", ".join(f"{origin} {value:.3f}" for origin, value in by_origin.items())
    share = float((by_origin > 0.95).mean())
    return f"best method: {_describe(row)}; by origin: {parts}", share, REAL
