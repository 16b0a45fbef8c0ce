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
    """One claim of the paper (Matyschik et al. 2020) and where the book looks at it."""

    name: str
    says: str
    chapter: str


CLAIMS = (
    Claim("cnn-scores", "CNN: mean MSE 0.02 (0.67), mean r 0.77 (-0.07)", "04_cnn"),
    Claim(
        "ls-scores", "Least squares: mean MSE 0.08 (1.0), mean r 0.0 (-0.54)", "03_least_squares"
    ),
    Claim("2d-beats-1d", "A 2-D head beats a 1-D head", "04_cnn"),
    Claim("qrs-t-focus", "QRS complex and T wave are most influential", "07_grad_cam"),
    Claim("v2-v4-most", "V2, V3 and V4 matter most", "10_audit"),
    Claim("avl-least", "aVL holds little useful data", "10_audit"),
    Claim(
        "conditions-alike",
        "Focus in 7 conditions is like that in health",
        "09_conditions_compared",
    ),
    Claim(
        "leads-differ-by-condition", "Lead results differ by condition", "09_conditions_compared"
    ),
    Claim("symptoms-affect-cnn", "Symptoms in the signal affect the CNNs", "05_every_lead"),
    Claim("feasible", "12 leads can be had from one with personal models", "05_every_lead"),
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
    """Return one row per claim: what the paper says, what was measured, verdict and data."""
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
        row = (claim.name, claim.says, measured, verdict(share), data, claim.chapter)
        rows.append(row)
    return pd.DataFrame(
        rows, columns=["claim", "the paper", "measured", "verdict", "data", "chapter"]
    )


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
