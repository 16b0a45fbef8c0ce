"""The paper's ten claims, the numbers that speak to them, and the rules that give a verdict."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import pandas as pd

from ecgnb.book.chapter import CHAPTERS, Chapter
from ecgnb.book.scorecard import (
    Finding,
    OwnRun,
    Tests,
    about_data,
    count_tests,
    describe_scores,
    side,
    verdict,
)
from ecgnb.explanation import comparisons
from ecgnb.explanation.group_scores import whole_groups
from ecgnb.files import MissingArtifactError
from ecgnb.paper import PAPER
from ecgnb.reconstruction.scores import (
    compare_methods,
    headline,
    hearts_of,
    recorded_hearts,
    summarise,
)
from ecgnb.reconstruction.set_scores import rank_of_leads
from ecgnb.records.labels import HEALTHY
from ecgnb.studies import symptoms
from ecgnb.studies.heads import HEAD_CELLS, compare_cells, middle_cell

NEAR_MSE, NEAR_R = 0.01, 0.05  # how far a network may fall short of what is claimed

NEAR_LINE_MSE, NEAR_LINE_R = 0.02, 0.1  # how far from what is claimed of least squares

TOP_RANK, LAST_RANK = 3.5, 10.5  # V2-V4 stand below the first in the mean, aVL above the last

FEASIBLE_R = 0.95  # mean r of a heart from which its leads count as had reliably

NOT_MEASURED = "not measured in this run"

_TEXTS = ("name", "says", "done", "judged", "chapter", "section")


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


Rule = Callable[[Evidence], Finding]


@dataclass(frozen=True)
class Claim:
    """One claim of the paper (Matyschik et al. 2020), where the book looks at it, and how.

    `says` is the claim, `done` what the book did about it, `section` the heading in `chapter`
    that shows the data, `rule` how it is decided, `judged` the same in words, `own` what the
    reader's own run says beside it, if anything.
    """

    name: str
    says: str
    done: str
    chapter: str
    section: str
    rule: Rule
    own: OwnRun | None = None
    judged: str = ""

    def __post_init__(self) -> None:
        for chapter in (self.chapter, *([self.own.chapter] if self.own else [])):
            if chapter not in CHAPTERS:
                raise ValueError(f"claim {self.name} names {chapter!r}, which is no chapter")

    def texts(self) -> dict[str, str]:
        """Return what the claim says and where the book looks at it."""
        return {name: getattr(self, name) for name in _TEXTS}


def _head_scores(chapter: Chapter) -> tuple[pd.DataFrame, str]:
    """Return the scores of both heads from the recorded run, else from this run, and which."""
    try:
        scores = chapter.recorded("heads")
        return scores, about_data(scores, run=f"{scores['seed'].nunique()} seeds, recorded run")
    except MissingArtifactError:
        scores = chapter.read_table("04_cnn", "scores")
        scores = scores[scores["method"].str.startswith("cnn")]
        kind = "simulated" if chapter.simulated else "real"
        return scores, about_data(scores, kind=kind, run="this run")


def _network_scores(evidence: Evidence) -> Finding:
    scores, data = evidence.heads
    table = summarise(recorded_hearts(middle_cell(scores))).set_index("method")
    tests = [
        count_tests(
            f"{name} at least as good",
            row["mse_mean"] <= PAPER["cnn"][0] + NEAR_MSE,
            row["r_mean"] >= PAPER["cnn"][1] - NEAR_R,
        )
        for name, row in table.iterrows()
    ]
    text = "; ".join(f"{name}: {describe_scores(row)}" for name, row in table.iterrows())
    return Finding(text, tuple(tests), data)


def _least_squares(evidence: Evidence) -> Finding:
    table = headline(evidence.recorded)
    lines = {"with intercept": "least_squares", "through the origin": "line_through_origin"}
    mse, r = PAPER["line"]
    rows = {name: table.loc[method] for name, method in lines.items()}
    tests = (
        count_tests(
            "error", *(abs(row["mse_mean"] - mse) < NEAR_LINE_MSE for row in rows.values())
        ),
        count_tests("r", *(abs(row["r_mean"] - r) < NEAR_LINE_R for row in rows.values())),
    )
    text = "; ".join(f"{name}: {describe_scores(row)}" for name, row in rows.items())
    return Finding(text, tests, about_data(evidence.recorded))


def _heads(evidence: Evidence) -> Finding:
    scores, data = evidence.heads
    readings = {"shared": "cnn_2d", "separable": "cnn_2d_separable"}
    texts, tests, known = [], [], recorded_hearts(middle_cell(scores))
    for name in [name for name, method in readings.items() if method in set(known["method"])]:
        found = compare_methods(known, readings[name], "cnn_1d")
        gain = found["difference"]
        texts.append(
            f"2-D ({name}) r {gain}, better on {100 * found['share_won']:.0f} % of {gain.n} "
            f"recorded hearts"
        )
        outcome = side(gain.low, gain.high) if gain.n >= 3 else None
        tests.append(count_tests(f"{name} head, windows of 1.024 s", outcome))
    if not tests:
        raise ValueError(f"no score of a 2-D head, {' or '.join(readings.values())}")
    tests.append(_other_cells(scores))
    return Finding("2-D minus 1-D at equal weights: " + "; ".join(texts), tuple(tests), data)


def _other_cells(scores: pd.DataFrame) -> Tests:
    """Return the tests of the shared head beside the middle cell; open where none was run."""
    if "n_time" not in scores:
        return count_tests("1-D head trained to its plateau", None)
    limits = compare_cells(scores, HEAD_CELLS[1:])[["head_gain_low", "head_gain_high"]]
    outcomes = [side(*pair) for pair in limits.to_numpy()]
    return count_tests("shared head, other numbers of weights and windows", *outcomes)


def _left_of_maps(chapter: Chapter) -> pd.DataFrame:
    """Return what the recorded run leaves of each claim about maps, by the claim's name."""
    audit, withheld = chapter.recorded("conditions_audit"), chapter.recorded("conditions_withheld")
    shares = comparisons.recorded_shares(chapter.recorded("conditions_shares"))
    left = comparisons.survive(
        shares,
        audit[audit["trained_on"] == HEALTHY],
        comparisons.judge_refits(chapter.recorded("power")),
        whole_groups(withheld),
        n_bootstrap=200,
    )
    counts = shares.groupby("condition")["patient"].nunique()
    healthy, ill = int(counts[HEALTHY]), int(counts.drop(HEALTHY).sum())
    others = f"{healthy} healthy and {ill} other real patients of ptbdb, recorded run"
    alone = f"{healthy} real healthy patients of ptbdb, recorded run"
    about_all = left["claim"].isin(["conditions-alike", "leads-differ-by-condition"])
    return left.assign(data=about_all.map({True: others, False: alone})).set_index("claim")


