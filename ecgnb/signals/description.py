"""Describe a record by figures that a simulated one should share with a recorded one.

Amplitudes and intervals come from the average beat, the rest from the filtered signals. Records
are described under one method, so differences between groups mean more than single values.
Recordings that two databases hold are found by the correlation of their signals.
"""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import asdict

import numpy as np
import pandas as pd
from scipy import signal as sps
from scipy.fft import irfft, next_fast_len, rfft

from ecgnb.leads import FRANK_LEADS, LEADS, independent_signals, limb_lead_error
from ecgnb.records.labels import SYNTHETIC_SHARE, TWADB_FROM_PTBDB
from ecgnb.records.record import Record
from ecgnb.signals.beats import align_beats, average_beat, find_peaks, wave_masks
from ecgnb.signals.filters import clean, fill_missing, resample_signals

RATE_HZ = 500.0

BAND_EDGES_HZ = (0.5, 1, 2, 3, 5, 7, 10, 14, 20, 28, 40, 56, 80, 110)


def list_records(records: Iterable[Record]) -> pd.DataFrame:
    """Return one row of labels, sampling rate and length for each record."""
    return pd.DataFrame(
        [
            {
                "record": record.name,
                "database": record.database,
                "origin": record.origin,
                "condition": record.condition or "not stated",
                "patient": record.patient,
                "sampling_rate": record.sampling_rate,
                "duration_s": record.duration_s,
                "frank_leads": record.frank is not None,
            }
            for record in records
        ]
    )


def list_quality(records: Iterable[Record]) -> pd.DataFrame:
    """Return one row for each record and lead: shares missing, flat, saturated, beyond 20 mV.

    Column `kind` tells the 12 `standard` leads from the `Frank` leads.
    """
    kinds = {True: "Frank", False: "standard"}
    rows = [
        {
            "record": record.name,
            "database": record.database,
            "kind": kinds[row.lead in FRANK_LEADS],
        }
        | asdict(row)
        for record in records
        for row in record.quality
    ]
    return pd.DataFrame(rows)


