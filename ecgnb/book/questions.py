"""What the paper did not ask: nine questions, each with the recorded number that answers it."""

import html
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from IPython.display import HTML, display

from ecgnb.book.chapter import CHAPTERS, Chapter
from ecgnb.book.scorecard import link_of, list_items
from ecgnb.files import MissingArtifactError
from ecgnb.intervals import Estimate, bootstrap_mean
from ecgnb.reconstruction.expiry import auroc
from ecgnb.reconstruction.set_scores import find_knee, summarise_sets
from ecgnb.studies.day_scores import CASE, OFF_UV
from ecgnb.studies.diagnosis import NOT_TOLD, summarise_diagnosis
from ecgnb.studies.lead_sets import USUAL_SETS
from ecgnb.studies.measures import compare_measures
from ecgnb.studies.watch_leads import summarise_watch_leads

UNANSWERED = "not recorded"


@dataclass(frozen=True)
class Answer:
    """A number with its 95 % interval over hearts, what it is, and what was found beside it.

    `shown` is the format of the number, as of `str.format`, with its unit.
    """

    number: Estimate
    shown: str
    what: str
    beside: str
    on: str

    def texts(self) -> dict[str, object]:
        """Return the answer in words and in numbers."""
        texts = {"number": _spell(self.number, self.shown), "what": self.what}
        texts |= {"beside": self.beside, "on": self.on}
        return texts | {name: getattr(self.number, name) for name in (*_ENDS, "n")}


_ENDS = ("value", "low", "high")


def _spell(number: Estimate, shown: str) -> str:
    """Return a number with its interval.

    Examples
    --------
    >>> _spell(Estimate(80.2, 71.0, 90.4, 11), "{:.0f} %")
    '80 % (71 % to 90 %)'
    """
    value, low, high = (shown.format(getattr(number, name)) for name in _ENDS)
    return f"{value} ({low} to {high})"


@dataclass(frozen=True)
class Asked:
    """The recorded tables that several rules need, seen from a chapter."""

    chapter: Chapter

    @cached_property
    def people(self) -> pd.DataFrame:
        """Sets of leads, fitted on other people."""
        return summarise_sets(self.chapter.recorded("lead_sets_people"), USUAL_SETS)

    @cached_property
    def own_days(self) -> pd.DataFrame:
        """Sets of leads, with the own beat of another day."""
        table = self.chapter.recorded("lead_sets_days")
        return summarise_sets(table[table["plan"] == "pairs"], {})

    @cached_property
    def pairs(self) -> pd.DataFrame:
        """Scores of every ordered pair of recordings of a heart, 10 s of calibration."""
        return self.chapter.recorded("days/pairs_10s")


@dataclass(frozen=True)
class Question:
    """One question, the section that shows its data, and the rule that answers it."""

    name: str
    asks: str
    chapter: str
    section: str
    rule: Callable[[Asked], Answer]

    def __post_init__(self) -> None:
        if self.chapter not in CHAPTERS:
            raise ValueError(f"question {self.name} names {self.chapter!r}, which is no chapter")


def _estimate(row: Mapping[str, float], name: str, *, low: str = "", high: str = "") -> Estimate:
    """Return a number of a table with its interval and its hearts."""
    ends = row[low or f"{name}_low"], row[high or f"{name}_high"]
    return Estimate(float(row[name]), *map(float, ends), int(row["n_heart"]))


def _which_leads(asked: Asked) -> Answer:
    table = asked.people.set_index("what")
    one, two, three = (table.loc[f"best of {n}"] for n in (1, 2, 3))
    usual = [f"{what} {table.loc[what, 'rmse_uv']:.0f} µV" for what in ("I", "I, II", "I, II, V2")]
    beside = [f"best one ({one['set']}) {one['rmse_uv']:.0f} µV"]
    beside += [f"best three ({three['set']}) {three['rmse_uv']:.0f} µV", *usual]
    return Answer(
        _estimate(two, "rmse_uv"),
        "{:.0f} µV",
        f"error over all twelve leads from the best two, {two['set']}, by a fit on other people",
        "; ".join(beside),
        "people of ptbdb, LUDB and the 2021 challenge, tested on people not seen",
    )


def _knee(asked: Asked) -> Answer:
    knee, days = find_knee(asked.people), find_knee(asked.own_days, certain=True)
    table = asked.people.set_index("what")
    if knee is None:
        raise ValueError("no set of leads keeps the ST level within 0.1 mV")
    row, fewer = table.loc[f"best of {knee}"], table.loc[f"best of {max(knee - 1, 1)}"]
    own = "no number of leads" if days is None else f"{days} leads"
    return Answer(
        _estimate(row, "st_band_uv"),
        "{:.0f} µV",
        f"90 % of the errors of the ST level stay below this with the best {knee} leads, the "
        "fewest that keep it below 100 µV by a fit on other people",
        f"one lead fewer: {fewer['st_band_uv']:.0f} µV; own beat of another day: {own} for the "
        "whole interval to lie below",
        "people of ptbdb, LUDB and the 2021 challenge, tested on people not seen",
    )


