"""Do clinical measures survive? Original against reconstruction, beat by beat and by recording.

Three plans, all calibrated and tested on different stretches, inputs I and V2: `inside` (LUDB and
the challenge: the first 6 s, tested on the last 4 s), `days` (PTB: 10 s of one recording, 20 s of
another one of the same heart) and `beats` (twadb, one recording a heart: the first 30 s, tested on
the last fifth, ectopic beats and alternans apart).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ecgnb.files import code_digest
from ecgnb.intervals import bootstrap_mean
from ecgnb.leads import LEADS, lead_index
from ecgnb.reconstruction.average_beat import fit_beat_ridge
from ecgnb.reconstruction.methods import LeadModels
from ecgnb.reconstruction.prior import (
    DAY_RATE_HZ,
    HeartShare,
    clean_record,
    combine,
    find_people,
    read_heart_shares,
)
from ecgnb.records.databases import find_records, load_record
from ecgnb.records.labels import labels_of
from ecgnb.records.record import Record
from ecgnb.records.wfdb_files import read_header, read_record
from ecgnb.signals.beats import align_beats, average_beat, find_peaks
from ecgnb.signals.measures import (
    BEAT_MEASURES,
    LEAD_MEASURES,
    delineate,
    measure_beats,
)
from ecgnb.signals.preparation import Prepared, PreprocessingOptions, RecordLabels, Scaling
from ecgnb.studies.day_methods import DAY_METHODS, NEEDS_PRIOR, DayFit, predict_checked
from ecgnb.studies.plan import Source, Task, key_of, sources_of
from ecgnb.studies.runner import Outcome, write_study

MEASURE_INPUTS = ("I", "V2")

MEASURE_PLANS = ("inside", "days", "beats")

BEFORE_R_S, AFTER_R_S = 0.35, 0.6

_BEFORE, _AFTER = round(BEFORE_R_S * DAY_RATE_HZ), round(AFTER_R_S * DAY_RATE_HZ)

_N_FOLD, _ECTOPIC_R = 10, 0.9

_MARK_RATE_HZ = 500.0


def _fit_day_ridge(
    calibrations: Sequence[np.ndarray], inputs: Sequence[int], *, seed: int = 0
) -> LeadModels:
    """Return the average beat and a ridge of its rest, the penalty chosen on the last quarter."""
    signals = np.concatenate(calibrations, axis=1)
    cut, ones = round(0.75 * signals.shape[-1]), np.ones((len(signals), 1))
    prepared = Prepared(
        RecordLabels("calibration"),
        signals[:, :cut],
        signals[:, cut:],
        signals[:, cut:],
        Scaling(0 * ones, ones),
        DAY_RATE_HZ,
        PreprocessingOptions(),
    )
    return LeadModels(tuple(fit_beat_ridge(prepared, lead) for lead in inputs))


MEASURE_METHODS: dict[str, DayFit] = {
    "average_beat": DAY_METHODS["average_beat"],
    "average_beat_ridge": _fit_day_ridge,
    "neighbours": DAY_METHODS["neighbours"],
    "another_day": DAY_METHODS["another_day"],
}


@dataclass(frozen=True)
class MeasureTrial:
    """A calibration and a test `(lead, time)` of one heart, mV, 250 Hz."""

    plan: str
    heart: str
    name: str
    calibration: np.ndarray
    test: np.ndarray


def inside_trial(
    path: Path, heart: str, *, cut_s: float = 6.0, end_s: float = 10.0
) -> MeasureTrial:
    """Return the first seconds of a recording to calibrate on and what follows to test on.

    Each is cut before it is filtered.
    """
    record = read_record(path)
    cut, end = (round(seconds * record.sampling_rate) for seconds in (cut_s, end_s))
    test = _clean(record, slice(cut, end))
    return MeasureTrial("inside", heart, record.name, _clean(record, slice(0, cut)), test)


def _clean(record: Record, part: slice) -> np.ndarray:
    return clean_record(replace(record, signals=record.signals[:, part], frank=None))


def _day_trials(heart: str, paths: Sequence[Path]) -> Iterator[MeasureTrial]:
    for old, new in permutations(paths, 2):
        calibration = clean_record(read_record(old), first_s=10.0)
        record = read_record(new)
        test = clean_record(record, first_s=20.0)
        yield MeasureTrial("days", heart, f"{old.stem}+{record.name}", calibration, test)


def _beat_trial(path: Path) -> MeasureTrial:
    record = load_record(path, "twadb")
    calibration = clean_record(record, first_s=30.0)
    start = round(0.8 * record.n_time)
    heart = record.heart if not record.heart.startswith("patient") else f"ptbdb/{record.heart}"
    return MeasureTrial(
        "beats", heart, record.name, calibration, _clean(record, slice(start, None))
    )


def predict_trial(
    trial: MeasureTrial,
    method: str,
    prior: Any,  # noqa: ANN401 (only one method takes it)
) -> np.ndarray:
    """Return the test part `(input, lead, time)` as a method reconstructs it."""
    fit = MEASURE_METHODS[method]
    if method in NEEDS_PRIOR:
        fit = partial(fit, prior=prior)
    inputs = [lead_index(name) for name in MEASURE_INPUTS]
    return predict_checked(method, fit, [trial.calibration], trial.test, inputs)


def _measure(beats: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    bounds = [delineate(beat, DAY_RATE_HZ, _BEFORE) for beat in beats]
    return measure_beats(beats, DAY_RATE_HZ, _BEFORE, bounds)


def _score_trial(trial: MeasureTrial, prior: Any) -> pd.DataFrame:  # noqa: ANN401
    """Return a row per input, method, measure, kind and rhythm: means, variances, covariance."""
    peaks = find_peaks(trial.test, DAY_RATE_HZ)
    beats = align_beats(trial.test, peaks, before=_BEFORE, after=_AFTER)
    if len(beats) < 2:
        raise ValueError(f"{trial.name}: fewer than two whole beats in the test part")
    ectopic, rows = _find_ectopic(beats), []
    truth = _measure_both(beats, ectopic)
    for method in MEASURE_METHODS:
        for name, guess in zip(MEASURE_INPUTS, predict_trial(trial, method, prior), strict=True):
            made = align_beats(guess, peaks, before=_BEFORE, after=_AFTER)
            hidden = [n for n, lead in enumerate(LEADS) if lead != name]
            for row in _compare(truth, _measure_both(made, ectopic), hidden, ectopic):
                rows.append({"input_lead": name, "method": method} | row)
    labels = {"plan": trial.plan, "heart": trial.heart, "record": trial.name}
    table = pd.DataFrame(rows).assign(**labels)
    return table[[*labels, *[column for column in table if column not in labels]]]


def measure_recording(truth: np.ndarray, guess: np.ndarray) -> pd.DataFrame:
    """Return the measures of every beat of a recording and of its reconstruction.

    A row per beat, measure and lead (empty for QRS duration, QT interval and axis): `original`
    and `reconstructed`, in `UNITS`.

    Parameters
    ----------
    truth, guess
        12 leads `(lead, time)` in mV at 250 Hz; beats are found in the truth.
    """
    peaks = find_peaks(truth, DAY_RATE_HZ)
    pair = [align_beats(one, peaks, before=_BEFORE, after=_AFTER) for one in (truth, guess)]
    found = [_measure(beats) for beats in pair]
    tables = []
    for place, measure in enumerate([*LEAD_MEASURES, *BEAT_MEASURES]):
        n_lead = len(LEAD_MEASURES)
        leads = LEADS if place < n_lead else ("",)
        values = [
            one[0][:, :, place] if place < n_lead else one[1][:, place - n_lead, None]
            for one in found
        ]
        beat, lead = np.indices(values[0].shape)
        table = pd.DataFrame({"measure": measure, "beat": beat.ravel()})
        table["lead"] = np.array(leads)[lead.ravel()]
        table["original"], table["reconstructed"] = (one.ravel() for one in values)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


_Measured = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def _measure_both(beats: np.ndarray, ectopic: np.ndarray) -> _Measured:
    """Return the measures of each beat, and of the median of the beats that are not ectopic."""
    median = average_beat(beats[~ectopic] if not ectopic.all() else beats)[None]
    return (*_measure(beats), *_measure(median))


def _find_ectopic(beats: np.ndarray) -> np.ndarray:
    """Return which beats `(beat,)` do not look like the median one around their QRS complex."""
    around = slice(_BEFORE - round(0.1 * DAY_RATE_HZ), _BEFORE + round(0.1 * DAY_RATE_HZ))
    each = beats[:, :, around].reshape(len(beats), -1)
    median = np.median(each, axis=0)
    mixed = (
        each @ median / np.maximum(np.linalg.norm(each, axis=1) * np.linalg.norm(median), 1e-12)
    )
    return mixed < _ECTOPIC_R


def _compare(
    truth: _Measured, guess: _Measured, hidden: Sequence[int], ectopic: np.ndarray
) -> Iterator[dict[str, object]]:
    """Yield what is needed of each measure: over beats, of either rhythm, and of the median."""
    groups = {"normal": ~ectopic, "ectopic": ectopic}
    for place, measure in enumerate([*LEAD_MEASURES, *BEAT_MEASURES]):
        pairs = [_pick(one, place, hidden) for one in (truth, guess)]
        for rhythm, chosen in groups.items():
            if chosen.any():
                each = (pair[0][chosen].ravel() for pair in pairs)
                yield _sums(measure, "beat", rhythm, *each)
        yield _sums(measure, "record", "normal", *(pair[1].ravel() for pair in pairs))
    if (~ectopic).sum() >= 8:
        both = [_alternans(one[0][~ectopic][:, hidden, 2]) for one in (truth, guess)]
        yield _sums("alternans", "record", "normal", *both)


def _pick(measured: _Measured, place: int, hidden: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    n_lead = len(LEAD_MEASURES)
    if place < n_lead:
        return measured[0][:, hidden, place], measured[2][:, hidden, place]
    return measured[1][:, place - n_lead], measured[3][:, place - n_lead]


def _alternans(t_wave: np.ndarray) -> np.ndarray:
    """Return twice the mean of the T amplitude `(beat, lead)` with alternating sign, `(lead,)`.

    It is the difference between even and odd beats: T-wave alternans, in µV.
    """
    signs = np.where(np.arange(len(t_wave)) % 2 == 0, 1.0, -1.0)
    return 2 * np.nanmean(signs[:, None] * (t_wave - np.nanmean(t_wave, axis=0)), axis=0)


def _sums(
    measure: str, kind: str, rhythm: str, truth: np.ndarray, guess: np.ndarray
) -> dict[str, object]:
    """Return number, means, variances and covariance of pairs; an axis is compared by the turn."""
    if measure == "axis":
        guess = truth + (guess - truth + 180) % 360 - 180
    good = np.isfinite(truth) & np.isfinite(guess)
    row: dict[str, object] = {"measure": measure, "kind": kind, "rhythm": rhythm}
    row |= {"n_lost": int((np.isfinite(truth) & ~np.isfinite(guess)).sum()), "n": int(good.sum())}
    names = ("truth", "guess", "truth_var", "guess_var", "cov")
    if not good.any():
        return row | dict.fromkeys(names, np.nan)
    truth, guess = truth[good], guess[good]
    mixed = np.cov(truth, guess, bias=True)
    values = (truth.mean(), guess.mean(), mixed[0, 0], mixed[1, 1], mixed[0, 1])
    return row | {name: float(value) for name, value in zip(names, values, strict=True)}


def compare_measures(table: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Return the agreement of original and reconstruction, a row per group.

    Bias, and limits of agreement for repeated measures (Bland and Altman 2007: the variance of
    the difference is that between hearts plus that within); `slope` of reconstruction on original
    and `r2` = 1 - squared error / variance of the original, over all pairs. Every heart weighs
    the same. `bias_low`, `bias_high` are the 95 % interval over hearts.

    Parameters
    ----------
    table
        Rows as `run_measures` writes them, of one kind and rhythm.
    by
        Columns of the groups.
    """
    rows = []
    for key, own in table[table["n"] > 0].groupby(list(by), sort=False):
        names = dict(zip(by, key if isinstance(key, tuple) else (key,), strict=True))
        rows.append(names | _agree(own))
    return pd.DataFrame(rows)


