"""What is done to the pages around Sphinx, shown on a book of two pages that is really built."""

import base64
import hashlib
import json
import re
import shutil
import threading
import urllib.request
import zipfile
from pathlib import Path

import nbformat
import numpy as np
import pytest
import yaml

from ecgnb.book import build, serve, site
from ecgnb.book.provenance import checksums, commit_of, recorded_runs

ROOT = Path(__file__).resolve().parent.parent
CAPTION, ALTERNATIVE = "Mean *r* by lead.", "Twelve dots, the one of aVL lowest"
HEAD = """# One

:::{admonition} In short
:class: tip

All of it.
:::

**Before you start:** nothing.
"""
pytestmark = pytest.mark.filterwarnings("ignore")


def figure_cell():
    png = base64.b64encode((ROOT / "book/_static/favicon.png").read_bytes()).decode()
    image = {"alt": ALTERNATIVE, "classes": "ecgnb-wide"}
    figure = {"figure": {"name": "fig-x", "caption": CAPTION}, "image": image}
    tagged = {"mystnb": figure, "tags": ["remove-input"]}
    cell = nbformat.v4.new_code_cell("draw()", metadata=tagged, execution_count=1)
    cell.outputs = [nbformat.v4.new_output("display_data", data={"image/png": png})]
    return cell


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    stage, chapter = folder / "src", "08_condition_myocarditis"
    shutil.copytree(ROOT / "book/_static", stage / "_static")
    shutil.copy(ROOT / "book/references.bib", stage)
    shutil.copytree(ROOT / "book/_templates", stage / "_templates")
    (stage / "_extra").mkdir()
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    cells = [nbformat.v4.new_markdown_cell(text) for text in (HEAD, "{numref}`fig-x` shows.")]
    cells = [cells[0], nbformat.v4.new_code_cell("import numpy"), cells[1], figure_cell()]
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
    nbformat.write(notebook, stage / f"{chapter}.ipynb")
    (stage / "index.md").write_text("# Index\n\nRead for {{ read_one }}.\n")
    contents = {"format": "jb-book", "root": "index", "chapters": [{"file": chapter}]}
    (stage / "_toc.yml").write_text(yaml.safe_dump(contents))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ECGNB_REPOSITORY", "git@github.com:someone/some-book.git")
        site.write_config(ROOT / "_config.yml", stage / "_config.yml", {"read_one": "7 min"})
    build._run_sphinx(stage, folder, "html")
    pages = (folder / "_build/html").glob("*.html")
    return {page.stem: site.repair_page(page.read_text()) for page in pages}


def test_a_figure_gets_number_caption_and_alternative_text(built):
    page = built["08_condition_myocarditis"]
    assert f'alt="{ALTERNATIVE}"' in page
    assert "Mean <em>r</em> by lead." in page
    assert "Fig. 1" in page


def test_a_figure_that_a_phone_scrolls_is_reached_by_the_keyboard(built):
    page = built["08_condition_myocarditis"]
    assert 'class="cell_output docutils container" tabindex="0" role="group"' in page


def test_the_diagram_of_a_chapter_stands_below_its_answer_and_above_all_code(built):
    page = built["08_condition_myocarditis"]
    wanted = ("All of it.", " shows.", CAPTION[:4], "Before you start", "import")
    article = page[page.index("<article") :]
    places = [article.index(text) for text in wanted]
    assert places == sorted(places)


def test_launch_buttons_lead_to_the_notebook_in_the_repository(built):
    links = re.findall(r'href="(https://[^"]+)"', built["08_condition_myocarditis"])
    branch = "someone/some-book/main"
    assert f"https://mybinder.org/v2/gh/{branch}?urlpath=lab/tree/book/08_condition.ipynb" in links
    colab = "https://colab.research.google.com/github/someone/some-book/blob/main"
    assert f"{colab}/book/08_condition.ipynb" in links
    sources = re.findall(r'<(?:img|script)[^>]* src="([^"]+)"', built["08_condition_myocarditis"])
    assert not [source for source in sources if source.startswith(("http", "//"))]