def _in_turn(asked: Asked) -> Answer:
    table = summarise_watch_leads(asked.chapter.recorded("watch_leads"))
    turn = table[table["arm"] == "in turn"].set_index(["plan", "n_lead"])
    three = turn.loc["same", 3]
    others = {
        "6 leads, same recording": ("same", 6),
        "3 leads, another recording": ("days", 3),
        "6 leads, another recording": ("days", 6),
    }
    beside = [
        f"{words}: {_spell(_estimate(turn.loc[place], 'lost'), '{:+.3f}')}"
        for words, place in others.items()
    ]
    return Answer(
        _estimate(three, "lost"),
        "{:+.3f}",
        "mean r of a calibration on three leads (I, II, V2) recorded one after the other, less "
        "that of the same leads at once",
        "; ".join(beside),
        "hearts of twadb, later in the same recording",
    )


def _measures(asked: Asked) -> Answer:
    table = asked.chapter.recorded("measures")
    rows = table[(table["kind"] == "record") & (table["method"] == "another_day")]
    found = compare_measures(rows, ["plan", "measure"]).set_index(["plan", "measure"])
    st = found.loc["days", "ST"]
    units = {"ST": "µV", "QT": "ms", "QRS": "ms", "axis": "degrees"}
    beside = [
        f"{measure} between {row['limit_low']:+.0f} and {row['limit_high']:+.0f} {unit}, R2 "
        f"{row['r2']:.2f}"
        for measure, unit in units.items()
        for row in [found.loc["days", measure]]
    ]
    return Answer(
        _estimate(st, "bias"),
        "{:+.1f} µV",
        "bias of the ST level at J + 60 ms on another day, reconstruction less original",
        "95 % limits of agreement: " + "; ".join(beside),
        "hearts of ptbdb with several recordings, 10 s of calibration, leads I and V2",
    )


def _diagnosis(asked: Asked) -> Answer:
    found = summarise_diagnosis(asked.chapter.recorded("diagnosis"))
    blind = sorted(set(found.loc[found["verdict"] == NOT_TOLD, "target"]))
    told = found[found["verdict"] != NOT_TOLD]
    kept = {
        words: told.loc[told["arm"] == arm, "verdict"].eq("survives")
        for arm, words in (
            ("another_day", "reconstructed"),
            ("average_beat", "own old beat pasted"),
            ("visible", "visible lead alone"),
            ("population", "other people's fit"),
        )
    }
    worst = told[told["arm"] == "another_day"].sort_values("difference").iloc[0]
    worst = worst.to_dict() | {"n_heart": worst["n_with"] + worst["n_without"]}
    beside = [f"{words}: {one.sum()} of {len(one)} survive" for words, one in kept.items()]
    if blind:
        beside.append(f"not told by the original itself: {', '.join(blind)}")
    return Answer(
        _estimate(worst, "difference"),
        "{:+.3f}",
        f"largest loss of AUROC by a personal reconstruction from one lead ({worst['target']}, "
        f"lead {worst['input_lead']}, {worst['n_with']} people with it)",
        "; ".join(beside),
        "people of ptbdb, LUDB and the 2021 challenge, within 10 s",
    )


def _another_day(asked: Asked) -> Answer:
    hearts = asked.pairs.groupby(["method", "heart"])["r"].mean()
    own = hearts["another_day"]
    pasted = bootstrap_mean(hearts["average_beat"].to_numpy())
    return Answer(
        bootstrap_mean(own.to_numpy()),
        "{:.3f}",
        "mean r on another recording of the same heart, 10 s of calibration, one lead given",
        f"own old beat pasted: {pasted}; lowest heart: {own.min():.2f} "
        f"({own.idxmin().removeprefix('ptbdb/')})",
        "hearts of ptbdb with several recordings; I, II and V2 one at a time",
    )


def _bands(asked: Asked) -> Answer:
    table = asked.chapter.recorded("days/bands")
    hearts = 100 * table.groupby(["situation", "heart"])["covered"].mean()
    days, same = hearts["another day"], bootstrap_mean(hearts["same session"].to_numpy())
    return Answer(
        bootstrap_mean(days.to_numpy()),
        "{:.0f} %",
        "of what was recorded on another day lies in 90 % bands made without that heart",
        f"same recording: {_spell(same, '{:.0f} %')}, {same.n} hearts; worst heart on another "
        f"day: {days.min():.0f} %",
        "hearts of ptbdb with several recordings; I, II and V2 one at a time",
    )


def _expired(asked: Asked) -> Answer:
    own = asked.pairs[asked.pairs["method"] == "another_day"]
    cases = own.groupby(CASE).agg(expired=("expired", "first"), rmse_uv=("rmse_uv", "max"))
    off = cases["rmse_uv"].to_numpy() > OFF_UV
    hearts = [np.flatnonzero(cases.index.get_level_values("heart") == one) for one in _hearts(own)]
    scores, generator = cases["expired"].to_numpy(), np.random.default_rng(0)
    drawn = [
        np.concatenate([hearts[one] for one in generator.integers(len(hearts), size=len(hearts))])
        for _ in range(1000)
    ]
    low, high = np.nanquantile([auroc(scores[one], off[one]) for one in drawn], [0.025, 0.975])
    return Answer(
        Estimate(auroc(scores, off), float(low), float(high), len(hearts)),
        "{:.2f}",
        "AUROC with which the visible lead tells that a hidden lead is off by more than 0.1 mV",
        f"{off.sum()} of {len(off)} cases are off",
        "hearts of ptbdb with several recordings; I, II and V2 one at a time",
    )


