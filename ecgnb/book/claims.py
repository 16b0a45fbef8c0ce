"""The paper's ten claims, the numbers that speak to them, and the rules that give a verdict."""

import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import pandas as pd

from ecgnb.book.chapter import CHAPTERS, Chapter
from ecgnb.explanation import comparisons
from ecgnb.explanation.comparisons import compare_with_healthy
from ecgnb.files import MissingArtifactError
from ecgnb.reconstruction.scores import compare_methods, summarise
from ecgnb.records.labels import HEALTHY
from ecgnb.studies import symptoms

VERDICTS = ("holds", "holds in part", "does not hold", "cannot be told")

REAL = "60 real records of twadb, recorded run"

HEADS_RUN = "12 real records of twadb, 4 of each origin, 5 seeds, recorded run"

NOT_MEASURED = "not measured in this run"

_TEXTS = ("name", "says", "done", "chapter", "section")


@dataclass(frozen=True)
class Evidence:
    """What the rules look at, seen from a chapter; what several rules need is made once."""

    chapter: Chapter

    @cached_property
    def recorded(self) -> pd.DataFrame:
        """Scores of the recorded run."""
        return self.chapter.recorded("reconstruction")

    @cached_property
    def heads(self) -> tuple[pd.DataFrame, str]:
        """Scores of both heads from the recorded run, else from this run, and which."""
        return _head_scores(self.chapter)

    @cached_property
    def left_of_maps(self) -> pd.DataFrame:
        """What is left of each claim about maps."""
        return _left_of_maps(self.chapter)


# Gives what was measured, the share of the tests that came out as claimed, and on which data.
Rule = Callable[[Evidence], tuple[str, float, str]]


@dataclass(frozen=True)
class OwnRun:
    """The numbers of the reader's own run that speak to a claim: whose they are, and the words.

    `words` names the numbers that the chapter saves, as `str.format` does.
    """

    chapter: str
    words: str

    def tell(self, numbers: Mapping[str, float]) -> str:
        """Return the words with the numbers of the chapter.

        Raises
        ------
        ValueError
            If the chapter saves no number of that name.

        Examples
        --------
        >>> OwnRun("03_least_squares", "mean r {line_r:.2f}").tell({"line_r": 0.4123})
        'mean r 0.41'
        """
        missing = sorted(self.names() - numbers.keys())
        if missing:
            raise ValueError(
                f"chapter {self.chapter} saves no number {', '.join(missing)}; the words of a "
                f"claim quote it: {self.words!r}"
            )
        return self.words.format(**numbers)

    def names(self) -> set[str]:
        """Return the names of the numbers in the words."""
        return {name for _, name, _, _ in string.Formatter().parse(self.words) if name}


@dataclass(frozen=True)
class Claim:
    """One claim of the paper (Matyschik et al. 2020), where the book looks at it, and how.

    `says` is the claim, `done` what the book did about it, `section` the heading in `chapter`,
    `rule` how it is decided, `own` what the reader's own run says beside it, if anything.
    """

    name: str
    says: str
    done: str
    chapter: str
    section: str
    rule: Rule
    own: OwnRun | None = None

    def __post_init__(self) -> None:
        for chapter in (self.chapter, *([self.own.chapter] if self.own else [])):
            if chapter not in CHAPTERS:
                raise ValueError(f"claim {self.name} names {chapter!r}, which is no chapter")

    def texts(self) -> dict[str, str]:
        """Return what the claim says and where the book looks at it."""
        return {name: getattr(self, name) for name in _TEXTS}


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


def _describe(row: pd.Series) -> str:
    return (
        f"mean MSE {row['mse_mean']:.3f} (highest {row['mse_highest']:.2f}), "
        f"mean r {row['r_mean']:.2f} [{row['r_low']:.2f}, {row['r_high']:.2f}] "
        f"(lowest {row['r_lowest']:.2f})"
    )


def _head_scores(chapter: Chapter) -> tuple[pd.DataFrame, str]:
    """Return the scores of both heads from the recorded run, else from this run, and which."""
    try:
        return chapter.recorded("heads"), HEADS_RUN
    except MissingArtifactError:
        scores = chapter.read_table("04_cnn", "scores")
        scores = scores[scores["method"].str.startswith("cnn")]
        kind = "simulated" if chapter.simulated else "real"
        return scores, f"this run ({kind}), n = {scores['record'].nunique()}"


