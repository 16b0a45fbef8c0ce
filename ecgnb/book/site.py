"""What the built pages need beyond Sphinx: where they are published, and repairs of their HTML."""

import html
import os
import re
import shutil
import subprocess
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
import yaml

from ecgnb.book.provenance import COMMIT_FILE, commit_of
from ecgnb.book.reference import tell_names

if TYPE_CHECKING:
    from docutils import nodes
    from sphinx.application import Sphinx
    from sphinx.writers.html5 import HTML5Translator

_HOSTED = re.compile(r"(?:https://|git@)(github|gitlab)\.com[/:]([\w.-]+)/([\w.-]+?)(?:\.git)?/?$")

TEXTS = ("CONTRIBUTING.md", "CHANGELOG.md")  # of the project, that pages include

_ROOMS = ("ecgnb", "book", "tests", "benchmarks", "results", ".ci", ".github")

_ZIP_TIME = (2026, 1, 1, 0, 0, 0)

_SIGNATURE = re.compile(r'(<span class="sig-paren">\(</span>)\s*<dl>(.*?)</dl>\s*', re.DOTALL)

_ENTRY = re.compile(r'<dt id="(term-[^"]+)">|<dd>(.*?)</dd>', re.DOTALL)

_TERM = re.compile(r'(<a class="[^"]*" href="glossary\.html#(term-[^"]+)")>')

_TAG_OF_A_DIAGRAM = "tag_remove-input"  # of its cell: no other cell shows its output alone

_REPAIRS = (
    # refused by browsers when read from disk
    (re.compile(r'<link rel="preload"[^>]*>'), ""),
    # 1.5 MB of icons that need not hold up the first paint
    (re.compile(r'<script (?=src="[^"]*/fontawesome/)'), "<script defer "),
    # a list whose items are none, and a role that WAI-ARIA has withdrawn
    (re.compile(r' role="list"(?= class="citation-list")| role="doc-biblioentry"'), ""),
    # a figure that scrolls on a phone is scrolled by keys as well
    (
        re.compile(r'(class="cell_output [^"]+")(?=>\s*<figure[^>]*>\s*<img [^>]*"ecgnb-wide")'),
        r'\1 tabindex="0" role="group" aria-label="Figure"',
    ),
    # the pages of the conditions come from one notebook
    (re.compile(r"(/book/08_condition)_\w+(\.ipynb)"), r"\1\2"),
)


def repair_page(text: str) -> str:
    """Return the HTML of a page with what Sphinx and its theme get wrong put right.

    Examples
    --------
    >>> repair_page('<link rel="preload" href="x.woff2"><p>text</p>')
    '<p>text</p>'
    >>> repair_page('<a href="https://x.org/lab/tree/book/08_condition_myocarditis.ipynb">')
    '<a href="https://x.org/lab/tree/book/08_condition.ipynb">'
    """
    for pattern, replacement in _REPAIRS:
        text = pattern.sub(replacement, text)
    return _SIGNATURE.sub(_plain_signature, text)


def read_terms(glossary: str) -> dict[str, str]:
    """Return what each term of the glossary means, by its anchor, from the HTML of that page.

    Examples
    --------
    >>> read_terms('<dt id="term-a">A</dt><dt id="term-b">B</dt><dd><p>Said <i>so</i>.</p></dd>')
    {'term-a': 'Said so.', 'term-b': 'Said so.'}
    """
    found, waiting = {}, []
    for anchor, meaning in _ENTRY.findall(glossary):
        waiting += [anchor] if anchor else []
        if meaning:
            plain = html.unescape(re.sub(r"<[^>]+>", "", meaning))
            found |= dict.fromkeys(waiting, " ".join(plain.split()))
            waiting = []
    return found


def tell_terms(text: str, terms: Mapping[str, str]) -> str:
    """Return the HTML of a page whose links to terms say their meaning when pointed at.

    Examples
    --------
    >>> tell_terms('<a class="x" href="glossary.html#term-a">a</a>', {"term-a": "Said so."})
    '<a class="x" href="glossary.html#term-a" title="Said so.">a</a>'
    """

    def tell(found: re.Match) -> str:
        meaning = terms.get(found[2])
        return f'{found[1]} title="{html.escape(meaning)}">' if meaning else found[0]

    return _TERM.sub(tell, text)


