"""The second-day study: calibrate on some recordings of a heart, test on another whole one.

Any method enters by `day_methods`. What a method learns from other people never holds the heart
that is tested. A task is one trial with one method; a run that was interrupted goes on.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ecgnb.files import code_digest, file_beside, write_manifest, write_table
from ecgnb.leads import lead_index, other_leads
from ecgnb.reconstruction.expiry import SIGNS, mean_rank, signs_of_change
from ecgnb.reconstruction.prior import clean_record, write_prior
from ecgnb.reconstruction.scores import score_leads
from ecgnb.records.record import Record, RecordError
from ecgnb.records.wfdb_files import read_header
from ecgnb.studies.day_methods import DAY_METHODS, DayMethod, predict_checked
from ecgnb.studies.day_scores import CASE, DaysResult, count_cost, describe_run, summarise_days
from ecgnb.studies.others import (
    DAY_DATABASES,
    Others,
    Session,
    find_sessions,
    others_of,
    plan_hearts,
)
from ecgnb.studies.plan import EXACT, Source, Task, key_of
from ecgnb.studies.runner import Results, finished, store_of

DAY_INPUTS = ("I", "II", "V2")

PLANS = ("pairs", "others", "inside", "curve")

CURVE_S = (2.0, 5.0, 10.0, 20.0, 60.0)

CURVE_DAYS = (2, 3)  # of 10 s each; one day is among the pairs

YARDSTICK = "average_beat"

_HELD_BACK, _LEAST_TEST_S, _GAP_S = 0.2, 4.0, 1.0


@dataclass(frozen=True)
class Trial:
    """Which sessions a model is calibrated on, seconds used of each, and which it is tested on.

    `first_s` is None for whole recordings; without calibrations it is 0.
    """

    calibrations: tuple[Session, ...]
    test: Session
    first_s: float | None

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


def _plan_trials(
    sessions: Sequence[Session], plan: str = "pairs", first_s: float | None = 10.0
) -> list[Trial]:
    """Return the trials of a plan, hearts in order.

    `pairs`: every ordered pair of sessions of one heart. `others`: all other sessions of hearts
    with three or more. `inside`: each session against itself, tested on its last fifth. `curve`:
    nothing at all, pairs with each of `CURVE_S`, and 10 s of every two and three other sessions.

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
            trials += _curve(own)
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


def _read_trial(trial: Trial) -> tuple[list[np.ndarray], np.ndarray]:
    """Return the cleaned calibrations and test `(lead, time)`, each filtered by itself."""
    first_s = trial.first_s
    calibrations = [clean_record(one.source.read(), first_s=first_s) for one in trial.calibrations]
    test = trial.test.source.read()
    start = round((1 - _HELD_BACK) * test.n_time) if trial.test in trial.calibrations else 0
    return calibrations, clean_record(
        Record(test.name, test.signals[:, start:], test.sampling_rate)
    )


def _score_trial(
    trial: Trial, method: DayMethod, of_others: dict[str, Any], inputs: Sequence[str]
) -> dict[str, pd.DataFrame]:
    """Return a row per input and hidden lead: `r`, errors, and what it cost, CPU s."""
    calibrations, test = _read_trial(trial)
    started = time.process_time()
    rows = [lead_index(name) for name in inputs]
    found = predict_checked(method, calibrations, test, rows, **of_others)
    cpu_s = (time.process_time() - started) / len(rows)
    tables = [_score_input(test, guess, name) for name, guess in zip(inputs, found, strict=True)]
    table = pd.concat(tables, ignore_index=True)
    labels = trial.labels | {"method": method.name}
    return {"rows": pd.DataFrame(labels, index=table.index).join(table).assign(cpu_s=cpu_s)}


def _score_input(test: np.ndarray, guess: np.ndarray, name: str) -> pd.DataFrame:
    """Return `r`, RMSE and the size that 90 % of the errors stay below, a row per hidden lead."""
    scores = score_leads(test, guess, name).rename(columns={"lead": "output_lead"})
    scores["rmse_uv"] = 1000 * scores.pop("rmse_mv")
    hidden = [lead_index(one) for one in other_leads(name)]
    errors = np.abs(guess[hidden] - test[hidden])
    scores["error90_uv"] = 1000 * np.quantile(errors, 0.9, axis=-1)
    scores.insert(0, "input_lead", name)
    return scores