def _network_scores(evidence: Evidence) -> tuple[str, float, str]:
    scores, data = evidence.heads
    table = summarise(scores).set_index("method")
    tests = [
        abs(row[key] - claimed) < near
        for _, row in table.iterrows()
        for key, claimed, near in (("mse_mean", 0.02, 0.01), ("r_mean", 0.77, 0.05))
    ]
    text = "; ".join(f"{name}: {_describe(row)}" for name, row in table.iterrows())
    return text, float(np.mean(tests)), data


def _least_squares(evidence: Evidence) -> tuple[str, float, str]:
    table = summarise(evidence.recorded).set_index("method")
    line, origin = table.loc["least_squares"], table.loc["line_through_origin"]
    tests = [
        abs(row[key] - claimed) < near
        for row in (line, origin)
        for key, claimed, near in (("mse_mean", 0.08, 0.02), ("r_mean", 0.0, 0.1))
    ]
    text = f"with intercept: {_describe(line)}; through the origin: {_describe(origin)}"
    return text, float(np.mean(tests)), REAL


def _heads(evidence: Evidence) -> tuple[str, float, str]:
    scores, data = evidence.heads
    readings = {"shared": "cnn_2d", "separable": "cnn_2d_separable"}
    texts, tests = [], []
    for name in [name for name, method in readings.items() if method in set(scores["method"])]:
        found = compare_methods(scores, readings[name], "cnn_1d")
        gain = found["difference"]
        texts.append(f"2-D ({name}) r {gain}, better on {found['share_won']:.0%}")
        tests.append(gain.low > 0 if gain.n >= 3 else np.nan)
    if not tests:
        raise ValueError(f"no score of a 2-D head, {' or '.join(readings.values())}")
    return "2-D minus 1-D at equal weights: " + "; ".join(texts), float(np.mean(tests)), data


def _left_of_maps(chapter: Chapter) -> pd.DataFrame:
    """Return what the recorded run leaves of each claim about maps, by the claim's name."""
    table, audit = chapter.recorded("conditions_shares"), chapter.recorded("conditions_audit")
    shares = comparisons.recorded_shares(table)
    left = comparisons.survive(
        shares,
        audit[audit["trained_on"] == HEALTHY],
        compare_with_healthy(shares, n_bootstrap=200),
        comparisons.compare_matched(table),
        n_bootstrap=200,
    )
    counts = shares.groupby("condition")["patient"].nunique()
    healthy, ill = int(counts[HEALTHY]), int(counts.drop(HEALTHY).sum())
    others = f"{healthy} healthy and {ill} other real patients of ptbdb, recorded run"
    alone = f"{healthy} real healthy patients of ptbdb, recorded run"
    about_all = left["claim"].isin(["conditions-alike", "leads-differ-by-condition"])
    return left.assign(data=about_all.map({True: others, False: alone})).set_index("claim")


def _map_claim(name: str, evidence: Evidence) -> tuple[str, float, str]:
    row = evidence.left_of_maps.loc[name]
    text = f"plain Grad-CAM: {row['plain']}; audited: {row['after']}"
    return text, row["share_of_tests"], row["data"]


def _symptoms(evidence: Evidence) -> tuple[str, float, str]:
    chapter = evidence.chapter
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


def _feasible(evidence: Evidence) -> tuple[str, float, str]:
    scores = evidence.recorded[evidence.recorded["method"] == "best"]
    row, by_origin = summarise(scores).iloc[0], scores.groupby("origin")["r"].mean()
    parts = ", ".join(f"{origin} {value:.3f}" for origin, value in by_origin.items())
    text = f"best method: {_describe(row)}; by origin: {parts}"
    return text, float((by_origin > 0.95).mean()), REAL


