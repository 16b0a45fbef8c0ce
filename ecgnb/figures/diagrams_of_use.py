"""Diagrams of the later chapters and of the book itself: comparing, auditing, using, choosing.

Drawn as those of `diagrams`, with which they share their parts.
"""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from ecgnb.figures.diagram_parts import (
    BIG,
    BLUE,
    GREEN,
    INK,
    LINE,
    ORANGE,
    PURPLE,
    RED,
    SOFT,
    arrow,
    body,
    box,
    dots,
    open_sheet,
    people,
    piece,
    say,
    small_map,
    tint,
    trace,
    twelve,
)
from ecgnb.leads import LEADS


def draw_condition(axes: Axes) -> Axes:
    """Return the axes with how one condition is compared: people, maps, shares, a difference."""
    open_sheet(axes, 52)
    beats = np.abs(np.stack([piece(lead) for lead in LEADS]))[:, ::24]
    rows = (("this condition", 31, 4, ORANGE, 62.0), ("healthy", 8, 7, BLUE, 57.0))
    for name, y, n_person, colour, middle in rows:
        people(axes, [(3 + 4.4 * (k % 4), y + 7 * (k < 4)) for k in range(n_person)], colour)
        say(axes, 1, y + 15.5, name, color=colour, weight="bold", ha="left")
        arrow(axes, (20, y + 6), (24, y + 6))
        small_map(axes, beats, (25, y), (19, 12))
        arrow(axes, (45, y + 6), (49, y + 6))
        axes.plot([51, 70], [y + 1, y + 1], color=LINE, lw=1)
        spread = np.array([-4.6, -1.8, 0.4, 3.9, -3.3, 1.9, 5.2])[:n_person]
        dots(axes, [(middle + x, y + 4.5) for x in spread], colour, alpha=0.6)
        axes.plot([middle - 3, middle + 3], [y + 9, y + 9], color=colour, lw=2.4)
        dots(axes, [(middle, y + 9)], colour, ms=8)
    arrow(axes, (71.5, 39), (78, 31))
    arrow(axes, (71.5, 14), (78, 24))
    axes.plot([82, 82], [19, 38], color=LINE, lw=1.2, ls="--")
    axes.plot([80.5, 95], [27.5, 27.5], color=PURPLE, lw=2.4)
    dots(axes, [(88, 27.5)], PURPLE, ms=8)
    say(axes, 82, 40, "0", color=SOFT)
    say(axes, 88, 14.5, "difference,\ninterval over\npeople", color=PURPLE)
    for x, text in ((34.5, "map"), (60.5, "share of a lead")):
        say(axes, x, 3.2, text, color=SOFT)
    say(axes, 10, 3.2, "people", color=SOFT)
    return axes


def draw_refits(axes: Axes) -> Axes:
    """Return the axes with why the refit is the unit: distances by chance and from a condition."""
    open_sheet(axes, 64)
    groups = (
        ("eight healthy", 44, BLUE, (5, 8, 4, 7, 3)),
        ("other eight", 24, BLUE, (6, 6, 5, 8, 2)),
        ("eight with a condition", 4, ORANGE, (4, 7, 7, 5, 4)),
    )
    for name, y, colour, shares in groups:
        people(axes, [(3 + 4.2 * (k % 4), y + 6.6 * (k < 4)) for k in range(8)], colour)
        say(axes, 1, y + 15.5, name, color=colour, ha="left", weight="bold")
        arrow(axes, (19, y + 6), (22.5, y + 6))
        box(axes, (23, y + 2), (14.5, 8), "network", colour=SOFT)
        arrow(axes, (38, y + 6), (41.5, y + 6))
        for place, share in enumerate(shares):
            corner = (42.5 + 2.6 * place, y + 1)
            axes.add_patch(Rectangle(corner, 2, 1.3 * share, color=colour, lw=0))
    for low, high, colour, text in (
        (30, 50, BLUE, "distance\nby chance"), (10, 30, ORANGE, "distance of\nthe condition"),
    ):  # fmt: skip
        middle = (low + high) / 2
        arrow(axes, (57, low + 0.8), (57, high - 0.8), colour=colour, style="<|-|>")
        say(axes, 59, middle, text, color=colour, ha="left")
    say(axes, 88, 61, "all distances", color=SOFT)
    axes.plot([78, 78], [6, 57], color=LINE, lw=1.2)
    for y, width in zip(
        np.arange(10, 46, 3.0), (2, 5, 9, 12, 11, 9, 6, 4, 3, 2, 1, 1), strict=True
    ):
        axes.add_patch(Rectangle((78.6, y), width, 2.4, fc=tint(BLUE, 0.45), lw=0))
    axes.plot([77, 99], [42, 42], color=INK, lw=1.4, ls="--")
    say(axes, 99, 45, "95 % limit", ha="right")
    dots(axes, [(84, 26)], ORANGE, ms=10)
    say(axes, 88.5, 2.4, "inside: no sign", color=ORANGE)
    return axes


