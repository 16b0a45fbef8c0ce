"""A watch records one lead after the other: what a calibration made that way is worth.

Three to six leads are taken from different stretches of one recording, 10 s each, as if the watch
had been moved. Their average beats are put over each other, other people's fit fills in the leads
that were never recorded, and the beat is pasted at the R peaks of a visible lead of another
stretch (`same`) or of another recording of the heart (`days`). The same leads recorded at once,
and all twelve at once, stand beside.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import permutations
from pathlib import Path

import numpy as np
import pandas as pd

from ecgnb.files import code_digest
from ecgnb.intervals import bootstrap_mean, correlation
from ecgnb.leads import INDEPENDENT_LEADS, LEADS, lead_index
from ecgnb.reconstruction.average_beat import AFTER_S, BEFORE_S, paste_beats
from ecgnb.reconstruction.lead_sets import (
    SET_RATE_HZ,
    SetModel,
    find_set,
    fit_set,
    lagged_leads,
    lead_moments,
)
from ecgnb.reconstruction.prior import FIRST_S, clean_record
from ecgnb.records.databases import find_records
from ecgnb.records.record import RecordError
from ecgnb.signals.beats import align_beats, average_beat, find_peaks
from ecgnb.signals.filters import clean
from ecgnb.studies.day_trials import sources_by_heart
from ecgnb.studies.plan import Source, Task, key_of, sources_of
from ecgnb.studies.runner import Outcome, write_study

WATCH_SETS = {
    3: ("I", "II", "V2"),
    4: ("I", "II", "V2", "V5"),
    5: ("I", "II", "V2", "V4", "V6"),
    6: ("I", "II", "V1", "V2", "V4", "V6"),
}

WATCH_INPUTS = ("I", "II", "V2")

WATCH_ARMS = {
    "in turn": "one lead after the other",
    "at once": "the same leads at once",
    "twelve": "all twelve at once",
}

_BEFORE, _AFTER = round(BEFORE_S * SET_RATE_HZ), round(AFTER_S * SET_RATE_HZ)

_NEAR, _HALF = 8, 10  # samples at 125 Hz: 64 and 80 ms

_HELD_BACK, _SHORTEST_S, _TEST_S, _PENALTY = 0.2, 30.0, 20.0, 1e-3


def run_watch_leads(
    folder: Path | str, out: Path | str, *, jobs: int = 1, progress: bool = True
) -> Outcome:
    """Return a row per recording, number of leads, arm and input, also written to `out`.

    It resumes.

    Parameters
    ----------
    folder
        A mirror with twadb (`same`), and ptbdb, LUDB and the challenge of 2021.
    out
        The table, `.csv` or `.csv.gz`.
    """
    tasks, sources = _plan(folder, jobs)
    how = {"jobs": jobs, "what": "hearts", "progress": progress}
    return write_study(tasks, out, sources, digits=5, facts={"code": code_digest(__name__)}, **how)


def _plan(folder: Path | str, jobs: int) -> tuple[list[Task], list[Source]]:
    people = sources_by_heart(folder)
    first = {heart: own[0] for heart, own in people.items()}
    several = {heart: own for heart, own in people.items() if len(own) > 1}
    twadb = sources_of(find_records(folder, "twadb"), "twadb")
    sources = [*(source for own in people.values() for source in own), *twadb]
    code = code_digest(__name__)
    needs = [partial(_read_moments, first) for _ in range(jobs)]
    work = [(f"same {one.path.stem}", partial(_score_same, one)) for one in twadb]
    work += [(f"days {heart}", partial(_score_days, heart, own)) for heart, own in several.items()]
    tasks = [
        Task(name, key_of(code, sources, task=name), one, needs=needs[n % jobs], digits=5)
        for n, (name, one) in enumerate(work)
    ]
    return tasks, sources


def _clean(source: Source, *, first_s: float | None = None) -> np.ndarray:
    """Return a recording `(lead, time)` in mV, filtered 0.5-40 Hz, at 125 Hz."""
    return clean_record(source.read(), first_s=first_s)[:, ::2]


@dataclass(frozen=True)
class Filler:
    """Other people's sums, from which the leads that were never recorded are filled in."""

    moments: np.ndarray
    models: dict[tuple[str, ...], SetModel] = field(default_factory=dict)

    def fill(self, signals: np.ndarray, leads: Sequence[str]) -> np.ndarray:
        """Return all leads `(lead, time)`, of which some are given in their rows."""
        known = tuple(leads)
        if known not in self.models:
            self.models[known] = fit_set(find_set(known), self.moments, penalties=(_PENALTY,))
        return self.models[known].predict(lagged_leads(signals))

    def align(self, beats: dict[str, np.ndarray]) -> np.ndarray:
        """Return all leads of a beat `(lead, time)` from single leads `(time,)` put in place.

        Leads recorded at different times share no clock, and each shows its R peak at another
        moment. The middles of their QRS complexes are put over each other: on 45 people of LUDB
        and the challenge that is right within 3.5 ms in the mean, R peaks within 10.4 ms.
        """
        names, signals = list(beats), np.zeros((len(LEADS), len(next(iter(beats.values())))))
        first = _middle_of_qrs(beats[names[0]])
        for name, beat in beats.items():
            move = round(first - _middle_of_qrs(beat))
            signals[lead_index(name)] = np.roll(beat, move)
        return self.fill(signals, names)


