from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from ecgnb.leads import LEADS, lead_index
from ecgnb.reconstruction import personal, scores
from ecgnb.reconstruction.methods import METHODS
from ecgnb.reconstruction.model_files import ModelFileError, load_personal, save_personal
from ecgnb.reconstruction.personal import (
    DEFAULT_METHOD,
    PERSONAL_METHODS,
    fit_personal,
    reconstruct,
)
from ecgnb.records.record import RecordError
from ecgnb.records.wfdb_files import read_record, write_record
from ecgnb.simulation.cohort import write_cohort


@pytest.fixture(scope="module")
def halves(tmp_path_factory):
    folder = tmp_path_factory.mktemp("personal") / "c"
    write_cohort(folder, n_twadb=1, n_patient=1, duration_s=60.0, ptbdb_duration_s=5.0)
    record = read_record(folder / "twadb" / "twa01")
    return record.split(share=2 / 3, gap_s=0.0)


@pytest.fixture
def small(monkeypatch):
    """Networks of few weights, fitted in few steps."""
    best = {"width": 8, "n_step": 20, "n_time": 128}
    for name, method in METHODS.items():
        if method.is_network:
            options = best if name == "best" else {"n_weight": 5000, "n_step": 5, "n_time": 128}
            monkeypatch.setitem(METHODS, name, replace(method, fit=partial(method.fit, **options)))


@pytest.mark.parametrize("method", PERSONAL_METHODS)
def test_a_model_read_again_reconstructs_bit_for_bit(method, halves, tmp_path, small):
    first, rest = halves
    model = fit_personal(first, "V2", method=method)
    again = load_personal(save_personal(model, tmp_path / "m"))
    made = reconstruct(rest.only("V2"), model)
    assert np.array_equal(made.signals, reconstruct(rest.only("V2"), again).signals)
    assert again.expected.equals(model.expected)
    assert again.training == model.training


def test_what_is_expected_is_what_is_achieved(halves):
    first, rest = halves
    model = fit_personal(first, "V2", method="neighbours")
    made = reconstruct(rest.only("V2"), model)
    truth = np.stack([personal.clean_input(rest, lead, model.options) for lead in LEADS])
    achieved = scores.score_leads(truth, made.signals, "V2")
    assert (model.expected["r"] - achieved["r"]).abs().median() < 0.05
    assert model.expected["r"].median() > 0.8


def test_the_given_lead_is_passed_on_and_the_file_says_which_leads_are_made(halves, tmp_path):
    first, rest = halves
    model = fit_personal(first, "V2", method="average_beat_ridge")
    made = reconstruct(rest.only("V2"), model, name="made")
    again = read_record(write_record(made, tmp_path))
    assert np.abs(again.signals - made.signals).max() * 2000 <= 1
    given = personal.clean_input(rest, "V2", model.options)
    assert np.allclose(made.signals[lead_index("V2")], given, atol=1e-6)
    comments = "\n".join(again.comments)
    assert "recorded lead: V2 of twa01" in comments
    assert "reconstructed leads: I, II, III" in comments
    assert "method average_beat_ridge, calibrated on twa01" in comments


def test_the_expectation_comes_from_time_the_model_has_not_seen(halves):
    first, _ = halves
    noise = np.random.default_rng(0).normal(scale=0.5, size=first.signals.shape)
    spoilt = first.signals.copy()
    at = int(0.85 * first.n_time)
    spoilt[0, at:] = noise[0, at:]
    clean = fit_personal(first, "V2", method="neighbours").expected.set_index("lead")
    worse = fit_personal(
        replace(first, signals=spoilt.astype(np.float32)), "V2", method="neighbours"
    ).expected.set_index("lead")
    assert worse.loc["I", "r"] < clean.loc["I", "r"] - 0.3
    assert worse.loc["V4", "r"] == pytest.approx(clean.loc["V4", "r"])


@pytest.mark.parametrize("suffix", [".json", ".safetensors"])
@pytest.mark.parametrize("damage", ["cut", "changed", "absent", "empty"])
def test_a_damaged_model_is_refused_by_name(suffix, damage, halves, tmp_path):
    save_personal(fit_personal(halves[0], "V2", method="least_squares"), tmp_path / "m")
    path = tmp_path / f"m{suffix}"
    content = path.read_bytes()
    if damage == "absent":
        path.unlink()
    else:
        middle = len(content) // 2
        changed = bytes([content[middle] ^ 1])
        spoilt = {"cut": content[:middle], "empty": b""}
        whole = content[:middle] + changed + content[middle + 1 :]
        path.write_bytes(spoilt.get(damage, whole))
    with pytest.raises(ModelFileError, match=f"m{suffix}"):
        load_personal(tmp_path / "m")


def test_another_json_file_is_no_model(tmp_path):
    for text in ("[]", "{}", '{"format": "x"}', "[" * 100_000, "1e999"):
        (tmp_path / "m.json").write_text(text)
        with pytest.raises(ModelFileError, match="not the card of a model"):
            load_personal(tmp_path / "m")


def spoil(record, change):
    signals = record.signals.copy()
    change(signals)
    return replace(record, signals=signals)


@pytest.mark.parametrize(
    ("method", "seconds", "least_s"), [("least_squares", 10, 20), (DEFAULT_METHOD, 4, 5)]
)
def test_a_short_calibration_is_refused(method, seconds, least_s, halves):
    short = replace(halves[0], signals=halves[0].signals[:, : 500 * seconds])
    with pytest.raises(RecordError, match=rf"lasts {seconds}\.0 s, at least {least_s} s"):
        fit_personal(short, "V2", method=method)


