import json

import numpy as np
import pytest

from ecgnb.leads import LEADS, limb_lead_error
from ecgnb.records.databases import find_records, load_database
from ecgnb.records.labels import CONDITIONS
from ecgnb.records.wfdb_files import read_record
from ecgnb.signals.beats import align_beats
from ecgnb.signals.description import _singular_shares
from ecgnb.simulation.cohort import MANIFEST, plan_cohort, write_cohort, write_days
from ecgnb.simulation.conditions import CONDITION_MODELS
from ecgnb.simulation.heart import (
    BeatTimes,
    Day,
    _textbook_heart,
    change_day,
    draw_heart,
    draw_view,
    wave_bounds,
    wave_sources,
)
from ecgnb.simulation.synthesis import SimulationOptions, simulate_record

SHORT = {"n_twadb": 2, "n_patient": 1, "duration_s": 12.0, "ptbdb_duration_s": 6.0}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    return write_cohort(tmp_path_factory.mktemp("data") / "cohort", **SHORT)


@pytest.fixture(scope="module")
def healthy():
    return simulate_record(SimulationOptions(duration_s=40.0), seed=3)


@pytest.mark.parametrize("condition", CONDITION_MODELS)
def test_simulated_leads_obey_einthoven_and_goldberger(condition):
    options = SimulationOptions(condition=condition, duration_s=10.0)
    signals = simulate_record(options, seed=1).record.signals.astype(np.float64)
    assert limb_lead_error(signals).max() < 1e-6


def test_the_simulator_knows_the_conditions_of_the_book():
    assert set(CONDITION_MODELS) == set(CONDITIONS)


def test_the_same_seed_gives_the_same_bits_and_another_seed_another_person():
    options = SimulationOptions(duration_s=5.0)
    one, same, other = (simulate_record(options, seed=seed) for seed in (4, 4, 5))
    np.testing.assert_array_equal(one.record.signals, same.record.signals)
    assert np.abs(one.record.signals - other.record.signals).max() > 0.2


def test_two_records_of_one_person_share_the_heart_and_not_the_beats():
    options = SimulationOptions(duration_s=20.0, patient_seed=7, respiration_deg=0)
    records = [simulate_record(options, seed=seed).truth for seed in (1, 2)]
    assert records[0].r_peaks[3] != records[1].r_peaks[3]
    beats = [
        np.median(align_beats(truth.clean, truth.r_peaks, before=60, after=50), axis=0)
        for truth in records
    ]
    assert np.corrcoef(beats[0].ravel(), beats[1].ravel())[0, 1] > 0.999


def test_one_wave_of_a_resting_heart_is_its_gaussian():
    heart = _textbook_heart()
    beats = BeatTimes(np.array([1.0]), np.array([0.9]), np.array([False]), np.array([1.0]))
    times = np.arange(0, 2, 0.002)
    sources = wave_sources(heart, beats, times, 0.0)
    wave = heart.index("T2")
    distance = (times - 1.0 - heart.centre_s[wave]) / heart.width_s[wave]
    np.testing.assert_allclose(sources[wave], np.exp(-0.5 * distance**2), atol=1e-12)
    assert not sources[heart.group("VQRS", "VT")].any()


def test_truth_says_where_the_signal_is_flat(healthy):
    truth, rate = healthy.truth, 500.0
    active = np.zeros(truth.clean.shape[1], dtype=bool)
    for onset, end in truth.waves_s.reshape(-1, 2):
        active[max(int((onset - 0.02) * rate), 0) : int((end + 0.02) * rate)] = True
    first, last = int(truth.waves_s[0, 0, 0] * rate), int(truth.waves_s[-1, 2, 1] * rate)
    outside = truth.clean[:, max(first, 0) : last][:, ~active[max(first, 0) : last]]
    assert np.sqrt(np.mean(outside**2)) < 0.06 * np.abs(truth.clean).max()
    assert np.all(truth.waves_s[:, 0, 1] < truth.waves_s[:, 1, 1])
    assert np.all(truth.waves_s[:, 1, 0] < truth.waves_s[:, 2, 0])


