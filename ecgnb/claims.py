"""The paper's ten claims, the numbers that speak to them, and the rules that give a verdict."""

from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from ecgnb import survival, symptoms
from ecgnb.diagnoses import HEALTHY
from ecgnb.metrics import compare_methods, summarise
from ecgnb.report import Chapter
from ecgnb.shares import compare_with_healthy
from ecgnb.tasks import MissingArtifactError

VERDICTS = ("holds", "holds in part", "does not hold", "cannot be told")
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
        "Relevance per time and per voltage of each wave, for five declared targets and two "
        "methods.",
        "07_grad_cam",
        "Which waves, which leads?",
    ),
    Claim(
        "v2-v4-most",
        "The leads near the heart, V2, V3 and V4, matter most.",
        "Rank of these leads for all targets, methods and scalings, as they are and at equal "
        "amplitude.",
        "10_audit",
        "Is it only amplitude?",
    ),
    Claim(
        "avl-least",
        "aVL holds only a small portion of useful data.",
        "Rank of aVL for all targets, methods and scalings, as it is and at equal amplitude.",
        "10_audit",
        "Is it only amplitude?",
    ),
    Claim(
        "conditions-alike",
        "In seven heart conditions the focus lies on regions similar to those in health.",
        "Rank correlation of wave shares with those of healthy people, for all targets "
        "and methods.",
        "09_conditions_compared",
        "How alike are the maps?",
    ),
    Claim(
        "leads-differ-by-condition",
        "Yet the results by lead differ between conditions.",
        "Permutation tests over patients, corrected; under every target and method, and at equal "
        "numbers.",
        "09_conditions_compared",
        "Which differences are more than chance?",
    ),
    Claim(
        "symptoms-affect-cnn",
        "Symptoms in the signal can affect the CNNs.",
        "Personal CNNs, and the VAE of healthy people, on patients with and without a condition.",
        "09_conditions_compared",
        "Do symptoms affect the reconstruction?",
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
    recorded = chapter.recorded("reconstruction")
    left = left_of_maps(chapter)
    rules = {
        "cnn-scores": lambda: _network_scores(chapter),
        "ls-scores": lambda: _least_squares(recorded),
        "2d-beats-1d": lambda: _heads(chapter),
        **{name: partial(_map_claim, name, left) for name in left.index},
        "symptoms-affect-cnn": lambda: _symptoms(chapter),
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


def left_of_maps(chapter: Chapter) -> pd.DataFrame:
    """Return what the recorded run leaves of each claim about maps, by the claim's name."""
    table, audit = chapter.recorded("conditions_shares"), chapter.recorded("conditions_audit")
    shares = survival.recorded_shares(table)
    left = survival.survive(
        shares,
        audit[audit["trained_on"] == HEALTHY],
        compare_with_healthy(shares, n_bootstrap=200),
        survival.compare_matched(table),
        n_bootstrap=200,
    )
    counts = shares.groupby("condition")["patient"].nunique()
    healthy, ill = int(counts[HEALTHY]), int(counts.drop(HEALTHY).sum())
    others = f"{healthy} healthy and {ill} other real patients of ptbdb, recorded run"
    alone = f"{healthy} real healthy patients of ptbdb, recorded run"
    about_all = left["claim"].isin(["conditions-alike", "leads-differ-by-condition"])
    return left.assign(data=about_all.map({True: others, False: alone})).set_index("claim")


def _map_claim(name: str, left: pd.DataFrame) -> tuple[str, float, str]:
    row = left.loc[name]
    return f"plain Grad-CAM: {row['plain']}; audited: {row['after']}", row["share"], row["data"]


def _symptoms(chapter: Chapter) -> tuple[str, float, str]:
    table = symptoms.compare_symptoms(chapter.recorded("conditions_symptoms"))
    cnn = table[table["method"] == "cnn_2d"].set_index("score")
    foreign = symptoms.compare_foreign(chapter.recorded("conditions_scores"))
    r, mse = cnn.loc["r"], cnn.loc["mse"]
    texts = [
        f"personal CNN: {name} {row['difference']:+.4f} ({row['low']:+.4f} to {row['high']:+.4f})"
        for name, row in (("r", r), ("MSE", mse))
    ]
    texts.append(
        f"VAE of healthy people: MSE {foreign['healthy']:.4f} on healthy, "
        f"{foreign['symptoms']:.4f} on others ({foreign['low']:+.4f} to {foreign['high']:+.4f})"
    )
    tests = [r["high"] < 0, mse["low"] > 0, foreign["low"] > 0]
    data = (
        f"{r['n_symptoms']:.0f} patients with symptoms and {r['n_healthy']:.0f} without (VAE: "
        f"{foreign['n_symptoms']} and {foreign['n_healthy']}), real ptbdb, recorded run"
    )
    return "with symptoms, " + "; ".join(texts), float(np.mean(tests)), data


def _feasible(recorded: pd.DataFrame) -> tuple[str, float, str]:
    row = summarise(recorded[recorded["method"] == "best"]).iloc[0]
    by_origin = recorded[recorded["method"] == "best"].groupby("origin")["r"].mean()
    parts = ", ".join(f"{origin} {value:.3f}" for origin, value in by_origin.items())
    share = float((by_origin > 0.95).mean())
    return f"best method: {_describe(row)}; by origin: {parts}", share, REAL
