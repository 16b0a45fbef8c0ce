"""The command line: `ecgnb example | fetch | simulate | check | fit | reconstruct | run | ...`."""

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ecgnb.cli.console import BAD_USAGE, DATA_PROBLEM, AsJson, Reporting, fail, tell
from ecgnb.cli.personal import fit_model, reconstruct_leads
from ecgnb.cli.run import run_app
from ecgnb.cli.run_days import changes, days, prior
from ecgnb.records.catalogue import DATABASES

if TYPE_CHECKING:
    from ecgnb.records.databases import Checked

app = typer.Typer(
    cls=Reporting, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False
)

for _study in (days, changes, prior):
    run_app.command()(_study)

app.add_typer(run_app, name="run")


def _tell_version(asked: bool) -> None:
    """Print the version and end."""
    if asked:
        from importlib.metadata import version

        typer.echo(f"ecgnb {version('ecgnb')}")
        raise typer.Exit


@app.callback()
def common(
    debug: Annotated[bool, typer.Option("--debug", help="show where an error arose")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="tell it")
    ] = False,
) -> None:
    """Twelve leads from one: data, personal models, experiments and the book.

    Exit status: 0, 1 for a problem with data, 2 for bad usage.
    """


@app.command()
def fetch(
    databases: Annotated[list[str], typer.Argument(help="twadb, ptbdb, ...")],
    folder: Annotated[Path, typer.Option(help="where the databases go")] = Path("data/physionet"),
    base_url: Annotated[str, typer.Option(help="PhysioNet or a mirror")] = "",
    jobs: Annotated[int, typer.Option(min=1, help="files at a time")] = 4,
    timeout: Annotated[float, typer.Option(min=0.1, help="s without an answer")] = 30.0,
    retries: Annotated[int, typer.Option(min=0, help="further tries for each file")] = 3,
    as_json: AsJson = False,
) -> None:
    """Download databases from PhysioNet.

    Example: ecgnb fetch twadb ptbdb --folder data/physionet
    """
    from ecgnb.records.download import BASE_URL, fetch_database

    unknown = [name for name in databases if name not in DATABASES]
    if unknown:
        raise fail(f"no database {unknown[0]!r}; there are {', '.join(DATABASES)}", BAD_USAGE)
    found = {}
    for name in databases:
        found[name] = fetch_database(
            name,
            folder,
            base_url=base_url or BASE_URL,
            jobs=jobs,
            timeout_s=timeout,
            retries=retries,
        )
    text = "\n".join(f"{name} is in {root}" for name, root in found.items())
    tell({"folders": found}, text, as_json=as_json)


@app.command()
def simulate(
    folder: Annotated[Path, typer.Argument(help="where the cohort goes")],
    n_twadb: Annotated[int, typer.Option(min=0, help="records like twadb")] = 12,
    n_patient: Annotated[int, typer.Option(min=0, help="patients of each condition")] = 10,
    duration: Annotated[float, typer.Option(min=5, help="s, of records like twadb")] = 60.0,
    seed: Annotated[int, typer.Option(min=0, help="of all random draws")] = 0,
    as_json: AsJson = False,
) -> None:
    """Write a simulated cohort as WFDB files.

    Example: ecgnb simulate cohort --n-twadb 20 --seed 1
    """
    from ecgnb.simulation.cohort import write_cohort

    root = write_cohort(
        folder, n_twadb=n_twadb, n_patient=n_patient, duration_s=duration, seed=seed
    )
    tell({"folder": root}, f"the simulated cohort is in {root}", as_json=as_json)


