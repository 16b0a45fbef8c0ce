"""A reader opens one chapter in Jupyter, from `book/`, and runs all its cells."""

import shutil
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

ROOT = Path(__file__).resolve().parent.parent
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A fresh copy of the project: nothing has been run in it."""
    folder = tmp_path_factory.mktemp("fresh")
    for name in ("ecgnb", "book", "results"):
        shutil.copytree(ROOT / name, folder / name)
    return folder


def run_alone(copy, chapter, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(copy))
    monkeypatch.delenv("ECGNB_DATA", raising=False)
    notebook = nbformat.read(copy / "book" / f"{chapter}.ipynb", as_version=4)
    kernel = {"timeout": 300, "kernel_name": "python3"}
    client = NotebookClient(notebook, resources={"metadata": {"path": copy / "book"}}, **kernel)
    client.execute()
    return notebook


def test_a_chapter_runs_by_itself_with_its_own_parameters(copy, monkeypatch):
    notebook = run_alone(copy, "02_preprocessing", monkeypatch)
    assert all(cell.execution_count for cell in notebook.cells if cell.cell_type == "code")
    assert (copy / "artifacts/demo-simulated/02_preprocessing").is_dir()


def test_a_chapter_without_what_it_needs_names_the_chapter_to_run(copy, monkeypatch):
    with pytest.raises(CellExecutionError) as stopped:
        run_alone(copy, "05_every_lead", monkeypatch)
    assert "MissingArtifactError" in str(stopped.value)
    assert "run 03_least_squares first" in str(stopped.value)
