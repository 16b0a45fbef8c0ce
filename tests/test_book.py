"""Notebooks are clean, short and complete; what their text quotes is what they compute."""

import ast
import inspect
import re
from pathlib import Path

import nbformat
import pytest
from docutils.utils.math.latex2mathml import tex2mathml
from pybtex.database import parse_file
from pybtex.plugin import find_plugin

from ecgnb import figures, studies
from ecgnb.book import site
from ecgnb.book.chapter import NEEDS
from ecgnb.book.claims import CLAIMS

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
    assert "remove-cell" in cell.metadata.get("tags", [])
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
    for name in re.findall(r"= studies\.(describe_\w+)\(", code):
        code += inspect.getsource(getattr(studies, name))
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


READING = [path for path in NOTEBOOKS if path.stem != "colophon"]
each_chapter = pytest.mark.parametrize("path", READING, ids=lambda path: path.stem)


def figures_of(path):
    """Return name, caption and alternative text of the figures of a notebook, in order."""
    found = []
    for cell in code_cells(path):
        meta = cell.metadata.get("mystnb", {})
        if "figure" in meta or "plt.subplots(" in cell.source or "interactive." in cell.source:
            found.append((meta["figure"].get("name"), meta["figure"]["caption"]))
    return found


def bullets_of(section):
    return [part.strip() for part in re.split(r"^\* ", section, flags=re.MULTILINE)[1:]]


@each_chapter
def test_every_figure_is_numbered_and_the_text_before_it_says_what_to_see(path):
    text_so_far = ""
    for cell in load(path).cells:
        if cell.cell_type == "markdown":
            text_so_far += cell.source
        elif "figure" in cell.metadata.get("mystnb", {}):
            name = cell.metadata["mystnb"]["figure"]["name"]
            sentence = re.search(rf"[^.]*\{{numref\}}`{name}`[^.]*[.:]", text_so_far)
            assert sentence, name
            assert len(sentence[0].split()) >= 6, sentence[0]


def test_no_two_figures_share_a_name():
    names = [name for path in READING for name, _ in figures_of(path)]
    assert all(re.fullmatch(r"fig-[a-z0-9-]+", name) for name in names)
    assert sorted(set(names)) == sorted(names)


@each_chapter
def test_a_caption_reads_alone(path):
    for name, caption in figures_of(path):
        assert caption.endswith("."), name
        assert len(caption.split()) >= 10, name
        assert not re.search(
            r"\b(see (the )?text|this page|(as|shown|seen) (above|below))\b", caption
        ), name


@each_chapter
def test_a_chapter_opens_with_label_title_task_and_run_time(path):
    first = load(path).cells[0].source
    assert re.match(r"\(ch-[a-z-]+\)=\n# [A-Z]\w+,? ", first)
    assert re.search(r"^You will ", first, flags=re.MULTILINE)
    assert re.search(r"^Run time: .+\.$", first, flags=re.MULTILINE)


BOX = r"^:::\{admonition\} ([^\n]+)\n:class: \w+\n\n(.+?)\n:::$"


@each_chapter
def test_the_first_screen_has_the_answer_with_its_limit_what_it_takes_and_the_wearer(path):
    screen = text_of(path).split("**What you will learn**")[0]
    boxes = re.findall(BOX, screen, flags=re.M | re.S)
    texts = dict(boxes)
    assert list(texts) == ["In short", "The wearer"]
    assert "{glue:text}" in texts["In short"]
    assert "limit" in texts["In short"].lower()
    assert re.search(r"\*\*Before you start:\*\* .+?\.\nRun time: ", screen, re.S)
    assert f"Reading time: {{{{ read_{path.stem} }}}}." in screen
    assert 2 <= len(re.findall(r"[.?:](?=\s|$)", texts["The wearer"])) <= 6
    assert len(re.sub(r"\{\w+(:\w+)?\}`[^`]*`", "x", screen).split()) <= 260


