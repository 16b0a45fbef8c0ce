"""The built site in a browser: quiet, self-contained, fit for a phone, open to everybody."""

import re
import shutil
from collections import defaultdict
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from ecgnb.figures import style

ROOT = Path(__file__).resolve().parent.parent
SITES = [site for site in (ROOT / "build/html", ROOT / "build/html-real") if site.is_dir()]
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
PAGES = [page for site in SITES for page in sorted(site.glob("*.html"))]
MEGABYTE = 1_000_000
NOT_OF_THE_BOOK = {"Index", "Search", "Page not found"}
# The second site has the same pages with other numbers: there a page of each kind is enough.
KINDS = {"01_recordings", "05_every_lead", "08_condition_healthy_control", "scorecard"}
INSPECTED = [page for page in PAGES if page.parent == SITES[0] or page.stem in KINDS]
pytestmark = [
    pytest.mark.skipif(not PAGES, reason="no built site: run `make book` first"),
    pytest.mark.filterwarnings("ignore"),
]
in_browser = pytest.mark.skipif(not BROWSER, reason="no Chromium on this machine")


def name_of(path):
    return f"{path.parent.name}-{path.stem}"


each_page = pytest.mark.parametrize("path", PAGES, ids=name_of)
each_site = pytest.mark.parametrize("site", SITES, ids=lambda site: site.name)
# Only rules that can be serious are run. Highlighted code and the body of long tables are left
# out but for their beginning: they repeat the same colours hundreds of times.
AXE = """async () => {
  // Colours fade in for 0.15 s: look at what they end in.
  document.getAnimations().filter((one) => one instanceof CSSTransition)
    .forEach((one) => one.finish());
  const rules = axe._audit.rules.filter(
    (rule) => rule.enabled && ["serious", "critical"].includes(rule.impact)
      && !rule.tags.includes("experimental"));
  const found = await axe.run(
    { exclude: [[".highlight pre > span:nth-child(n + 9)"],
                ["table.dataframe tbody tr:nth-child(n + 3)"]] },
    { runOnly: { type: "rule", values: rules.map((rule) => rule.id) },
      resultTypes: ["violations"], preload: false });
  return found.violations.filter((v) => ["serious", "critical"].includes(v.impact))
    .map((v) => `${v.id}: ${v.nodes[0].target} (${v.nodes.length})`);
}"""

CUT_OFF = """[...document.querySelectorAll(".bd-article pre, .bd-article .cell_output")]
  .filter((box) => box.scrollWidth > box.clientWidth + 1)
  .map((box) => box.textContent.trim().slice(0, 60))"""

# Boxes that scroll sideways and neither take the focus themselves nor hold what takes it.
OUT_OF_REACH = """[...document.querySelectorAll(
    ".bd-article :is(.cell_output, pre, .ecgnb-table, .ecgnb-equation, [class*=scrollable])")]
  .filter((box) => box.scrollWidth > box.clientWidth + 1)
  .filter((box) => getComputedStyle(box).overflowX === "auto" && box.tabIndex < 0)
  .filter((box) => !box.querySelector("a[href], button, input, select, [tabindex='0']"))
  .map((box) => box.outerHTML.slice(0, 120))"""

FOLDED = """[...document.querySelectorAll("details.sd-dropdown .sd-summary-content")]
  .filter((answer) => !answer.checkVisibility() || answer.clientHeight === 0)
  .map((answer) => answer.textContent.trim().slice(0, 60))"""

# What is wrong with the tables of a page, as wide as the page is now: cut off, raw names and
# absent values of the code, too many columns, numbers that do not stand at the right.
TABLES = """() => [...document.querySelectorAll(".bd-article table")].flatMap((table) => {
  const found = [], words = (cell) => cell.textContent.trim();
  const box = table.closest(".ecgnb-table, .pst-scrollable-table-container");
  const edge = (box ?? table.closest(".bd-article")).getBoundingClientRect().right;
  if (table.getBoundingClientRect().right > edge + 1) {
    const style = box && getComputedStyle(box);
    const hint = style && style.overflowX === "auto" && style.backgroundImage.includes("gradient");
    if (!hint) found.push("cut off without a hint");
    else if (window.innerWidth > 1000) found.push("too wide for a laptop");
  }
  const rows = [...table.rows], heads = [...table.querySelectorAll("th, thead td")].map(words);
  found.push(...heads.filter((text) => /[A-Za-z0-9]_[A-Za-z0-9]/.test(text) && !/^s\\d/.test(text))
    .map((text) => `raw name ${text}`));
  const cells = [...table.querySelectorAll("td, th")];
  const absent = /^(nan|none|nat|<na>|[-\u2212]0\\.?0*)$/i;
  found.push(...cells.map(words).filter((text) => absent.test(text))
    .map((text) => `a cell says ${text}`));
  const most = Math.max(...rows.map((row) => row.cells.length));
  if (most > 6) found.push(`${most} columns`);
  const isNumber = (text) => /^[-+\u2212]?\\d[\\d\u202f]*(\\.\\d+)?( \\(.* to .*\\))?$/.test(text);
  if (table.closest(".cell_output")) found.push(...[...table.querySelectorAll("tbody td")]
    .filter((cell) => isNumber(words(cell)) && getComputedStyle(cell).textAlign !== "right")
    .map((cell) => `${words(cell)} stands at the left`));
  return found.map((one) => `${heads.slice(0, 3).join(" | ")}: ${one}`);
})"""

