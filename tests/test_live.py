"""The live page in a browser: the package's numbers, by keyboard alone, from one file."""

import base64
import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest

from ecgnb.figures import live
from ecgnb.leads import LEADS, lead_index
from ecgnb.reconstruction import browser_model, methods
from ecgnb.signals.preparation import Scaling, prepare_record
from ecgnb.simulation.cohort import plan_cohort

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
in_browser = pytest.mark.skipif(not BROWSER, reason="no Chromium on this machine")
COMPUTE = """async ([given, scale, shift]) => {
  const r = await ecgLive.compute({ index: 0, given, blank: -1, scale, shift, beat: true });
  return { leads: r.leads.map((v) => [...v]), pasted: r.pasted.map((v) => [...v]),
           scores: r.scores.map((s) => (s ? [s.r, s.error] : null)) };
}"""


@pytest.fixture(scope="module")
def prepared():
    return prepare_record(plan_cohort(n_twadb=1, duration_s=45.0)[0].simulate().record)


@pytest.fixture(scope="module")
def recording(prepared):
    return browser_model.make_recording(prepared, shown_s=6.0)


@pytest.fixture(scope="module")
def page(recording, tmp_path_factory):
    from playwright.sync_api import sync_playwright

    path = tmp_path_factory.mktemp("live") / "page.html"
    body = live.page_html({"one </script>": recording, "again": recording})
    path.write_text(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>x</title><main>{body}</main>'
    )
    with sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=BROWSER, args=options)
        page = browser.new_page(viewport={"width": 800, "height": 900})
        page.errors = []
        page.on("pageerror", lambda error: page.errors.append(str(error)))
        page.goto(path.as_uri())
        yield page
        assert page.errors == []
        browser.close()


def settle(page):
    page.wait_for_function("document.querySelector('#ecg-live').ariaBusy === 'false'")
    return page.inner_text("#ecg-live-summary")


def test_the_look_up_of_the_page_is_that_of_the_ladder(prepared, recording):
    lead, n_time = lead_index("V2"), recording.shown.shape[1]
    ladder = methods.predict_test(prepared, "neighbours", inputs=(lead,))[0, :, :n_time]
    difference = prepared.scaling.to_mv(ladder) - browser_model.predict_live(recording, lead)
    assert np.sqrt(np.square(difference).mean()) < 0.01


def test_a_recording_is_packed_without_loss(recording):
    packed = json.loads(json.dumps(live._pack_recording(recording)))
    found = np.frombuffer(base64.b64decode(packed["library"]), "<i2") / 1000
    assert np.array_equal(np.round(found, 3), np.round(recording.library, 3).ravel())
    assert len(packed["peaks"]) == len(LEADS)


@pytest.mark.parametrize("at", [0.1, 0.8])
def test_the_page_shows_the_stretch_where_the_look_up_errs_most(prepared, at):
    test = prepared.test.copy()
    place = round(at * test.shape[1])
    test[lead_index("V5"), place : place + 50] += 2.0
    found = browser_model.make_recording(
        replace(prepared, test=test), shown_s=3.0, worst_from="V2"
    )
    one = prepared.scaling.to_mv(test)[:, place : place + 50]
    n_time = found.shown.shape[1]
    assert n_time == round(3 * prepared.sampling_rate)
    pieces = np.lib.stride_tricks.sliding_window_view(found.shown, 50, axis=1)
    assert np.abs(pieces - one[:, None]).max(axis=(0, 2)).min() <= 0.0005001


def test_a_signal_beyond_the_range_is_refused(prepared):
    huge = Scaling(prepared.scaling.offset, 1e4 * prepared.scaling.factor)
    with pytest.raises(ValueError, match="within 32 mV"):
        browser_model.make_recording(replace(prepared, scaling=huge))


def test_the_page_stays_under_two_megabytes_at_full_length(prepared):
    rate = prepared.sampling_rate
    parts = {"train": round(40 * rate), "test": round(12 * rate)}
    longer = {name: np.resize(getattr(prepared, name), (12, n)) for name, n in parts.items()}
    full = browser_model.make_recording(replace(prepared, **longer))
    assert full.library.shape[1] + full.shown.shape[1] == round(46 * rate)
    assert len(live.page_html({"a": full, "b": full, "c": full})) < 2e6


@in_browser
@pytest.mark.parametrize(
    ("lead", "scale", "shift_mv"), [("V2", 1.0, 0.0), ("I", 1.4, 0.2), ("aVL", 0.5, -0.1)]
)
def test_the_browser_computes_what_the_package_computes(page, recording, lead, scale, shift_mv):
    row = lead_index(lead)
    found = page.evaluate(COMPUTE, [row, scale, shift_mv])
    expected = browser_model.predict_live(recording, row, scale=scale, shift_mv=shift_mv)
    assert np.abs(np.array(found["leads"]) - expected).max() < 1e-9
    assert (
        np.abs(np.array(found["pasted"]) - browser_model.paste_average_beat(recording, row)).max()
        < 1e-9
    )
    scores = [one for one in found["scores"] if one]
    assert np.allclose(scores, browser_model.score_hidden(recording, expected, lead), atol=1e-9)


@in_browser
def test_the_page_is_used_by_keyboard_alone(page):
    before = settle(page)
    assert "11 leads of" in before
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "ecg-live-recording"
    page.keyboard.press("Tab")
    page.keyboard.type("aVF")
    assert page.input_value("#ecg-live-given") == "aVF"
    assert "from lead aVF" in settle(page)
    page.keyboard.press("Tab")
    page.keyboard.type("V6")
    assert "Lead V6 is blank" in settle(page)
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    assert page.inner_text("#ecg-live-scale-out") == "105 %"
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowLeft")
    assert page.inner_text("#ecg-live-shift-out") == "\u22120.02 mV"
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    assert "Average beat: mean r" in settle(page)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert settle(page) == before


@in_browser
def test_a_blank_given_lead_is_said_and_scored(page):
    page.select_option("#ecg-live-blank", "V2")
    text = settle(page)
    assert "the model sees a flat line" in text
    assert float(re.search(r"mean error ([0-9.]+) mV", text)[1]) > 0.05
    page.click("#ecg-live-reset")
    assert "blank" not in settle(page)


@in_browser
def test_the_moment_shows_where_a_value_comes_from(page):
    page.focus("#ecg-live-moment")
    page.keyboard.press("End")
    settle(page)
    text = page.inner_text("#ecg-live-found-text")
    assert "In lead V5 they lie between" in text
    assert page.get_attribute("#ecg-live-found", "aria-label") == text
    assert page.inner_text("#ecg-live-moment-out") == "5.50 s"


@in_browser
def test_titles_are_text_and_never_markup(page):
    titles = page.locator("#ecg-live-recording option").all_inner_texts()
    assert titles == ["one </script>", "again"]
