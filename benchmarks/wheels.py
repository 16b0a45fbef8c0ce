"""For which Pythons and systems does every pin have a wheel? `python wheels.py TABLE.csv`.

Asks pip's own index, one question for each compiled pin and target; nothing is downloaded. A
pin whose installed wheel is pure Python fits every target and is not asked for.
"""

import csv
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib import metadata
from itertools import product
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHONS = ("3.11", "3.12", "3.13")
SYSTEMS = {
    "Linux x86-64": [f"manylinux_2_{glibc}_x86_64" for glibc in (28, 27, 26, 24, 17, 12, 5)],
    "macOS arm64": ["macosx_14_0_arm64"],
    "macOS x86-64": ["macosx_14_0_x86_64"],
    "Windows x86-64": ["win_amd64"],
}
JOBS = 2


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


def has_wheel(pin: tuple[str, str], target: tuple[str, str]) -> bool:
    """Return whether the index has a wheel of a pin for a Python on a system."""
    (name, version), (python, system) = pin, target
    command = [sys.executable, "-m", "pip", "index", "versions", name, "--pre"]
    command += ["--only-binary", ":all:", "--python-version", python]
    command += [word for tag in SYSTEMS[system] for word in ("--platform", tag)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    found = re.search(r"^Available versions: (.*)$", done.stdout, re.MULTILINE)
    if not found and "No matching distribution" not in done.stderr:
        raise SystemExit(done.stderr)
    return bool(found) and version in found[1].split(", ")


def main() -> None:
    """Write a row for each target: how many pins have a wheel, and which have none."""
    pins, rows = compiled_pins(), []
    for target in product(PYTHONS, SYSTEMS):
        with ThreadPoolExecutor(JOBS) as pool:
            has = list(pool.map(partial(has_wheel, target=target), pins))
        without = [name for (name, _), there in zip(pins, has, strict=True) if not there]
        rows.append([*target, len(pins), " ".join(without)])
        print(*rows[-1], flush=True)
    with Path(sys.argv[1]).open("w", newline="", encoding="utf-8") as file:
        head = ["python", "system", "n_compiled", "without_wheel"]
        csv.writer(file, lineterminator="\n").writerows([head, *rows])


if __name__ == "__main__":
    main()
