"""ECGs as figures: on paper as a cardiologist knows it, and reconstructions beside the truth."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

from ecgnb.explanation.signs import Found, find_signs, level_beat
from ecgnb.explanation.windows import BEFORE, SAMPLING_RATE
from ecgnb.figures.style import (
    COLOURS,
    GRID,
    GRID_BOLD,
    GUESS,
    MM_PER_MV,
    MM_PER_S,
    PALETTE,
    TRUTH,
)
from ecgnb.leads import LEADS
from ecgnb.records.record import Record
from ecgnb.text import for_figure

_PULSE_S = 0.4  # room for the calibration pulse

_GAP_S = 0.2  # between two columns of leads

SHOWN_S = 2.5


def _draw_paper(axes: Axes, duration_s: float, low_mv: float, high_mv: float) -> Axes:
    """Return the axes with the grid of ECG paper: small squares 40 ms and 0.1 mV."""
    for step_s, step_mv, colour, width in ((0.04, 0.1, GRID, 0.3), (0.2, 0.5, GRID_BOLD, 0.6)):
        times = np.arange(0, duration_s + 1e-9, step_s)
        levels = np.arange(np.floor(low_mv * 2) / 2, high_mv + 1e-9, step_mv)
        lines = [[(t, levels[0]), (t, levels[-1])] for t in times]
        lines += [[(0, level), (times[-1], level)] for level in levels]
        axes.add_collection(LineCollection(lines, colors=colour, linewidths=width, zorder=0))
    axes.set_aspect(MM_PER_MV / MM_PER_S)
    return axes


def _row_distance(centred: np.ndarray, n_row: int) -> float:
    """Return the distance of two rows at which a row hardly touches the next, 1.5 to 3 mV."""
    below = np.arange(len(centred)) % n_row > 0
    reach = np.nanmax(centred[below], axis=1) - np.nanmin(centred[:-1][below[1:]], axis=1)
    return float(np.clip(np.ceil(2 * reach.max(initial=0)) / 2, 1.5, 3.0))


def _label_paper(axes: Axes, starts: np.ndarray, bases: np.ndarray, duration_s: float) -> None:
    """Mark seconds in every column, 0 and 1 mV in every row, and fit the height of the figure."""
    step_s = 0.5 if duration_s < 2 else 1.0
    marks = np.arange(0, duration_s - (0.3 if len(starts) > 1 else 0) + 1e-9, step_s)
    axes.set_xticks(
        [start + mark for start in starts for mark in marks],
        [f"{m:g}" for _ in starts for m in marks],
    )
    axes.set_yticks([base + mv for base in bases for mv in (0, 1)], ["0", "1"] * len(bases))
    axes.set(xlabel="time / s (25 mm/s)", ylabel="voltage / mV (10 mm/mV)")
    figure = axes.figure
    if len(figure.axes) == 1:
        (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
        width = figure.get_figwidth()
        ratio = (high - low) * MM_PER_MV / ((right - left) * MM_PER_S)
        figure.set_figheight((width - 0.7) * ratio + 0.6)


def plot_error(axes: Axes, error_mv: np.ndarray, sampling_rate: float) -> Axes:
    """Return the axes with an error `(time,)` in mV drawn near the lower edge, to scale."""
    level = axes.get_ylim()[0] + 0.6
    times = _PULSE_S + np.arange(len(error_mv)) / sampling_rate
    axes.plot(times, error_mv + level, color=COLOURS[0], linewidth=0.9)
    axes.text(0.05, level, "error", color=COLOURS[0], va="center")
    return axes


def plot_reconstruction(
    axes: Axes,
    made: Record,
    lead: str,
    *,
    start_s: float = 0.0,
    duration_s: float = SHOWN_S,
    bands: Record | None = None,
) -> Axes:
    """Return the axes with 12 leads on ECG paper: the recorded one black, the others orange.

    Parameters
    ----------
    axes
        To draw on.
    made
        From `personal.reconstruct`.
    lead
        The recorded one.
    start_s, duration_s
        The piece that is shown.
    bands
        From `personal.reconstruct_with_bands`: drawn as pale areas around the leads.
    """
    start = round(start_s * made.sampling_rate)
    stop = min(start + round(duration_s * made.sampling_rate), made.n_time)
    limits = None if bands is None else bands.signals[:, start:stop].reshape(2, len(LEADS), -1)
    plot_ecg(axes, made.signals[:, start:stop], made.sampling_rate, limits=limits)
    courses = [line for line in axes.lines if len(line.get_xdata()) == stop - start]
    for name, line in zip(LEADS, courses, strict=True):  # the other lines are pulses
        line.set_color(TRUTH if name == lead else GUESS)
    text = f"{for_figure(made.name)}: {lead} recorded, 11 leads reconstructed"
    text += "" if bands is None else ", 90 % bands"
    axes.set_title(f"{text}. Not for diagnosis.")
    return axes


def plot_ecg(
    axes: Axes,
    signals: np.ndarray,
    sampling_rate: float,
    *,
    leads: Sequence[str] = LEADS,
    overlay: np.ndarray | None = None,
    limits: np.ndarray | None = None,
    spacing_mv: float | None = None,
    n_column: int | None = None,
) -> Axes:
    """Return the axes with leads on ECG paper, 25 mm/s and 10 mm/mV, and a 1 mV pulse per row.

    Squares are square: 1 s is as wide as 2.5 mV are high. Where the axes are alone in their
    figure, its height is set to fit.

    Parameters
    ----------
    axes
        To draw on.
    signals
        `(lead, time)`, mV; each lead is drawn around its median.
    sampling_rate
        Hz.
    leads
        Names of the leads; they fill the first column downwards, then the next.
    overlay
        A second set of signals, drawn over the first in orange.
    limits
        Lower and upper `(2, lead, time)`, drawn as pale orange areas.
    spacing_mv
        Distance of two rows; without it 1.5 to 3 mV, so that rows hardly touch.
    n_column
        4 for 12 leads, as in clinics, 2 for four or more, else 1.
    """
    n_column = n_column or {12: 4}.get(len(leads), 2 if len(leads) >= 4 else 1)
    n_row = -(-len(leads) // n_column)
    duration_s = signals.shape[-1] / sampling_rate
    starts = _PULSE_S + np.arange(n_column) * (duration_s + _GAP_S)
    centred = signals - np.nanmedian(signals, axis=1, keepdims=True)
    spacing_mv = spacing_mv or _row_distance(centred, n_row)
    bases = spacing_mv * np.arange(n_row)[::-1]
    high = bases[0] + max(1.1, float(np.nanmax(centred[::n_row])) + 0.2)
    low = min(-0.5, float(np.nanmin(centred[n_row - 1 :: n_row]))) - (1.2 if n_row == 1 else 0.3)
    _draw_paper(axes, starts[-1] + duration_s + 0.1, low, high)
    axes.set(xlim=(0, starts[-1] + duration_s + 0.1), ylim=(low, high))
    for base in bases:
        axes.plot([0.1, 0.1, 0.3, 0.3], base + np.array([0, 1, 1, 0]), color=TRUTH, lw=0.8)
    for place, lead in enumerate(leads):
        start, base = starts[place // n_row], bases[place % n_row]
        times = start + np.arange(signals.shape[-1]) / sampling_rate
        axes.plot(times, base + centred[place], color=TRUTH, lw=0.9 if overlay is None else 1.7)
        if limits is not None:
            low_mv, high_mv = limits[:, place] - np.nanmedian(signals[place]) + base
            axes.fill_between(times, low_mv, high_mv, color=GUESS, alpha=0.25, lw=0)
        if overlay is not None:
            moved = overlay[place] - np.nanmedian(signals[place])
            axes.plot(times, base + moved, color=GUESS, lw=0.9)
        box = {"facecolor": "white", "alpha": 0.8, "linewidth": 0, "pad": 0.5}
        axes.text(start + 0.02, base + 0.75, lead, weight="bold", bbox=box, zorder=4)
    _label_paper(axes, starts, bases, duration_s)
    return axes


def plot_signs(
    axes: Sequence[Axes],
    windows: np.ndarray,
    condition: str,
    *,
    healthy: np.ndarray | None = None,
    told: Sequence[bool] = (),
) -> Sequence[Axes]:
    """Return the axes with the median beat of a condition and an arrow at each of its signs.

    Parameters
    ----------
    axes
        One for each lead with a sign, in the order of `signs.signs_of`.
    windows
        Beats of the people of the condition `(beat, lead, time)`, mV.
    condition
        Theirs; its colour is that of the beat.
    healthy
        Beats of healthy people, drawn behind in grey.
    told
        Whether the data show each sign; the words of one that they do not show say so.
    """
    signs = find_signs(windows, condition)
    ends = [" (not here)" if not one else "" for one in told] or [""] * len(signs)
    leads = list(dict.fromkeys(one.sign.lead for one in signs))
    for place, lead in zip(axes, leads, strict=True):
        drawn = [("healthy people", "0.55", "--", healthy)] if healthy is not None else []
        drawn += [(condition, PALETTE[condition], "-", windows)]
        for label, colour, style, beats in drawn:
            course = level_beat(beats)[0][LEADS.index(lead)]
            times_s = (np.arange(course.size) - BEFORE) / SAMPLING_RATE
            place.plot(times_s, course, style, color=colour, lw=1.6, label=label)
        place.axhline(0, color="0.85", lw=0.8, zorder=0)
        place.margins(x=0, y=0.45)
        here = [pair for pair in zip(signs, ends, strict=True) if pair[0].sign.lead == lead]
        _point_at(here, place)
        place.set(title=f"lead {lead}", ylabel="mV")
    axes[-1].set_xlabel("time after the R peak / s")
    named = {"loc": "outside upper center", "ncols": 2, "frameon": False}
    axes[0].figure.legend(*axes[0].get_legend_handles_labels(), **named)
    return axes


def _point_at(signs: Sequence[tuple[Found, str]], axes: Axes) -> None:
    """Write the words of signs at the edges of the axes, no two near each other, with arrows."""
    low, high = axes.get_ylim()
    before = (-1.0, False)
    for one, end in sorted(signs, key=lambda pair: pair[0].time_s):
        above = one.voltage_mv > (low + high) / 2
        if one.time_s - before[0] < 0.3 and above == before[1]:
            above = not above
        before = (one.time_s, above)
        early = -0.05 < one.time_s < 0.05
        words = axes.annotate(
            f"{one.sign.words}{end}",
            xy=(one.time_s, one.voltage_mv),
            xytext=(one.time_s + (-0.03 if early else 0.02), 0.96 if above else 0.04),
            textcoords=axes.get_xaxis_transform(),
            ha="right" if early else "center" if one.time_s > 0.15 else "left",
            va="top" if above else "bottom",
            color="0.4" if end else TRUTH,
            arrowprops={"arrowstyle": "->", "color": "0.4" if end else TRUTH, "shrinkB": 2},
        )
        words.set_in_layout(False)