def draw_audit(axes: Axes) -> Axes:
    """Return the axes with five tests of a map, each a picture and a question."""
    open_sheet(axes, 76)
    beats = np.stack([piece(lead) for lead in LEADS[1::2]])
    found = np.abs(beats / np.abs(beats).max(axis=1, keepdims=True))[:, ::24]
    noise = np.random.default_rng(0).random(found.shape)
    swapped, equal = found[[3, 1, 2, 0, 4, 5]], found / found.sum(axis=1, keepdims=True)
    bump = np.zeros_like(found)
    bump[2, 9:11] = 1
    tests = (
        (noise, "Network drawn anew:", "does the map change?"),
        (swapped, "Leads swapped:", "does the map follow?"),
        (equal, "All leads equally tall:", "the same ranking?"),
        (np.where(found > 0.35, 0, found), "Marked part deleted:", "does the target move?"),
        (bump, "A bump planted:", "does the map find it?"),
    )
    for row, (after, name, question) in enumerate(tests):
        y = 61.5 - 15 * row
        small_map(axes, found, (1, y), (18, 12))
        arrow(axes, (20, y + 6), (24.5, y + 6))
        small_map(axes, after, (25.5, y), (18, 12))
        say(axes, 47, y + 8.3, name, ha="left", weight="bold")
        say(axes, 47, y + 3.7, question, ha="left", color=SOFT)
    axes.plot([80, 82, 82, 80], [73, 73, 2, 2], color=LINE, lw=1.4)
    axes.plot([82, 84], [38, 38], color=LINE, lw=1.4)
    box(axes, (84.5, 42), (15, 14), "all yes:\nbelieve\nthe map", colour=GREEN)
    box(axes, (84.5, 20), (15, 14), "one no:\ndo not", colour=ORANGE)
    return axes


def draw_own(axes: Axes) -> Axes:
    """Return the axes with the way of two files through checks and a model to twelve leads."""
    open_sheet(axes, 58)
    rows = (
        (36, "hospital file:\n12 leads, 5 s or more", BLUE),
        (8, "watch file:\n1 lead, later", GREEN),
    )
    for y, text, colour in rows:
        box(axes, (1, y), (26, 14), colour=colour, fill=0.06)
        say(axes, 14, y + 17.5, text, color=colour)
        arrow(axes, (27.5, y + 7), (32, y + 7), colour=colour)
        box(axes, (32.5, y + 2), (16, 10), "checks", colour=SOFT)
    twelve(axes, (8, 36.5), (12, 13), lw=0.7)
    trace(axes, piece("I", n_beat=2), (3, 13), 22, per_mv=6, color=GREEN)
    box(axes, (55, 33), (17, 20), "model of\nthis person", colour=BLUE)
    arrow(axes, (49, 43), (54.5, 43), colour=BLUE)
    arrow(axes, (49, 17), (58, 32.5), colour=GREEN)
    arrow(axes, (72.5, 43), (77.5, 43), colour=ORANGE)
    twelve(axes, (78, 31), (21, 24), color=ORANGE)
    say(axes, 88.5, 27.5, "12 leads, bands", color=ORANGE)
    for start in ((42, 9.5), (42, 37.5)):
        arrow(axes, start, (65, 11), colour=RED, bend=0.12, ls=":")
    box(axes, (65.5, 4), (33.5, 14), "or a plain no: what was\nfound, what to do", colour=RED)
    return axes


