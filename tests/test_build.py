"""The build runs notebooks, stops at a failing cell and leaves what is needed to see why."""

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from ecgnb import files
from ecgnb.book import build
from ecgnb.book.chapter import PROFILES, Chapter, open_chapter

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def page(tmp_path, monkeypatch):
    monkeypatch.setattr(build, "BOOK", tmp_path)
    monkeypatch.setattr(build, "BUILD", tmp_path / "build")
    monkeypatch.setattr(build, "ROOT", tmp_path)

    def write(*sources):
        cells = [nbformat.v4.new_markdown_cell("# Look at one condition")]
        cells.append(nbformat.v4.new_code_cell('profile = "demo"\ndata = ""'))
        cells[-1].metadata["tags"] = ["parameters"]
        cells += [nbformat.v4.new_code_cell(source) for source in sources]
        kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
        notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
        nbformat.write(notebook, tmp_path / "08_condition.ipynb")
        return build.Page("08_condition_x", "08_condition", {"condition": "myocarditis"})

    return write


def test_a_notebook_runs_with_the_parameters_of_its_page(page):
    small = build.Build("smoke", "")
    build.execute(page("print(profile, condition)"), small)
    done = nbformat.read(small.executed / "08_condition_x.ipynb", as_version=4)
    assert done.cells[0].source == "# Myocarditis"
    assert done.cells[-1].outputs[0].text.strip() == "smoke myocarditis"
    assert "papermill" not in done.metadata


def test_every_copy_of_the_condition_page_has_its_own_label_and_figures():
    cells = [
        nbformat.v4.new_markdown_cell("(ch-condition)=\n# Look at one condition\n"),
        nbformat.v4.new_markdown_cell("See {numref}`fig-condition-map`."),
        nbformat.v4.new_code_cell("draw()"),
    ]
    cells[2].metadata["mystnb"] = {"figure": {"name": "fig-condition-map", "caption": "A map."}}
    notebook = nbformat.v4.new_notebook(cells=cells)
    build._name_condition(notebook, "bundle branch block")
    assert notebook.cells[0].source.startswith(
        "(ch-condition-bundle-branch-block)=\n# Bundle branch"
    )
    assert notebook.cells[1].source == "See {numref}`fig-bundle-branch-block-map`."
    figure = notebook.cells[2].metadata["mystnb"]["figure"]
    assert figure["name"] == "fig-bundle-branch-block-map"


def test_a_second_run_gives_the_same_bytes(page):
    small, one = build.Build("smoke", ""), page("1 + 1", "object()")
    path = small.executed / "08_condition_x.ipynb"
    build.execute(one, small)
    first = path.read_bytes()
    build.execute(one, small)
    assert path.read_bytes() == first


def test_a_failing_cell_is_named_and_its_notebook_kept(page):
    small = build.Build("smoke", "")
    with pytest.raises(SystemExit) as stopped:
        build.execute(page("x = 1", "1 / 0"), small)
    message = str(stopped.value)
    assert "08_condition_x failed in cell" in message
    assert "ZeroDivisionError" in message
    assert (small.executed / "08_condition_x.failed.ipynb").is_file()
    assert not (small.executed / "08_condition_x.ipynb").exists()


def test_every_page_waits_for_the_chapters_it_reads():
    found = build.pages(build.Build("smoke", ""))
    by_name = {page.name: page for page in found}
    before = {p.name for p in build.needed_by(by_name["05_every_lead"], found)}
    assert before == {"03_least_squares", "04_cnn"}
    assert len(build.needed_by(by_name["09_conditions_compared"], found)) == 8
    assert len(build.needed_by(by_name["colophon"], found)) == len(found) - 1


def test_a_missing_artifact_names_the_chapter_that_writes_it(tmp_path):
    chapter = Chapter("05_every_lead", PROFILES["smoke"], tmp_path, True, tmp_path)
    with pytest.raises(files.MissingArtifactError, match="run 03_least_squares first"):
        chapter.read_table("03_least_squares", "scores")


def test_a_bad_profile_stops_in_the_first_cell():
    with pytest.raises(ValueError, match="profile must be one of"):
        open_chapter("03_least_squares", profile="huge")


@pytest.mark.parametrize("name", ["a folder with blanks", "it's", "$(date)"])
def test_make_hands_on_a_data_folder_of_any_name(tmp_path, name):
    doit = tmp_path / "doit"
    doit.write_text('#!/bin/sh\nprintf "%s" "$DATA"\n')
    doit.chmod(0o755)
    setting = f"DATA={name.replace('$', '$$')}"
    done = subprocess.run(
        ["make", "-f", ROOT / "Makefile", "book", setting, f"BIN={tmp_path}", "STAMP="],
        cwd=tmp_path, capture_output=True, text=True, check=True,
        env={name: value for name, value in os.environ.items() if "MAKE" not in name},
    )  # fmt: skip
    assert done.stdout.endswith(f":\n{name}")


def test_the_notebooks_are_given_the_whole_path_of_the_data_folder(tmp_path):
    folder = tmp_path / "a folder with blanks"
    folder.mkdir()
    program = "import dodo; print(dodo.BUILD.data, end='')"
    near = os.path.relpath(folder, ROOT)
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT, env=os.environ | {"DATA": near}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == str(folder)
