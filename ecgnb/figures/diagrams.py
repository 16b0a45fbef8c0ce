"""Diagrams that explain: one for each chapter, drawn by code in one style.

Each takes axes from `diagram_parts.sheet`, or any that are alone in their figure. The waves in
them are those of simulated hearts; what is not named in words or numbers is not to scale.
"""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Circle, Ellipse, Rectangle

from ecgnb.figures.diagram_parts import (
    BIG,
    BLUE,
    BROWN,
    GREEN,
    INK,
    LINE,
    ORANGE,
    PURPLE,
    SOFT,
    arrow,
    body,
    box,
    dots,
    moment,
    open_sheet,
    piece,
    say,
    small_map,
    tint,
    trace,
    twelve,
)
from ecgnb.leads import LEADS

_CHEST = ((24.3, 34), (28.6, 34), (31.2, 31.4), (33.8, 29), (37.2, 29), (40.4, 29.4))


def draw_electrodes(axes: Axes) -> Axes:
    """Return the axes with electrodes on a body, the heart's dipole, three leads that see it."""
    open_sheet(axes, 66)
    body(axes, (27, 1))
    right, left, foot = (7, 42), (47, 42), (38, 4)
    arrow(axes, left, foot, colour=LINE, style="-")
    for end, colour, name in ((left, GREEN, "lead I"), (foot, BLUE, "lead II")):
        arrow(axes, right, end, colour=colour, lw=2.2, shrinkB=8)
        x, y, turn = (27, 44, 0) if end is left else (14.5, 30, -51)
        say(axes, x, y, name, color=colour, weight="bold", rotation=turn)
    for (x, y), name in ((right, "R"), (left, "L"), (foot, "F")):
        axes.add_patch(Circle((x, y), 2.2, fc="white", ec=INK, lw=1.4, zorder=5))
        say(axes, x, y - 0.1, name, weight="bold", zorder=6)
    axes.add_patch(Ellipse((30.5, 26.5), 15, 11, angle=-42, fc=tint(BROWN, 0.22), ec=BROWN, lw=1))
    for place in _CHEST:
        axes.add_patch(Circle(place, 1.05, fc=PURPLE, ec="white", lw=0.8, zorder=5))
    say(axes, 23.2, 37, "V1", color=PURPLE)
    say(axes, 42, 32.4, "V6", color=PURPLE)
    arrow(axes, (27.5, 29.3), (34.5, 21.3), colour=ORANGE, lw=4.5, mutation_scale=18, zorder=6)
    say(axes, 57, 63, "The heart: one arrow (dipole)", color=ORANGE, weight="bold", ha="left")
    arrow(axes, (56, 62.5), (28.2, 30), colour=ORANGE, lw=1.0, bend=0.33, style="-", zorder=6)
    say(axes, 44.8, 21, "III", color=SOFT)
    for row, (lead, colour) in enumerate((("I", GREEN), ("II", BLUE), ("V2", PURPLE))):
        base = 49 - 14.5 * row
        say(axes, 57, base + 1, lead, color=colour, weight="bold", size=BIG)
        trace(axes, piece(lead, n_beat=2), (61, base), 37, per_mv=6.5, color=colour)
    say(axes, 78, 5, "Each lead sees the arrow\nfrom its own side", color=SOFT)
    return axes


def draw_split(axes: Axes) -> Axes:
    """Return the axes with a recording cut into three parts with gaps, and what each is for."""
    open_sheet(axes, 45)
    parts = (
        (2, 54, "training\n60 %", "fit the model,\nset the scale", BLUE),
        (59.5, 17, "validation\n20 %", "choose\nsettings", GREEN),
        (80, 18, "test\n20 %", "score\nonce", ORANGE),
    )
    for start, width, name, job, colour in parts:
        middle = start + width / 2
        axes.add_patch(Rectangle((start, 22), width, 12, fc=tint(colour), ec=colour, lw=1.2))
        trace(axes, piece("II", n_beat=width / 5.5), (start, 25.5), width, per_mv=7, lw=0.9)
        say(axes, middle, 39.5, name, color=colour, weight="bold")
        arrow(axes, (middle, 21.5), (middle, 15), colour=colour)
        box(axes, (middle - 9, 6.8), (18, 7.6), job, colour=colour)
    for x in (57.7, 78.2):
        say(axes, x, 18, "gap\n1 s", color=SOFT)
        axes.plot([x, x], [22, 34], color=SOFT, lw=1.2, ls=":")
    say(axes, 50, 2.6, "Cut first. Then filter and resample each part by itself.", color=SOFT)
    return axes


