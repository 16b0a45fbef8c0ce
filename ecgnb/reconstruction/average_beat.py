"""The patient's average beat pasted at the input's R peaks, with and without a residual ridge.

A personal ECG repeats itself. Knowing where in the beat one is gives most of a score, so the
question of the book is what can be recovered beyond the average beat.
"""

from dataclasses import dataclass

import numpy as np

from ecgnb.reconstruction.linear import LagModel, lag_moments, solve_ridge
from ecgnb.signals.beats import align_beats, average_beat, find_peaks
from ecgnb.signals.preparation import Prepared

BEFORE_S = 0.45

AFTER_S = 0.75

RESIDUAL_REACH_S = 0.4  # chosen on the validation parts of 60 records: r 0.957, at 0.1 s 0.954


def fit_average_beat(prepared: Prepared, input_lead: int) -> "BeatModel":
    """Return the median training beat of all leads, aligned at the R peaks of one lead.

    Without a beat that lies whole inside the training part the beat is the training mean.

    Parameters
    ----------
    prepared
        Of which the training part is used.
    input_lead
        Index of the lead that will be given.
    """
    rate = prepared.sampling_rate
    before, after = round(BEFORE_S * rate), round(AFTER_S * rate)
    peaks = find_peaks(prepared.train[input_lead], rate)
    beats = align_beats(prepared.train, peaks, before=before, after=after)
    if len(beats) == 0:
        beats = np.repeat(prepared.train.mean(axis=1)[None, :, None], before + after, axis=2)
    return BeatModel(average_beat(beats), before, rate, input_lead)


def fit_beat_ridge(
    prepared: Prepared, input_lead: int, *, reach_s: float = RESIDUAL_REACH_S
) -> "BeatModel":
    """Return the average beat with a lagged ridge from the input's residual to all residuals.

    The penalty of each lead is chosen on the validation part.
    """
    model = fit_average_beat(prepared, input_lead)
    reach = round(reach_s * prepared.sampling_rate)
    moments = []
    for part in (prepared.train, prepared.validation):
        residual = part - model.paste(part[input_lead])
        moments.append(lag_moments(residual[input_lead], residual, reach))
    ridge = solve_ridge(*moments)
    return BeatModel(model.beat, model.before, model.sampling_rate, input_lead, ridge)


@dataclass(frozen=True)
class BeatModel:
    """The average beat `(lead, time)`, pasted wherever the input shows an R peak.

    `before` samples of it lie before the peak. With `residual` a lagged ridge carries what the
    input differs from its own pasted beat over to the other leads.
    """

    beat: np.ndarray
    before: int
    sampling_rate: float
    input_lead: int
    residual: LagModel | None = None

    def paste(self, input_signal: np.ndarray) -> np.ndarray:
        """Return the pasted average beat `(lead, time)`."""
        peaks = find_peaks(input_signal, self.sampling_rate)
        return paste_beats(self.beat, peaks, np.size(input_signal), before=self.before)

    def predict(self, input_signal: np.ndarray) -> np.ndarray:
        """Return all leads `(lead, time)` from one `(time,)`."""
        pasted = self.paste(input_signal)
        if self.residual is None:
            return pasted
        return pasted + self.residual.predict(input_signal - pasted[self.input_lead])


def paste_beats(beat: np.ndarray, peaks: np.ndarray, n_time: int, *, before: int) -> np.ndarray:
    """Return `(lead, n_time)` made of copies of `beat`, one at each peak.

    A copy ends where the next begins: 40 % of the interval before the next peak, or where the
    beat begins if that is later. Longer intervals are filled with the beat's last value.

    Examples
    --------
    >>> paste_beats(np.array([[1.0, 5.0, 2.0]]), np.array([1, 5]), 7, before=1).tolist()
    [[1.0, 5.0, 2.0, 2.0, 1.0, 5.0, 2.0]]
    """
    pasted = np.repeat(beat.mean(axis=1, keepdims=True), n_time, axis=1)
    if len(peaks) == 0:
        return pasted
    early = np.minimum(0.4 * np.diff(peaks), before).astype(int)
    starts = np.concatenate([[0], peaks[1:] - early])
    stops = np.concatenate([starts[1:], [n_time]])
    for peak, start, stop in zip(peaks, starts, stops, strict=True):
        places = np.clip(np.arange(start, stop) - peak + before, 0, beat.shape[1] - 1)
        pasted[:, start:stop] = beat[:, places]
    return pasted
