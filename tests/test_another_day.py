"""A calibration carried to another day: real simulated hearts, moved electrodes, other rates."""

import json

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from ecgnb.files import read_shipped, sha256_of
from ecgnb.leads import (
    DOWER_INVERSE,
    LEADS,
    LEADS_FROM_INDEPENDENT,
    derive_leads,
    independent_signals,
    lead_index,
    limb_lead_error,
)
from ecgnb.reconstruction import another_day, change, expiry, pace, prior
from ecgnb.reconstruction.prior import WINDOW, clean_record
from ecgnb.signals.beats import find_peaks
from ecgnb.simulation.synthesis import SimulationOptions, simulate_record

QUIET = {"wander_uv": 5.0, "noise_uv": 2.0, "mains_uv": 0.0}


FRANK = DOWER_INVERSE[:, [6, 7, *range(6)]]  # from I, II, V1 ... V6


def one_day(heart, day, *, duration_s=12.0, moved=0.0, turned=0.0):
    """Return 12 leads of a heart at 250 Hz.

    `moved` mixes the independent leads at random, `turned` (radians) turns the heart.
    """
    options = SimulationOptions(patient_seed=heart, duration_s=duration_s, **QUIET)
    signals = clean_record(simulate_record(options, seed=1000 * heart + day).record)
    generator = np.random.default_rng([heart, day])
    mixing = np.eye(8) + moved * generator.normal(size=(8, 8)) / 8
    turn = Rotation.from_rotvec(turned * generator.normal(size=3)).as_matrix() - np.eye(3)
    mixing += np.linalg.pinv(FRANK) @ turn @ FRANK
    return derive_leads(mixing @ independent_signals(signals))


@pytest.fixture(scope="module")
def shares():
    days = [[one_day(heart, day, turned=0.2) for day in range(2)] for heart in range(10, 15)]
    return [prior.share_of_heart(f"heart {number}", each) for number, each in enumerate(days)]


@pytest.fixture(scope="module")
def of_others(shares):
    return prior.combine(shares)


def mean_r(truth, guess, lead):
    hidden = [row for row in range(12) if row != lead]
    return np.mean([np.corrcoef(truth[row], guess[row])[0, 1] for row in hidden])


def test_a_stretched_beat_keeps_its_qrs_complex():
    beat = one_day(1, 0)[:, :300]
    stretched = pace.stretch_beat(beat, 1.3)
    np.testing.assert_array_equal(
        stretched[:, : pace.BEFORE_R + 15], beat[:, : pace.BEFORE_R + 15]
    )
    assert np.abs(stretched - beat).max() > 0.01


def test_the_stretch_of_a_beat_is_found_again():
    signals = one_day(1, 0, duration_s=20.0)
    beat = pace.beat_at(signals, find_peaks(signals, 250.0))[1]
    for stretch in (0.85, 1.2):
        target = pace.stretch_beat(beat[None], stretch)[0]
        found = pace.find_stretch(beat, target, (0.9, 0.9 * stretch**2.5))
        assert found == pytest.approx(stretch, rel=0.03)


def test_a_recording_at_its_own_pace_stays_as_it_is():
    signals = one_day(1, 0)
    peaks = find_peaks(signals, 250.0)
    same, new_peaks = pace.repace(signals, peaks, stretch=1.0, ratio=1.0)
    np.testing.assert_allclose(same, signals, atol=1e-9)
    assert new_peaks.tolist() == peaks.tolist()


def test_a_beat_pasted_at_its_own_peaks_is_the_beat():
    beat = np.random.default_rng(0).normal(size=(12, 300))
    pasted = pace.paste_paced(beat, np.array([200]), 400, stretch=1.0, interval_s=1.0)
    np.testing.assert_allclose(pasted[:, 100:300], beat[:, 12:212])


def test_a_signal_without_a_peak_is_given_the_mean_of_the_beat():
    beat = np.ones((12, 300))
    nowhere = np.zeros(0, int)
    pasted = pace.paste_paced(beat, nowhere, 50, stretch=1.0, interval_s=1.0)
    assert pasted.shape == (12, 50)
    assert (pasted == 1).all()


@pytest.mark.parametrize("lead", range(12))
def test_the_visible_lead_is_shown_and_the_limb_laws_hold(lead):
    generator = np.random.default_rng(lead)
    signal = generator.normal(size=40)
    twelve = change.obey(generator.normal(size=(8, 40)), lead, signal)
    np.testing.assert_allclose(twelve[lead], signal, atol=1e-12)
    assert limb_lead_error(twelve).max() < 1e-12