def test_wave_bounds_widen_with_the_wave():
    heart = _textbook_heart()
    normal = np.diff(wave_bounds(heart, ("QRS",)))[0]
    broad = np.diff(wave_bounds(heart.scaled("QRS", stretch=1.5), ("QRS",)))[0]
    assert 0.06 < normal < 0.1
    assert broad == pytest.approx(1.5 * normal, abs=0.003)
    assert np.isnan(wave_bounds(heart.scaled("P", gain=0.0), ("P",))).all()


def test_a_healthy_record_has_no_abnormality():
    truth = simulate_record(SimulationOptions(duration_s=10, ectopic_share=0), seed=2).truth
    assert not truth.abnormality.any()


def test_severity_zero_changes_no_wave():
    options = SimulationOptions("hypertrophy", severity=0.0, duration_s=10, ectopic_share=0)
    np.testing.assert_allclose(simulate_record(options, seed=2).truth.abnormality, 0, atol=1e-12)


@pytest.mark.parametrize("condition", [name for name in CONDITION_MODELS if "healthy" not in name])
def test_every_condition_shows_and_grows_with_severity(condition):
    sizes = []
    for severity in (0.3, 0.9):
        options = SimulationOptions(condition, severity=severity, duration_s=20, patient_seed=1)
        sizes.append(np.abs(simulate_record(options, seed=1).truth.abnormality).max())
    assert sizes[0] > 0.02
    assert condition == "dysrhythmia" or sizes[1] >= sizes[0]  # that one grows in its rhythm


def qrs_range(condition, seed, lead="V1"):
    options = SimulationOptions(condition, severity=0.9, duration_s=10, ectopic_share=0)
    truth = simulate_record(options, seed=seed).truth
    return float(np.ptp(truth.clean[LEADS.index(lead)]))


def test_hypertrophy_has_high_voltage_and_cardiomyopathy_low():
    sizes = {
        condition: np.median([qrs_range(condition, seed) for seed in range(8)])
        for condition in ("healthy control", "hypertrophy", "cardiomyopathy")
    }
    assert sizes["hypertrophy"] > 1.2 * sizes["healthy control"]
    assert sizes["cardiomyopathy"] < 0.9 * sizes["healthy control"]


def test_fibrillation_has_irregular_intervals_and_no_p_wave():
    for seed in range(20):
        options = SimulationOptions("dysrhythmia", severity=0.8, duration_s=60)
        truth = simulate_record(options, seed=seed).truth
        if np.isnan(truth.waves_s[:, 0]).all():
            rr = np.diff(truth.r_peaks) / 500
            assert np.std(np.log(rr)) > 0.12
            return
    pytest.fail("no seed of 20 gave atrial fibrillation")


def test_ectopic_beats_come_early_and_have_no_p_wave():
    truth = simulate_record(SimulationOptions(ectopic_share=0.1), seed=1).truth
    rr = np.diff(truth.r_peaks) / 500
    early = truth.ectopic[1:]
    assert 3 <= truth.ectopic.sum() <= 0.2 * len(truth.ectopic)
    assert not (truth.ectopic[1:] & truth.ectopic[:-1]).any()
    assert rr[early].max() < rr[~early].min()
    assert np.isnan(truth.waves_s[truth.ectopic, 0]).all()
    assert np.isfinite(truth.waves_s[truth.ectopic, 1:]).all()
    around = [truth.abnormality[:, peak - 20 : peak + 20] for peak in truth.r_peaks[truth.ectopic]]
    assert min(np.abs(piece).max() for piece in around if piece.size) > 0.3


@pytest.mark.parametrize("wanted_uv", [0.0, 20.0, 60.0])
def test_alternans_has_the_chosen_size(wanted_uv):
    options = SimulationOptions(
        alternans_uv=wanted_uv, respiration_deg=0, ectopic_share=0, duration_s=120
    )
    truth = simulate_record(options, seed=6).truth
    beats = align_beats(truth.clean, truth.r_peaks, before=0, after=230)[:, :, 75:]
    n_beat = len(beats) // 2 * 2
    difference = beats[0:n_beat:2].mean(axis=0) - beats[1:n_beat:2].mean(axis=0)
    assert 1000 * np.abs(difference).max() == pytest.approx(wanted_uv, rel=0.15, abs=6)