def draw_days(axes: Axes) -> Axes:
    """Return the axes with calibration and another day: electrodes moved, one lead, a change."""
    open_sheet(axes, 70)
    places = [(-2.7, 33), (1.6, 33), (4.2, 30.4), (6.8, 28), (10.2, 28), (13.4, 28.4)]
    places = 0.62 * np.array([*places, (-20, 41), (20, 41), (11, 3)])
    for x, text, colour in ((15, "calibration day", BLUE), (58, "another day", ORANGE)):
        body(axes, (x, 20), size=0.62)
        say(axes, x, 66.5, text, color=colour, weight="bold")
        here = places + np.array([x, 20])
        if colour == ORANGE:
            dots(axes, here, LINE, mfc="white")
            here = here + np.random.default_rng(3).uniform(-1.5, 1.5, here.shape)
        dots(axes, here, colour)
    twelve(axes, (29.5, 25), (14, 32), color=BLUE, lw=0.8)
    say(axes, 36.5, 60, "12 leads", color=BLUE)
    for twin, colour, look in ((0, LINE, "--"), (1, ORANGE, "-")):
        values = piece("V6", n_beat=1.0, twin=twin)
        trace(axes, values, (74, 42), 25, per_mv=11, color=colour, ls=look)
    say(axes, 86.5, 60, "1 lead", color=ORANGE)
    say(axes, 86.5, 33, "how it changed", color=SOFT)
    box(axes, (1, 2), (29, 12), "other people: how\nleads change together", colour=GREEN)
    box(axes, (38, 2), (24, 12), "most likely change\nof all 12", colour=PURPLE)
    box(axes, (70, 2), (29, 12), "12 leads of today", colour=ORANGE)
    arrow(axes, (30.5, 8), (37.5, 8), colour=GREEN)
    arrow(axes, (62.5, 8), (69.5, 8), colour=PURPLE)
    arrow(axes, (36.5, 24.5), (46, 14.5), colour=BLUE)
    arrow(axes, (86.5, 30), (60, 14.5), colour=ORANGE)
    return axes


