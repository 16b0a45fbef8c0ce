"""Twelve leads as the samples of one come, with a fixed delay.

The filter is causal: it looks back only, and shifts waves by a few ms that depend on frequency.
What is returned does not depend on the pieces in which the samples come, to the last bit: the
filter carries its state, and a look-up gives a moment the same bits whatever lies beside it.

The live page of the book does not stream: it carries recordings that were filtered without shift,
and weighs neighbours by all moments of the stretch that is looked up, so that what it shows of a
moment would hang on how much had come.
"""

from dataclasses import replace

import numpy as np

from ecgnb.leads import LEADS, lead_index
from ecgnb.reconstruction.methods import LeadModels
from ecgnb.reconstruction.neighbours import EMBEDDING_REACHES_S, fit_neighbours
from ecgnb.reconstruction.personal import PersonalModel
from ecgnb.records.record import Record
from ecgnb.signals.filters import CausalFilter, clean, fill_missing, resample_signals

STEP_S = 0.28

_METHODS = ("neighbours",)

_NOTHING = np.zeros((len(LEADS), 0), dtype=np.float32)


class Stream:
    """What has been pushed and not yet returned; made by `stream`.

    Attributes
    ----------
    delay_s
        A sample comes back reconstructed at most so much later, s.
    sampling_rate
        Of what is pushed and of what comes back, Hz.
    """

    def __init__(self, model: PersonalModel) -> None:
        options = model.options
        self.model, self.sampling_rate = model, options.sampling_rate
        self._look_up = model.model.models[0]
        self._step = max(round(STEP_S * self.sampling_rate), 1)
        self._reach = max(round(reach_s * self.sampling_rate) for reach_s in EMBEDDING_REACHES_S)
        self._filter = CausalFilter(self.sampling_rate, options.low_hz, options.high_hz)
        self._signal, self._missing = np.zeros(0), np.zeros(0, dtype=bool)
        self._pending: list[np.ndarray] = []
        self._n_pushed = self._n_done = self._first = 0  # the first sample that is kept

    @property
    def delay_s(self) -> float:
        """What the look-up looks ahead, and the time until a step is full, s."""
        return (self._reach + self._step) / self.sampling_rate

    def push(self, samples: np.ndarray) -> np.ndarray:
        """Return the leads `(lead, time)` in mV that can be told now; often none.

        Parameters
        ----------
        samples
            The next ones `(time,)` of the lead, mV; missing ones NaN.
        """
        self._pending.append(np.atleast_1d(np.asarray(samples, dtype=np.float64)))
        self._n_pushed += self._pending[-1].size
        stop = (self._n_pushed - self._reach) // self._step * self._step
        return self._take(stop) if stop > self._n_done else _NOTHING

    def finish(self) -> np.ndarray:
        """Return the leads of the samples that are left: nothing will come after them."""
        return self._take(self._n_pushed)

    def _take(self, stop: int) -> np.ndarray:
        """Return the leads from what was returned last up to a sample, and forget what is past."""
        samples = np.concatenate([np.zeros(0), *self._pending])
        self._pending = []
        self._signal = np.concatenate([self._signal, self._filter.apply(samples)])
        self._missing = np.concatenate([self._missing, ~np.isfinite(samples)])
        if stop <= self._n_done or self._signal.size <= 2 * self._reach:
            return _NOTHING
        made = self._reconstruct(slice(self._n_done - self._first, stop - self._first))
        first = max(stop - self._reach, 0)
        self._signal = self._signal[first - self._first :]
        self._missing = self._missing[first - self._first :]
        self._first, self._n_done = first, stop
        return made

    def _reconstruct(self, kept: slice) -> np.ndarray:
        """Return the leads `(lead, time)` of some of the kept samples, missing where they are."""
        used = slice(max(kept.start - self._reach, 0), kept.stop + self._reach)
        signal, before = self._signal[used], kept.start - used.start
        row, scaling = lead_index(self.model.lead), self.model.scaling
        scaled = ((signal - scaling.offset[row]) / scaling.factor[row]).astype(np.float32)
        if before < self._reach or signal.size < used.stop - used.start:  # at the start or the end
            made = self._look_up.predict(scaled)[:, before : before + kept.stop - kept.start]
        else:
            made = self._look_up.predict_middle(scaled, self._reach)
        made = np.array(scaling.to_mv(made), dtype=np.float32)
        made[row] = self._signal[kept]
        made[:, self._missing[kept]] = np.nan
        return made


def fit_for_stream(calibration: Record, model: PersonalModel) -> PersonalModel:
    """Return a model whose look-up knows the calibration as a stream will show its lead.

    The lead is filtered forwards only, the leads to read off as before, without any shift: so the
    look-up undoes what the causal filter does to the lead. What the model says to expect is that
    of the filter without shift, which is a little better.

    Parameters
    ----------
    calibration
        The 12 leads that `model` was fitted on, mV.
    model
        Of the method `neighbours`.
    """
    options, row = model.options, lead_index(model.lead)
    filled, rate = fill_missing(calibration.signals), options.sampling_rate
    how = {"low_hz": options.low_hz, "high_hz": options.high_hz, "to_rate": rate}
    outputs = model.scaling.apply(clean(filled, calibration.sampling_rate, **how))
    raw = resample_signals(filled[row], calibration.sampling_rate, rate)
    causal = CausalFilter(rate, options.low_hz, options.high_hz).apply(raw)
    causal = (causal - model.scaling.offset[row]) / model.scaling.factor[row]
    look_up = fit_neighbours(causal.astype(np.float32), outputs.astype(np.float32), rate)
    return replace(model, model=LeadModels((look_up,)))


def stream(model: PersonalModel) -> Stream:
    """Return what turns one lead into twelve as its samples come.

    Parameters
    ----------
    model
        Of the method `neighbours`, which looks 0.2 s ahead and back; best from `fit_for_stream`.

    Raises
    ------
    ValueError
        For a model of a method that looks further, or searches R peaks.

    Examples
    --------
    >>> from ecgnb.reconstruction.personal import fit_personal
    >>> from ecgnb.simulation.synthesis import SimulationOptions, simulate_record
    >>> record = simulate_record(SimulationOptions(duration_s=30.0), seed=0).record
    >>> coming = stream(fit_personal(record, "II", method="neighbours"))
    >>> coming.delay_s
    0.48
    >>> coming.push(np.zeros(50)).shape, coming.push(np.zeros(200)).shape
    ((12, 0), (12, 140))
    """
    slack = getattr(getattr(model.model, "models", (None,))[0], "slack", 1.0)
    if model.method not in _METHODS or slack:
        raise ValueError(
            f"a model of {model.method} cannot follow a stream: it looks further than "
            f"{max(EMBEDDING_REACHES_S):g} s, searches R peaks, or was fitted by version 0.1.0; "
            f"fit one of {', '.join(_METHODS)}"
        )
    return Stream(model)