# Figures whose smallest letters are lower on the page than some height, by the scale at which the
# page shows them: they are drawn at 130 dots an inch, in letters of style.SMALLEST_PT and more.
SMALL_FIGURES = """([natural, least]) =>
  [...document.querySelectorAll(".bd-article .cell_output img, .bd-article figure img")]
    .filter((image) => /\\.png$|^data:image.png/.test(image.src))
    .filter((image) => image.clientWidth > 0)
    .map((image) => [image.alt, natural * image.clientWidth / image.naturalWidth])
    .filter(([, height]) => height < least).map(([alt, height]) => `${alt}: ${height} px`)"""
NATURAL_PX = style.SMALLEST_PT / 72 * 130


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        running = playwright.chromium.launch(executable_path=BROWSER, args=options)
        yield running
        running.close()


@pytest.fixture(scope="module")
def look(browser):
    """What one visit to a page finds, at both widths."""
    from axe_playwright_python.base import AXE_SCRIPT

    context = browser.new_context(viewport={"width": 390, "height": 800})

    def wide(page):
        return page.evaluate("document.documentElement.scrollWidth - window.innerWidth")

    @cache
    def visit(path):
        page, found = context.new_page(), {"errors": [], "requests": []}
        page.on("console", lambda m: found["errors"].append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: found["errors"].append(str(error)))
        page.on("request", lambda request: found["requests"].append(request.url))
        page.goto(path.as_uri())
        found["too_wide"], found["tables"] = {390: wide(page)}, page.evaluate(TABLES)
        found["small"] = page.evaluate(SMALL_FIGURES, [NATURAL_PX, 8])
        found["out_of_reach"] = page.evaluate(OUT_OF_REACH)
        page.set_viewport_size({"width": 1366, "height": 800})
        found["too_wide"][1366] = wide(page)
        found["tables"] += page.evaluate(TABLES)
        found["small"] += page.evaluate(SMALL_FIGURES, [NATURAL_PX, 9])
        found["alternatives"] = page.evaluate("[...document.images].map((image) => image.alt)")
        if path in INSPECTED:
            page.evaluate(AXE_SCRIPT)
            found["violations"] = page.evaluate(AXE)
            page.emulate_media(media="print")
            page.set_viewport_size({"width": 680, "height": 960})
            found["cut_off"], found["folded"] = page.evaluate(CUT_OFF), page.evaluate(FOLDED)
        page.close()
        return found

    yield visit
    context.close()


@in_browser
@each_page
def test_a_page_is_quiet_and_self_contained(look, path):
    found = look(path)
    assert found["errors"] == []
    assert [url for url in found["requests"] if not url.startswith(("file:", "data:"))] == []


@in_browser
@each_page
def test_a_page_fits_a_phone_and_a_laptop(look, path):
    assert {width: more for width, more in look(path)["too_wide"].items() if more > 0} == {}


@in_browser
@each_page
def test_a_table_is_for_people(look, path):
    assert look(path)["tables"] == []


@in_browser
@each_page
def test_the_letters_of_figures_are_legible_on_a_laptop_and_on_a_phone(look, path):
    assert look(path)["small"] == []


@in_browser
@each_page
def test_what_scrolls_sideways_on_a_phone_is_scrolled_by_keys(look, path):
    assert look(path)["out_of_reach"] == []


BAD_TABLE = """<div class="cell_output"><table><thead><tr><th>r_mean</th><th>b</th><th>c</th>
<th>d</th><th>e</th><th>f</th><th>g</th></tr></thead><tbody><tr><td style="text-align: left">0.93
</td><td>nan</td><td>-0.0</td><td>None</td><td style="min-width: 2000px">x</td><td></td><td></td>
</tr></tbody></table></div>"""


