"""Figures of what records contain, how simulated ones compare, and of their preprocessing.

Each function takes and returns Axes. Groups of records come as a mapping from the words of the
legend to a table of `description.describe_records`.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ecgnb.figures.maps import plot_map
from ecgnb.figures.style import COLOURS, colour_conditions
from ecgnb.leads import LEADS, lead_index
from ecgnb.records.labels import CONDITIONS
from ecgnb.signals.description import BAND_EDGES_HZ
from ecgnb.signals.preparation import Prepared
from ecgnb.signals.steps import Step
from ecgnb.simulation.synthesis import WAVE_GROUPS, Simulated

WAVE_COLOURS = {"P": COLOURS[2], "PR": "0.85", "QRS": COLOURS[0], "ST": "0.85", "T": COLOURS[1]}

GROUP_COLOURS = ("0.35", *COLOURS[:3])


def _plot_ranges(axes: Axes, groups: Mapping[str, pd.DataFrame], columns: list[str]) -> Axes:
    """Return axes with each column's median, 10-90 % range and a small dot for every record."""
    offsets = np.linspace(-0.18, 0.18, len(groups)) if len(groups) > 1 else [0.0]
    for (name, table), offset, colour in zip(groups.items(), offsets, GROUP_COLOURS, strict=False):
        low, middle, high = table[columns].quantile([0.1, 0.5, 0.9]).to_numpy()
        places = np.arange(len(columns)) + offset
        one_by_one = {"linestyle": "", "marker": ".", "markersize": 2.5, "alpha": 0.35}
        axes.plot(places, table[columns].to_numpy().T, color=colour, **one_by_one)
        axes.vlines(places, low, high, color=colour, linewidth=2.5, alpha=0.55)
        axes.plot(places, middle, "o", color=colour, markersize=4, label=name)
    axes.set_xticks(np.arange(len(columns)))
    return axes


def plot_amplitudes(axes: Axes, groups: Mapping[str, pd.DataFrame]) -> Axes:
    """Return axes with the range of the QRS complex in each lead, median and 10-90 %, mV."""
    _plot_ranges(axes, groups, [f"qrs_mv_{lead}" for lead in LEADS])
    axes.set_xticklabels(LEADS, rotation=90)
    axes.set(xlabel="lead", ylabel="QRS range / mV", ylim=(0, None))
    return axes


def plot_t_waves(axes: Axes, groups: Mapping[str, pd.DataFrame]) -> Axes:
    """Return axes with the largest value of the T wave in each lead, median and 10-90 %, mV."""
    _plot_ranges(axes, groups, [f"t_mv_{lead}" for lead in LEADS])
    axes.axhline(0, color="0.8", linewidth=0.8, zorder=0)
    axes.set_xticklabels(LEADS, rotation=90)
    axes.set(xlabel="lead", ylabel="T wave / mV")
    return axes


def plot_wave_intervals(axes: Axes, groups: Mapping[str, pd.DataFrame]) -> Axes:
    """Return axes with RR, QT, PR, QRS and the change of RR from beat to beat, ms."""
    _plot_ranges(axes, groups, ["rr_ms", "qt_ms", "pr_ms", "qrs_ms", "rr_variation_ms"])
    axes.set_xticklabels(["RR", "QT", "PR", "QRS", "RR change"])
    axes.set(ylabel="interval / ms", yscale="log")
    return axes


def plot_singular_shares(axes: Axes, groups: Mapping[str, pd.DataFrame]) -> Axes:
    """Return axes with the share of energy in each of 8 singular directions, a log scale."""
    _plot_ranges(axes, groups, [f"share_{rank}" for rank in range(1, 9)])
    axes.set_xticklabels(range(1, 9))
    axes.set(xlabel="singular direction of the 8 leads", ylabel="share of energy", yscale="log")
    return axes


