"""The one protocol by which any method enters a study, and the check of what it answers.

`fit(calibrations, inputs, *, seed) -> model`, calibrations being a list of `(12, time)` and inputs
lead indices, and `model.predict(signals (input, time)) -> (input, lead, time)`, all in mV,
filtered 0.5-40 Hz, at 250 Hz.
"""

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import numpy as np

from ecgnb.leads import LEADS
from ecgnb.reconstruction.another_day import fit_another_day
from ecgnb.reconstruction.average_beat import BeatModel
from ecgnb.reconstruction.methods import LeadModels
from ecgnb.reconstruction.neighbours import fit_neighbours
from ecgnb.reconstruction.pace import BEFORE_R, beat_at
from ecgnb.reconstruction.prior import DAY_RATE_HZ
from ecgnb.signals.beats import find_peaks

DayFit = Callable[..., Any]


class MethodError(Exception):
    """A method that broke the protocol: its name and what it did."""

    def __init__(self, method: str, what: str) -> None:
        super().__init__(f"method {method}: {what}")
        self.method = method


def _fit_neighbours(
    calibrations: Sequence[np.ndarray], inputs: Sequence[int], *, seed: int = 0
) -> LeadModels:
    joined = np.concatenate(calibrations, axis=1)
    seams = tuple(np.cumsum([one.shape[-1] for one in calibrations])[:-1])
    return LeadModels(
        tuple(fit_neighbours(joined[i], joined, DAY_RATE_HZ, seams=seams) for i in inputs)
    )


def _fit_average_beat(
    calibrations: Sequence[np.ndarray], inputs: Sequence[int], *, seed: int = 0
) -> LeadModels:
    """Return the mean of the calibrations' median beats, pasted."""
    models = []
    for lead in inputs:
        beats = [beat_at(one, find_peaks(one[lead], DAY_RATE_HZ)) for one in calibrations]
        if any(beat is None for beat in beats):
            raise ValueError(f"no whole beat in {LEADS[lead]} of a calibration")
        models.append(BeatModel(np.mean(beats, axis=0), BEFORE_R, DAY_RATE_HZ, lead))
    return LeadModels(tuple(models))


DAY_METHODS: dict[str, DayFit] = {
    "average_beat": _fit_average_beat,
    "neighbours": _fit_neighbours,
    "another_day": fit_another_day,
}

NEEDS_PRIOR = ("another_day",)


def load_method(text: str) -> tuple[str, DayFit]:
    """Return name and fit of a method: one of `DAY_METHODS`, or `module:function` of anybody's.

    Raises
    ------
    MethodError
        If there is none.
    """
    if text in DAY_METHODS:
        return text, DAY_METHODS[text]
    module, _, function = text.partition(":")
    try:
        return text, getattr(import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        known = ", ".join(DAY_METHODS)
        raise MethodError(text, f"not found ({error}); name module:function or {known}") from error


def predict_checked(
    method: str, fit: DayFit, calibrations: Sequence[np.ndarray], signals: np.ndarray, inputs: list
) -> np.ndarray:
    """Return predictions `(input, lead, time)` of a method, checked.

    Raises
    ------
    MethodError
        If it raises, or answers with another shape or numbers that are not finite.
    """
    try:
        model = fit(calibrations, inputs, seed=0)
        found = np.asarray(model.predict(signals[inputs]))
    except Exception as error:
        raise MethodError(method, f"raised {type(error).__name__}: {error}") from error
    wanted = (len(inputs), len(LEADS), signals.shape[-1])
    if found.shape != wanted:
        raise MethodError(method, f"answered with shape {found.shape}, {wanted} was asked")
    if not np.isfinite(found).all():
        raise MethodError(method, "answered with numbers that are not finite")
    return found
