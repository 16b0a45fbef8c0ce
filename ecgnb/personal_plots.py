"""The picture of a reconstruction on ECG paper, and expectation against what was achieved."""

import pandas as pd
from matplotlib.axes import Axes

from ecgnb.leads import LEADS
from ecgnb.plotting import GUESS, TRUTH, plot_ecg_paper
from ecgnb.records.record import Record
from ecgnb.text import for_figure

SHOWN_S = 2.5


def plot_reconstruction(
    axes: Axes, made: Record, lead: str, *, start_s: float = 0.0, duration_s: float = SHOWN_S
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
    """
    start = round(start_s * made.sampling_rate)
    stop = min(start + round(duration_s * made.sampling_rate), made.n_time)
    plot_ecg_paper(axes, made.signals[:, start:stop], made.sampling_rate)
    courses = [line for line in axes.lines if len(line.get_xdata()) == stop - start]
    for name, line in zip(LEADS, courses, strict=True):  # the other lines are pulses
        line.set_color(TRUTH if name == lead else GUESS)
    text = f"{for_figure(made.name)}: {lead} recorded, 11 leads reconstructed"
    axes.set_title(f"{text}. Not for diagnosis.", fontsize=9)
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
