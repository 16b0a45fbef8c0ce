"""The second-day study: calibrate on one recording of a person, test on another whole one.

Any method enters by `day_methods`. What a method learns from other people never holds the heart
that is tested.
"""

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache, partial
from itertools import permutations
from pathlib import Path

import numpy as np
import pandas as pd

from ecgnb.files import write_table
from ecgnb.leads import lead_index
from ecgnb.progress import follow
from ecgnb.reconstruction.expiry import SIGNS, auroc, mean_rank, signs_of_change
from ecgnb.reconstruction.prior import (
    HeartShare,
    clean_record,
    combine,
    find_people,
    read_heart_shares,
)
from ecgnb.reconstruction.scores import score_leads
from ecgnb.records.record import Record, RecordError
from ecgnb.records.wfdb_files import read_record
from ecgnb.studies.day_methods import (
    DAY_METHODS,
    NEEDS_PRIOR,
    DayFit,
    MethodError,
    predict_checked,
)

DAY_INPUTS = ("I", "II", "V2")

PLANS = ("pairs", "others", "inside")

_HELD_BACK = 0.2

_GAP_S = 1.0

OFF_UV = 100.0

_CASE = ["heart", "calibration", "test", "input_lead"]

_DATE = re.compile(r"ecg date:\s*(\d{1,2})/(\d{1,2})/(\d{4})", re.IGNORECASE)


@dataclass(frozen=True)
class Session:
    """One recording of a heart; `day` is None where the header does not say."""

    heart: str
    name: str
    path: Path
    day: date | None


@dataclass(frozen=True)
class Trial:
    """Which sessions a model is calibrated on, and which one it is tested on."""

    calibrations: tuple[Session, ...]
    test: Session

    @property
    def calibrated_on(self) -> str:
        """Names of the calibrations, joined by +."""
        return "+".join(one.name for one in self.calibrations)

    @property
    def days_apart(self) -> float:
        """Days between the test and the nearest calibration, NaN where not known."""
        days = [one.day for one in self.calibrations]
        if self.test.day is None or None in days:
            return float("nan")
        return float(min(abs((self.test.day - day).days) for day in days))


def _find_sessions(
    folder: Path | str, *, least: int = 2, hearts: Sequence[str] | None = None
) -> list[Session]:
    """Return the sessions of the hearts with at least `least` recordings in a mirror.

    Recordings that cannot be read are left out.
    """
    sessions = []
    for heart, paths in find_people(folder).items():
        if len(paths) < least or (hearts is not None and heart not in hearts):
            continue
        for path in paths:
            record = _read(path)
            if record is not None:
                sessions.append(Session(heart, record.name, path, _day_of(record.comments)))
    return sessions


@cache
def _read(path: Path) -> Record | None:
    try:
        return read_record(path)
    except RecordError:
        return None


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


def _plan_trials(sessions: Sequence[Session], plan: str = "pairs") -> list[Trial]:
    """Return the trials of a plan, hearts in order.

    `pairs`: every ordered pair of sessions of one heart. `others`: all other sessions of hearts
    with three or more. `inside`: each session against itself, tested on its last fifth.
    """
    if plan not in PLANS:
        raise ValueError(f"no plan {plan!r}; choose from {', '.join(PLANS)}")
    if plan == "inside":
        return [Trial((one,), one) for one in sessions]
    trials = []
    for heart in dict.fromkeys(one.heart for one in sessions):
        own = [one for one in sessions if one.heart == heart]
        if plan == "pairs":
            trials += [Trial((old,), new) for old, new in permutations(own, 2)]
        elif len(own) > 2:
            trials += [Trial(tuple(o for o in own if o is not new), new) for new in own]
    return trials


def _signals(trial: Trial, first_s: float | None) -> tuple[list[np.ndarray], np.ndarray]:
    """Return the cleaned calibrations and test `(lead, time)`, each filtered by itself."""
    records = [_read(one.path) for one in trial.calibrations]
    calibrations = [clean_record(record, first_s=first_s) for record in records]
    test = _read(trial.test.path)
    start = 0
    if trial.test in trial.calibrations:
        start = round((1 - _HELD_BACK) * test.n_time)
        if first_s is None or start < (first_s + _GAP_S) * test.sampling_rate:
            raise ValueError(f"{test.name} is too short to hold back its last fifth")
    signals = test.signals[:, start:]
    return calibrations, clean_record(Record(test.name, signals, test.sampling_rate))


def _score_trial(
    trial: Trial, method: str, fit: DayFit, *, inputs: Sequence[str], first_s: float | None
) -> pd.DataFrame:
    """Return a row per input and hidden lead: `r`, `rmse_uv`, and what it cost, CPU s."""
    calibrations, test = _signals(trial, first_s)
    rows, started = [lead_index(name) for name in inputs], time.process_time()
    found = predict_checked(method, fit, calibrations, test, rows)
    cpu_s = (time.process_time() - started) / len(rows)
    tables = []
    for name, guess in zip(inputs, found, strict=True):
        scores = score_leads(test, guess, name).rename(columns={"lead": "output_lead"})
        scores["rmse_uv"] = 1000 * scores.pop("rmse_mv")
        scores.insert(0, "input_lead", name)
        tables.append(scores)
    table = pd.concat(tables, ignore_index=True).assign(cpu_s=cpu_s)
    labels = {"method": method, "days_apart": trial.days_apart, "test": trial.test.name}
    labels["calibration"] = trial.calibrated_on
    labels["heart"] = trial.test.heart
    for column, value in labels.items():
        table.insert(0, column, value)
    return table