def _plain_signature(found: re.Match) -> str:
    """Return a signature of several lines without its list, which has definitions of no term."""
    lines = found[2].replace("<dd>", '<span class="sig-line">').replace("</dd>", "</span>")
    return f'{found[1]}<span class="sig-lines">{lines}</span>'


def clear_outputs(path: Path) -> None:
    """Take the outputs out of a notebook: readers download one that is light and ready to run."""
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    nbformat.write(notebook, path)


def _public_address(remote: str) -> str:
    """Return the address of a public repository from the address of a git remote, else "".

    Examples
    --------
    >>> _public_address("git@github.com:someone/ecgnb.git")
    'https://github.com/someone/ecgnb'
    >>> _public_address("https://gitlab.com/someone/ecgnb")
    'https://gitlab.com/someone/ecgnb'
    >>> _public_address("/some/folder")
    ''
    """
    found = _HOSTED.match(remote.strip())
    return f"https://{found[1]}.com/{found[2]}/{found[3]}" if found else ""


def _published_at(folder: Path) -> dict[str, str]:
    """Return `url` and `branch` of the public repository of a working copy, empty if it has none.

    The environment variable `ECGNB_REPOSITORY` goes before the git remote `origin`.
    """
    address = _public_address(os.environ.get("ECGNB_REPOSITORY") or _git(folder, "remote"))
    if not address:
        return {}
    branch = _git(folder, "branch").removeprefix("origin/")
    return {"url": address, "branch": branch or "main"}


def _git(folder: Path, what: str) -> str:
    """Return the address of `origin`, or its default branch, or "" where git does not know."""
    commands = {
        "remote": ["git", "remote", "get-url", "origin"],
        "branch": ["git", "symbolic-ref", "--short", "refs/remotes/origin/HEAD"],
    }
    try:
        done = subprocess.run(
            commands[what],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            encoding="utf-8",
        )
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _cited_as(names: list[str], year: str) -> str:
    """Return the label of a work in the bibliography: what the text calls it by.

    Parameters
    ----------
    names
        Last names of its authors, in order.
    year
        Of publication.

    Examples
    --------
    >>> _cited_as(["Kingma", "Welling"], "2014")
    'Kingma and Welling, 2014'
    >>> _cited_as(["Zhu", "Pan", "Cheng", "Huan"], "2018")
    'Zhu et al., 2018'
    """
    shown = f"{names[0]} et al." if len(names) > 2 else " and ".join(names)
    return f"{shown}, {year}"


def setup(app: "Sphinx") -> dict[str, bool]:
    """Teach Sphinx, as an extension of the book, equations, labels of sources, links from code.

    Equations become MathML, which browsers typeset themselves, so that no page needs MathJax;
    the bibliography gets the style `author_year`; the diagram of a chapter moves to its top.
    """
    _register_labels()
    app.connect("doctree-read", _raise_diagram)
    app.add_html_math_renderer("mathml", (_write_inline, None), (_write_equation, None))
    app.connect("config-inited", tell_names)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _raise_diagram(_: "Sphinx", page: "nodes.document") -> None:
    """Put the diagram of a chapter, with the text before it, below the box *In short*.

    The notebook draws it after its imports, which would be two screens of a phone further down.
    """
    from docutils import nodes

    section = next(page.findall(nodes.section), None)
    parts = list(section.children) if section else []
    kinds = [part.get("classes", ()) for part in parts]
    box = next((n for n, kind in enumerate(kinds) if "tip" in kind), None)
    end = next((n for n, kind in enumerate(kinds) if _TAG_OF_A_DIAGRAM in kind), None)
    if box is None or end is None:
        return
    start = max((n for n in range(end) if "cell" in kinds[n]), default=box) + 1
    moved, over = parts[start : end + 1], parts[box + 1 : start]
    section.children = parts[: box + 1] + moved + over + parts[end + 1 :]