def plot_powers(axes: Axes, groups: Mapping[str, pd.DataFrame]) -> Axes:
    """Return axes with the power density of the unfiltered leads, median and 10-90 %."""
    columns = [f"power_{low:g}_hz" for low in BAND_EDGES_HZ[:-1]]
    middles = np.sqrt(np.multiply(BAND_EDGES_HZ[:-1], BAND_EDGES_HZ[1:]))
    for (name, table), colour in zip(groups.items(), GROUP_COLOURS, strict=False):
        low, middle, high = table[columns].quantile([0.1, 0.5, 0.9]).to_numpy()
        axes.fill_between(middles, low, high, color=colour, alpha=0.2, linewidth=0)
        axes.plot(middles, middle, color=colour, label=name)
    axes.set(xlabel="frequency / Hz", ylabel="power density / (µV²/Hz)", xscale="log")
    axes.set_yscale("log")
    return axes


def plot_rank(axes: Axes, table: pd.DataFrame) -> Axes:
    """Return axes with the share of energy beyond three directions, one dot a record, by origin.

    Parameters
    ----------
    axes
        Where to draw.
    table
        Columns `origin` and `share_beyond_3`, as `describe_records` gives them.
    """
    origins = list(dict.fromkeys(table["origin"]))
    generator = np.random.default_rng(0)
    for place, origin in enumerate(origins):
        chosen = table[table["origin"] == origin]
        beyond = chosen["share_beyond_3"]
        aside = generator.uniform(-0.15, 0.15, len(chosen))
        axes.plot(beyond.clip(1e-9), place + aside, "o", color="0.25", alpha=0.6, markersize=4)
    axes.set_yticks(range(len(origins)), [origin or "unknown" for origin in origins])
    axes.set(xlabel="share of energy beyond three directions", xscale="log")
    axes.set_ylim(-0.6, len(origins) - 0.4)
    return axes


def plot_beat_steps(
    panels: Sequence[Axes], steps: Sequence[Step], lead: str, start_s: float, stop_s: float
) -> Sequence[Axes]:
    """Return panels with one lead between two times after each step, samples as dots."""
    for axes, step in zip(panels, steps, strict=True):
        times_s, course = step.cut(lead, start_s, stop_s)
        axes.plot(times_s, course, ".-", color=COLOURS[0], linewidth=0.8, markersize=2)
        axes.set(title=step.name, xlabel="time / s", ylabel=f"lead {lead} / {step.unit}")
    return panels


def plot_steps(axes: Axes, courses: Mapping[str, np.ndarray], times_s: np.ndarray) -> Axes:
    """Return axes with courses of one lead over time, each named in the legend, mV over s."""
    for (name, course), colour in zip(courses.items(), GROUP_COLOURS, strict=False):
        axes.plot(times_s[: course.size], course, color=colour, linewidth=1.1, label=name)
    axes.set(xlabel="time / s", ylabel="voltage / mV")
    return axes


def plot_parts(axes: Axes, prepared: Prepared, lead: str = "II") -> Axes:
    """Return axes with one lead of the training, validation and test part, mV over s, in turn."""
    parts = {"training": prepared.train, "validation": prepared.validation, "test": prepared.test}
    start_s = 0.0
    for (name, part), colour in zip(parts.items(), GROUP_COLOURS, strict=False):
        times_s = start_s + np.arange(part.shape[-1]) / prepared.sampling_rate
        course = prepared.scaling.to_mv(part)[lead_index(lead)]
        axes.plot(times_s, course, color=colour, linewidth=0.5)
        axes.plot([], [], color=colour, linewidth=2.5, label=name)  # to be seen in the legend
        start_s = times_s[-1] + prepared.options.gap_s
    axes.set(xlabel="time / s", ylabel=f"lead {lead} / mV")
    return axes


def plot_pairs(axes: Axes, table: pd.DataFrame, columns: Sequence[str]) -> Axes:
    """Return axes with a thin line a record from column to column, a thick one for the median."""
    places = np.arange(len(columns))
    axes.plot(places, table[list(columns)].to_numpy().T, color="0.75", linewidth=0.8)
    axes.plot(places, table[list(columns)].median(), "o-", color=COLOURS[0], linewidth=2.5)
    axes.set_xticks(places, columns)
    axes.set_xlim(-0.3, len(columns) - 0.7)
    return axes


