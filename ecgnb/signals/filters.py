"""Fill, filter and resample signals: one way for all, `clean`."""

from fractions import Fraction

import numpy as np
from scipy import signal as sps

_FILTER_ORDER = 2

_EDGE_S = 3.0  # reflected signal put before and after a part while it is filtered


def filter_signals(
    signals: np.ndarray,
    sampling_rate: float,
    *,
    low_hz: float | None = 0.5,
    high_hz: float | None = 40.0,
) -> np.ndarray:
    """Return signals `(..., time)` after a zero-phase Butterworth band-pass, float64, same unit.

    The filter of order 2 runs forwards and backwards, so the gain at a corner is 1/2 and no
    wave moves in time. Both ends are continued by reflection for up to 3 s.

    Parameters
    ----------
    signals
        Finite signals `(..., time)`.
    sampling_rate
        Samples per second, Hz.
    low_hz, high_hz
        Corner frequencies, Hz; None leaves that side open.

    Examples
    --------
    >>> offset_gone = filter_signals(np.full((1, 1000), 3.0), 250.0)
    >>> bool(np.abs(offset_gone).max() < 1e-9)
    True
    """
    signals = np.asarray(signals, dtype=np.float64)
    corners = [corner for corner in (low_hz, high_hz) if corner is not None]
    if not corners:
        return signals
    kind = "bandpass" if len(corners) == 2 else ("highpass" if high_hz is None else "lowpass")
    sections = sps.butter(_FILTER_ORDER, np.squeeze(corners), kind, fs=sampling_rate, output="sos")
    edge = min(int(_EDGE_S * sampling_rate), signals.shape[-1] - 1)
    return sps.sosfiltfilt(sections, signals, padtype="even", padlen=edge)


def resample_signals(signals: np.ndarray, rate_from: float, rate_to: float) -> np.ndarray:
    """Return signals `(..., time)` at another sampling rate, by a polyphase filter.

    Examples
    --------
    >>> resample_signals(np.zeros((12, 1000)), 1000.0, 250.0).shape
    (12, 250)
    """
    ratio = Fraction(rate_to / rate_from).limit_denominator(1000)
    if ratio == 1:
        return np.asarray(signals)
    return sps.resample_poly(signals, ratio.numerator, ratio.denominator, axis=-1, padtype="line")


def fill_missing(signals: np.ndarray) -> np.ndarray:
    """Return signals `(lead, time)` whose missing samples are interpolated in time.

    A lead without any sample becomes 0. Filters and R-peak detectors fail on one NaN.

    Examples
    --------
    >>> fill_missing(np.array([[0.0, np.nan, 2.0]])).tolist()
    [[0.0, 1.0, 2.0]]
    """
    good = np.isfinite(signals)
    if good.all():
        return signals
    times = np.arange(signals.shape[-1])
    rows = [
        np.interp(times, times[keep], row[keep]) if keep.any() else np.zeros(times.size)
        for row, keep in zip(signals, good, strict=True)
    ]
    return np.stack(rows)


def clean(
    signals: np.ndarray,
    sampling_rate: float,
    *,
    to_rate: float | None = None,
    low_hz: float | None = 0.5,
    high_hz: float | None = 40.0,
) -> np.ndarray:
    """Return signals `(lead, time)` filled, filtered and, last, resampled; same unit.

    An upper corner beyond 0.4 times the sampling rate is lowered to it.

    Parameters
    ----------
    signals
        Missing samples are NaN.
    sampling_rate
        Of the signals, Hz.
    to_rate
        Wanted, Hz; None keeps the rate.
    low_hz, high_hz
        Corner frequencies, Hz; None leaves that side open.

    Examples
    --------
    >>> clean(np.zeros((12, 1000)), 500.0, to_rate=250.0).shape
    (12, 500)
    """
    highest = None if high_hz is None else min(high_hz, 0.4 * sampling_rate)
    filtered = filter_signals(fill_missing(signals), sampling_rate, low_hz=low_hz, high_hz=highest)
    return resample_signals(filtered, sampling_rate, to_rate or sampling_rate)