@in_browser
def test_a_bad_table_on_a_page_is_caught(browser):
    page = browser.new_page(viewport={"width": 1366, "height": 800})
    page.goto((SITES[0] / "03_least_squares.html").as_uri())
    page.evaluate("(bad) => document.querySelector('.bd-article').innerHTML += bad", BAD_TABLE)
    found = {one.split(": ")[1] for one in page.evaluate(TABLES)}
    page.close()
    assert found == {
        "cut off without a hint",
        "raw name r_mean",
        "a cell says nan",
        "a cell says -0.0",
        "a cell says None",
        "7 columns",
        "0.93 stands at the left",
        "-0.0 stands at the left",
    }


@in_browser
@pytest.mark.parametrize("path", INSPECTED, ids=name_of)
def test_nothing_on_paper_is_cut_off(look, path):
    assert look(path)["cut_off"] == []


CHAPTERS = [page for page in PAGES if re.match(r"\d\d_", page.stem)]


@in_browser
@pytest.mark.parametrize("path", CHAPTERS, ids=name_of)
def test_a_chapter_shows_its_diagram_whole_on_its_first_two_screens(browser, path):
    lower_edge = """() => [...document.querySelectorAll(".bd-article figure img")]
      .filter((image) => image.clientWidth > 0)[0].getBoundingClientRect().bottom"""
    for width, height in ((390, 844), (1366, 768)):
        page = browser.new_page(viewport={"width": width, "height": height})
        page.goto(path.as_uri())
        assert page.evaluate(lower_edge) <= 2 * height, width
        page.close()


@in_browser
@pytest.mark.parametrize("path", INSPECTED, ids=name_of)
def test_paper_shows_the_answers_that_a_screen_folds(look, path):
    assert look(path)["folded"] == []


@in_browser
@each_page
def test_every_image_says_in_words_what_it_shows(look, path):
    poor = [
        text
        for text in look(path)["alternatives"]
        if len(text) < 15 or re.search(r"\.(png|svg|jpe?g)$|^_images/", text)
    ]
    assert poor == []


@in_browser
@pytest.mark.parametrize("path", INSPECTED, ids=name_of)
def test_axe_finds_no_serious_violation(look, path):
    assert look(path)["violations"] == []


@in_browser
@pytest.mark.parametrize("name", ["index", "05_every_lead", "try_it"])
def test_the_dark_theme_is_legible(browser, name):
    from axe_playwright_python.base import AXE_SCRIPT

    page = browser.new_page(viewport={"width": 1366, "height": 800}, color_scheme="dark")
    page.goto((SITES[0] / f"{name}.html").as_uri())
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.evaluate(AXE_SCRIPT)
    assert page.evaluate(AXE) == []
    page.close()


@in_browser
def test_a_page_that_is_read_in_the_dark_is_printed_on_white(browser):
    page = browser.new_page(viewport={"width": 680, "height": 960}, color_scheme="dark")
    page.goto((SITES[0] / "03_least_squares.html").as_uri())
    page.emulate_media(media="print")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    colour = "(name, what) => getComputedStyle(document.querySelector(name))[what]"
    tell = f"([name, what]) => ({colour})(name, what).match(/[0-9.]+/g).slice(0, 3).map(Number)"
    for name in ("body", ".admonition-title", "figure img"):
        assert page.evaluate(tell, [name, "backgroundColor"]) == [255, 255, 255], name
    for name in (".bd-article p", ".bd-article h2", ".highlight span", ".ecgnb-table td"):
        assert max(page.evaluate(tell, [name, "color"])) < 80, name
    page.close()


@in_browser
@pytest.mark.parametrize(
    ("asked", "title"),
    [
        ("Grad-CAM", "See what the network looks at"),
        ("cite", "Cite this work"),
        ("install", "Install"),
        ("API", "API reference"),
        ("licence", "Data and licences"),
        ("license", "Data and licences"),
        ("find_peaks", "find_peaks"),
    ],
)
def test_the_search_finds_what_a_reader_asks_for(browser, asked, title):
    page = browser.new_page()
    page.goto((SITES[0] / "search.html").as_uri() + f"?q={asked}")
    page.wait_for_selector("#search-results li a", timeout=10_000)
    page.wait_for_function(
        "!document.querySelector('#search-results .search-summary')?.textContent.endsWith('...')"
    )
    titles = page.locator("#search-results li a").all_inner_texts()
    page.close()
    assert any(title in found for found in titles)


