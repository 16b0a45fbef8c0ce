"""The graph behind `make book`: notebooks run when what they depend on changed, then the HTML."""

import os
import warnings
from collections.abc import Iterator

warnings.simplefilter("ignore")

from doit.tools import config_changed  # noqa: E402

from ecgnb.book import build  # noqa: E402
from ecgnb.book.chapter import ROOT  # noqa: E402
from ecgnb.book.provenance import commit_of  # noqa: E402
from ecgnb.book.site import TEXTS  # noqa: E402
from ecgnb.records.databases import data_folder  # noqa: E402

DATA = str(data_folder(os.environ.get("DATA")) or "")  # whole: notebooks run in book/
BUILD = build.Build(os.environ.get("PROFILE", "demo"), DATA)
PAGES = build.pages(BUILD)
PROJECT = [str(ROOT / name) for name in (*TEXTS, "CITATION.cff", "README.md")]
PACKAGE = [str(path) for path in sorted((ROOT / "ecgnb").rglob("*.py"))]
RESULTS = [str(path) for path in sorted((ROOT / "results").glob("*.csv*"))]
DOIT_CONFIG = {
    "default_tasks": ["html"],
    "dep_file": str(ROOT / "build" / f".doit-{BUILD.profile}-{BUILD.label}"),
    "backend": "json",
    "verbosity": 2,
    "reporter": "zero",
}


def target(page: build.Page) -> str:
    """Return the executed notebook of a page."""
    return str(BUILD.executed / f"{page.name}.ipynb")


def task_notebook() -> Iterator[dict]:
    """Yield a task per notebook."""
    settings = {"data": build.data_identity(BUILD.data), "profile": BUILD.profile}
    for page in PAGES:
        about = {"commit": commit_of(ROOT)} if page.name == "colophon" else {}
        before = [target(other) for other in build.needed_by(page, PAGES)]
        yield {
            "name": page.name,
            "actions": [(build.execute, [page, BUILD])],
            "file_dep": [str(page.source), *PACKAGE, *RESULTS, *before],
            "targets": [target(page)],
            "uptodate": [config_changed(settings | page.parameters | about)],
        }


def _texts() -> list[str]:
    paths = [p for p in sorted(build.BOOK.rglob("*")) if p.is_file() and p.suffix != ".ipynb"]
    return [str(path) for path in [*paths, ROOT / "_config.yml"]]


def task_html() -> dict:
    """Return the task that renders the site."""
    return {
        "actions": [(build.render, [BUILD])],
        "file_dep": [*_texts(), *PROJECT, *PACKAGE, *(target(page) for page in PAGES)],
        "targets": [str(BUILD.html / "index.html")],
        "uptodate": [config_changed({"profile": BUILD.profile, "n_page": len(PAGES)})],
    }


def task_pdf() -> dict:
    """Return the task that puts the book on one page, for print."""
    return {
        "actions": [(build.print_book, [BUILD])],
        "file_dep": [*_texts(), *(target(page) for page in PAGES)],
        "uptodate": [False],
    }


def task_linkcheck() -> dict:
    """Return the task that asks for every external link of the book."""
    return {
        "actions": [(build.check_links, [BUILD])],
        "file_dep": [*_texts(), *(target(page) for page in PAGES)],
        "uptodate": [False],
    }
