"""The page of verdicts: one card per claim, and a picture of all of them."""

import html

import pandas as pd
from docutils.nodes import make_id
from IPython.display import HTML, display
from matplotlib.axes import Axes

from ecgnb.book.chapter import Chapter
from ecgnb.book.claims import CLAIMS, NOT_MEASURED, VERDICTS, OwnRun
from ecgnb.figures.style import COLOURS
from ecgnb.files import MissingArtifactError

_MARKS = dict(zip(VERDICTS, ("✓", "◐", "✗", "?"), strict=True))

_COLOURS = dict(zip(VERDICTS, (COLOURS[2], COLOURS[0], COLOURS[1], COLOURS[6]), strict=True))


def add_own_run(card: pd.DataFrame, chapter: Chapter) -> pd.DataFrame:
    """Return the card with a column `own`: the number of the reader's run beside each claim.

    Parameters
    ----------
    card
        From `claims.score_claims`.
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


def show_cards(card: pd.DataFrame) -> None:
    """Display one card per claim; they stand side by side on a wide screen, else stacked.

    Parameters
    ----------
    card
        From `add_own_run`.
    """
    cards = "".join(_card(number, row) for number, row in enumerate(card.to_dict("records"), 1))
    display(HTML(f'<ol class="ecgnb-claims">{cards}</ol>'))


def _link_of(chapter: str, section: str) -> str:
    """Return the address of a section in the book.

    Examples
    --------
    >>> _link_of("04_cnn", "What are the two heads?")
    '04_cnn.html#what-are-the-two-heads'
    """
    return f"{chapter}.html#{make_id(section)}"


def _card(number: int, row: dict[str, str]) -> str:
    said = {key: html.escape(value) for key, value in row.items()}
    measured = "".join(f"<li>{part}</li>" for part in said["measured"].split("; "))
    kind = make_id(row["verdict"])
    return (
        f'<li id="claim-{said["claim"]}" class="ecgnb-claim ecgnb-{kind}">'
        f'<p class="ecgnb-verdict"><span aria-hidden="true">{_MARKS[row["verdict"]]}</span> '
        f"{said['verdict']}</p>"
        f'<p class="ecgnb-says"><strong>Claim {number}.</strong> {said["says"]}</p>'
        f"<dl><dt>What was done</dt><dd>{said['done']}</dd>"
        f"<dt>Measured</dt><dd><ul>{measured}</ul></dd>"
        f"<dt>On</dt><dd>{said['data']}</dd>"
        f"<dt>In this run</dt><dd>{said['own']}</dd></dl>"
        f'<p><a href="{_link_of(row["chapter"], row["section"])}">'
        f"Read: {said['section']}</a></p></li>"
    )


def plot_verdicts(axes: Axes, card: pd.DataFrame) -> Axes:
    """Return the axes with a row per claim and a mark in the column of its verdict."""
    places = card["verdict"].map(VERDICTS.index)
    for row, (place, name) in enumerate(zip(places, card["verdict"], strict=True)):
        axes.plot(place, row, "o", ms=17, color=_COLOURS[name])
        axes.text(place, row, _MARKS[name], color="white", ha="center", va="center", weight="bold")
    counts = card["verdict"].value_counts()
    words = [f"{name}\n{counts.get(name, 0)} of {len(card)}" for name in VERDICTS]
    axes.set_xticks(range(len(VERDICTS)), words)
    axes.xaxis.tick_top()
    labels = [f"{number}  {name}" for number, name in enumerate(card["claim"], 1)]
    axes.set_yticks(range(len(card)), labels)
    axes.set(xlim=(-0.5, len(VERDICTS) - 0.5), ylim=(len(card) - 0.5, -0.5))
    axes.grid(axis="y", color="#e5e5e5")
    axes.set_axisbelow(True)
    axes.tick_params(length=0)
    axes.spines[["left", "bottom"]].set_visible(False)
    return axes
