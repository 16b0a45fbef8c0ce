"""The ladder of methods that reconstruct eleven leads from one, and their scores."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ecgnb import best, linear, neighbours, networks, templates
from ecgnb.leads import LEADS
from ecgnb.metrics import score_pairs
from ecgnb.preprocessing import Prepared

FitPredict = Callable[[Prepared, int], np.ndarray]
_RIDGE_REACH_S = 0.1


@dataclass(frozen=True)
class Method:
    """A rung of the ladder: its name in tables and on pages, and how it predicts a test part.

    `fit_predict(prepared, seed)` gives scaled predictions `(input, lead, time)`.
    """

    name: str
    title: str
    fit_predict: FitPredict
    is_network: bool = False


def _for_each_input(fit: Callable[[Prepared, int], object]) -> FitPredict:
    """Return a method that fits one model per input lead and predicts the test part."""

    def fit_predict(prepared: Prepared, seed: int) -> np.ndarray:
        rows = [fit(prepared, lead).predict(prepared.test[lead]) for lead in range(len(LEADS))]
        return np.stack(rows).astype(np.float32)

    return fit_predict


def _line(prepared: Prepared, lead: int, *, intercept: bool) -> linear.LagModel:
    return linear.fit_least_squares(prepared.train[lead], prepared.train, intercept=intercept)


def fit_lagged_ridge(
    prepared: Prepared, lead: int, *, reach_s: float = _RIDGE_REACH_S
) -> linear.LagModel:
    """Return the lagged ridge of one input lead, its penalties chosen on the validation part."""
    reach = round(reach_s * prepared.sampling_rate)
    parts = (prepared.train, prepared.validation)
    return linear.solve_ridge(*(linear.lag_moments(part[lead], part, reach) for part in parts))


_LADDER = (
    Method("mean", "training mean", _for_each_input(lambda p, lead: linear.fit_mean(p.train))),
    Method(
        "line_through_origin",
        "least squares through the origin",
        _for_each_input(lambda p, lead: _line(p, lead, intercept=False)),
    ),
    Method(
        "least_squares",
        "least squares with intercept",
        _for_each_input(lambda p, lead: _line(p, lead, intercept=True)),
    ),
    Method("lagged_ridge", "lagged ridge, ±100 ms", _for_each_input(fit_lagged_ridge)),
    Method("average_beat", "average beat", _for_each_input(templates.fit_average_beat)),
    Method(
        "average_beat_ridge",
        "average beat + residual ridge",
        _for_each_input(templates.fit_beat_ridge),
    ),
    Method(
        "neighbours",
        "nearest neighbours in lag space",
        _for_each_input(
            lambda p, lead: neighbours.fit_neighbours(p.train[lead], p.train, p.sampling_rate)
        ),
    ),
    Method("cnn_1d", "CNN, 1-D head", networks.predict_1d, is_network=True),
    Method("cnn_2d", "CNN, 2-D head", networks.predict_2d, is_network=True),
    Method("cnn_2d_separable", "CNN, 2-D separable head", networks.predict_separable, True),
    Method(
        "best",
        "neighbours + network",
        lambda prepared, seed: best.fit_predict_best(prepared, seed=seed),
        is_network=True,
    ),
)
METHODS = {method.name: method for method in _LADDER}
CLOSED_FORMS = tuple(method.name for method in _LADDER if not method.is_network)


def score_method(
    prepared: Prepared, method: str, *, seed: int = 0, average_beat: np.ndarray | None = None
) -> tuple[pd.DataFrame, np.ndarray, float]:
    """Return scores per pair, predictions `(input, lead, time)` and CPU seconds of one method.

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
        average_beat = METHODS["average_beat"].fit_predict(prepared, 0)
    started = time.process_time()
    predictions = METHODS[method].fit_predict(prepared, seed)
    cpu_s = time.process_time() - started
    scores = score_pairs(prepared.test, predictions, prepared.scaling, average_beat=average_beat)
    labels = prepared.record
    scores.insert(0, "database", labels.database)
    scores.insert(1, "record", labels.name)
    scores.insert(2, "origin", labels.origin)
    scores.insert(5, "method", method)
    scores.insert(6, "seed", seed)
    return scores, predictions, cpu_s
