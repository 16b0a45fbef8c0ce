"""Who is calibrated and tested on which recordings, and what other hearts teach a method.

Never the heart that is tested: what each one adds is a task of its own, so that leaving a heart
out costs a sum.
"""

import base64
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import partial, reduce
from itertools import combinations
from operator import add
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ecgnb.files import code_digest
from ecgnb.leads import LEADS
from ecgnb.reconstruction.linear import LagModel, Moments, lag_moments, solve_ridge
from ecgnb.reconstruction.prior import (
    DAY_RATE_HZ,
    FIRST_S,
    HeartShare,
    clean_record,
    combine,
    share_of_heart,
)
from ecgnb.records.databases import DAY_DATABASES, find_people
from ecgnb.records.record import Record, RecordError
from ecgnb.records.wfdb_files import read_header
from ecgnb.studies.plan import Source, Task, key_of, sources_of

_DATE = re.compile(r"ecg date:\s*(\d{1,2})/(\d{1,2})/(\d{4})", re.IGNORECASE)

PLANS = ("pairs", "others", "inside", "curve")

CURVE_S = (2.0, 5.0, 10.0, 20.0, 60.0)

CURVE_DAYS = (2, 3)  # of 10 s each; one day is among the pairs

CURVE_TEST_S = 30.0

_HELD_BACK, _LEAST_TEST_S, _GAP_S = 0.2, 4.0, 1.0

_REACH_S, _PENALTY = 0.1, 1e-2  # of the filter that needs no calibration

_FIELDS = ("beat", "within", "between", "moves")


@dataclass(frozen=True)
class Session:
    """One recording of a heart; `day` is None where the header does not say."""

    heart: str
    source: Source
    day: date | None

    @property
    def name(self) -> str:
        """As it stands in tables."""
        return self.source.name


def find_sessions(folder: Path | str, databases: Sequence[str] = DAY_DATABASES) -> list[Session]:
    """Return the recordings of `databases.find_people`, hearts in order."""
    return [
        Session(heart, source, _day_of(read_header(source.path).comments))
        for database in databases
        for heart, paths in find_people(folder, (database,)).items()
        for source in sources_of(paths, database)
    ]


def choose_hearts(
    sessions: Sequence[Session], n_heart: int | None = None, *, least: int = 2
) -> list[Session]:
    """Return the sessions of the hearts with at least `least`, of some or all of them.

    Of `n_heart` those with the fewest seconds of recording.
    """
    hearts: dict[str, list[Session]] = {}
    for one in sessions:
        hearts.setdefault(one.heart, []).append(one)
    groups = [own for own in hearts.values() if len(own) >= least]
    if n_heart is not None:
        groups = sorted(groups, key=lambda own: sum(map(_duration_s, own)))[:n_heart]
    return [one for own in groups for one in own]


def _day_of(comments: Sequence[str]) -> date | None:
    """Return the day of a recording that ptbdb's comments tell, or None.

    Examples
    --------
    >>> _day_of(["ECG date: 17/10/1990"]), _day_of(["ECG date: n/a"])
    (datetime.date(1990, 10, 17), None)
    """
    for comment in comments:
        found = _DATE.search(comment)
        if found:
            day, month, year = map(int, found.groups())
            return date(year, month, day)
    return None


@dataclass(frozen=True)
class Trial:
    """Which sessions a model is calibrated on, seconds used of each, and which it is tested on.

    `first_s` is None for whole recordings; without calibrations it is 0. `test_s` is how much from
    the start of the test is scored, None for all of it.
    """

    calibrations: tuple[Session, ...]
    test: Session
    first_s: float | None
    test_s: float | None = None

    @property
    def calibrated_on(self) -> str:
        """Names of the calibrations, joined by +, or a dash."""
        return "+".join(one.name for one in self.calibrations) or "-"

    @property
    def days_apart(self) -> float:
        """Days between the test and the nearest calibration, NaN where not known."""
        days = [one.day for one in self.calibrations]
        if self.test.day is None or None in days or not days:
            return float("nan")
        return float(min(abs((self.test.day - day).days) for day in days))

    @property
    def labels(self) -> dict[str, object]:
        """Columns that tell the trial."""
        return {
            "heart": self.test.heart,
            "calibration": self.calibrated_on,
            "n_day": len(self.calibrations),
            "calibration_s": _seconds_used(self),
            "test": self.test.name,
            "days_apart": self.days_apart,
        }

    @property
    def sources(self) -> list[Source]:
        """The recordings that go in."""
        return [one.source for one in (*self.calibrations, self.test)]