def _agree(own: pd.DataFrame) -> dict[str, float]:
    """Return the agreement in one group."""
    weights = (own["n"] / own.groupby("heart")["n"].transform("sum")).to_numpy()
    weights = weights / weights.sum()
    moved = own["guess"] - own["truth"]
    hearts = (moved * weights).groupby(own["heart"]).sum() * own["heart"].nunique()
    bias = bootstrap_mean(hearts.to_numpy())
    square = moved**2 + own["guess_var"] + own["truth_var"] - 2 * own["cov"]
    middle, made = (weights @ own["truth"], weights @ own["guess"])
    power = weights @ (own["truth_var"] + (own["truth"] - middle) ** 2)
    mixed = weights @ (own["cov"] + (own["truth"] - middle) * (own["guess"] - made))
    error = weights @ square
    spread = 1.96 * np.sqrt(max(error - bias.value**2, 0.0))
    return {
        "n_heart": own["heart"].nunique(),
        "n": int(own["n"].sum()),
        "bias": bias.value,
        "bias_low": bias.low,
        "bias_high": bias.high,
        "limit_low": bias.value - spread,
        "limit_high": bias.value + spread,
        "slope": mixed / power if power > 0 else np.nan,
        "r2": 1 - error / power if power > 0 else np.nan,
    }


