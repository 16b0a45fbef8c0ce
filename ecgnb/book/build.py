"""Build the book: run every notebook that changed, stage the copies, render the HTML."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import matplotlib.pyplot as plt
import nbformat
import papermill
import yaml
from papermill.exceptions import PapermillExecutionError

from ecgnb.book.chapter import NEEDS, ROOT, label_of
from ecgnb.book.reference import write_commands
from ecgnb.book.site import (
    chapter_facts,
    clear_outputs,
    copy_texts,
    read_terms,
    repair_page,
    source_link,
    tell_terms,
    write_config,
    write_pdf,
    write_source,
)
from ecgnb.figures.diagram_parts import sheet
from ecgnb.figures.diagrams_of_use import draw_book
from ecgnb.records.databases import data_folder, find_records
from ecgnb.records.labels import CONDITIONS, condition_of, condition_slug
from ecgnb.records.wfdb_header import HeaderError, parse_header

BOOK, BUILD = ROOT / "book", ROOT / "build"

_LAST = ("colophon",)

_ADDRESS = re.compile(r" at 0x[0-9a-f]+(?=>)")  # where an object was in memory


@dataclass(frozen=True)
class Page:
    """One notebook to run: its name in the book, its source and extra parameters."""

    name: str
    chapter: str
    parameters: dict[str, str] = field(default_factory=dict)

    @property
    def source(self) -> Path:
        """The clean notebook."""
        return BOOK / f"{self.chapter}.ipynb"


@dataclass(frozen=True)
class Build:
    """One build: profile and data folder ("" for the simulated cohort)."""

    profile: str
    data: str

    @property
    def label(self) -> str:
        """`simulated` or `real`."""
        return label_of(self.data)

    @property
    def executed(self) -> Path:
        """Where executed notebooks are kept."""
        return BUILD / "executed" / f"{self.profile}-{self.label}"

    @property
    def html(self) -> Path:
        """Where the finished site is."""
        return BUILD / ("html" if self.label == "simulated" else "html-real")


def pages(build: Build) -> list[Page]:
    """Return the pages of the book in the order of its table of contents."""
    found = []
    for chapter in _chapter_names():
        if chapter == "08_condition":
            found += [
                Page(f"{chapter}_{condition_slug(condition)}", chapter, {"condition": condition})
                for condition in _conditions_present(build.data)
            ]
        elif (BOOK / f"{chapter}.ipynb").is_file():
            found.append(Page(chapter, chapter))
    return found


def _chapter_names() -> list[str]:
    """Return the files of the table of contents, in order."""
    contents = yaml.safe_load((BOOK / "_toc.yml").read_text(encoding="utf-8"))
    entries = [entry for part in contents["parts"] for entry in part["chapters"]]
    return [entry["file"] for entry in entries]


def _conditions_present(data: str) -> list[str]:
    """Return the conditions of the book that the data holds, in the book's order."""
    folder = data_folder(data)
    if folder is None:
        return list(CONDITIONS)
    present = set()
    for path in find_records(folder, "ptbdb"):
        try:
            present.add(
                condition_of(
                    parse_header(path.read_text(errors="replace", encoding="utf-8")).comments
                )
            )
        except (HeaderError, OSError):
            continue
    return [condition for condition in CONDITIONS if condition in present]


def needed_by(page: Page, all_pages: list[Page]) -> list[Page]:
    """Return the pages that must have run before a page."""
    if page.chapter in _LAST:
        return [other for other in all_pages if other.chapter not in _LAST]
    wanted = NEEDS.get(page.chapter, ())
    return [other for other in all_pages if other.chapter in wanted]


def data_identity(data: str) -> str:
    """Return a SHA-256 of the names, sizes and times of the files in the data folder."""
    folder = data_folder(data)
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")) if folder else []:
        status = path.stat()
        line = f"{path.relative_to(folder)} {status.st_size} {status.st_mtime_ns}\n"
        digest.update(line.encode())
    return digest.hexdigest()


