"""Every command of the README is run: here, by another test, or by `.ci/run`."""

import os
import re
import shlex
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from ecgnb.simulation.cohort import write_cohort

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
CI = (ROOT / ".ci/run").read_text()


def commands():
    text = (ROOT / "README.md").read_text()
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    shell = [block for language, block in blocks if language in {"", "sh"}]
    lines = [line.split(" #")[0].strip() for block in shell for line in block.splitlines()]
    return [line for line in lines if line]


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    folder = tmp_path_factory.mktemp("readme") / "cohort"
    sizes = {"n_twadb": 1, "n_patient": 1, "duration_s": 45.0, "ptbdb_duration_s": 5.0}
    return write_cohort(folder, **sizes)


def in_ci(command, _):
    """The same target is run by CI; a longer profile may be replaced by a shorter one."""
    words = [word for word in shlex.split(command) if not word.startswith("PROFILE=")]
    wanted = [r"DATA=\S+" if word.startswith("DATA=") else re.escape(word) for word in words]
    assert any(
        all(re.search(rf"\b{word}(\s|$)", line) for word in wanted) for line in CI.splitlines()
    ), command


def prints_what_it_would_do(command, _):
    """What needs the network or hours: make says the commands that it would run."""
    shown = subprocess.run(
        [*shlex.split(command), "-n", "-o", ".venv/.installed"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert "ecgnb fetch twadb ptbdb" in shown
    assert "PROFILE=paper" in shown
    assert "/doit" in shown


def opens_jupyter(command, _):
    words = [str(BIN / "jupyter"), *shlex.split(command)[1:], "--no-browser", "--allow-root"]
    words += ["--port=18888", "--IdentityProvider.token=x", "--ServerApp.port_retries=20"]
    words += ["--ServerApp.ip=127.0.0.1"]
    log = subprocess.PIPE
    with subprocess.Popen(words, cwd=ROOT, stderr=log, stdout=log, text=True) as server:
        try:
            for line in server.stderr:
                found = re.search(r"(http://127\.0\.0\.1:\d+)/lab", line)
                if found:
                    break
            time.sleep(0.5)
            address = f"{found[1]}/api/contents/05_every_lead.ipynb?content=0&token=x"
            with urllib.request.urlopen(address, timeout=60) as answer:
                assert b"05_every_lead.ipynb" in answer.read()
        finally:
            server.terminate()


def runs(command, cohort):
    """The command line itself, on a small simulated cohort."""
    words = [str(cohort) if word == "FOLDER" else word for word in shlex.split(command)]
    done = subprocess.run(
        [str(BIN / words[0]), *words[1:]], cwd=cohort, capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def proven_by(name, *needles):
    """Another test runs the command; its file must still say so."""

    def check(command, _):
        text = (ROOT / "tests" / name).read_text()
        assert all(needle in text for needle in needles), command

    return check


def runs_in(name):
    """The tests of the command line call this command with these options."""

    def check(command, _):
        text = (ROOT / "tests" / name).read_text()
        wanted = [command.split()[1], *re.findall(r"--[a-z-]+", command)]
        assert [word for word in wanted if not re.search(rf"(?<![\w-]){word}\b", text)] == []

    return check


def as_make_installs(command, _):
    """What make runs in CI makes the same environment, from the same pins, with more extras."""
    recipe = (ROOT / "Makefile").read_text()
    assert "$(PYTHON) -m venv $(VENV)" in recipe
    words = re.sub(r" --progress-bar off|,[a-z,]+(?=\])|['\"]", "", recipe)
    assert command.partition(" -m ")[2].replace('"', "").replace(" .venv", "") in words


PROOFS = (
    (r"python3 -m venv .venv|\.venv/bin/python -m pip install .*", as_make_installs),
    (
        r"\.venv/bin/python -m ecgnb book --profile smoke",
        proven_by("test_portable.py", '"-m", "ecgnb", "book", "--profile", "smoke"'),
    ),
    (r"make book DATA=physionet PROFILE=paper", prints_what_it_would_do),
    (r"make (book|test|lint|pdf)( .*)?", in_ci),
    (r"make serve", proven_by("test_publish.py", "serve._make_server")),
    (r"jupyter lab book/", opens_jupyter),
    (r"ecgnb check .*", runs),
    (r"ecgnb (example|fetch|fit|reconstruct|run|book) .*", runs_in("test_cli.py")),
)


@pytest.mark.parametrize("command", commands())
def test_a_command_of_the_readme_is_proven(command, cohort):
    proof = next((proof for pattern, proof in PROOFS if re.fullmatch(pattern, command)), None)
    assert proof is not None, f"say in PROOFS how {command!r} is run"
    proof(command, cohort)


def test_the_readme_cites_this_version():
    import ecgnb

    assert f"version = {{{ecgnb.__version__}}}" in (ROOT / "README.md").read_text()


def test_the_readme_has_commands():
    assert len(commands()) >= 5