def _duration_s(session: Session) -> float:
    header = read_header(session.source.path)
    return header.n_time / header.sampling_rate


def _seconds_used(trial: Trial) -> float:
    """Return the seconds of the shortest calibration that are used."""
    if not trial.calibrations:
        return 0.0
    longest = min(_duration_s(one) for one in trial.calibrations)
    return round(longest if trial.first_s is None else min(trial.first_s, longest), 1)


def plan_trials(
    sessions: Sequence[Session], plan: str = "pairs", first_s: float | None = 10.0
) -> list[Trial]:
    """Return the trials of a plan, hearts in order.

    `pairs`: every ordered pair of sessions of one heart. `others`: all other sessions of hearts
    with three or more. `inside`: each session against itself, tested on its last fifth. `curve`:
    nothing at all, pairs with each of `CURVE_S`, and 10 s of every two and three other sessions,
    tested on the first 30 s, since there are hundreds of fits.

    Raises
    ------
    ValueError
        For another plan.
    """
    if plan not in PLANS:
        raise ValueError(f"no plan {plan!r}; choose from {', '.join(PLANS)}")
    if plan == "inside":
        return [Trial((one,), one, first_s) for one in sessions if _holds_back(one, first_s)]
    trials = []
    for heart in dict.fromkeys(one.heart for one in sessions):
        own = [one for one in sessions if one.heart == heart]
        if plan == "pairs":
            trials += _subsets(own, 1, first_s)
        elif plan == "others":
            trials += _subsets(own, len(own) - 1, first_s) if len(own) > 2 else []
        else:
            trials += [replace(one, test_s=CURVE_TEST_S) for one in _curve(own)]
    return trials


def _subsets(own: Sequence[Session], n_day: int, first_s: float | None) -> list[Trial]:
    """Return the trials of one heart with every `n_day` of its other sessions."""
    return [
        Trial(days, test, first_s)
        for test in own
        for days in combinations([one for one in own if one is not test], n_day)
    ]


def _curve(own: Sequence[Session]) -> Iterator[Trial]:
    """Yield the trials of one heart for the learning curve, without too short calibrations."""
    yield from (Trial((), test, 0.0) for test in own)
    for first_s in CURVE_S:
        pairs = _subsets(own, 1, first_s)
        yield from (one for one in pairs if _duration_s(one.calibrations[0]) >= first_s - 0.5)
    for n_day in CURVE_DAYS:
        yield from _subsets(own, n_day, 10.0)


def _holds_back(session: Session, first_s: float | None) -> bool:
    """Return whether the last fifth lies behind the calibration and a gap, and lasts 4 s."""
    held_back_s = _HELD_BACK * _duration_s(session)
    behind = first_s is not None and held_back_s / _HELD_BACK - held_back_s > first_s + _GAP_S
    return behind and held_back_s >= _LEAST_TEST_S


def read_trial(trial: Trial, *, hold_back: bool = True) -> tuple[list[np.ndarray], np.ndarray]:
    """Return the cleaned calibrations and test `(lead, time)`, each filtered by itself.

    Of a recording that is also a calibration only the last fifth is tested, unless `hold_back` is
    False.
    """
    first_s = trial.first_s
    calibrations = [clean_record(one.source.read(), first_s=first_s) for one in trial.calibrations]
    test = trial.test.source.read()
    inside = hold_back and trial.test in trial.calibrations
    start = round((1 - _HELD_BACK) * test.n_time) if inside else 0
    stop = None if trial.test_s is None else start + round(trial.test_s * test.sampling_rate)
    return calibrations, clean_record(
        Record(test.name, test.signals[:, start:stop], test.sampling_rate)
    )


@dataclass(frozen=True)
class Others:
    """What each heart adds: to the prior of `another_day`, and to a filter in mV."""

    shares: Mapping[str, HeartShare]
    moments: Mapping[str, tuple[Moments, ...]]

    def without(self, heart: str) -> dict[str, Any]:
        """Return what all other hearts teach, by the name under which a method is given it.

        `prior` is that of `another_day`, None where no other heart has several recordings;
        `population` holds a filter of each input lead to all leads, in mV.
        """
        shares = [share for share in self.shares.values() if share.heart != heart]
        several = any(share.between is not None for share in shares)
        each = [one for name, one in self.moments.items() if name != heart]
        return {
            "prior": combine(shares) if several else None,
            "population": _solve_population(each) if each else None,
        }


