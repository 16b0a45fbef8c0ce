"""Whose recordings a folder holds, and what other hearts teach a method: never the one tested.

What each heart adds is kept as a task of its own, so that leaving one heart out costs a sum.
"""

import base64
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial, reduce
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
from ecgnb.records.databases import find_records
from ecgnb.records.labels import labels_of
from ecgnb.records.record import RecordError
from ecgnb.records.wfdb_files import read_header
from ecgnb.studies.plan import Source, Task, key_of, sources_of

DAY_DATABASES = ("ptbdb", "ludb", "challenge-2021")

_SAME_HEARTS = ("ptb", "st_petersburg_incart")  # sources of the challenge that hold ptbdb, twadb

_DATE = re.compile(r"ecg date:\s*(\d{1,2})/(\d{1,2})/(\d{4})", re.IGNORECASE)

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


def find_sessions(folder: Path | str) -> list[Session]:
    """Return the recordings of a mirror's ptbdb, LUDB and challenge of 2021, hearts in order.

    A heart is named by its database and what `labels.labels_of` calls it. Recordings whose header
    cannot be read are left out, and the challenge's sources that hold ptbdb and twadb again.
    """
    sessions = []
    for database in DAY_DATABASES:
        for source in sources_of(find_records(folder, database), database):
            try:
                header = read_header(source.path)
            except RecordError:
                continue
            labels = labels_of(header, source.path, database)
            if labels["origin"] not in _SAME_HEARTS:
                heart = f"{database}/{labels['heart'].removeprefix(database)}"
                sessions.append(Session(heart, source, _day_of(header.comments)))
    return sorted(sessions, key=lambda one: (DAY_DATABASES.index(one.source.database), one.heart))


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


def hearts_of(folder: Path | str) -> dict[str, list[Source]]:
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