def draw_unseen(axes: Axes) -> Axes:
    """Return the axes with a change that one lead cannot see, a band around it, and its expiry."""
    open_sheet(axes, 80)
    say(axes, 2, 76.5, "Two hearts", weight="bold", ha="left", size=BIG)
    arrow(axes, (3, 62), (25, 48), colour=BLUE, lw=1.6)
    say(axes, 6, 49, "lead II", color=BLUE)
    arrow(axes, (12, 56.3), (21, 61), colour=INK, lw=3)
    arrow(axes, (12, 56.3), (26.6, 69.8), colour=ORANGE, lw=3, zorder=2)
    arrow(axes, (21, 61), (26, 68.9), colour=ORANGE, style="-", ls=":")
    for column, lead in enumerate(("II", "V3")):
        x = 37 + 33 * column
        say(axes, x + 14, 76.5, lead, weight="bold", color=BLUE if lead == "II" else INK)
        for twin, colour, style in ((1, ORANGE, "-"), (0, INK, "--" if lead == "II" else "-")):
            trace(axes, piece(lead, twin=twin), (x, 59), 29, per_mv=9, color=colour, ls=style)
    say(axes, 51, 48.5, "the same", color=SOFT)
    say(axes, 84, 48.5, "not the same", color=SOFT)
    say(axes, 2, 38.5, "So: a band", weight="bold", ha="left", size=BIG)
    say(
        axes, 2, 31.5, "holds 90 % of what\nwas recorded, over\nmany people", ha="left", color=SOFT
    )
    guess, other = piece("V3", n_beat=4), piece("V3", n_beat=4, twin=1)
    x, width = 37 + np.linspace(0, 62, len(guess)), 0.14 + 0.28 * np.abs(guess)
    area = {"color": tint(ORANGE, 0.35), "lw": 0}
    axes.fill_between(x, 29 + 7 * (guess - width), 29 + 7 * (guess + width), **area)
    trace(axes, 0.55 * guess + 0.45 * other, (37, 29), 62, per_mv=7, lw=1.0)
    say(axes, 2, 15, "And: expiry", weight="bold", ha="left", size=BIG)
    say(axes, 2, 8.5, "how far the lead is\nfrom the calibration", ha="left", color=SOFT)
    for start, end, colour, text in (
        (37, 61, GREEN, "holds"), (61, 83, ORANGE, "note"), (83, 99, RED, "refused"),
    ):  # fmt: skip
        look = {"fc": tint(colour, 0.45), "ec": "white", "lw": 1}
        axes.add_patch(Rectangle((start, 9.5), end - start, 6, **look))
        say(axes, (start + end) / 2, 12.4, text)
    say(axes, 37, 6, "0", color=SOFT)
    say(axes, 98.5, 6, "1", color=SOFT)
    return axes