CLAIMS = (
    Claim(
        "cnn-scores",
        "Personal CNNs reach a mean squared error of 0.02 (highest 0.67) and a mean r of 0.77 "
        "(lowest -0.07).",
        "Both kinds of head, fitted per person and visible lead; all hidden leads scored.",
        "04_cnn",
        "How well do the heads do?",
        _network_scores,
        OwnRun("04_cnn", "mean r {cnn_1d_r:.2f} (1-D head), {cnn_2d_r:.2f} (2-D head)"),
    ),
    Claim(
        "ls-scores",
        "Least squares reaches a mean squared error of 0.08 (highest 1.0) and a mean r of 0.0 "
        "(lowest -0.54).",
        "Least squares with and without an intercept, on the same pairs.",
        "03_least_squares",
        "What did the recorded run on real data find?",
        _least_squares,
        OwnRun("03_least_squares", "mean r {line_r:.2f} with intercept"),
    ),
    Claim(
        "2d-beats-1d",
        "A network that stays two-dimensional beats one that flattens.",
        "A 1-D and a 2-D head compared at the same number of weights.",
        "04_cnn",
        "What are the two heads?",
        _heads,
        OwnRun("04_cnn", "mean r {cnn_2d_r:.2f} (2-D head), {cnn_1d_r:.2f} (1-D head)"),
    ),
    Claim(
        "qrs-t-focus",
        "QRS complex and T wave are most influential in healthy people.",
        "Relevance per time and per voltage of each wave, for five declared targets and two "
        "methods.",
        "07_grad_cam",
        "Which waves, which leads?",
        partial(_map_claim, "qrs-t-focus"),
        OwnRun("07_grad_cam", "the two densest waves in {agree_percent:.0f} % of the pairs"),
    ),
    Claim(
        "v2-v4-most",
        "The leads near the heart, V2, V3 and V4, matter most.",
        "Rank of these leads for all targets, methods and scalings, as they are and at equal "
        "amplitude.",
        "10_audit",
        "Is it only amplitude?",
        partial(_map_claim, "v2-v4-most"),
        OwnRun("07_grad_cam", "mean rank {near_low:.1f} to {near_high:.1f} of 12"),
    ),
    Claim(
        "avl-least",
        "aVL holds only a small portion of useful data.",
        "Rank of aVL for all targets, methods and scalings, as it is and at equal amplitude.",
        "10_audit",
        "Is it only amplitude?",
        partial(_map_claim, "avl-least"),
        OwnRun("07_grad_cam", "rank {avl_low:.0f} to {avl_high:.0f} of 12"),
    ),
    Claim(
        "conditions-alike",
        "In seven heart conditions the focus lies on regions similar to those in health.",
        "Rank correlation of wave shares with those of healthy people, for all targets "
        "and methods.",
        "09_conditions_compared",
        "How alike are the maps?",
        partial(_map_claim, "conditions-alike"),
        OwnRun("09_conditions_compared", "rank correlation of waves {alike_wave:.2f}"),
    ),
    Claim(
        "leads-differ-by-condition",
        "Yet the results by lead differ between conditions.",
        "Permutation tests over patients, corrected; under every target and method, and at equal "
        "numbers.",
        "09_conditions_compared",
        "Which differences are more than chance?",
        partial(_map_claim, "leads-differ-by-condition"),
        OwnRun(
            "09_conditions_compared",
            "{n_survived:.0f} of {n_tested:.0f} lead differences agree in all pairs",
        ),
    ),
    Claim(
        "symptoms-affect-cnn",
        "Symptoms in the signal can affect the CNNs.",
        "Personal CNNs, and the VAE of healthy people, on patients with and without a condition.",
        "09_conditions_compared",
        "Do symptoms affect the reconstruction?",
        _symptoms,
    ),
    Claim(
        "feasible",
        "Twelve leads can be had reliably from one with personal models.",
        "Mean r of the best method in each origin of the records, against 0.95.",
        "05_every_lead",
        "Which method, on which records?",
        _feasible,
        OwnRun("04_cnn", "mean r {best_r:.3f} of the best method"),
    ),
)


def score_claims(chapter: Chapter) -> pd.DataFrame:
    """Return one row per claim: its texts, what was measured, the verdict and the data.

    A claim whose tables are not there cannot be told; any other failure of a rule is an error.
    """
    evidence, rows = Evidence(chapter), []
    for claim in CLAIMS:
        try:
            measured, share_of_tests, data = claim.rule(evidence)
        except MissingArtifactError:
            measured, share_of_tests, data = NOT_MEASURED, np.nan, "-"
        told = {"measured": measured, "verdict": verdict(share_of_tests), "data": data}
        rows.append(claim.texts() | told)
    return pd.DataFrame(rows).rename(columns={"name": "claim"})