@dataclass(frozen=True)
class DaysResult:
    """The table of scores, and a line for each time a method broke the protocol."""

    table: pd.DataFrame
    failed: tuple[str, ...]

    def by_method(self) -> pd.DataFrame:
        """Return mean r over hearts by method and input lead (columns), each heart once."""
        keys = ["method", "heart", "input_lead"]
        hearts = self.table.groupby(keys)["r"].mean().reset_index()
        found = hearts.groupby(["method", "input_lead"])["r"].mean().unstack()
        return found.assign(mean=found.mean(axis=1))

    def expiry(self, method: str) -> float:
        """Return how well `expired` tells the inputs of which a hidden lead is off by 0.1 mV.

        As AUROC over trials and inputs, NaN if all are or none is.
        """
        own = self.table[self.table["method"] == method]
        cases = own.groupby(_CASE).agg(expired=("expired", "first"), rmse_uv=("rmse_uv", "max"))
        return auroc(cases["expired"].to_numpy(), cases["rmse_uv"].to_numpy() > OFF_UV)

    def by_heart(self) -> pd.DataFrame:
        """Return mean r by heart and method (columns)."""
        return self.table.groupby(["heart", "method"])["r"].mean().unstack()


def run_days(
    folder: Path | str,
    out: Path | str,
    *,
    methods: Mapping[str, DayFit] | None = None,
    plan: str = "pairs",
    first_s: float | None = 10.0,
    inputs: Sequence[str] = DAY_INPUTS,
    hearts: Sequence[str] | None = None,
) -> DaysResult:
    """Return the scores of methods on other recordings of the same hearts, also written to `out`.

    Parameters
    ----------
    folder
        A mirror that holds ptbdb, and LUDB and the challenge of 2021 for the prior.
    out
        The table, `.csv` or `.csv.gz`.
    methods
        Name and fit of each; all of `DAY_METHODS` by default.
    plan
        One of `PLANS`.
    first_s
        Seconds from the start of each calibration that are used; None for the whole.
    inputs
        Names of the visible leads.
    hearts
        Of whom, as `database/person`; everybody by default.

    Raises
    ------
    ValueError
        If nobody can be tested or every method failed every time.
    """
    methods = dict(methods or DAY_METHODS)
    sessions = _find_sessions(folder, least=1 if plan == "inside" else 2, hearts=hearts)
    trials = _plan_trials(sessions, plan)
    if plan == "inside":
        trials = [one for one in trials if _long_enough(one.test, first_s)]
    shares = list(read_heart_shares(folder)) if set(methods) & set(NEEDS_PRIOR) else []
    tables, failed = [], []
    for trial in follow(trials, len(trials), "trials"):
        for name, method in methods.items():
            fit = _without(name, method, shares, trial.test.heart)
            try:
                tables.append(_score_trial(trial, name, fit, inputs=inputs, first_s=first_s))
            except MethodError as error:
                failed.append(f"{error} (tested on {trial.test.name})")
    if not tables:
        raise ValueError("; ".join(failed) or "no heart with several recordings in the folder")
    table = pd.concat(tables, ignore_index=True)
    changes = _describe_changes(trials, inputs=inputs, first_s=first_s)
    table = table.merge(changes, on=_CASE, how="left", validate="many_to_one")
    write_table(Path(out), table, digits=5)
    return DaysResult(table, tuple(failed))


def _long_enough(session: Session, first_s: float | None) -> bool:
    """Return whether the last fifth lies behind the calibration and a gap, and lasts 4 s."""
    held_back_s = _HELD_BACK * _read(session.path).duration_s
    return first_s is not None and held_back_s >= 4 and 4 * held_back_s > first_s + _GAP_S


def _without(name: str, fit: DayFit, shares: Sequence[HeartShare], heart: str) -> DayFit:
    return partial(fit, prior=combine(shares, without=heart)) if name in NEEDS_PRIOR else fit


def _describe_changes(
    trials: Sequence[Trial], *, inputs: Sequence[str] = DAY_INPUTS, first_s: float | None = 10.0
) -> pd.DataFrame:
    """Return the signs of change of the visible lead, a row per trial and input lead.

    Of several calibrations the one that each sign finds nearest. `expired` is the mean rank of the
    signs among those of all other hearts, NaN for a heart that has no others beside it.
    """
    rows = list(_changes(trials, inputs, first_s))
    table = pd.DataFrame(rows, columns=[*_CASE, *SIGNS])
    signs, hearts = table[list(SIGNS)].to_numpy(), table["heart"].to_numpy()
    scores = np.full(len(table), np.nan)
    for heart in np.unique(hearts):
        own = hearts == heart
        if not own.all():
            scores[own] = mean_rank(signs[own], signs[~own])
    return table.assign(expired=scores)


def _changes(
    trials: Sequence[Trial], inputs: Sequence[str], first_s: float | None
) -> Iterator[tuple]:
    for trial in follow(trials, len(trials), "trials"):
        calibrations, test = _signals(trial, first_s)
        for name in inputs:
            row = lead_index(name)
            each = [signs_of_change(one[row], test[row]).as_array() for one in calibrations]
            case = (trial.test.heart, trial.calibrated_on, trial.test.name, name)
            yield (*case, *np.min(each, axis=0))
