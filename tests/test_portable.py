"""What a student's machine may lack: POSIX, make, git, UTF-8 by default, case in file names."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path, PurePosixPath

import pytest
from packaging.requirements import Requirement

from ecgnb.files import read_table
from ecgnb.records.formats import edf
from ecgnb.records.formats.channels import Request
from ecgnb.records.record import RecordError
from ecgnb.simulation.cohort import write_cohort

ROOT = Path(__file__).resolve().parent.parent
PYTHONS = ("3.11", "3.12", "3.13")
# Read by every Python that starts in the tests below, kernels and workers as well.
WITHOUT_POSIX = """
import ctypes, ctypes.util, multiprocessing, os, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name in {"fcntl", "resource", "pwd", "grp"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

for name in ("fcntl", "resource", "pwd", "grp"):
    sys.modules.pop(name, None)
sys.meta_path.insert(0, Absent())
for name in ("fork", "forkpty", "sched_getaffinity", "killpg", "setsid", "getuid", "getrusage"):
    if hasattr(os, name):
        delattr(os, name)
multiprocessing.set_start_method("spawn", force=True)

class Library(ctypes.CDLL):
    def __init__(self, name, *args, **options):
        if name and str(name).split("/")[-1].startswith("libc."):
            raise OSError(f"{name}: there is no such library")
        super().__init__(name, *args, **options)

ctypes.CDLL = Library
ctypes.util.find_library = lambda name: None
"""
EVERY_MODULE = """
import importlib, os, pkgutil, shutil, sys
try:
    import fcntl
    raise SystemExit("fcntl is there: the test hides nothing")
except ModuleNotFoundError:
    pass
assert not hasattr(os, "fork") and not shutil.which("make") and not shutil.which("git")
import ecgnb
names = [found.name for found in pkgutil.walk_packages(ecgnb.__path__, "ecgnb.")]
for name in names:
    if name != "ecgnb.__main__":
        importlib.import_module(name)
print(len(names))
"""


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """A copy of the project that nobody has used, and an environment without POSIX and make."""
    folder = tmp_path_factory.mktemp("bare")
    copy, hidden, empty = folder / "copy", folder / "hidden", folder / "bin"
    for path in (hidden, empty):
        path.mkdir()
    (hidden / "sitecustomize.py").write_text(WITHOUT_POSIX)
    for name in ("ecgnb", "book", "results"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("dodo.py", "_config.yml"):
        shutil.copy(ROOT / name, copy)
    settings = {"PATH": str(empty), "PYTHONPATH": os.pathsep.join([str(hidden), str(copy)])}
    return copy, {**os.environ, **settings, "ECGNB_DATA": "", "OMP_NUM_THREADS": "1"}


def run(bare, *words, folder=None):
    copy, environment = bare
    done = subprocess.run(
        [sys.executable, *words], cwd=folder or copy, env=environment, capture_output=True,
        text=True, encoding="utf-8", check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def test_every_module_is_imported_without_posix(bare):
    assert int(run(bare, "-c", EVERY_MODULE).split()[-1]) > 80


def test_a_study_runs_without_posix(bare, tmp_path):
    sizes = {"n_twadb": 2, "n_patient": 0, "duration_s": 30.0}
    cohort = write_cohort(tmp_path / "cohort", **sizes)
    words = ["run", "reconstruction", "--data", cohort, "--out", tmp_path / "table.csv.gz"]
    words += ["--methods", "least_squares,neighbours", "--jobs", "2"]
    run(bare, "-m", "ecgnb", *map(str, words), folder=tmp_path)
    table = read_table(tmp_path / "table.csv.gz")
    assert len(table) == 2 * 2 * 132


def test_a_page_of_the_book_runs_without_posix_and_make(bare):
    copy, _ = bare
    page = "02_preprocessing"
    run(bare, "-m", "ecgnb", "book", "--profile", "smoke", "--page", page)
    done = json.loads((copy / f"build/executed/smoke-simulated/{page}.ipynb").read_text())
    code = [cell for cell in done["cells"] if cell["cell_type"] == "code"]
    assert any(cell["outputs"] for cell in code)


def tracked():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a working copy of git")
    return listed.stdout.splitlines()


def test_every_file_has_a_name_that_windows_can_keep():
    names = tracked()
    odd = [name for name in names if re.search(r'[<>:"\\|?*\x00-\x1f]', name)]
    odd += [name for name in names if re.search(r"[. ](/|$)", name)]
    reserved = r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?"
    parts = {part for name in names for part in PurePosixPath(name).parts}
    odd += [part for part in parts if re.fullmatch(reserved, part, re.IGNORECASE)]
    assert odd == []
    alike = Counter(name.lower() for name in names)
    assert [name for name, n in alike.items() if n > 1] == []
    assert max(map(len, names)) < 150  # of 260, with the folder it is unpacked in


def test_git_keeps_line_ends_on_every_system():
    names = [name for name in tracked() if Path(name).suffix in {".csv", ".json", ".txt", ".py"}]
    asked = subprocess.run(
        ["git", "check-attr", "eol", "--", *names],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert {line.rpartition(": ")[2] for line in asked.stdout.splitlines()} == {"lf"}


TEXT_CALLS = {"read_text", "write_text"}


def without_encoding(code):
    """Calls that read or write text in the encoding of the machine, by line."""
    for node in ast.walk(ast.parse(code)):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        given = {word.arg for word in node.keywords}
        is_text_mode = name == "open" and not any(
            isinstance(one, ast.Constant) and "b" in str(one.value) for one in node.args
        )
        is_os = isinstance(node.func, ast.Attribute) and ast.unparse(node.func) == "os.open"
        if "encoding" not in given and (
            name in TEXT_CALLS
            or (is_text_mode and not is_os)
            or (name == "run" and "text" in given)
        ):
            yield node.lineno, name
        if name == "to_csv" and "lineterminator" not in given:
            yield node.lineno, name


def test_text_is_read_and_written_as_utf_8_with_the_line_ends_of_every_system():
    sources = [*(ROOT / "ecgnb").rglob("*.py"), ROOT / "dodo.py"]
    found = {
        str(path.relative_to(ROOT)): list(without_encoding(path.read_text(encoding="utf-8")))
        for path in sources
    }
    assert {name: calls for name, calls in found.items() if calls} == {}


@pytest.mark.parametrize(
    "line",
    [
        "path.read_text()",
        "path.write_text(text)",
        "open(name)",
        "path.open('r')",
        "subprocess.run(words, text=True)",
        "table.to_csv(index=False)",
    ],
)
def test_a_planted_call_is_caught(line):
    assert len(list(without_encoding(line))) == 1


def test_no_module_asks_for_posix_when_it_is_imported():
    absent = {"fcntl", "resource", "pwd", "grp", "termios", "pty", "posix"}
    for path in (ROOT / "ecgnb").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in getattr(node, "names", [])]
            names += [getattr(node, "module", None)] if isinstance(node, ast.ImportFrom) else []
            assert not absent & set(names), path.name


@pytest.mark.parametrize(("python", "says"), [((3, 12), False), ((3, 13), True)])
def test_an_edf_file_without_its_reader_is_refused_with_the_extra(
    tmp_path, monkeypatch, python, says
):
    path = tmp_path / "a.edf"
    path.write_bytes(b"0       " + bytes(300))
    monkeypatch.setitem(sys.modules, "pyedflib", None)
    monkeypatch.setattr(edf.sys, "version_info", python)
    with pytest.raises(RecordError, match=r"ecgnb\[edf\]") as refused:
        edf.read_edf_file(path, Request(leads=("I",)))
    assert ("Python 3.12 or older" in str(refused.value)) is says


def test_a_newer_python_installs_what_has_wheels_for_it():
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (edf_reader,) = map(Requirement, wanted["optional-dependencies"]["edf"])
    asked = {
        version: edf_reader.marker.evaluate({"python_version": version}) for version in PYTHONS
    }
    assert asked == {"3.11": True, "3.12": True, "3.13": False}