def plot_by_condition(axes: Axes, groups: Mapping[str, pd.DataFrame], column: str) -> Axes:
    """Return axes with the median and 10-90 % range of one column in each condition.

    Conditions stand in the order of the book; one that a group lacks is left empty.
    """
    present = {condition for table in groups.values() for condition in table["condition"]}
    conditions = [condition for condition in CONDITIONS if condition in present]
    offsets = np.linspace(-0.18, 0.18, len(groups)) if len(groups) > 1 else [0.0]
    for (name, table), offset, colour in zip(groups.items(), offsets, GROUP_COLOURS, strict=False):
        ranges = table.groupby("condition")[column].quantile([0.1, 0.5, 0.9]).unstack()
        ranges = ranges.reindex(conditions)
        places = np.arange(len(conditions)) + offset
        axes.hlines(places, ranges[0.1], ranges[0.9], color=colour, linewidth=2.5, alpha=0.55)
        axes.plot(ranges[0.5], places, "o", color=colour, markersize=4, label=name)
    axes.set_yticks(range(len(conditions)), conditions)
    axes.invert_yaxis()
    colour_conditions(axes)
    return axes


def plot_waves(
    axes: Axes, course: np.ndarray, masks: Mapping[str, np.ndarray], times_s: np.ndarray
) -> Axes:
    """Return axes with one beat `(time,)` in mV over s and a coloured span for each wave."""
    axes.plot(times_s, course, color="0.15", linewidth=1.2)
    for name, colour in WAVE_COLOURS.items():
        inside = np.flatnonzero(masks.get(name, False))
        if inside.size:
            start, stop = times_s[inside[0]], times_s[inside[-1]]
            axes.axvspan(start, stop, color=colour, alpha=0.3, linewidth=0)
            middle = (start + stop) / 2
            axes.text(
                middle, 0.98, name, transform=axes.get_xaxis_transform(), ha="center", va="top"
            )
    axes.set(xlabel="time after the R peak / s", ylabel="voltage / mV")
    return axes


def _around_beat(simulated: Simulated, beat: int) -> tuple[slice, np.ndarray]:
    """Return the samples from 0.35 s before to 0.55 s after an R peak and their times, s."""
    rate, peak = simulated.record.sampling_rate, simulated.truth.r_peaks[beat]
    inside = slice(peak - round(0.35 * rate), peak + round(0.55 * rate))
    return inside, (np.arange(inside.start, inside.stop) - peak) / rate


def plot_truth(axes: Axes, simulated: Simulated, *, beat: int, lead: str) -> Axes:
    """Return axes with one simulated beat with and without its condition, and its true waves.

    Parameters
    ----------
    axes
        Where to draw.
    simulated
        A record and the truth about it.
    beat
        Number of a beat that lies inside the record.
    lead
        Name of a lead.
    """
    truth, row = simulated.truth, lead_index(lead)
    inside, times_s = _around_beat(simulated, beat)
    bounds_s = truth.waves_s[beat] - truth.r_peaks[beat] / simulated.record.sampling_rate
    masks = {
        name: (times_s >= onset) & (times_s < end)
        for name, (onset, end) in zip(WAVE_GROUPS, bounds_s, strict=True)
    }
    course = truth.clean[row, inside]
    plot_waves(axes, course, masks, times_s)
    axes.get_lines()[0].set_label("with the condition")
    usual = course - truth.abnormality[row, inside]
    axes.plot(times_s, usual, "--", color=GROUP_COLOURS[1], linewidth=1.2, label="without")
    axes.set(ylabel=f"lead {lead} / mV")
    axes.margins(y=0.2)  # room for the names of the waves
    return axes


def plot_abnormality(axes: Axes, simulated: Simulated, *, beat: int) -> Axes:
    """Return axes with what the condition adds to one beat by lead and time, colours in mV."""
    inside, times_s = _around_beat(simulated, beat)
    return plot_map(
        axes,
        simulated.truth.abnormality[:, inside],
        simulated.record.sampling_rate,
        before=int(np.count_nonzero(times_s < 0)),
        label="what the condition adds / mV",
    )
