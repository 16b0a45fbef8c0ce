"""A look-up that a page can carry: what it stores of a recording, and its arithmetic in Python."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from ecgnb.intervals import correlation
from ecgnb.leads import lead_index, other_leads
from ecgnb.reconstruction.average_beat import AFTER_S, BEFORE_S, paste_beats
from ecgnb.reconstruction.neighbours import (
    EMBEDDING_REACHES_S,
    Embedding,
    Library,
    NeighbourModel,
    fit_embedding,
)
from ecgnb.signals.beats import align_beats, average_beat, find_peaks
from ecgnb.signals.preparation import Prepared

_UNIT_MV = 0.001  # signals are packed as whole microvolts

_LARGEST_MV = 32.0


@dataclass(frozen=True)
class LiveRecording:
    """One recording on the page: `library` to look up in and `shown` to reconstruct, mV.

    Both are `(lead, time)` in whole microvolts. `peaks` holds for each lead the R peaks found
    on that lead alone, in the library and in the shown stretch.
    """

    name: str
    origin: str
    sampling_rate: float
    library: np.ndarray
    shown: np.ndarray
    peaks: tuple[tuple[np.ndarray, np.ndarray], ...]


def make_recording(
    prepared: Prepared, *, library_s: float = 36.0, shown_s: float = 10.0, worst_from: str = ""
) -> LiveRecording:
    """Return what the page needs of a record: the end of its training part, some test part.

    Parameters
    ----------
    prepared
        The record; nothing but its training part reaches the library.
    library_s, shown_s
        At most so many seconds of the training part and of the test part.
    worst_from
        A lead: the stretch is that of the test part where the look-up from this lead errs most
        over all leads. Without it the stretch is the first.

    Raises
    ------
    ValueError
        If the signals are too large to be packed, or have no scale in mV.
    """
    rate = prepared.sampling_rate
    library = _in_microvolts(prepared.scaling.to_mv(prepared.train[:, -round(library_s * rate) :]))
    test, n_shown = _in_microvolts(prepared.scaling.to_mv(prepared.test)), round(shown_s * rate)
    labels = prepared.record
    start = 0
    if worst_from:
        whole = LiveRecording(labels.name, labels.origin, rate, library, test, ())
        start = _worst_start(whole, lead_index(worst_from), n_shown)
    shown = test[:, start : start + n_shown]
    peaks = tuple(
        (find_peaks(known, rate), find_peaks(given, rate))
        for known, given in zip(library, shown, strict=True)
    )
    return LiveRecording(labels.name, labels.origin, rate, library, shown, peaks)


def _worst_start(whole: LiveRecording, lead: int, n_time: int) -> int:
    """Return where the stretch of some samples begins in which the look-up errs most."""
    error = np.square(predict_live(whole, lead) - whole.shown).sum(axis=0)
    n_time = min(n_time, error.size)
    return int(np.convolve(error, np.ones(n_time), mode="valid").argmax())


def _in_microvolts(signals_mv: np.ndarray) -> np.ndarray:
    """Return signals in mV, rounded to whole microvolts."""
    if not np.abs(signals_mv).max(initial=0.0) < _LARGEST_MV:
        raise ValueError(f"signals of the live page must lie within {_LARGEST_MV:g} mV")
    return np.round(signals_mv.astype(np.float64) / _UNIT_MV) * _UNIT_MV


def find_axes(recording: LiveRecording, lead: int) -> tuple[Embedding, ...]:
    """Return the embedding of one given lead for each reach, its numbers rounded to float32."""
    rate, signal = recording.sampling_rate, recording.library[lead]
    found = [fit_embedding(signal, round(reach_s * rate)) for reach_s in EMBEDDING_REACHES_S]
    return tuple(Embedding(_rounded(one.mean), _rounded(one.axes), one.step) for one in found)


def _rounded(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float32).astype(np.float64)


def _fit_live(recording: LiveRecording, lead: int) -> NeighbourModel:
    """Return the nearest neighbours of one given lead as the page has them: searched exactly."""
    libraries, embeddings = [], find_axes(recording, lead)
    for axes in embeddings:
        places = axes.apply(recording.library[lead])
        moments = axes.reach + np.arange(len(places))
        libraries.append(Library(cKDTree(places), moments, recording.library))
    return NeighbourModel(embeddings, tuple(libraries), slack=0.0)


def predict_live(
    recording: LiveRecording, lead: int, *, scale: float = 1.0, shift_mv: float = 0.0
) -> np.ndarray:
    """Return all leads `(lead, time)` in mV of the shown stretch, from one lead of it.

    Parameters
    ----------
    recording
        What the page shows.
    lead
        Index of the given lead.
    scale, shift_mv
        The given lead is multiplied and moved first, as by the sliders of the page.
    """
    given = scale * recording.shown[lead] + shift_mv
    return _fit_live(recording, lead).predict_each(given, settled=False).mean(axis=0)


def paste_average_beat(recording: LiveRecording, lead: int) -> np.ndarray:
    """Return the average beat `(lead, time)` in mV pasted at the R peaks of one lead."""
    rate, (known, given) = recording.sampling_rate, recording.peaks[lead]
    before, after = round(BEFORE_S * rate), round(AFTER_S * rate)
    beats = align_beats(recording.library, known, before=before, after=after)
    if len(beats) == 0:
        beats = np.repeat(recording.library.mean(axis=1)[None, :, None], before + after, axis=2)
    return paste_beats(average_beat(beats), given, recording.shown.shape[1], before=before)


def score_hidden(recording: LiveRecording, predictions: np.ndarray, given: str) -> np.ndarray:
    """Return r and the root mean square error in mV `(hidden lead, 2)`; r of a flat lead is NaN.

    Parameters
    ----------
    recording
        Its shown stretch is the truth.
    predictions
        `(lead, time)`, mV.
    given
        The lead that is left out.
    """
    rows = [lead_index(lead) for lead in other_leads(given)]
    truth, guess = recording.shown[rows], predictions[rows]
    error = np.sqrt(np.square(guess - truth).mean(axis=1))
    return np.stack([correlation(truth, guess), error], axis=1)