def _solve_population(each: Sequence[tuple[Moments, ...]]) -> tuple[LagModel, ...]:
    """Return the filter of each input lead, from the moments of several hearts."""
    return tuple(
        solve_ridge(reduce(add, of_lead), None, (_PENALTY,)) for of_lead in zip(*each, strict=True)
    )


def plan_hearts(sessions: Iterable[Session]) -> list[Task]:
    """Return a task for each heart, which keeps what the heart adds.

    The first 10 s of each recording: what a standard ECG shows.
    """
    hearts: dict[str, list[Session]] = {}
    for session in sessions:
        hearts.setdefault(session.heart, []).append(session)
    code = code_digest(__name__)
    return [
        Task(
            f"heart--{heart}",
            key_of(code, [one.source for one in own], what="share"),
            partial(_share_tables, heart, [one.source for one in own]),
            kinds=("share",),
            about=heart,
        )
        for heart, own in hearts.items()
    ]


def others_of(tables: Mapping[str, pd.DataFrame]) -> Others:
    """Return what hearts add, from the tables of `plan_hearts` by heart."""
    read = {heart: _from_table(heart, table) for heart, table in tables.items()}
    known = {heart: pair for heart, pair in read.items() if pair is not None}
    shares, moments = ({heart: pair[i] for heart, pair in known.items()} for i in range(2))
    return Others(shares, moments)


def _share_tables(heart: str, sources: Sequence[Source]) -> dict[str, pd.DataFrame]:
    """Return what a heart adds as a table; no rows if no recording shows three whole beats."""
    recordings = []
    for source in sources:
        try:
            recordings.append(clean_record(source.read(), first_s=FIRST_S))
        except RecordError:
            continue
    share, reach = share_of_heart(heart, recordings), round(_REACH_S * DAY_RATE_HZ)
    columns = ["name", "shape", "content"]
    if share is None:
        return {"share": pd.DataFrame(columns=columns)}
    rows = [_row(name, getattr(share, name)) for name in _FIELDS]
    for lead, signal in enumerate(recordings[0]):
        parts = lag_moments(signal, recordings[0], reach).parts()
        rows += [_row(f"moments {lead} {number}", part) for number, part in enumerate(parts)]
    return {"share": pd.DataFrame([row for row in rows if row], columns=columns)}


def _row(name: str, array: np.ndarray | float | None) -> tuple[str, str, str] | None:
    """Return an array as text that gives back every bit."""
    if array is None:
        return None
    array = np.asarray(array, dtype="<f8")
    shape = " ".join(map(str, array.shape)) or "-"
    return name, shape, base64.b64encode(array.tobytes()).decode()


def _from_table(heart: str, table: pd.DataFrame) -> tuple[HeartShare, tuple[Moments, ...]] | None:
    """Return what `_share_tables` wrote."""
    if not len(table):
        return None
    arrays = {}
    for name, shape, content in table.fillna("").itertuples(index=False):  # "": an empty array
        flat = np.frombuffer(base64.b64decode(content), dtype="<f8")
        arrays[name] = flat.reshape([int(size) for size in str(shape).split() if size != "-"])
    share = HeartShare(heart, **{name: arrays.get(name) for name in _FIELDS})
    n_part = len(Moments.__dataclass_fields__)
    moments = tuple(
        Moments(*(arrays[f"moments {lead} {number}"] for number in range(n_part)))
        for lead in range(len(LEADS))
    )
    return share, moments


def sources_by_heart(folder: Path | str) -> dict[str, list[Source]]:
    """Return the recordings of each heart in a mirror of PTB, LUDB and the challenge."""
    hearts: dict[str, list[Source]] = {}
    for session in find_sessions(folder):
        hearts.setdefault(session.heart, []).append(session.source)
    return hearts


def learn_hearts(folder: Path | str) -> Others:
    """Return what each heart of a mirror adds, computed at once: half a minute for 250 hearts."""
    tasks = plan_hearts(find_sessions(folder))
    return others_of({task.about: task.work()["share"] for task in tasks})


def without_hearts(others: Others, hearts: Collection[str]) -> dict[str, object]:
    """Return what all hearts but some teach, by the name under which a method is given it."""
    kept = (
        {heart: one for heart, one in each.items() if heart not in hearts}
        for each in (others.shares, others.moments)
    )
    return Others(*kept).without("")
