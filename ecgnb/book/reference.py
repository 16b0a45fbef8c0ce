"""The reference: names in code cells lead to it, and it tells what every command is for.

It describes a name where a package shows it, such as `ecgnb.signals.find_peaks`; a notebook may
import it from `ecgnb`, and Python says that it comes from `ecgnb.signals.beats`.
"""

import importlib
import inspect
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.config import Config


def _shown_names() -> Iterator[tuple[str, str, object]]:
    """Yield package, name and object for everything that the packages show."""
    whole = importlib.import_module("ecgnb")
    for package in filter(inspect.ismodule, (getattr(whole, name) for name in whole.__all__)):
        for name in package.__all__:
            yield package.__name__, name, getattr(package, name)


def _described_names() -> dict[str, str]:
    """Return, by each other name of an object, the name under which it is described.

    Examples
    --------
    >>> names = _described_names()
    >>> names["ecgnb.signals.beats.find_peaks"], names["ecgnb.find_peaks"]
    ('ecgnb.signals.find_peaks', 'ecgnb.signals.find_peaks')
    """
    everyday = set(importlib.import_module("ecgnb").__all__)
    found = {}
    for package, name, shown in _shown_names():
        if inspect.isclass(shown) or inspect.isroutine(shown):
            found[f"{shown.__module__}.{shown.__qualname__}"] = f"{package}.{name}"
        if name in everyday:
            found[f"ecgnb.{name}"] = f"{package}.{name}"
    return found


def tell_names(_: "Sphinx", config: "Config") -> None:
    """Give the names to the extension of Sphinx that makes the links."""
    config.codeautolink_inventory_map |= _described_names()


def write_commands(target: Path) -> None:
    """Write a section for each command: its purpose, an example, its arguments and options.

    `typer` tells them in Markdown, without a look at the folder that this machine keeps its data
    in. Its lists of commands are left out: they cut each purpose short that stands below.
    """
    command = [sys.executable, "-m", "typer", "ecgnb.cli", "utils", "docs", "--name", "ecgnb"]
    others = {name: value for name, value in os.environ.items() if name != "ECGNB_DATA"}
    told = subprocess.run(
        command,
        env=others | {"PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=True,
    ).stdout
    told = re.sub(r"\*\*Commands\*\*:\n\n(\* .*\n)+\n?", "", told)
    told = re.sub(r"\bExample: (.+)$", r"Example: `\1`", told, flags=re.MULTILINE)
    target.write_text(told, encoding="utf-8")