def draw_look_up(axes: Axes) -> Axes:
    """Return the axes with three ways from a visible to a hidden lead: lags, beat, neighbours."""
    open_sheet(axes, 84)
    texts = (
        ("Lags", "a weighted sum\nof 0.1 s before\nand after"),
        ("Average beat", "pasted at\nthe R peaks"),
        ("Neighbours", "moments that\nlook most alike\nare read off"),
    )
    start, beat, up, down = 37, 61 / 3, 75, 62.5
    for row, (name, text) in enumerate(texts):
        shift = 28 * row
        say(axes, 2, 79 - shift, name, weight="bold", size=BIG, ha="left", color=BLUE)
        say(axes, 2, 75.5 - shift, text, ha="left", va="top", color=SOFT)
        for lead, base, colour in (("II", up, INK), ("V3", down, ORANGE)):
            colour = LINE if row == 2 and lead == "V3" else colour
            trace(axes, piece(lead, n_beat=3), (start, base - shift), 61, per_mv=6, color=colour)
            say(axes, start - 3.5, base - shift + 0.8, lead, color=colour)
    read = (down + moment("V3", 0.64) * 6, start + 1.64 * beat, start + 2.64 * beat)
    _window(axes, read[1], up - 3, BLUE)
    for x in (-2.6, 0, 2.6):
        arrow(axes, (read[1] + x, up - 3.4), (read[1], read[0] + 0.6), colour=BLUE, lw=1.1)
    for number in range(3):
        x = start + (number + 0.42) * beat
        arrow(axes, (x, up - 30), (x, down - 20), colour=BLUE)
        x = start + (number + 0.64) * beat
        _window(axes, x, up - 59, GREEN if number < 2 else BLUE)
        if number < 2:
            arrow(axes, (x, up - 59.4), (x, read[0] - 55.4), colour=GREEN, lw=1.1)
            dots(axes, [(x, read[0] - 56)], GREEN)
            end = (read[2] - 1, read[0] - 56.4)
            arrow(axes, (x + 0.8, read[0] - 56), end, colour=GREEN, lw=1.1, bend=0.35)
    dots(axes, [(read[2], read[0] - 56)], ORANGE, ms=7)
    return axes


def _window(axes: Axes, x: float, y: float, colour: str) -> None:
    """Mark the surroundings of a moment in a visible lead."""
    look = {"fc": tint(colour, 0.22), "ec": colour, "lw": 1.2, "zorder": 0}
    axes.add_patch(Rectangle((x - 2.9, y), 5.8, 9.5, **look))


def draw_heads(axes: Axes) -> Axes:
    """Return the axes with a network's body and its two heads, the flat one and the 2-D one."""
    open_sheet(axes, 72)
    box(axes, (1, 54), (20, 12), colour=SOFT, fill=0.05)
    trace(axes, piece("II"), (2.5, 57.5), 17, per_mv=8)
    say(axes, 11, 69, "one lead", color=SOFT)
    arrow(axes, (21.5, 60), (28, 60))
    box(axes, (28.5, 55), (22, 10), "two\nconvolutions", colour=SOFT)
    arrow(axes, (51, 60), (58, 60))
    features = _features()
    small_map(axes, features, (58.5, 54), (26, 12))
    say(axes, 71.5, 69, "16 channels x 64 moments", color=SOFT)
    arrow(axes, (66, 53.5), (48, 43), colour=BLUE, lw=2, bend=0.1)
    for look in ({"colour": "white", "lw": 7, "style": "-"}, {"colour": GREEN, "lw": 2}):
        arrow(axes, (77, 53.5), (60, 18.5), bend=-0.2, zorder=4, **look)
    say(axes, 1, 46, "1-D head", weight="bold", size=BIG, color=BLUE, ha="left")
    small_map(axes, features.reshape(1, -1), (1, 37.5), (51, 4))
    say(axes, 26, 33.5, "all 1,024 numbers in one row", color=SOFT)
    box(axes, (58, 37), (4, 5), colour=BLUE, fill=0.5)
    say(axes, 60, 33.5, "waist", color=SOFT)
    say(axes, 1, 21.5, "2-D head", weight="bold", size=BIG, color=GREEN, ha="left")
    small_map(axes, features, (1, 7), (20, 10))
    say(axes, 27.8, 15.4, "along\ntime", color=GREEN)
    small_map(axes, np.repeat(features, 4, axis=1), (34.5, 7), (27.5, 10))
    say(axes, 30, 2.8, "channels and time stay apart", color=SOFT)
    say(axes, 71.5, 17.5, "channels\nto leads", color=GREEN)
    for start, end, y, colour in (
        (52.5, 57.5, 39.5, BLUE), (62.5, 80.5, 39.5, BLUE),
        (21.5, 34, 11, GREEN), (62.5, 80.5, 11, GREEN),
    ):  # fmt: skip
        arrow(axes, (start, y), (end, y), colour=colour)
    for y in (27.5, 1):
        twelve(axes, (81, y), (18, 22), color=ORANGE)
    return axes


