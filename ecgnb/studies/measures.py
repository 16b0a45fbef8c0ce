"""Do clinical measures survive? Original against reconstruction, beat by beat and by recording.

Three plans, all calibrated and tested on different stretches, inputs I and V2: `inside` (LUDB and
the challenge: the first 6 s, tested on the last 4 s), `days` (PTB: 10 s of one recording, 20 s of
another one of the same heart) and `beats` (twadb, one recording a heart: the first 30 s, tested on
the last fifth, ectopic beats and alternans apart).
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import permutations
from pathlib import Path

import numpy as np
import pandas as pd

from ecgnb.files import code_digest
from ecgnb.intervals import bootstrap_mean
from ecgnb.leads import LEADS
from ecgnb.reconstruction.prior import DAY_RATE_HZ, clean_record
from ecgnb.records.databases import find_records
from ecgnb.records.labels import labels_of
from ecgnb.records.wfdb_files import read_header
from ecgnb.signals.beats import align_beats, average_beat, find_peaks
from ecgnb.signals.measures import BEAT_MEASURES, LEAD_MEASURES, delineate, measure_beats
from ecgnb.studies.day_methods import (
    HeartTrial,
    MethodError,
    clean_part,
    inside_trial,
    predict_trial,
)
from ecgnb.studies.day_trials import Others, learn_hearts, sources_by_heart, without_hearts
from ecgnb.studies.plan import Source, Task, key_of, sources_of
from ecgnb.studies.runner import Outcome, write_study

MEASURE_INPUTS = ("I", "V2")

MEASURE_PLANS = ("inside", "days", "beats")

BEFORE_R_S, AFTER_R_S = 0.35, 0.6

_BEFORE, _AFTER = round(BEFORE_R_S * DAY_RATE_HZ), round(AFTER_R_S * DAY_RATE_HZ)

_N_FOLD, _ECTOPIC_R = 10, 0.9

_MARK_RATE_HZ = 500.0


MEASURE_METHODS = ("average_beat", "average_beat_ridge", "neighbours", "another_day")


def _day_trials(heart: str, sources: Sequence[Source]) -> Iterator[HeartTrial]:
    for old, new in permutations(sources, 2):
        calibration = clean_record(old.read(), first_s=10.0)
        test = clean_record(new.read(), first_s=20.0)
        yield HeartTrial("days", heart, f"{old.name}+{new.name}", calibration, test)


def _beat_trial(source: Source) -> HeartTrial:
    record = source.read()
    calibration = clean_record(record, first_s=30.0)
    start = round(0.8 * record.n_time)
    heart = record.heart if not record.heart.startswith("patient") else f"ptbdb/{record.heart}"
    test = clean_part(record, slice(start, None))
    return HeartTrial("beats", heart, record.name, calibration, test)


def _measure(beats: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    bounds = [delineate(beat, DAY_RATE_HZ, _BEFORE) for beat in beats]
    return measure_beats(beats, DAY_RATE_HZ, _BEFORE, bounds)


def _score_trial(trial: HeartTrial, learned: Mapping[str, object]) -> pd.DataFrame:
    """Return a row per input, method, measure, kind and rhythm: means, variances, covariance.

    No row of a method that refuses the calibration, and none at all without two beats to test on.
    """
    peaks = find_peaks(trial.test, DAY_RATE_HZ)
    beats = align_beats(trial.test, peaks, before=_BEFORE, after=_AFTER)
    if len(beats) < 2:
        return pd.DataFrame()
    ectopic, rows = _find_ectopic(beats), []
    truth = _measure_both(beats, ectopic)
    for method in MEASURE_METHODS:
        try:
            guesses = predict_trial(trial, method, MEASURE_INPUTS, learned)
        except MethodError:  # without a whole beat in the calibration there is no model
            continue
        for name, guess in zip(MEASURE_INPUTS, guesses, strict=True):
            made = align_beats(guess, peaks, before=_BEFORE, after=_AFTER)
            hidden = [n for n, lead in enumerate(LEADS) if lead != name]
            for row in _compare(truth, _measure_both(made, ectopic), hidden, ectopic):
                if row["kind"] == "record" or trial.plan != "inside":  # four beats say no more
                    rows.append({"input_lead": name, "method": method} | row)
    labels = {"plan": trial.plan, "heart": trial.heart, "record": trial.name}
    if not rows:
        return pd.DataFrame()
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
    return 2 * _mean_known(signs[:, None] * (t_wave - _mean_known(t_wave)))


def _mean_known(values: np.ndarray) -> np.ndarray:
    """Return the mean over beats of values `(beat, lead)`, NaN in a lead without any.

    Examples
    --------
    >>> _mean_known(np.array([[1.0, np.nan], [3.0, np.nan], [np.nan, np.nan]])).tolist()
    [2.0, nan]
    """
    counts = np.isfinite(values).sum(axis=0)
    return np.nansum(values, axis=0) / np.where(counts, counts, np.nan)


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
    needs = [partial(learn_hearts, folder) for _ in range(jobs)]
    tasks, sources = _plan_measures(folder, plans, needs)
    facts = {"plans": list(plans), "code": code_digest(__name__)}
    how = {"jobs": jobs, "what": "tasks", "progress": progress}
    return write_study(tasks, out, sources, digits=5, facts=facts, **how)


def _plan_measures(
    folder: Path | str, plans: Sequence[str], needs: Sequence[partial[Others]]
) -> tuple[list[Task], list[Source]]:
    """Return a task per fold of hearts, per heart with several recordings, per heart of twadb."""
    people, code = sources_by_heart(folder), code_digest(__name__)
    known = [source for own in people.values() for source in own]
    beats = _one_a_heart(sources_of(find_records(folder, "twadb"), "twadb"))
    several = {heart: own for heart, own in people.items() if len(own) > 1}
    inside = [(heart, own[0]) for heart, own in people.items() if not heart.startswith("ptbdb")]
    folds = {fold: dict(inside[fold::_N_FOLD]) for fold in range(_N_FOLD)}
    work = {
        "days": [(heart, partial(_score_days, heart, own)) for heart, own in several.items()],
        "inside": [(fold, partial(_score_inside, own)) for fold, own in folds.items() if own],
        "beats": [(one.path.stem, partial(_score_beats, one)) for one in beats],
    }
    chosen = [(f"{plan} {name}", call) for plan in plans for name, call in work[plan]]
    tasks = [
        Task(
            name,
            key_of(code, [*known, *beats], task=name),
            call,
            needs=needs[number % len(needs)],
            digits=5,
        )
        for number, (name, call) in enumerate(chosen)
    ]
    return tasks, [*known, *beats]


def _one_a_heart(sources: Sequence[Source]) -> list[Source]:
    """Return the first recording of each heart."""
    hearts: dict[str, Source] = {}
    for source in sources:
        labels = labels_of(read_header(source.path), source.path, "twadb")
        hearts.setdefault(labels["heart"], source)
    return list(hearts.values())


def _score_inside(hearts: Mapping[str, Source], others: Others) -> dict[str, pd.DataFrame]:
    """Return the measures of a fold of hearts, of none of which anything was learned."""
    learned = without_hearts(others, hearts)
    trials = [inside_trial(source.read(), heart) for heart, source in hearts.items()]
    return {"rows": pd.concat([_score_trial(trial, learned) for trial in trials])}


def _score_days(heart: str, sources: Sequence[Source], others: Others) -> dict[str, pd.DataFrame]:
    learned = others.without(heart)
    trials = _day_trials(heart, sources)
    return {"rows": pd.concat([_score_trial(trial, learned) for trial in trials])}


def _score_beats(source: Source, others: Others) -> dict[str, pd.DataFrame]:
    trial = _beat_trial(source)
    return {"rows": _score_trial(trial, others.without(trial.heart))}
