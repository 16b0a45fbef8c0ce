"""The ladder of methods that reconstruct eleven leads from one, and their scores.

This table is the only place where methods are named. All speak one protocol:
`fit(prepared, inputs, seed=...)` gives a model, `model.predict(signals (input, time))` gives
`(input, lead, time)`, scaled, in the order of the inputs.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
import pandas as pd

from ecgnb.leads import LEADS, lead_index
from ecgnb.reconstruction import linear, neighbours
from ecgnb.reconstruction.average_beat import fit_average_beat, fit_beat_ridge
from ecgnb.reconstruction.scores import score_pairs
from ecgnb.signals.preparation import Prepared

ALL_INPUTS = tuple(range(len(LEADS)))


class Model(Protocol):
    """What every method fits."""

    def predict(self, signals: np.ndarray) -> np.ndarray:
        """Return all leads `(input, lead, time)` from input leads `(input, time)`, scaled."""


class LeadModel(Protocol):
    """What a closed form fits: a model of one input lead."""

    def predict(self, input_signal: np.ndarray) -> np.ndarray:
        """Return all leads `(lead, time)` from one `(time,)`, scaled."""


@dataclass(frozen=True)
class LeadModels:
    """Models of one input lead each, as one model of all of them."""

    models: tuple[LeadModel, ...]

    def predict(self, signals: np.ndarray) -> np.ndarray:
        """Return all leads `(input, lead, time)` from input leads `(input, time)`, scaled."""
        linear.check_inputs(signals, len(self.models))
        pairs = zip(self.models, signals, strict=True)
        return np.stack([model.predict(signal) for model, signal in pairs])


@dataclass(frozen=True)
class Method:
    """A rung of the ladder: its name in tables, its title on pages, and how it is fitted.

    `fit(prepared, inputs, *, seed=0, **options)` fits the leads with these indices as inputs and
    gives a `Model`; options are those of the method. A network fits its inputs together and
    chooses its state on the validation part; a closed form fits each by itself.
    """

    name: str
    title: str
    fit: Callable[..., Model]
    is_network: bool = False


def _closed_form(name: str, title: str, fit_lead: Callable[..., LeadModel]) -> Method:
    """Return a method that fits one model per input lead by `fit_lead(prepared, lead)`."""

    def fit(
        prepared: Prepared, inputs: Sequence[int], *, seed: int = 0, **options: object
    ) -> LeadModels:
        return LeadModels(tuple(fit_lead(prepared, lead, **options) for lead in inputs))

    return Method(name, title, fit)


def _cnn(name: str, title: str, head: str) -> Method:
    """Return the paper's networks with one head; PyTorch is loaded when they are fitted."""

    def fit(
        prepared: Prepared,
        inputs: Sequence[int],
        *,
        seed: int = 0,
        windows: tuple[np.ndarray, np.ndarray] | None = None,
        **options: object,
    ) -> Model:
        from ecgnb.reconstruction.cnn import CnnOptions, fit_cnn

        chosen = CnnOptions(head, **options)
        return fit_cnn(prepared, inputs, options=chosen, seed=seed, windows=windows)

    return Method(name, title, fit, is_network=True)


def _fit_best(
    prepared: Prepared, inputs: Sequence[int], *, seed: int = 0, **options: object
) -> Model:
    from ecgnb.reconstruction.corrector import BestOptions, fit_best

    return fit_best(prepared, tuple(inputs), seed=seed, options=BestOptions(**options))


def _fit_line(prepared: Prepared, lead: int, *, intercept: bool = True) -> linear.LagModel:
    return linear.fit_least_squares(prepared.train[lead], prepared.train, intercept=intercept)


LAG_REACH_S = 0.1


def fit_lagged_ridge(
    prepared: Prepared, lead: int, *, reach_s: float = LAG_REACH_S
) -> linear.LagModel:
    """Return the lagged ridge of one input lead, its penalties chosen on the validation part."""
    reach = round(reach_s * prepared.sampling_rate)
    parts = (prepared.train, prepared.validation)
    return linear.solve_ridge(*(linear.lag_moments(part[lead], part, reach) for part in parts))