def execute(page: Page, build: Build) -> None:
    """Run one notebook; a failure leaves it as `<name>.failed.ipynb` and stops the build."""
    started = time.monotonic()
    build.executed.mkdir(parents=True, exist_ok=True)
    partial = build.executed / f"{page.name}.partial.ipynb"
    failed = build.executed / f"{page.name}.failed.ipynb"
    parameters = {"profile": build.profile, "data": build.data} | page.parameters
    try:
        papermill.execute_notebook(
            page.source,
            partial,
            parameters,
            progress_bar=False,
            cwd=BOOK,
            kernel_name="python3",
            extra_arguments=["--log-level=50"],
        )
    except PapermillExecutionError as error:
        partial.replace(failed)
        lines = "".join(error.traceback[-1:]) or str(error)
        raise SystemExit(
            f"\n{page.name} failed in cell {error.cell_index}: {error.ename}: {error.evalue}\n"
            f"{lines}\nThe notebook as far as it ran: {failed.relative_to(ROOT)}"
        ) from None
    failed.unlink(missing_ok=True)
    _tidy(partial, page)
    seconds = time.monotonic() - started
    (build.executed / f"{page.name}.seconds").write_text(f"{seconds:.1f}\n", encoding="utf-8")
    partial.replace(build.executed / f"{page.name}.ipynb")
    print(f"  {page.name:<42}{seconds:6.1f} s", flush=True)


def _tidy(path: Path, page: Page) -> None:
    """Take run times out of an executed notebook, show the parameters, name the condition."""
    notebook = nbformat.read(path, as_version=4)
    if "condition" in page.parameters:
        _name_condition(notebook, page.parameters["condition"])
    notebook.metadata.pop("papermill", None)
    for number, cell in enumerate(notebook.cells):
        for key in ("papermill", "execution"):
            cell.metadata.pop(key, None)
        tags = cell.metadata.get("tags", [])
        if "injected-parameters" in tags:
            cell.id = "injected-parameters"
            cell.source = "\n".join(
                'data = "<data folder>"' if line.startswith('data = "') and len(line) > 9 else line
                for line in cell.source.splitlines()
            )
        if "parameters" in tags:
            cell.metadata.tags = [*tags, "remove-cell"]
        cell.setdefault("id", f"cell-{number}")
        for output in cell.get("outputs", []):
            if "text/plain" in output.get("data", {}):
                plain = output.data["text/plain"]
                output.data["text/plain"] = _ADDRESS.sub("", plain)
    nbformat.write(notebook, path)


def _name_condition(notebook: nbformat.NotebookNode, condition: str) -> None:
    """Give a copy of the condition template its own title, label, text and names of figures."""
    slug = condition_slug(condition).replace("_", "-")
    notebook.cells = [
        cell for cell in notebook.cells if cell.metadata.get("condition", condition) == condition
    ]
    first = notebook.cells[0]
    first.source = first.source.replace(
        "# Look at one condition", f"# {condition.capitalize()}", 1
    )
    first.source = first.source.replace("(ch-condition)=", f"(ch-condition-{slug})=", 1)
    for cell in notebook.cells:
        figure = cell.metadata.get("mystnb", {}).get("figure", {})
        if "name" in figure:
            figure["name"] = figure["name"].replace("fig-condition", f"fig-{slug}")
        if cell.cell_type == "markdown":
            cell.source = cell.source.replace("{numref}`fig-condition", f"{{numref}}`fig-{slug}")


def render(build: Build) -> None:
    """Stage the pages and render them, every warning an error."""
    started = time.monotonic()
    stage = _stage_sources(build)
    site = BUILD / f"site-{build.label}"
    _run_sphinx(stage, site, "html")
    shutil.rmtree(build.html, ignore_errors=True)
    shutil.copytree(site / "_build" / "html", build.html)
    terms = read_terms((build.html / "glossary.html").read_text(encoding="utf-8"))
    for page in build.html.rglob("*.html"):
        told = tell_terms(repair_page(page.read_text(encoding="utf-8")), terms)
        page.write_text(told, encoding="utf-8")
    for notebook in (build.html / "_sources").glob("*.ipynb"):
        clear_outputs(notebook)
    print(f"  {'HTML':<42}{time.monotonic() - started:6.1f} s", flush=True)
    print(f"\nThe book is at {(build.html / 'index.html').relative_to(ROOT)}", flush=True)


