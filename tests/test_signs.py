"""Signs of conditions: measured where they are declared, told only where people show them."""

import json
import re

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest

from ecgnb.book.build import _name_condition
from ecgnb.book.chapter import ROOT
from ecgnb.explanation.signs import compare_signs, find_signs, signs_of, tell_signs
from ecgnb.explanation.windows import BEFORE, N_BEAT_TIME, SAMPLING_RATE, BeatWindows
from ecgnb.figures.ecg import plot_signs
from ecgnb.leads import LEADS, lead_index
from ecgnb.records.labels import CONDITIONS
from ecgnb.signals.measures import LEAD_MEASURES

TEMPLATE = ROOT / "book/08_condition.ipynb"


def bump(centre_ms, width_ms, size_mv):
    times = 1000 * (np.arange(N_BEAT_TIME) - BEFORE) / SAMPLING_RATE
    return size_mv * np.exp(-0.5 * ((times - centre_ms) / width_ms) ** 2)


def beat(p=0.1, r=1.0, s=-0.3, t=0.3, width=10.0):
    """One course in all leads: P, R, S and T as bumps, mV."""
    course = bump(-160, 20, p) + bump(0, width, r) + bump(30, width, s) + bump(260, 40, t)
    return np.tile(course, (len(LEADS), 1))


def people(n_patient, seed=0, **waves):
    """Windows of people who differ a little in size, four beats each."""
    sizes = np.random.default_rng(seed).normal(1, 0.05, n_patient)
    windows = np.concatenate([np.repeat(size * beat(**waves)[None], 4, axis=0) for size in sizes])
    return BeatWindows(windows.astype(np.float32), np.repeat(np.arange(n_patient), 4).astype(str))


def test_each_condition_has_signs_in_leads_and_measures_that_exist():
    for condition in CONDITIONS:
        for sign in signs_of(condition):
            assert sign.lead in LEADS
            assert sign.measure in {*LEAD_MEASURES, "P", "Q", "QRS"}
            assert len(sign.words) <= 25
    with pytest.raises(ValueError, match="no signs of 'gout'; there are those of healthy control"):
        signs_of("gout")


def test_a_measure_is_the_size_of_the_wave_that_was_put_in():
    found = {(one.sign.lead, one.sign.measure): one for one in find_signs(
        beat(p=0.12, r=1.5, t=0.4)[None], "healthy control"
    )}  # fmt: skip
    assert found["II", "P"].value == pytest.approx(120, abs=6)
    assert found["V5", "R"].value == pytest.approx(1500, abs=20)
    assert found["V5", "T"].value == pytest.approx(400, abs=6)
    assert found["II", "P"].time_s == pytest.approx(-0.160, abs=0.008)
    assert found["V5", "R"].time_s == pytest.approx(0, abs=0.008)
    assert found["V5", "T"].time_s == pytest.approx(0.260, abs=0.008)


def test_a_wave_that_is_absent_has_the_size_zero():
    windows = beat(p=0.0)[None]
    assert [one.value for one in find_signs(windows, "dysrhythmia")] == [0.0, 0.0]


def test_a_broad_complex_is_longer():
    lengths = {
        width: [
            one.value
            for one in find_signs(beat(width=width)[None], "cardiomyopathy")
            if one.sign.measure == "QRS"
        ]
        for width in (8.0, 16.0)
    }
    assert lengths[16.0][0] > 1.3 * lengths[8.0][0]


def test_a_sign_is_told_where_people_show_it_and_only_there():
    healthy = people(6, seed=1)
    table = compare_signs(people(6, seed=2, t=-0.2), healthy, "cardiomyopathy")
    assert table["told"].to_dict() == {
        "small R wave, V2 / µV": False,
        "QRS longer, V6 / ms": False,
        "T wave flat or inverted, V6 / µV": True,
    }
    told = table.iloc[2]
    assert told["low"] < told["difference"] < told["high"] < 0
    assert told["difference"] == pytest.approx(told["here"] - told["healthy"])
    said = tell_signs(people(6), table, "cardiomyopathy")
    assert said.startswith("These data show 1 of 3 signs: T wave flat or inverted, V6.")
    assert "do not show: small R wave, V2; QRS longer, V6." in said


def test_the_opposite_of_a_sign_is_not_told():
    table = compare_signs(people(6, seed=2, t=0.8), people(6, seed=1), "cardiomyopathy")
    assert not table["told"].iloc[2]


def test_nobody_is_compared_with_themselves_and_no_group_below_three():
    healthy = people(6)
    assert compare_signs(healthy, healthy, "healthy control").empty
    few = people(2, t=-0.2)
    table = compare_signs(few, healthy, "hypertrophy")
    assert table.empty
    assert "nothing is concluded" in tell_signs(few, table, "hypertrophy")
    assert tell_signs(healthy, table, "healthy control").startswith("These data show 4 of 4 signs")


def test_an_arrow_points_at_each_sign_and_says_where_the_data_do_not_show_it():
    group = people(4, t=-0.2)
    figure, axes = plt.subplots(2, 1)
    plot_signs(
        axes, group.windows, "cardiomyopathy", healthy=people(4).windows, told=[False, True, True]
    )
    texts = [text for place in axes for text in place.texts]
    assert {text.get_text() for text in texts} == {
        "small R wave (not here)", "QRS longer", "T wave flat or inverted",
    }  # fmt: skip
    t_wave = next(text for text in texts if text.get_text().startswith("T wave"))
    assert t_wave.xy[0] == pytest.approx(0.26, abs=0.01)
    assert t_wave.xy[1] == pytest.approx(-0.2, abs=0.03)
    drawn = axes[1].lines[1].get_ydata()
    np.testing.assert_allclose(
        drawn - drawn[0], np.median(group.windows, axis=0)[lead_index("V6")], atol=0.02
    )
    plt.close(figure)


def test_each_condition_has_a_paragraph_with_sources_that_says_what_where_and_why():
    cells = json.loads(TEMPLATE.read_text())["cells"]
    texts = {
        cell["metadata"]["condition"]: "".join(cell["source"])
        for cell in cells
        if "condition" in cell["metadata"]
    }
    assert list(texts) == list(CONDITIONS)
    for condition, text in texts.items():
        assert "**Where to look:**" in text
        assert re.search(r"\{cite:p\}`\w+", text), condition
        assert 70 <= len(text.split()) <= 170, condition
        assert "\n\n" not in text


@pytest.mark.parametrize("condition", CONDITIONS)
def test_a_page_keeps_the_text_of_its_own_condition_alone(condition):
    notebook = nbformat.read(TEMPLATE, as_version=4)
    _name_condition(notebook, condition)
    kept = [cell.metadata["condition"] for cell in notebook.cells if "condition" in cell.metadata]
    assert kept == [condition]