def first(record, seconds, name="day"):
    n_time = round(seconds * record.sampling_rate)
    return replace(record, signals=record.signals[:, :n_time], frank=None, name=name)


def achieved_by(model, rest):
    made = reconstruct(rest.only(model.lead), model)
    truth = np.stack([personal.clean_input(rest, lead, model.options) for lead in LEADS])
    return scores.score_leads(truth, made.signals, model.lead)


@pytest.mark.parametrize("seconds", [5, 10])
def test_a_few_seconds_make_a_model_that_says_what_to_expect(seconds, halves):
    calibration, rest = halves
    model = fit_personal(first(calibration, seconds), "V2")
    assert model.method == DEFAULT_METHOD
    assert model.held_back_s == 0
    achieved = achieved_by(model, rest)
    assert achieved["r"].median() > 0.95
    assert (model.expected["r"] - achieved["r"]).abs().median() < 0.03


def test_several_calibrations_of_different_length_and_rate_make_one_model(halves, tmp_path):
    calibration, rest = halves
    other = first(calibration, 20, "other")
    slow = replace(other, signals=other.signals[:, ::2], sampling_rate=250.0)
    model = fit_personal([first(calibration, 8), slow], "V2")
    assert model.training["record"] == "day+other"
    assert model.training["duration_s"] == 28.0
    assert len(model.model.models[0].day.calibrations) == 2
    assert achieved_by(model, rest)["r"].median() > 0.95
    again = load_personal(save_personal(model, tmp_path / "m"))
    signal = personal.clean_input(rest, "V2", model.options)
    assert np.array_equal(again.predict(signal), model.predict(signal))


def test_leads_that_one_calibration_lacks_are_filled_in_from_the_others(halves):
    calibration, _ = halves
    names = ("I", "II", "V2", "V5")
    rows = [lead_index(name) for name in names]
    other = first(calibration, 12, "four")
    four = replace(other, signals=other.signals[rows], leads=names)
    model = fit_personal([first(calibration, 10), four], "V2")
    assert any("four lacks III, aVR" in text for text in model.warnings)
    filled = model.model.models[0].day.calibrations[1].signals
    known = personal.clean_record(other)
    limbs = slice(0, 6)  # by arithmetic from I and II
    np.testing.assert_allclose(filled[limbs], known[limbs], atol=0.01)
    np.testing.assert_allclose(filled[rows], known[rows], atol=1e-9)
    assert np.corrcoef(filled[9], known[9])[0, 1] > 0.9


def test_calibrations_without_the_lead_or_without_twelve_are_refused(halves):
    whole, other = first(halves[0], 10), first(halves[0], 10, "limbs")
    limbs = replace(other, signals=other.signals[:6], leads=LEADS[:6])
    with pytest.raises(RecordError, match="limbs: lead V2 is not among I, II"):
        fit_personal([whole, limbs], "V2")
    with pytest.raises(RecordError, match="no calibration holds all 12 leads"):
        fit_personal([limbs], "I")
    with pytest.raises(ValueError, match="neighbours takes one calibration, 2 were given"):
        fit_personal([whole, whole], "I", method="neighbours")


def test_a_flat_lead_is_refused(halves):
    def flatten(signals):
        signals[7] = 0.1

    for record, lead in ((spoil(halves[0], flatten), "V2"), (spoil(halves[0], flatten), "I")):
        with pytest.raises(RecordError, match="lead V2 is flat"):
            fit_personal(record, lead, method="least_squares")


def test_noise_is_refused(halves):
    first, rest = halves
    model = fit_personal(first, "V2", method="least_squares")
    noise = np.random.default_rng(0).normal(size=(1, rest.n_time)).astype(np.float32)
    with pytest.raises(RecordError, match=r"too noisy|heartbeats found"):
        reconstruct(replace(rest.only("V2"), signals=noise), model)


def test_a_lead_upside_down_is_refused_and_another_lead_is_noticed(halves):
    first, rest = halves
    model = fit_personal(first, "V2", method="least_squares")
    given = rest.only("V2")
    with pytest.raises(RecordError, match="upside down"):
        reconstruct(replace(given, signals=-given.signals), model)
    other = replace(given, signals=rest.signals[[LEADS.index("V6")]])
    try:
        notes = reconstruct(other, model).notes
    except RecordError as error:
        assert "lead V2 is" in error.what
    else:
        assert any("fits V6" in note for note in notes)


def test_a_recording_in_the_wrong_unit_or_with_gaps_is_refused(halves):
    first, rest = halves
    model = fit_personal(first, "V2", method="least_squares")
    given = rest.only("V2")
    with pytest.raises(RecordError, match="unit is probably not mV"):
        reconstruct(replace(given, signals=1000 * given.signals), model)
    holes = given.signals.copy()
    holes[:, : holes.shape[1] // 3] = np.nan
    with pytest.raises(RecordError, match="33 % of lead V2 is missing"):
        reconstruct(replace(given, signals=holes), model)


def test_an_unknown_method_names_those_there_are(halves):
    with pytest.raises(ValueError, match=r"choose from another_day, mean, .*neighbours, .*best"):
        fit_personal(halves[0], "V2", method="magic")
