"""Memory or change: how much of something new each method shows, with one, two or three leads.

Three new things: beats unlike any in the calibration, an ST segment that has moved since, T waves
that alternate. Each case says by how much a hidden lead changed and how much of it was told.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ecgnb.files import code_digest, file_beside, write_manifest, write_table
from ecgnb.intervals import bootstrap_mean
from ecgnb.leads import LEADS, independent_signals, lead_index
from ecgnb.reconstruction.average_beat import paste_beats
from ecgnb.reconstruction.pace import BEFORE_R, beat_at
from ecgnb.reconstruction.prior import DAY_RATE_HZ, WINDOW
from ecgnb.signals.beats import align_beats, find_peaks, wave_masks
from ecgnb.studies.day_methods import DAY_METHODS, DayMethod, predict_checked
from ecgnb.studies.day_trials import (
    Others,
    Session,
    Trial,
    choose_hearts,
    find_sessions,
    others_of,
    plan_hearts,
    plan_trials,
    read_trial,
)
from ecgnb.studies.plan import Source, Task, key_of
from ecgnb.studies.runner import Outcome, finished, store_of

VISIBLE = (("II",), ("II", "V2"), ("I", "II", "V2"))

THRESHOLDS_UV = {"unlike beats": 300.0, "ST segment": 100.0, "alternans": 10.0}

SINGLE = ("average_beat", "average_beat_ridge", "neighbours", "another_day")

PLANTED_UV = 40.0

_PENALTY = 1e-3  # of the powers of the visible leads

_UNLIKE = 0.5  # share of the power of an average QRS complex

_QRS = slice(BEFORE_R - 25, BEFORE_R + 38)  # 100 ms before to 150 ms after the R peak

_TEST_S = 30.0  # of another recording

_COLUMNS = ["thing", "method", "n_visible", "heart", "lead", "true_uv", "told_uv"]

_Predict = Callable[[np.ndarray], np.ndarray]


def _fit_spatial(calibration: np.ndarray, visible: Sequence[int]) -> _Predict:
    """Return the average beat plus, for what the visible leads differ from it, one weight each.

    The weights are least squares from the visible leads to every lead on the calibration, without
    lags: three leads that see a dipole from three sides tell what every other lead sees of it.

    Parameters
    ----------
    calibration
        `(12, time)` in mV, filtered 0.5-40 Hz, at 250 Hz.
    visible
        Indices of the leads that will be given, one or more.

    Raises
    ------
    ValueError
        If the calibration shows no whole beat.
    """
    seen = calibration[list(visible)]
    gram = seen @ seen.T
    gram[np.diag_indices_from(gram)] += _PENALTY * np.trace(gram) / len(gram)
    weights = np.linalg.solve(gram, seen @ calibration.T)
    beat = beat_at(calibration, find_peaks(seen, DAY_RATE_HZ))
    if beat is None:
        raise ValueError("no whole beat in the visible leads of the calibration")

    def predict(signals: np.ndarray) -> np.ndarray:
        peaks = find_peaks(signals, DAY_RATE_HZ)
        pasted = paste_beats(beat, peaks, signals.shape[-1], before=BEFORE_R)
        return pasted + weights.T @ (signals - pasted[list(visible)])

    return predict


@dataclass(frozen=True)
class Fitted:
    """A method fitted on one calibration, for some visible leads."""

    method: str
    visible: tuple[int, ...]
    predict: _Predict

    def told(self, test: np.ndarray) -> np.ndarray:
        """Return all leads `(lead, time)` from the visible ones of a test `(lead, time)`."""
        return self.predict(test[list(self.visible)])

    def rows(self, thing: str, heart: str, true: np.ndarray, told: np.ndarray) -> list[tuple]:
        """Return cases of the hidden leads from changes `(lead,)` in mV."""
        about = (thing, self.method, len(self.visible), heart)
        return [
            (*about, LEADS[i], 1000 * true[i], 1000 * told[i])
            for i in range(len(LEADS))
            if i not in self.visible
        ]


def _fit_all(calibration: np.ndarray, of_others: dict[str, Any]) -> list[Fitted]:
    """Return every method, fitted: `SINGLE` on one lead, `spatial` on each of `VISIBLE`."""
    found = []
    for names in VISIBLE:
        visible = tuple(map(lead_index, names))
        found.append(Fitted("spatial", visible, _fit_spatial(calibration, visible)))
    for name in SINGLE:
        method, lead = DAY_METHODS[name], lead_index(VISIBLE[0][0])
        predict = partial(_predict_one, method, calibration, lead, of_others)
        found.append(Fitted(name, (lead,), predict))
    return found


def _predict_one(
    method: DayMethod,
    calibration: np.ndarray,
    lead: int,
    of_others: dict[str, Any],
    signals: np.ndarray,
) -> np.ndarray:
    """Return all leads from one; a day's model is fitted and asked at once."""
    test = np.zeros((len(LEADS), signals.shape[-1]))
    test[lead] = signals[0]
    taught = {name: of_others[name] for name in method.learns}
    return predict_checked(method, [calibration], test, [lead], **taught)[0]