def draw_lead_sets(axes: Axes) -> Axes:
    """Return the axes with how 4,094 sets of leads become 510: limb leads collapse, others not."""
    open_sheet(axes, 60)
    for x, name, colour in ((2, "six limb leads", BLUE), (57, "six chest leads", GREEN)):
        say(axes, x, 57, name, color=colour, weight="bold", ha="left", size=BIG)
        say(axes, x, 52.5, "64 choices", color=SOFT, ha="left")
        dots(
            axes, [(x + 1.5 + 2.6 * (k % 8), 48 - 2.6 * (k // 8)) for k in range(64)], colour, ms=4
        )
    arrow(axes, (24, 39), (30, 39))
    kinds = [(32.5, 48 - 2.6 * k) for k in range(8)]
    dots(axes, kinds[:7], BLUE, ms=4)
    dots(axes, kinds[7:], BLUE, ms=13)
    for y, text in ((48, "none"), (40.2, "one of six"), (29.8, "two or more: all")):
        say(axes, 35.5, y, text, ha="left", color=BLUE)
    arrow(axes, (80, 39), (86, 39))
    say(axes, 93, 39, "64", color=GREEN, weight="bold", size=BIG)
    say(axes, 2, 17.5, "64 \u00d7 64 \u2212 2  =", ha="left", color=SOFT, size=BIG)
    say(axes, 32, 17.5, "4,094", weight="bold", size=20, ha="left")
    say(axes, 54, 17.5, "subsets of twelve leads", ha="left", color=SOFT)
    say(axes, 2, 6.5, "8 \u00d7 64 \u2212 2  =", ha="left", color=SOFT, size=BIG)
    say(axes, 32, 6.5, "510", weight="bold", size=20, ha="left", color=ORANGE)
    say(axes, 54, 6.5, "that know something different", ha="left", color=ORANGE)
    return axes


def draw_measures(axes: Axes) -> Axes:
    """Return the axes with what is measured on a beat, recorded and rebuilt."""
    open_sheet(axes, 60)
    left, low, width, per_mv, peak = 4, 22, 60, 22, 0.42
    beat, rebuilt = piece("V3"), 0.6 * piece("V3") + 0.4 * piece("V3", twin=1)
    trace(axes, rebuilt, (left, low), width, per_mv=per_mv, color=ORANGE, lw=2)
    trace(axes, beat, (left, low), width, per_mv=per_mv, lw=2)
    axes.plot([left, left + width], [low, low], color=LINE, lw=1, ls=":")
    half = len(beat) // 2
    tops = {"R": beat[:half].argmax(), "ST": int(len(beat) * (peak + 0.14))}
    tops["T"] = half + beat[half:].argmax()
    for (name, at), colour in zip(tops.items(), (BLUE, GREEN, PURPLE), strict=True):
        x, top = left + width * at / len(beat), low + per_mv * float(beat[at])
        arrow(axes, (x, low), (x, top), colour=colour, lw=2, style="-|>", zorder=5)
        where = {"R": (3, top - 3), "ST": (0, low - 3.2), "T": (0, low - 3.2)}[name]
        say(axes, x + where[0], where[1], name, color=colour, weight="bold")
    onset, j_point, end = (left + width * (peak + share) for share in (-0.06, 0.06, 0.4))
    for y, stop, name in ((5.5, j_point, "QRS"), (1.8, end, "QT")):
        arrow(axes, (onset, y), (stop, y), colour=INK, style="<|-|>")
        say(axes, onset - 1.5, y, name, ha="right", weight="bold")
    for x in (onset, j_point, end):
        axes.plot([x, x], [1.8, low], color=LINE, lw=1)
    say(axes, 70, 52, "recorded", ha="left", weight="bold")
    say(axes, 70, 47, "rebuilt", ha="left", weight="bold", color=ORANGE)
    texts = (
        ("R, T", "heights", BLUE),
        ("ST", "level, 60 ms after J", GREEN),
        ("QRS, QT", "durations", INK),
    )
    for row, (name, text, colour) in enumerate(texts):
        say(axes, 70, 36 - 9.5 * row, name, ha="left", weight="bold", color=colour)
        say(axes, 70, 32 - 9.5 * row, text, ha="left", color=SOFT)
    say(axes, 70, 5, "How far apart?", ha="left", weight="bold", size=BIG)
    return axes


_PARTS = (
    (
        (1, 73), (98, 17), "The recordings", BLUE,
        ("01  what is in them", "02  clean, split, scale"),
    ),
    (
        (1, 39), (46, 26), "Eleven leads from one", ORANGE,
        ("03  formulas", "04  networks", "05  which lead to wear", "Try it  in the browser"),
    ),
    (
        (53, 39), (46, 26), "What a network looks at", PURPLE,
        ("06  learn a condition", "07  where it looks", "08, 09  in each condition",
         "10  can it be believed?"),
    ),
    (
        (1, 4), (46, 26), "Beyond one recording", GREEN,
        ("11, 12  your ECG, another day", "13  what is unknown", "14  which leads",
         "15  does the message survive?"),
    ),
    ((53, 12), (46, 14), "The scorecard", SOFT, ("what holds of the paper",)),
)  # fmt: skip


def draw_book(axes: Axes) -> Axes:
    """Return the axes with a map of the book: its parts and which of them builds on which."""
    open_sheet(axes, 92)
    for (x, y), (width, height), name, colour, chapters in _PARTS:
        box(axes, (x, y), (width, height), colour=colour, fill=0.08)
        top = y + height
        say(axes, x + 2.5, top - 3.6, name, color=colour, weight="bold", size=BIG, ha="left")
        for row, chapter in enumerate(chapters):
            say(axes, x + 2.5, top - 8.8 - 4.4 * row, chapter, ha="left")
    for start, end in (
        ((24, 72.5), (24, 65.8)), ((76, 72.5), (76, 65.8)), ((24, 38.5), (24, 30.8)),
        ((76, 38.5), (76, 26.8)), ((47.5, 48), (58, 26.8)), ((47.5, 19), (52.6, 19)),
    ):  # fmt: skip
        arrow(axes, start, end, lw=2)
    return axes