def _register_labels() -> None:
    """Make the bibliography's style `author_year` known."""
    from pybtex.plugin import register_plugin
    from pybtex.style.formatting.plain import Style
    from pybtex.style.labels import BaseLabelStyle

    class Labels(BaseLabelStyle):
        def format_labels(self, sorted_entries: list) -> Iterable[str]:
            for entry in sorted_entries:
                people = [*entry.persons["author"]]
                names = [" ".join([*one.prelast_names, *one.last_names]) for one in people]
                yield _cited_as([_plain(name) for name in names], entry.fields["year"])

    class AuthorYear(Style):
        default_label_style = Labels

    register_plugin("pybtex.style.formatting", "author_year", AuthorYear)


def _write_inline(writer: "HTML5Translator", node: "nodes.math") -> None:
    """Write a formula inside a line as MathML."""
    writer.body.append(_to_mathml(node.astext(), as_block=False))
    _done()


def _write_equation(writer: "HTML5Translator", node: "nodes.math_block") -> None:
    """Write an equation as MathML in a block that scrolls by itself, with its number if any."""
    number = f'<span class="eqno">({node["number"]})</span>' if node["number"] else ""
    name = f' id="{node["ids"][0]}"' if node["ids"] else ""
    block = _to_mathml(node.astext(), as_block=True)
    writer.body.append(
        f'<div class="math ecgnb-equation"{name} tabindex="0">{block}{number}</div>\n'
    )
    _done()


def _to_mathml(tex: str, *, as_block: bool) -> str:
    """Return TeX as MathML.

    Examples
    --------
    >>> _to_mathml("x^2", as_block=False).count("<msup>")
    1
    """
    from docutils.utils.math.latex2mathml import tex2mathml

    return _ACCENT_WITH_INDEX.sub(_put_beside, tex2mathml(tex, as_block=as_block))


# docutils puts the index of a letter with an accent under the letter
_ACCENT_WITH_INDEX = re.compile(
    r"<munderover>\s*((?:<m[in]>[^<]*</m[in]>)|(?:<mrow>(?:(?!</?mrow>).)*</mrow>))\s*"
    r"((?:<m[in]>[^<]*</m[in]>)|(?:<mrow>(?:(?!</?mrow>).)*</mrow>))\s*"
    r"(<mo[^>]*>[\u02c6\u02c9\u00af_]</mo>)\s*</munderover>",
    re.DOTALL,
)


def _put_beside(found: re.Match) -> str:
    r"""Return a letter with its accent above and its index at its lower right.

    Examples
    --------
    >>> _to_mathml(r"\hat{y}_i", as_block=False).count("<msub><mover>")
    1
    """
    letter, index, accent = found.groups()
    return f"<msub><mover>{letter}{accent}</mover>{index}</msub>"


def _done() -> None:
    """Tell docutils that a node and all below it are written."""
    from docutils import nodes

    raise nodes.SkipNode


def _plain(name: str) -> str:
    r"""Return a name in BibTeX's spelling as readers see it.

    Examples
    --------
    >>> _plain("Hor{\\'a}{\\v c}ek")
    'Horáček'
    """
    from pybtex.richtext import Text

    return str(Text.from_latex(name))


def _reading_minutes(path: Path) -> float:
    """Return how long a notebook takes to read, at 200 words and 20 lines of code a minute."""
    cells = nbformat.read(path, as_version=4).cells
    texts = [cell.source for cell in cells if cell.cell_type == "markdown"]
    codes = [cell.source for cell in cells if cell.cell_type == "code"]
    n_word = sum(len(text.split()) for text in texts)
    return n_word / 200 + sum(len(code.splitlines()) for code in codes) / 20


def _format_seconds(seconds: float) -> str:
    """Return a run time in words.

    Examples
    --------
    >>> _format_seconds(7.4), _format_seconds(125)
    ('7 s', '2 min 5 s')
    """
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def chapter_facts(book: Path, executed: Path, chapters: Iterable[str]) -> dict[str, str]:
    """Return what the index says of each chapter: `read_<chapter>` and `run_<chapter>`.

    Run times are those of this build, from the `.seconds` file beside each executed notebook.
    """
    facts = {}
    for chapter in chapters:
        source = book / f"{chapter}.ipynb"
        if not source.is_file():
            continue
        times = [
            float(path.read_text(encoding="utf-8"))
            for path in executed.glob(f"{chapter}*.seconds")
        ]
        facts[f"read_{chapter}"] = f"{max(round(_reading_minutes(source)), 1)} min"
        facts[f"run_{chapter}"] = _format_seconds(sum(times)) if times else "not run"
    return facts


