"""Every figure of the book: functions that take and return Axes, in one look."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

from ecgnb.databases import CONDITIONS
from ecgnb.leads import LEADS
from ecgnb.multiverse import CHOICES, PAPER

# Okabe and Ito (2008): told apart with every common form of colour blindness.
_COLOURS = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F", "#332288",
)  # fmt: skip
PALETTE = dict(zip(CONDITIONS, _COLOURS, strict=True))
_PULSE_S = 0.4  # room for the calibration pulse
TRUTH, GUESS, GRID, GRID_BOLD = "#1a1a1a", "#D55E00", "#f3d9d9", "#e6b3b3"


def use_style() -> None:
    """Set the look of all figures: white ground, so that they are legible on any theme."""
    sns.set_theme(style="ticks", context="notebook", font_scale=0.85)
    plt.rcParams.update(
        {
            "figure.dpi": 110,
            "savefig.facecolor": "white",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.prop_cycle": plt.cycler(color=_COLOURS),
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
    return axes


def plot_ecg_paper(
    axes: Axes,
    signals: np.ndarray,
    sampling_rate: float,
    *,
    leads: Sequence[str] = LEADS,
    overlay: np.ndarray | None = None,
    spacing_mv: float = 2.0,
) -> Axes:
    """Return the axes with leads one above the other on ECG paper, and a 1 mV pulse.

    Parameters
    ----------
    axes
        To draw on.
    signals
        `(lead, time)`, mV.
    sampling_rate
        Hz.
    leads
        Names of the rows.
    overlay
        A second set of signals, drawn over the first in orange.
    spacing_mv
        Distance of two rows.
    """
    times = _PULSE_S + np.arange(signals.shape[-1]) / sampling_rate
    height = spacing_mv * len(leads)
    peak = float(np.nanmax(signals[0] - np.nanmedian(signals[0])))
    top = max(height, height - 0.75 * spacing_mv + peak + 0.3)
    draw_paper(axes, times[-1], -spacing_mv / 2 - 0.5, top)
    for row, lead in enumerate(leads):
        base = height - spacing_mv * (row + 1) + spacing_mv / 4
        axes.plot([0.1, 0.1, 0.3, 0.3], base + np.array([0, 1, 1, 0]), color=TRUTH, lw=0.7)
        middle = np.nanmedian(signals[row])
        axes.plot(times, base + signals[row] - middle, color=TRUTH, lw=0.9)
        if overlay is not None:
            axes.plot(times, base + overlay[row] - middle, color=GUESS, lw=0.8, alpha=0.9)
        axes.text(0.42, base + 0.55 * spacing_mv, lead, fontsize=8, weight="bold")
    axes.set(xlim=(0, times[-1]), ylim=(-spacing_mv / 2 - 0.5, top), yticks=[])
    axes.set_xlabel("time / s (25 mm/s, 10 mm/mV)")
    axes.spines[["left"]].set_visible(False)
    return axes


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
    axes.hlines(rows, table[f"{stem}_low"], table[f"{stem}_high"], color=_COLOURS[0], lw=2)
    axes.plot(table[value], rows, "o", color=_COLOURS[0], ms=5)
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
    axes.figure.colorbar(image, ax=axes, label="relevance", shrink=0.8)
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
    axes.plot(times, error_mv + level, color=_COLOURS[0], linewidth=0.9)
    axes.text(0.05, level, "error", fontsize=8, color=_COLOURS[0], va="center")
    return axes


def plot_multiverse(axes: Sequence[Axes], table: pd.DataFrame) -> None:
    """Draw members in order of r: r, mean squared error and, below, the choices of each.

    Lines mark the paper's scores: its CNN solid, its least squares dotted.

    Parameters
    ----------
    axes
        Three axes, one above the other, that share x.
    table
        From `multiverse.summarise_members`.
    """
    table = table.sort_values("r", ignore_index=True)
    for axis, score, colour in zip(axes, ("r", "mse"), _COLOURS, strict=False):
        axis.plot(table[score], "o", ms=4, color=colour)
        for model, style in (("cnn", "-"), ("line", ":")):
            axis.axhline(PAPER[model][score == "r"], color="0.5", linewidth=0.8, linestyle=style)
        axis.set_ylabel({"r": "mean r", "mse": "mean squared\nerror (scaled)"}[score])
    axes[1].set_yscale("log")
    options = [(choice, value) for choice in CHOICES for value in sorted(table[choice].unique())]
    for row, (choice, value) in enumerate(options):
        members = np.flatnonzero(table[choice] == value)
        axes[2].plot(members, np.full(members.size, row), "s", ms=3.5, color="0.35")
    labels = [f"{choice.removesuffix('_s')} {value}" for choice, value in options]
    axes[2].set_yticks(range(len(options)), labels, fontsize=7)
    axes[2].invert_yaxis()
    axes[2].set_xlabel("members of the family, in order of r")
