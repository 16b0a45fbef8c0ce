"""The built site in a browser: quiet, self-contained, fit for a phone."""

import re
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SITES = [site for site in (ROOT / "build/html", ROOT / "build/html-real") if site.is_dir()]
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
PAGES = sorted(
    page
    for site in SITES
    for page in site.glob("*.html")
    if page.name not in {"genindex.html", "search.html"}
)
pytestmark = [
    pytest.mark.skipif(not PAGES, reason="no built site: run `make book` first"),
    pytest.mark.skipif(not BROWSER, reason="no Chromium on this machine"),
    pytest.mark.filterwarnings("ignore"),
]


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        running = playwright.chromium.launch(executable_path=BROWSER, args=options)
        yield running
        running.close()


@pytest.mark.parametrize("width", [1366, 390])
@pytest.mark.parametrize("path", PAGES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_page_is_quiet_self_contained_and_fits(browser, path, width):
    page = browser.new_page(viewport={"width": width, "height": 800})
    errors, requests = [], []
    page.on("console", lambda message: errors.append((message.type, message.text)))
    page.on("pageerror", lambda error: errors.append(("error", str(error))))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(path.as_uri())
    page.wait_for_load_state("load")
    wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    no_alt = page.evaluate("[...document.images].filter(i => !i.hasAttribute('alt')).length")
    page.close()
    assert [text for kind, text in errors if kind == "error"] == []
    assert [url for url in requests if not url.startswith(("file:", "data:"))] == []
    assert wide <= 0
    assert no_alt == 0


@pytest.mark.parametrize("site", SITES, ids=lambda site: site.name)
def test_every_internal_link_resolves(site):
    for page in site.glob("*.html"):
        for target in re.findall(r'href="([^"#:?]+\.html)', page.read_text()):
            assert (page.parent / target).is_file(), f"{page.name} links to {target}"


@pytest.mark.parametrize("site", SITES, ids=lambda site: site.name)
def test_pages_of_a_simulated_run_say_so(site):
    word = "Real recordings" if site.name.endswith("real") else "Simulated data"
    assert word in (site / "05_every_lead.html").read_text()
    assert word in (site / "08_condition_healthy_control.html").read_text()
