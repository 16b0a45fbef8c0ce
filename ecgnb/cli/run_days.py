"""`ecgnb run days`, `changes` and `prior`: studies of other days of the same hearts."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ecgnb.cli.console import (
    BAD_USAGE,
    AsJson,
    Jobs,
    Names,
    Out,
    exit_if_failed,
    fail,
    names_in,
    report_run,
    tell,
)

if TYPE_CHECKING:
    from ecgnb.studies.day_methods import DayMethod


def days(
    data: Annotated[Path, typer.Option(help="folder that holds ptbdb, ludb and challenge-2021")],
    out: Out,
    method: Annotated[
        str,
        typer.Option(help="names, entry points or module:function, with commas; all by default"),
    ] = "",
    plan: Annotated[str, typer.Option(help="pairs, others, inside or curve")] = "pairs",
    first_s: Annotated[float, typer.Option(help="s of each calibration; 0: the whole")] = 10.0,
    test_s: Annotated[float, typer.Option(help="s of each test; 0: the whole")] = 0.0,
    inputs: Names = "I,II,V2",
    hearts: Annotated[str, typer.Option(help="such as ptbdb/patient001, with commas")] = "",
    jobs: Jobs = 1,
    as_json: AsJson = False,
) -> None:
    """Calibrate on recordings of a person and test on another one. It resumes when interrupted.

    Example: ecgnb run days --data mirror --out days.csv.gz --method another_day,mine:fit
    """
    from ecgnb.studies.day_trials import PLANS
    from ecgnb.studies.days import DAY_INPUTS, run_days

    if plan not in PLANS:
        raise fail(f"no plan {plan}; choose from {', '.join(PLANS)}", BAD_USAGE)
    _refuse_unknown_leads(names_in(inputs))
    done = run_days(
        data,
        out,
        methods=_day_methods(method),
        plan=plan,
        first_s=first_s or None,
        test_s=test_s or None,
        inputs=names_in(inputs) or DAY_INPUTS,
        hearts=names_in(hearts) or None,
        jobs=jobs,
    )
    means = done.by_method()
    text = f"{means.round(4).to_string()}\n{done.by_heart().round(3).to_string()}"
    facts = {"table": out, "methods": means.reset_index(), "failed": done.failed}
    facts["expiry_auroc"] = {name: done.expiry(name) for name in means.index}
    tell(facts, f"{text}\nthe table is {out}", as_json=as_json)
    exit_if_failed(done.failed)


def _refuse_unknown_leads(names: list[str]) -> None:
    from ecgnb.leads import LEADS

    unknown = [name for name in names if name not in LEADS]
    if unknown:
        raise fail(f"no lead {', '.join(unknown)}; choose from {', '.join(LEADS)}", BAD_USAGE)


def _day_methods(text: str) -> "list[DayMethod]":
    """Return the methods that were asked for; a module may lie in the folder one works in."""
    from ecgnb.studies.day_methods import DAY_METHODS, MethodError, load_method

    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    try:
        return [load_method(name) for name in names_in(text) or DAY_METHODS]
    except MethodError as error:
        raise fail(str(error), BAD_USAGE) from error


def changes(
    data: Annotated[Path, typer.Option(help="folder that holds ptbdb, and ludb and twadb")],
    out: Out,
    jobs: Jobs = 1,
    as_json: AsJson = False,
) -> None:
    """Measure how much of something new each method shows. It resumes when interrupted.

    Example: ecgnb run changes --data mirror --out results/changes.csv
    """
    from ecgnb.studies.changes import run_changes

    done = run_changes(data, out, jobs=jobs)
    report_run(out, done.tables, done.failed, as_json=as_json, digits=3)


def prior(
    data: Annotated[Path, typer.Option(help="folder that holds ptbdb, ludb and challenge-2021")],
    out: Annotated[Path, typer.Option(help="the table, .npz; a manifest is written beside it")],
    jobs: Jobs = 1,
    as_json: AsJson = False,
) -> None:
    """Make the table of other people that `another_day` learns from. It resumes when interrupted.

    Example: ecgnb run prior --data mirror --out another_day.npz
    """
    from ecgnb.studies.days import run_prior

    path = run_prior(data, out, jobs=jobs)
    tell({"table": path}, f"the table is {path}", as_json=as_json)
