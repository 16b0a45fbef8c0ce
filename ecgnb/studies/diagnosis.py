"""Does a diagnosis survive? One small classifier on originals, reconstructions and two controls.

For each condition a logistic regression on the leading components of the median beat of the eight
independent leads and on two numbers of the rhythm, fitted on the originals of other people. It is
then asked about people it has not seen: their original, a reconstruction from one lead, and, as
controls, their own old beat pasted at today's R peaks, which knows nothing of today but the
rhythm. A second classifier is fitted on the visible lead alone: what needs no reconstruction.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import linalg, optimize

from ecgnb.files import code_digest, file_beside, write_manifest, write_table
from ecgnb.leads import LEADS, independent_signals, lead_index
from ecgnb.reconstruction.prior import DAY_RATE_HZ
from ecgnb.records.record import RecordError
from ecgnb.signals.beats import align_beats, average_beat, find_peaks
from ecgnb.studies.day_methods import MethodError, inside_trial, predict_trial
from ecgnb.studies.day_trials import Others, learn_hearts, sources_by_heart, without_hearts
from ecgnb.studies.plan import Source, Task, key_of
from ecgnb.studies.runner import Outcome, finished, store_of

DIAGNOSES = (
    "healthy control",
    "hypertrophy",
    "dysrhythmia",
    "bundle branch block",
    "myocardial infarction",
)

DIAGNOSIS_INPUTS = ("I", "V2")

ARMS = {
    "original": "original, twelve leads",
    "another_day": "reconstructed from one lead, personal",
    "neighbours": "reconstructed by nearest neighbours, personal",
    "population": "reconstructed from one lead, other people's fit",
    "average_beat": "control: own old beat pasted",
    "visible": "control: the visible lead alone",
}

MARGIN = 0.05  # of AUROC, set before anything was computed

NOT_TOLD = "not told by the original"

N_WITH = 10  # people with a condition, at least

_N_FOLD, _N_COMPONENT, _PENALTY = 10, 12, 1.0

_BEFORE, _AFTER, _STEP = 63, 112, 5  # samples at 250 Hz: 252 ms before to 448 ms after, 50 Hz

_ALL_LEADS = "all"

_METHODS = ("another_day", "neighbours", "population", "average_beat")


def run_diagnosis(folder: Path | str, out: Path | str, *, progress: bool = True) -> Outcome:
    """Return a row per heart, arm, input and condition: the score of people not seen.

    Also written to `out`. It resumes: the beats of a fold are a task.

    Parameters
    ----------
    folder
        A mirror with ptbdb, LUDB and the challenge of 2021.
    out
        The table, `.csv` or `.csv.gz`.
    """
    tasks, sources = _plan(folder)
    if not sources:
        raise FileNotFoundError(f"no heart of ptbdb, ludb or challenge-2021 below {Path(folder)}")
    out = Path(out)
    facts = {"margin": MARGIN, "diagnoses": DIAGNOSES, "code": code_digest(__name__)}
    with finished(tasks, store_of(out), what="folds", progress=progress) as results:
        shown = [_Shown.of(row) for row in results.table().to_dict("records")]
        rows = [row for fold in range(_N_FOLD) for row in _score_fold(shown, fold)]
        table = pd.DataFrame(rows)
        write_table(out, table, digits=5)
        known = results.facts(sources, **facts) | results.costs()
        write_manifest(file_beside(out, "_manifest.json"), known)
        return Outcome({"table": table}, results.failed)


def _plan(folder: Path | str) -> tuple[list[Task], list[Source]]:
    """Return a task per fold of hearts, of each the first recording."""
    first = {heart: own[0] for heart, own in sources_by_heart(folder).items()}
    sources, need = list(first.values()), partial(learn_hearts, folder)
    code = code_digest(__name__)
    tasks = [
        Task(
            f"fold {fold}",
            key_of(code, sources, fold=fold),
            partial(_show_fold, dict(list(first.items())[fold::_N_FOLD]), fold),
            needs=need,
            digits=5,
        )
        for fold in range(_N_FOLD)
    ]
    return tasks, sources


@dataclass(frozen=True)
class _Shown:
    """What one arm shows of a heart: median beat `(lead, time)`, rhythm `(2,)`."""

    labels: dict[str, object]
    beat: np.ndarray
    rhythm: np.ndarray

    @classmethod
    def of(cls, row: Mapping[str, object]) -> "_Shown":
        """Return what a row of a kept table holds, in mV and in the units of `_rhythm_of`."""
        labels = {name: row[name] for name in _LABELS}
        numbers = np.array([row[name] for name in row if name not in _LABELS], dtype=float)
        return cls(labels, numbers[:-2].reshape(len(LEADS), -1), numbers[-2:])


_LABELS = ("heart", "condition", "fold", "arm", "input_lead")


def _show_fold(hearts: Mapping[str, Source], fold: int, others: Others) -> dict[str, pd.DataFrame]:
    """Return what each arm shows of the hearts of a fold; nothing is fitted on any of them.

    A heart that cannot be read is left out, and an arm whose method refuses a calibration.
    """
    learned, rows = without_hearts(others, hearts), []
    for heart, source in hearts.items():
        try:
            record = source.read()
            trial = inside_trial(record, heart)
        except (RecordError, ValueError):
            continue
        peaks = find_peaks(trial.test, DAY_RATE_HZ)
        arms = {("original", _ALL_LEADS): trial.test}
        for method in _METHODS:
            with contextlib.suppress(MethodError):  # without a whole beat there is no model
                guesses = predict_trial(trial, method, DIAGNOSIS_INPUTS, learned)
                arms |= {(method, n): g for n, g in zip(DIAGNOSIS_INPUTS, guesses, strict=True)}
        arms |= {("visible", n): trial.test for n in DIAGNOSIS_INPUTS}
        for (arm, name), signals in arms.items():
            beats = align_beats(signals, peaks, before=_BEFORE, after=_AFTER)
            if len(beats):
                beat = average_beat(beats)[:, ::_STEP]
                labels = (heart, record.condition, fold, arm, name)
                rows.append([*labels, *beat.ravel(), *_rhythm_of(peaks)])
    n_number = len(rows[0]) - len(_LABELS) if rows else 0
    columns = [*_LABELS, *(f"x{number}" for number in range(n_number))]
    return {"rows": pd.DataFrame(rows, columns=columns)}


def _rhythm_of(peaks: np.ndarray) -> np.ndarray:
    """Return the logarithm of the median time between R peaks, s, and how much it varies."""
    if len(peaks) < 3:
        return np.zeros(2)
    intervals = np.diff(peaks) / DAY_RATE_HZ
    middle = np.median(intervals)
    return np.array([np.log(middle), np.abs(intervals - middle).max() / middle])


def _score_fold(shown: Sequence[_Shown], fold: int) -> Iterator[dict[str, object]]:
    """Yield the scores of a fold by classifiers of the other folds' originals."""
    own = [one for one in shown if one.labels["fold"] == fold]
    originals = [one for one in shown if one.labels["arm"] == "original"]
    originals = [one for one in originals if one.labels["fold"] != fold]
    for target in DIAGNOSES:
        is_so = np.array([one.labels["condition"] == target for one in originals])
        if is_so.sum() < N_WITH // 2:
            continue
        whole = _fit_classifier(np.array([_features(one) for one in originals]), is_so)
        alone = {
            name: _fit_classifier(np.array([_features(one, name) for one in originals]), is_so)
            for name in DIAGNOSIS_INPUTS
        }
        for one in own:
            lead = str(one.labels["input_lead"]) if one.labels["arm"] == "visible" else ""
            classify = alone[lead] if lead else whole
            labels = {name: one.labels[name] for name in _LABELS if name != "fold"}
            yield labels | {"target": target, "score": classify(_features(one, lead))}