@each_chapter
def test_the_summary_answers_what_the_chapter_promised_bullet_by_bullet_with_numbers(path):
    promised = bullets_of(text_of(path).split("**What you will learn**")[1].split("\n## ")[0])
    cell = next(c.source for c in load(path).cells if c.source.startswith("## Summary"))
    answered = bullets_of(cell)
    assert 3 <= len(promised) <= 5
    assert len(answered) == len(promised)
    assert [answer for answer in answered if "{glue:text}" not in answer] == []


@each_chapter
def test_three_to_five_questions_with_folded_answers_stand_before_the_exercises(path):
    texts = [cell.source for cell in load(path).cells if cell.cell_type == "markdown"]
    at = next(n for n, text in enumerate(texts) if text.startswith("## Check yourself"))
    assert texts[at + 1].startswith("## Exercises")
    asked = re.findall(r"^```\{dropdown\} (\d)\. (.+)\n(.+)\n```$", texts[at], flags=re.M)
    assert 3 <= len(asked) <= 5
    assert [int(number) for number, _, _ in asked] == list(range(1, len(asked) + 1))
    for _, question, answer in asked:
        assert re.search(r"[.?]$", question), question
        assert len(answer.split()) >= 12, answer


@each_chapter
def test_the_solutions_of_the_exercises_are_folded(path):
    cell = next(c.source for c in load(path).cells if c.source.startswith("## Exercises"))
    asked, solved = cell.split("```{admonition} Solution", 1)
    assert ":class: dropdown" in solved
    numbers = re.findall(r"^(\d+)\. ", asked, flags=re.MULTILINE)
    answers = re.findall(r"^(\d+)\. ", solved, flags=re.MULTILINE)
    assert numbers
    assert answers == numbers or (numbers == ["1"] and not answers)


def test_a_work_has_the_label_that_the_text_calls_it_by():
    site._register_labels()
    style = find_plugin("pybtex.style.formatting", "author_year")()
    works = parse_file(str(BOOK / "references.bib")).entries
    labels = {one.key: one.label for one in style.format_entries(works.values())}
    assert labels["matyschik2020"] == "Matyschik et al., 2020"
    assert labels["kingma2014"] == "Kingma and Welling, 2014"
    assert labels["horacek2008"] == "Horáček et al., 2008"
    assert len(set(labels.values())) == len(works)
    assert ":style: author_year" in (BOOK / "bibliography.md").read_text()


def test_works_after_1990_on_rebuilding_leads_and_on_attribution_are_related():
    works = parse_file(str(BOOK / "references.bib")).entries
    text = (BOOK / "related_work.md").read_text()
    for heading, least in (("Rebuilding leads", 15), ("Explaining networks on the ECG", 5)):
        section = text.split(f"## {heading}\n")[1].split("\n## ")[0]
        rows = re.findall(r"^\| \{cite:t\}`(\w+)` \|(.+)\|$", section, flags=re.M)
        assert sum(int(works[key].fields["year"]) > 1990 for key, _ in rows) >= least
        assert all(cell.strip() for _, row in rows for cell in row.split("|"))


def test_every_entry_of_the_bibliography_is_cited():
    known = set(re.findall(r"@\w+\{(\w+),", (BOOK / "references.bib").read_text()))
    texts = [text_of(path) for path in NOTEBOOKS] + [p.read_text() for p in BOOK.glob("*.md")]
    cited = re.findall(r"\{cite:[pt]\}`([^`]+)`", "\n".join(texts))
    assert known - {key for group in cited for key in group.split(",")} == set()


def test_every_claim_links_to_a_section_that_its_chapter_has():
    for claim in CLAIMS:
        assert f"## {claim.section}\n" in text_of(BOOK / f"{claim.chapter}.ipynb") + "\n", claim


