"""R peaks, beats aligned at them, the average beat and where its waves lie.

Peaks are searched on one lead made of all: the root mean square of the independent leads, which
has a large QRS complex whatever the heart's axis.
"""

import numpy as np
import sleepecg

from ecgnb.leads import LEADS, independent_signals
from ecgnb.signals.filters import filter_signals

WAVES = ("P", "PR", "QRS", "ST", "T", "rest")


def rms_lead(signals: np.ndarray) -> np.ndarray:
    """Return the root mean square `(time,)` of the independent leads, in the unit of the signals.

    Parameters
    ----------
    signals
        `(lead, time)`; of 12 leads the 8 independent ones are used, else all.

    Examples
    --------
    >>> rms_lead(np.array([[3.0, 0.0], [4.0, 0.0]])).round(3).tolist()
    [3.536, 0.0]
    """
    signals = np.asarray(signals, dtype=np.float64)
    leads = independent_signals(signals) if signals.shape[0] == len(LEADS) else signals
    return np.sqrt(np.mean(np.square(leads), axis=0))


def find_peaks(signals: np.ndarray, sampling_rate: float) -> np.ndarray:
    """Return the sample indices `(beat,)` of the R peaks of one or several leads.

    The signals are filtered (0.5-40 Hz); several leads become their root mean square. The
    detector is `sleepecg` (a form of Pan and Tompkins 1985). Each peak is then moved by up to
    40 ms to where its QRS complex fits the median complex best, so that all peaks of a record
    sit on the same point of the beat. Nothing outside the given signals is looked at.

    Parameters
    ----------
    signals
        One lead `(time,)` or several `(lead, time)`, any unit; missing samples count as 0.
    sampling_rate
        Hz.

    Examples
    --------
    >>> times = np.arange(0, 20, 1 / 250)
    >>> peaks = find_peaks(np.exp(-(((times % 0.8 - 0.4) / 0.012) ** 2)), 250.0)
    >>> peaks.size, set(np.diff(peaks).tolist())
    (25, {200})
    """
    signals = np.nan_to_num(np.atleast_2d(np.asarray(signals, dtype=np.float64)))
    if signals.shape[-1] < sampling_rate or np.ptp(signals, axis=-1).max() == 0:
        return np.zeros(0, dtype=int)
    high_hz = min(40.0, 0.4 * sampling_rate)
    filtered = filter_signals(signals, sampling_rate, low_hz=0.5, high_hz=high_hz)
    # The size of a single lead would lose its sign, which tells the R peak from the others.
    course = filtered[0] if len(filtered) == 1 else rms_lead(filtered)
    # Of less than 2 s the detector reads memory beyond the end: it is given its mirror image too.
    lacking = max(int(np.ceil(2 * sampling_rate)) + 1 - course.size, 0)
    mirrored = np.pad(course, (0, lacking), mode="reflect")
    peaks = np.asarray(sleepecg.detect_heartbeats(mirrored, sampling_rate), dtype=int)
    peaks = peaks[peaks < course.size]
    return _move_to_best_fit(course, peaks, sampling_rate)


def _move_to_best_fit(course: np.ndarray, peaks: np.ndarray, sampling_rate: float) -> np.ndarray:
    """Return peaks moved to the best correlation with the median complex, each one once."""
    reach, half = round(0.04 * sampling_rate), round(0.06 * sampling_rate)
    whole = (peaks >= reach + half) & (peaks + reach + half < course.size)
    if whole.sum() < 2:
        return np.unique(peaks)
    moved, window, lags = peaks.copy(), np.arange(-half, half + 1), np.arange(-reach, reach + 1)
    near = course[peaks[whole, None, None] + lags[:, None] + window]  # (beat, lag, window)
    for _ in range(2):
        complex_ = np.median(course[moved[whole, None] + window], axis=0)
        fit = near @ (complex_ - complex_.mean())
        moved[whole] = peaks[whole] + lags[fit.argmax(axis=1)]
    return np.unique(moved)


def align_beats(signals: np.ndarray, peaks: np.ndarray, *, before: int, after: int) -> np.ndarray:
    """Return beats `(beat, lead, time)`; sample `before` of each is its R peak.

    Beats that would cross an edge of the signals are left out.

    Parameters
    ----------
    signals
        `(lead, time)` or `(time,)`, which gives `(beat, time)`.
    peaks
        Sample indices `(beat,)`.
    before, after
        Samples before the peak, and from the peak on.

    Examples
    --------
    >>> align_beats(np.arange(10.0)[None], np.array([1, 5]), before=2, after=3)
    array([[[3., 4., 5., 6., 7.]]])
    """
    signals, peaks = np.asarray(signals), np.asarray(peaks, dtype=int)
    inside = peaks[(peaks >= before) & (peaks + after <= signals.shape[-1])]
    samples = inside[:, None] + np.arange(-before, after)
    return np.moveaxis(signals[..., samples], -2, 0)


