"""A person follows the page: two commands from nothing to twelve leads, as they stand there."""

import json
import re
import shlex
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ecgnb.cli import app
from ecgnb.leads import LEADS
from ecgnb.records.recordings import read_recording

PAGE = Path(__file__).resolve().parent.parent / "book" / "11_your_own_ecg.ipynb"


def commands_of(heading):
    cells = json.loads(PAGE.read_text())["cells"]
    text = next(t for cell in cells if (t := "".join(cell["source"])).startswith(f"## {heading}"))
    return re.search(r"```\n(.*?)```", text, re.DOTALL)[1].splitlines()


def test_the_commands_of_the_page_lead_to_twelve_leads_in_three_minutes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    started = time.monotonic()
    for command in commands_of("In three minutes"):
        program, *words = shlex.split(command)
        assert program == "ecgnb"
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, done.output
    assert time.monotonic() - started < 180
    made = read_recording(tmp_path / "try" / "twelve.hea")
    assert made.leads == LEADS
    assert (tmp_path / "try" / "twelve.png").stat().st_size > 10_000
    assert "expect" in done.output


def test_the_command_that_the_example_prints_is_that_of_the_page(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    example, reconstruct = commands_of("In three minutes")
    printed = CliRunner().invoke(app, shlex.split(example)[1:]).output.splitlines()
    assert reconstruct in printed


@pytest.mark.parametrize("line", ["ecgnb example"])
def test_an_example_needs_a_folder(line):
    assert CliRunner().invoke(app, shlex.split(line)[1:]).exit_code == 2
