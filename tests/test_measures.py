"""Clinical measures, their agreement, the classifier and the calibration by a watch."""

import json

import numpy as np
import pandas as pd
import pytest
from conftest import real_data

from ecgnb.book.chapter import ROOT
from ecgnb.leads import LEADS, derive_leads
from ecgnb.reconstruction.expiry import auroc
from ecgnb.reconstruction.lead_sets import lead_moments
from ecgnb.records.databases import read_marks
from ecgnb.records.record import RecordError
from ecgnb.signals.measures import BEAT_MEASURES, LEAD_MEASURES, Bounds, delineate, measure_beats
from ecgnb.studies.delineation import (
    _plan_marks,
    choose_delineation,
    summarise_delineation,
)
from ecgnb.studies.diagnosis import (
    ARMS,
    DIAGNOSES,
    MARGIN,
    N_WITH,
    NOT_TOLD,
    _fit_classifier,
    _fit_logistic,
    summarise_diagnosis,
)
from ecgnb.studies.measures import (
    MEASURE_METHODS,
    MEASURE_PLANS,
    _alternans,
    _find_ectopic,
    _sums,
    compare_measures,
)
from ecgnb.studies.watch_leads import Filler, summarise_watch_leads

RATE = 250.0
PEAK = 88
RESULTS = ROOT / "results"


def beat_of(*, qrs_ms=90.0, t_end_ms=330.0, st=0.0):
    """Twelve leads with a QRS complex about the R peak and a T wave that ends at a known place."""
    time_ms = (np.arange(238) - PEAK) * 1000 / RATE
    half = qrs_ms / 2
    qrs = np.where(np.abs(time_ms) < half, np.cos(np.pi * time_ms / qrs_ms) ** 2, 0.0)
    t_half = 80.0
    t_wave = np.clip(1 - np.abs(time_ms - (t_end_ms - t_half)) / t_half, 0, None)
    level = st * ((time_ms >= half) & (time_ms < t_end_ms - t_half))
    eight = np.array([0.6, 1.0, -0.5, 0.4, 0.8, 1.2, 1.0, 0.8])[:, None]
    return derive_leads(eight * (qrs + 0.3 * t_wave) + level)


def test_a_longer_complex_and_a_later_t_wave_are_found_longer_by_as_much():
    short, wide, late = (
        delineate(beat_of(**how), RATE, PEAK)
        for how in ({}, {"qrs_ms": 130.0}, {"t_end_ms": 390.0})
    )
    grown = (wide.qrs_end - wide.qrs_begin) - (short.qrs_end - short.qrs_begin)
    assert 1000 * grown / RATE == pytest.approx(40, abs=8)
    assert 1000 * (late.t_end - short.t_end) / RATE == pytest.approx(60, abs=4)
    assert 1000 * (short.t_end - PEAK) / RATE == pytest.approx(330, abs=25)


def test_bounds_do_not_hang_on_the_size_of_the_beat():
    one, double = (delineate(size * beat_of(), RATE, PEAK) for size in (1.0, 2.0))
    assert (one.qrs_begin, one.qrs_end) == pytest.approx((double.qrs_begin, double.qrs_end))
    assert one.t_end == pytest.approx(double.t_end)


def test_a_beat_without_t_wave_has_no_qt():
    flat = beat_of()
    flat[:, PEAK + 15 :] = 0.0
    assert np.isnan(delineate(flat, RATE, PEAK).t_end)


def test_measures_are_those_of_the_beat():
    bounds = [Bounds(PEAK - 12, PEAK + 12, PEAK + 82)]
    by_lead, by_beat = measure_beats(beat_of()[None], RATE, PEAK, bounds)
    raised, _ = measure_beats(beat_of(st=0.15)[None], RATE, PEAK, bounds)
    st = list(LEAD_MEASURES).index("ST")
    assert (raised - by_lead)[0, LEADS.index("V2"), st] == pytest.approx(150, abs=1)
    found = dict(zip(LEAD_MEASURES, by_lead[0, LEADS.index("V4")], strict=True))
    assert found["R"] == pytest.approx(1200, rel=0.05)
    assert found["T"] == pytest.approx(1200 * 0.3, rel=0.05)
    negative = dict(zip(LEAD_MEASURES, by_lead[0, LEADS.index("V1")], strict=True))
    assert negative["S"] == pytest.approx(-500, rel=0.1)
    whole = dict(zip(BEAT_MEASURES, by_beat[0], strict=True))
    assert (whole["QRS"], whole["QT"]) == (96.0, 4.0 * 94)
    # I = 0.6 and II = 1.0 give aVF = 0.7.
    assert whole["axis"] == pytest.approx(np.degrees(np.arctan2(2 / 3**0.5 * 0.7, 0.6)), abs=4)


def test_marks_are_read_as_begin_peak_and_end():
    data_folder = real_data("ludb", "ptbdb")
    marks = read_marks(data_folder / "ludb" / "data" / "1", "II")
    assert marks["QRS"][0].tolist() == [644, 662, 682]
    assert (np.diff(marks["T"], axis=1) > 0).all()
    with pytest.raises(RecordError, match="marks of lead aVL cannot be read"):
        read_marks(data_folder / "ptbdb" / "patient001" / "s0010_re", "aVL")


