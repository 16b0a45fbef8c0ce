"""The ladder of methods that reconstruct eleven leads from one, and their scores."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module

import numpy as np
import pandas as pd

from ecgnb import linear, neighbours, templates
from ecgnb.leads import LEADS
from ecgnb.metrics import score_pairs
from ecgnb.preprocessing import Prepared

FitPredict = Callable[[Prepared, int], np.ndarray]
Fit = Callable[[Prepared, int], object]
_RIDGE_REACH_S = 0.1


@dataclass(frozen=True)
class Method:
    """A rung of the ladder: its name in tables and on pages, and how it predicts a test part.

    `fit_predict(prepared, seed)` gives scaled predictions `(input, lead, time)`. A closed form
    fits its input leads apart, by `fit(prepared, lead)`.
    """

    name: str
    title: str
    fit_predict: FitPredict
    is_network: bool = False
    fit: Fit | None = None


def _closed_form(name: str, title: str, fit: Fit) -> Method:
    """Return a method that fits one model per input lead and predicts the test part."""

    def fit_predict(prepared: Prepared, seed: int) -> np.ndarray:
        rows = [_predict_one(fit, prepared, lead) for lead in range(len(LEADS))]
        return np.stack(rows).astype(np.float32)

    return Method(name, title, fit_predict, fit=fit)


def _network(name: str, title: str, module: str, predict: str) -> Method:
    """Return a method that loads its module, and PyTorch with it, when it is first used."""

    def fit_predict(prepared: Prepared, seed: int) -> np.ndarray:
        return getattr(import_module(f"ecgnb.{module}"), predict)(prepared, seed=seed)

    return Method(name, title, fit_predict, is_network=True)


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
    _closed_form("mean", "training mean", lambda p, lead: linear.fit_mean(p.train)),
    _closed_form(
        "line_through_origin",
        "least squares through the origin",
        lambda p, lead: _line(p, lead, intercept=False),
    ),
    _closed_form(
        "least_squares",
        "least squares with intercept",
        lambda p, lead: _line(p, lead, intercept=True),
    ),
    _closed_form("lagged_ridge", "lagged ridge, ±100 ms", fit_lagged_ridge),
    _closed_form("average_beat", "average beat", templates.fit_average_beat),
    _closed_form("average_beat_ridge", "average beat + residual ridge", templates.fit_beat_ridge),
    _closed_form("neighbours", "nearest neighbours in lag space", neighbours.fit_library),
    _network("cnn_1d", "CNN, 1-D head", "networks", "predict_1d"),
    _network("cnn_2d", "CNN, 2-D head", "networks", "predict_2d"),
    _network("cnn_2d_separable", "CNN, 2-D separable head", "networks", "predict_separable"),
    _network("best", "neighbours + network", "best", "fit_predict_best"),
)
METHODS = {method.name: method for method in _LADDER}
CLOSED_FORMS = tuple(method.name for method in _LADDER if not method.is_network)


def fit_and_time(
    prepared: Prepared, method: str, *, seed: int = 0
) -> tuple[np.ndarray, pd.DataFrame]:
    """Return predictions `(input, lead, time)` and what they cost, a row per input lead.

    Columns `input_lead, cpu_s, wall_s`: to fit and to predict the test part. Networks serve or
    train their 12 input leads together: each lead is given a twelfth.
    """
    chosen, leads = METHODS[method], range(len(LEADS))
    if chosen.fit is None:
        predictions, *cost = _timed(lambda: chosen.fit_predict(prepared, seed))
        costs = [np.divide(cost, len(LEADS))] * len(LEADS)
    else:
        work = [partial(_predict_one, chosen.fit, prepared, lead) for lead in leads]
        rows, *costs = zip(*map(_timed, work), strict=True)
        predictions, costs = np.stack(rows).astype(np.float32), np.transpose(costs)
    table = pd.DataFrame(costs, columns=["cpu_s", "wall_s"])
    table.insert(0, "input_lead", LEADS)
    return predictions, table


def _predict_one(fit: Fit, prepared: Prepared, lead: int) -> np.ndarray:
    return fit(prepared, lead).predict(prepared.test[lead])


def _timed(work: Callable[[], np.ndarray]) -> tuple[np.ndarray, float, float]:
    """Return what `work` gives, the CPU seconds and the wall seconds that it took."""
    cpu_s, wall_s = time.process_time(), time.perf_counter()
    found = work()
    return found, time.process_time() - cpu_s, time.perf_counter() - wall_s


def score_method(
    prepared: Prepared, method: str, *, seed: int = 0, average_beat: np.ndarray | None = None
) -> tuple[pd.DataFrame, np.ndarray, pd.DataFrame]:
    """Return scores per pair, predictions `(input, lead, time)` and costs of one method.

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
    predictions, costs = fit_and_time(prepared, method, seed=seed)
    scores = score_pairs(prepared.test, predictions, prepared.scaling, average_beat=average_beat)
    labels = prepared.record
    scores.insert(0, "database", labels.database)
    scores.insert(1, "record", labels.name)
    scores.insert(2, "origin", labels.origin)
    scores.insert(5, "method", method)
    scores.insert(6, "seed", seed)
    costs = costs.assign(record=labels.name, method=method, seed=seed)
    return (
        scores,
        predictions,
        costs[["record", "input_lead", "method", "seed", "cpu_s", "wall_s"]],
    )