def _features() -> np.ndarray:
    """Return what eight kernels make of a beat, `(channel, moment)`."""
    beat = piece("II")
    widths = np.linspace(12, 90, 8).astype(int)
    smooth = [np.convolve(beat, np.hanning(w) / w, "same") for w in widths]
    return np.diff(np.array(smooth), axis=1)[:, ::14] * (-1.0) ** np.arange(8)[:, None]


def draw_pairs(axes: Axes) -> Axes:
    """Return the axes with all pairs of leads: the visible one a row, the hidden ones columns."""
    open_sheet(axes, 66)
    cell, left, low = 4.55, 12, 3
    row = LEADS.index("V2")
    for y, visible in enumerate(reversed(LEADS)):
        chosen = visible == "V2"
        say(axes, left - 1, low + cell * (y + 0.5), visible, ha="right",
            color=BLUE if chosen else INK, weight="bold" if chosen else "normal")  # fmt: skip
        for x, hidden in enumerate(LEADS):
            limb = max(x, 11 - y) < 6
            fill = "#d5d9e0" if visible == hidden else tint(ORANGE, 0.45) if chosen else None
            fill = fill or (tint(GREEN, 0.25) if limb else "#f4f5f8")
            corner = (left + cell * x, low + cell * y)
            axes.add_patch(Rectangle(corner, cell, cell, fc=fill, ec="white", lw=1.2))
    for x, hidden in enumerate(LEADS):
        say(axes, left + cell * (x + 0.5), low + 12 * cell + 2.3, hidden, rotation=45)
    bottom = low + cell * (11 - row)
    axes.add_patch(Rectangle((left, bottom), 12 * cell, cell, fc="none", ec=BLUE, lw=2))
    right = left + 12 * cell
    say(axes, left - 1, low + 12 * cell + 2.3, "hidden", color=SOFT, ha="right")
    say(axes, 2, low + 6 * cell, "visible", color=SOFT, rotation=90)
    arrow(axes, (right + 5, bottom + cell / 2), (right + 0.6, bottom + cell / 2), colour=BLUE)
    say(
        axes,
        right + 6,
        bottom + 0.5,
        "wear V2:\none row,\n11 hidden\nleads",
        ha="left",
        color=BLUE,
    )
    say(axes, right + 6, 46, "six limb leads:\narithmetic\nof two", ha="left", color=GREEN)
    arrow(axes, (right + 5, 46), (left + 6 * cell, 46), colour=GREEN)
    return axes


