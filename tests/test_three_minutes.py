"""A person follows the pages from the front page to twelve leads, by the commands there."""

import contextlib
import io
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

BOOK = Path(__file__).resolve().parent.parent / "book"
CHAPTER, PAGE = "11_your_own_ecg.ipynb", "use_your_data.md"


def text_of(name):
    text = (BOOK / name).read_text()
    if name.endswith(".ipynb"):
        text = "\n".join("".join(cell["source"]) for cell in json.loads(text)["cells"])
    return text


def commands_of(name):
    text = text_of(name).split("## In three minutes\n", 1)[1].split("\n## ")[0]
    return re.search(r"```\n(.*?)```", text, re.DOTALL)[1].splitlines()


def follow(name, label):
    """The page that a text leads to by a label."""
    assert re.search(rf"{{ref}}`(?:[^`<]*<)?{label}>?`", text_of(name)), f"{name} never names it"
    return next(p.name for p in BOOK.glob("*.md") if p.read_text().startswith(f"({label})=\n"))


def test_the_front_page_leads_to_twelve_leads_in_three_minutes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = follow("index.md", "ch-use")
    assert follow(page, "ch-install") == "install.md"
    started = time.monotonic()
    for command in commands_of(page):
        program, *words = shlex.split(command)
        assert program == "ecgnb"
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, done.output
    assert time.monotonic() - started < 180
    made = read_recording(tmp_path / "try" / "twelve.hea")
    assert made.leads == LEADS
    assert (tmp_path / "try" / "twelve.png").stat().st_size > 10_000
    assert "expect" in done.output


def test_the_chapter_gives_the_same_commands_as_the_page():
    assert commands_of(CHAPTER) == commands_of(PAGE)


def test_the_command_that_the_example_prints_is_that_of_the_page(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    example, reconstruct = commands_of(PAGE)
    printed = CliRunner().invoke(app, shlex.split(example)[1:]).output.splitlines()
    assert reconstruct in printed


def test_the_lines_of_python_on_the_page_do_what_the_commands_do(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    example, _ = commands_of(PAGE)
    CliRunner().invoke(app, shlex.split(example)[1:])
    said = io.StringIO()
    code = re.search(r"```python\n(.*?)```", text_of(PAGE), re.DOTALL)[1]
    with contextlib.redirect_stdout(said):
        exec(compile(code, PAGE, "exec"), {})  # the text is the project's own
    assert f"{LEADS} (12, 7500)" in said.getvalue()


@pytest.mark.parametrize("line", ["ecgnb example"])
def test_an_example_needs_a_folder(line):
    assert CliRunner().invoke(app, shlex.split(line)[1:]).exit_code == 2