def test_moves_between_two_beats_are_found_again():
    generator = np.random.default_rng(3)
    beat = derive_leads(generator.normal(size=(8, 300)))
    mixing = 0.1 * generator.normal(size=(8, 8))
    other = derive_leads((np.eye(8) + mixing) @ independent_signals(beat))
    np.testing.assert_allclose(prior.fit_moves(beat, other), mixing, atol=0.02)


@pytest.mark.parametrize(
    ("name", "weights"),
    [("II", change._OF_LIMB), ("V2", change._OF_CHEST)],
)
def test_the_expected_change_is_the_conditional_mean_of_a_gaussian(of_others, name, weights):
    signals = one_day(1, 0)
    beat = pace.beat_at(signals, find_peaks(signals, 250.0))
    seen = np.zeros(300)
    seen[WINDOW] = 0.1 * np.random.default_rng(0).normal(size=200)
    lead = lead_index(name)
    found_change = change.expected_change(
        beat, seen, lead, of_others, own_moves=np.zeros((0, 8, 8))
    )
    size = np.sqrt(np.square(beat[:, WINDOW]).mean())
    eight = independent_signals(beat)[:, WINDOW] / size
    moved = np.sqrt(weights.moves / len(of_others.moves)) * of_others.moves @ eight
    toward = np.sqrt(weights.toward) * (of_others.mean - eight)[None]
    samples = np.concatenate([np.sqrt(weights.people) * of_others.people, toward, moved])
    visible = samples[:, independent_row(name)]
    noise = weights.electrode * eight.T @ eight + weights.noise * np.eye(200)
    loads = samples.reshape(-1, 8 * 200).T @ visible @ np.linalg.inv(visible.T @ visible + noise)
    expected = (loads @ seen[WINDOW]).reshape(8, 200)
    inner = slice(20, -20)  # away from the taper
    found = independent_signals(found_change)[:, WINDOW]
    hidden = lead_index("V4") - 4  # of the independent leads
    np.testing.assert_allclose(found[hidden, inner], expected[hidden, inner], atol=1e-10)
    np.testing.assert_allclose(found_change[lead, WINDOW][inner], seen[WINDOW][inner], atol=1e-12)


def independent_row(name):
    return int(LEADS_FROM_INDEPENDENT[lead_index(name)].argmax())


def test_nothing_changes_when_today_looks_like_the_calibration(of_others):
    signals = one_day(1, 0)
    beat = pace.beat_at(signals, find_peaks(signals, 250.0))
    found_change = change.expected_change(
        beat, np.zeros(300), 1, of_others, own_moves=np.zeros((0, 8, 8))
    )
    assert np.abs(found_change).max() == 0


def test_ten_seconds_give_the_rest_of_the_recording(of_others):
    signals = one_day(1, 0, duration_s=30.0)
    model = another_day.fit_another_day([signals[:, :2500]], [1], prior=of_others)
    found = model.predict(signals[1:2, 3000:])
    assert found.shape == (1, 12, signals.shape[1] - 3000)
    assert mean_r(signals[:, 3000:], found[0], 1) > 0.97


def test_of_a_heart_that_has_turned_it_shows_more_than_the_pasted_beat(of_others):
    gains = []
    for heart in range(1, 5):
        then, today = one_day(heart, 0), one_day(heart, 1, turned=0.25)
        found = another_day.fit_another_day([then], [1], prior=of_others).predict(today[1:2])[0]
        peaks = find_peaks(then[1], 250.0)
        old = pace.beat_at(then, peaks)
        pasted = pace.paste_paced(
            old, find_peaks(today[1], 250.0), today.shape[1], stretch=1.0, interval_s=1.0
        )
        gains.append(mean_r(today, found, 1) - mean_r(today, pasted, 1))
    assert np.mean(gains) > 0.01


def test_a_second_day_helps_on_a_third_like_it(of_others):
    first, second = one_day(2, 0, moved=0.0), one_day(2, 1, moved=0.8)
    today = one_day(2, 1, moved=0.8)
    guesses = [
        another_day.fit_another_day(known, [7], prior=of_others).predict(today[7:8])[0]
        for known in ([first], [first, second])
    ]
    alone, both = (mean_r(today, guess, 7) for guess in guesses)
    assert both > alone