def draw_vae(axes: Axes) -> Axes:
    """Return the axes with a VAE: linear and nonlinear path to the latents and back, its loss."""
    open_sheet(axes, 62)
    twelve(axes, (1, 26), (15, 27))
    twelve(axes, (84, 26), (15, 27), color=ORANGE)
    say(axes, 8.5, 56.5, "beat", color=SOFT)
    say(axes, 91.5, 56.5, "rebuilt", color=ORANGE)
    for start, name in ((17, "encoder"), (61, "decoder")):
        box(axes, (start + 3, 42), (15, 7), "linear", colour=BLUE)
        box(axes, (start + 3, 29), (15, 7), "nonlinear", colour=GREEN)
        say(axes, start + 10.5, 56.5, name, color=SOFT)
        for y, colour in ((45.5, BLUE), (32.5, GREEN)):
            arrow(axes, (start - 0.5, 39.3), (start + 2.8, y), colour=colour)
            arrow(axes, (start + 18.2, y), (start + 21.5, 39.3), colour=colour)
    box(axes, (39, 27), (21, 25), colour=PURPLE, fill=0.06)
    x = np.linspace(-3, 3, 80)
    bell = np.exp(-(x**2) / 2)
    axes.plot(49.5 + 2.9 * x, 30 + 12 * bell, color=LINE, lw=1.4, ls="--")
    narrow = np.exp(-((x - 0.7) ** 2) / 0.18)
    axes.fill_between(49.5 + 2.9 * x, 30, 30 + 14 * narrow, color=tint(PURPLE, 0.35), lw=0)
    axes.plot([42, 57], [30, 30], color=PURPLE, lw=1)
    say(axes, 49.5, 56.5, "12 latents", color=PURPLE)
    say(axes, 49.5, 48.3, "mean, spread", color=PURPLE)
    arrow(axes, (49.5, 26.5), (49.5, 19.5), colour=PURPLE)
    arrow(axes, (91.5, 25.5), (84, 19.5), colour=ORANGE)
    box(axes, (34, 9.5), (29, 9.5), "KL: distance from\na standard normal", colour=PURPLE)
    box(axes, (69, 9.5), (30, 9.5), "error: rebuilt\nminus beat, squared", colour=ORANGE)
    say(axes, 66, 14.2, "+", size=BIG, weight="bold")
    say(axes, 50, 3.8, "The sum is made small: the negative ELBO", weight="bold")
    return axes


def draw_grad_cam(axes: Axes) -> Axes:
    """Return the axes with Grad-CAM: maps times mean gradients, their sum, stretched to a beat."""
    open_sheet(axes, 60)
    beats = np.stack([piece(lead) for lead in LEADS])
    beats = beats / np.abs(beats).max(axis=1, keepdims=True)
    kernels = (np.hanning(90) / 45, -np.gradient(np.hanning(60)), np.hanning(25) / 12)
    maps = [np.stack([np.convolve(b, k, "same") for b in beats])[:, ::18] for k in kernels]
    weights = (0.8, -0.5, 0.3)
    for row, (values, weight) in enumerate(zip(maps, weights, strict=True)):
        y = 40 - 18 * row
        small_map(axes, values / np.abs(values).max(), (1, y), (24, 14))
        say(axes, 27.3, y + 7, "\u00d7", size=BIG)
        colour = "#b2182b" if weight > 0 else "#2166ac"
        box(axes, (29.5, y + 4), (10.5, 6), f"{weight:+.1f}".replace("-", "\u2212"), colour=colour)
        arrow(axes, (40.5, y + 7), (46.5, 29), colour=SOFT)
    total = sum(w * m / np.abs(m).max() for w, m in zip(weights, maps, strict=True))
    axes.add_patch(Circle((49, 29), 2.4, fc="white", ec=INK, lw=1.2, zorder=4))
    say(axes, 49, 28.8, "+", size=BIG, weight="bold", zorder=5)
    arrow(axes, (51.6, 29), (55.5, 29))
    small_map(axes, total, (56, 22), (17, 14))
    arrow(axes, (73.5, 29), (77.5, 29))
    small_map(axes, total, (78, 20), (21, 18), interpolation="bilinear")
    trace(axes, piece("II"), (78, 41), 21, per_mv=7)
    for x, text in (
        (13, "feature maps"),
        (35, "mean\ngradient"),
        (64.5, "sum"),
        (88.5, "stretched"),
    ):
        say(axes, x, 57, text, weight="bold")
    say(axes, 64.5, 18.5, "12 leads \u00d7\nfew moments", color=SOFT, va="top")
    say(axes, 88.5, 16.5, "every sample\nof the beat", color=SOFT, va="top")
    return axes
