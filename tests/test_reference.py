"""The API reference of the built site: complete, linked from code; and what a reader downloads."""

import ast
import importlib
import inspect
import io
import json
import re
import zipfile
from functools import cache
from pathlib import Path

import pytest
import yaml
from typer.main import get_command

import ecgnb
from ecgnb.book.reference import write_commands
from ecgnb.cli.commands import app

ROOT = Path(__file__).resolve().parent.parent
BOOK = ROOT / "book"
SITES = [site for site in (ROOT / "build/html", ROOT / "build/html-real") if site.is_dir()]
ROOMS = [name for name in ecgnb.__all__ if inspect.ismodule(getattr(ecgnb, name))]
FACES = ["ecgnb", *(f"ecgnb.{name}" for name in ROOMS)]
LINK = re.compile(r'codeautolink-a" href="api_\w+\.html#ecgnb\.\w+\.(\w+)')
in_site = pytest.mark.skipif(not SITES, reason="no built site: run `make book` first")


def callables_of(face):
    """The public functions and classes of a package's face."""
    module = importlib.import_module(face)
    for name in module.__all__:
        one = getattr(module, name)
        if inspect.isclass(one) or inspect.isroutine(one):
            yield name


@cache
def ids_of(site, page):
    return set(re.findall(r'\bid="([^"]+)"', (site / f"{page}.html").read_text()))


def test_there_is_a_page_for_every_package():
    contents = yaml.safe_load((BOOK / "_toc.yml").read_text())
    files = {entry["file"] for part in contents["parts"] for entry in part["chapters"]}
    for room in ROOMS:
        assert f"api_{room}" in files
        assert f".. automodule:: ecgnb.{room}\n" in (BOOK / f"api_{room}.md").read_text()
        assert f"`ecgnb.{room} <api-{room}>`" in (BOOK / "api.md").read_text()


def test_the_overview_lists_the_everyday_names_and_no_other():
    text = (BOOK / "api.md").read_text()
    named = re.findall(r"^   ecgnb\.\w+\.(\w+)$", text, flags=re.MULTILINE)
    assert sorted(named) == sorted(callables_of("ecgnb"))
    for room, name in re.findall(r"^   ecgnb\.(\w+)\.(\w+)$", text, flags=re.MULTILINE):
        own = getattr(importlib.import_module(f"ecgnb.{room}"), name)
        assert own is getattr(ecgnb, name)


def test_every_name_of_a_face_says_in_its_docstring_what_it_is():
    for face in FACES:
        module = importlib.import_module(face)
        bare = [name for name in callables_of(face) if not inspect.getdoc(getattr(module, name))]
        assert bare == [], face


@pytest.mark.parametrize("room", ROOMS)
def test_a_page_says_what_each_constant_is(room):
    described = re.findall(
        rf"^\.\. py:data:: (\w+)\n   :module: ecgnb\.{room}\n\n   \w.+\.$",
        (BOOK / f"api_{room}.md").read_text(),
        flags=re.MULTILINE,
    )
    constants = {*getattr(ecgnb, room).__all__} - {*callables_of(f"ecgnb.{room}")}
    assert sorted(described) == sorted(constants)


@in_site
@pytest.mark.parametrize("site", SITES, ids=lambda site: site.name)
@pytest.mark.parametrize("room", ROOMS)
def test_every_public_name_has_an_entry(site, room):
    names = {f"ecgnb.{room}.{name}" for name in getattr(ecgnb, room).__all__}
    assert names - ids_of(site, f"api_{room}") == set()


def imported_names(path):
    """The functions and classes of the faces that a notebook imports."""
    cells = json.loads(path.read_text())["cells"]
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and node.module in FACES:
            for alias in node.names:
                if alias.name in set(callables_of(node.module)):
                    yield alias.name


@in_site
@pytest.mark.parametrize("path", sorted(BOOK.glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_name_of_the_package_in_a_code_cell_links_to_its_entry(path):
    for page in SITES[0].glob(f"{path.stem}*.html"):
        links = set(LINK.findall(page.read_text()))
        assert set(imported_names(path)) - links == set(), page.name


def commands_of(group, name="ecgnb"):
    """Every command with its full name, those of groups as well."""
    for word, one in group.commands.items():
        yield f"{name} {word}", one
        yield from commands_of(one, f"{name} {word}") if hasattr(one, "commands") else ()


def test_every_command_has_a_section_with_its_whole_purpose_and_each_option(tmp_path):
    write_commands(tmp_path / "commands.md")
    text = (tmp_path / "commands.md").read_text(encoding="utf-8")
    assert "..." not in re.sub(r"\[ARGS\]\.\.\.|\}\.\.\.|s\.\.\. <|, \.\.\.", "", text)
    sections = dict(re.findall(r"^##+ `(ecgnb .+?)`\n(.+?)(?=^##|\Z)", text, flags=re.M | re.S))
    commands = dict(commands_of(get_command(app)))
    assert set(sections) == set(commands)
    assert len(commands) > 20
    for name, command in commands.items():
        purpose = " ".join(command.help.split("\n\n")[0].split("Example:")[0].split())
        assert purpose in " ".join(sections[name].split()), name
        for one in command.params:
            if one.param_type_name == "option":
                assert f"* `{one.opts[0]}" in sections[name], name


def test_the_commands_are_told_alike_wherever_the_data_of_a_machine_lie(tmp_path, monkeypatch):
    write_commands(tmp_path / "first.md")
    monkeypatch.setenv("ECGNB_DATA", str(tmp_path))
    write_commands(tmp_path / "second.md")
    assert (tmp_path / "first.md").read_bytes() == (tmp_path / "second.md").read_bytes()


@in_site
@pytest.mark.parametrize("site", SITES, ids=lambda site: site.name)
def test_every_page_describes_itself(site):
    described = {}
    for page in site.glob("*.html"):
        found = re.findall(r'<meta name="description" content="([^"]+)"', page.read_text())
        if page.stem not in {"search", "genindex", "404"}:
            assert len(found) == 1, page.name
            described.setdefault(found[0], page.name)
    assert len(described) > 20


@in_site
@pytest.mark.parametrize("site", SITES, ids=lambda site: site.name)
def test_each_notebook_is_downloaded_from_its_page_without_outputs(site):
    pages = [path for path in site.glob("_sources/*.ipynb")]
    assert len(pages) > 15
    for path in pages:
        text = (site / f"{path.stem}.html").read_text()
        assert f'href="_sources/{path.name}"' in text, path.name
        cells = json.loads(path.read_text())["cells"]
        assert not [cell for cell in cells if cell.get("outputs")], path.name


@in_site
def test_the_source_is_downloaded_from_the_page_on_installing():
    text = (SITES[0] / "install.html").read_text()
    (link,) = re.findall(r'href="(_downloads/[^"]+\.zip)"', text)
    with zipfile.ZipFile(io.BytesIO((SITES[0] / link).read_bytes())) as packed:
        names = {name.split("/", 1)[1] for name in packed.namelist()}
        assert packed.testzip() is None
    assert {"pyproject.toml", "ecgnb/__init__.py", "book/index.md", "tests/conftest.py"} <= names
    assert not [name for name in names if name.endswith((".dat", ".hea", ".pyc"))]
