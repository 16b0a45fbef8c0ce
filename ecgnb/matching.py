"""Find a piece of one recording in others, by correlation of their independent leads."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.fft import irfft, next_fast_len, rfft

from ecgnb.leads import independent_signals
from ecgnb.preprocessing import clean, fill_missing, resample_signals
from ecgnb.records.labels import TWADB_FROM_PTBDB
from ecgnb.records.record import Record


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