def _source_files(folder: Path) -> list[Path]:
    """Return the files of the project, relative to its folder: those that git knows.

    In a copy without git, such as an unpacked zip, those in the folders that the project has.
    """
    command = ["git", "ls-files", "-z"]
    done = None
    if (folder / ".git").exists():
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, check=False, encoding="utf-8"
        )
    if done is not None and done.returncode == 0:
        named = {Path(name) for name in done.stdout.split("\0") if name}
        return sorted(path for path in named if (folder / path).is_file())
    found = [path for path in folder.iterdir() if path.is_file() and path.name != COMMIT_FILE]
    for room in _ROOMS:
        found += [path for path in (folder / room).rglob("*") if path.is_file()]
    return sorted(path.relative_to(folder) for path in found if "__pycache__" not in path.parts)


def write_source(folder: Path, target: Path) -> Path:
    """Return `target` after writing the files of the project to it as a zip, alike every time."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in _source_files(folder):
            entry = zipfile.ZipInfo(f"{target.stem}/{path.as_posix()}", _ZIP_TIME)
            is_program = (folder / path).read_bytes()[:2] == b"#!"
            entry.external_attr = (0o755 if is_program else 0o644) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            packed.writestr(entry, (folder / path).read_bytes())
        commit = zipfile.ZipInfo(f"{target.stem}/{COMMIT_FILE}", _ZIP_TIME)
        packed.writestr(commit, f"{commit_of(folder)}\n")
    return target


def copy_texts(folder: Path, stage: Path) -> None:
    """Copy the texts of the project that pages include, with links as the pages need them."""
    place = stage / "_project"
    place.mkdir(parents=True)
    for name in TEXTS:
        text = (folder / name).read_text(encoding="utf-8")
        (place / name).write_text(text.replace("](book/", "]("), encoding="utf-8")


def source_link(folder: Path, zip_name: str) -> str:
    """Return where readers find the source, for a page: the zip, and the repository if public."""
    packed = f"{{download}}`the source as a zip <{zip_name}>`"
    address = _published_at(folder).get("url")
    return f"{packed}, or `git clone {address}`" if address else packed


def write_config(source: Path, target: Path, facts: dict[str, str]) -> None:
    """Write the configuration of the book, with links to the repository only where there is one.

    Binder and Colab load notebooks from a public repository; edit and issue buttons lead to it. A
    working copy without one gets no buttons rather than buttons that lead nowhere. Texts quote
    `facts` as `{{ name }}`.
    """
    config = yaml.safe_load(source.read_text(encoding="utf-8"))
    config["parse"] = config.get("parse", {}) | {"myst_substitutions": facts}
    address = _published_at(source.parent)
    if address:
        config["repository"] = config.get("repository", {}) | address
        buttons = ("use_repository_button", "use_edit_page_button", "use_issues_button")
        config["html"] |= dict.fromkeys(buttons, True)
        config["sphinx"]["config"]["ogp_site_url"] = _site_address(address["url"])
    else:
        config.pop("repository", None)
    if "github.com" not in address.get("url", ""):
        config.pop("launch_buttons", None)
    target.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")


def _site_address(repository: str) -> str:
    """Return where the pages of a repository are published: `ECGNB_SITE`, or its host's own place.

    Examples
    --------
    >>> _site_address("https://github.com/someone/ecgnb")
    'https://someone.github.io/ecgnb/'
    """
    host, owner, name = repository.removeprefix("https://").split("/")
    place = f"https://{owner.lower()}.{host.removesuffix('.com')}.io/{name}/"
    return os.environ.get("ECGNB_SITE") or place


def write_pdf(page: Path, target: Path) -> Path | None:
    """Return `target` after printing a page to it with Chromium, None where there is none."""
    names = ("chromium", "chromium-browser", "google-chrome")
    browser = next((found for found in map(shutil.which, names) if found), None)
    if browser is None:
        return None
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--no-pdf-header-footer"]
    # time for the scripts of the page, in the page's own clock
    options += ["--virtual-time-budget=20000", f"--print-to-pdf={target}"]
    subprocess.run([browser, *options, page.as_uri()], capture_output=True, check=True)
    return target
