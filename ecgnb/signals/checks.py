"""Refuse a recording that no personal model can be fitted on or applied to, and say why."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ecgnb.leads import LEADS, lead_index
from ecgnb.records.record import ABSURD_MV, Record, RecordError
from ecgnb.signals.beats import align_beats, average_beat, find_peaks
from ecgnb.signals.filters import clean, resample_signals

CHECKED_HZ = 250.0

MIN_CALIBRATION_S = 20.0

MIN_INPUT_S = 4.0

FLAT_MV = 0.02

MAX_LOST = 0.2

MIN_ALIKE = 0.3

BEFORE_PEAK, AFTER_PEAK = 60, 100  # samples at 250 Hz around the R peak

SIGNATURE_HZ, PIECE_S, N_PIECE = 100.0, 0.8, 25

MIN_ALIKE_LEAD, CLEARLY = 0.5, 0.05


def check_calibration(record: Record, lead: str, *, least_s: float) -> None:
    """Refuse a recording of several leads on which no model for one input lead can be fitted.

    Raises
    ------
    RecordError
        If it is shorter than `least_s`, a lead is flat or lost, or the input lead shows no
        regular beats.
    """
    _check_length(record, least_s, "a model needs beats to learn from and to be tested")
    for name, signal in zip(record.leads, record.signals, strict=True):
        _check_signal(record, name, signal)
    _check_beats(record, lead)


def check_input(record: Record, lead: str) -> None:
    """Refuse a recording of one lead that is too short, flat, lost in noise or not in mV."""
    _check_length(record, MIN_INPUT_S, "a few beats are needed to tell signal from noise")
    _check_signal(record, lead, record.lead(lead))
    _check_beats(record, lead)


def _check_length(record: Record, least_s: float, why: str) -> None:
    if record.duration_s < least_s:
        raise RecordError(
            record.name,
            f"it lasts {record.duration_s:.1f} s, at least {least_s:g} s are expected",
            why,
            "record for longer",
        )


def _check_signal(record: Record, lead: str, signal: np.ndarray) -> None:
    lost = 1 - np.isfinite(signal).mean()
    if lost > MAX_LOST:
        raise RecordError(
            record.name,
            f"{100 * lost:.0f} % of lead {lead} is missing, at most {100 * MAX_LOST:.0f} % may be",
            "what is missing would be made up",
            "record it again with a better contact",
        )
    middle = np.nanmedian(signal)
    size = np.nanpercentile(np.abs(signal - middle), 99.5)
    if size < FLAT_MV:
        raise RecordError(
            record.name,
            f"lead {lead} is flat: it moves by {size:.4f} mV, over {FLAT_MV} mV are expected",
            "a flat lead tells nothing",
            "check the electrode, the lead and the unit",
        )
    if size > ABSURD_MV:
        raise RecordError(
            record.name,
            f"lead {lead} moves by {size:.4g} mV, less than {ABSURD_MV:g} mV are expected",
            "no ECG is that large; the unit is probably not mV",
            "name the unit: mV, uV or V",
        )


def _check_beats(record: Record, lead: str) -> None:
    n_beat, alike = _beat_likeness(record.lead(lead), record.sampling_rate)
    if n_beat < max(2, record.duration_s / 4):
        raise RecordError(
            record.name,
            f"{n_beat} heartbeats found in lead {lead} in {record.duration_s:.0f} s",
            "at least one every 4 s is expected",
            "check that it is an ECG and that the sampling rate is right",
        )
    if alike < MIN_ALIKE:
        raise RecordError(
            record.name,
            f"lead {lead} is too noisy: its beats correlate {alike:.2f} with their average, "
            f"over {MIN_ALIKE} is expected",
            "noise would be taken for ECG",
            "record again lying still, with clean electrodes",
        )


def _course(signal: np.ndarray, sampling_rate: float) -> np.ndarray:
    """Return one lead `(time,)` in mV, 0.5-40 Hz and at 250 Hz."""
    return clean(signal[None], sampling_rate, to_rate=CHECKED_HZ)[0]


def _beats(signal: np.ndarray, sampling_rate: float) -> np.ndarray:
    """Return the beats `(beat, time)` of one lead at its own R peaks."""
    cleaned = _course(signal, sampling_rate)
    peaks = find_peaks(cleaned, CHECKED_HZ)
    return align_beats(cleaned, peaks, before=BEFORE_PEAK, after=AFTER_PEAK)


def _beat_likeness(signal: np.ndarray, sampling_rate: float) -> tuple[int, float]:
    """Return the number of beats and the median correlation of each with their average."""
    beats = _beats(signal, sampling_rate)
    if len(beats) < 2:
        return len(beats), 0.0
    average = average_beat(beats)
    centred = beats - beats.mean(axis=1, keepdims=True)
    middle = average - average.mean()
    norms = np.linalg.norm(centred, axis=1) * np.linalg.norm(middle)
    return len(beats), float(np.median(centred @ middle / np.maximum(norms, 1e-12)))


def signature(record: Record) -> np.ndarray:
    """Return up to 60 s of the leads `(lead, time)` at 100 Hz, float32, mV, to compare with."""
    cleaned = clean(record.signals, record.sampling_rate, to_rate=CHECKED_HZ)
    slow = resample_signals(cleaned, CHECKED_HZ, SIGNATURE_HZ)
    return slow[:, : round(60 * SIGNATURE_HZ)].astype(np.float32)


def _lead_likeness(signal: np.ndarray, sampling_rate: float, known: np.ndarray) -> np.ndarray:
    """Return how alike a signal is to 12 known leads, upright and upside down `(2, lead)`.

    Pieces of 0.8 s are searched in each known lead; the largest correlation of each piece, the
    median over pieces. No R peak is needed, which may sit on another wave in another recording.

    Parameters
    ----------
    signal, sampling_rate
        `(time,)` in mV, and Hz.
    known
        From `signature`.
    """
    slow = resample_signals(_course(signal, sampling_rate), CHECKED_HZ, SIGNATURE_HZ)
    n_time = round(PIECE_S * SIGNATURE_HZ)
    starts = np.linspace(0, slow.size - n_time, N_PIECE).astype(int)
    pieces = _normed(slow[starts[:, None] + np.arange(n_time)])
    found = [_normed(sliding_window_view(lead, n_time)) @ pieces.T for lead in known]
    upright = [np.median(each.max(axis=0)) for each in found]
    return np.array([upright, [np.median(-each.min(axis=0)) for each in found]])


def _normed(pieces: np.ndarray) -> np.ndarray:
    """Return pieces `(piece, time)` without their mean and of length 1."""
    centred = pieces - pieces.mean(axis=1, keepdims=True)
    return centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-9)


def compare_with_calibration(
    record: Record, lead: str, known: np.ndarray, *, least: float = MIN_ALIKE_LEAD
) -> tuple[str, ...]:
    """Return warnings if the recorded lead looks more like another one of the calibration.

    Parameters
    ----------
    record, lead
        The recording and the lead that it is said to hold.
    known
        From `signature`.
    least
        Correlation below which the lead is nothing like the calibrated one.

    Raises
    ------
    RecordError
        If the lead stands upside down or is nothing like the calibrated one.
    """
    alike = _lead_likeness(record.lead(lead), record.sampling_rate, known)
    upright, inverted = alike[:, lead_index(lead)]
    likest = int(alike[0].argmax())
    if upright < least or inverted > upright + CLEARLY:
        state = "upside down" if inverted > upright + CLEARLY else "nothing like it"
        raise RecordError(
            record.name,
            f"lead {lead} is {state}: the best fit to the calibration correlates {upright:.2f} "
            f"upright and {inverted:.2f} upside down",
            f"over {least} upright is expected" if least > 0 else "upright is expected",
            "check the electrodes, the polarity and the name of the lead",
        )
    if alike[0, likest] > upright + CLEARLY:
        return (
            f"the recording fits {LEADS[likest]} of the calibration better (correlation "
            f"{alike[0, likest]:.2f}) than {lead} ({upright:.2f}): check the electrode",
        )
    return ()