@in_browser
def test_a_page_is_read_by_keyboard_alone(browser):
    page = browser.new_page(viewport={"width": 1366, "height": 800})
    page.goto((SITES[0] / "05_every_lead.html").as_uri())
    page.keyboard.press("Tab")
    assert "Skip to main content" in page.evaluate("document.activeElement.textContent")
    page.keyboard.press("Enter")
    assert page.url.endswith("#main-content")
    stops = []
    for _ in range(25):
        page.keyboard.press("Tab")
        stops.append(page.evaluate("document.activeElement.outerHTML.slice(0, 200)"))
    assert len(set(stops)) > 20
    page.keyboard.press("Control+k")
    page.keyboard.type("average beat")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search.html?q=average+beat")
    page.close()


@in_browser
@each_site
@pytest.mark.parametrize(("width", "height"), [(390, 844), (1366, 768)])
def test_the_live_page_has_its_controls_on_the_first_screen(browser, site, width, height):
    page = browser.new_page(viewport={"width": width, "height": height})
    page.goto((site / "try_it.html").as_uri())
    page.wait_for_selector("#ecg-live-controls")
    box = page.locator("#ecg-live-controls").bounding_box()
    page.close()
    assert box["y"] + box["height"] <= height


@in_browser
@each_site
def test_the_live_page_answers(browser, site):
    page = browser.new_page(viewport={"width": 390, "height": 800})
    page.goto((site / "try_it.html").as_uri())
    page.wait_for_function("document.querySelector('#ecg-live-summary').textContent.length > 20")
    text = page.inner_text("#ecg-live-summary")
    page.close()
    assert re.match(r"11 leads of \S+ from lead V2: mean r 0\.\d{3}", text)


class Anchors(HTMLParser):
    """The ids and the links of a page, and the files it shows or runs."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.links, self.files = set(), [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.ids |= {found[key] for key in ("id", "name") if found.get(key)}
        if tag == "a" and found.get("href"):
            self.links.append(found["href"])
        if tag in {"img", "script"} and found.get("src"):
            self.files.append(found["src"])


@cache
def anchors(path):
    return Anchors(path.read_text())


@each_site
def test_every_internal_link_and_anchor_resolves(site):
    broken = defaultdict(list)
    for page in site.glob("*.html"):
        for link in anchors(page).links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (page.parent / unquote(parts.path)) if parts.path else page
            if not target.is_file() or (
                parts.fragment
                and target.suffix == ".html"
                and unquote(parts.fragment) not in anchors(target).ids
            ):
                broken[page.name].append(link)
    assert dict(broken) == {}


@each_site
def test_a_link_to_a_term_says_what_the_term_means_when_it_is_pointed_at(site):
    links = re.compile(r'<a class="[^"]*" href="glossary\.html#term-[^"]+"([^>]*)>')
    for page in site.glob("*.html"):
        found = links.findall(page.read_text(encoding="utf-8"))
        assert all(re.search(r'title="[^"]{10,}"', rest) for rest in found), page.name
    assert len(links.findall((site / "03_least_squares.html").read_text(encoding="utf-8"))) > 20


@each_site
def test_the_site_and_its_pages_stay_light(site):
    total = sum(path.stat().st_size for path in site.rglob("*") if path.is_file())
    assert total < 40 * MEGABYTE
    heavy = {}
    for page in site.glob("*.html"):
        names = {name for name in anchors(page).files if not name.startswith("data:")}
        own = [page.parent / unquote(urlsplit(name).path) for name in names]
        size = page.stat().st_size + sum(path.stat().st_size for path in own if path.is_file())
        if size > 6 * MEGABYTE:
            heavy[page.name] = size
    assert heavy == {}
    assert (site / "try_it.html").stat().st_size < 2 * MEGABYTE


@each_site
def test_a_launch_button_leads_to_a_notebook_that_exists(site):
    for page in site.glob("*.html"):
        for link in anchors(page).links:
            found = re.search(r"(?:mybinder|colab)\.\S+?/(book/\w+\.ipynb)$", link)
            assert not found or (ROOT / found[1]).is_file(), link


@pytest.mark.skipif(not (ROOT / "build/print").is_dir(), reason="run `make pdf` first")
def test_the_book_for_print_holds_every_chapter():
    page = (ROOT / "build/print/index.html").read_text()
    for title in re.findall(r"<title>(.*?) &#8212;", "".join(p.read_text()[:3000] for p in PAGES)):
        if title not in NOT_OF_THE_BOOK:
            assert f">{title}<" in page, title
    pdf = ROOT / "build/print/ecgnb.pdf"
    if BROWSER:
        assert len(re.findall(rb"/Type\s*/Page\b", pdf.read_bytes())) > 30


@each_site
def test_pages_of_a_simulated_run_say_so(site):
    word = "Real recordings" if site.name.endswith("real") else "Simulated data"
    assert word in (site / "05_every_lead.html").read_text()
    assert word in (site / "08_condition_healthy_control.html").read_text()
