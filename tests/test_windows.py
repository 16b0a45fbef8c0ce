import numpy as np
import pytest

from ecgnb.explanation import groups, windows
from ecgnb.explanation.vae import VaeOptions
from ecgnb.leads import limb_lead_error
from ecgnb.simulation.synthesis import SimulationOptions, simulate_record


@pytest.fixture(scope="module")
def people():
    """Return beats of four people."""
    found = [
        windows._beat_windows(simulate_record(SimulationOptions(duration_s=8.0), seed=n).record)
        for n in range(4)
    ]
    names = np.repeat(["a", "b", "c", "d"], [len(each) for each in found])
    return windows.BeatWindows(np.concatenate(found), names)


def vary(beats, strength):
    return windows.vary_windows(beats, strength=strength, generator=np.random.default_rng(0))


def test_beats_varied_with_no_strength_stay_as_they_are(people):
    np.testing.assert_allclose(vary(people.windows, 0.0), people.windows, atol=2e-3)


def test_a_varied_beat_obeys_the_limb_lead_identities(people):
    varied = vary(people.windows, 1.0)
    assert limb_lead_error(varied).max() < 1e-5
    assert np.abs(varied - people.windows).mean() > 0.01


def test_the_r_peak_of_a_varied_beat_stays_in_its_place(people):
    speed = np.abs(np.gradient(vary(people.windows, 1.0), axis=2)).mean(axis=(0, 1))
    assert abs(int(speed.argmax()) - windows.BEFORE) <= 10


def test_one_factor_keeps_the_relative_sizes_of_the_leads(people):
    factor = windows.common_factor(people.windows)
    assert factor.shape == (12, 1)
    assert np.ptp(factor) == 0


def test_a_group_is_fitted_to_its_training_patients_alone(people):
    def part(*names):
        chosen = np.isin(people.patients, names)
        return windows.BeatWindows(people.windows[chosen], people.patients[chosen])

    options = VaeOptions(n_latent=4, n_hidden=16, n_step=4)
    fitted = groups.fit_group(part("a", "b"), part("c"), options=options)
    assert fitted.strength in groups.STRENGTHS
    np.testing.assert_array_equal(fitted.factor, windows.lead_factor(part("a", "b").windows))
    guesses = fitted.guesses(part("d").scaled(fitted.factor))
    assert set(guesses) == {"VAE", "PCA", "PCA, varied beats", "mean beat"}
