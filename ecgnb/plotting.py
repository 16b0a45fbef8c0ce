"""Every figure of the book: functions that take and return Axes, in one look."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

from ecgnb.leads import LEADS
from ecgnb.paper import PAPER
from ecgnb.records.labels import CONDITIONS

# Eight colours that differ by at least 17 (CIEDE2000) for normal sight and for each of the three
# common forms of colour blindness, each with a contrast of at least 3 : 1 to white paper.
COLOURS = (
    "#1C48DA", "#9A3C00", "#03865E", "#BA759C", "#899B12", "#2E96FF", "#625467", "#450462",
)  # fmt: skip
PALETTE = dict(zip(CONDITIONS, COLOURS, strict=True))
TRUTH, GUESS, GRID, GRID_BOLD = "#1a1a1a", "#D55E00", "#f3d9d9", "#e6b3b3"
MM_PER_S, MM_PER_MV = 25.0, 10.0
_PULSE_S = 0.4  # room for the calibration pulse
_GAP_S = 0.2  # between two columns of leads


def use_style() -> None:
    """Set the look of all figures: white paper, so that they are legible on any theme."""
    sns.set_theme(style="ticks", context="notebook", font_scale=0.9)
    plt.rcParams.update(
        {
            "figure.dpi": 130,
            "savefig.facecolor": "white",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.prop_cycle": plt.cycler(color=COLOURS),
            "svg.hashsalt": "ecgnb",
        }
    )


def draw_paper(axes: Axes, duration_s: float, low_mv: float, high_mv: float) -> Axes:
    """Return the axes with the grid of ECG paper: small squares 40 ms and 0.1 mV."""
    for step_s, step_mv, colour, width in ((0.04, 0.1, GRID, 0.3), (0.2, 0.5, GRID_BOLD, 0.6)):
        times = np.arange(0, duration_s + 1e-9, step_s)
        levels = np.arange(np.floor(low_mv * 2) / 2, high_mv + 1e-9, step_mv)
        lines = [[(t, levels[0]), (t, levels[-1])] for t in times]
        lines += [[(0, level), (times[-1], level)] for level in levels]
        axes.add_collection(LineCollection(lines, colors=colour, linewidths=width, zorder=0))
    axes.set_aspect(MM_PER_MV / MM_PER_S)
    return axes


def plot_ecg_paper(
    axes: Axes,
    signals: np.ndarray,
    sampling_rate: float,
    *,
    leads: Sequence[str] = LEADS,
    overlay: np.ndarray | None = None,
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
    draw_paper(axes, starts[-1] + duration_s + 0.1, low, high)
    axes.set(xlim=(0, starts[-1] + duration_s + 0.1), ylim=(low, high))
    for base in bases:
        axes.plot([0.1, 0.1, 0.3, 0.3], base + np.array([0, 1, 1, 0]), color=TRUTH, lw=0.8)
    for place, lead in enumerate(leads):
        start, base = starts[place // n_row], bases[place % n_row]
        times = start + np.arange(signals.shape[-1]) / sampling_rate
        axes.plot(times, base + centred[place], color=TRUTH, lw=0.9 if overlay is None else 1.7)
        if overlay is not None:
            moved = overlay[place] - np.nanmedian(signals[place])
            axes.plot(times, base + moved, color=GUESS, lw=0.9)
        axes.text(start + 0.02, base + 0.75, lead, fontsize=9, weight="bold")
    _label_paper(axes, starts, bases, duration_s)
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
    axes.tick_params(labelsize=8)
    figure = axes.figure
    if len(figure.axes) == 1:
        (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
        width = figure.get_figwidth()
        ratio = (high - low) * MM_PER_MV / ((right - left) * MM_PER_S)
        figure.set_figheight((width - 0.7) * ratio + 0.6)


def plot_matrix(axes: Axes, matrix: pd.DataFrame, *, label: str, **options: object) -> Axes:
    """Return the axes with a heat map of a table; rows and columns keep their order."""
    settings = {"cmap": "viridis", "annot": True, "fmt": ".2f", "annot_kws": {"size": 6.5}}
    sns.heatmap(matrix, ax=axes, cbar_kws={"label": label}, **(settings | options))
    axes.tick_params(axis="both", labelrotation=0, length=0)
    axes.tick_params(axis="x", labelrotation=45)
    return axes


def pair_matrix(table: pd.DataFrame, score: str) -> pd.DataFrame:
    """Return the mean of a score over records as a table input lead x output lead."""
    matrix = table.groupby(["input_lead", "output_lead"])[score].mean().unstack()
    return matrix.reindex(index=LEADS, columns=LEADS)


def plot_intervals(axes: Axes, table: pd.DataFrame, *, value: str, label: str) -> Axes:
    """Return the axes with one dot and 95 % bar per row of a `summarise` table."""
    rows = np.arange(len(table))[::-1]
    stem = value.removesuffix("_mean")
    axes.hlines(rows, table[f"{stem}_low"], table[f"{stem}_high"], color=COLOURS[0], lw=2)
    axes.plot(table[value], rows, "o", color=COLOURS[0], ms=5)
    axes.set_yticks(rows, table["method"] if "method" in table else table.iloc[:, 0])
    axes.set_xlabel(label)
    axes.grid(axis="x", color="#e5e5e5", lw=0.6)
    return axes


def plot_map(
    axes: Axes,
    relevance: np.ndarray,
    sampling_rate: float,
    *,
    before: int,
    leads: Sequence[str] = LEADS,
    label: str = "relevance",
) -> Axes:
    """Return the axes with a map `(lead, time)` around the R peak; red adds, blue takes away."""
    limit = float(np.nanmax(np.abs(relevance))) or 1.0
    times = (np.array([0, relevance.shape[1]]) - before) / sampling_rate
    image = axes.imshow(
        relevance,
        aspect="auto",
        cmap="RdBu_r",
        vmin=-limit,
        vmax=limit,
        extent=(times[0], times[1], len(leads) - 0.5, -0.5),
        interpolation="nearest",
    )
    axes.set_yticks(range(len(leads)), leads)
    axes.axvline(0, color="#555555", lw=0.6, ls=":")
    axes.set_xlabel("time after the R peak / s")
    axes.figure.colorbar(image, ax=axes, label=label, shrink=0.8)
    return axes


def plot_history(axes: Axes, steps: Sequence[int], errors: np.ndarray, *, label: str) -> Axes:
    """Return the axes with validation errors `(check, member)`: median line, full range band."""
    errors = np.asarray(errors)
    (line,) = axes.plot(steps, np.median(errors, axis=1), label=label)
    low, high = errors.min(axis=1), errors.max(axis=1)
    axes.fill_between(steps, low, high, color=line.get_color(), alpha=0.15, lw=0)
    axes.set(xlabel="step", ylabel="validation error (scaled units²)", yscale="log")
    return axes


def plot_error(axes: Axes, error_mv: np.ndarray, sampling_rate: float) -> Axes:
    """Return the axes with an error `(time,)` in mV drawn near the lower edge, to scale."""
    level = axes.get_ylim()[0] + 0.6
    times = _PULSE_S + np.arange(len(error_mv)) / sampling_rate
    axes.plot(times, error_mv + level, color=COLOURS[0], linewidth=0.9)
    axes.text(0.05, level, "error", fontsize=8, color=COLOURS[0], va="center")
    return axes


def plot_multiverse(axes: Sequence[Axes], table: pd.DataFrame) -> None:
    """Draw members in order of r: r, mean squared error and, below, the choices of each.

    Lines mark the paper's scores: its CNN solid, its least squares dotted.

    Parameters
    ----------
    axes
        Three axes, one above the other, that share x.
    table
        A row per member: its choices, then `n_record`, `mse` and `r`.
    """
    choices = [name for name in table.columns if name not in {"n_record", "mse", "r"}]
    table = table.sort_values("r", ignore_index=True)
    for axis, score, colour in zip(axes, ("r", "mse"), COLOURS, strict=False):
        axis.plot(table[score], "o", ms=4, color=colour)
        for model, style in (("cnn", "-"), ("line", ":")):
            axis.axhline(PAPER[model][score == "r"], color="0.5", linewidth=0.8, linestyle=style)
        axis.set_ylabel({"r": "mean r", "mse": "mean squared\nerror (scaled)"}[score])
    axes[1].set_yscale("log")
    options = [(choice, value) for choice in choices for value in sorted(table[choice].unique())]
    for row, (choice, value) in enumerate(options):
        members = np.flatnonzero(table[choice] == value)
        axes[2].plot(members, np.full(members.size, row), "s", ms=3.5, color="0.35")
    labels = [f"{choice.removesuffix('_s')} {value}" for choice, value in options]
    axes[2].set_yticks(range(len(options)), labels, fontsize=7)
    axes[2].invert_yaxis()
    axes[2].set_xlabel("members of the family, in order of r")