def test_truth_tells_the_alternans_of_every_beat():
    options = SimulationOptions(alternans_uv=60, respiration_deg=0, ectopic_share=0.05)
    truth = simulate_record(options, seed=2).truth
    assert set(truth.alternans_uv) == {-30.0, 0.0, 30.0}
    np.testing.assert_array_equal(truth.alternans_uv == 0, truth.ectopic)
    beats = align_beats(truth.clean, truth.r_peaks, before=0, after=230)[:, :, 75:]
    own = truth.alternans_uv[: len(beats)]
    more, less = (beats[own == size].mean(axis=0) for size in (30.0, -30.0))
    lead, time = np.unravel_index(np.abs(more - less).argmax(), more.shape)
    assert 1000 * abs((more - less)[lead, time]) == pytest.approx(60, rel=0.2)
    assert abs(more[lead, time]) > abs(less[lead, time])  # a positive one is the larger T wave


def test_noise_has_the_chosen_ratio_to_the_signal():
    simulated = simulate_record(SimulationOptions(snr_db=15, duration_s=30), seed=1)
    noise = simulated.record.signals - simulated.truth.clean
    ratio = np.mean(simulated.truth.clean**2) / np.mean(noise**2)
    assert 10 * np.log10(ratio) == pytest.approx(15, abs=0.05)


def test_respiration_turns_the_axis():
    shares = []
    for degrees in (0.0, 15.0):
        options = SimulationOptions(respiration_deg=degrees, duration_s=30, ectopic_share=0)
        truth = simulate_record(options, seed=1).truth
        heights = truth.clean[LEADS.index("III"), truth.r_peaks]
        shares.append(np.std(heights))
    assert shares[1] > 3 * shares[0]


def test_without_a_nearby_part_the_heart_has_rank_three():
    plain, real = (
        _singular_shares(
            simulate_record(SimulationOptions(nondipolar=size, duration_s=20), seed=2).truth.clean
        )
        for size in (0.0, 0.16)
    )
    assert plain[3:].sum() < 1e-12
    assert 5e-4 < real[3:].sum() < 0.05


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("condition", "gout", "condition must be one of"),
        ("severity", 2.0, "severity"),
        ("ectopic_share", -0.1, "ectopic_share"),
        ("duration_s", 0.5, "duration_s"),
        ("noise_uv", -1.0, "sizes"),
    ],
)
def test_a_bad_option_is_refused_by_name(option, value, words):
    with pytest.raises(ValueError, match=words):
        SimulationOptions(**{option: value})


def test_the_cohort_is_read_back_with_its_conditions_and_patients(cohort):
    twadb, ptbdb = (load_database(cohort, name) for name in ("twadb", "ptbdb"))
    assert not twadb.refused
    assert not ptbdb.refused
    assert len(twadb.records) == 2
    assert {record.condition for record in ptbdb.records} == set(CONDITIONS)
    assert len({record.patient for record in ptbdb.records}) == 8
    assert {record.origin for record in twadb.records} == {"simulated"}
    assert ptbdb.records[0].sampling_rate == 1000
    assert ptbdb.records[0].frank.shape == (3, 6000)


def test_the_files_hold_the_simulated_signals_exactly(cohort):
    planned = plan_cohort(**SHORT)
    for wanted in (planned[0], planned[-1]):
        record = read_record(cohort / wanted.folder / wanted.name)
        signals = wanted.simulate().record.signals
        assert np.abs(record.signals - signals).max() < 1e-6
        assert limb_lead_error(record.signals.astype(np.float64)).max() < 1e-6


def test_the_cohort_is_written_once_and_then_left_alone(cohort):
    before = {path: path.stat().st_mtime_ns for path in cohort.rglob("*")}
    assert write_cohort(cohort, **SHORT) == cohort
    assert {path: path.stat().st_mtime_ns for path in cohort.rglob("*")} == before


def test_the_same_seed_writes_the_same_bytes_and_damage_is_repaired(cohort, tmp_path):
    copy = write_cohort(tmp_path / "copy", **SHORT)
    files = json.loads((cohort / MANIFEST).read_text())["files"]
    assert files == json.loads((copy / MANIFEST).read_text())["files"]
    damaged = find_records(copy, "twadb")[0].with_suffix(".dat")
    wanted = damaged.read_bytes()
    damaged.write_bytes(wanted[:-10])
    assert write_cohort(copy, **SHORT) == copy
    assert damaged.read_bytes() == wanted
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]