def run_measures(
    folder: Path | str,
    out: Path | str,
    *,
    plans: Sequence[str] = MEASURE_PLANS,
    jobs: int = 1,
    progress: bool = True,
) -> Outcome:
    """Return the table of clinical measures, also written to `out`. It resumes.

    Parameters
    ----------
    folder
        A mirror with LUDB and the challenge of 2021 (`inside`), ptbdb (`days`), twadb (`beats`).
    out
        The table, `.csv` or `.csv.gz`.
    plans
        Of `MEASURE_PLANS`.
    jobs
        Local processes, one thread each.
    """
    tasks, sources = _plan_measures(folder, plans, jobs)
    facts = {"plans": list(plans), "code": code_digest(__name__)}
    how = {"jobs": jobs, "what": "tasks", "progress": progress}
    return write_study(tasks, out, sources, digits=5, facts=facts, **how)


def _plan_measures(
    folder: Path | str, plans: Sequence[str], jobs: int
) -> tuple[list[Task], list[Source]]:
    """Return a task per fold of hearts, per heart with several recordings, per heart of twadb."""
    people = find_people(folder)
    needs = [partial(read_prior_shares, folder) for _ in range(jobs)]
    inside = {
        h: p[0] for h, p in people.items() if "inside" in plans and not h.startswith("ptbdb")
    }
    several = {h: p for h, p in people.items() if "days" in plans and len(p) > 1}
    beats = _one_a_heart(find_records(folder, "twadb"))
    paths = [path for own in people.values() for path in own]
    code, known, tested = code_digest(__name__), sources_of(paths), sources_of(beats)
    work = [(f"days {heart}", partial(_score_days, heart, own)) for heart, own in several.items()]
    work += [
        (f"inside {fold}", partial(_score_inside, dict(list(inside.items())[fold::_N_FOLD])))
        for fold in range(_N_FOLD)
        if list(inside)[fold::_N_FOLD]
    ]
    work += [
        (f"beats {path.stem}", partial(_score_beats, path)) for path in beats if "beats" in plans
    ]
    tasks = [
        Task(
            name, key_of(code, [*known, *tested], task=name), one, needs=needs[n % jobs], digits=5
        )
        for n, (name, one) in enumerate(work)
    ]
    return tasks, [*known, *tested]