def average_beat(beats: np.ndarray) -> np.ndarray:
    """Return the median `(lead, time)` of aligned beats `(beat, lead, time)`, at least one.

    Examples
    --------
    >>> average_beat(np.array([1.0, 2.0, 90.0])[:, None, None]).item()
    2.0
    """
    if len(beats) == 0:
        raise ValueError("an average beat needs at least one beat inside the signal")
    return np.median(beats, axis=0)


def _run_around(active: np.ndarray, centre: int, bridge: int) -> tuple[int, int]:
    """Return start and stop of the active run around `centre`, gaps up to `bridge` bridged."""
    inactive = np.flatnonzero(~active)
    runs = np.split(inactive, np.flatnonzero(np.diff(inactive) > 1) + 1)
    quiet = [run for run in runs if run.size > bridge]
    start = max((run[-1] + 1 for run in quiet if run[-1] < centre), default=0)
    stop = min((run[0] for run in quiet if run[0] > centre), default=active.size)
    return int(start), int(stop)


def _spatial_speed(beat: np.ndarray, sampling_rate: float) -> np.ndarray:
    """Return the root mean square slope `(time,)` over the independent leads, smoothed."""
    width = max(round(0.012 * sampling_rate), 1)
    speed = rms_lead(np.gradient(np.asarray(beat, dtype=np.float64), axis=-1))
    return np.convolve(speed, np.ones(width) / width, mode="same")


def _qrs_bounds(beat: np.ndarray, sampling_rate: float, r_peak: int) -> tuple[int, int]:
    """Return the first sample of the QRS complex and the first one after it.

    The complex lasts while the spatial speed (root mean square over the independent leads of the
    slope, smoothed over 12 ms) stays above 8 % of its largest value near the R peak.

    Parameters
    ----------
    beat
        Average beat `(lead, time)`.
    sampling_rate
        Hz.
    r_peak
        Sample of the R peak in the beat.
    """
    reach = round(0.12 * sampling_rate)
    first = max(r_peak - reach, 0)
    speed = _spatial_speed(beat, sampling_rate)[first : r_peak + reach]
    centre = min(r_peak - first, speed.size - 1)
    active = speed > 0.08 * speed.max()
    active[centre] = True
    start, stop = _run_around(active, centre, round(0.012 * sampling_rate))
    return first + start, first + stop


def _wave_bounds(size: np.ndarray, share: float) -> tuple[int, int] | None:
    """Return the bounds of the hump of `size` above a share of its top, None without a top."""
    inner = size[1:-1]
    if inner.size == 0 or inner.max() < max(size[0], size[-1]) or inner.max() <= 0:
        return None
    top = int(inner.argmax()) + 1
    return _run_around(size > share * size[top], top, 0)


def wave_masks(beat: np.ndarray, sampling_rate: float, r_peak: int) -> dict[str, np.ndarray]:
    """Return for each of `WAVES` a mask `(time,)`; every sample is in exactly one.

    Only changes under this one method should be compared. The size of a wave is the root mean
    square over leads of the distance from the level just before the QRS complex. The T wave is
    searched 60-450 ms after the complex, before the next one, and kept above 15 % of its top; the
    P wave is searched in the 240 ms before the complex and kept above 30 %. P is empty when it is
    under 2 % of the QRS complex.

    Parameters
    ----------
    beat
        Average beat `(lead, time)`, any unit.
    sampling_rate
        Hz.
    r_peak
        Sample of the R peak in the beat.
    """
    beat = np.asarray(beat, dtype=np.float64)
    start, stop = _qrs_bounds(beat, sampling_rate, r_peak)
    level = beat[:, max(start - round(0.016 * sampling_rate), 0) : start + 1].mean(axis=1)
    size = rms_lead(beat - level[:, None])
    masks = {wave: np.zeros(beat.shape[-1], dtype=bool) for wave in WAVES}
    masks["QRS"][start:stop] = True
    t_from, t_to = stop + round(0.06 * sampling_rate), stop + round(0.45 * sampling_rate)
    speed = _spatial_speed(beat, sampling_rate)
    following = np.flatnonzero(speed[t_from:t_to] > 0.4 * speed[start:stop].max())
    if following.size:  # the next beat of a fast heart
        t_to = t_from + max(following[0] - round(0.03 * sampling_rate), 0)
    t_wave = _wave_bounds(size[t_from:t_to], 0.15)
    if t_wave:
        masks["T"][t_from + t_wave[0] : t_from + t_wave[1]] = True
        masks["ST"][stop : t_from + t_wave[0]] = True
    p_from = max(start - round(0.24 * sampling_rate), 0)
    before = size[p_from:start]
    p_wave = _wave_bounds(before, 0.3)
    if p_wave and before.max() > 0.02 * size[start:stop].max():
        masks["P"][p_from + p_wave[0] : p_from + p_wave[1]] = True
        masks["PR"][p_from + p_wave[1] : start] = True
    masks["rest"] = ~np.logical_or.reduce([masks[wave] for wave in WAVES[:-1]])
    return masks