def run_days(
    folder: Path | str,
    out: Path | str,
    *,
    methods: Sequence[DayMethod] = tuple(DAY_METHODS.values()),
    plan: str = "pairs",
    first_s: float | None = 10.0,
    inputs: Sequence[str] = DAY_INPUTS,
    hearts: Sequence[str] | None = None,
    jobs: int = 1,
    progress: bool = True,
) -> DaysResult:
    """Return the scores of methods on other recordings of the same hearts, also written to `out`.

    Beside the table a manifest and, as `_rows.csv`, one row for each method. The average beat is
    always scored as well: it costs little and shows whether two runs can be compared.

    Parameters
    ----------
    folder
        A mirror that holds ptbdb, and LUDB and the challenge of 2021 to learn from.
    out
        The table, `.csv` or `.csv.gz`.
    methods
        From `DAY_METHODS` or `load_method`.
    plan
        One of `PLANS`.
    first_s
        Seconds from the start of each calibration that are used; None for the whole. Those of the
        plan `curve` are its own.
    inputs
        Names of the visible leads.
    hearts
        Of whom, as `database/person`; everybody by default.
    jobs
        Local processes, one thread each.

    Raises
    ------
    ValueError
        If nobody can be tested.
    RuntimeError
        If every method failed every time.
    """
    out, how = Path(out), {"jobs": jobs, "progress": progress}
    everybody = find_sessions(folder)
    asked = _readable(everybody, hearts, least=1 if plan == "inside" else 2)
    trials = _plan_trials(asked, plan, first_s)
    if not trials:
        raise ValueError("no heart with recordings that fit the plan in the folder")
    chosen = list(dict.fromkeys([*methods, DAY_METHODS[YARDSTICK]]))
    learned = everybody if any(method.learns for method in chosen) else []
    others = _learn_from(learned, store_of(out), **how)[0] if learned else Others({}, {})
    sources = [one.source for one in everybody] if learned else [one.source for one in asked]
    tasks = _plan_tasks(trials, chosen, others, everybody, inputs)
    with finished(tasks, store_of(out), **how) as results:
        table = _gather(results)
        options = {"plan": plan, "first_s": first_s, "inputs": list(inputs)}
        facts = results.facts(sources, **options, code=code_digest(__name__))
        facts |= describe_run(table, chosen, yardstick=YARDSTICK) | results.costs()
        write_table(out, table, digits=5)
        write_table(file_beside(out, "_rows.csv"), summarise_days(table), digits=5)
        write_manifest(file_beside(out, "_manifest.json"), facts | count_cost(table))
        return DaysResult(table, results.failed)


def _learn_from(
    sessions: Sequence[Session],
    store: Path,
    **how: Any,  # noqa: ANN401
) -> tuple[Others, Results]:
    """Return what the hearts of some sessions add, each kept as a task in `store`."""
    with finished(plan_hearts(sessions), store, what="hearts", **how) as results:
        tables = {task.about: results.read(task, "share") for task in results.done}
        return others_of(tables), results


def run_prior(
    folder: Path | str, out: Path | str, *, jobs: int = 1, progress: bool = True
) -> Path:
    """Return the path of a prior made from all hearts of a mirror, `.npz`, a manifest beside it.

    A task is one heart; an interrupted run goes on where it stopped.

    Raises
    ------
    ValueError
        If no heart has several recordings.
    """
    sessions, out = find_sessions(folder), Path(out)
    if not sessions:
        raise ValueError(f"no recording of {', '.join(DAY_DATABASES)} in the folder")
    others, results = _learn_from(sessions, store_of(out), jobs=jobs, progress=progress)
    facts = results.facts([one.source for one in sessions], code=code_digest(__name__))
    return write_prior(list(others.shares.values()), out, facts | results.costs())