def summarise_origins(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each origin in a table of `describe_records`.

    Columns `records` and their `share`; `of_rank_3`, how many hold three independent leads only;
    `in_doubt`, how many of them contradict the origin that the header tells; the medians of
    `beyond_3` (energy beyond three directions), `rr_ms` and `qrs_ms`.
    """
    rank_3 = table["share_beyond_3"] < SYNTHETIC_SHARE
    in_doubt = rank_3 != (table["origin"] == "synthetic")
    groups = table.assign(rank_3=rank_3, in_doubt=in_doubt).groupby("origin")
    summary = groups.agg(
        records=("record", "size"),
        of_rank_3=("rank_3", "sum"),
        in_doubt=("in_doubt", "sum"),
        beyond_3=("share_beyond_3", "median"),
        rr_ms=("rr_ms", "median"),
        qrs_ms=("qrs_ms", "median"),
    )
    summary.insert(1, "share", summary["records"] / len(table))
    return summary


def _singular_shares(signals: np.ndarray) -> np.ndarray:
    """Return the shares `(8,)` of the independent leads' energy in each singular direction.

    Parameters
    ----------
    signals
        12 leads `(lead, time)` in standard order; the mean of each is taken away.

    Examples
    --------
    >>> one_source = np.outer(np.arange(1.0, 13.0), np.sin(np.arange(50.0)))
    >>> _singular_shares(one_source).round(6)[:2].tolist()
    [1.0, 0.0]
    """
    eight = independent_signals(np.asarray(signals, dtype=np.float64))
    eight = eight - eight.mean(axis=-1, keepdims=True)
    energy = np.linalg.eigvalsh(eight @ eight.T)[::-1].clip(0)
    return energy / max(energy.sum(), np.finfo(float).tiny)


def _band_powers(signals: np.ndarray, sampling_rate: float) -> np.ndarray:
    """Return the power density `(band,)` in uV^2/Hz, mean over leads, between `BAND_EDGES_HZ`."""
    frequencies, density = sps.welch(
        1000 * np.asarray(signals, dtype=np.float64), sampling_rate, nperseg=int(4 * sampling_rate)
    )
    mean = density.mean(axis=0)
    bands = itertools.pairwise(BAND_EDGES_HZ)
    return np.array(
        [mean[(frequencies >= low) & (frequencies < high)].mean() for low, high in bands]
    )


def _beat_figures(signals: np.ndarray, sampling_rate: float) -> dict[str, float]:
    """Return sizes and intervals of the average beat: `qrs_mv_V2`, `t_mv_V2`, ..., `rr_ms`, ...

    The size of a wave in a lead is its range, mV (of the T wave: its value of largest size, with
    its sign, from the level before the QRS complex). PR is NaN without a P wave, everything
    without 3 beats.
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
    ends, p_wave = np.flatnonzero(t_wave), masks["P"]
    figures = {
        "rr_ms": float(np.median(rr_ms)),
        "rr_variation_ms": float(np.median(np.abs(np.diff(rr_ms)))),
        "pr_ms": 1000 * (start - int(p_wave.argmax())) / sampling_rate if p_wave.any() else np.nan,
        "qrs_ms": float(1000 * qrs.sum() / sampling_rate),
        "qt_ms": float(1000 * (ends[-1] + 1 - start) / sampling_rate) if ends.size else np.nan,
    }
    for lead, row, zero in zip(LEADS, beat, level, strict=True):
        figures[f"qrs_mv_{lead}"] = float(np.ptp(row[qrs]))
        late = row[t_wave] - zero
        figures[f"t_mv_{lead}"] = float(late[np.abs(late).argmax()]) if late.size else np.nan
    return figures


def describe_record(record: Record) -> dict[str, object]:
    """Return one row of figures: labels, limb-lead errors, beats, singular shares, band powers.

    The limb-lead errors are the largest departures from Einthoven's and Goldberger's laws, as
    recorded and after each lead's mean was taken away, uV. Beat figures and singular shares are
    taken between 0.5 and 40 Hz, band powers at 500 Hz before any filter.
    """
    raw = resample_signals(fill_missing(record.signals), record.sampling_rate, RATE_HZ)
    signals = clean(raw, RATE_HZ)
    row: dict[str, object] = {
        "record": record.name,
        "database": record.database,
        "patient": record.patient,
        "condition": record.condition,
        "origin": record.origin,
        "duration_s": record.signals.shape[-1] / record.sampling_rate,
    }
    centred = raw - raw.mean(axis=-1, keepdims=True)
    row["limb_error_uv"] = 1000 * limb_lead_error(fill_missing(record.signals)).max()
    row["limb_error_centred_uv"] = 1000 * limb_lead_error(centred).max()
    row |= _beat_figures(signals, RATE_HZ)
    shares = _singular_shares(signals)
    row |= {f"share_{rank}": share for rank, share in enumerate(shares, 1)}
    row["share_beyond_3"] = shares[3:].sum()
    powers = zip(BAND_EDGES_HZ, _band_powers(raw, RATE_HZ), strict=False)
    return row | {f"power_{low:g}_hz": power for low, power in powers}


def describe_records(records: Iterable[Record]) -> pd.DataFrame:
    """Return one row of `describe_record` for each record."""
    return pd.DataFrame([describe_record(record) for record in records])


def compare_descriptions(recorded: pd.DataFrame, simulated: pd.DataFrame) -> pd.DataFrame:
    """Return for each figure of both tables where the simulated median lies, one row a figure.

    Columns `low`, `median`, `high` (10, 50 and 90 % of the recorded values), `simulated` (median),
    `inside`, whether it lies between low and high, and `spread`, the simulated 10-90 % range over
    the recorded one: below 1 where simulated people are more alike than recorded ones.
    """
    labels = ("duration", "limb_error")
    figures = [
        name
        for name in simulated.select_dtypes("number").columns
        if name in recorded and not name.startswith(labels)
    ]
    table = recorded[figures].quantile([0.1, 0.5, 0.9]).T
    table.columns = ["low", "median", "high"]
    table["simulated"] = simulated[figures].median()
    table["inside"] = table["simulated"].between(table["low"], table["high"])
    low, high = simulated[figures].quantile([0.1, 0.9]).to_numpy()
    table["spread"] = (high - low) / (table["high"] - table["low"])
    return table.rename_axis("figure").reset_index()


def match_records(
    records: Sequence[Record], others: Sequence[Record], *, template_s: float = 10.0
) -> pd.DataFrame:
    """Return for each record the other one that holds its middle `template_s`, if any could.

    Columns `record`, `other`, `correlation` (over the 8 independent leads together, at 100 Hz and
    1-25 Hz) and `shift_s`, where in the other one the piece begins. The same recording gives a
    correlation near 1; two recordings of one person stay clearly below.

    Parameters
    ----------
    records, others
        Records of any sampling rates; an other one shorter than the piece is passed over.
    template_s
        Length of the piece, s.
    """
    rate = 100.0
    n_piece = round(template_s * rate)
    courses = [(other.name, _slow_course(other, rate)) for other in others]
    courses = [(name, course) for name, course in courses if course.shape[-1] >= n_piece]
    longest = max((course.shape[-1] for _, course in courses), default=2)
    n_fast = 2 * next_fast_len((longest + 1) // 2, real=True)  # an even length
    spectra = [(name, rfft(course, n_fast), course) for name, course in courses]
    rows = []
    for record in records:
        course = _slow_course(record, rate)
        first = max((course.shape[-1] - n_piece) // 2, 0)
        piece = course[:, first : first + n_piece]
        spectrum = np.conj(rfft(piece, n_fast)) / np.linalg.norm(piece)
        best = max(
            ((*_best_fit(spectrum, *other, n_piece), name) for name, *other in spectra),
            default=(np.nan, 0, ""),
        )
        rows.append((record.name, best[2], best[0], best[1] / rate))
    return pd.DataFrame(rows, columns=["record", "other", "correlation", "shift_s"])


def name_known(matches: pd.DataFrame) -> pd.DataFrame:
    """Return matches, the best first, with a column `known`: what the labels of the book say."""
    known = matches["record"].map(TWADB_FROM_PTBDB).fillna("")
    return matches.assign(known=known).sort_values("correlation", ascending=False)


def _slow_course(record: Record, rate: float) -> np.ndarray:
    """Return the 8 independent leads `(8, time)` between 1 and 25 Hz at a low rate."""
    signals = independent_signals(fill_missing(record.signals))
    signals = signals - np.median(signals, axis=-1, keepdims=True)
    slow = resample_signals(signals, record.sampling_rate, rate)
    return clean(slow, rate, low_hz=1.0, high_hz=25.0)


def _best_fit(
    piece_spectrum: np.ndarray, spectrum: np.ndarray, course: np.ndarray, n_piece: int
) -> tuple[float, int]:
    """Return the largest correlation of a piece with any stretch of a course, and its start."""
    product = irfft((spectrum * piece_spectrum).sum(axis=0), 2 * (spectrum.shape[-1] - 1))
    total = np.concatenate([[0.0], np.cumsum(np.square(course).sum(axis=0))])
    energy = total[n_piece:] - total[:-n_piece]
    fit = product[: energy.size] / np.sqrt(np.maximum(energy, np.finfo(float).tiny))
    return float(fit.max()), int(fit.argmax())
