from dataclasses import replace

import numpy as np
import pytest

from ecgnb.leads import LEADS, limb_lead_error
from ecgnb.records.record import Record
from ecgnb.signals.filters import fill_missing, filter_signals, resample_signals
from ecgnb.signals.preparation import (
    PreprocessingOptions,
    _scale_windows,
    fit_scaling,
    make_windows,
    prepare_record,
    split_patients,
    split_time,
)
from ecgnb.signals.prepared_files import _cached
from ecgnb.simulation.synthesis import SimulationOptions, simulate_record

RATE = 500.0


@pytest.fixture(scope="module")
def record():
    return simulate_record(SimulationOptions(duration_s=30.0), seed=1).record


def sinusoid(frequency, rate=RATE, seconds=40):
    return np.sin(2 * np.pi * frequency * np.arange(seconds * rate) / rate)[None]


@pytest.mark.parametrize(
    ("frequency", "gain", "tolerance"),
    [(0.05, 0.0, 0.01), (0.5, 0.5, 0.01), (8.0, 1.0, 0.01), (40.0, 0.5, 0.01), (160.0, 0.0, 0.01)],
)
def test_the_band_pass_has_gain_one_half_at_its_corners(frequency, gain, tolerance):
    filtered = filter_signals(sinusoid(frequency), RATE)[0, 5000:-5000]
    assert np.sqrt(2 * np.mean(filtered**2)) == pytest.approx(gain, abs=tolerance)


def test_filtering_moves_no_wave_in_time():
    pulse = np.exp(-0.5 * ((np.arange(4001) - 2000) / 8) ** 2)[None]
    filtered = filter_signals(pulse, RATE)[0]
    np.testing.assert_allclose(filtered, filtered[::-1], atol=1e-9)
    assert filtered.argmax() == 2000


def test_leads_are_filtered_independently(record):
    together = filter_signals(record.signals, RATE)
    alone = filter_signals(record.signals[3], RATE)
    np.testing.assert_array_equal(together[3], alone)


def test_resampling_keeps_a_slow_sinusoid():
    resampled = resample_signals(sinusoid(5.0, 1000.0), 1000.0, 250.0)
    expected = sinusoid(5.0, 250.0)
    np.testing.assert_allclose(resampled[0, 50:-50], expected[0, 50:-50], atol=2e-3)


def test_the_parts_are_in_order_with_a_gap_between_them():
    parts = split_time(60_000, RATE, PreprocessingOptions(gap_s=2.0))
    assert parts.train == slice(0, 36_000)
    assert parts.validation.start - parts.train.stop == 1000
    assert parts.test.start - parts.validation.stop == 1000
    assert parts.test.stop == 60_000


def test_a_record_too_short_for_its_parts_is_refused():
    with pytest.raises(ValueError, match="too short"):
        split_time(2500, RATE, PreprocessingOptions())


def test_without_a_validation_share_the_validation_part_is_empty(record):
    prepared = prepare_record(record, PreprocessingOptions(validation=0.0))
    assert prepared.validation.shape == (12, 0)
    assert prepared.test.shape[1] > prepared.sampling_rate


def test_nothing_outside_the_training_part_changes_it_or_the_scaling(record):
    changed = record.signals.copy()
    changed[:, int(0.6 * changed.shape[1]) :] += 5 * np.sin(np.arange(6000) / 90)
    one, other = prepare_record(record), prepare_record(replace(record, signals=changed))
    np.testing.assert_array_equal(one.train, other.train)
    np.testing.assert_array_equal(one.scaling.factor, other.scaling.factor)
    assert np.abs(one.test - other.test).max() > 0.1


def test_the_gap_belongs_to_no_part(record):
    options = PreprocessingOptions()
    parts = split_time(record.signals.shape[1], RATE, options)
    changed = record.signals.copy()
    changed[:, parts.train.stop : parts.validation.start] = 7.0
    changed[:, parts.validation.stop : parts.test.start] = -7.0
    one, other = prepare_record(record), prepare_record(replace(record, signals=changed))
    for part in ("train", "validation", "test"):
        np.testing.assert_array_equal(getattr(one, part), getattr(other, part))


def test_filtering_before_the_split_carries_the_test_part_into_the_training_part(record):
    options = PreprocessingOptions(filter_before_split=True)
    changed = record.signals.copy()
    changed[:, int(0.6 * changed.shape[1]) :] += 5.0
    one = prepare_record(record, options)
    other = prepare_record(replace(record, signals=changed), options)
    assert np.abs(one.train - other.train).max() > 0.01


@pytest.mark.parametrize("scope", ["lead", "record"])
def test_the_training_part_fills_minus_one_to_one_and_comes_back_in_mv(record, scope):
    prepared = prepare_record(record, PreprocessingOptions(scaling=scope))
    assert prepared.train.min() == pytest.approx(-1, abs=1e-6)
    assert prepared.train.max() == pytest.approx(1, abs=1e-6)
    signals_mv = prepared.scaling.to_mv(prepared.train)
    np.testing.assert_allclose(prepared.scaling.apply(signals_mv), prepared.train, atol=1e-6)
    assert limb_lead_error(signals_mv).max() < 1e-5


def test_one_factor_for_the_record_keeps_the_leads_in_proportion(record):
    prepared = prepare_record(record, PreprocessingOptions(scaling="record"))
    assert np.unique(prepared.scaling.factor).size == 1
    lead = prepare_record(record)
    assert np.unique(lead.scaling.factor).size == 12