_LADDER = (
    _closed_form("mean", "training mean", lambda p, lead: linear.fit_mean(p.train)),
    _closed_form(
        "line_through_origin",
        "least squares through the origin",
        partial(_fit_line, intercept=False),
    ),
    _closed_form("least_squares", "least squares", _fit_line),
    _closed_form("lagged_ridge", "lagged ridge", fit_lagged_ridge),
    _closed_form("average_beat", "average beat", fit_average_beat),
    _closed_form("average_beat_ridge", "average beat + residual ridge", fit_beat_ridge),
    _closed_form("neighbours", "nearest neighbours", neighbours.fit_library),
    _cnn("cnn_1d", "CNN, 1-D head", "1d"),
    _cnn("cnn_2d", "CNN, 2-D head", "2d_shared"),
    _cnn("cnn_2d_separable", "CNN, separable head", "2d_separable"),
    Method("best", "nearest neighbours + network", _fit_best, is_network=True),
)

METHODS = {method.name: method for method in _LADDER}

CLOSED_FORMS = tuple(method.name for method in _LADDER if not method.is_network)


def predict_test(
    prepared: Prepared,
    method: str,
    *,
    inputs: Sequence[int] = ALL_INPUTS,
    seed: int = 0,
    **options: object,
) -> np.ndarray:
    """Return predictions of the test part `(input, lead, time)`, scaled, float32.

    Parameters
    ----------
    prepared
        A record, of which the other parts are fitted.
    method
        A key of `METHODS`.
    inputs
        Indices of the leads that are given.
    seed, options
        Of the fit.

    Examples
    --------
    >>> from ecgnb.signals.preparation import prepare_record
    >>> from ecgnb.simulation.synthesis import SimulationOptions, simulate_record
    >>> one = prepare_record(simulate_record(SimulationOptions(duration_s=20.0), seed=0).record)
    >>> predict_test(one, "lagged_ridge", inputs=(7,)).shape[:2]
    (1, 12)
    """
    model = METHODS[method].fit(prepared, inputs, seed=seed, **options)
    return model.predict(prepared.test[list(inputs)]).astype(np.float32, copy=False)


def _fit_and_time(
    prepared: Prepared, method: str, *, seed: int = 0
) -> tuple[np.ndarray, pd.DataFrame]:
    """Return predictions `(input, lead, time)` and what they cost, a row per input lead.

    Columns `input_lead, cpu_s, wall_s`: to fit and to predict the test part. Networks serve or
    train their 12 input leads together: each lead is given a twelfth.
    """
    together = METHODS[method].is_network
    groups = [ALL_INPUTS] if together else [(lead,) for lead in ALL_INPUTS]
    work = [partial(predict_test, prepared, method, inputs=each, seed=seed) for each in groups]
    predictions, *costs = zip(*map(_timed, work), strict=True)
    each_lead = np.repeat(np.transpose(costs) / len(groups[0]), len(groups[0]), axis=0)
    table = pd.DataFrame(each_lead, columns=["cpu_s", "wall_s"])
    table.insert(0, "input_lead", LEADS)
    return np.concatenate(predictions), table


def _timed(work: Callable[[], np.ndarray]) -> tuple[np.ndarray, float, float]:
    """Return what `work` gives, the CPU seconds and the wall seconds that it took."""
    cpu_s, wall_s = time.process_time(), time.perf_counter()
    found = work()
    return found, time.process_time() - cpu_s, time.perf_counter() - wall_s


def score_method(
    prepared: Prepared, method: str, *, seed: int = 0, average_beat: np.ndarray | None = None
) -> pd.DataFrame:
    """Return the scores of one method on the test part of a record, a row per pair of leads.

    Parameters are those of `score_and_time`.
    """
    return score_and_time(prepared, method, seed=seed, average_beat=average_beat)[0]


