"""`ecgnb run ...`: experiments on a folder of recordings."""

from pathlib import Path
from typing import Annotated

import typer

from ecgnb.console import BAD_USAGE, DATA_PROBLEM, AsJson, fail, names_in, tell
from ecgnb.showing import for_terminal

run_app = typer.Typer(
    help="Run an experiment on a folder of recordings.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
Data = Annotated[Path, typer.Option(help="folder of 12-lead WFDB records")]
Out = Annotated[Path, typer.Option(help="the table, .csv or .csv.gz")]
Jobs = Annotated[int, typer.Option(min=1, help="local processes")]
Names = Annotated[str, typer.Option(help="names, separated by commas")]


@run_app.command()
def reconstruction(
    data: Data,
    out: Out,
    methods: Annotated[str, typer.Option(help="names with commas, or closed_forms")] = "",
    records: Names = "",
    jobs: Jobs = 1,
    scheduler: Annotated[str, typer.Option(help="Dask scheduler, tcp://host:port")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only tell the cost")] = False,
    as_json: AsJson = False,
) -> None:
    """Reconstruct 11 leads from each, by every method. It resumes when interrupted.

    Example: ecgnb run reconstruction --data mirror --out table.csv.gz --jobs 2
    """
    from ecgnb.costs import forecast, read_durations
    from ecgnb.databases import record_paths
    from ecgnb.experiments import METHODS
    from ecgnb.runs import run_reconstruction

    chosen = _methods(methods)
    unknown = sorted(set(chosen) - set(METHODS))
    if unknown:
        raise fail(f"no method {', '.join(unknown)}; choose from {', '.join(METHODS)}", BAD_USAGE)
    names = names_in(records) or None
    if dry_run:
        paths = record_paths(data, names)
        cost = forecast(durations := read_durations(paths), chosen, jobs=jobs)
        left_out = f"headers that cannot be read: {len(paths) - len(durations)}"
        tell(vars(cost), f"{cost}\n{left_out}", as_json=as_json)
        return
    done = run_reconstruction(
        data, out, methods=chosen, records=names, jobs=jobs, scheduler=scheduler
    )
    table = done.by_method()
    lines = [table.round(4).to_string(index=False), f"the table is {out}"]
    tell(
        {"table": out, "methods": table, "failed": done.failed}, "\n".join(lines), as_json=as_json
    )
    if done.failed:
        for line in done.failed:
            typer.echo(f"ecgnb: not done: {for_terminal(line)}", err=True)
        raise typer.Exit(DATA_PROBLEM)


def _methods(text: str) -> list[str]:
    """Return the methods that were asked for; all by default."""
    from ecgnb.experiments import CLOSED_FORMS, METHODS

    groups = {"closed_forms": CLOSED_FORMS}
    chosen = [one for name in names_in(text) for one in groups.get(name, (name,))]
    return list(dict.fromkeys(chosen)) or list(METHODS)


@run_app.command()
def multiverse(
    data: Data, out: Out, records: Names, jobs: Jobs = 1, as_json: AsJson = False
) -> None:
    """Repeat the paper's experiment under each choice it leaves open. It resumes.

    Example: ecgnb run multiverse --data mirror --out m.csv --records twa06
    """
    from ecgnb.multiverse import run_multiverse

    table = run_multiverse(data, out, records=names_in(records), jobs=jobs)
    chosen = ["model", "band", "scaling", "split", "window_s"]
    means = table.groupby(chosen)[["mse", "r"]].mean()
    text = f"{means.round(3).to_string()}\nthe table is {out}"
    tell({"table": out, "members": means.reset_index()}, text, as_json=as_json)


@run_app.command()
def population(data: Data, out: Out, as_json: AsJson = False) -> None:
    """Reconstruct each record by fits on other people.

    Example: ecgnb run population --data mirror --out population.csv.gz
    """
    from ecgnb.metrics import summarise
    from ecgnb.population import run_population

    shown = ["method", "n_record", "r_mean", "r_low", "r_high", "r_lowest", "mse_mean"]
    table = summarise(run_population(data, out))[shown]
    text = f"{table.round(4).to_string(index=False)}\nthe table is {out}"
    tell({"table": out, "methods": table}, text, as_json=as_json)


@run_app.command()
def frank(data: Data, out: Out, as_json: AsJson = False) -> None:
    """Compare the Frank leads of ptbdb with those that two published matrices give.

    Example: ecgnb run frank --data mirror --out out/frank.csv
    """
    from ecgnb.population import run_frank

    means = run_frank(data, out).groupby(["method", "lead"])[["r", "rmse_mv"]].mean()
    text = f"{means.round(3).to_string()}\nthe table is {out}"
    tell({"table": out, "leads": means.reset_index()}, text, as_json=as_json)


@run_app.command()
def describe(
    data: Annotated[Path, typer.Option(help="folder that holds twadb and ptbdb")],
    out: Annotated[Path, typer.Option(help="folder of the two tables")],
    as_json: AsJson = False,
) -> None:
    """Describe every record by its waves, find those that both databases hold.

    Example: ecgnb run describe --data mirror --out results
    """
    from ecgnb.description import write_description

    paths = write_description(data, out)
    text = f"the tables are {paths[0]} and {paths[1]}"
    tell({"tables": paths}, text, as_json=as_json)


@run_app.command()
def conditions(
    data: Annotated[Path, typer.Option(help="folder that holds ptbdb")],
    out: Annotated[Path, typer.Option(help="folder of the tables")],
    steps: Annotated[int, typer.Option(min=1, help="of each fit")] = 300,
    jobs: Jobs = 1,
    scheduler: Annotated[str, typer.Option(help="Dask scheduler, tcp://host:port")] = "",
    as_json: AsJson = False,
) -> None:
    """Fit, explain and audit a VAE of every heart condition. It resumes when interrupted.

    Example: ecgnb run conditions --data mirror --out out/conditions --jobs 2
    """
    from ecgnb.conditions_run import run_conditions

    done = run_conditions(data, out, n_step=steps, jobs=jobs, scheduler=scheduler)
    groups = done.tables["groups"]
    text = f"{groups.to_string(index=False)}\nthe tables are in {out}"
    tell({"folder": out, "groups": groups, "failed": done.failed}, text, as_json=as_json)
    if done.failed:
        for line in done.failed:
            typer.echo(f"ecgnb: not done: {for_terminal(line)}", err=True)
        raise typer.Exit(DATA_PROBLEM)