@each_notebook
def test_a_notebook_runs_after_all_whose_artifacts_it_reads(path):
    code = "\n".join(cell.source for cell in code_cells(path))
    read = set(re.findall(r'chapter\.read_\w+\(\s*"(\w+)"', code))
    by_call = {"load_group(": "06_vae", "read_shares(": "08_condition"}
    read |= {chapter for call, chapter in by_call.items() if call in code}
    before, wanted = set(), {path.stem}
    while wanted:
        wanted = {other for name in wanted for other in NEEDS.get(name, ())} - before
        before |= wanted
    assert read <= before


@each_notebook
def test_a_styled_table_has_a_fixed_name_so_that_two_runs_are_the_same(path):
    code = "\n".join(cell.source for cell in code_cells(path))
    assert code.count(".style.") == code.count(".style.set_uuid(")


NUMBERED = [path for path in NOTEBOOKS if path.stem[0].isdigit()]
each_numbered = pytest.mark.parametrize("path", NUMBERED, ids=lambda path: path.stem)
WITHOUT_MODEL = {"08_condition", "11_your_own_ecg"}  # they use the models of other chapters


def diagrams_of(path):
    return re.findall(
        r"figures\.(draw_\w+)\(figures\.sheet\(\)\)", "\n".join(c.source for c in code_cells(path))
    )


@each_numbered
def test_a_chapter_shows_a_diagram_before_its_first_section(path):
    before = []
    for cell in load(path).cells:
        if cell.cell_type == "markdown" and re.search(r"^## ", cell.source, flags=re.MULTILINE):
            break
        before.append(cell.source)
    assert len(diagrams_of(path)) == 1
    assert f"figures.{diagrams_of(path)[0]}(figures.sheet());" in before


def test_no_two_chapters_show_the_same_diagram():
    shown = [name for path in NUMBERED for name in diagrams_of(path)]
    assert sorted(set(shown)) == sorted(shown)
    assert not [name for name in shown if not hasattr(figures, name)]


def formulas(text):
    """The formulas of a text, equations and those inside a line."""
    text = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    return re.findall(r"\$\$\n(.*?)\n\$\$", text, re.DOTALL) + re.findall(
        r"(?<!\$)\$([^$\n]+)\$(?!\$)", text
    )


def symbols(text):
    """The letters of all formulas of a text, as they are typeset, without named functions."""
    marks = "".join(tex2mathml(formula) for formula in formulas(text))
    assert "\\" not in re.sub(r"<[^>]*>", "", marks), "a command of TeX that was not understood"
    found = set(re.findall(r"<mi[^>]*>([^<]*)</mi>", marks))
    return found - {"cov", "var", "exp", "ln", "arg", "max", "\N{PARTIAL DIFFERENTIAL}", "\u2026"}


@each_numbered
def test_a_chapter_with_a_model_has_an_equation_that_names_the_function_that_computes_it(path):
    if path.stem in WITHOUT_MODEL:
        return
    cells = [
        c.source for c in load(path).cells if c.cell_type == "markdown" and "\n$$\n" in c.source
    ]
    assert cells
    code = "\n".join(each.read_text() for each in (ROOT / "ecgnb").rglob("*.py"))
    for text in cells:
        named = re.findall(r"`(?:\w+\.)?(\w+)`", text)
        assert any(f"def {name}(" in code for name in named), text
        assert len(re.findall(r"^\$\$ \(eq-[a-z-]+\)$", text, re.MULTILINE)) * 2 == text.count(
            "$$"
        )


def test_every_symbol_of_an_equation_is_in_the_notation():
    known = symbols((BOOK / "notation.md").read_text())
    assert len(known) > 40
    missing = {path.stem: symbols(text_of(path)) - known for path in NUMBERED}
    assert {name: found for name, found in missing.items() if found} == {}


def test_no_two_equations_share_a_name_and_every_reference_has_one():
    text = "\n".join(text_of(path) for path in NUMBERED)
    names = re.findall(r"^\$\$ \((eq-[a-z-]+)\)$", text, re.MULTILINE)
    assert sorted(set(names)) == sorted(names)
    assert set(re.findall(r"\{eq\}`([^`]+)`", text)) <= set(names)
