"""Maps of relevance as figures: beside the beat, by lead and wave, by condition."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ecgnb.explanation.shares import AXES, ENOUGH_POWER, LAYERS, LEVEL
from ecgnb.figures.scores import plot_matrix
from ecgnb.figures.style import COLOURS, TRUTH, colour_conditions
from ecgnb.figures.tables import in_words
from ecgnb.leads import LEADS

_SHOWN = ("II", "V2", "V5")


def _map_limit(tables: Sequence[pd.DataFrame], attribution: str) -> float:
    """Return the largest absolute relevance of several maps, for one colour scale."""
    return max(float(np.abs(table[attribution]).max()) for table in tables) or 1.0


def plot_explained(
    axes: Sequence[Axes], maps: pd.DataFrame, attribution: str, *, limit: float | None = None
) -> None:
    """Draw the average beat in II, V2 and V5 above and the mean map of all leads below.

    Red adds to the target, blue takes away; white is nothing. Dotted: the R peak.

    Parameters
    ----------
    axes
        Two axes, one above the other.
    maps
        Rows of lead and time with `beat_mv` and a column per attribution.
    attribution
        Which map.
    limit
        End of the colour scale; by default the map's largest absolute value.
    """
    limit = limit or _map_limit([maps], attribution)
    beat, relevance = (
        maps.pivot_table(index="lead", columns="time_s", values=name).reindex(LEADS)
        for name in ("beat_mv", attribution)
    )
    times = beat.columns.to_numpy()
    step = times[1] - times[0]
    edges = (times[0] - step / 2, times[-1] + step / 2)
    for lead, colour in zip(_SHOWN, (COLOURS[6], TRUTH, COLOURS[0]), strict=True):
        axes[0].plot(times, beat.loc[lead], label=lead, color=colour, lw=1.1)
    axes[0].legend(frameon=False, loc="upper right", handlelength=1, ncols=3, columnspacing=1)
    axes[0].set(xlim=edges, ylabel="mV", title=attribution)
    image = axes[1].imshow(
        relevance,
        aspect="auto",
        cmap="RdBu_r",
        vmin=-limit,
        vmax=limit,
        extent=(*edges, len(LEADS) - 0.5, -0.5),
        interpolation="nearest",
    )
    axes[1].set_yticks(range(len(LEADS)), LEADS)
    axes[1].set_xlabel("time after the R peak / s")
    axes[1].figure.colorbar(
        image,
        ax=axes[1],
        orientation="horizontal",
        label="relevance",
        ticks=[-limit, 0, limit],
        format="%.2g",
        shrink=0.8,
        aspect=40,
    )
    for axis in axes:
        axis.axvline(0, color="#555555", lw=0.6, ls=":")


def plot_shares(
    axes: Sequence[Axes], summary: pd.DataFrame, *, axis: str, value: str = "share"
) -> Sequence[Axes]:
    """Return the axes with shares or densities: one axes per attribution, a colour per target.

    Parameters
    ----------
    axes
        One for each attribution, above each other, with a common x axis.
    summary
        From `shares.summarise_shares`, of one condition.
    axis
        `lead` or `wave`.
    value
        `share`, `per_ms` or `per_mv`.
    """
    chosen = summary[summary["axis"] == axis]
    names = list(dict.fromkeys(chosen["name"]))
    targets = list(dict.fromkeys(chosen["target"]))
    offsets = np.linspace(-0.3, 0.3, len(targets))
    for place, (attribution, group) in zip(
        axes, chosen.groupby("attribution", sort=False), strict=True
    ):
        for target, offset, colour, marker in zip(
            targets, offsets, COLOURS, "os^DvP", strict=False
        ):
            rows = group[group["target"] == target].set_index("name").reindex(names)
            where, look = np.arange(len(names)) + offset, {"color": colour, "ls": "", "ms": 5}
            place.plot(where, rows[value], marker=marker, label=in_words(target), **look)
            if value == "share":
                place.vlines(where, rows["low"], rows["high"], color=colour, lw=1)
        place.axhline(1 / len(names) if value == "share" else 1, color="grey", ls="--", lw=0.8)
        place.set_xticks(range(len(names)), names)
        place.set_title(attribution)
    above = {"loc": "outside upper center", "ncols": 2, "frameon": False}
    axes[0].figure.legend(*axes[0].get_legend_handles_labels(), **above)
    return axes


def _count_labels(frame: pd.DataFrame, counts: dict[str, int]) -> pd.DataFrame:
    """Return a table whose rows are conditions with the number of patients in their names."""
    return frame.rename(index={name: f"{name} (n = {count})" for name, count in counts.items()})


def plot_shares_by_condition(
    axes: Axes, summary: pd.DataFrame, *, axis: str, value: str, limits: tuple[float, float]
) -> Axes:
    """Return the axes with a heat map of conditions by leads or waves, n in every row's name.

    Drawn is the mean over targets of integrated gradients.

    Parameters
    ----------
    axes
        To draw on.
    summary
        From `shares.summarise_shares`.
    axis, value
        `lead` or `wave`; `share`, `per_ms` or `per_mv`.
    limits
        Ends of the colour scale, the same for all that is compared.
    """
    chosen = (summary["axis"] == axis) & (summary["attribution"] == "integrated gradients")
    rows = summary[chosen]
    wide = rows.pivot_table(values=value, index="condition", columns="name", sort=False)
    counts = rows.groupby("condition")["n_patient"].max().to_dict()
    label = {"share": "share of relevance", "per_ms": "relevance per time"}.get(value, value)
    plot_matrix(
        axes,
        _count_labels(wide[list(AXES[axis])], counts),
        label=label,
        fmt=".2f",
        vmin=limits[0],
        vmax=limits[1],
    )
    colour_conditions(axes)
    axes.set(xlabel="", ylabel="")
    axes.tick_params(axis="x", labelrotation=0)
    return axes


def plot_randomised(axes: Sequence[Axes], numbers: pd.DataFrame) -> None:
    """Draw the rank correlation with the original map as layers are drawn anew, by attribution.

    Parameters
    ----------
    axes
        One per attribution.
    numbers
        Rows of tests, columns of attribution and target.
    """
    rows = numbers.loc[[f"randomised down to {name}" for name in LAYERS]]
    for axis, name in zip(axes, rows.columns.unique(0), strict=False):
        for target, course in rows[name].dropna(axis=1).items():
            axis.plot(range(len(LAYERS)), course, marker="o", ms=3, label=in_words(target))
        axis.set_xticks(range(len(LAYERS)), [in_words(one) for one in LAYERS], rotation=30)
        axis.axhline(0.5, color="grey", ls="--", lw=0.8)
        axis.set(title=name, ylabel="rank correlation", ylim=(-1.05, 1.05))
    axes[-1].legend(frameon=False, loc="lower left")


def plot_power(axes: Axes, refits: pd.DataFrame, *, axis: str) -> Axes:
    """Return the axes with how often planted differences are found, by their size.

    A colour per measure, a marker per condition that is imitated; bars are 95 % intervals over
    refits. Dashed: the power from which on a difference may be called absent; dotted: what chance
    finds.

    Parameters
    ----------
    axes
        To draw on.
    refits
        From `comparisons.judge_refits`.
    axis
        `lead` or `wave`.
    """
    planted = refits[refits["people"] == "simulated"]
    measures = dict(zip(dict.fromkeys(planted["measure"]), COLOURS, strict=False))
    kinds = dict(zip(dict.fromkeys(planted["condition"]), "os^", strict=False))
    planted = planted[planted["axis"] == axis]
    for (measure, kind), rows in planted.groupby(["measure", "condition"], sort=False):
        rows, look = rows.sort_values("size"), {"color": measures[measure], "ms": 5, "lw": 1}
        axes.plot(100 * rows["size"], rows["beyond"], marker=kinds[kind], **look)
        axes.vlines(100 * rows["size"], rows["low"], rows["high"], color=measures[measure], lw=1)
    for label, colour in measures.items():
        axes.plot([], [], color=colour, lw=2, label=in_words(label))
    for label, marker in kinds.items():
        axes.plot([], [], marker, color="black", mfc="none", ms=5, label=label)
    axes.axhline(ENOUGH_POWER, color="grey", ls="--", lw=0.8)
    axes.axhline(LEVEL, color="grey", ls=":", lw=0.8)
    axes.set(xlabel="planted difference / % of the heartbeat", ylabel="found", ylim=(-0.03, 1.03))
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
    """Return the axes with a map `(lead, time)` around the R peak; red adds, blue takes away.

    The middle of a cell is the moment of its sample, so that sample `before` lies at 0.
    """
    limit = float(np.nanmax(np.abs(relevance))) or 1.0
    times = (np.array([0, relevance.shape[1]]) - 0.5 - before) / sampling_rate
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
