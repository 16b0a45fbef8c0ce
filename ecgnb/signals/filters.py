"""Fill, filter and resample signals, one way for all: `clean`; and say where they were missing.

Nothing is made up where a recording is missing: what was filled to be filtered is missing again in
the result.
"""

from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from scipy import signal as sps

MAX_LISTED = 12


def _missing_stretches(signal: np.ndarray) -> list[tuple[int, int]]:
    """Return first sample and the sample after the last of each missing stretch of `(time,)`.

    Examples
    --------
    >>> _missing_stretches(np.array([np.nan, 1.0, np.nan, np.nan]))
    [(0, 1), (2, 4)]
    """
    edges = np.diff(np.r_[False, ~np.isfinite(signal), False].astype(np.int8))
    starts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    return list(zip(starts.tolist(), ends.tolist(), strict=True))


def blank_missing(
    made: np.ndarray, made_rate: float, signal: np.ndarray, sampling_rate: float
) -> None:
    """Make every lead of `made` `(lead, time)` missing where the input `(time,)` is missing.

    Parameters
    ----------
    made
        Changed in place.
    made_rate
        Its rate in Hz.
    signal, sampling_rate
        The input that it was made of, and its rate in Hz.

    Examples
    --------
    >>> made = np.zeros((1, 4))
    >>> blank_missing(made, 2.0, np.array([0.0, 0.0, np.nan, 0.0, 0.0, 0.0, 0.0, 0.0]), 4.0)
    >>> made.tolist()
    [[0.0, nan, 0.0, 0.0]]
    """
    ratio = made_rate / sampling_rate
    for start, end in _missing_stretches(signal):
        first, last = np.floor(start * ratio + 1e-9), np.ceil(end * ratio - 1e-9)
        made[:, int(first) : max(int(last), int(first) + 1)] = np.nan


def describe_missing(signal: np.ndarray, sampling_rate: float) -> str:
    """Return where and for how long a signal `(time,)` is missing, "" if it is whole.

    Examples
    --------
    >>> describe_missing(np.array([0.0, np.nan, np.nan, 0.0]), 2.0)
    'missing at 0.500 s for 1.000 s; 50.0 % of 2.0 s in all'
    """
    found = MissingStretches()
    found.add(signal)
    return found.describe(sampling_rate)


@dataclass
class MissingStretches:
    """Where a signal that is read piece by piece is missing: the first stretches, and how much.

    Examples
    --------
    >>> found = MissingStretches()
    >>> for piece in (np.array([0.0, np.nan]), np.array([np.nan, 0.0])):
    ...     found.add(piece)
    >>> found.listed, found.n_stretch, found.n_lost
    ([[1, 3]], 1, 2)
    """

    listed: list[list[int]] = field(default_factory=list)
    n_stretch: int = 0
    n_lost: int = 0
    n_time: int = 0
    _open: bool = False

    def add(self, signal: np.ndarray) -> None:
        """Count the missing samples of the next piece `(time,)`."""
        for start, end in _missing_stretches(signal):
            if start == 0 and self._open:
                if self.n_stretch <= MAX_LISTED:
                    self.listed[-1][1] = self.n_time + end
            else:
                self.n_stretch += 1
                if self.n_stretch <= MAX_LISTED:
                    self.listed.append([self.n_time + start, self.n_time + end])
            self.n_lost += end - start
        self.n_time += signal.size
        self._open = bool(signal.size) and not np.isfinite(signal[-1])

    def describe(self, sampling_rate: float) -> str:
        """Return where and for how long the signal is missing, "" if it is whole."""
        if not self.n_stretch:
            return ""
        listed = [
            f"{start / sampling_rate:.3f} s for {(end - start) / sampling_rate:.3f} s"
            for start, end in self.listed
        ]
        more = f" and {self.n_stretch - MAX_LISTED} more" if self.n_stretch > MAX_LISTED else ""
        lost = f"{100 * self.n_lost / self.n_time:.1f} % of {self.n_time / sampling_rate:.1f} s"
        return f"missing at {', '.join(listed)}{more}; {lost} in all"


def wholest_start(signal: np.ndarray, n_time: int) -> int:
    """Return where the first piece of `n_time` samples begins that misses least of `(time,)`.

    Examples
    --------
    >>> wholest_start(np.array([np.nan, np.nan, 1.0, 1.0, 1.0]), 2)
    2
    """
    lost = np.r_[0, np.cumsum(~np.isfinite(signal))]
    n_time = min(n_time, signal.size)
    return int(np.argmin(lost[n_time:] - lost[: lost.size - n_time]))


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
    sections = _sections(sampling_rate, low_hz, high_hz)
    if sections is None:
        return signals
    edge = min(int(_EDGE_S * sampling_rate), signals.shape[-1] - 1)
    return sps.sosfiltfilt(sections, signals, padtype="even", padlen=edge)


def _sections(
    sampling_rate: float, low_hz: float | None, high_hz: float | None
) -> np.ndarray | None:
    """Return the filter as second-order sections, None if both sides are open."""
    corners = [corner for corner in (low_hz, high_hz) if corner is not None]
    if not corners:
        return None
    kind = "bandpass" if len(corners) == 2 else ("highpass" if high_hz is None else "lowpass")
    return sps.butter(_FILTER_ORDER, np.squeeze(corners), kind, fs=sampling_rate, output="sos")


class CausalFilter:
    """The band-pass of `filter_signals` run forwards only, on one lead that comes in pieces.

    A missing sample is taken to be as the last one before it. The filter begins as if the first
    sample had always been there. The result has the same bits whatever the pieces.

    Examples
    --------
    >>> signal = np.sin(np.arange(50.0))
    >>> whole, pieces = CausalFilter(250.0), CausalFilter(250.0)
    >>> parts = [pieces.apply(part) for part in (signal[:7], signal[7:8], signal[8:])]
    >>> bool((np.concatenate(parts) == whole.apply(signal)).all())
    True
    """

    def __init__(
        self, sampling_rate: float, low_hz: float | None = 0.5, high_hz: float | None = 40.0
    ) -> None:
        highest = None if high_hz is None else min(high_hz, 0.4 * sampling_rate)
        self._sections = _sections(sampling_rate, low_hz, highest)
        self._state, self._last = None, 0.0

    def apply(self, signal: np.ndarray) -> np.ndarray:
        """Return the next samples `(time,)`, filtered."""
        good = np.isfinite(signal)
        latest = np.maximum.accumulate(np.where(good, np.arange(signal.size), -1))
        filled = np.where(latest < 0, self._last, signal[np.maximum(latest, 0)])
        if self._sections is None or not signal.size:
            return filled
        if self._state is None:
            self._state = sps.sosfilt_zi(self._sections) * filled[0]
        self._last = filled[-1]
        filtered, self._state = sps.sosfilt(self._sections, filled, zi=self._state)
        return filtered


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
