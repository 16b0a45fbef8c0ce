"""The command line: `ecgnb fetch | simulate | check | run`."""

from pathlib import Path
from typing import Annotated

import typer

from ecgnb.catalogue import DATABASES

app = typer.Typer(
    help="Twelve leads from one: data, experiments and the book.", no_args_is_help=True
)
run_app = typer.Typer(help="Run an experiment on a folder of recordings.", no_args_is_help=True)
app.add_typer(run_app, name="run")


def fail(message: object, code: int = 1) -> typer.Exit:
    """Return the exit that ends the program after its message is written to stderr."""
    typer.echo(f"ecgnb: {message}", err=True)
    return typer.Exit(code)


@app.command()
def fetch(
    databases: Annotated[list[str], typer.Argument(help="twadb, ptbdb, ...")],
    folder: Annotated[Path, typer.Option(help="where the databases go")] = Path("data/physionet"),
    base_url: Annotated[str, typer.Option(help="PhysioNet or a mirror")] = "",
    jobs: Annotated[int, typer.Option(help="files at a time")] = 4,
    timeout: Annotated[float, typer.Option(help="s without an answer")] = 30.0,
    retries: Annotated[int, typer.Option(help="further tries for each file")] = 3,
) -> None:
    """Download databases from PhysioNet. Example: ecgnb fetch twadb ptbdb."""
    from ecgnb.fetching import BASE_URL, FetchError, fetch_database

    for name in databases:
        if name not in DATABASES:
            raise fail(f"no database {name!r}; there are {', '.join(DATABASES)}", 2)
        try:
            root = fetch_database(
                name,
                folder,
                base_url=base_url or BASE_URL,
                jobs=jobs,
                timeout_s=timeout,
                retries=retries,
            )
        except (FetchError, OSError) as error:
            raise fail(error) from None
        typer.echo(f"{name} is in {root}")


@app.command()
def simulate(
    folder: Annotated[Path, typer.Argument(help="where the cohort goes")],
    n_twadb: Annotated[int, typer.Option(help="records like twadb")] = 12,
    n_patient: Annotated[int, typer.Option(help="patients of each condition")] = 10,
    seed: Annotated[int, typer.Option(help="of all random draws")] = 0,
) -> None:
    """Write a simulated cohort as WFDB files. Example: ecgnb simulate cohort --seed 1."""
    from ecgnb.simulate import write_cohort

    try:
        root = write_cohort(folder, n_twadb=n_twadb, n_patient=n_patient, seed=seed)
    except (OSError, ValueError) as error:
        raise fail(error) from None
    typer.echo(f"the simulated cohort is in {root}")