def test_damaged_marks_are_refused(tmp_path):
    (tmp_path / "1.ii").write_bytes(b"\x00\xff" * 3 + b"\x01")
    (tmp_path / "1.hea").write_text("1 1 500 10\n")
    with pytest.raises(RecordError) as refused:
        read_marks(tmp_path / "1.hea", "V9")
    assert "V9" in str(refused.value)


def test_delineation_meets_its_aim_on_people_it_was_not_chosen_on():
    tasks, _ = _plan_marks(real_data("ludb"))
    table = pd.concat([task.work()["rows"] for task in tasks[1:80:2]])
    found = summarise_delineation(table).set_index(["way", "interval"])["median_ms"]
    assert found["delineate", "QT"] < 10
    assert found["delineate", "QRS"] < 6
    assert found["delineate", "QT"] < found["wave_masks", "QT"]


def test_options_are_chosen_on_one_half_only():
    rows = [
        (half, name, value, value if half == "choice" else 9.0 - value, 3.0)
        for half in ("choice", "test")
        for name in ("qrs_begin", "qrs_end", "t_end")
        for value in (1.0, 3.0, 6.0)
    ]
    table = pd.DataFrame(rows, columns=["half", "option", "value", "found_ms", "marked_ms"])
    assert set(vars(choose_delineation(table)).values()) == {3.0}


def test_agreement_is_that_of_all_pairs_each_heart_weighing_the_same():
    rng = np.random.default_rng(0)
    rows, pairs = [], []
    for heart in range(6):
        truth = rng.normal(100 * heart, 30, size=40)
        guess = 0.8 * truth + 5 * heart + rng.normal(0, 10, size=40)
        pairs.append((truth, guess))
        rows.append({"heart": heart, "record": "a"} | _sums("T", "beat", "normal", truth, guess))
    found = compare_measures(pd.DataFrame(rows), ["measure"]).iloc[0]
    truth, guess = (np.concatenate(part) for part in zip(*pairs, strict=True))
    moved = guess - truth
    assert found["bias"] == pytest.approx(moved.mean())
    assert found["limit_high"] == pytest.approx(moved.mean() + 1.96 * moved.std())
    assert found["slope"] == pytest.approx(np.polyfit(truth, guess, 1)[0])
    assert found["r2"] == pytest.approx(1 - np.square(moved).mean() / truth.var())


def test_an_axis_is_compared_by_the_shorter_turn():
    row = _sums("axis", "record", "normal", np.array([170.0, 0.0]), np.array([-170.0, 10.0]))
    assert row["guess"] - row["truth"] == pytest.approx(15.0)


def test_alternans_is_the_difference_of_even_and_odd_beats():
    waves = np.array([[100.0, 7.0], [140.0, 7.0]] * 5)
    assert _alternans(waves) == pytest.approx([-40.0, 0.0])


def test_beats_of_another_shape_are_told_apart():
    beats = np.stack([beat_of()] * 6)
    beats[2] *= -1
    assert np.flatnonzero(_find_ectopic(beats)).tolist() == [2]


def test_logistic_regression_is_that_of_scikit_learn():
    model = pytest.importorskip("sklearn.linear_model")
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(80, 3))
    is_so = inputs @ [1.0, -2.0, 0.0] + rng.normal(size=80) > 0.3
    wanted = model.LogisticRegression(C=0.5).fit(inputs, is_so)
    found = _fit_logistic(inputs, is_so, penalty=2.0)
    assert found[1:] == pytest.approx(wanted.coef_[0], abs=1e-2)
    assert found[0] == pytest.approx(wanted.intercept_[0], abs=1e-2)


def test_a_classifier_finds_what_is_there():
    rng = np.random.default_rng(0)
    is_so = np.arange(60) % 2 == 0
    features = rng.normal(size=(60, 22))
    features[is_so, 4] += 6
    classify = _fit_classifier(features, is_so)
    scores = np.array([classify(one) for one in features])
    assert scores[is_so].min() > scores[~is_so].max() - 2


def test_the_margin_decides_what_survives():
    rng = np.random.default_rng(0)
    is_so = np.arange(400) % 4 == 0
    good = is_so + rng.normal(0, 0.4, size=400)
    arms = {("original", "all"): good, ("another_day", "I"): good + rng.normal(0, 0.02, 400)}
    arms |= {("average_beat", "I"): rng.normal(size=400)}
    rows = [
        (f"h{n}", "hypertrophy" if is_so[n] else "other", arm, name, "hypertrophy", values[n])
        for (arm, name), values in arms.items()
        for n in range(400)
    ]
    columns = ["heart", "condition", "arm", "input_lead", "target", "score"]
    table = pd.DataFrame(rows, columns=columns)
    found = summarise_diagnosis(table, n_bootstrap=200).set_index("arm")
    assert found.loc["another_day", "verdict"] == "survives"
    assert found.loc["average_beat", "verdict"] == "is lost"
    assert found.loc["original", "difference"] == 0.0
    for (arm, _), values in arms.items():
        assert found.loc[arm, "auroc"] == pytest.approx(auroc(values, is_so))
    assert MARGIN == 0.05
    few = table[table["heart"].isin([f"h{n}" for n in range(24)])]
    assert summarise_diagnosis(few, n_bootstrap=50).empty