def test_a_page_of_a_public_copy_can_be_edited_and_discussed_and_says_where_it_is(built):
    page = built["08_condition_myocarditis"]
    links = re.findall(r'href="(https://github\.com[^"]+)"', page)
    repository = "https://github.com/someone/some-book"
    assert repository in links
    assert f"{repository}/edit/main/book/08_condition.ipynb" in links
    assert any(link.startswith(f"{repository}/issues/new") for link in links)
    site_address = "https://someone.github.io/some-book"
    assert f'property="og:url" content="{site_address}/08_condition_myocarditis.html"' in page
    assert f'property="og:image" content="{site_address}/_static/social.png"' in page
    assert f"{repository}/edit/main/book/index.md" in built["index"]


def test_an_address_that_leads_nowhere_has_a_page(built):
    assert "This address leads to no page of the book." in built["404"]
    links = set(re.findall(r'<a href="(\w+)\.html">', built["404"].split("bd-article", 1)[1]))
    known = {path.stem for path in (ROOT / "book").glob("*.md")} | {"search"}
    assert {"index", "search"} <= links <= known


def test_the_index_quotes_what_was_measured(built):
    assert "Read for 7 min." in built["index"]


def test_without_a_public_repository_there_is_no_button(tmp_path, monkeypatch):
    monkeypatch.delenv("ECGNB_REPOSITORY", raising=False)
    shutil.copy(ROOT / "_config.yml", tmp_path)
    site.write_config(tmp_path / "_config.yml", tmp_path / "out.yml", {})
    config = yaml.safe_load((tmp_path / "out.yml").read_text())
    assert "launch_buttons" not in config
    assert "repository" not in config
    assert config["html"]["use_issues_button"] is config["html"]["use_repository_button"] is False
    assert "use_edit_page_button" not in config["html"]
    assert "ogp_site_url" not in config["sphinx"]["config"]
    assert "git clone" not in site.source_link(tmp_path, "x.zip")


def test_a_repository_on_gitlab_has_links_and_no_launch_buttons(tmp_path, monkeypatch):
    monkeypatch.setenv("ECGNB_REPOSITORY", "https://gitlab.com/someone/some-book.git")
    shutil.copy(ROOT / "_config.yml", tmp_path)
    site.write_config(tmp_path / "_config.yml", tmp_path / "out.yml", {})
    config = yaml.safe_load((tmp_path / "out.yml").read_text())
    assert config["repository"]["url"] == "https://gitlab.com/someone/some-book"
    assert config["html"]["use_edit_page_button"] is True
    assert "launch_buttons" not in config
    assert config["sphinx"]["config"]["ogp_site_url"] == "https://someone.gitlab.io/some-book/"


def test_reading_and_run_times_come_from_the_notebook_and_the_build(tmp_path):
    cells = [nbformat.v4.new_markdown_cell("word " * 600), nbformat.v4.new_code_cell("1\n" * 40)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "one.ipynb")
    (tmp_path / "one_a.seconds").write_text("50.0\n")
    (tmp_path / "one_b.seconds").write_text("25.2\n")
    facts = site.chapter_facts(tmp_path, tmp_path, ["one", "text_without_notebook"])
    assert facts == {"read_one": "5 min", "run_one": "1 min 15 s"}


def test_the_index_names_every_chapter_and_its_times():
    text = (ROOT / "book/index.md").read_text()
    for chapter in build._chapter_names():
        if (ROOT / f"book/{chapter}.ipynb").is_file() and chapter != "colophon":
            assert f"{{{{ read_{chapter} }}}}" in text, chapter
            assert f"{{{{ run_{chapter} }}}}" in text, chapter


