"""Does a diagnosis survive? One small classifier on originals, reconstructions and two controls.

For each condition a logistic regression on the leading components of the median beat of the eight
independent leads and on two numbers of the rhythm, fitted on the originals of other people. It is
then asked about people it has not seen: their original, a reconstruction from one lead, and, as
controls, their own old beat pasted at today's R peaks, which knows nothing of today but the
rhythm. A second classifier is fitted on the visible lead alone: what needs no reconstruction.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import linalg, optimize

from ecgnb.files import code_digest
from ecgnb.leads import independent_signals, lead_index
from ecgnb.reconstruction.expiry import auroc
from ecgnb.reconstruction.lead_sets import find_set, fit_set, lagged_leads, lead_moments
from ecgnb.reconstruction.prior import DAY_RATE_HZ, HeartShare, combine, find_people
from ecgnb.records.databases import database_of, load_record
from ecgnb.records.record import RecordError
from ecgnb.signals.beats import align_beats, average_beat, find_peaks
from ecgnb.studies.measures import (
    MEASURE_INPUTS,
    MeasureTrial,
    inside_trial,
    predict_trial,
    read_prior_shares,
)
from ecgnb.studies.plan import Source, Task, key_of, sources_of
from ecgnb.studies.runner import Outcome, write_study

DIAGNOSES = (
    "healthy control",
    "hypertrophy",
    "dysrhythmia",
    "bundle branch block",
    "myocardial infarction",
)

ARMS = {
    "original": "original, twelve leads",
    "another_day": "reconstructed from one lead, personal",
    "neighbours": "reconstructed by nearest neighbours, personal",
    "population": "reconstructed from one lead, other people's fit",
    "average_beat": "control: own old beat pasted",
    "visible": "control: the visible lead alone",
}

MARGIN = 0.05  # of AUROC, set before anything was computed

N_WITH = 10  # people with a condition, at least

_N_FOLD, _N_COMPONENT, _PENALTY = 10, 12, 1.0

_BEFORE, _AFTER, _STEP = 63, 112, 5  # samples at 250 Hz: 252 ms before to 448 ms after, 50 Hz

_ALL_LEADS = "all"


@dataclass(frozen=True)
class _Person:
    """A heart, its condition and its trial."""

    heart: str
    condition: str
    trial: MeasureTrial


def run_diagnosis(
    folder: Path | str, out: Path | str, *, jobs: int = 1, progress: bool = True
) -> Outcome:
    """Return a row per heart, arm, input and condition: the score of people not seen.

    Also written to `out`. It resumes: what is kept are the beats of each arm.

    Parameters
    ----------
    folder
        A mirror with ptbdb, LUDB and the challenge of 2021.
    out
        The table, `.csv` or `.csv.gz`.
    """
    tasks, sources = _plan(folder, jobs)
    facts = {"margin": MARGIN, "diagnoses": DIAGNOSES, "code": code_digest(__name__)}
    how = {"jobs": jobs, "what": "folds", "progress": progress}
    return write_study(tasks, out, sources, digits=5, facts=facts, **how)


def _plan(folder: Path | str, jobs: int) -> tuple[list[Task], list[Source]]:
    first = {heart: paths[0] for heart, paths in find_people(folder).items()}
    sources = sources_of(list(first.values()))
    key = key_of(code_digest(__name__), sources)
    need = partial(_read_everybody, folder, first)
    tasks = [Task("scores", key, _score_everybody, needs=need, digits=5)]
    return tasks, sources


def _read_everybody(
    folder: Path | str, first: dict[str, Path]
) -> tuple[list[_Person], list[HeartShare]]:
    """Return everybody of whom 10 s can be used, and what each adds to the prior."""
    people = []
    for heart, path in first.items():
        try:
            condition = load_record(path, database_of(path)).condition
            people.append(_Person(heart, condition, inside_trial(path, heart)))
        except (RecordError, ValueError):
            continue
    return people, read_prior_shares(folder)


def _score_everybody(
    given: tuple[list[_Person], list[HeartShare]],
) -> dict[str, pd.DataFrame]:
    """Return the scores of everybody, each by what was fitted on other folds."""
    people, shares = given
    shown = [row for fold in range(_N_FOLD) for row in _show_fold(people, shares, fold)]
    rows = [row for fold in range(_N_FOLD) for row in _score_fold(shown, fold)]
    return {"rows": pd.DataFrame(rows)}


@dataclass(frozen=True)
class _Shown:
    """What one arm shows of a heart: median beat `(lead, time)`, rhythm `(2,)`."""

    person: _Person
    fold: int
    arm: str
    input_lead: str
    beat: np.ndarray
    rhythm: np.ndarray


def _show_fold(
    people: Sequence[_Person], shares: Sequence[HeartShare], fold: int
) -> Iterator[_Shown]:
    """Yield what each arm shows of the hearts of a fold; nothing is fitted on any of them."""
    own = list(people)[fold::_N_FOLD]
    hearts = {one.heart for one in own}
    prior = combine(share for share in shares if share.heart not in hearts)
    fits = _fit_population([one for one in people if one.heart not in hearts])
    for person in own:
        peaks = find_peaks(person.trial.test, DAY_RATE_HZ)
        show = partial(_Shown, person, fold)
        arms = {("original", _ALL_LEADS): person.trial.test}
        for method in ("another_day", "neighbours", "average_beat"):
            guesses = predict_trial(person.trial, method, prior)
            arms |= {(method, n): g for n, g in zip(MEASURE_INPUTS, guesses, strict=True)}
        arms |= {("population", n): fit(person.trial.test) for n, fit in fits.items()}
        arms |= {("visible", n): person.trial.test for n in MEASURE_INPUTS}
        for (arm, name), signals in arms.items():
            beats = align_beats(signals, peaks, before=_BEFORE, after=_AFTER)
            if len(beats):
                yield show(arm, name, average_beat(beats)[:, ::_STEP], _rhythm_of(peaks))


def _fit_population(people: Sequence[_Person]) -> dict[str, partial]:
    """Return for each input lead a fit on other people, from `(lead, time)` to the same."""
    moments = []
    for person in people:
        own = lead_moments(person.trial.test[:, ::2])
        moments.append(own * len(own) / max(np.trace(own), 1e-9))
    parts = sum(moments[::2]), sum(moments[1::2])
    models = {name: fit_set(find_set([name]), *parts) for name in MEASURE_INPUTS}
    return {name: partial(_predict_population, model) for name, model in models.items()}


def _predict_population(model: object, signals: np.ndarray) -> np.ndarray:
    """Return leads at 250 Hz by a model that works at 125 Hz."""
    guess = model.predict(lagged_leads(signals[:, ::2]))
    return np.repeat(guess, 2, axis=1)[:, : signals.shape[-1]]


def _rhythm_of(peaks: np.ndarray) -> np.ndarray:
    """Return the logarithm of the median time between R peaks, s, and how much it varies."""
    if len(peaks) < 3:
        return np.zeros(2)
    intervals = np.diff(peaks) / DAY_RATE_HZ
    middle = np.median(intervals)
    return np.array([np.log(middle), np.abs(intervals - middle).max() / middle])


def _score_fold(shown: Sequence[_Shown], fold: int) -> Iterator[dict[str, object]]:
    """Yield the scores of a fold by classifiers of the other folds' originals."""
    originals = [one for one in shown if one.arm == "original" and one.fold != fold]
    for target in DIAGNOSES:
        is_so = np.array([one.person.condition == target for one in originals])
        if is_so.sum() < N_WITH // 2:
            continue
        whole = _fit_classifier(np.array([_features(one) for one in originals]), is_so)
        alone = {
            name: _fit_classifier(np.array([_features(one, name) for one in originals]), is_so)
            for name in MEASURE_INPUTS
        }
        for one in (each for each in shown if each.fold == fold):
            visible = one.arm == "visible"
            features = _features(one, one.input_lead if visible else "")
            classify = alone[one.input_lead] if visible else whole
            row = {"heart": one.person.heart, "condition": one.person.condition}
            row |= {"arm": one.arm, "input_lead": one.input_lead, "target": target}
            yield row | {"score": float(classify(features))}


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
        interval, `is lost` if it is below with its whole interval, else `cannot be told`.
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
    """Return the AUROC of everybody and of each draw."""
    return np.array([auroc(scores, is_so), *(auroc(scores[d], is_so[d]) for d in draws)])


def _judge(found: np.ndarray, original: np.ndarray) -> dict[str, object]:
    lost = found - original
    (low, high), (lost_low, lost_high) = (
        np.nanquantile(one[1:], [0.025, 0.975]) for one in (found, lost)
    )
    verdict = "survives" if lost_low > -MARGIN else "cannot be told"
    verdict = "is lost" if lost_high < -MARGIN else verdict
    values = {"auroc": found[0], "low": low, "high": high, "difference": lost[0]}
    return values | {
        "difference_low": lost_low,
        "difference_high": lost_high,
        "verdict": verdict,
    }