def _hearts(table: pd.DataFrame) -> list[str]:
    return sorted(table["heart"].unique())


def _length(asked: Asked) -> Answer:
    curve = asked.chapter.recorded("days/curve")
    own = curve[(curve["method"] == "another_day") & (curve["n_day"] <= 1)]
    wide = own.groupby(["heart", "calibration_s"])["r"].mean().unstack()
    longer = [seconds for seconds in wide if seconds > 10]
    gains = {seconds: bootstrap_mean((wide[seconds] - wide[10]).to_numpy()) for seconds in longer}
    beside = [
        f"{seconds:.0f} s instead of 10: {_spell(gain, '{:+.3f}')}, {gain.n} hearts"
        if gain.n > 1
        else f"{seconds:.0f} s instead of 10: {gain.value:+.3f} in one heart"
        for seconds, gain in gains.items()
    ]
    return Answer(
        bootstrap_mean((wide[10] - wide[5]).to_numpy()),
        "{:+.3f}",
        "change of mean r on another recording with 10 s of calibration instead of 5, the least",
        "; ".join(beside),
        "hearts of ptbdb with longer recordings, lead II given",
    )


QUESTIONS = (
    Question(
        "leads",
        "Which leads should a wearable have?",
        "14_choose_your_leads",
        "What do the usual choices cost?",
        _which_leads,
    ),
    Question(
        "knee",
        "How many leads does the ST level need?",
        "14_choose_your_leads",
        "Where is the knee?",
        _knee,
    ),
    Question(
        "in-turn",
        "May the leads be recorded one after the other?",
        "14_choose_your_leads",
        "What does a watch give that is moved from place to place?",
        _in_turn,
    ),
    Question(
        "measures",
        "Do clinical measures survive?",
        "15_does_the_message_survive",
        "Do amplitudes and intervals agree?",
        _measures,
    ),
    Question(
        "diagnosis",
        "Does a diagnosis survive?",
        "15_does_the_message_survive",
        "Does a diagnosis survive?",
        _diagnosis,
    ),
    Question(
        "another-day",
        "What is left on another day?",
        "12_another_day",
        "What is left on real other days?",
        _another_day,
    ),
    Question(
        "bands",
        "Do bands hold what was recorded?",
        "13_what_you_do_not_know",
        "How far off may it be?",
        _bands,
    ),
    Question(
        "expired",
        "Does the lead tell that the calibration has expired?",
        "13_what_you_do_not_know",
        "Does the lead know that the calibration has expired?",
        _expired,
    ),
    Question(
        "length",
        "How long must a calibration be?",
        "12_another_day",
        "How much calibration is enough?",
        _length,
    ),
)


def answer_questions(chapter: Chapter) -> pd.DataFrame:
    """Return one row per question: what is asked, the number that answers it, and where to read.

    A question whose table is not part of this copy stays unanswered; any other failure of a rule
    is an error.

    Returns
    -------
    pandas.DataFrame
        `question`, `asks`, `chapter`, `section`; `number` in words, `what` it is, `beside`, `on`
        whom; `value`, `low`, `high`, `n` (hearts).
    """
    asked, rows = Asked(chapter), []
    for one in QUESTIONS:
        row = {"question": one.name, "asks": one.asks}
        row |= {"chapter": one.chapter, "section": one.section}
        try:
            row |= one.rule(asked).texts()
        except MissingArtifactError:
            row |= {"number": UNANSWERED, "what": "", "beside": "", "on": "", "n": 0}
        rows.append(row)
    return pd.DataFrame(rows)


def show_answers(answers: pd.DataFrame) -> None:
    """Display a card per question; they stand side by side on a wide screen, else stacked.

    Parameters
    ----------
    answers
        From `answer_questions`.
    """
    cards = "".join(_card_of(row) for row in answers.to_dict("records"))
    display(HTML(f'<ol class="ecgnb-claims">{cards}</ol>'))


def _card_of(row: Mapping[str, object]) -> str:
    said = {key: html.escape(value) for key, value in row.items() if isinstance(value, str)}
    return (
        f'<li id="question-{said["question"]}" class="ecgnb-claim ecgnb-question">'
        f'<p class="ecgnb-says"><strong>{said["asks"]}</strong></p>'
        f'<p class="ecgnb-verdict">{said["number"]}</p><p>{said["what"]}</p>'
        f"<dl><dt>Beside it</dt><dd>{list_items(said['beside'])}</dd>"
        f"<dt>On</dt><dd>{row['n']:.0f} {said['on']}</dd></dl>"
        f'<p><a href="{link_of(str(row["chapter"]), str(row["section"]))}">'
        f"Read: {said['section']}</a></p></li>"
    )
