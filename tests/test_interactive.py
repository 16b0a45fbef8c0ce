"""Figures to explore: still without JavaScript and in print, alive with mouse and keyboard."""

import base64
import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from ecgnb.book.chapter import ROOT
from ecgnb.figures import interactive
from ecgnb.leads import LEADS
from ecgnb.reconstruction.methods import find_worst_cases, score_method
from ecgnb.signals.preparation import prepare_record
from ecgnb.simulation.synthesis import SimulationOptions, simulate_record

VENDOR = ROOT / "book" / "_extra" / "vendor"
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
needs_browser = pytest.mark.skipif(not BROWSER, reason="no Chromium on this machine")


@pytest.fixture(scope="module")
def shown():
    """Return the HTML of both figures, by kind, and the scores behind the first."""
    texts, monkeypatch = [], pytest.MonkeyPatch()
    monkeypatch.setattr(interactive, "display", lambda thing: texts.append(thing.data))
    options = SimulationOptions(duration_s=40.0)
    prepared = [
        prepare_record(replace(simulate_record(options, seed=seed).record, name=f"person{seed}"))
        for seed in (1, 2)
    ]
    scores = pd.concat(
        [score_method(one, "average_beat_ridge") for one in prepared], ignore_index=True
    )
    interactive.show_score_map(find_worst_cases(scores, prepared))
    times = (np.arange(64) - 25) * 0.016
    maps = pd.MultiIndex.from_product([LEADS, times], names=["lead", "time_s"]).to_frame(
        index=False
    )
    maps["beat_mv"] = np.ravel(np.linspace(0, 1, 64) * np.arange(12)[:, None] / 7)
    maps = maps.assign(**{"Grad-CAM": 0.0, "integrated gradients": 0.1}, n_patient=3)
    maps.loc[(maps["lead"] == "V2") & (maps["time_s"] == times[30]), "Grad-CAM"] = -0.5
    other = maps.assign(**{"Grad-CAM": 0.25})
    interactive.show_relevance({"a <test> group": maps, "another": other})
    monkeypatch.undo()
    return dict(zip(("score-map", "relevance-map"), texts, strict=True)), scores


def data_of(text):
    return json.loads(re.search(r'<script type="application/json">(.*?)</script>', text)[1])


def unpack(packed):
    return np.frombuffer(base64.b64decode(packed), dtype="<i2")


def test_the_map_holds_the_mean_and_the_lowest_r_of_every_pair(shown):
    data, scores = data_of(shown[0]["score-map"]), shown[1]
    one = scores.query("input_lead == 'V2' and output_lead == 'I'")
    assert data["r"][7][0] == pytest.approx(one["r"].mean(), abs=1e-4)
    assert data["lowest"][7][0] == pytest.approx(one["r"].min(), abs=1e-4)
    assert data["record"][7][0] == one.loc[one["r"].idxmin(), "record"]
    assert all(data["r"][place][place] is None for place in range(12))


def test_the_pieces_of_a_pair_are_those_of_its_worst_record_in_microvolt(shown):
    data = data_of(shown[0]["score-map"])
    shape = (12, 12, data["n_time"])
    truth, guess = (unpack(data[name]).reshape(shape) / 1000 for name in ("truth", "guess"))
    assert data["n_time"] == 3 * data["sampling_rate"]
    assert not truth[np.arange(12), np.arange(12)].any()
    r = [
        np.corrcoef(truth[i, j], guess[i, j])[0, 1] for i in range(12) for j in range(12) if i != j
    ]
    assert np.median(r) > 0.9


def test_the_image_says_in_words_where_the_map_is_largest(shown):
    text = shown[0]["relevance-map"]
    alternative = re.search(r'<img class="ecgnb-still" alt="([^"]+)"', text)[1]
    assert "a &lt;test&gt; group" in alternative
    assert "Grad-CAM is largest in lead V2 at +0.08 s;" in alternative
    found = data_of(text)["maps"][0]
    values = unpack(found[0]["values"]).reshape(12, 64)
    assert values[7, 30] == -32000
    assert np.count_nonzero(values) == 1
    assert [each["limit"] for each in found] == [0.5, 0.1]