def score_and_time(
    prepared: Prepared, method: str, *, seed: int = 0, average_beat: np.ndarray | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return scores, a row per pair of leads, and costs, a row per input lead, of one method.

    Parameters
    ----------
    prepared
        A record.
    method
        A key of `METHODS`.
    average_beat
        Predictions of the average beat, if at hand.
    """
    if average_beat is None:
        average_beat = predict_test(prepared, "average_beat")
    predictions, costs = _fit_and_time(prepared, method, seed=seed)
    scores = score_record(prepared, predictions, method, seed=seed, average_beat=average_beat)
    costs = costs.assign(record=prepared.record.name, method=method, seed=seed)
    return scores, costs[["record", "input_lead", "method", "seed", "cpu_s", "wall_s"]]


def score_record(
    prepared: Prepared,
    predictions: np.ndarray,
    method: str,
    *,
    seed: int = 0,
    average_beat: np.ndarray | None = None,
) -> pd.DataFrame:
    """Return the scores of predictions of a test part, labelled with record, heart and method.

    Parameters
    ----------
    predictions
        `(input, lead, time)`, scaled.
    average_beat
        Predictions of the average beat; without it what is gained beyond it is NaN.
    """
    scores = score_pairs(prepared.test, predictions, prepared.scaling, average_beat=average_beat)
    labels = prepared.record
    scores.insert(0, "database", labels.database)
    scores.insert(1, "record", labels.name)
    scores.insert(2, "heart", labels.heart)
    scores.insert(3, "origin", labels.origin)
    scores.insert(6, "method", method)
    scores.insert(7, "seed", seed)
    return scores


@dataclass(frozen=True)
class WorstCases:
    """Where a method does worst: the record of each pair of leads, and its worst piece.

    `scores` has a row per record and pair, `worst` a row per pair. `truth` and `guess`
    `(input, lead, time)` are in mV, at `sampling_rate` Hz; a lead's own median is taken away.
    """

    title: str
    scores: pd.DataFrame
    worst: pd.DataFrame
    truth: np.ndarray
    guess: np.ndarray
    sampling_rate: float = 125.0  # enough for 0.5-40 Hz


def find_worst_cases(
    scores: pd.DataFrame,
    prepared: Sequence[Prepared],
    *,
    method: str = "average_beat_ridge",
    duration_s: float = 3.0,
) -> WorstCases:
    """Return the worst record of each pair of leads and the piece with the largest error there.

    Parameters
    ----------
    scores
        One row per record and pair, as `score_method` gives them, of this method or more.
    prepared
        The records of these scores.
    method
        A key of `METHODS`; it is fitted again on the records that are shown.
    duration_s
        Length of the pieces.
    """
    rate = WorstCases.sampling_rate
    scores = scores[scores["method"] == method].dropna(subset=["r"]).reset_index(drop=True)
    worst = scores.loc[scores.groupby(["input_lead", "output_lead"])["r"].idxmin()]
    truth = np.zeros((len(LEADS), len(LEADS), round(duration_s * rate)))
    guess = np.zeros_like(truth)
    for name, rows in worst.groupby("record"):
        one = next(one for one in prepared if one.record.name == name)
        predictions = predict_test(one, method)
        for visible, hidden in zip(rows["input_lead"], rows["output_lead"], strict=True):
            place = lead_index(visible), lead_index(hidden)
            pieces = worst_piece(one, predictions[place[0]], hidden, duration_s=duration_s)
            truth[place], guess[place] = pieces
    return WorstCases(METHODS[method].title, scores, worst, truth, guess)


def worst_piece(
    one: Prepared, predictions: np.ndarray, lead: str, *, duration_s: float = 3.0
) -> tuple[np.ndarray, np.ndarray]:
    """Return truth and reconstruction of a lead `(time,)`, mV, where the error is largest.

    At the rate of `WorstCases`; the lead's own median is taken away.

    Parameters
    ----------
    predictions
        `(lead, time)`, scaled, of the test part.
    """
    step = round(one.sampling_rate / WorstCases.sampling_rate)
    n_time, place = round(duration_s * WorstCases.sampling_rate), lead_index(lead)
    truth, guess = (one.scaling.to_mv(part)[place, ::step] for part in (one.test, predictions))
    sums = np.convolve(np.square(guess - truth), np.ones(n_time), mode="valid")
    piece = slice(int(sums.argmax()), int(sums.argmax()) + n_time)
    middle = np.median(truth)
    return truth[piece] - middle, guess[piece] - middle