def test_what_the_original_does_not_tell_cannot_survive():
    rng = np.random.default_rng(1)
    is_so, noise = np.arange(400) % 4 == 0, rng.normal(size=400)
    arms = {("original", "all"): noise, ("another_day", "I"): noise}
    arms |= {("visible", "I"): is_so.astype(float)}
    rows = [
        (f"h{n}", "hypertrophy" if is_so[n] else "other", arm, name, "hypertrophy", values[n])
        for (arm, name), values in arms.items()
        for n in range(400)
    ]
    columns = ["heart", "condition", "arm", "input_lead", "target", "score"]
    found = summarise_diagnosis(pd.DataFrame(rows, columns=columns), n_bootstrap=200)
    assert set(found["verdict"]) == {NOT_TOLD}


def test_leads_recorded_in_turn_are_put_over_each_other():
    time = np.arange(150)
    wave = np.gradient(np.exp(-(((time - 56) / 3) ** 2))) + np.exp(-(((time - 100) / 15) ** 2)) / 9
    piece = derive_leads(np.array([1.0, 2.0, -1.5, -3.0, 1.0, 2.5, 2.0, 1.0])[:, None] * wave)
    filler = Filler(lead_moments(np.tile(piece, 9)))
    moved = {
        lead: np.roll(piece[LEADS.index(lead)], shift)
        for lead, shift in {"I": 0, "II": 4, "V2": -3, "V5": 5}.items()
    }
    found = filler.align(moved)
    for lead in moved:
        assert np.allclose(found[LEADS.index(lead)], piece[LEADS.index(lead)], atol=1e-6)


def test_what_is_lost_is_paired_by_heart():
    rows = [
        ("same", 3, arm, heart, heart / 10 + gain, heart / 10, heart / 10)
        for heart in range(4)
        for arm, gain in (("in turn", -0.02), ("at once", 0.0), ("twelve", 0.01))
    ]
    columns = ["plan", "n_lead", "arm", "heart", "r", "r_recorded", "r_filled"]
    found = summarise_watch_leads(pd.DataFrame(rows, columns=columns)).set_index("arm")
    assert found.loc["in turn", "lost"] == pytest.approx(-0.02)
    assert found.loc["in turn", "lost_high"] == pytest.approx(-0.02)
    assert found.loc["at once", "lost"] == 0.0


def recorded(name):
    table = pd.read_csv(RESULTS / f"{name}.csv.gz")
    manifest = json.loads((RESULTS / f"{name}_manifest.json").read_text())
    assert manifest["failed"] == []
    assert {len(digest) for digest in manifest["records"].values()} == {64}
    return table, manifest


def test_the_recorded_marks_are_of_140_people_and_ours_is_the_nearest_to_them():
    ours, _ = recorded("delineation")
    library, manifest = recorded("delineation_neurokit2")
    assert manifest["neurokit2"]
    assert ours["heart"].nunique() == library["heart"].nunique() == 140
    found = summarise_delineation(pd.concat([ours, library]))
    assert set(found["n_heart"]) == {70}
    median = found.pivot(index="way", columns="interval", values="median_ms")
    assert median.loc["delineate", "QT"] < 10
    assert median.loc["delineate", "QRS"] < 6
    assert set(median.idxmin()) == {"delineate"}


def test_the_recorded_measures_hold_every_measure_and_method_of_every_plan():
    table, manifest = recorded("measures")
    assert manifest["plans"] == list(MEASURE_PLANS)
    keys = ["plan", "record", "heart", "input_lead", "method", "measure", "kind", "rhythm"]
    assert not table.duplicated(keys).any()
    hearts = table.groupby("plan")["heart"].nunique()
    assert hearts["days"] == 11
    assert hearts["beats"] == 33
    assert hearts["inside"] > 150
    found = compare_measures(table[table["kind"] == "record"], ["plan", "measure", "method"])
    names = [*LEAD_MEASURES, *BEAT_MEASURES]
    for plan, own in found[found["measure"].isin(names)].groupby("plan"):
        assert len(own) == len(names) * len(MEASURE_METHODS), plan
        assert (own["limit_low"] < own["bias"]).all()
        assert own[["slope", "r2"]].notna().all(axis=None)


def test_the_recorded_diagnoses_ask_every_arm_about_every_heart():
    table, manifest = recorded("diagnosis")
    assert manifest["margin"] == MARGIN
    keys = ["heart", "arm", "input_lead", "target"]
    assert not table.duplicated(keys).any()
    assert set(table["arm"]) == set(ARMS)
    found = summarise_diagnosis(table, n_bootstrap=200)
    assert set(found["target"]) == set(DIAGNOSES)
    assert found["n_with"].min() >= N_WITH
    assert set(found.loc[found["arm"] == "original", "difference"]) == {0.0}