def test_the_shared_script_is_the_published_build_and_lies_once_in_the_project():
    found = [path.name for path in (ROOT / "book").rglob("plotly*.js")]
    assert found == ["plotly-cartesian.min.js"]
    head = (VENDOR / found[0]).read_text()[:200]
    assert "plotly.js (cartesian - minified) v4.1.1" in head
    assert "MIT" in (VENDOR / "plotly-LICENSE.txt").read_text()


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        running = playwright.chromium.launch(executable_path=BROWSER, args=options)
        yield running
        running.close()


@pytest.fixture
def site(tmp_path, shown):
    """Write a page for each kind of figure, as the book's pages hold them."""
    shutil.copytree(VENDOR, tmp_path / "vendor")
    style = (ROOT / "book" / "_static" / "figures.css").read_text()
    for kind, text in shown[0].items():
        page = f"<!doctype html><html lang=en><title>{kind}</title><style>{style}</style>{text}"
        (tmp_path / f"{kind}.html").write_text(page)
    (tmp_path / "other.html").write_text("<!doctype html><title>other</title>")
    return tmp_path


def open_page(browser, site, kind, **options):
    page = browser.new_page(**options)
    page.problems, page.asked = [], []
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.on("console", lambda m: page.problems.append(m.text) if m.type == "error" else None)
    page.on("request", lambda request: page.asked.append(request.url))
    page.goto((site / f"{kind}.html").as_uri())
    if options.get("java_script_enabled", True):
        page.wait_for_selector(".ecgnb-trace .main-svg", timeout=20_000)
    return page


@needs_browser
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("width", [1366, 390])
def test_a_pair_can_be_chosen_by_keyboard_and_by_a_click(browser, site, width):
    page = open_page(browser, site, "score-map", viewport={"width": width, "height": 900})
    readout = page.locator(".ecgnb-readout")
    page.locator("select").first.focus()
    page.keyboard.type("V3")
    page.keyboard.press("Tab")
    page.keyboard.type("II")
    page.wait_for_function(
        "document.querySelector('.ecgnb-readout').textContent.includes('V3 to II')"
    )
    box = page.locator(".ecgnb-map .heatmaplayer image").first.bounding_box()
    page.mouse.click(box["x"] + box["width"] * 5.5 / 12, box["y"] + box["height"] * 0.5 / 12)
    page.wait_for_function(
        "document.querySelector('.ecgnb-readout').textContent.includes('I to aVF')"
    )
    assert readout.text_content().startswith("From I to aVF: mean r ")
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
    assert [url for url in page.asked if not url.startswith(("file:", "data:", "blob:"))] == []
    assert page.problems == []
    page.close()


@needs_browser
@pytest.mark.filterwarnings("ignore")
def test_the_readout_of_a_relevance_map_gives_lead_time_and_value(browser, site):
    page = open_page(browser, site, "relevance-map")
    page.locator("input[type=range]").focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    said = page.locator(".ecgnb-readout").text_content()
    assert said == "V2 at 0.080 s: relevance -0.50, voltage 0.48 mV."
    page.locator("select").nth(1).focus()
    page.keyboard.type("integrated")
    said = page.locator(".ecgnb-readout").text_content()
    assert said == "V2 at 0.080 s: relevance 0.10, voltage 0.48 mV."
    page.keyboard.press("Home")
    page.keyboard.press("Shift+Tab")
    page.keyboard.type("another")
    said = page.locator(".ecgnb-readout").text_content()
    assert said == "V2 at 0.080 s: relevance 0.25, voltage 0.48 mV."
    assert page.problems == []
    page.close()


@needs_browser
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["score-map", "relevance-map"])
def test_without_javascript_and_in_print_the_still_image_is_shown(browser, site, kind):
    page = open_page(browser, site, kind, java_script_enabled=False)
    assert page.locator(".ecgnb-still").is_visible()
    assert not page.locator(".ecgnb-live").is_visible()
    page.close()
    page = open_page(browser, site, kind)
    assert not page.locator(".ecgnb-still").is_visible()
    page.emulate_media(media="print")
    assert page.locator(".ecgnb-still").is_visible()
    assert not page.locator(".ecgnb-live").is_visible()
    page.close()