def test_what_is_too_short_or_has_no_beat_is_refused_with_a_reason(of_others):
    signals = one_day(1, 0)
    with pytest.raises(ValueError, match=r"lasts 3\.0 s; at least 5 s"):
        another_day.fit_another_day([signals[:, :750]], [1], prior=of_others)
    with pytest.raises(ValueError, match="no whole heartbeat"):
        another_day.fit_another_day([np.zeros((12, 2500))], [1], prior=of_others)
    with pytest.raises(ValueError, match="no calibration was given"):
        another_day.fit_another_day([], [1], prior=of_others)


def test_an_input_without_a_whole_beat_is_still_answered(of_others):
    signals = one_day(1, 0)
    model = another_day.fit_another_day([signals], [1], prior=of_others)
    assert np.isfinite(model.predict(np.zeros((1, 500)))).all()


def test_a_prior_without_a_heart_is_that_of_the_others(shares):
    left = prior.combine(shares, without="heart 2")
    others = prior.combine([share for share in shares if share.heart != "heart 2"])
    for name in ("moves", "people", "filters"):
        np.testing.assert_array_equal(getattr(left, name), getattr(others, name))
    assert not np.allclose(left.filters, prior.combine(shares).filters)


def test_a_prior_needs_somebody_with_two_days():
    alone = prior.share_of_heart("one", [one_day(10, 0)])
    with pytest.raises(ValueError, match="several recordings"):
        prior.combine([alone])


def test_a_heart_weighs_the_same_however_many_days_it_has(shares):
    prior_ = prior.combine(shares[:2])
    first, second = np.split(np.square(prior_.moves).sum(axis=(1, 2)), [2])
    many = prior.HeartShare(**{**vars(shares[0]), "moves": np.tile(shares[0].moves, (3, 1, 1))})
    again = np.square(prior.combine([many, shares[1]]).moves).sum(axis=(1, 2))
    assert again[:6].sum() / again[6:].sum() == pytest.approx(first.sum() / second.sum())


def test_the_shipped_prior_fits_the_leads_and_its_manifest_names_the_hearts():
    shipped = prior.load_prior()
    assert shipped.filters.shape == (len(LEADS), 49, 8)
    assert shipped.people.shape[1:] == (8, 200)
    assert np.isfinite(shipped.moves).all()
    manifest = json.loads(read_shipped("another_day.json"))
    assert manifest["sha256"] == sha256_of(read_shipped("another_day.npz"))
    assert set(manifest["hearts_with_several_recordings"]) < set(manifest["hearts"])


def test_a_shipped_file_that_was_changed_is_refused(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "another_day.npz").write_bytes(b"other numbers")
    (tmp_path / "data" / "another_day.npz.sha256").write_text(sha256_of(b"the numbers"))
    monkeypatch.setattr("ecgnb.files.resources.files", lambda package: tmp_path)
    with pytest.raises(ValueError, match=r"another_day.npz is not what its checksum names"):
        read_shipped("another_day.npz")


def test_the_same_signal_shows_no_sign_of_change():
    signal = one_day(1, 0)[1]
    signs = expiry.signs_of_change(signal, signal)
    assert signs.missed < 0.01
    assert max(signs.distance, signs.unlike, signs.size) < 1e-9


def test_another_heart_shows_more_signs_than_the_same_one_later():
    then, later, other = one_day(1, 0)[1], one_day(1, 1)[1], one_day(3, 0)[1]
    same, changed = (expiry.signs_of_change(then, one).as_array() for one in (later, other))
    assert (changed > same).all()


def test_a_lead_without_beats_shows_every_sign():
    then = one_day(1, 0)[1]
    signs = expiry.signs_of_change(then, np.zeros(1000))
    assert signs.distance == np.inf


def test_while_the_look_up_explains_the_visible_lead_it_is_taken_alone():
    generator = np.random.default_rng(0)
    signal = generator.normal(size=200)
    members = [generator.normal(size=(12, 200)) for _ in range(3)]
    far = another_day.blend(members, 1, signal)
    np.testing.assert_allclose(far, (members[0] + 2 * members[1] + members[2]) / 4, atol=0.01)
    members[0][1] = signal
    np.testing.assert_array_equal(another_day.blend(members, 1, signal), members[0])
