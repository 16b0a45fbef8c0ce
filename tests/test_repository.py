"""The files around the package agree with each other."""

import contextlib
import re
import subprocess
import tomllib
from importlib import metadata
from pathlib import Path

import yaml
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_the_conda_environment_installs_what_the_project_needs():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    pip = next(item["pip"] for item in environment["dependencies"] if isinstance(item, dict))
    assert "-e .[book,test]" in pip
    assert {"book", "test"} <= set(PROJECT["optional-dependencies"])
    python = next(str(i) for i in environment["dependencies"] if str(i).startswith("python="))
    assert PROJECT["requires-python"] == f">={python.removeprefix('python=')}"


def test_every_direct_dependency_is_pinned():
    pins = (ROOT / "constraints.txt").read_text().lower().replace("_", "-")
    pinned = set(re.findall(r"^([a-z0-9.\-]+)==", pins, flags=re.MULTILINE))
    groups = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    named = {re.match(r"[a-z0-9.\-]+", item.lower())[0] for group in groups for item in group}
    assert named - pinned <= {"pyedflib"}


def test_pins_name_no_path_and_no_host():
    text = (ROOT / "constraints.txt").read_text()
    assert "/" not in text
    assert "@" not in text


def test_modules_stay_short():
    lengths = {p.name: p.read_text().count("\n") for p in (ROOT / "ecgnb").glob("*.py")}
    assert {name: n for name, n in lengths.items() if n > 450} == {}


def test_the_version_is_the_same_everywhere():
    import ecgnb

    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert ecgnb.__version__ == PROJECT["version"] == citation["version"]


def test_no_recording_is_part_of_the_project():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    suffixes = {Path(name).suffix for name in listed.stdout.split()}
    assert not suffixes & {".dat", ".hea", ".xyz", ".qrs", ".mat"}


def test_every_pin_installs_on_the_first_python_that_is_promised():
    pins = (ROOT / "constraints.txt").read_text().splitlines()
    names = [line.split("==")[0] for line in pins if "==" in line]
    refused = {}
    for name in names:
        with contextlib.suppress(metadata.PackageNotFoundError):
            wanted = metadata.metadata(name).get("Requires-Python") or ""
            if not SpecifierSet(wanted).contains("3.11.0"):
                refused[name] = wanted
    assert len(names) > 100
    assert refused == {}
