"""What the book's diagrams are drawn with: a sheet, boxes, arrows, traces, people, small maps.

A sheet is 100 units wide and as high as its diagram asks for. It is drawn at the size at which a
page shows it, so that 10 points of text are about 17 pixels on a page and 8 on a phone.
"""

from collections.abc import Sequence
from functools import cache

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch, PathPatch, Rectangle
from matplotlib.path import Path

from ecgnb.figures.style import COLOURS, GUESS, SMALLEST_PT, TRUTH, WIDTH_IN, use_style
from ecgnb.leads import LEADS
from ecgnb.records.record import Record
from ecgnb.signals.beats import find_peaks
from ecgnb.simulation.synthesis import simulate_twins

BLUE, BROWN, GREEN, PURPLE = *COLOURS[:3], COLOURS[-1]

ORANGE, INK, SOFT, LINE, RED = GUESS, TRUTH, "#565b66", "#9aa1ad", "#8c2d04"

_PAD_IN = 0.1  # is put around each figure when it is shown

SMALL, BIG = SMALLEST_PT, 12

Place = tuple[float, float]


def sheet() -> Axes:
    """Return the axes of a new figure as wide as the text of a page, for one diagram.

    It sets the look of all figures, so that a diagram may come before everything else.
    """
    use_style()
    return plt.figure(figsize=(WIDTH_IN - 2 * _PAD_IN, 3.0)).add_axes((0, 0, 1, 1))


def open_sheet(axes: Axes, height: float) -> Axes:
    """Return the axes as a white sheet, 100 units wide; alone in its figure it sets the height."""
    if len(axes.figure.axes) == 1:
        axes.figure.set_figheight(axes.figure.get_figwidth() * height / 100)
    axes.set(xlim=(0, 100), ylim=(0, height), aspect="equal")
    axes.set_axis_off()
    axes.add_patch(Rectangle((0, 0), 100, height, color="white", zorder=-9))
    return axes


def tint(colour: str, share: float = 0.13) -> tuple[float, float, float]:
    """Return a colour thinned with white.

    Examples
    --------
    >>> tint("#000000", 0.0)
    (1.0, 1.0, 1.0)
    """
    return tuple(1 - share * (1 - part) for part in to_rgb(colour))


def say(axes: Axes, x: float, y: float, text: str, **how: object) -> None:
    """Write a text, in the middle of its place if nothing else is said."""
    usual = {"size": SMALL, "color": INK, "ha": "center", "va": "center", "linespacing": 1.15}
    axes.text(x, y, text, **(usual | how))


def box(axes: Axes, corner: Place, size: Place, text: str = "", **how: object) -> None:
    """Draw a rounded box from its lower left corner, filled with a tint of its colour.

    Parameters
    ----------
    axes, corner, size, text
        Where, how wide and high, and what stands in its middle.
    how
        `colour`, `fill` (share of the colour), and what `say` takes.
    """
    colour, fill = how.pop("colour", BLUE), how.pop("fill", 0.13)
    (x, y), (width, height) = corner, size
    shape = "round,pad=0,rounding_size=1.2"
    look = {"fc": tint(colour, fill), "ec": colour, "lw": 1.2, "zorder": how.pop("zorder", 1)}
    axes.add_patch(FancyBboxPatch((x, y), width, height, boxstyle=shape, **look))
    say(axes, x + width / 2, y + height / 2, text, **how)


def arrow(axes: Axes, start: Place, end: Place, **how: object) -> None:
    """Draw an arrow; `bend` curves it, `colour`, `lw` and `style` say how it looks."""
    look = {"color": how.pop("colour", SOFT), "lw": how.pop("lw", 1.5)}
    look |= {"arrowstyle": how.pop("style", "-|>"), "shrinkA": 0, "shrinkB": 0}
    bend = f"arc3,rad={how.pop('bend', 0.0)}"
    usual = {"mutation_scale": 11, "connectionstyle": bend, "zorder": 3}
    axes.add_patch(FancyArrowPatch(start, end, **(look | usual | how)))


@cache
def twins() -> tuple[Record, Record]:
    """Return two simulated hearts without noise: alike in lead II, not in lead V3."""
    return simulate_twins(seed=5)


