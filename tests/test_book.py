"""Notebooks are clean, short and complete; what their text quotes is what they compute."""

import ast
import re
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parent.parent
BOOK = ROOT / "book"
NOTEBOOKS = sorted(BOOK.glob("*.ipynb"))
SECTIONS = ("What you will learn", "## Strengths and limits", "## Summary", "## Exercises")


def load(path):
    return nbformat.read(path, as_version=4)


def code_cells(path):
    return [cell for cell in load(path).cells if cell.cell_type == "code"]


def text_of(path):
    return "\n".join(c.source for c in load(path).cells if c.cell_type == "markdown")


each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def test_the_book_has_its_chapters():
    names = {path.stem for path in NOTEBOOKS}
    assert {"01_recordings", "05_every_lead", "08_condition", "10_audit", "scorecard"} <= names


@each_notebook
def test_a_notebook_carries_no_output(path):
    for cell in code_cells(path):
        assert not cell.outputs
        assert cell.execution_count is None


@each_notebook
def test_a_notebook_defines_no_function_and_no_class(path):
    for cell in code_cells(path):
        for node in ast.walk(ast.parse(cell.source)):
            assert not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            if isinstance(node, ast.Assign):
                assert not isinstance(node.value, ast.Lambda)


@each_notebook
def test_a_notebook_stays_within_its_budgets(path):
    cells = code_cells(path)
    lines = [line for cell in cells for line in cell.source.splitlines()]
    assert len(cells) <= 20
    assert len(lines) <= 120
    assert max(len(cell.source.splitlines()) for cell in cells) <= 15
    assert max(len(line) for line in lines) <= 79


@each_notebook
def test_the_parameters_are_literals(path):
    tagged = [c for c in code_cells(path) if "parameters" in c.metadata.get("tags", [])]
    assert len(tagged) == 1
    values = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in ast.parse(tagged[0].source).body
    }
    assert values["profile"] == "demo"
    assert values["data"] == ""


@each_notebook
def test_a_chapter_has_every_section(path):
    text = text_of(path)
    wanted = SECTIONS[:1] if path.stem == "colophon" else SECTIONS
    assert [section for section in wanted if section not in text] == []


@each_notebook
def test_the_last_cell_asserts_what_the_chapter_claims(path):
    cell = load(path).cells[-1]
    assert "hide-cell" in cell.metadata.get("tags", [])
    assert any(isinstance(node, ast.Assert) for node in ast.walk(ast.parse(cell.source)))


@each_notebook
def test_every_figure_has_a_caption_and_alt_text(path):
    for cell in code_cells(path):
        if "plt.subplots(" in cell.source:
            meta = cell.metadata.get("mystnb", {})
            caption, alternative = meta["figure"]["caption"], meta["image"]["alt"]
            assert len(caption) > 20
            assert 15 <= len(alternative) <= 300
            assert alternative != caption
            assert not re.search(r"[`{}]|\.png|^(figure|image) of", alternative, re.IGNORECASE)


@each_notebook
def test_every_number_in_the_text_is_glued_by_the_chapter(path):
    code = "\n".join(cell.source for cell in code_cells(path))
    for name in re.findall(r"\{glue:text\}`([a-z0-9_]+):", text_of(path)):
        stem = re.sub(r"_(low|high|n)$", "", name)
        assert f'"{name}"' in code or f'"{stem}"' in code, name


def test_every_citation_is_in_the_bibliography():
    known = set(re.findall(r"@\w+\{(\w+),", (BOOK / "references.bib").read_text()))
    texts = [text_of(path) for path in NOTEBOOKS] + [p.read_text() for p in BOOK.glob("*.md")]
    cited = re.findall(r"\{cite:[pt]\}`([^`]+)`", "\n".join(texts))
    assert {key for group in cited for key in group.split(",")} <= known


def test_no_text_of_the_book_names_a_path_of_a_machine():
    for path in [*BOOK.glob("*.md"), *NOTEBOOKS]:
        assert not re.search(r"/(home|root|tmp|work|Users)/", path.read_text()), path.name