def _features(one: _Shown, lead: str = "") -> np.ndarray:
    """Return the beat of the independent leads or of one lead, mV, and the rhythm, in a row."""
    beat = one.beat[lead_index(lead)] if lead else independent_signals(one.beat)
    return np.concatenate([beat.ravel(), one.rhythm])


@dataclass(frozen=True)
class _Classifier:
    """Logistic regression on components of a beat and on the rhythm; larger is more likely."""

    mean: np.ndarray
    axes: np.ndarray
    middle: np.ndarray
    spread: np.ndarray
    weights: np.ndarray

    def __call__(self, features: np.ndarray) -> float:
        """Return the logit of one row of features."""
        return float(self.weights[0] + self._inputs(features) @ self.weights[1:])

    def _inputs(self, features: np.ndarray) -> np.ndarray:
        beat = (features[:-2] - self.mean) @ self.axes
        return (np.concatenate([beat, features[-2:]]) - self.middle) / self.spread


def _fit_classifier(features: np.ndarray, is_so: np.ndarray) -> _Classifier:
    """Return the classifier of rows `(person, feature)`; its penalty was fixed beforehand."""
    beats, rhythm = features[:, :-2], features[:, -2:]
    mean = beats.mean(axis=0)
    axes = linalg.svd(beats - mean, full_matrices=False)[2][:_N_COMPONENT].T
    inputs = np.hstack([(beats - mean) @ axes, rhythm])
    middle, spread = inputs.mean(axis=0), np.maximum(inputs.std(axis=0), 1e-9)
    weights = _fit_logistic((inputs - middle) / spread, is_so, penalty=_PENALTY)
    return _Classifier(mean, axes, middle, spread, weights)