def _map_claim(name: str, evidence: Evidence) -> Finding:
    row = evidence.left_of_maps.loc[name]
    text = f"plain Grad-CAM: {row['plain']}; audited: {row['after']}"
    share = row["share_of_tests"]
    none = bool(np.isnan(share))
    tests = Tests("tests of the audit", 0 if none else share, 0 if none else 1, int(none))
    return Finding(text, (tests,), row["data"])


def _lead_claim(name: str, evidence: Evidence) -> Finding:
    """Return what maps and what withheld leads say of a claim about leads."""
    maps = _map_claim(name, evidence)
    values = evidence.chapter.recorded("lead_values")
    wide = values.pivot(index="heart", columns="lead", values="others_12")
    if name == "avl-least":
        rank = rank_of_leads(wide, ["aVL"])
        outcome = side(rank.low, rank.high, LAST_RANK)
    else:
        rank = rank_of_leads(wide, ["V2", "V3", "V4"])
        outcome = side(-rank.high, -rank.low, -TOP_RANK)
    text = (
        f"what other leads lose without it, over all sets of leads: mean rank {rank.value:.1f} "
        f"({rank.low:.1f} to {rank.high:.1f}) of 12"
    )
    test = count_tests("leads withheld from fits on other people", outcome)
    data = f"{maps.data}; withheld leads: {rank.n} real people of three databases not seen"
    return Finding(f"{maps.measured}; {text}", (*maps.tests, test), data)


