"""Follow one recording through the preprocessing, one step at a time."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import signal as sps

from ecgnb.leads import lead_index
from ecgnb.records.record import Record
from ecgnb.signals.filters import clean, fill_missing, resample_signals
from ecgnb.signals.preparation import PreprocessingOptions, fit_scaling, split_time


@dataclass(frozen=True)
class Step:
    """The training part `(lead, time)` after one step, in `unit`, and its rate in Hz."""

    name: str
    signals: np.ndarray
    sampling_rate: float
    unit: str = "mV"

    def cut(self, lead: str, start_s: float, stop_s: float) -> tuple[np.ndarray, np.ndarray]:
        """Return times `(time,)` in s and the course `(time,)` of a lead between two times."""
        inside = slice(*(round(edge * self.sampling_rate) for edge in (start_s, stop_s)))
        course = self.signals[lead_index(lead), inside]
        return inside.start / self.sampling_rate + np.arange(
            course.size
        ) / self.sampling_rate, course


def follow_steps(record: Record, options: PreprocessingOptions | None = None) -> list[Step]:
    """Return the training part of a record as recorded, filtered, resampled and scaled.

    These are the steps of `preparation.prepare_record`, whose result the last one is.

    Parameters
    ----------
    record
        As `wfdb_files.read_record` returns it, mV.
    options
        Defaults to `PreprocessingOptions()`; windows scaled one by one are not followed.
    """
    options = options or PreprocessingOptions()
    rate = record.sampling_rate
    part = record.signals[:, split_time(record.n_time, rate, options).train]
    corners = {"low_hz": options.low_hz, "high_hz": options.high_hz}
    filtered = clean(part, rate, **corners)
    resampled = resample_signals(filtered, rate, options.sampling_rate)
    scaled = fit_scaling(resampled, scope=options.scaling).apply(resampled)
    return [
        Step("as recorded", part, rate),
        Step("filtered", filtered, rate),
        Step("resampled", resampled, options.sampling_rate),
        Step("scaled", scaled, options.sampling_rate, unit="1"),
    ]


def step_figures(steps: list[Step], lead: str, start_s: float, stop_s: float) -> pd.DataFrame:
    """Return for each step what became of one lead, one row a step.

    Columns `unit`; `rate_hz`; `samples`, `lowest` and `highest` between two times (one beat);
    `mean` of the whole part; `below_half_hz` and `above_40_hz`, the root mean square of what lies
    outside the band of the book, in the unit of the row.
    """
    rows = []
    for step in steps:
        _, course = step.cut(lead, start_s, stop_s)
        whole = fill_missing(step.signals)[lead_index(lead)].astype(np.float64)
        row = {"step": step.name, "unit": step.unit, "rate_hz": step.sampling_rate}
        row |= {"samples": course.size, "lowest": course.min(), "highest": course.max()}
        row |= {
            "mean": whole.mean(),
            "below_half_hz": _band_rms(whole, step.sampling_rate, 0, 0.5),
        }
        row |= {"above_40_hz": _band_rms(whole, step.sampling_rate, 40, step.sampling_rate)}
        rows.append(row)
    return pd.DataFrame(rows)


def _band_rms(course: np.ndarray, sampling_rate: float, low_hz: float, high_hz: float) -> float:
    """Return the root mean square of what lies between two frequencies, without the mean.

    Examples
    --------
    >>> course = np.sin(2 * np.pi * 5 * np.arange(0, 10, 0.01))
    >>> round(_band_rms(course, 100.0, 4, 6), 3), round(_band_rms(course, 100.0, 10, 50), 3)
    (0.707, 0.0)
    """
    frequencies, power = sps.periodogram(course, sampling_rate, scaling="spectrum")
    return float(np.sqrt(power[(frequencies >= low_hz) & (frequencies < high_hz)].sum()))
