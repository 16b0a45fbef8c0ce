"""Scores as figures: matrices of leads, intervals, courses of fits, the family of choices."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from ecgnb.figures.style import COLOURS
from ecgnb.leads import LEADS
from ecgnb.paper import PAPER


def plot_lead_scores(axes: Axes, table: pd.DataFrame, methods: Sequence[str]) -> Axes:
    """Return the axes with the error of each lead by method, with intervals over patients.

    Parameters
    ----------
    axes
        To draw on; logarithmic.
    table
        From `group_scores.summarise_scores` by lead, of one condition.
    methods
        Which ones, at most three.
    """
    for place, method in enumerate(methods):
        rows = table[table["method"] == method].set_index("lead").reindex(LEADS)
        places = np.arange(len(LEADS)) + 0.2 * (place - 1)
        axes.vlines(places, rows["mse_low"], rows["mse_high"], color=COLOURS[place])
        axes.plot(places, rows["mse"], "o", color=COLOURS[place], ms=4, label=method)
    axes.set_xticks(range(len(LEADS)), LEADS)
    axes.set(yscale="log", ylabel="mean squared error\n(squared scaled units)")
    axes.legend(frameon=False, ncols=len(methods))
    return axes


def plot_expectation(axes: Axes, table: pd.DataFrame) -> Axes:
    """Return the axes with achieved over expected r, a dot per lead and record, by origin.

    Parameters
    ----------
    axes
        To draw on.
    table
        Columns `r_expected`, `r_achieved` and `origin`.
    """
    for origin, group in table.groupby("origin"):
        axes.plot(group["r_expected"], group["r_achieved"], "o", ms=3, alpha=0.5, label=origin)
    axes.axline((1, 1), slope=1, color="0.5", lw=0.8, zorder=0)
    low = table[["r_expected", "r_achieved"]].min().min() - 0.03
    axes.set(xlabel="expected r", ylabel="achieved r", xlim=(low, 1.01), ylim=(low, 1.01))
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
    axes.hlines(rows, table[f"{stem}_low"], table[f"{stem}_high"], color=COLOURS[0], lw=2)
    axes.plot(table[value], rows, "o", color=COLOURS[0], ms=5)
    axes.set_yticks(rows, table["method"] if "method" in table else table.iloc[:, 0])
    axes.set_xlabel(label)
    axes.grid(axis="x", color="#e5e5e5", lw=0.6)
    return axes


def plot_history(axes: Axes, steps: Sequence[int], errors: np.ndarray, *, label: str) -> Axes:
    """Return the axes with validation errors `(check, member)`: median line, full range band."""
    errors = np.asarray(errors)
    (line,) = axes.plot(steps, np.median(errors, axis=1), label=label)
    low, high = errors.min(axis=1), errors.max(axis=1)
    axes.fill_between(steps, low, high, color=line.get_color(), alpha=0.15, lw=0)
    axes.set(xlabel="step", ylabel="validation error (scaled units²)", yscale="log")
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