def _middle_of_qrs(beat: np.ndarray) -> float:
    """Return the centre of the squared slope around where it is steepest near the R peak."""
    power = np.square(np.gradient(beat))
    near = np.convolve(power, np.ones(9), mode="same")[_BEFORE - _NEAR : _BEFORE + _NEAR + 1]
    places = _BEFORE - _NEAR + int(near.argmax()) + np.arange(-_HALF, _HALF + 1)
    return float(power[places] @ places / max(power[places].sum(), 1e-12))


@dataclass(frozen=True)
class _Others:
    """The moments of the first 10 s of each heart, of one size."""

    moments: dict[str, np.ndarray]
    fillers: dict[str, Filler] = field(default_factory=dict)

    def without(self, heart: str) -> Filler:
        """Return what all hearts but one tell; the same for all that are not among them."""
        heart = heart if heart in self.moments else ""
        if heart not in self.fillers:
            total = sum(own for one, own in self.moments.items() if one != heart)
            self.fillers[heart] = Filler(total)
        return self.fillers[heart]


def _read_moments(first: dict[str, Source]) -> _Others:
    """Return what the readable recordings of some hearts tell."""
    found = {}
    for heart, source in first.items():
        try:
            moments = lead_moments(_clean(source, first_s=FIRST_S))
        except RecordError:
            continue
        found[heart] = moments * len(moments) / max(np.trace(moments), 1e-9)
    return _Others(found)


def _lead_in_turn(signals: np.ndarray, leads: Sequence[str]) -> dict[str, np.ndarray]:
    """Return the average beat `(time,)` of each lead, each from its own stretch of a recording.

    Raises
    ------
    ValueError
        If a stretch shows no whole beat.
    """
    length = signals.shape[-1] // len(leads)
    used = min(length, round(FIRST_S * SET_RATE_HZ))
    starts = [number * length for number in range(len(leads))]
    return {
        lead: _beat_of(signals[lead_index(lead) : lead_index(lead) + 1, start : start + used])[0]
        for lead, start in zip(leads, starts, strict=True)
    }


def _beat_of(signals: np.ndarray) -> np.ndarray:
    """Return the average beat `(lead, time)` of a stretch, aligned at the peaks of its leads."""
    peaks = find_peaks(signals, SET_RATE_HZ)
    beats = align_beats(signals, peaks, before=_BEFORE, after=_AFTER)
    if not len(beats):
        raise ValueError("no whole heartbeat in a stretch of the calibration")
    return average_beat(beats)


def _calibrate(signals: np.ndarray, filler: Filler) -> Iterator[tuple[int, str, np.ndarray]]:
    """Yield number of leads, arm and beat `(lead, time)` of every way to calibrate."""
    start = signals[:, : round(FIRST_S * SET_RATE_HZ)]
    for number, leads in WATCH_SETS.items():
        rows = [lead_index(lead) for lead in leads]
        together = np.zeros((len(LEADS), _BEFORE + _AFTER))
        together[rows] = _beat_of(start[rows])
        yield number, "in turn", filler.align(_lead_in_turn(signals, leads))
        yield number, "at once", filler.fill(together, leads)
        yield number, "twelve", _beat_of(start)


def _score(
    signals: np.ndarray, test: np.ndarray, filler: Filler, labels: dict[str, object]
) -> list[dict[str, object]]:
    """Return the scores of every calibration on a test stretch, both `(lead, time)`."""
    rows = []
    peaks = {name: find_peaks(test[lead_index(name)], SET_RATE_HZ) for name in WATCH_INPUTS}
    for number, arm, beat in _calibrate(signals, filler):
        for name, own in peaks.items():
            pasted = paste_beats(_centred(beat, name), own, test.shape[-1], before=_BEFORE)
            rest = np.zeros_like(test)
            rest[lead_index(name)] = test[lead_index(name)] - pasted[lead_index(name)]
            guess = pasted + filler.fill(rest, [name])
            row = labels | {"n_lead": number, "arm": arm, "input_lead": name}
            rows.append(row | _score_one(test, guess, name, WATCH_SETS[number]))
    return rows