def test_scaling_by_the_window_gives_no_figure_in_mv(record):
    prepared = prepare_record(record, PreprocessingOptions(scaling="window"))
    assert np.isnan(prepared.scaling.to_mv(prepared.test)).all()
    np.testing.assert_allclose(prepared.test[:, :256].max(axis=1), 1.0, atol=1e-6)


def test_a_flat_lead_stays_finite():
    flat = np.stack([np.full(50, 2.0), np.arange(50.0)])
    assert np.isfinite(fit_scaling(flat).apply(flat)).all()
    assert np.isfinite(_scale_windows(flat, 20)).all()


def test_missing_samples_are_filled_and_an_absent_lead_is_zero():
    signals = np.array([[1.0, np.nan, 3.0, np.nan], [np.nan] * 4])
    np.testing.assert_array_equal(fill_missing(signals), [[1, 2, 3, 3], [0, 0, 0, 0]])


def test_a_record_with_missing_samples_is_prepared(record):
    signals = record.signals.copy()
    signals[4, 100:200] = np.nan
    prepared = prepare_record(replace(record, signals=signals))
    assert np.isfinite(prepared.train).all()


def test_labels_travel_with_the_prepared_record(record):
    named = replace(record, name="a", patient="p", condition="c", origin="o", database="d")
    labels = prepare_record(named).record
    assert (labels.name, labels.patient, labels.condition) == ("a", "p", "c")
    assert (labels.origin, labels.database) == ("o", "d")


def test_windows_are_contiguous_pieces_at_every_hop():
    signals = np.arange(40.0).reshape(2, 20)
    windows = make_windows(signals, 6, hop=4)
    assert windows.shape == (4, 2, 6)
    assert windows.flags.c_contiguous
    for number, window in enumerate(windows):
        np.testing.assert_array_equal(window, signals[:, 4 * number : 4 * number + 6])


@pytest.mark.parametrize(("n_time", "hop"), [(21, 1), (0, 1), (5, 0)])
def test_a_window_that_cannot_be_is_refused(n_time, hop):
    with pytest.raises(ValueError, match="no window"):
        make_windows(np.zeros((2, 20)), n_time, hop=hop)


def cohort_of(n_patient):
    conditions = ("healthy control", "myocardial infarction", "hypertrophy")
    signals = np.zeros((12, 2), dtype=np.float32)
    return [
        Record(
            name=f"s{patient:03d}_{visit}",
            signals=signals,
            sampling_rate=RATE,
            patient=f"patient{patient:03d}",
            condition=conditions[patient % 3],
        )
        for patient in range(n_patient)
        for visit in range(1 + patient % 2)
    ]


@pytest.mark.parametrize("n_patient", [1, 2, 9, 10, 31])
@pytest.mark.parametrize("seed", [0, 1])
def test_a_split_shares_no_patient_and_loses_no_record(n_patient, seed):
    records = cohort_of(n_patient)
    parts = split_patients(records, seed=seed)
    patients = [{record.patient for record in part} for part in parts.values()]
    assert not (patients[0] & patients[1] or patients[0] & patients[2])
    assert not patients[1] & patients[2]
    assert sorted(r.name for part in parts.values() for r in part) == [r.name for r in records]


def test_every_condition_of_three_patients_is_in_every_part():
    parts = split_patients(cohort_of(9), seed=3)
    for part in parts.values():
        assert len({record.condition for record in part}) == 3


def test_a_split_depends_on_the_seed_and_not_on_the_order():
    records = cohort_of(30)
    one, same = split_patients(records, seed=5), split_patients(records[::-1], seed=5)
    assert [r.name for r in one["test"]] == [r.name for r in same["test"]]
    assert [r.name for r in one["test"]] != [
        r.name for r in split_patients(records, seed=6)["test"]
    ]


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("sampling_rate", 10.0, "sampling_rate"),
        ("high_hz", 125.0, "half the sampling rate"),
        ("low_hz", 41.0, "low_hz"),
        ("train", 0.9, "test part"),
        ("gap_s", -1.0, "gap_s"),
        ("scaling", "z-score", "scaling"),
    ],
)
def test_a_bad_option_is_refused_by_name(option, value, words):
    with pytest.raises(ValueError, match=words):
        PreprocessingOptions(**{option: value})


def keep(record, folder):
    return _cached(folder / "kept.npz", lambda: prepare_record(record))


def test_the_cache_gives_the_same_bits(record, tmp_path):
    fresh = keep(record, tmp_path)
    again = keep(record, tmp_path)
    assert len(list(tmp_path.iterdir())) == 1
    for part in ("train", "validation", "test"):
        np.testing.assert_array_equal(getattr(fresh, part), getattr(again, part))
    np.testing.assert_array_equal(fresh.scaling.factor, again.scaling.factor)
    assert again.record == fresh.record
    assert again.options == fresh.options


def test_a_damaged_cache_file_is_made_again(record, tmp_path):
    fresh = keep(record, tmp_path)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:1000])
    np.testing.assert_array_equal(keep(record, tmp_path).test, fresh.test)
    assert path.stat().st_size > 1000


def test_the_lead_order_is_kept(record):
    prepared = prepare_record(record)
    assert prepared.train.shape[0] == len(LEADS)
    alone = filter_signals(record.signals[7, : int(0.6 * record.signals.shape[1])], RATE)
    expected = resample_signals(alone, RATE, 250.0)
    np.testing.assert_allclose(prepared.scaling.to_mv(prepared.train)[7], expected, atol=1e-5)
