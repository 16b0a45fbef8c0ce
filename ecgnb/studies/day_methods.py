"""The one protocol by which any method enters the second-day study, and the check of its answers.

`fit(calibrations, inputs, *, seed) -> model`, calibrations being a list of `(12, time)` and inputs
lead indices, and `model.predict(signals (input, time)) -> (input, lead, time)`, all in mV,
filtered 0.5-40 Hz, at 250 Hz. A fit that works with another number of seconds than 5 says so by an
attribute `least_s`; with `least_s = 0` the list may be empty.
"""

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import numpy as np

from ecgnb.files import sha256_of
from ecgnb.leads import LEADS, lead_index
from ecgnb.reconstruction.another_day import LEAST_S, fit_another_day
from ecgnb.reconstruction.average_beat import BeatModel
from ecgnb.reconstruction.expectation import make_personal
from ecgnb.reconstruction.linear import LagModel, lag_moments
from ecgnb.reconstruction.methods import LeadModels
from ecgnb.reconstruction.neighbours import fit_neighbours
from ecgnb.reconstruction.pace import BEFORE_R, beat_at
from ecgnb.reconstruction.prior import DAY_RATE_HZ, Prior, clean_record
from ecgnb.records.record import Record
from ecgnb.signals.beats import find_peaks

DayFit = Callable[..., Any]

ENTRY_POINTS = "ecgnb.methods"

_TOWARDS = 0.3  # how much the filter of other people counts, in powers of the calibration's rest


class MethodError(Exception):
    """A method that broke the protocol: its name and what it did."""

    def __init__(self, method: str, what: str) -> None:
        super().__init__(f"method {method}: {what}")
        self.method = method

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        return type(self), (self.method, str(self).removeprefix(f"method {self.method}: "))


@dataclass(frozen=True)
class DayMethod:
    """A method of the study: its name in tables, how it is fitted, from how many seconds on.

    `learns` names what it is given of other hearts: `prior`, `population`, of `others.Others`.
    """

    name: str
    fit: DayFit
    least_s: float = LEAST_S
    learns: tuple[str, ...] = ()

    @property
    def code(self) -> str:
        """SHA-256 of the source that the fit comes from: its package, or its file."""
        return _code_of(self.fit)


def _code_of(fit: DayFit) -> str:
    """Return the SHA-256 of all sources of the package of a function, or of its one file."""
    module = inspect.getmodule(fit)
    top = sys.modules.get(getattr(module, "__name__", "").partition(".")[0], module)
    place = getattr(top, "__file__", None)
    if place is None:  # typed into a notebook or an interpreter
        return sha256_of(repr(getattr(fit, "__code__", fit)).encode())
    path = Path(place)
    files = sorted(path.parent.rglob("*.py")) if path.name == "__init__.py" else [path]
    return sha256_of("".join(sha256_of(file) for file in files).encode())


def _fit_population(
    calibrations: Sequence[np.ndarray],
    inputs: Sequence[int],
    *,
    seed: int = 0,
    population: Sequence[LagModel],
) -> LeadModels:
    """Return the filters of other people, in mV: what is known without any calibration."""
    return LeadModels(tuple(population[lead] for lead in inputs))


def _fit_neighbours(
    calibrations: Sequence[np.ndarray], inputs: Sequence[int], *, seed: int = 0
) -> LeadModels:
    joined = np.concatenate(calibrations, axis=1)
    seams = tuple(np.cumsum([one.shape[-1] for one in calibrations])[:-1])
    return LeadModels(
        tuple(fit_neighbours(joined[i], joined, DAY_RATE_HZ, seams=seams) for i in inputs)
    )


def _beat_model(calibrations: Sequence[np.ndarray], lead: int) -> BeatModel:
    """Return the mean of the calibrations' median beats, to be pasted."""
    beats = [beat_at(one, find_peaks(one[lead], DAY_RATE_HZ)) for one in calibrations]
    whole = [beat for beat in beats if beat is not None]
    if not whole:
        raise ValueError(f"no whole beat in {LEADS[lead]} of any calibration")
    return BeatModel(np.mean(whole, axis=0), BEFORE_R, DAY_RATE_HZ, lead)


def _fit_average_beat(
    calibrations: Sequence[np.ndarray], inputs: Sequence[int], *, seed: int = 0
) -> LeadModels:
    return LeadModels(tuple(_beat_model(calibrations, lead) for lead in inputs))


def _fit_beat_ridge(
    calibrations: Sequence[np.ndarray],
    inputs: Sequence[int],
    *,
    seed: int = 0,
    population: Sequence[LagModel],
) -> LeadModels:
    """Return the average beat with a ridge on what is left, drawn towards that of other people."""
    return LeadModels(
        tuple(
            _add_ridge(_beat_model(calibrations, i), calibrations, population[i]) for i in inputs
        )
    )