def _st_cases(
    fitted: Sequence[Fitted], heart: str, calibration: np.ndarray, test: np.ndarray
) -> list[tuple]:
    """Return by how much the ST segment of each hidden lead moved since, and what was told.

    The level 60 ms after the end of the QRS complex against that before it, of average beats; the
    complex is where all leads of the test say.
    """
    peaks = find_peaks(test, DAY_RATE_HZ)
    old, new = beat_at(calibration, find_peaks(calibration, DAY_RATE_HZ)), beat_at(test, peaks)
    if old is None or new is None:
        return []
    then, now = _st_level(old, new), _st_level(new, new)
    rows = []
    for one in fitted:
        guess = beat_at(one.told(test), peaks)
        rows += one.rows("ST segment", heart, now - then, _st_level(guess, new) - then)
    return rows


def _st_level(beat: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Return the ST level `(lead,)` of a beat, its QRS complex found in the beat `seen`."""
    complex_ = np.flatnonzero(wave_masks(seen, DAY_RATE_HZ, BEFORE_R)["QRS"])
    place, onset = complex_[-1] + round(0.06 * DAY_RATE_HZ), complex_[0]
    level = beat[:, max(onset - 4, 0) : onset + 1].mean(axis=1)
    return beat[:, place - 2 : place + 3].mean(axis=1) - level


def _unlike_cases(
    fitted: Sequence[Fitted], heart: str, calibration: np.ndarray, test: np.ndarray
) -> list[tuple]:
    """Return by how much each beat of each hidden lead leaves the average beat, and what was told.

    At the sample where it leaves it most, from 100 ms before to 150 ms after the R peak.
    """
    peaks = find_peaks(test, DAY_RATE_HZ)
    average = beat_at(calibration, find_peaks(calibration, DAY_RATE_HZ))
    beats = align_beats(test, peaks, before=BEFORE_R, after=average.shape[-1] - BEFORE_R)
    true = (beats - average)[..., _QRS]
    place = np.abs(true).argmax(axis=-1)[..., None]
    rows = []
    for one in fitted:
        guess = align_beats(
            one.told(test), peaks, before=BEFORE_R, after=average.shape[-1] - BEFORE_R
        )
        told = (guess - average)[..., _QRS]
        pairs = (np.take_along_axis(each, place, -1)[..., 0] for each in (true, told))
        for of_beat, told_of_beat in zip(*pairs, strict=True):
            rows += one.rows("unlike beats", heart, of_beat, told_of_beat)
    return rows


def _split_at_unlike(signals: np.ndarray, calibration_s: float = 10.0) -> tuple | None:
    """Return a calibration without any beat unlike the average, and the rest, which has three.

    None if there is no such stretch in `signals (lead, time)`, mV, at 250 Hz.
    """
    peaks = find_peaks(signals, DAY_RATE_HZ)
    beats = align_beats(signals, peaks, before=BEFORE_R, after=BEFORE_R)
    if len(beats) < 10:
        return None
    inside = peaks[(peaks >= BEFORE_R) & (peaks + BEFORE_R <= signals.shape[-1])]
    median = np.median(beats, axis=0)
    eight = np.stack([independent_signals(beat) for beat in beats - median])[..., _QRS]
    power = np.square(independent_signals(median)[:, _QRS]).sum()
    unlike = inside[np.square(eight).sum(axis=(1, 2)) > _UNLIKE * power]
    length = round(calibration_s * DAY_RATE_HZ)
    edges = np.concatenate([[0], unlike + BEFORE_R, [signals.shape[-1]]])
    ends = np.concatenate([unlike - BEFORE_R, [signals.shape[-1]]])
    free = [start for start, end in zip(edges[:-1], ends, strict=True) if end - start >= length]
    if len(unlike) < 3 or not free:
        return None
    start = int(free[0])
    rest = max((slice(0, start), slice(start + length, None)), key=lambda s: signals[:, s].size)
    return signals[:, start : start + length], signals[:, rest]


def _alternans_cases(
    fitted: Sequence[Fitted], heart: str, calibration: np.ndarray, test: np.ndarray
) -> list[tuple]:
    """Return how much of planted T-wave alternans each hidden lead shows, and what is told.

    The person's own T wave grows and shrinks by turns, by 40 µV in the lead with the largest. What
    is told without it, where the recording has next to none, counts as false alarm.
    """
    peaks = find_peaks(test, DAY_RATE_HZ)
    average = beat_at(calibration, find_peaks(calibration, DAY_RATE_HZ))
    if average is None or len(peaks) < 6:
        return []
    planted = _alternating(average, peaks, test.shape[-1])
    own, added = _difference_by_turns(test, peaks), _difference_by_turns(planted, peaks)
    rows = []
    for one in fitted:
        before, after = (
            _difference_by_turns(one.told(signals), peaks) for signals in (test, test + planted)
        )
        place = np.abs(added).argmax(axis=-1)[:, None]
        values = [np.take_along_axis(each, place, -1)[:, 0] for each in (added, after - before)]
        rows += one.rows("alternans", heart, *values)
        place = np.abs(before).argmax(axis=-1)[:, None]
        quiet = np.abs(own).max(axis=-1) < THRESHOLDS_UV["alternans"] / 2000
        told = np.where(quiet, np.take_along_axis(before, place, -1)[:, 0], np.nan)
        rows += one.rows("alternans", heart, np.where(quiet, 0.0, np.nan), told)
    return rows


def _alternating(average: np.ndarray, peaks: np.ndarray, n_time: int) -> np.ndarray:
    """Return T waves `(lead, time)` added and taken away by turns, at most `PLANTED_UV` apart."""
    wave = average[:, BEFORE_R + 25 : BEFORE_R + 112] * np.hanning(87)
    wave = wave * PLANTED_UV / 2000 / max(np.abs(wave).max(), 1e-9)
    padded = np.zeros((len(average), n_time + 200))
    for number, peak in enumerate(peaks):
        padded[:, peak + 25 : peak + 112] += (-1) ** number * wave
    return padded[:, :n_time]


def _difference_by_turns(signals: np.ndarray, peaks: np.ndarray) -> np.ndarray:
    """Return the mean T wave of the even beats less that of the odd ones `(lead, time)`."""
    kept = peaks[peaks + 112 <= signals.shape[-1]]
    waves = align_beats(signals, kept, before=0, after=112)[..., 25:]
    return waves[::2].mean(axis=0) - waves[1::2].mean(axis=0)


def _summarise_changes(cases: pd.DataFrame) -> pd.DataFrame:
    """Return sensitivity and false alarms by thing, number of visible leads and method.

    New is what changed by the threshold of `THRESHOLDS_UV` or more; it is shown if at least half
    of it is told, with its sign. A false alarm tells the threshold or more where less than half
    of it changed. Means over hearts with 95 % intervals over hearts; `share_told` is the slope of
    what was told on what was true, of the new ones.
    """
    rows = []
    for key, group in cases.groupby(["thing", "n_visible", "method"], sort=False):
        threshold, size = THRESHOLDS_UV[key[0]], group["true_uv"].abs()
        new, quiet = group[size >= threshold], group[size < threshold / 2]
        shown = new["told_uv"] * np.sign(new["true_uv"]) >= new["true_uv"].abs() / 2
        alarm = quiet["told_uv"].abs() >= threshold
        sensitivity = bootstrap_mean(shown.to_numpy(dtype=float), groups=new["heart"])
        false = bootstrap_mean(alarm.to_numpy(dtype=float), groups=quiet["heart"])
        slope = (new["told_uv"] * new["true_uv"]).sum() / max((new["true_uv"] ** 2).sum(), 1e-9)
        counts = (sensitivity.n, len(new), len(quiet), float(slope))
        of_new = (sensitivity.value, sensitivity.low, sensitivity.high)
        rows.append((*key, *counts, *of_new, false.value, false.low, false.high))
    columns = "thing n_visible method n_heart n_new n_quiet share_told shown shown_low shown_high"
    columns += " false false_low false_high"
    return pd.DataFrame(rows, columns=columns.split())


def _find_twins(
    beats: dict[str, np.ndarray], *, lead: str = "II", hidden: str = "V3", alike_uv: float = 40.0
) -> tuple[str, ...]:
    """Return two hearts whose beats look alike in one lead and differ most in another.

    None at all if no two are that much alike.

    Parameters
    ----------
    beats
        Average beat `(lead, time)` in mV of each heart, R peaks on the same sample.
    lead, hidden
        Where they are alike, and where they are not.
    alike_uv
        Root mean square difference in `lead` that still counts as alike.

    Examples
    --------
    >>> same, other = np.zeros((12, 9)), np.zeros((12, 9))
    >>> other[lead_index("V3")] = 1.0
    >>> _find_twins({"a": same, "b": other, "c": same + 1.0})
    ('a', 'b')
    """
    names = list(beats)
    distances = []
    for name in (lead, hidden):
        each = np.stack([beats[heart][lead_index(name)] for heart in names])
        each = each - each.mean(axis=1, keepdims=True)
        square = np.square(each).sum(axis=1)
        found = square[:, None] + square - 2 * each @ each.T
        distances.append(np.sqrt(np.maximum(found, 0) / each.shape[1]))
    alike = (distances[0] < alike_uv / 1000) & ~np.eye(len(names), dtype=bool)
    if not alike.any():
        return ()
    first, second = np.unravel_index(np.where(alike, distances[1], -1).argmax(), alike.shape)
    return names[first], names[second]


def run_changes(
    folder: Path | str,
    out: Path | str,
    *,
    n_heart: int | None = None,
    jobs: int = 1,
    progress: bool = True,
) -> Outcome:
    """Return the summary of all cases in a mirror; cases, manifest and twins are written to `out`.

    ST segments in the first 30 s of every ordered pair of recordings of a heart; planted
    alternans in the last fifth, and beats unlike the average in the rest, of every recording that
    is long enough. A calibration is 10 s long. A task is one trial.

    Parameters
    ----------
    folder
        A mirror that holds ptbdb, and twadb, LUDB and the challenge of 2021.
    out
        The summary, `.csv`; `_twins.csv` and `_manifest.json` are written beside it.
    n_heart
        At most so many hearts of ptbdb, those with the fewest seconds of recording.
    jobs
        Local processes, one thread each.

    Raises
    ------
    ValueError
        If no heart has several recordings.
    """
    out, sessions = Path(out), find_sessions(folder)
    how = {"jobs": jobs, "progress": progress}
    with finished(plan_hearts(sessions), store_of(out), what="hearts", **how) as learned:
        others = others_of({one.about: learned.read(one, "share") for one in learned.done})
    several = choose_hearts(sessions, n_heart)
    with_beats = several if n_heart else [*sessions, *find_sessions(folder, ("twadb",))]
    pairs = [replace(trial, test_s=_TEST_S) for trial in plan_trials(several, "pairs")]
    trials = pairs + plan_trials(with_beats, "inside")
    if not trials:
        raise ValueError("no heart with several recordings in the folder")
    everybody, code = [one.source for one in sessions], code_digest(__name__)
    tasks = _plan_trials(trials, others, everybody, code)
    tasks += [_plan_beat(heart, sessions, code) for heart in {one.heart for one in sessions}]
    with finished(tasks, store_of(out), what="trials", **how) as results:
        summary = _summarise_changes(results.table("rows"))
        beats = {
            heart: table[list(LEADS)].to_numpy().T
            for heart, table in results.table("beat").groupby("heart")
        }
        sources = [*everybody, *(trial.test.source for trial in trials)]
        facts = results.facts(sources, code=code, n_heart=len(beats))
        write_table(out, summary, digits=4)
        write_table(file_beside(out, "_twins.csv"), _twin_table(beats), digits=4)
        write_manifest(file_beside(out, "_manifest.json"), facts | results.costs())
        return Outcome({"changes": summary}, results.failed)


def _plan_trials(
    trials: Sequence[Trial], others: Others, everybody: Sequence[Source], code: str
) -> list[Task]:
    """Return the task of each trial, whose result depends on all that others teach."""
    taught = {heart: others.without(heart) for heart in {one.test.heart for one in trials}}
    return [
        Task(
            f"{trial.calibrated_on}--{trial.test.name}--changes",
            key_of(code, [*trial.sources, *everybody], what="changes"),
            partial(_trial_cases, trial, taught[trial.test.heart]),
            about=f"changes on {trial.test.name} from {trial.calibrated_on}",
        )
        for trial in trials
    ]


def _twin_table(beats: dict[str, np.ndarray]) -> pd.DataFrame:
    """Return the beats of the two hearts of `_find_twins`: `heart, time_ms` and each lead, mV."""
    time_ms = 1000 * (np.arange(WINDOW.start, WINDOW.stop) - BEFORE_R) / DAY_RATE_HZ
    tables = [pd.DataFrame(columns=["time_ms", *LEADS, "heart"])]
    for heart in _find_twins(beats):
        table = pd.DataFrame(beats[heart].T, columns=list(LEADS))
        table.insert(0, "time_ms", time_ms)
        tables.append(table.assign(heart=heart))
    return pd.concat(tables[1:] or tables, ignore_index=True)


def _trial_cases(trial: Trial, of_others: dict[str, Any]) -> dict[str, pd.DataFrame]:
    (calibration,), test = read_trial(trial)
    heart, rows = trial.test.heart, []
    if trial.test not in trial.calibrations:
        rows += _st_cases(_fit_all(calibration, of_others), heart, calibration, test)
    else:
        rows += _alternans_cases(_fit_all(calibration, of_others), heart, calibration, test)
        whole = read_trial(Trial((trial.test,), trial.test, None), hold_back=False)[1]
        parts = _split_at_unlike(whole)
        if parts:
            rows += _unlike_cases(_fit_all(parts[0], of_others), heart, *parts)
    return {"rows": pd.DataFrame(rows, columns=_COLUMNS)}


def _plan_beat(heart: str, sessions: Sequence[Session], code: str) -> Task:
    first = next(one for one in sessions if one.heart == heart)
    return Task(
        f"beat--{heart}",
        key_of(code, [first.source], what="beat"),
        partial(_beat_table, first),
        kinds=("beat",),
        about=heart,
    )


def _beat_table(session: Session) -> dict[str, pd.DataFrame]:
    """Return the average beat of the first 10 s, a row per sample, none without a whole beat."""
    (signals,), _ = read_trial(Trial((session,), session, 10.0), hold_back=False)
    beat = beat_at(signals, find_peaks(signals, DAY_RATE_HZ))
    empty = np.zeros((0, len(LEADS)))
    table = pd.DataFrame(empty if beat is None else beat[:, WINDOW].T, columns=list(LEADS))
    return {"beat": table.assign(heart=session.heart)}