def print_book(build: Build) -> None:
    """Render all chapters as one page, and that page as a PDF where there is a Chromium."""
    stage = _stage_sources(build)
    site = BUILD / f"site-{build.label}"
    _run_sphinx(stage, site, "singlehtml")
    target = BUILD / ("print" if build.label == "simulated" else "print-real")
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(site / "_build" / "singlehtml", target)
    page = target / "index.html"
    page.write_text(repair_page(page.read_text(encoding="utf-8")), encoding="utf-8")
    print(f"The book on one page is at {page.relative_to(ROOT)}", flush=True)
    pdf = write_pdf(page, target / "ecgnb.pdf")
    told = f"As PDF: {pdf.relative_to(ROOT)}" if pdf else "No PDF: Chromium is not installed"
    print(told, flush=True)


def check_links(build: Build) -> None:
    """Ask for every external link of the book; a broken one stops with its page and line."""
    _run_sphinx(_stage_sources(build), BUILD / "linkcheck", "linkcheck")
    print("Every external link answered.", flush=True)


def _stage_sources(build: Build) -> Path:
    """Return a folder with all that Sphinx needs: texts, executed notebooks, configuration."""
    stage = BUILD / f"src-{build.label}"
    shutil.rmtree(stage, ignore_errors=True)
    shutil.copytree(BOOK, stage, ignore=shutil.ignore_patterns("*.ipynb", ".ipynb_checkpoints"))
    all_pages = pages(build)
    for page in all_pages:
        shutil.copy(build.executed / f"{page.name}.ipynb", stage)
    _write_contents(stage / "_toc.yml", all_pages)
    _draw_map(stage / "_static" / "map.png")
    copy_texts(ROOT, stage)
    write_commands(stage / "_project" / "commands.md")
    source = write_source(ROOT, stage / f"ecgnb-{version('ecgnb')}.zip")
    facts = chapter_facts(BOOK, build.executed, _chapter_names())
    facts["source_link"] = source_link(ROOT, source.name)
    write_config(ROOT / "_config.yml", stage / "_config.yml", facts)
    return stage


def _draw_map(path: Path) -> None:
    """Draw the map of the book that the index shows."""
    with plt.rc_context():
        axes = draw_book(sheet())
        axes.figure.savefig(path)
        plt.close(axes.figure)


def _run_sphinx(stage: Path, target: Path, builder: str) -> None:
    """Run one of jupyter-book's builders; a warning stops it."""
    command = [str(Path(sys.executable).with_name("jupyter-book")), "build", str(stage)]
    command += ["--config", str(stage / "_config.yml"), "--path-output", str(target)]
    command += ["--builder", builder, "--all", "-W", "-n", "--keep-going", "-q"]
    environment = os.environ | {"PYTHONWARNINGS": "ignore", "PYTHONUTF8": "1"}
    result = subprocess.run(
        command, capture_output=True, text=True, env=environment, check=False, encoding="utf-8"
    )
    if result.returncode:
        raise SystemExit(f"{result.stdout[-4000:]}\n{result.stderr[-6000:]}\nThe site failed.")


def _write_contents(path: Path, all_pages: list[Page]) -> None:
    """Write the table of contents with one entry per page that exists."""
    contents = yaml.safe_load((BOOK / "_toc.yml").read_text(encoding="utf-8"))
    for part in contents["parts"]:
        files = []
        for entry in part["chapters"]:
            named = [page.name for page in all_pages if page.chapter == entry["file"]]
            is_text = (BOOK / f"{entry['file']}.md").is_file()
            files += named or ([entry["file"]] if is_text else [])
        part["chapters"] = [{"file": name} for name in files]
    contents["parts"] = [part for part in contents["parts"] if part["chapters"]]
    path.write_text(yaml.safe_dump(contents, sort_keys=False), encoding="utf-8")
