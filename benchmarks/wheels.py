"""For which Pythons and systems does every pin have a wheel? `python wheels.py TABLE.csv`.

Asks the index with pip's own finder, one page for each compiled pin; nothing is downloaded. A pin
whose installed wheel is pure Python fits every target and is not asked for.
"""

import csv
import logging
import re
import sys
from importlib import metadata
from itertools import product
from pathlib import Path

from pip._internal.commands import create_command
from pip._internal.models.target_python import TargetPython

ROOT = Path(__file__).resolve().parent.parent
PYTHONS = ("3.11", "3.12", "3.13")
SYSTEMS = {
    "Linux x86-64": [f"manylinux_2_{glibc}_x86_64" for glibc in (28, 27, 26, 24, 17, 12, 5)],
    "macOS arm64": ["macosx_14_0_arm64"],
    "macOS x86-64": ["macosx_14_0_x86_64"],
    "Windows x86-64": ["win_amd64"],
}


def compiled_pins() -> list[tuple[str, str]]:
    """Return name and version of the pins whose installed wheel is not pure Python."""
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    found = []
    for name, version in re.findall(r"^([\w.-]+)==(\S+)$", text, re.MULTILINE):
        try:
            wheel = metadata.distribution(name).read_text("WHEEL") or ""
        except metadata.PackageNotFoundError:
            continue  # of nobody's extra, such as the tools of a release
        tags = re.findall(r"^Tag: (.*)$", wheel, re.MULTILINE)
        if not all(tag.endswith("none-any") for tag in tags) or not tags:
            found.append((name, version))
    return found


def without_wheel(pins: list[tuple[str, str]], python: str, system: str) -> list[str]:
    """Return the names of the pins that have no wheel for a Python on a system."""
    command = create_command("install")
    options, _ = command.parse_args(["anything"])
    target = TargetPython(
        platforms=SYSTEMS[system], py_version_info=tuple(map(int, python.split(".")))
    )
    missing = []
    with command.main_context():
        session = command.get_default_session(options)
        finder = command._build_package_finder(options, session, target_python=target)
        for name, version in pins:
            candidates = finder.find_all_candidates(name)
            if not any(one.link.is_wheel and str(one.version) == version for one in candidates):
                missing.append(name)
    return missing


def main() -> None:
    """Write a row for each target: how many pins are compiled, and which have no wheel."""
    logging.disable(logging.CRITICAL)
    pins, rows = compiled_pins(), []
    for python, system in product(PYTHONS, SYSTEMS):
        rows.append([python, system, len(pins), " ".join(without_wheel(pins, python, system))])
        print(*rows[-1], flush=True)
    with Path(sys.argv[1]).open("w", newline="", encoding="utf-8") as file:
        head = ["python", "system", "n_compiled", "without_wheel"]
        csv.writer(file, lineterminator="\n").writerows([head, *rows])


if __name__ == "__main__":
    main()