def _one_a_heart(paths: Sequence[Path]) -> list[Path]:
    """Return the first recording of each heart."""
    hearts = {}
    for path in paths:
        hearts.setdefault(labels_of(read_header(path), path, "twadb")["heart"], path)
    return list(hearts.values())


def read_prior_shares(folder: Path | str) -> list[HeartShare]:
    """Return what each heart of a mirror adds to a prior."""
    return list(read_heart_shares(folder))


def _score_inside(
    hearts: dict[str, Path], shares: Sequence[HeartShare]
) -> dict[str, pd.DataFrame]:
    """Return the measures of a fold of hearts, none of which the prior has seen."""
    prior = combine(share for share in shares if share.heart not in hearts)
    tables = [_score_trial(inside_trial(path, heart), prior) for heart, path in hearts.items()]
    return {"rows": pd.concat(tables)}


def _score_days(
    heart: str, paths: Sequence[Path], shares: Sequence[HeartShare]
) -> dict[str, pd.DataFrame]:
    prior = combine(shares, without=heart)
    return {"rows": pd.concat([_score_trial(t, prior) for t in _day_trials(heart, paths)])}


def _score_beats(path: Path, shares: Sequence[HeartShare]) -> dict[str, pd.DataFrame]:
    trial = _beat_trial(path)
    return {"rows": _score_trial(trial, combine(shares, without=trial.heart))}
