"""Describe a record by figures that a simulated one should share with a recorded one.

Amplitudes and intervals come from the average beat, the rest from the filtered signals. Records
are described under one method, so differences between groups mean more than single values.
"""

import itertools
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import signal as sps

from ecgnb.beats import align_beats, average_beat, find_peaks, wave_masks
from ecgnb.leads import LEADS, independent_signals
from ecgnb.preprocessing import fill_missing, filter_signals, resample_signals
from ecgnb.records import Record

RATE_HZ = 500.0
BAND_EDGES_HZ = (0.5, 1, 2, 3, 5, 7, 10, 14, 20, 28, 40, 56, 80, 110)


def singular_shares(signals: np.ndarray) -> np.ndarray:
    """Return the shares `(8,)` of the independent leads' energy in each singular direction.

    Parameters
    ----------
    signals
        12 leads `(lead, time)` in standard order; the mean of each is taken away.

    Examples
    --------
    >>> one_source = np.outer(np.arange(1.0, 13.0), np.sin(np.arange(50.0)))
    >>> singular_shares(one_source).round(6)[:2].tolist()
    [1.0, 0.0]
    """
    eight = independent_signals(np.asarray(signals, dtype=np.float64))
    eight = eight - eight.mean(axis=-1, keepdims=True)
    energy = np.linalg.eigvalsh(eight @ eight.T)[::-1].clip(0)
    return energy / max(energy.sum(), np.finfo(float).tiny)


def band_powers(signals: np.ndarray, sampling_rate: float) -> np.ndarray:
    """Return the power density `(band,)` in uV^2/Hz, mean over leads, between `BAND_EDGES_HZ`."""
    frequencies, density = sps.welch(
        1000 * np.asarray(signals, dtype=np.float64), sampling_rate, nperseg=int(4 * sampling_rate)
    )
    mean = density.mean(axis=0)
    bands = itertools.pairwise(BAND_EDGES_HZ)
    return np.array(
        [mean[(frequencies >= low) & (frequencies < high)].mean() for low, high in bands]
    )


def beat_figures(signals: np.ndarray, sampling_rate: float) -> dict[str, float]:
    """Return sizes and intervals of the average beat: `qrs_mv_V2`, `t_mv_V2`, ..., `rr_ms`, ...

    The size of a wave in a lead is its range, mV (of the T wave: its value of largest size, with
    its sign, from the level before the QRS complex). Without 3 beats, everything is NaN.
    """
    peaks = find_peaks(signals, sampling_rate)
    before, after = round(0.3 * sampling_rate), round(0.55 * sampling_rate)
    beats = align_beats(signals, peaks, before=before, after=after)
    if len(beats) < 3:
        return {}
    beat = average_beat(beats)
    masks = wave_masks(beat, sampling_rate, before)
    qrs, t_wave = masks["QRS"], masks["T"]
    start = int(qrs.argmax())
    level = beat[:, max(start - round(0.016 * sampling_rate), 0) : start + 1].mean(axis=1)
    rr_ms = 1000 * np.diff(peaks) / sampling_rate
    ends = np.flatnonzero(t_wave)
    figures = {
        "rr_ms": float(np.median(rr_ms)),
        "rr_variation_ms": float(np.median(np.abs(np.diff(rr_ms)))),
        "qrs_ms": float(1000 * qrs.sum() / sampling_rate),
        "qt_ms": float(1000 * (ends[-1] + 1 - start) / sampling_rate) if ends.size else np.nan,
    }
    for lead, row, zero in zip(LEADS, beat, level, strict=True):
        figures[f"qrs_mv_{lead}"] = float(np.ptp(row[qrs]))
        late = row[t_wave] - zero
        figures[f"t_mv_{lead}"] = float(late[np.abs(late).argmax()]) if late.size else np.nan
    return figures


def describe_record(record: Record) -> dict[str, object]:
    """Return one row of figures: labels, beat figures, singular shares and band powers.

    Beat figures and singular shares are taken between 0.5 and 40 Hz, band powers from the signal
    at 500 Hz as it was recorded.
    """
    raw = resample_signals(fill_missing(record.signals), record.sampling_rate, RATE_HZ)
    raw = raw - np.median(raw, axis=-1, keepdims=True)
    signals = filter_signals(raw, RATE_HZ)
    row: dict[str, object] = {
        "record": record.name,
        "database": record.database,
        "patient": record.patient,
        "condition": record.condition,
        "origin": record.origin,
        "duration_s": record.signals.shape[-1] / record.sampling_rate,
    }
    row |= beat_figures(signals, RATE_HZ)
    row |= {f"share_{rank}": share for rank, share in enumerate(singular_shares(signals), 1)}
    powers = zip(BAND_EDGES_HZ, band_powers(raw, RATE_HZ), strict=False)
    return row | {f"power_{low:g}_hz": power for low, power in powers}


def describe_records(records: Iterable[Record]) -> pd.DataFrame:
    """Return one row of `describe_record` for each record."""
    return pd.DataFrame([describe_record(record) for record in records])


def write_description(records: Iterable[Record], path: Path) -> Path:
    """Return the path of a CSV file of `describe_records`, four digits a figure.

    The table that the book compares with is made by this function from the real records.
    """
    path = Path(path)
    partial = path.with_suffix(".partial")
    describe_records(records).to_csv(partial, index=False, float_format="%.4g")
    partial.replace(path)
    return path
