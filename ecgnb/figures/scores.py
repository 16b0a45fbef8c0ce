"""Scores as figures: matrices of leads, intervals, courses of fits, the family of choices."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from ecgnb.figures.style import COLOURS, SMALLEST_PT
from ecgnb.figures.tables import in_words
from ecgnb.leads import LEADS, LIMB_LEADS
from ecgnb.paper import PAPER
from ecgnb.reconstruction.scores import hearts_of


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
    settings = {"cmap": "viridis", "annot": True, "fmt": ".2f", "annot_kws": {"size": SMALLEST_PT}}
    sns.heatmap(matrix, ax=axes, cbar_kws={"label": label}, **(settings | options))
    axes.tick_params(axis="both", labelrotation=0, length=0)
    axes.tick_params(axis="x", labelrotation=45)
    return axes


def plot_matrices(
    axes: Sequence[Axes], matrices: Mapping[str, pd.DataFrame], *, label: str
) -> Sequence[Axes]:
    """Return the axes with heat maps of several tables in one colour scale, with one bar for all.

    Parameters
    ----------
    axes
        One for each table.
    matrices
        By the title of each.
    label
        What the colours mean.
    """
    low = min(float(np.nanmin(matrix)) for matrix in matrices.values())
    high = max(float(np.nanmax(matrix)) for matrix in matrices.values())
    for place, (title, matrix) in zip(axes, matrices.items(), strict=True):
        look = {"cmap": "viridis", "vmin": low, "vmax": high, "cbar": False, "square": True}
        sns.heatmap(matrix, ax=place, xticklabels=True, yticklabels=True, **look)
        place.set(title=in_words(title), xlabel="", ylabel="")
        place.tick_params(axis="x", labelrotation=90, length=0)
        place.tick_params(axis="y", labelrotation=0, length=0)
    bar = {"location": "bottom", "shrink": 0.6, "aspect": 40, "label": label}
    axes[0].figure.colorbar(axes[0].collections[0], ax=list(axes), **bar)
    return axes


def pair_matrix(table: pd.DataFrame, score: str) -> pd.DataFrame:
    """Return the mean of a score over hearts, each once, as a table input lead x output lead."""
    pair = ["input_lead", "output_lead"]
    by_heart = table.groupby([*pair, hearts_of(table)])[score].mean()
    matrix = by_heart.groupby(pair).mean().unstack()
    return matrix.reindex(index=LEADS, columns=LEADS)


def plot_intervals(axes: Axes, table: pd.DataFrame, *, value: str, label: str) -> Axes:
    """Return the axes with one dot and 95 % bar per row of a `summarise` table."""
    rows = np.arange(len(table))[::-1]
    stem = value.removesuffix("_mean")
    axes.hlines(rows, table[f"{stem}_low"], table[f"{stem}_high"], color=COLOURS[0], lw=2)
    axes.plot(table[value], rows, "o", color=COLOURS[0], ms=5)
    names = table["method"] if "method" in table else table.iloc[:, 0]
    axes.set_yticks(rows, [in_words(name) for name in names])
    axes.set_xlabel(label)
    axes.grid(axis="x", color="#e5e5e5", lw=0.6)
    return axes


def plot_hearts(
    axes: Axes, table: pd.DataFrame, *, label: str = "mean r", wanted: float | None = None
) -> Axes:
    """Return the axes with a row per heart and a dot per column, in order of the last column.

    A heart without a value there has its place by the column before.

    Parameters
    ----------
    axes
        To draw on.
    table
        A score of each heart (index) by method or situation (columns, at most four).
    label
        What the score is.
    wanted
        Where a line shows the score that is wanted.
    """
    if wanted is not None:
        axes.axvline(wanted, color="0.5", lw=0.8)
    last_known = table.ffill(axis=1).iloc[:, -1]
    ordered = table.loc[last_known.sort_values().index]
    rows = np.arange(len(ordered))
    axes.hlines(rows, ordered.min(axis=1), ordered.max(axis=1), color="#d9d9d9", lw=1.5)
    for name, colour, marker in zip(ordered, COLOURS, "osD^", strict=False):
        axes.plot(ordered[name], rows, marker, color=colour, ms=5, label=in_words(name))
    axes.set_yticks(rows, [str(name).removeprefix("ptbdb/") for name in ordered.index])
    axes.set_xlabel(label)
    axes.figure.legend(frameon=False, ncols=2, loc="outside upper center")
    return axes


_R_TICKS = (0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995)


def plot_expected(axes: Axes, table: pd.DataFrame) -> Axes:
    """Return the axes with the r that was achieved over the r that was expected.

    A dot is a person and an input lead in one situation; a line joins the means of four groups of
    equal size, by what was expected. On the diagonal both are the same.

    Parameters
    ----------
    axes
        To draw on, with scales that spread values near 1.
    table
        Columns `situation`, `heart`, `input_lead`, `r_expected`, `r`.
    """
    each = table.groupby(["situation", "heart", "input_lead"])[["r_expected", "r"]].mean()
    axes.plot([0.01, 0.9999], [0.01, 0.9999], color="0.5", lw=0.8)
    for colour, (name, cases) in zip(COLOURS, each.groupby("situation"), strict=False):
        groups = cases.groupby(pd.qcut(cases["r_expected"], 4)).mean()
        axes.plot(cases["r_expected"], cases["r"], "o", color=colour, ms=4, alpha=0.4, mew=0)
        axes.plot(groups["r_expected"], groups["r"], "o-", color=colour, ms=6, label=name)
    axes.set(xscale="logit", yscale="logit")
    ticks = [f"{tick:g}" for tick in _R_TICKS]
    axes.set_xticks(_R_TICKS, ticks)
    axes.set_yticks(_R_TICKS, ticks)
    axes.minorticks_off()
    lowest = min(each.min()) - 0.05
    axes.set(xlabel="expected r", ylabel="achieved r", xlim=(lowest, 0.999), ylim=(lowest, 0.999))
    axes.figure.legend(frameon=False, ncols=2, loc="outside upper center")
    return axes


def plot_curve(axes: Axes, table: pd.DataFrame, x: str, *, label: str) -> Axes:
    """Return the axes with mean r over a quantity, a line and 95 % bars per method.

    Parameters
    ----------
    axes
        To draw on; the values of `x` stand at equal distances.
    table
        Of `studies.summarise_days` by `x` and method.
    x
        A column.
    label
        Of the x axis.
    """
    values = sorted(table[x].unique())
    for number, (name, rows) in enumerate(table.groupby("method", sort=False)):
        rows, colour = rows.sort_values(x), COLOURS[number]
        places = np.array([values.index(value) for value in rows[x]]) + 0.06 * (number - 2)
        axes.plot(places, rows["r_mean"], "o-", color=colour, ms=4, label=in_words(name))
        axes.vlines(places, rows["r_low"], rows["r_high"], color=colour, lw=1)
    axes.set_xticks(range(len(values)), [f"{value:g}" for value in values])
    axes.set(xlabel=label, ylabel="mean r")
    axes.figure.legend(frameon=False, ncols=2, loc="outside upper center")
    return axes


def plot_told(axes: Axes, table: pd.DataFrame) -> Axes:
    """Return the axes with the share of changes shown over that of false alarms, with intervals.

    Parameters
    ----------
    axes
        To draw on.
    table
        Of `studies.run_changes`, of one thing.
    """
    for (_, row), colour in zip(table.iterrows(), COLOURS, strict=False):
        axes.hlines(row["shown"], row["false_low"], row["false_high"], color=colour, lw=1)
        axes.vlines(row["false"], row["shown_low"], row["shown_high"], color=colour, lw=1)
        label = f"{in_words(row['method'])}, {row['n_visible']} lead{'s' * (row['n_visible'] > 1)}"
        axes.plot(row["false"], row["shown"], "o", color=colour, ms=6, label=label)
    axes.set(xlabel="false alarms", ylabel="shown", ylim=(-0.03, 1.03))
    return axes


def plot_history(axes: Axes, steps: Sequence[int], errors: np.ndarray, *, label: str) -> Axes:
    """Return the axes with validation errors `(check, member)`: median line, full range band."""
    errors = np.asarray(errors)
    (line,) = axes.plot(steps, np.median(errors, axis=1), label=in_words(label))
    low, high = errors.min(axis=1), errors.max(axis=1)
    axes.fill_between(steps, low, high, color=line.get_color(), alpha=0.15, lw=0)
    axes.set(xlabel="step", ylabel="validation error (scaled units²)", yscale="log")
    return axes


def plot_plateaus(axes: Axes, curves: pd.DataFrame) -> Axes:
    """Return the axes with each fit's validation error by its least: a line, a dot at its end.

    Parameters
    ----------
    curves
        Columns `record`, `method`, `seed`, `step` and `mse`; of each fit the first seed is drawn.
    """
    first = curves[curves["seed"] == curves["seed"].min()]
    for colour, (method, fits) in zip(COLOURS, first.groupby("method"), strict=False):
        for place, (_, fit) in enumerate(fits.groupby("record")):
            error = fit["mse"] / fit["mse"].min()
            label = in_words(method) if not place else None
            axes.plot(fit["step"], error, color=colour, lw=0.9, alpha=0.7, label=label)
            axes.plot(fit["step"].iloc[-1], error.iloc[-1], "o", ms=4, color=colour)
    axes.set(xlabel="step", ylabel="validation error by its least", yscale="log")
    axes.legend()
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
    labels = [f"{choice.removesuffix('_s')} {in_words(value)}" for choice, value in options]
    axes[2].set_yticks(range(len(options)), labels)
    axes[2].invert_yaxis()
    axes[2].set_xlabel("members of the family, in order of r")


_LIMB_STATES = ("none", *LIMB_LEADS, "two or more")


def plot_set_classes(axes: Axes, sets: Sequence[tuple[Sequence[str], int]]) -> Axes:
    """Return the axes with a cell for every set of leads that knows something different.

    A row for what the limb leads tell, a column for each choice of chest leads, few first; the
    colour tells how many sets of leads the cell stands for. The two cells of nothing and of
    everything stay empty.

    Parameters
    ----------
    axes
        To draw on.
    sets
        Of each the given leads, of which two limb leads stand for all, and how many sets it is.
    """
    chest = [lead for lead in LEADS if lead not in LIMB_LEADS]
    numbers = sorted(range(64), key=lambda number: (number.bit_count(), number))
    cells = np.full((len(_LIMB_STATES), len(numbers)), np.nan)
    for given, n_subset in sets:
        limb = [lead for lead in given if lead in LIMB_LEADS]
        row = _LIMB_STATES.index(limb[0]) if len(limb) == 1 else 0 if not limb else 7
        number = sum(1 << place for place, lead in enumerate(chest) if lead in given)
        cells[row, numbers.index(number)] = n_subset
    axes.pcolormesh(cells, cmap="Blues", vmin=-40, vmax=60, edgecolors="white", lw=0.4)
    axes.set_yticks(np.arange(len(_LIMB_STATES)) + 0.5, _LIMB_STATES)
    sizes = np.array([number.bit_count() for number in numbers])
    middles = [np.flatnonzero(sizes == size).mean() + 0.5 for size in range(7)]
    axes.set_xticks(middles, [str(size) for size in range(7)])
    for size in range(1, 7):
        axes.axvline(np.flatnonzero(sizes == size)[0], color="0.3", lw=0.8)
    axes.invert_yaxis()
    axes.set(xlabel="number of chest leads, a column for each choice", ylabel="limb leads")
    return axes


def plot_lead_numbers(
    axes: Axes, tables: Mapping[str, pd.DataFrame], *, value: str, label: str
) -> Axes:
    """Return the axes with a value over the number of leads, a line with 95 % bars per table.

    Parameters
    ----------
    axes
        To draw on.
    tables
        By what the legend says: `n_lead`, the value, and it with `_low` and `_high`.
    value, label
        Column, and what the axis says.
    """
    for place, (name, table) in enumerate(tables.items()):
        places = table["n_lead"] + 0.08 * (place - (len(tables) - 1) / 2)
        colour, style = COLOURS[place % len(COLOURS)], ("-", "--", ":", "-.")[place % 4]
        axes.vlines(places, table[f"{value}_low"], table[f"{value}_high"], color=colour, lw=1.5)
        marker = "osD^"[place % 4]
        axes.plot(places, table[value], style, marker=marker, ms=4, color=colour, label=name)
    axes.set(xlabel="number of leads", ylabel=label)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
    return axes


def plot_limits(axes: Axes, table: pd.DataFrame, *, label: str, rows: str = "method") -> Axes:
    """Return the axes with bias (dot) and 95 % limits of agreement (bar) of each row.

    Parameters
    ----------
    axes
        To draw on.
    table
        From `studies.compare_measures`, of one measure.
    label
        What the axis says, with the unit.
    rows
        Column that names the rows.
    """
    places = np.arange(len(table))[::-1]
    axes.hlines(places, table["limit_low"], table["limit_high"], color=COLOURS[0], lw=2)
    axes.plot(table["bias"], places, "o", color=COLOURS[1], ms=5)
    axes.axvline(0, color="0.5", lw=0.8, zorder=0)
    axes.set_yticks(places, [in_words(name) for name in table[rows]])
    axes.set_ylim(-0.6, len(table) - 0.4)
    axes.set_xlabel(label)
    return axes


def plot_arms(axes: Axes, table: pd.DataFrame, titles: Mapping[str, str]) -> Axes:
    """Return the axes with the AUROC of every arm by condition, with 95 % intervals.

    Parameters
    ----------
    axes
        To draw on.
    table
        From `studies.summarise_diagnosis`, of one input lead and the originals.
    titles
        Of the arms, in their order.
    """
    targets = list(dict.fromkeys(table["target"]))
    for place, (arm, title) in enumerate(titles.items()):
        own = table[table["arm"] == arm].set_index("target").reindex(targets)
        rows = np.arange(len(targets)) + 0.13 * (place - (len(titles) - 1) / 2)
        colour = COLOURS[place % len(COLOURS)]
        axes.hlines(rows, own["low"], own["high"], color=colour, lw=1.5)
        axes.plot(own["auroc"], rows, "osD^vP"[place % 6], ms=4, color=colour, label=title)
    axes.axvline(0.5, color="0.5", lw=0.8, zorder=0)
    counts = table.groupby("target")["n_with"].first()
    names = ["\n".join([*one.split(" ", 1), f"(n = {counts[one]})"]) for one in targets]
    axes.set_yticks(range(len(targets)), names)
    axes.invert_yaxis()
    axes.set_xlabel("AUROC")
    axes.figure.legend(frameon=False, loc="outside lower center")
    return axes
