"""The pages for those who use the project say what its files and its commands say."""

import re
import tomllib
from pathlib import Path

import pytest
import typer
import yaml

from ecgnb.cli import app
from ecgnb.records.catalogue import DATABASES

ROOT = Path(__file__).resolve().parent.parent
BOOK = ROOT / "book"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text())
ENTRY = re.compile(r"```bibtex\n(.*?)```", re.DOTALL)


def page(name):
    return (BOOK / f"{name}.md").read_text()


def fields_of(entry):
    """The fields of a BibTeX entry, without its braces."""
    found = re.findall(r"^\s+(\w+)\s*= \{(.*?)\},?$", entry, flags=re.MULTILINE)
    return {key: value.strip("{}") for key, value in found}


def entry_of(text, kind):
    return next(fields_of(one) for one in ENTRY.findall(text) if one.startswith(f"@{kind}"))


@pytest.mark.parametrize("text", [page("cite"), (ROOT / "README.md").read_text()])
def test_the_entry_for_the_project_is_that_of_the_citation_file(text):
    entry = entry_of(text, "software")
    assert entry == {
        "title": CITATION["title"],
        "author": CITATION["authors"][0]["name"],
        "year": str(CITATION["date-released"].year),
        "version": CITATION["version"],
        "license": CITATION["license"],
    }


def test_the_entry_for_the_paper_is_that_of_the_citation_file():
    (paper,) = CITATION["references"]
    entry = entry_of(page("cite"), "inproceedings")
    assert entry["title"] == paper["title"]
    assert entry["year"] == str(paper["year"])
    assert entry["doi"] == paper["doi"]
    names = [one["family-names"] for one in paper["authors"]]
    assert [name.split(",")[0] for name in entry["author"].split(" and ")] == names
    assert f"https://doi.org/{paper['doi']}" in page("cite")


def test_the_citation_in_words_says_the_same():
    text = " ".join(page("cite").split())
    year = CITATION["date-released"].year
    author = CITATION["authors"][0]["name"]
    said = f"{author}. *{CITATION['title']}*. Version {CITATION['version']}"
    assert f"{said}, {year}. {CITATION['license']} License." in text


def rows_of(text, heading):
    table = text.split(f"## {heading}\n", 1)[1].split("\n## ")[0]
    lines = [line for line in table.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_page_of_the_data_agrees_with_the_catalogue():
    expected = [
        [
            f"[{one.title}]({one.address}) (`{one.name}`)",
            one.version,
            one.licence,
            "not stated" if one.n_person is None else str(one.n_person),
            f"[{doi}](https://doi.org/{doi})",
        ]
        for one in DATABASES.values()
        for doi in [one.citation.removeprefix("doi:")]
    ]
    assert rows_of(page("data_and_licences"), "Databases") == expected


def test_every_licence_of_the_catalogue_is_linked():
    links = re.findall(r"\]\((https://(?:open|creative)\S+?)\)", page("data_and_licences"))
    known = {"ODC-By 1.0": "opendatacommons.org/licenses/by/1-0", "CC BY 4.0": "/licenses/by/4.0"}
    for database in DATABASES.values():
        assert any(known[database.licence] in link for link in links), database.licence


def test_every_command_has_its_row():
    commands = typer.main.get_command(app).commands
    said = [name.strip("`") for name, _ in rows_of(page("use_your_data"), "All commands")]
    assert sorted(said) == sorted(f"ecgnb {name}" for name in commands)


def test_every_option_that_the_page_names_is_one():
    commands = typer.main.get_command(app).commands
    known = {name for one in commands["reconstruct"].params for name in one.opts}
    known |= {"--help", "--json", "--debug", "--folder"}
    named = re.findall(r"(?<!-)--[a-z][a-z-]+", page("use_your_data"))
    assert set(named) <= known


def test_every_extra_is_told_and_no_other():
    said = re.findall(r'^\| `-e "\.\[(\w+)\]"`', page("install"), flags=re.MULTILINE)
    assert sorted(said) == sorted(PROJECT["optional-dependencies"])


def without_make(text):
    """The commands without make in a text, for Linux and for Windows, by program and words."""
    found = re.findall(r"^ *(\.venv\S+python -m .+|py(?:thon3)? -m venv .+)$", text, re.MULTILINE)
    words = [line.replace("\\", "/").replace("Scripts", "bin").split()[1:] for line in found]
    assert all(line.startswith((".venv", "py")) for line in found)
    return [" ".join(line) for line in words]


def test_the_commands_without_make_are_those_of_the_readme_on_every_system():
    readme = without_make((ROOT / "README.md").read_text())
    assert readme == [
        "-m venv .venv",
        '-m pip install -c constraints.txt -e ".[book]"',
        "-m ecgnb book --profile smoke",
    ]
    assert without_make(page("install")) == readme * 2


def test_the_pin_that_the_page_names_is_the_one_of_the_constraints():
    (pin,) = re.findall(r"torch==([\d.]+\d)", page("install"))
    assert f"torch=={pin}\n" in (ROOT / "constraints.txt").read_text()


def test_the_front_page_leads_to_each_of_them():
    index = page("index")
    for label in ("ch-install", "ch-use", "ch-cite", "ch-data", "ch-api"):
        assert re.search(rf"{{ref}}`[^`]*{label}>?`|:link: {label}$", index, re.MULTILINE), label


WORKFLOWS = [ROOT / ".github/workflows/ci.yml", ROOT / ".gitlab-ci.yml"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_runs_what_this_project_has(path):
    text = path.read_text()
    assert text.startswith("# Untried")
    assert ".ci/run" in text
    named = re.findall(r"tests/test_\w+\.py", text)
    assert named
    assert [name for name in named if not (ROOT / name).is_file()] == []
    extras = re.findall(r'-e "\.\[([\w,]+)\]"', text)
    assert extras
    assert {one for group in extras for one in group.split(",")} <= set(
        PROJECT["optional-dependencies"]
    )
    (page,) = set(re.findall(r"ecgnb book --profile smoke --page (\w+)", text))
    assert (BOOK / f"{page}.ipynb").is_file()
    for python in re.findall(r'"(3\.\d+)"', text):
        assert f"{python}" in page_of_pythons()


def page_of_pythons():
    return re.search(r"needs Python (.*?) and about", page("install"))[1]


def test_contributing_says_which_workflows_are_untried():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    for path in WORKFLOWS:
        assert path.relative_to(ROOT).as_posix() in text
    assert "untried" in text
