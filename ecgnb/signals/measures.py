"""Clinical measures of beats: amplitudes, ST level, QRS duration, QT interval, QRS axis.

Where the QRS complex begins and ends and where the T wave ends is found once for all leads, on
the spatial speed and on the root mean square of the independent leads. The constants were chosen
on the hand-made marks of half of LUDB's people (`ecgnb run measures`) and tested on the others.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ecgnb.leads import LEADS
from ecgnb.signals.beats import rms_lead

LEAD_MEASURES = {
    "R": "R amplitude",
    "S": "S amplitude",
    "T": "T amplitude",
    "ST": "ST at J + 60 ms",
}

BEAT_MEASURES = {"QRS": "QRS duration", "QT": "QT interval", "axis": "QRS axis"}

UNITS = dict.fromkeys(LEAD_MEASURES, "µV") | {"QRS": "ms", "QT": "ms", "axis": "degrees"}

J_PLUS_S = 0.06


@dataclass(frozen=True)
class DelineationOptions:
    """What the bounds are found by, chosen on half of LUDB's people.

    `qrs_begin`, `qrs_end`
        Share of the largest spatial speed above which the QRS complex lasts.
    `t_end`
        The T wave ends on a line from its steepest descent that falls this share as steeply as
        the tangent there: a wave flattens before it ends, so that the tangent itself (1) ends it
        early.
    """

    qrs_begin: float = 0.03
    qrs_end: float = 0.09
    t_end: float = 0.75


@dataclass(frozen=True)
class Bounds:
    """Samples of a beat, as fractions, at which the waves begin and end; `t_end` may be NaN."""

    qrs_begin: float
    qrs_end: float
    t_end: float


def delineate(
    beat: np.ndarray,
    sampling_rate: float,
    r_peak: int,
    options: DelineationOptions | None = None,
) -> Bounds:
    """Return the bounds of a beat, the same for all leads.

    The QRS complex lasts while the root mean square slope over the independent leads, smoothed
    over 12 ms, stays above a share of its top near the R peak, above its quiet level. The T wave
    ends where a line from the steepest descent of the root mean square of the leads meets the
    lowest value after it, after the tangent method of Lepeschkin and Surawicz (1952).

    Parameters
    ----------
    beat
        `(lead, time)`, mV.
    sampling_rate
        Hz.
    r_peak
        Sample of the R peak.
    options
        Thresholds; those that were chosen by default.
    """
    options = options or DelineationOptions()
    beat = np.asarray(beat, dtype=np.float64)
    speed = _speed(beat, sampling_rate)
    reach = round(0.12 * sampling_rate)
    first, last = max(r_peak - reach, 0), min(r_peak + round(0.16 * sampling_rate), speed.size)
    top = first + int(speed[first : r_peak + reach // 2].argmax())
    floor = np.percentile(speed, 20)
    begin = _leave(speed, top, first, floor + options.qrs_begin * (speed[top] - floor))
    end = _leave(speed, top, last - 1, floor + options.qrs_end * (speed[top] - floor))
    return Bounds(begin, end, _t_end(beat, sampling_rate, (begin, end), options.t_end))


def _speed(beat: np.ndarray, sampling_rate: float) -> np.ndarray:
    width = max(round(0.012 * sampling_rate), 1)
    slope = rms_lead(np.gradient(beat, axis=-1))
    return np.convolve(np.pad(slope, width, mode="edge"), np.ones(width) / width, "same")[
        width:-width
    ]


def _leave(speed: np.ndarray, top: int, limit: int, level: float) -> float:
    """Return where the speed falls below a level for 4 samples or more, seen from its top.

    Between two samples the place is interpolated.
    """
    step = 1 if limit > top else -1
    course = speed[top : limit + step : step] if limit + step >= 0 else speed[top::step]
    low = course < level
    quiet = np.flatnonzero(low[:-3] & low[1:-2] & low[2:-1] & low[3:])
    if not quiet.size or quiet[0] == 0:
        return float(limit)
    place = int(quiet[0])
    above, below = course[place - 1], course[place]
    return top + step * (place - 1 + float((above - level) / max(above - below, 1e-12)))


def _t_end(
    beat: np.ndarray, sampling_rate: float, qrs: tuple[float, float], share: float
) -> float:
    """Return where the T wave ends, NaN without a T wave."""
    begin, end = round(qrs[0]), round(qrs[1])
    level = beat[:, max(begin - round(0.016 * sampling_rate), 0) : begin + 1].mean(axis=1)
    size = rms_lead(beat - level[:, None])
    width = max(round(0.02 * sampling_rate), 1)
    size = np.convolve(size, np.ones(width) / width, mode="same")
    first = end + round(0.08 * sampling_rate)
    last = min(end + round(0.44 * sampling_rate), beat.shape[-1] - width)
    if last - first < 3:
        return float("nan")
    peak = first + int(size[first:last].argmax())
    stop = min(peak + round(0.2 * sampling_rate), beat.shape[-1] - width)
    if stop - peak < 3:
        return float("nan")
    slope = np.diff(size[peak:stop])
    steepest = int(slope.argmin())
    if slope[steepest] >= 0:
        return float("nan")
    floor = size[peak + steepest : stop].min()
    return float(peak + steepest + (size[peak + steepest] - floor) / (-slope[steepest] * share))


def measure_beats(
    beats: np.ndarray, sampling_rate: float, r_peak: int, bounds: Sequence[Bounds]
) -> tuple[np.ndarray, np.ndarray]:
    """Return `LEAD_MEASURES` `(beat, lead, 4)` in µV and `BEAT_MEASURES` `(beat, 3)`.

    R and S are the largest and smallest value inside the QRS complex, S not above 0; T the value
    furthest from 0 between 80 ms after it and the end of the T wave; all against the level of the
    16 ms before the QRS complex. The axis is the direction of the QRS complex's net area in I and
    aVF, degrees, aVF weighed by 2 / sqrt 3.

    Parameters
    ----------
    beats
        `(beat, lead, time)` of 12 leads in mV.
    sampling_rate
        Hz.
    r_peak
        Sample of the R peak in each.
    bounds
        From `delineate`, one for each beat.
    """
    by_lead = np.full((len(beats), beats.shape[1], len(LEAD_MEASURES)), np.nan)
    by_beat = np.full((len(beats), len(BEAT_MEASURES)), np.nan)
    for number, (beat, own) in enumerate(zip(beats, bounds, strict=True)):
        begin, end = round(own.qrs_begin), round(own.qrs_end)
        level = beat[:, max(begin - round(0.016 * sampling_rate), 0) : begin + 1].mean(axis=1)
        size = 1000 * (beat - level[:, None])
        complex_ = size[:, begin : end + 1]
        st = min(end + round(J_PLUS_S * sampling_rate), beat.shape[-1] - 1)
        by_lead[number, :, 0] = np.maximum(complex_.max(axis=1), 0.0)
        by_lead[number, :, 1] = np.minimum(complex_.min(axis=1), 0.0)
        by_lead[number, :, 2] = _furthest(size, end, own.t_end, sampling_rate)
        by_lead[number, :, 3] = size[:, st]
        area = complex_.sum(axis=1)
        axis = np.arctan2(2 / np.sqrt(3) * area[LEADS.index("aVF")], area[LEADS.index("I")])
        by_beat[number] = [
            1000 * (own.qrs_end - own.qrs_begin) / sampling_rate,
            1000 * (own.t_end - own.qrs_begin) / sampling_rate,
            np.degrees(axis),
        ]
    return by_lead, by_beat


def _furthest(size: np.ndarray, end: int, t_end: float, sampling_rate: float) -> np.ndarray:
    """Return the value furthest from 0 in the T wave `(lead,)`, NaN without a T wave."""
    first = end + round(0.08 * sampling_rate)
    if not np.isfinite(t_end) or t_end - first < 2:
        return np.full(len(size), np.nan)
    wave = size[:, first : round(t_end) + 1]
    return np.take_along_axis(wave, np.abs(wave).argmax(axis=1)[:, None], axis=1)[:, 0]
