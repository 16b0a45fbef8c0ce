"""How much of a lead could be reconstructed at best: what no other lead knows, and artefacts.

A network that sees one lead cannot be held to more than a fit that sees all the others. What is
left then is noise of that lead's electrode, or shape that only this lead records.
"""

from collections.abc import Collection, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.ndimage import maximum_filter1d

from ecgnb.files import code_digest
from ecgnb.intervals import correlation
from ecgnb.leads import INDEPENDENT_LEADS, LEADS
from ecgnb.reconstruction.methods import predict_test
from ecgnb.signals.preparation import Prepared, prepare_record
from ecgnb.studies.plan import EXACT, Source, Task, key_of, list_sources
from ecgnb.studies.runner import Outcome, write_study

CEILING_REACH_S = 0.04

DESCRIBED = ("I", "II", "aVL", "V1", "V2", "V3", "V4", "V5", "V6")

_PENALTY = 1e-6

_BEYOND = 1.5

_AROUND_S = 0.5

_HARD_R = 0.3


def _lagged(signals: np.ndarray, reach: int) -> np.ndarray:
    """Return signals `(lead, time)` at lags -reach ... reach and a constant, `(time, feature)`."""
    padded = np.pad(np.asarray(signals, dtype=np.float64), [(0, 0), (reach, reach)])
    views = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1, axis=1)
    features = views.transpose(1, 0, 2).reshape(signals.shape[1], -1)
    return np.hstack([features, np.ones((len(features), 1))])


def _predict_from_others(prepared: Prepared, lead: str) -> np.ndarray:
    """Return one lead of the test part `(time,)` from the independent leads it does not enter.

    aVL is I - II / 2, so that for aVL lead I is left out. A ridge fit over lags of 40 ms either
    way on the training part; the penalty only keeps it solvable.
    """
    left_out = {"aVL": "I"}.get(lead, lead)
    others = [LEADS.index(name) for name in INDEPENDENT_LEADS if name != left_out]
    reach = round(CEILING_REACH_S * prepared.sampling_rate)
    features = _lagged(prepared.train[others], reach)
    gram = features.T @ features
    gram[np.diag_indices_from(gram)] += _PENALTY * np.trace(gram) / len(gram)
    target = prepared.train[LEADS.index(lead)].astype(np.float64)
    weights = np.linalg.solve(gram, features.T @ target)
    return _lagged(prepared.test[others], reach) @ weights


def _beyond_training(prepared: Prepared) -> np.ndarray:
    """Return which test samples `(time,)` lie within 0.5 s of one outside the range trained on.

    Outside means beyond 1.5 times the training range, in any lead: an electrode that moved, or a
    beat unlike all others.
    """
    outside = (np.abs(prepared.test) > _BEYOND).any(axis=0)
    width = 2 * round(_AROUND_S * prepared.sampling_rate) + 1
    return maximum_filter1d(outside.astype(int), width) > 0


def _describe_ceiling(prepared: Prepared, predictions: np.ndarray | None = None) -> pd.DataFrame:
    """Return a row per described lead: what is left when the others are known.

    Columns `record, origin, output_lead, floor_mse` (scaled units squared), `floor_r`,
    `share_beyond` of the test part and, with predictions `(input, lead, time)`, the lowest and
    mean r over the other inputs, on the whole part and on the rest within the training range.
    """
    strange, rows = _beyond_training(prepared), []
    for lead in DESCRIBED:
        index = LEADS.index(lead)
        truth, fitted = prepared.test[index], _predict_from_others(prepared, lead)
        row = {
            "record": prepared.record.name,
            "origin": prepared.record.origin,
            "output_lead": lead,
            "floor_mse": float(np.square(fitted - truth).mean()),
            "floor_r": float(correlation(truth, fitted)),
            "share_beyond": float(strange.mean()),
        }
        if predictions is not None:
            each = np.delete(predictions[:, index], index, axis=0)
            row |= _r_over_inputs(each, truth, "whole")
            row |= _r_over_inputs(each[:, ~strange], truth[~strange], "within")
        rows.append(row)
    return pd.DataFrame(rows)


def _r_over_inputs(predictions: np.ndarray, truth: np.ndarray, name: str) -> dict[str, float]:
    """Return lowest and mean r of predictions `(input, time)`."""
    r = correlation(truth, predictions)
    return {f"lowest_r_{name}": float(r.min()), f"mean_r_{name}": float(r.mean())}


def hard_records(scores: pd.DataFrame, *, method: str = "best") -> list[str]:
    """Return the records of a table of scores on which a method has an r below 0.3 somewhere."""
    hard = (scores["method"] == method) & (scores["r"] < _HARD_R)
    return sorted(set(scores.loc[hard, "record"]))


def run_ceiling(
    folder: Path | str,
    out: Path | str,
    *,
    records: Sequence[str] | None = None,
    hard: Collection[str] = (),
    jobs: int = 1,
    progress: bool = True,
) -> Outcome:
    """Return `describe_ceiling` of all records, also written to `out` (CSV).

    Parameters
    ----------
    folder
        A mirror, a database, or any folder of 12-lead WFDB records.
    out
        The table, `.csv` or `.csv.gz`; a task is one record.
    records
        Names of records; all by default.
    hard
        Records to which the network of `best` is fitted as well, to see how much of a low r is
        due to artefacts; from `hard_records`.
    jobs
        Local processes, one thread each.
    progress
        Whether it is told how far the run is.
    """
    sources, code = list_sources(folder, records, tell=progress), code_digest(__name__)
    tasks = [
        Task(
            source.path.stem,
            key_of(code, [source], is_hard=source.name in hard),
            partial(_describe, source, source.name in hard),
            about=source.name,
            labels={"record": source.name},
            digits=EXACT,
        )
        for source in sources
    ]
    facts = {"options": {"hard": sorted(hard)}, "code": code}
    how = {"jobs": jobs, "what": "records", "progress": progress}
    return write_study(tasks, out, sources, digits=5, facts=facts, **how)


def _describe(source: Source, is_hard: bool) -> dict[str, pd.DataFrame]:
    prepared, predictions = prepare_record(source.read()), None
    if is_hard:
        predictions = predict_test(prepared, "best")
    return {"rows": _describe_ceiling(prepared, predictions)}