def _add_ridge(
    model: BeatModel, calibrations: Sequence[np.ndarray], of_others: LagModel
) -> BeatModel:
    """Return the pasted beat with the filter `w` that minimises `|y - Xw|² + p |w - m|²`.

    `m` is the filter of other people, `p` a share of the power of `X`.
    """
    sums = []
    for one in calibrations:
        rest = one - model.paste(one[model.input_lead])
        sums.append(lag_moments(rest[model.input_lead], rest, of_others.reach).centred())
    gram, cross = (np.sum(each, axis=0) for each in zip(*sums, strict=True))
    penalty = _TOWARDS * max(np.trace(gram) / len(gram), 1e-9)
    gram[np.diag_indices_from(gram)] += penalty
    weights = np.linalg.solve(gram, cross + penalty * of_others.weights)
    ridge = LagModel(weights, np.zeros(weights.shape[1]))
    return BeatModel(model.beat, model.before, model.sampling_rate, model.input_lead, ridge)


def _fit_personal(
    calibrations: Sequence[np.ndarray],
    inputs: Sequence[int],
    *,
    seed: int = 0,
    prior: Prior | None = None,
) -> LeadModels:
    """Return the models that `ecgnb fit` makes: own look-up while it holds, else another day's."""
    days = fit_another_day(calibrations, inputs, prior=prior).models
    return LeadModels(tuple(make_personal(day)[0] for day in days))


_METHODS = (
    DayMethod("population", _fit_population, 0.0, ("population",)),
    DayMethod("average_beat", _fit_average_beat, 2.0),
    DayMethod("average_beat_ridge", _fit_beat_ridge, 2.0, ("population",)),
    DayMethod("neighbours", _fit_neighbours, 2.0),
    DayMethod("another_day", _fit_personal, LEAST_S, ("prior",)),
)

DAY_METHODS = {method.name: method for method in _METHODS}


def load_method(text: str) -> DayMethod:
    """Return a method: one of `DAY_METHODS`, an entry point, or `module:function` of anybody's.

    An entry point is one of the group `ecgnb.methods` of an installed package, by its name.

    Raises
    ------
    MethodError
        If there is none.
    """
    if text in DAY_METHODS:
        return DAY_METHODS[text]
    offered = {entry.name: entry for entry in entry_points(group=ENTRY_POINTS)}
    module, _, function = text.partition(":")
    try:
        found = offered[text].load() if text in offered else None
        fit = found or getattr(import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        known = ", ".join([*DAY_METHODS, *offered])
        raise MethodError(text, f"not found ({error}); name module:function or {known}") from error
    return DayMethod(text, fit, float(getattr(fit, "least_s", LEAST_S)))


def predict_checked(
    method: DayMethod,
    calibrations: Sequence[np.ndarray],
    signals: np.ndarray,
    inputs: Sequence[int],
    **of_others: Any,  # noqa: ANN401
) -> np.ndarray:
    """Return predictions `(input, lead, time)` of a method, checked.

    `of_others` is what it learns of other hearts, by name.

    Raises
    ------
    MethodError
        If it raises, answers with another shape or numbers that are not finite, or if there are
        no other hearts to learn from: a table of everybody holds the heart that is tested.
    """
    if any(taught is None for taught in of_others.values()):
        raise MethodError(
            method.name,
            "learns from other hearts with several recordings, and the folder has none; add some",
        )
    try:
        model = method.fit(calibrations, list(inputs), seed=0, **of_others)
        found = np.asarray(model.predict(signals[list(inputs)]), dtype=np.float64)
    except Exception as error:
        what = f"raised {type(error).__name__}: {error}".splitlines()[0]
        raise MethodError(method.name, what) from error
    wanted = (len(inputs), len(LEADS), signals.shape[-1])
    if found.shape != wanted:
        raise MethodError(
            method.name,
            f"answered with shape {found.shape}, (input, lead, time) {wanted} was asked",
        )
    if not np.isfinite(found).all():
        n_wrong = int((~np.isfinite(found)).sum())
        raise MethodError(method.name, f"{n_wrong} of {found.size} numbers are not finite")
    return found


@dataclass(frozen=True)
class HeartTrial:
    """A calibration and a test `(lead, time)` of one heart, mV, 250 Hz."""

    plan: str
    heart: str
    name: str
    calibration: np.ndarray
    test: np.ndarray


def inside_trial(
    record: Record, heart: str, *, cut_s: float = 6.0, end_s: float = 10.0
) -> HeartTrial:
    """Return the first seconds of a recording to calibrate on and what follows to test on.

    Each is cut before it is filtered.
    """
    cut, end = (round(seconds * record.sampling_rate) for seconds in (cut_s, end_s))
    test = clean_part(record, slice(cut, end))
    return HeartTrial("inside", heart, record.name, clean_part(record, slice(0, cut)), test)


def clean_part(record: Record, part: slice) -> np.ndarray:
    """Return a part of a recording `(lead, time)` in mV at 250 Hz, cut before it is filtered."""
    return clean_record(replace(record, signals=record.signals[:, part], frank=None))


def predict_trial(
    trial: HeartTrial, name: str, inputs: Sequence[str], learned: Mapping[str, object]
) -> np.ndarray:
    """Return the test part `(input, lead, time)` as a method reconstructs it.

    Parameters
    ----------
    name
        A key of `DAY_METHODS`.
    inputs
        Names of the visible leads.
    learned
        Of other hearts, from `others.Others.without`.
    """
    method = DAY_METHODS[name]
    rows = [lead_index(lead) for lead in inputs]
    of_others = {one: learned[one] for one in method.learns}
    return predict_checked(method, [trial.calibration], trial.test, rows, **of_others)