@app.command()
def check(
    folder: Annotated[
        Path, typer.Argument(help="a database or a mirror of several", envvar="ECGNB_DATA")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Read every record; exit 1 if one cannot be used. Example: ecgnb check data/physionet."""
    import json

    from ecgnb.checking import check_folder

    checked = check_folder(folder)
    if not checked.rows and not checked.refused:
        raise fail(f"no WFDB record below {folder}")
    if as_json:
        typer.echo(json.dumps(checked.as_dict(), indent=1))
    else:
        lines = [f"note: {note}" for note in checked.notes]
        lines += [checked.counts().to_string(index=False)]
        lines += [
            f"left out of {name}: {what}"
            for name, all_ in checked.left_out.items()
            for what in all_
        ]
        lines += [f"{label}: {count} records" for label, count in checked.unknown.items()]
        lines += [f"cannot be used: {error}" for error in checked.refused]
        lines += [f"{len(checked.rows)} records can be used, {len(checked.refused)} cannot"]
        typer.echo("\n".join(lines))
    if checked.refused:
        raise typer.Exit(1)


@run_app.command()
def reconstruction(
    data: Annotated[Path, typer.Option(help="folder of 12-lead WFDB records")],
    out: Annotated[Path, typer.Option(help="the table, .csv or .csv.gz")],
    methods: Annotated[str, typer.Option(help="names, separated by commas")] = "",
    records: Annotated[str, typer.Option(help="names, separated by commas")] = "",
    jobs: Annotated[int, typer.Option(help="processes")] = 1,
) -> None:
    """Reconstruct 11 leads from each, by every method. It resumes when interrupted.

    Example: ecgnb run reconstruction --data mirror --out out/table.csv --methods average_beat
    """
    from ecgnb.experiments import METHODS
    from ecgnb.metrics import summarise
    from ecgnb.runs import run_reconstruction

    chosen = [name.strip() for name in methods.split(",") if name.strip()] or list(METHODS)
    unknown = sorted(set(chosen) - set(METHODS))
    if unknown:
        raise fail(f"no method {', '.join(unknown)}; choose from {', '.join(METHODS)}", 2)
    names = [name.strip() for name in records.split(",") if name.strip()] or None
    try:
        table = run_reconstruction(data, out, methods=chosen, records=names, jobs=jobs)
    except (OSError, RuntimeError, ValueError) as error:
        raise fail(error) from None
    shown = ["method", "n_record", "r_mean", "r_low", "r_high", "r_lowest", "mse_mean"]
    typer.echo(summarise(table)[shown].round(4).to_string(index=False))
    typer.echo(f"the table is {out}")


@run_app.command()
def multiverse(
    data: Annotated[Path, typer.Option(help="folder of 12-lead WFDB records")],
    out: Annotated[Path, typer.Option(help="the table, .csv")],
    records: Annotated[str, typer.Option(help="names, separated by commas")],
    jobs: Annotated[int, typer.Option(help="processes")] = 1,
) -> None:
    """Repeat the paper's experiment under each choice it leaves open. It resumes.

    Example: ecgnb run multiverse --data mirror --out out/multiverse.csv --records twa06,twa11
    """
    from ecgnb.multiverse import run_multiverse

    names = [name.strip() for name in records.split(",") if name.strip()]
    try:
        table = run_multiverse(data, out, records=names, jobs=jobs)
    except (OSError, ValueError) as error:
        raise fail(error) from None
    chosen = ["model", "band", "scaling", "split", "window_s"]
    typer.echo(table.groupby(chosen)[["mse", "r"]].mean().round(3).to_string())
    typer.echo(f"the table is {out}")


@run_app.command()
def population(
    data: Annotated[Path, typer.Option(help="folder of 12-lead WFDB records")],
    out: Annotated[Path, typer.Option(help="the table, .csv or .csv.gz")],
) -> None:
    """Reconstruct each record by fits on other people.

    Example: ecgnb run population --data mirror --out out/population.csv.gz
    """
    from ecgnb.metrics import summarise
    from ecgnb.population import run_population

    try:
        table = run_population(data, out)
    except (OSError, ValueError) as error:
        raise fail(error) from None
    shown = ["method", "n_record", "r_mean", "r_low", "r_high", "r_lowest", "mse_mean"]
    typer.echo(summarise(table)[shown].round(4).to_string(index=False))


@run_app.command()
def frank(
    data: Annotated[Path, typer.Option(help="folder that holds ptbdb")],
    out: Annotated[Path, typer.Option(help="the table, .csv")],
) -> None:
    """Compare the Frank leads of ptbdb with those that two published matrices give.

    Example: ecgnb run frank --data mirror --out out/frank.csv
    """
    from ecgnb.population import run_frank

    try:
        table = run_frank(data, out)
    except (OSError, ValueError) as error:
        raise fail(error) from None
    means = table.groupby(["method", "lead"])[["r", "rmse_mv"]].mean()
    typer.echo(means.round(3).to_string())


@run_app.command()
def describe(
    data: Annotated[Path, typer.Option(help="folder that holds twadb and ptbdb")],
    out: Annotated[Path, typer.Option(help="folder of the two tables")],
) -> None:
    """Describe every record by its waves, find those that both databases hold.

    Example: ecgnb run describe --data mirror --out results
    """
    from ecgnb.description import write_description

    try:
        paths = write_description(data, out)
    except (OSError, ValueError) as error:
        raise fail(error) from None
    typer.echo(f"the tables are {paths[0]} and {paths[1]}")


def main() -> None:
    """Run the command line."""
    app()