def _centred(beat: np.ndarray, name: str) -> np.ndarray:
    """Return a beat moved so that the R peak that one lead alone would show is in its place."""
    lead = beat[lead_index(name)]
    peaks = find_peaks(np.tile(lead, 8), SET_RATE_HZ)
    near = peaks - np.arange(8)[:, None] * lead.size - _BEFORE if len(peaks) else np.zeros((1, 1))
    moves = near[np.abs(near) <= 8]
    return np.roll(beat, -round(np.median(moves)) if moves.size else 0, axis=-1)


def _score_one(
    truth: np.ndarray, guess: np.ndarray, name: str, recorded: Sequence[str]
) -> dict[str, float]:
    """Return r over hidden independent leads: all, those once recorded, those never; and RMSE."""
    hidden = [lead for lead in INDEPENDENT_LEADS if lead != name]
    rows = [lead_index(lead) for lead in hidden]
    r = correlation(truth[rows], guess[rows])
    known = np.array([lead in recorded for lead in hidden])
    rmse_uv = 1000 * np.sqrt(np.square(truth[rows] - guess[rows]).mean())
    return {
        "r": float(np.nanmean(r)),
        "r_recorded": float(np.nanmean(r[known])),
        "r_filled": float(np.nanmean(r[~known])),
        "rmse_uv": float(rmse_uv),
    }


def _score_same(source: Source, others: _Others) -> dict[str, pd.DataFrame]:
    """Return the scores of a recording of twadb, calibrated before its last fifth."""
    record = source.read()
    heart = record.heart
    filler = others.without(f"ptbdb/{heart}")
    cut, second = round(0.8 * record.n_time), round(record.sampling_rate)
    parts = [slice(0, cut - second), slice(cut, None)]
    old, new = (_clean_part(record.signals[:, part], record.sampling_rate) for part in parts)
    labels = {"plan": "same", "heart": heart, "record": record.name}
    return {"rows": pd.DataFrame(_score(old, new, filler, labels))}


def _clean_part(signals: np.ndarray, sampling_rate: float) -> np.ndarray:
    return clean(signals, sampling_rate, to_rate=SET_RATE_HZ)


def _score_days(heart: str, sources: Sequence[Source], others: _Others) -> dict[str, pd.DataFrame]:
    """Return the scores from each recording of 30 s or more to the others of the heart."""
    filler = others.without(heart)
    signals, rows = {one.path.stem: _clean(one) for one in sources}, []
    for old, new in permutations(signals, 2):
        if signals[old].shape[-1] < _SHORTEST_S * SET_RATE_HZ:
            continue
        test = signals[new][:, : round(_TEST_S * SET_RATE_HZ)]
        labels = {"plan": "days", "heart": heart, "record": f"{old}+{new}"}
        rows += _score(signals[old], test, filler, labels)
    columns = ["plan", "heart", "record", "n_lead", "arm", "input_lead", "r"]
    return {"rows": pd.DataFrame(rows, columns=None if rows else columns)}


def summarise_watch_leads(table: pd.DataFrame) -> pd.DataFrame:
    """Return r of every way to calibrate, and what is lost against the same leads at once.

    A row per plan, number of leads and arm: `n_heart`, `r`, `r_recorded`, `r_filled` and `lost`
    (r of the arm less that of the same leads at once, paired), each mean over hearts with its 95 %
    interval over hearts as `_low`, `_high`.

    Parameters
    ----------
    table
        From `run_watch_leads`.
    """
    keys = ["plan", "n_lead", "arm", "heart"]
    scores = ["r", "r_recorded", "r_filled"]
    hearts = table.groupby(keys)[scores].mean().reset_index()
    once = hearts[hearts["arm"] == "at once"].set_index(["plan", "n_lead", "heart"])["r"]
    place = pd.MultiIndex.from_frame(hearts[["plan", "n_lead", "heart"]])
    hearts["lost"] = hearts["r"] - once.reindex(place).to_numpy()
    rows = []
    for (plan, number, arm), own in hearts.groupby(["plan", "n_lead", "arm"], sort=False):
        row = {"plan": plan, "n_lead": number, "arm": arm, "n_heart": len(own)}
        for score in (*scores, "lost"):
            found = bootstrap_mean(own[score].to_numpy())
            row |= {score: found.value, f"{score}_low": found.low, f"{score}_high": found.high}
        rows.append(row)
    return pd.DataFrame(rows)