def piece(lead: str, *, n_beat: float = 1.0, first: int = 2, twin: int = 0) -> np.ndarray:
    """Return some simulated beats of a lead `(time,)` in mV, from before a P wave."""
    record = twins()[twin]
    peaks = find_peaks(twins()[0].signals, record.sampling_rate)
    beat = int(np.diff(peaks).mean())
    start = peaks[first] - int(0.42 * beat)
    return record.lead(lead)[start : start + int(n_beat * beat)]


def moment(lead: str, share: float) -> float:
    """Return what a lead is at a share of the beat that `piece` gives, mV."""
    beat = piece(lead)
    return float(beat[int(share * len(beat))])


def trace(
    axes: Axes, values: np.ndarray, corner: Place, width: float, *, per_mv: float, **how: object
) -> None:
    """Draw a signal in mV from where its zero line begins, `per_mv` units high for each mV."""
    look = {"color": INK, "lw": 1.4, "solid_joinstyle": "round"} | how
    x, y = corner
    axes.plot(x + np.linspace(0, width, len(values)), y + per_mv * values, **look)


def twelve(axes: Axes, corner: Place, size: Place, **how: object) -> None:
    """Draw one beat in 12 leads, one below the other, in a frame."""
    (x, y), (width, height) = corner, size
    axes.add_patch(Rectangle(corner, width, height, fc="white", ec=LINE, lw=1.0))
    look = {"lw": 0.9, "per_mv": height / 17} | how
    for row, lead in enumerate(LEADS):
        base = y + height * (11.5 - row) / 12.4
        trace(axes, piece(lead), (x + 0.8, base), width - 1.6, **look)


def people(axes: Axes, places: Sequence[Place], colour: str) -> None:
    """Draw a person, head and shoulders, standing on each place."""
    shape = "round,pad=0,rounding_size=1.1"
    for x, y in places:
        axes.add_patch(Circle((x, y + 4.2), 1.2, color=colour, lw=0))
        axes.add_patch(FancyBboxPatch((x - 1.6, y), 3.2, 2.8, boxstyle=shape, color=colour, lw=0))


def dots(axes: Axes, places: Sequence[Place], colour: str, **how: object) -> None:
    """Draw a dot at each place."""
    axes.plot(*np.transpose(places), "o", **({"color": colour, "ms": 5, "zorder": 4} | how))


def small_map(axes: Axes, values: np.ndarray, corner: Place, size: Place, **how: object) -> None:
    """Draw an array `(row, column)` as a map in a frame, blue below zero and red above."""
    (x, y), (width, height) = corner, size
    limit = float(np.abs(values).max()) or 1.0
    look = {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit, "interpolation": "nearest"}
    extent = (x, x + width, y, y + height)
    axes.imshow(values, extent=extent, aspect="equal", zorder=2, **(look | how))
    axes.add_patch(Rectangle(corner, width, height, fc="none", ec=LINE, lw=1.0, zorder=3))


_TORSO = (
    (-5, 52), (-5.5, 48), (-13, 47.5), (-18, 45), (-21, 42.5), (-22, 34), (-23, 24),
    (-18.5, 23), (-17.5, 30), (-15.5, 39), (-15, 30), (-13.5, 20), (-14, 14), (-15, 8), (-14.5, 0),
)  # fmt: skip


def body(axes: Axes, place: Place, *, size: float = 1.0) -> None:
    """Draw head, trunk and upper arms, seen from the front, the middle of the hips at a place."""
    x, y = place
    right = np.array(_TORSO, dtype=float)
    outline = np.concatenate([right, right[::-1] * [-1, 1]]) * size + [x, y]
    look = {"fc": "#eef1f6", "ec": "#aab2bf", "lw": 1.2, "zorder": 0}
    axes.add_patch(Circle((x, y + 57 * size), 7 * size, **look))
    axes.add_patch(PathPatch(_rounded(outline), **look))


def _rounded(corners: Sequence[Place]) -> Path:
    """Return a closed path that is rounded at each corner."""
    corners = np.asarray(corners)
    middles = (corners + np.roll(corners, -1, axis=0)) / 2
    points, codes = [middles[-1]], [Path.MOVETO]
    for corner, middle in zip(corners, middles, strict=True):
        points += [corner, middle]
        codes += [Path.CURVE3, Path.CURVE3]
    return Path(points, codes)
