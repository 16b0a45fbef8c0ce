"""Beats as windows: cut around the R peak, collected by patient, scaled, augmented.

`augment_windows` shows each beat as another heart and other electrodes might: with few patients
most possible beats never occur among the recorded ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ecgnb.leads import LEADS, derive_leads, independent_signals
from ecgnb.records.record import Record
from ecgnb.signals.beats import align_beats, find_peaks
from ecgnb.signals.filters import clean

SAMPLING_RATE = 250.0

N_BEAT_TIME = 256

BEFORE = 96

_N_LEAD = len(LEADS)

_QRS = (BEFORE - 12, BEFORE + 12)  # 48 ms either side of the R peak


def _beat_windows(record: Record, *, n_most: int = 40) -> np.ndarray:
    """Return windows `(window, lead, time)` in mV, one per beat, the R peak at sample 96.

    A window of 1.024 s at 250 Hz around each R peak, 0.5-40 Hz: the latents need not spend
    themselves on where the beat is. At most `n_most`, spread evenly over the record.
    """
    signals = clean(record.signals, record.sampling_rate, to_rate=SAMPLING_RATE)
    peaks = find_peaks(signals, SAMPLING_RATE)
    windows = align_beats(signals, peaks, before=BEFORE, after=N_BEAT_TIME - BEFORE)
    if len(windows) > n_most:
        windows = windows[np.linspace(0, len(windows) - 1, n_most).astype(int)]
    return windows.astype(np.float32)


@dataclass(frozen=True)
class BeatWindows:
    """Windows `(window, lead, time)` in mV with the patient of each."""

    windows: np.ndarray
    patients: np.ndarray

    def scaled(self, factor: np.ndarray) -> np.ndarray:
        """Return the windows over a factor per lead `(lead, 1)` in mV."""
        return (self.windows / factor).astype(np.float32)

    @property
    def n_patient(self) -> int:
        """Number of patients."""
        return len(np.unique(self.patients))


def collect_windows(records: Sequence[Record], *, n_most: int = 40) -> BeatWindows:
    """Return the beat windows of several records."""
    pieces = [_beat_windows(record, n_most=n_most) for record in records]
    patients = [
        np.repeat(record.patient or record.name, len(piece))
        for record, piece in zip(records, pieces, strict=True)
    ]
    empty = np.zeros((0, _N_LEAD, N_BEAT_TIME), dtype=np.float32)
    return BeatWindows(np.concatenate([empty, *pieces]), np.concatenate([[], *patients]))


def join_windows(first: BeatWindows, second: BeatWindows) -> BeatWindows:
    """Return the windows of two groups of people as one group."""
    return BeatWindows(
        np.concatenate([first.windows, second.windows]),
        np.concatenate([first.patients, second.patients]),
    )


def lead_factor(windows: np.ndarray) -> np.ndarray:
    """Return the largest size of each lead `(lead, 1)` in mV, outliers (0.1 %) left out."""
    return np.quantile(np.abs(windows), 0.999, axis=(0, 2))[:, None].astype(np.float32)


def common_factor(windows: np.ndarray) -> np.ndarray:
    """Return one factor for all leads `(lead, 1)` in mV, which keeps their relative sizes."""
    largest = np.quantile(np.abs(windows), 0.999)
    return np.full((windows.shape[1], 1), largest, dtype=np.float32)


def augment_windows(
    windows: np.ndarray, *, strength: float, generator: np.random.Generator
) -> np.ndarray:
    """Return windows `(window, lead, time)` in mV as other hearts and electrodes might show them.

    Each beat gets its own change; at strength 1 the standard deviations are 0.3 of a lead's size
    for what the other independent leads add to it (an axis or electrode that is elsewhere; the
    limb leads keep Einthoven's law), 7 % for the speed before, within and after the QRS complex,
    and 20 % for the size of each of these three sections.

    Parameters
    ----------
    windows
        In mV, the R peak at sample 96.
    strength
        0 returns the beats as they are.
    generator
        Of the draws.
    """
    n_window = len(windows)
    mixing = generator.normal(0, 0.3 * strength / np.sqrt(8), (n_window, 8, 8)) + np.eye(8)
    mixed = derive_leads(mixing @ independent_signals(windows))
    sizes = np.exp(generator.normal(0, 0.2 * strength, (n_window, 3))) @ _sections()
    speeds = np.exp(generator.normal(0, 0.07 * strength, (n_window, 3)))
    return (_at_speeds(mixed, speeds) * sizes[:, None]).astype(np.float32)


def _sections() -> np.ndarray:
    """Return weights `(section, time)` of before, within and after the QRS complex; sum 1."""
    times = np.arange(N_BEAT_TIME)
    first, last = (1 / (1 + np.exp(-(times - edge) / 4)) for edge in _QRS)
    return np.stack([1 - first, first * (1 - last), first * last])


def _at_speeds(windows: np.ndarray, speeds: np.ndarray) -> np.ndarray:
    """Return windows whose three sections pass at `speeds` `(window, 3)`; the R peak stays."""
    pace = speeds @ _sections()
    places = np.cumsum(pace, axis=1)
    places = BEFORE + places - places[:, BEFORE : BEFORE + 1]
    places = np.clip(places, 0, N_BEAT_TIME - 1.001)
    left = places.astype(int)[:, None]
    share = places[:, None] - left
    before, after = (np.take_along_axis(windows, left + step, axis=2) for step in (0, 1))
    return before * (1 - share) + after * share