def test_both_sites_are_served_from_this_machine_only(tmp_path):
    with pytest.raises(FileNotFoundError, match="make book"):
        serve._make_server(tmp_path, 0)
    for name in ("html", "html-real"):
        (tmp_path / name / "_static").mkdir(parents=True)
        (tmp_path / name / "index.html").write_text(name)
        (tmp_path / name / "404.html").write_text("lost")
        (tmp_path / name / "_static" / "x.css").write_text(f"of {name}")
    (tmp_path / "secret.txt").write_text("not served")
    with serve._make_server(tmp_path, 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"

        def get(path):
            with urllib.request.urlopen(address + path) as answer:
                return answer.read().decode()

        assert server.server_address[0] == "127.0.0.1"
        assert get("/") == "html"
        assert get("/real/") == get("/real/index.html") == "html-real"
        assert get("/real/_static/x.css") == "of html-real"
        with pytest.raises(urllib.error.HTTPError, match="404") as lost:
            get("/no_such_page.html")
        assert lost.value.read() == b"lost"
        for path in ("/../secret.txt", "/real/../../secret.txt", "/%2e%2e/secret.txt"):
            with pytest.raises(urllib.error.HTTPError, match="404"):
                get(path)
        server.shutdown()


def test_a_zip_of_the_source_is_the_same_twice_and_names_its_commit(tmp_path):
    first = site.write_source(ROOT, tmp_path / "ecgnb-1.zip").read_bytes()
    assert site.write_source(ROOT, tmp_path / "ecgnb-1.zip").read_bytes() == first
    with zipfile.ZipFile(tmp_path / "ecgnb-1.zip") as packed:
        packed.extractall(tmp_path)
    copy = tmp_path / "ecgnb-1"
    assert commit_of(copy) == commit_of(ROOT)
    assert (copy / "ecgnb/__init__.py").read_bytes() == (ROOT / "ecgnb/__init__.py").read_bytes()
    (copy / "build").mkdir()
    (copy / "build" / "left_out.txt").write_text("made here")
    again = site.write_source(copy, tmp_path / "ecgnb-2.zip")
    with zipfile.ZipFile(again) as packed, zipfile.ZipFile(tmp_path / "ecgnb-1.zip") as before:
        names = [sorted(n.split("/", 1)[1] for n in one.namelist()) for one in (packed, before)]
    assert names[0] == names[1]


def test_recorded_runs_are_told_with_the_digest_of_their_manifest(tmp_path):
    facts = {"records": {"a": "1", "b": "2"}, "cpu_s": {"x": 60.0, "y": 30.0}, "python": "3.11"}
    manifest = json.dumps(facts | {"versions": {"torch": "2.0"}})
    (tmp_path / "days").mkdir()
    (tmp_path / "days" / "one_manifest.json").write_text(manifest)
    (tmp_path / "days" / "one.csv.gz").write_bytes(b"table")
    row = recorded_runs(tmp_path).loc["days/one"]
    assert (row["records"], row["minutes"], row["torch"]) == (2, 1.5, "2.0")
    sums = checksums(tmp_path).splitlines()
    assert row["sha256"] == sums[1][:12] == hashlib.sha256(manifest.encode()).hexdigest()[:12]
    assert [line.split("  ")[1] for line in sums] == ["days/one.csv.gz", "days/one_manifest.json"]
    facts = {"records": {}, "python": "3.11", "versions": {"torch": "2.0"}}
    (tmp_path / "days" / "two_manifest.json").write_text(json.dumps(facts))
    assert np.isnan(recorded_runs(tmp_path).loc["days/two", "minutes"])


def test_a_notebook_to_download_carries_no_output(tmp_path):
    cell = nbformat.v4.new_code_cell("1 + 1", execution_count=3)
    cell.outputs = [nbformat.v4.new_output("execute_result", {"text/plain": "2"})]
    path = tmp_path / "a.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), path)
    site.clear_outputs(path)
    read = nbformat.read(path, as_version=4).cells[0]
    assert (read.source, read.outputs, read.execution_count) == ("1 + 1", [], None)


def test_a_page_is_printed_to_pdf(tmp_path):
    if not shutil.which("chromium"):
        pytest.skip("no Chromium on this machine")
    page = tmp_path / "page.html"
    page.write_text("<p>one</p><p style='break-before: page'>two</p>")
    pdf = site.write_pdf(page, tmp_path / "book.pdf")
    content = pdf.read_bytes()
    assert content.startswith(b"%PDF")
    assert len(re.findall(rb"/Type\s*/Page\b", content)) == 2


def test_without_chromium_there_is_no_pdf(tmp_path, monkeypatch):
    monkeypatch.setattr(site.shutil, "which", lambda _: None)
    assert site.write_pdf(tmp_path / "page.html", tmp_path / "book.pdf") is None
