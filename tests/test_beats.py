import numpy as np
import pytest
import wfdb
from conftest import real_data

from ecgnb.leads import LEADS, derive_leads
from ecgnb.records.databases import find_records
from ecgnb.records.wfdb_files import read_record
from ecgnb.signals.beats import (
    WAVES,
    _qrs_bounds,
    align_beats,
    average_beat,
    find_peaks,
    rms_lead,
    wave_masks,
)
from ecgnb.simulation.conditions import CONDITION_MODELS
from ecgnb.simulation.synthesis import SimulationOptions, simulate_record

TOLERANCE_S = 0.075


def matched(peaks, truth, sampling_rate):
    """Return the counts of found, missed and invented beats."""
    near = np.abs(peaks[:, None] - truth) <= TOLERANCE_S * sampling_rate
    found = int(near.any(axis=0).sum())
    return np.array([found, len(truth) - found, len(peaks) - int(near.any(axis=1).sum())])


def test_the_rms_lead_uses_the_eight_independent_leads():
    eight = np.random.default_rng(0).normal(size=(8, 20))
    expected = np.sqrt((eight**2).mean(axis=0))
    np.testing.assert_allclose(rms_lead(derive_leads(eight)), expected)


def test_r_peaks_are_found_at_15_db_noise_in_every_condition():
    counts = np.zeros(3, dtype=int)
    for condition in CONDITION_MODELS:
        for seed in range(4):
            options = SimulationOptions(condition=condition, duration_s=40, snr_db=15)
            simulated = simulate_record(options, seed=seed)
            peaks = find_peaks(simulated.record.signals, options.sampling_rate)
            counts += matched(peaks, simulated.truth.r_peaks, options.sampling_rate)
    found, missed, invented = counts
    assert found > 1200
    assert found / (found + missed) >= 0.995, counts
    assert found / (found + invented) >= 0.995, counts


def test_r_peaks_agree_with_the_annotations_of_twadb(record_property):
    totals, scores = np.zeros(3, dtype=int), {}
    for path in find_records(real_data("twadb"), "twadb"):
        record = read_record(path)
        truth = wfdb.rdann(str(path.with_suffix("")), "qrs").sample
        counts = matched(find_peaks(record.signals, record.sampling_rate), truth, 500)
        scores[record.name] = 2 * counts[0] / (2 * counts[0] + counts[1] + counts[2])
        totals += counts
    worst = min(scores, key=scores.get)
    pooled = 2 * totals[0] / (2 * totals[0] + totals[1] + totals[2])
    print(f"F1 {pooled:.4f} over {len(scores)} records, worst {worst} {scores[worst]:.4f}")
    assert pooled >= 0.98
    assert scores[worst] >= 0.95, worst


def test_a_single_lead_is_enough_and_its_sign_does_not_matter():
    simulated = simulate_record(SimulationOptions(duration_s=30, noise_uv=3), seed=2)
    lead = simulated.record.signals[LEADS.index("V5")]
    truth = simulated.truth.r_peaks
    assert matched(find_peaks(lead, 500.0), truth, 500.0)[1:].sum() <= 1
    assert matched(find_peaks(-lead, 500.0), truth, 500.0)[1:].sum() <= 1


def test_peaks_sit_on_the_same_point_of_every_beat():
    simulated = simulate_record(SimulationOptions(duration_s=30, noise_uv=3), seed=3)
    peaks = find_peaks(simulated.record.signals, 500.0)
    offset = peaks[:, None] - simulated.truth.r_peaks
    nearest = offset[np.arange(len(peaks)), np.abs(offset).argmin(axis=1)]
    assert np.ptp(nearest) <= 3  # 6 ms


@pytest.mark.parametrize("signals", [np.zeros(5000), np.zeros((12, 5000)), np.ones(20)])
def test_a_signal_without_beats_has_no_peaks(signals):
    assert find_peaks(signals, 500.0).size == 0


def test_missing_samples_do_not_stop_the_search():
    simulated = simulate_record(SimulationOptions(duration_s=20), seed=4)
    signals = simulated.record.signals.copy()
    signals[:, 3000:3050] = np.nan
    assert len(find_peaks(signals, 500.0)) >= len(simulated.truth.r_peaks) - 2


def test_aligned_beats_hold_their_peak_at_the_same_sample():
    signals = np.random.default_rng(0).normal(size=(3, 100))
    beats = align_beats(signals, np.array([2, 30, 60, 95]), before=10, after=20)
    assert beats.shape == (2, 3, 30)
    np.testing.assert_array_equal(beats[:, :, 10], signals[:, [30, 60]].T)