def _readable(
    sessions: Sequence[Session], hearts: Sequence[str] | None, *, least: int
) -> list[Session]:
    """Return the sessions of the hearts asked for with enough recordings that can be read."""
    wanted = [one for one in sessions if hearts is None or one.heart in hearts]
    counts = pd.Series([one.heart for one in wanted]).value_counts()
    return [one for one in wanted if counts[one.heart] >= least and _can_be_read(one)]


def _can_be_read(session: Session) -> bool:
    try:
        session.source.read()
    except RecordError:
        return False
    return True


def _plan_tasks(
    trials: Sequence[Trial],
    methods: Sequence[DayMethod],
    others: Others,
    everybody: Sequence[Session],
    inputs: Sequence[str],
) -> list[Task]:
    """Return a task per trial and method that can do with its seconds, and one for its signs."""
    code, tasks = code_digest(__name__), []
    for heart in dict.fromkeys(trial.test.heart for trial in trials):
        own = [trial for trial in trials if trial.test.heart == heart]
        taught = others.without(heart) if any(method.learns for method in methods) else {}
        rest = [one.source for one in everybody if one.heart != heart]
        for trial in own:
            options = {"first_s": trial.first_s, "inputs": list(inputs)}
            tasks += [
                Task(
                    f"{trial.calibrated_on}--{trial.test.name}--{method.name}",
                    key_of(
                        code,
                        [*trial.sources, *(rest if method.learns else [])],
                        method=[method.name, method.code],
                        n_day=len(trial.calibrations),
                        **options,
                    ),
                    partial(
                        _score_trial,
                        trial,
                        method,
                        {name: taught[name] for name in method.learns},
                        tuple(inputs),
                    ),
                    about=f"{method.name} on {trial.test.name} from {trial.calibrated_on}",
                )
                for method in methods
                if trial.first_s is None or method.least_s <= trial.first_s
            ]
            tasks += [_plan_signs(trial, inputs, code)] if trial.calibrations else []
    return tasks


def _plan_signs(trial: Trial, inputs: Sequence[str], code: str) -> Task:
    return Task(
        f"{trial.calibrated_on}--{trial.test.name}--signs",
        key_of(code, trial.sources, first_s=trial.first_s, inputs=list(inputs), what="signs"),
        partial(_signs, trial, tuple(inputs)),
        kinds=("signs",),
        about=f"signs of change on {trial.test.name} from {trial.calibrated_on}",
        digits=EXACT,
    )


def _signs(trial: Trial, inputs: Sequence[str]) -> dict[str, pd.DataFrame]:
    """Return the signs of change of each visible lead; of several calibrations the nearest's."""
    calibrations, test = _read_trial(trial)
    rows = []
    for name in inputs:
        row = lead_index(name)
        each = [signs_of_change(one[row], test[row]).as_array() for one in calibrations]
        rows.append((name, *np.min(each, axis=0)))
    table = pd.DataFrame(rows, columns=["input_lead", *SIGNS])
    return {"signs": pd.DataFrame(trial.labels, index=table.index).join(table)}


def _gather(results: Results) -> pd.DataFrame:
    """Return the scores of all tasks, with the signs of change and `expired`.

    `expired` is the mean rank of the signs among those of all other hearts with as much to go by,
    NaN for a heart that has no others beside it.
    """
    scores, signs = results.table("rows"), results.table("signs")
    if not len(signs):
        return scores.assign(expired=np.nan)
    values, hearts = signs[list(SIGNS)].to_numpy(dtype=float), signs["heart"].to_numpy()
    ranks = np.full(len(signs), np.nan)
    alike = signs.groupby(["n_day", "calibration_s"]).ngroup().to_numpy()
    for heart in np.unique(hearts):
        for group in np.unique(alike[hearts == heart]):
            own, rest = (alike == group) & (hearts == heart), (alike == group) & (hearts != heart)
            if rest.any():
                ranks[own] = mean_rank(values[own], values[rest])
    signs["expired"] = ranks
    keys = [*CASE, "calibration_s"]
    return scores.merge(signs[[*keys, *SIGNS, "expired"]], on=keys, how="left")
