"""What all commands share: errors without tracebacks, exit codes, text or JSON."""

import errno
import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from ecgnb.text import for_terminal, lines_for_terminal

if TYPE_CHECKING:
    import pandas as pd

DATA_PROBLEM, BAD_USAGE = 1, 2

AsJson = Annotated[bool, typer.Option("--json", help="print one JSON object")]

Data = Annotated[Path, typer.Option(help="folder of 12-lead WFDB records")]

Both = Annotated[Path, typer.Option(help="folder that holds twadb and ptbdb")]

Mirror = Annotated[Path, typer.Option(help="folder of all databases but challenge-2020")]

Out = Annotated[Path, typer.Option(help="the table, .csv or .csv.gz")]

Jobs = Annotated[int, typer.Option(min=1, help="local processes")]

Names = Annotated[str, typer.Option(help="names, separated by commas")]


class Reporting(TyperGroup):
    """Commands whose errors are one line on stderr and exit status 1, unless `--debug` is given.

    `--debug` may stand anywhere on the line.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401
        """Parse the line with `--debug` moved to where it belongs."""
        return super().parse_args(ctx, sorted(args, key=lambda word: word != "--debug"))

    def invoke(self, ctx: Any) -> object:  # noqa: ANN401
        """Run the command."""
        try:
            return super().invoke(ctx)
        except Exception as error:
            is_of_typer = hasattr(error, "exit_code") or isinstance(error, typer.Abort)
            broken_pipe = isinstance(error, OSError) and error.errno == errno.EPIPE
            if is_of_typer or broken_pipe or ctx.params.get("debug"):
                raise
            raise fail(_say_error(error)) from None


def _say_error(error: Exception) -> str:
    """Return what an exception says, with its kind where it was not foreseen.

    Examples
    --------
    >>> _say_error(ValueError("too short")), _say_error(IndexError("9"))
    ('too short', 'IndexError: 9 (--debug shows where)')
    """
    foreseen = isinstance(error, OSError | RuntimeError | ValueError)
    ours = type(error).__module__.startswith("ecgnb")
    text = str(error) or type(error).__name__
    return text if foreseen or ours else f"{type(error).__name__}: {text} (--debug shows where)"


def fail(message: object, code: int = DATA_PROBLEM) -> typer.Exit:
    """Return the exit that ends the program after its message is written to stderr."""
    typer.echo(f"ecgnb: {lines_for_terminal(message)}", err=True)
    return typer.Exit(code)


def tell(facts: dict[str, Any], text: str, *, as_json: bool) -> None:
    """Print facts as one JSON object, or the text for people."""
    typer.echo(json.dumps(plain(facts), indent=1) if as_json else lines_for_terminal(text))


def plain(thing: Any) -> Any:  # noqa: ANN401 (a tree of JSON values)
    """Return what JSON can hold: tables as rows, NaN as null, paths as text.

    Examples
    --------
    >>> plain({"r": float("nan"), "names": ("a",)})
    {'r': None, 'names': ['a']}
    """
    if isinstance(thing, dict):
        return {str(key): plain(value) for key, value in thing.items()}
    if isinstance(thing, list | tuple):
        return [plain(value) for value in thing]
    if hasattr(thing, "to_dict"):
        return plain(thing.to_dict("records"))
    if hasattr(thing, "item"):
        thing = thing.item()
    if isinstance(thing, float):
        return thing if math.isfinite(thing) else None
    return thing if isinstance(thing, int | str | None) else str(thing)


def names_in(text: str) -> list[str]:
    """Return names separated by commas.

    Examples
    --------
    >>> names_in("a, b,")
    ['a', 'b']
    """
    return [name.strip() for name in text.split(",") if name.strip()]


def refuse_unknown(chosen: list[str], known: Iterable[str], what: str = "method") -> None:
    """End the program as badly used if a method, or what else is named, does not exist."""
    unknown = sorted(set(chosen) - set(known))
    if unknown:
        raise fail(f"no {what} {', '.join(unknown)}; choose from {', '.join(known)}", BAD_USAGE)


def report_run(
    out: Path,
    shown: "dict[str, pd.DataFrame]",
    failed: tuple[str, ...],
    *,
    as_json: bool,
    digits: int = 4,
) -> None:
    """Tell what a run ended with; exit 1 if a part of it is missing."""
    tables = [table.round(digits).to_string(index=False) for table in shown.values()]
    lines = [*tables, f"the table is {out}"]
    tell({"table": out, **shown, "failed": failed}, "\n".join(lines), as_json=as_json)
    exit_if_failed(failed)


def exit_if_failed(failed: tuple[str, ...]) -> None:
    """Name what was not done, and exit 1 if there is any."""
    for line in failed:
        typer.echo(f"ecgnb: not done: {for_terminal(line)}", err=True)
    if failed:
        raise typer.Exit(DATA_PROBLEM)
