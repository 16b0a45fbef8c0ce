"""The second-day study: calibrate on some recordings of a heart, test on another whole one.

Any method enters by `day_methods`. What a method learns from other people never holds the heart
that is tested. A task is one trial with one method; a run that was interrupted goes on.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ecgnb.files import code_digest, file_beside, write_manifest, write_table
from ecgnb.leads import lead_index, other_leads
from ecgnb.reconstruction.expiry import SIGNS, mean_rank, signs_of_change
from ecgnb.reconstruction.prior import write_prior
from ecgnb.reconstruction.scores import score_leads
from ecgnb.records.databases import DAY_DATABASES
from ecgnb.records.record import RecordError
from ecgnb.studies.day_methods import DAY_METHODS, DayMethod, predict_checked
from ecgnb.studies.day_scores import CASE, DaysResult, count_cost, describe_run, summarise_days
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
from ecgnb.studies.plan import EXACT, Source, Task, key_of
from ecgnb.studies.runner import Results, finished, store_of

DAY_INPUTS = ("I", "II", "V2")

YARDSTICK = "average_beat"


def _score_trial(
    trial: Trial, method: DayMethod, of_others: dict[str, Any], inputs: Sequence[str]
) -> dict[str, pd.DataFrame]:
    """Return a row per input and hidden lead: `r`, errors, and what it cost, CPU s."""
    calibrations, test = read_trial(trial)
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
    test_s: float | None = None,
    inputs: Sequence[str] = DAY_INPUTS,
    hearts: Sequence[str] | None = None,
    n_heart: int | None = None,
    jobs: int = 1,
    progress: bool = True,
) -> DaysResult:
    """Return the scores of methods on other recordings of the same hearts, also written to `out`.

    Beside the table a manifest and, but for the curve, one row for each method as `_rows.csv`. The
    average beat is always scored as well: it costs little and shows whether two runs can be
    compared.

    Parameters
    ----------
    folder
        A mirror that holds ptbdb, and LUDB and the challenge of 2021 to learn from.
    out
        The table, `.csv` or `.csv.gz`.
    methods
        From `DAY_METHODS` or `load_method`.
    plan
        One of `PLANS`; that of the curve gives no signs of change.
    first_s
        Seconds from the start of each calibration that are used; None for the whole. Those of the
        plan `curve` are its own.
    test_s
        Seconds from the start of each test that are scored; None for all of it.
    inputs
        Names of the visible leads.
    hearts
        Of whom, as `database/person`; everybody by default.
    n_heart
        At most so many hearts, those with the fewest seconds of recording, which cost least.
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
    least = 1 if plan == "inside" else 2
    asked = choose_hearts(_readable(everybody, hearts), n_heart, least=least)
    trials = plan_trials(asked, plan, first_s)
    if test_s is not None:
        trials = [replace(trial, test_s=test_s) for trial in trials]
    if not trials:
        raise ValueError("no heart with recordings that fit the plan in the folder")
    chosen = list(dict.fromkeys([*methods, DAY_METHODS[YARDSTICK]]))
    learned = everybody if any(method.learns for method in chosen) else []
    others = _learn_from(learned, store_of(out), **how)[0] if learned else Others({}, {})
    sources = [one.source for one in everybody] if learned else [one.source for one in asked]
    tasks = _plan_tasks(trials, chosen, others, everybody, inputs, with_signs=plan != "curve")
    with finished(tasks, store_of(out), **how) as results:
        table = _gather(results)
        options = {"plan": plan, "first_s": first_s, "test_s": test_s, "inputs": list(inputs)}
        facts = results.facts(sources, **options, code=code_digest(__name__))
        facts |= describe_run(table, chosen, yardstick=YARDSTICK) | results.costs()
        write_table(out, table, digits=5)
        if plan != "curve":
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


def _readable(sessions: Sequence[Session], hearts: Sequence[str] | None) -> list[Session]:
    """Return the sessions of the hearts asked for that can be read."""
    wanted = [one for one in sessions if hearts is None or one.heart in hearts]
    counts = pd.Series([one.heart for one in wanted]).value_counts()
    return [one for one in wanted if counts[one.heart] == 1 or _can_be_read(one)]


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
    *,
    with_signs: bool,
) -> list[Task]:
    """Return a task per trial and method that can do with its seconds, and one for its signs."""
    code, tasks = code_digest(__name__), []
    for heart in dict.fromkeys(trial.test.heart for trial in trials):
        own = [trial for trial in trials if trial.test.heart == heart]
        taught = others.without(heart) if any(method.learns for method in methods) else {}
        rest = [one.source for one in everybody if one.heart != heart]
        for trial in own:
            key = partial(key_of, code, **_options_of(trial, inputs))
            tasks += [
                _plan_score(trial, method, taught, rest, inputs, key)
                for method in methods
                if trial.first_s is None or method.least_s <= trial.first_s
            ]
            tasks += [_plan_signs(trial, inputs, key)] if with_signs else []
    return tasks


def _options_of(trial: Trial, inputs: Sequence[str]) -> dict[str, object]:
    return {"first_s": trial.first_s, "test_s": trial.test_s, "inputs": list(inputs)}


def _plan_score(
    trial: Trial,
    method: DayMethod,
    taught: dict[str, Any],
    rest: Sequence[Source],
    inputs: Sequence[str],
    key: Callable[..., str],
) -> Task:
    """Return the task of one trial and method; `rest` are the recordings it learns from."""
    sources = [*trial.sources, *(rest if method.learns else [])]
    of_others = {name: taught[name] for name in method.learns}
    return Task(
        f"{trial.calibrated_on}--{trial.test.name}--{method.name}",
        key(sources, method=[method.name, method.code], n_day=len(trial.calibrations)),
        partial(_score_trial, trial, method, of_others, tuple(inputs)),
        about=f"{method.name} on {trial.test.name} from {trial.calibrated_on}",
    )


def _plan_signs(trial: Trial, inputs: Sequence[str], key: Callable[..., str]) -> Task:
    return Task(
        f"{trial.calibrated_on}--{trial.test.name}--signs",
        key(trial.sources, what="signs"),
        partial(_signs, trial, tuple(inputs)),
        kinds=("signs",),
        about=f"signs of change on {trial.test.name} from {trial.calibrated_on}",
        digits=EXACT,
    )


def _signs(trial: Trial, inputs: Sequence[str]) -> dict[str, pd.DataFrame]:
    """Return the signs of change of each visible lead; of several calibrations the nearest's."""
    calibrations, test = read_trial(trial)
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
    NaN for a heart that has no others beside it and where no signs were asked for.
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