def _fit_logistic(inputs: np.ndarray, is_so: np.ndarray, *, penalty: float) -> np.ndarray:
    """Return the weights `(1 + input,)`, the constant first, of a penalised logistic regression.

    The least of `sum log(1 + exp(-y z)) + penalty / 2 * sum w^2`, y being 1 or -1 and z the logit;
    the constant is not penalised.

    Parameters
    ----------
    inputs
        `(person, input)`.
    is_so
        `(person,)`.
    """
    design = np.hstack([np.ones((len(inputs), 1)), inputs])
    signs = np.where(is_so, 1.0, -1.0)
    kept = np.r_[0.0, np.full(inputs.shape[1], penalty)]

    def cost(weights: np.ndarray) -> tuple[float, np.ndarray]:
        margin = signs * (design @ weights)
        slope = -signs / (1 + np.exp(np.clip(margin, -500, 500)))
        value = np.logaddexp(0, -margin).sum() + kept @ weights**2 / 2
        return float(value), design.T @ slope + kept * weights

    start = np.zeros(design.shape[1])
    return optimize.minimize(cost, start, jac=True, method="L-BFGS-B").x


def summarise_diagnosis(table: pd.DataFrame, *, n_bootstrap: int = 1000) -> pd.DataFrame:
    """Return the AUROC of every arm and how far it is from that of the originals.

    Hearts count of whom every arm shows something.

    Parameters
    ----------
    table
        From `run_diagnosis`.

    Returns
    -------
    pandas.DataFrame
        `target`, `n_with`, `n_without`, `arm`, `input_lead`; `auroc` with `low`, `high` and
        `difference` from the original with `difference_low`, `difference_high`, 95 % intervals
        over hearts; `verdict`: `survives` if the difference is above -`MARGIN` with its whole
        interval, `is lost` if it is below with its whole interval, else `cannot be told`; and
        `NOT_TOLD` for all arms where the interval of the original reaches 0.5: what the original
        does not show cannot survive.
    """
    rows = []
    for target, own in table.groupby("target", sort=False):
        wide = own.pivot(index="heart", columns=["arm", "input_lead"], values="score").dropna()
        is_so = own.groupby("heart")["condition"].first()[wide.index].to_numpy() == target
        if min(is_so.sum(), (~is_so).sum()) < N_WITH:
            continue
        draws = np.random.default_rng(0).integers(0, len(wide), (n_bootstrap, len(wide)))
        original = _aurocs(wide["original", _ALL_LEADS].to_numpy(), is_so, draws)
        for arm, name in wide.columns:
            found = _aurocs(wide[arm, name].to_numpy(), is_so, draws)
            row = {"target": target, "n_with": int(is_so.sum()), "n_without": int((~is_so).sum())}
            rows.append(row | {"arm": arm, "input_lead": name} | _judge(found, original))
    return pd.DataFrame(rows)


def _aurocs(scores: np.ndarray, is_so: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Return the AUROC of everybody and of each draw `(1 + draw,)`; ties count half."""
    right = np.sign(scores[is_so][:, None] - scores[~is_so]) / 2 + 0.5
    counts = [np.bincount(draw, minlength=len(scores)) for draw in draws]
    counts = np.vstack([np.ones(len(scores)), *counts])
    with_it, without = counts[:, is_so], counts[:, ~is_so]
    n_pair = with_it.sum(axis=1) * without.sum(axis=1)
    told = ((with_it @ right) * without).sum(axis=1)
    return np.divide(told, n_pair, out=np.full(len(counts), np.nan), where=n_pair > 0)


def _judge(found: np.ndarray, original: np.ndarray) -> dict[str, object]:
    lost = found - original
    (low, high), (lost_low, lost_high) = (
        np.nanquantile(one[1:], [0.025, 0.975]) for one in (found, lost)
    )
    verdict = "survives" if lost_low > -MARGIN else "cannot be told"
    verdict = "is lost" if lost_high < -MARGIN else verdict
    verdict = verdict if np.nanquantile(original[1:], 0.025) > 0.5 else NOT_TOLD
    values = {"auroc": found[0], "low": low, "high": high, "difference": lost[0]}
    return values | {
        "difference_low": lost_low,
        "difference_high": lost_high,
        "verdict": verdict,
    }