@app.command()
def check(
    folder: Annotated[
        Path, typer.Argument(help="a database or a mirror of several", envvar="ECGNB_DATA")
    ],
    as_json: AsJson = False,
) -> None:
    """Read every record; exit 1 if one cannot be used or a folder cannot be read.

    Example: ecgnb check data/physionet
    """
    from ecgnb.records.databases import check_folder

    if not folder.is_dir():
        raise fail(f"{folder} is no folder")
    checked = check_folder(folder)
    if not checked.rows and not checked.refused:
        unread = "".join(f"\ncould not be read: {each}" for each in checked.unread)
        raise fail(f"no WFDB record below {folder}{unread}")
    tell(checked.as_dict(), _lines(checked), as_json=as_json)
    if checked.refused or checked.unread:
        raise typer.Exit(DATA_PROBLEM)


def _lines(checked: "Checked") -> str:
    """Return the findings of a check, a line each."""
    lines = [f"note: {note}" for note in checked.notes]
    lines += [checked.counts().to_string(index=False)] if checked.rows else []
    lines += [
        f"left out of {name}: {what}" for name, all_ in checked.left_out.items() for what in all_
    ]
    lines += [f"{label}: {count} records" for label, count in checked.unknown.items()]
    lines += [f"could not be read: {each}" for each in checked.unread]
    lines += [f"cannot be used: {error}" for error in checked.refused]
    lines += [f"{len(checked.rows)} records can be used, {len(checked.refused)} cannot"]
    return "\n".join(lines)


@app.command()
def example(
    folder: Annotated[Path, typer.Argument(help="where the pair of files goes")],
    seed: Annotated[int, typer.Option(min=0, help="of the simulated person")] = 0,
    as_json: AsJson = False,
) -> None:
    """Write a pair to try: 12 leads of a simulated person, and one lead from a watch later.

    Example: ecgnb example try
    """
    from ecgnb.simulation.cohort import write_example

    made = write_example(folder, seed=seed)
    text = f"12 leads: {made.calibration}\none lead: {made.recording}\nnow run\n{made.command}"
    facts = {"calibration": made.calibration, "recording": made.recording}
    tell(facts | {"command": made.command}, text, as_json=as_json)


app.command("fit")(fit_model)

app.command("reconstruct")(reconstruct_leads)


@app.command()
def book(
    profile: Annotated[str, typer.Option(help="smoke, demo or paper")] = "demo",
    data: Annotated[str, typer.Option(help="folder with twadb and ptbdb")] = "",
    page: Annotated[str, typer.Option(help="run only this page and what it needs")] = "",
    jobs: Annotated[int, typer.Option(min=1, help="pages at a time")] = 2,
) -> None:
    """Run the notebooks and build the site, from a copy of the project.

    Example: ecgnb book --profile smoke --page 02_preprocessing
    """
    from ecgnb.book.chapter import PROFILES

    if profile not in PROFILES:
        raise fail(f"no profile {profile!r}; there are {', '.join(PROFILES)}", BAD_USAGE)
    if data and not Path(data).is_dir():
        raise fail(f"{data} is no folder")
    from ecgnb.book.build import Build, pages
    from ecgnb.book.chapter import ROOT

    if not (ROOT / "dodo.py").is_file():
        raise fail("the book is built from a copy of the project, not from the package alone")
    data = str(Path(data).resolve()) if data else ""
    names = [one.name for one in pages(Build(profile, data))]
    if page and page not in names:
        raise fail(f"no page {page!r}; there are {', '.join(names)}", BAD_USAGE)
    command = [sys.executable, "-m", "doit", "-n", str(jobs), "-P", "process"]
    settings = {"PROFILE": profile, "DATA": data, "ECGNB_DATA": ""} | _ALIKE
    command += [f"notebook:{page}"] if page else []
    (ROOT / "build").mkdir(exist_ok=True)
    done = subprocess.run(command, cwd=ROOT, env=os.environ | settings, check=False)
    raise typer.Exit(DATA_PROBLEM if done.returncode else 0)


_ALIKE = {  # so that a page is the same on every machine, as the Makefile has it too
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    "PYTHONUTF8": "1",
}


def main() -> None:
    """Run the command line."""
    app()