def _symptoms(evidence: Evidence) -> Finding:
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
    tests = (
        count_tests("personal CNN, r lower", side(-r["high"], -r["low"])),
        count_tests("personal CNN, error higher", side(mse["low"], mse["high"])),
        count_tests("VAE of healthy people, error higher", side(foreign["low"], foreign["high"])),
    )
    data = (
        f"{r['n_symptoms']:.0f} patients with symptoms and {r['n_healthy']:.0f} without (VAE: "
        f"{foreign['n_symptoms']} and {foreign['n_healthy']}), real ptbdb, recorded run"
    )
    return Finding("with symptoms, " + "; ".join(texts), tests, data)


def _feasible(evidence: Evidence) -> Finding:
    scores = evidence.recorded[evidence.recorded["method"] == "best"]
    row, known = headline(scores).loc["best"], recorded_hearts(scores)
    means = known.groupby(["origin", hearts_of(known)])["r"].mean() > FEASIBLE_R
    tests = [
        Tests(f"{origin} hearts with a mean r above {FEASIBLE_R}", int(part.sum()), len(part))
        for origin, part in means.groupby("origin")
    ]
    tests.append(_other_recordings(evidence))
    parts = ", ".join(f"{name} {row[f'r_{name}']:.3f}" for name in ("ptbdb", "INCART"))
    text = (
        f"nearest neighbours + network, last fifth of the same recording: {describe_scores(row)}; "
        f"by origin: {parts}; "
        f"synthetic hearts, not counted: {row['r_synthetic']:.4f}"
    )
    return Finding(text, tuple(tests), about_data(scores))


def _other_recordings(evidence: Evidence) -> Tests:
    """Return on how many hearts ten seconds of another recording are enough."""
    try:
        days = evidence.chapter.recorded("days/pairs_10s")
    except MissingArtifactError:
        return count_tests("another recording", None)
    means = days[days["method"] == "another_day"].groupby("heart")["r"].mean()
    part = f"hearts with a mean r above {FEASIBLE_R} on another recording"
    return count_tests(part, *(means > FEASIBLE_R))


