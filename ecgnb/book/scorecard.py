"""How the tests of a claim become a verdict; a card per claim, and a picture of all of them."""

import html
import math
import re
import string
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from docutils.nodes import make_id
from IPython.display import HTML, display
from matplotlib.axes import Axes

from ecgnb.figures.style import COLOURS
from ecgnb.figures.tables import in_words
from ecgnb.reconstruction.scores import count_hearts

VERDICTS = ("holds", "holds in part", "does not hold", "cannot be told")

_MARKS = dict(zip(VERDICTS, ("✓", "◐", "✗", "?"), strict=True))

_COLOURS = dict(zip(VERDICTS, (COLOURS[2], COLOURS[0], COLOURS[1], COLOURS[6]), strict=True))


@dataclass(frozen=True)
class Tests:
    """The tests of one part of a claim: how many were made, and came out as claimed.

    `told` is 0 where the data cannot tell (too few hearts, an interval on both sides of the
    limit, an unknown setting); `open` counts such tests.
    """

    part: str
    passed: float
    told: float
    open: int = 0

    def text(self) -> str:
        """Return the part with its count.

        Examples
        --------
        >>> Tests("QRS", 3, 4).text(), Tests("aVL", 0.25, 1).text(), Tests("T", 0, 0, 1).text()
        ('QRS: 3 of 4', 'aVL: 25 %', 'T: cannot be told')
        >>> Tests("windows", 3, 3, 1).text()
        'windows: 3 of 3, 1 more cannot be told'
        """
        if not self.told:
            return f"{self.part}: cannot be told"
        more = f", {self.open} more cannot be told" if self.open else ""
        if float(self.passed).is_integer():
            return f"{self.part}: {self.passed:.0f} of {self.told:.0f}{more}"
        return f"{self.part}: {100 * self.passed / self.told:.0f} %{more}"


def count_tests(part: str, *outcomes: bool | None) -> Tests:
    """Return the tests of a part from their outcomes; None where the data cannot tell.

    Examples
    --------
    >>> count_tests("both heads", True, False, None)
    Tests(part='both heads', passed=1, told=2, open=1)
    """
    made = [bool(one) for one in outcomes if one is not None]
    return Tests(part, sum(made), len(made), len(outcomes) - len(made))


def side(low: float, high: float, limit: float = 0.0) -> bool | None:
    """Return whether an interval lies above a limit, or None if it lies on both sides.

    Examples
    --------
    >>> [side(0.1, 0.2), side(-0.2, -0.1), side(-0.1, 0.2)]
    [True, False, None]
    """
    if low > limit:
        return True
    return False if high < limit else None


def describe_scores(row: pd.Series) -> str:
    """Return error and r of a row of `summarise`, each with the worst pair."""
    return (
        f"mean MSE {row['mse_mean']:.3f} (highest {row['mse_highest']:.2f}), "
        f"mean r {row['r_mean']:.3f} ({row['r_low']:.3f} to {row['r_high']:.3f}, "
        f"lowest {row['r_lowest']:.2f})"
    )


def about_data(scores: pd.DataFrame, *, kind: str = "real", run: str = "recorded run") -> str:
    """Return on how many records and hearts a table of scores rests.

    >>> about_data(pd.DataFrame({"record": ["twa11", "twa48"], "origin": "ptbdb"}))
    '2 real records of 1 heart (1 recorded, 0 synthetic), recorded run'
    """
    counts = count_hearts(scores)
    hearts = f"{counts['n_heart']} heart{'s' if counts['n_heart'] != 1 else ''}"
    apart = f"{counts['n_recorded']} recorded, {counts['n_synthetic']} synthetic"
    return f"{counts['n_record']} {kind} records of {hearts} ({apart}), {run}"


@dataclass(frozen=True)
class Finding:
    """What a rule found: the numbers in words, the tests, and the data behind them."""

    measured: str
    tests: tuple[Tests, ...]
    data: str

    @property
    def share_of_tests(self) -> float:
        """The share of the tests that came out as claimed, NaN if none could be made."""
        told = sum(one.told for one in self.tests)
        return sum(one.passed for one in self.tests) / told if told else float("nan")

    @property
    def n_open(self) -> int:
        """How many tests the data cannot tell."""
        return sum(one.open for one in self.tests)

    def parts(self) -> str:
        """Return which parts of the claim hold, which do not and which cannot be told."""
        return "; ".join(one.text() for one in self.tests)


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


def verdict(share_of_tests: float, n_open: int = 0) -> str:
    """Return the verdict for the share of a claim's tests that came out as claimed.

    All: holds, or in part if others cannot be told; none: does not hold; NaN: cannot be told;
    else: holds in part.

    Examples
    --------
    >>> [verdict(share) for share in (1.0, 0.5, 0.0, float("nan"))]
    ['holds', 'holds in part', 'does not hold', 'cannot be told']
    >>> verdict(1.0, n_open=1)
    'holds in part'
    """
    if np.isnan(share_of_tests):
        return VERDICTS[3]
    if share_of_tests >= 1:
        return VERDICTS[1] if n_open else VERDICTS[0]
    return VERDICTS[1] if share_of_tests > 0 else VERDICTS[2]