def test_a_folder_of_other_recordings_is_never_overwritten(tmp_path):
    (tmp_path / "mine.dat").write_bytes(b"precious")
    with pytest.raises(FileExistsError, match="not simulated"):
        write_cohort(tmp_path, **SHORT)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.dat"]


def test_a_longer_plan_begins_like_a_shorter_one():
    short, long = plan_cohort(n_twadb=2, n_patient=1), plan_cohort(n_twadb=3, n_patient=1)
    assert long[:2] == short[:2]


def day_view(day, seed=0):
    generator = np.random.default_rng(5)
    heart_, rhythm = draw_heart(generator)
    view = draw_view(len(heart_.names), 0.16, generator)
    return view, change_day(view, rhythm, day, np.random.default_rng(seed))[0]


def test_a_day_on_which_nothing_is_moved_is_the_same_day():
    view, same = day_view(Day(chest_cm=0.0, limb_cm=0.0, posture_deg=0.0, rate=0.0))
    np.testing.assert_allclose(same.vectors, view.vectors, atol=1e-12)
    np.testing.assert_allclose(same.nearby, view.nearby, atol=1e-12)


def test_chest_electrodes_that_move_leave_the_limb_leads_alone():
    view, moved = day_view(Day(chest_cm=2.0, limb_cm=0.0, posture_deg=0.0, rate=0.0))
    np.testing.assert_allclose(moved.vectors[:2], view.vectors[:2], atol=1e-12)
    assert (np.linalg.norm(moved.vectors[2:] - view.vectors[2:], axis=1) > 0).all()


def test_a_limb_electrode_that_moves_reaches_every_lead():
    view, moved = day_view(Day(chest_cm=0.0, limb_cm=4.0, posture_deg=0.0, rate=0.0))
    assert (np.linalg.norm(moved.vectors - view.vectors, axis=1) > 1e-4).all()


def test_further_electrodes_change_more():
    sizes = []
    for cm in (0.5, 3.0):
        pairs = [day_view(Day(chest_cm=cm), seed) for seed in range(20)]
        sizes.append(np.mean([np.square(one.vectors - other.vectors) for one, other in pairs]))
    assert sizes[1] > 2 * sizes[0]


def test_only_an_infarct_ages_and_its_st_segment_comes_down():
    with pytest.raises(ValueError, match="only myocardial infarction has an infarct_age"):
        SimulationOptions(day=Day(infarct_age=0.5))
    with pytest.raises(ValueError, match="infarct_age must lie between 0 and 1"):
        Day(infarct_age=2.0)
    with pytest.raises(ValueError, match="sizes >= 0"):
        Day(chest_cm=-1.0)
    still = {"chest_cm": 0.0, "limb_cm": 0.0, "posture_deg": 0.0, "rate": 0.0}
    raised = []
    for age in (0.0, 1.0):
        options = SimulationOptions(
            condition="myocardial infarction",
            duration_s=5.0,
            patient_seed=2,
            respiration_deg=0.0,
            day=Day(infarct_age=age, **still),
        )
        truth = simulate_record(options, seed=1).truth
        place = truth.r_peaks[1] + 60  # 120 ms
        raised.append(np.abs(truth.abnormality[:, place]).max())
    assert raised[0] > raised[1] + 0.1


def test_a_cohort_of_days_is_whole_dated_and_says_that_it_is_simulated(tmp_path):
    sizes = {"n_heart": 2, "n_day": 2, "duration_s": 4.0}
    folder = write_days(tmp_path / "days", **sizes)
    times = {path: path.stat().st_mtime_ns for path in folder.rglob("*.*")}
    assert {
        path: path.stat().st_mtime_ns for path in write_days(folder, **sizes).rglob("*.*")
    } == times
    loaded = load_database(folder, "ptbdb")
    assert [record.patient for record in loaded.records] == ["patient001"] * 2 + ["patient002"] * 2
    assert {record.origin for record in loaded.records} == {"simulated"}
    assert "ECG date: 04/01/2001" in loaded.records[1].comments
    with pytest.raises(ValueError, match="n_day must be 2 to 4"):
        write_days(tmp_path / "other", n_day=1)