CLAIMS = (
    Claim(
        "cnn-scores",
        "Personal CNNs reach a mean squared error of 0.02 (highest 0.67) and a mean r of 0.77 "
        "(lowest -0.07).",
        "Both kinds of head, fitted per person and visible lead; all hidden leads scored.",
        "04_cnn",
        "What did the recorded heads find?",
        _network_scores,
        OwnRun("04_cnn", "mean r {cnn_1d_r:.2f} (1-D head), {cnn_2d_r:.2f} (2-D head)"),
        judged="Both heads, by mean error and mean r: at most 0.01 above the claimed error, at "
        "most 0.05 below the claimed r. Better than claimed is as claimed. The paper's "
        "filter is unknown.",
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
        judged="The claim is that least squares is poor: error within 0.02 and r within 0.1 of "
        "what is claimed, both fits.",
    ),
    Claim(
        "2d-beats-1d",
        "A network that stays two-dimensional beats one that flattens.",
        "A 1-D and a 2-D head compared at the same number of weights.",
        "04_cnn",
        "What did the recorded heads find?",
        _heads,
        OwnRun("04_cnn", "mean r {cnn_2d_r:.2f} (2-D head), {cnn_1d_r:.2f} (1-D head)"),
        judged="The interval of the difference in r, paired by recorded heart, lies above zero: "
        "for each reading of the 2-D head, and for the shared one at two other numbers of weights "
        "and two other window lengths.",
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
        judged="The share of pairs of target and method in which QRS and T are the two densest "
        "waves, per time and per voltage.",
    ),
    Claim(
        "v2-v4-most",
        "The leads near the heart, V2, V3 and V4, matter most.",
        "Rank of these leads in maps that can rank leads and by what is lost without them, for "
        "all targets and scalings, as they are and at equal amplitude.",
        "10_audit",
        "Is it only amplitude?",
        partial(_lead_claim, "v2-v4-most"),
        OwnRun("07_grad_cam", "mean rank {near_low:.1f} to {near_high:.1f} of 12"),
        judged="Mean rank of V2-V4 at most 3.5 of 12: for every target, method and form, and with "
        "its whole interval for leads withheld from fits on other people.",
    ),
    Claim(
        "avl-least",
        "aVL holds only a small portion of useful data.",
        "Rank of aVL in maps that can rank leads and by what is lost without it, for all targets "
        "and scalings, as it is and at equal amplitude.",
        "10_audit",
        "Is it only amplitude?",
        partial(_lead_claim, "avl-least"),
        OwnRun("07_grad_cam", "rank {avl_low:.0f} to {avl_high:.0f} of 12"),
        judged="Rank of aVL at least 11 of 12: for every target, method and form, and with its "
        "whole interval for leads withheld from fits on other people.",
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
        judged="Rank correlation of the shares of waves with those of healthy people at least "
        "0.8, for every condition, target and method.",
    ),
    Claim(
        "leads-differ-by-condition",
        "Yet the results by lead differ between conditions.",
        "Networks refitted to drawn people: how far conditions lie from healthy people, and how "
        "far healthy people who share nobody lie from each other.",
        "09_conditions_compared",
        "Which differences are more than chance?",
        partial(_map_claim, "leads-differ-by-condition"),
        OwnRun(
            "09_conditions_compared",
            "rank correlation of leads {alike_lead:.2f}",
        ),
        judged="Differences beyond chance; where a difference of ordinary size would not be "
        "found, the data cannot tell.",
    ),
    Claim(
        "symptoms-affect-cnn",
        "Symptoms in the signal can affect the CNNs.",
        "Personal CNNs, and the VAE of healthy people, on patients with and without a condition.",
        "09_conditions_compared",
        "Do symptoms affect the reconstruction?",
        _symptoms,
        judged="The interval of the difference lies on the claimed side of zero; one on both "
        "sides cannot tell.",
    ),
    Claim(
        "feasible",
        "Twelve leads can be had reliably from one with personal models.",
        "Mean r of nearest neighbours + network by heart; on another recording, of the adapted "
        "calibration.",
        "05_every_lead",
        "What did the recorded run on real data find?",
        _feasible,
        OwnRun("04_cnn", "mean r {best_r:.3f} of nearest neighbours + network"),
        judged="The recorded hearts whose mean r is above 0.95, by origin, and the hearts of whom "
        "it is on another recording, calibrated on 10 s.",
    ),
)


def score_claims(chapter: Chapter) -> pd.DataFrame:
    """Return one row per claim: its texts, what was measured, its tests, verdict and data.

    A claim whose tables are not there cannot be told; any other failure of a rule is an error.
    """
    evidence, rows = Evidence(chapter), []
    for claim in CLAIMS:
        try:
            found = claim.rule(evidence)
        except MissingArtifactError:
            found = Finding(NOT_MEASURED, (), "-")
        rows.append(claim.texts() | _told_of(found))
    return pd.DataFrame(rows).rename(columns={"name": "claim"})


def _told_of(found: Finding) -> dict[str, object]:
    """Return what a card says of a finding."""
    return {
        "measured": found.measured,
        "parts": found.parts(),
        "share_of_tests": found.share_of_tests,
        "verdict": verdict(found.share_of_tests, found.n_open),
        "data": found.data,
    }


def add_own_run(card: pd.DataFrame, chapter: Chapter) -> pd.DataFrame:
    """Return the card with a column `own`: the number of the reader's run beside each claim.

    Parameters
    ----------
    card
        From `score_claims`.
    chapter
        Of the page; its run is the reader's.
    """
    kind = "simulated" if chapter.simulated else "real"
    runs = {claim.name: claim.own for claim in CLAIMS}
    return card.assign(own=[f"{_own(chapter, runs[name])} ({kind})" for name in card["claim"]])


def _own(chapter: Chapter, own: OwnRun | None) -> str:
    if own is None:
        return NOT_MEASURED
    try:
        numbers = chapter.read_numbers(own.chapter, "numbers")
    except MissingArtifactError:
        return NOT_MEASURED
    return own.tell(numbers)
