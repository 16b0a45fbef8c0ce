"""What to expect of a personal model: bands, expiry, the situation at hand."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from ecgnb.cli.commands import app
from ecgnb.leads import LEADS
from ecgnb.reconstruction import expectation, expiry
from ecgnb.reconstruction.expectation import SITUATIONS, ErrorCase, fit_error_model
from ecgnb.reconstruction.personal import (
    expect_other_day,
    fit_personal,
    reconstruct_with_bands,
)
from ecgnb.records.record import RecordError
from ecgnb.records.wfdb_files import read_record, write_record
from ecgnb.signals.filters import clean
from ecgnb.simulation.synthesis import SimulationOptions, simulate_record

WEIGHTS = np.array([0.5, 2.0, 0.0])


def one_day(person, seed, duration_s=12.0):
    options = SimulationOptions(duration_s=duration_s, sampling_rate=250.0, patient_seed=person)
    return replace(simulate_record(options, seed=seed, name="day").record, frank=None)


def case(heart, situation, seed, scale=1.0):
    """An error whose variance is `WEIGHTS` times its terms."""
    generator = np.random.default_rng(seed)
    terms = generator.exponential(0.01, (3, 11, 80))
    deviation = scale * np.sqrt(np.tensordot(WEIGHTS, terms, axes=1))
    return ErrorCase(heart, situation, terms, deviation * generator.normal(size=(11, 80)))


@pytest.fixture(scope="module")
def model():
    return fit_personal(one_day(1, 1, 10.0), "II")


def test_weights_of_known_errors_are_found_and_bands_cover_unseen_hearts():
    cases = [case(f"{n}", SITUATIONS[n % 2], n) for n in range(12)]
    errors = fit_error_model(cases)
    np.testing.assert_allclose(errors.weights, WEIGHTS, atol=0.15)
    for situation in SITUATIONS:
        assert errors.factors[situation] == pytest.approx(1.645, abs=0.05)
        new = case("new", situation, 99)
        covered = (np.abs(new.error) <= errors.half_width(new.terms, situation)).mean()
        assert covered == pytest.approx(expectation.BAND_LEVEL, abs=0.04)


def test_a_heart_counts_once_however_often_it_was_recorded():
    quiet = [case("quiet", SITUATIONS[1], n) for n in range(10)]
    wild = [case(f"wild {n}", SITUATIONS[1], 20 + n, scale=3.0) for n in range(9)]
    many = fit_error_model([*quiet, *wild]).factors[SITUATIONS[1]]
    once = fit_error_model([quiet[0], *wild]).factors[SITUATIONS[1]]
    assert many == pytest.approx(once, rel=0.1)


def test_bands_hold_most_of_the_truth_and_the_visible_lead_as_it_is(model):
    later = one_day(1, 2)
    made = reconstruct_with_bands(later.only("II"), model, same_session=True)
    low, high = made.bands.signals.reshape(2, len(LEADS), -1)
    assert made.bands.leads[0] == "I_low"
    assert made.bands.leads[12] == "I_high"
    assert (low <= high).all()
    assert np.array_equal(low[1], high[1])
    truth = clean(later.signals, later.sampling_rate, to_rate=250.0)
    hidden = np.delete(np.arange(12), 1)
    inside = (low[hidden] <= truth[hidden]) & (truth[hidden] <= high[hidden])
    assert inside.mean() > 0.8


def test_another_day_is_expected_to_be_worse_than_the_same_session(model):
    later = one_day(1, 2).only("II")
    tables = {
        same: reconstruct_with_bands(later, model, same_session=same) for same in (True, False)
    }
    for made in tables.values():
        assert (made.expected["r_low"] <= made.expected["r"]).all()
        assert (made.expected["r"] <= made.expected["r_high"]).all()
    widths = [np.ptp(m.bands.signals.reshape(2, 12, -1), axis=0).mean() for m in tables.values()]
    assert widths[1] > widths[0]
    assert "same session" in tables[True].how_measured
    assert "another day" in "\n".join(tables[False].record.comments)


def test_what_other_people_had_on_another_day_is_known_by_lead(model):
    table = expect_other_day(model)
    assert list(table["lead"]) == list(model.expected["lead"])
    assert table[["r", "r_low", "r_high"]].stack().between(-1, 1).all()
    assert expect_other_day(replace(model, method="neighbours")) is None


def test_the_same_session_is_not_noted_and_another_person_is(model):
    rule = expiry.load_expectation().expiry
    own = [reconstruct_with_bands(one_day(1, seed).only("II"), model) for seed in (2, 3, 4)]
    others = [
        reconstruct_with_bands(one_day(person, 2).only("II"), model, force=True)
        for person in (4, 5, 6)
    ]
    assert max(made.expired for made in own) <= rule.note
    assert min(made.expired for made in others) > rule.note
    assert all(any("expired" in note for note in made.record.notes) for made in others)
    assert not any("expired" in note for made in own for note in made.record.notes)


@pytest.mark.parametrize("other", ["V1", "V6"])
def test_an_exchanged_electrode_is_noted_or_refused(other):
    calibration, later = one_day(1, 1, 10.0), one_day(1, 2)
    chest = fit_personal(calibration, "V3")
    exchanged = replace(later.only("V3"), signals=later.lead(other)[None])
    try:
        made = reconstruct_with_bands(exchanged, chest)
    except RecordError as error:
        assert "V3 is upside down" in error.what or "expired" in error.what
    else:
        assert made.record.notes
        assert made.expired > reconstruct_with_bands(later.only("V3"), chest).expired


def test_a_heart_rate_never_seen_is_noted(model):
    slow = one_day(1, 2).only("II")
    fast = replace(slow, sampling_rate=1.4 * slow.sampling_rate)
    notes = {
        one.sampling_rate: reconstruct_with_bands(one, model, force=True).record.notes
        for one in (slow, fast)
    }
    assert not any("never seen" in note for note in notes[slow.sampling_rate])
    assert any("heart rate never seen" in note for note in notes[fast.sampling_rate])


def test_what_is_too_far_is_refused_with_what_to_do_unless_it_is_forced():
    rule = expiry.ExpiryRule(np.arange(10.0)[:, None].repeat(5, axis=1), note=0.4, refuse=0.8)
    signs = [np.full(5, value) for value in (0.0, 5.0, 99.0)]
    scores = [rule.score(one) for one in signs]
    assert scores == [0.0, 0.5, 1.0]
    assert rule.judge(scores[0], "rec") == ()
    assert "a new calibration" in rule.judge(scores[1], "rec")[0]
    with pytest.raises(RecordError, match="record a new calibration of 12 leads"):
        rule.judge(scores[2], "rec")
    assert "expired 1.00" in rule.judge(scores[2], "rec", force=True)[0]


def test_a_lead_upside_down_is_refused_even_if_forced(model):
    given = one_day(1, 2).only("II")
    with pytest.raises(RecordError, match="upside down"):
        reconstruct_with_bands(replace(given, signals=-given.signals), model, force=True)


def test_the_table_is_made_from_cases_and_read_again(tmp_path, monkeypatch):
    generator = np.random.default_rng(0)
    cases = [
        expiry.RecordedCase(
            case(f"{n % 4}", SITUATIONS[n % 2], n, scale=0.1 if n % 4 == 1 else 1.0),
            "II",
            (n % 2) + generator.random(5),
            generator.random(11),
            np.ones(11),
        )
        for n in range(16)
    ]
    path = expiry.write_expectation(cases, tmp_path / "data" / "expectation.json")
    monkeypatch.setattr("ecgnb.files.resources.files", lambda _: tmp_path)
    found = expiry.load_expectation.__wrapped__()
    assert found.n_heart == {situation: 2 for situation in SITUATIONS}
    assert set(found.other_day["II"]) == set(LEADS) - {"II"}
    assert found.expiry.reference.shape == (8, 5)
    path.write_text(path.read_text().replace("0.", "1.", 1))
    with pytest.raises(ValueError, match="checksum"):
        expiry.load_expectation.__wrapped__()


def test_the_command_writes_bands_beside_the_twelve_leads(tmp_path):
    write_record(replace(one_day(1, 1, 10.0), name="clinic"), tmp_path)
    pd.DataFrame({"II (mV)": one_day(1, 2).lead("II")}).to_csv(tmp_path / "w.csv", index=False)
    line = f"reconstruct {tmp_path}/w.csv --sampling-rate 250 --lead II --out {tmp_path}/made"
    calibrated = f"{line} --calibration {tmp_path}/clinic"
    done = CliRunner().invoke(app, f"{calibrated} --bands --plot {tmp_path}/made.png".split())
    assert done.exit_code == 0, done.output
    assert "the bands are in" in done.stdout
    assert "r_low" in done.stdout
    twelve = read_record(tmp_path / "made")
    text = (tmp_path / "made_bands.hea").read_text()
    assert text.startswith(f"made_bands 24 250 {twelve.n_time}")
    assert "V6_high" in text
    done = CliRunner().invoke(app, f"{calibrated} --bands --method least_squares".split())
    assert done.exit_code != 0