def show_cards(card: pd.DataFrame) -> None:
    """Display one card per claim; they stand side by side on a wide screen, else stacked.

    Parameters
    ----------
    card
        From `add_own_run`.
    """
    cards = "".join(_card(number, row) for number, row in enumerate(card.to_dict("records"), 1))
    display(HTML(f'<ol class="ecgnb-claims">{cards}</ol>'))


def link_of(chapter: str, section: str) -> str:
    """Return the address of a section in the book.

    Examples
    --------
    >>> link_of("04_cnn", "What are the two heads?")
    '04_cnn.html#what-are-the-two-heads'
    """
    return f"{chapter}.html#{make_id(section)}"


def list_items(text: str) -> str:
    """Return a list in HTML of the parts of a text between semicolons.

    Examples
    --------
    >>> list_items("one; other")
    '<ul><li>one</li><li>other</li></ul>'
    """
    return "<ul>" + "".join(f"<li>{part}</li>" for part in text.split("; ") if part) + "</ul>"


def _bar(share: float) -> str:
    """Return a bar as long as the share of tests that came out as claimed, empty if none was made.

    Examples
    --------
    >>> "width:25%" in _bar(0.25), "width" in _bar(float("nan"))
    (True, False)
    """
    if math.isnan(share):
        return '<div class="ecgnb-bar" role="img" aria-label="no test could be made"></div>'
    label = f"{100 * share:.0f} % of the tests came out as claimed"
    return (
        f'<div class="ecgnb-bar" role="img" aria-label="{label}">'
        f'<span style="width:{100 * share:.0f}%"></span></div>'
    )


def _say(text: str) -> str:
    """Return a text as HTML, names from the code in words and with a minus before numbers.

    Examples
    --------
    >>> _say("cnn_1d at least: -0.20 (-0.3 to 0.1)").replace(chr(8722), "minus ")
    'CNN, 1-D head at least: minus 0.20 (minus 0.3 to 0.1)'
    """
    return html.escape(re.sub(r"(?<=[\s(])-(?=\d)", "\N{MINUS SIGN}", in_words(text)))


def _card(number: int, row: dict[str, str]) -> str:
    said = {key: html.escape(value) for key, value in row.items() if isinstance(value, str)}
    said |= {key: _say(row[key]) for key in ("measured", "parts", "own", "says")}
    kind = make_id(row["verdict"])
    return (
        f'<li id="claim-{said["claim"]}" class="ecgnb-claim ecgnb-{kind}">'
        f'<p class="ecgnb-verdict"><span aria-hidden="true">{_MARKS[row["verdict"]]}</span> '
        f"{said['verdict']}</p>{_bar(row['share_of_tests'])}"
        f'<p class="ecgnb-says"><strong>Claim {number}.</strong> {said["says"]}</p>'
        f"<dl><dt>What was done</dt><dd>{said['done']}</dd>"
        f"<dt>Rule</dt><dd>{said['judged']}</dd>"
        f"<dt>Tests that came out as claimed</dt><dd>{list_items(said['parts'] or '-')}</dd>"
        f"<dt>Measured</dt><dd>{list_items(said['measured'])}</dd>"
        f"<dt>On</dt><dd>{said['data']}</dd>"
        f"<dt>In this run</dt><dd>{said['own']}</dd></dl>"
        f'<p><a href="{link_of(row["chapter"], row["section"])}">'
        f"Read: {said['section']}</a></p></li>"
    )


def plot_verdicts(axes: Axes, card: pd.DataFrame) -> Axes:
    """Return the axes with a row per claim and a mark in the column of its verdict."""
    places = card["verdict"].map(VERDICTS.index)
    for row, (place, name) in enumerate(zip(places, card["verdict"], strict=True)):
        axes.plot(place, row, "o", ms=17, color=_COLOURS[name])
        axes.text(place, row, _MARKS[name], color="white", ha="center", va="center", weight="bold")
    counts = card["verdict"].value_counts()
    heads = [textwrap.fill(name, 8) for name in VERDICTS]
    words = [
        f"{head}\n{counts.get(name, 0)} of {len(card)}"
        for head, name in zip(heads, VERDICTS, strict=True)
    ]
    axes.set_xticks(range(len(VERDICTS)), words)
    axes.xaxis.tick_top()
    labels = [f"{number}  {in_words(name)}" for number, name in enumerate(card["claim"], 1)]
    axes.set_yticks(range(len(card)), labels)
    axes.set(xlim=(-0.5, len(VERDICTS) - 0.5), ylim=(len(card) - 0.5, -0.5))
    axes.grid(axis="y", color="#e5e5e5")
    axes.set_axisbelow(True)
    axes.tick_params(length=0)
    axes.spines[["left", "bottom"]].set_visible(False)
    return axes