def test_the_average_beat_ignores_one_wild_beat():
    beats = np.ones((10, 2, 5))
    beats[3] = 100.0
    np.testing.assert_array_equal(average_beat(beats), np.ones((2, 5)))


def test_an_average_of_no_beats_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        average_beat(np.zeros((0, 12, 50)))


def test_every_sample_lies_in_exactly_one_wave():
    beat, r_peak, _ = simulated_beat("healthy control", 0)
    masks = wave_masks(beat, 500.0, r_peak)
    assert tuple(masks) == WAVES
    np.testing.assert_array_equal(sum(masks[wave].astype(int) for wave in WAVES), 1)


def simulated_beat(condition, seed):
    options = SimulationOptions(condition=condition, duration_s=20, ectopic_share=0.0)
    simulated = simulate_record(options, seed=seed)
    truth = simulated.truth
    beat = average_beat(align_beats(truth.clean, truth.r_peaks, before=160, after=280))
    bounds = truth.waves_s - truth.r_peaks[:, None, None] / 500
    return beat, 160, np.median(bounds[1:-1], axis=0)


def test_waves_lie_where_the_simulator_put_them():
    errors = []
    for seed in range(12):
        beat, r_peak, bounds = simulated_beat("healthy control", seed)
        masks = wave_masks(beat, 500.0, r_peak)
        for wave, (onset, end) in zip(("P", "QRS", "T"), bounds, strict=True):
            found = np.flatnonzero(masks[wave])
            errors.append(
                ((found[0] - r_peak) / 500 - onset, (found[-1] + 1 - r_peak) / 500 - end)
            )
    errors = 1000 * np.abs(np.array(errors).reshape(12, 3, 2)).mean(axis=0)
    assert errors[1].max() <= 12, errors  # QRS, ms
    assert errors.max() <= 45, errors  # P and T, ms


def test_a_beat_without_p_wave_has_no_p_mask():
    beat, r_peak, _ = simulated_beat("healthy control", 1)
    start, _ = _qrs_bounds(beat, 500.0, r_peak)
    flat = beat.copy()
    flat[:, :start] = beat[:, start : start + 1]
    masks = wave_masks(flat, 500.0, r_peak)
    assert not masks["P"].any()
    assert not masks["PR"].any()


def test_a_bundle_branch_block_has_a_broader_qrs_complex():
    healthy = np.median(
        [np.diff(_qrs_bounds(*simulated_args("healthy control", s)))[0] for s in range(5)]
    )
    block = np.median(
        [np.diff(_qrs_bounds(*simulated_args("bundle branch block", s)))[0] for s in range(5)]
    )
    assert block / 500 >= 0.12
    assert healthy / 500 <= 0.11


def simulated_args(condition, seed):
    beat, r_peak, _ = simulated_beat(condition, seed)
    return beat, 500.0, r_peak


def test_the_next_beat_of_a_fast_heart_is_not_taken_for_a_t_wave():
    beat, r_peak, bounds = simulated_beat("healthy control", 3)
    following = beat.copy()
    following[:, r_peak + 210 :] += beat[:, r_peak - 40 : r_peak + 30]
    t_wave = np.flatnonzero(wave_masks(following, 500.0, r_peak)["T"])
    assert (t_wave[-1] - r_peak) / 500 == pytest.approx(bounds[2, 1], abs=0.05)
    assert t_wave[-1] < r_peak + 210


@pytest.mark.parametrize("duration_s", [1.0, 1.3, 1.8, 1.99])
def test_a_very_short_signal_gives_the_same_peaks_whatever_lies_in_memory(duration_s):
    generator = np.random.default_rng(0)
    times = np.arange(0, duration_s, 1 / 250)
    for start_s in np.linspace(0, 0.7, 8):
        beats = np.exp(-((((times + start_s) % 0.8 - 0.4) / 0.012) ** 2))
        signal, found = beats + 0.05 * generator.normal(size=times.size), set()
        for _ in range(25):
            sizes = generator.integers(100, 9000, 10)
            left = [np.full(size, 1000 * generator.normal()) for size in sizes]
            del left
            found.add(tuple(find_peaks(signal, 250.0).tolist()))
        assert len(found) == 1


def test_peaks_of_a_very_short_signal_sit_on_its_beats():
    times = np.arange(0, 1.6, 1 / 250)
    peaks = find_peaks(np.exp(-(((times % 0.8 - 0.4) / 0.012) ** 2)), 250.0)
    assert peaks.tolist() == [100, 300]
