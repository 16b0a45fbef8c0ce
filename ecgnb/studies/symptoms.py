"""Whether personal models are worse where the heart is ill: one record of each patient."""

import time
from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from ecgnb.intervals import compare_means
from ecgnb.reconstruction.methods import predict_test
from ecgnb.reconstruction.scores import only_independent, score_pairs
from ecgnb.records.labels import CONDITIONS, HEALTHY
from ecgnb.records.record import Record
from ecgnb.signals.preparation import prepare_record

SYMPTOM_SCORES = ("r", "mse", "rmse_mv", "r2_beyond_average_beat")

_SHORTEST_S, _LONGEST_S = 60.0, 115.0

_N_STEP = 200


def choose_records(records: Sequence[Record]) -> list[Record]:
    """Return a record of at least 60 s of each patient, the first by name, healthy people first.

    Everybody of both sides: the comparison of means needs no equal numbers.
    """
    first: dict[str, Record] = {}
    for record in sorted(records, key=lambda record: record.name):
        lasts_s = record.signals.shape[-1] / record.sampling_rate
        if record.condition in CONDITIONS and lasts_s >= _SHORTEST_S:
            first.setdefault(record.patient or record.name, record)
    return sorted(first.values(), key=lambda record: (record.condition != HEALTHY, record.name))


def personal_scores(record: Record, *, n_step: int = _N_STEP, seed: int = 0) -> pd.DataFrame:
    """Return the mean scores of personal models of one record, a row per method.

    Means over the pairs of an input lead and another independent lead. The record is cut to
    115 s, so that none has more to learn from. `average_beat_ridge` is the closed form, `cnn_2d`
    the paper's network with its 2-D head.
    """
    started = time.process_time()
    n_time = round(_LONGEST_S * record.sampling_rate)
    prepared = prepare_record(replace(record, signals=record.signals[:, :n_time]))
    options = {"average_beat": {}, "average_beat_ridge": {}, "cnn_2d": {"n_step": n_step}}
    predictions = {
        method: predict_test(prepared, method, seed=seed, **own) for method, own in options.items()
    }
    beat, rows = predictions["average_beat"], []
    for method, predicted in predictions.items():
        pairs = score_pairs(prepared.test, predicted, prepared.scaling, average_beat=beat)
        means = only_independent(pairs)[list(SYMPTOM_SCORES)].mean()
        rows.append({"method": method} | means.to_dict())
    labels = {"record": record.name, "patient": record.patient, "condition": record.condition}
    return pd.DataFrame(rows).assign(**labels, cpu_s=time.process_time() - started)


def compare_symptoms(table: pd.DataFrame, *, n_bootstrap: int = 2000) -> pd.DataFrame:
    """Return per method and score how patients with a condition differ from healthy ones.

    Columns: `healthy`, `symptoms` (means), `difference` with its 95 % interval over patients,
    `p` of a permutation test, and the numbers of patients.
    """
    rows = []
    for method, group in table.groupby("method", sort=False):
        ill = group["condition"] != HEALTHY
        for score in SYMPTOM_SCORES[:2]:
            with_, without = group.loc[ill, score].to_numpy(), group.loc[~ill, score].to_numpy()
            rows.append(
                {"method": method, "score": score}
                | compare_means(with_, without, n_bootstrap=n_bootstrap)
            )
    return pd.DataFrame(rows)


def compare_foreign(scores: pd.DataFrame, *, method: str = "VAE") -> dict[str, float]:
    """Return how the error of a model of healthy people differs on people with a condition.

    Parameters
    ----------
    scores
        Of the recorded run: rows of the whole group of healthy controls are used.
    method
        Which model.
    """
    chosen = (scores["scaling"] == "lead") & (scores["method"] == method)
    chosen &= scores["trained_on"] == HEALTHY
    errors = scores[chosen].groupby(["condition", "patient"])["mse"].mean()
    ill = errors.index.get_level_values("condition") != HEALTHY
    return compare_means(errors[ill].to_numpy(), errors[~ill].to_numpy())
