from dataclasses import replace

import numpy as np
import pytest
import torch

from ecgnb.explanation import group_scores, groups, windows
from ecgnb.explanation.vae import PcaModel, VaeOptions, fit_pca
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
    return windows.augment_windows(beats, strength=strength, generator=np.random.default_rng(0))


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


def part(people, *names):
    chosen = np.isin(people.patients, names)
    return windows.BeatWindows(people.windows[chosen], people.patients[chosen])


SMALL = VaeOptions(n_latent=4, n_hidden=16, n_step=4)


def test_the_baselines_see_the_people_that_the_network_learns_from_and_chooses_by(
    people, monkeypatch
):
    fits = []
    real = groups.fit_vae

    def watched(train, validation, **how):
        fits.append((train, validation))
        return real(train, validation, **how)

    monkeypatch.setattr(groups, "fit_vae", watched)
    fitted = groups.fit_group(part(people, "a", "b"), part(people, "c"), options=SMALL)
    ((learned, check),) = fits
    np.testing.assert_array_equal(check, part(people, "c").scaled(fitted.factor))
    assert not any((beat == learned).all(axis=(1, 2)).any() for beat in check)
    seen = part(people, "a", "b", "c").scaled(fitted.factor)
    for linear, shown in ((fitted.linear, seen), (fitted.linear_train, learned)):
        np.testing.assert_array_equal(linear.axes, fit_pca(shown, SMALL.n_latent).axes)
    augmented = groups._with_augmented(
        part(people, "a", "b", "c"), fitted.factor, fitted.strength, 0
    )
    np.testing.assert_array_equal(augmented[: len(seen)], seen)
    expected = fit_pca(augmented, SMALL.n_latent)
    np.testing.assert_array_equal(fitted.linear_augmented.axes, expected.axes)


def test_a_baseline_that_saw_the_person_rebuilds_them_better_than_one_that_did_not(people):
    fitted = groups.fit_group(part(people, "a", "b"), part(people, "c"), options=SMALL)
    known = part(people, "c").scaled(fitted.factor)
    errors = {
        name: np.square(guess - known).mean() for name, guess in fitted.guesses(known).items()
    }
    assert errors["PCA"] < errors["PCA, training people"]


def test_a_group_gives_its_reconstructions_by_all_five_methods(people):
    fitted = groups.fit_group(part(people, "a", "b"), part(people, "c"), options=SMALL)
    guesses = fitted.guesses(part(people, "d").scaled(fitted.factor))
    assert set(guesses) == {
        "VAE",
        "PCA",
        "PCA, augmented beats",
        "PCA, training people",
        "mean beat",
    }


def test_a_lead_that_the_others_need_is_missed_when_it_is_withheld(people):
    """Where the other leads are rebuilt from V2 alone, only V2 costs them anything."""

    fitted = groups.fit_group(part(people, "a", "b"), part(people, "c"), options=SMALL)
    loud = people.windows[:, 7:8].repeat(12, axis=1)
    alike = windows.BeatWindows(loud.astype(np.float32), people.patients)
    mean = alike.windows.mean(axis=0)

    class Copy(torch.nn.Module):
        def forward(self, shown):
            return shown[:, 7:8].expand(-1, 12, -1)

    linear = PcaModel(mean.ravel(), fitted.linear.axes)
    copied = replace(fitted, model=Copy(), factor=np.ones((12, 1), np.float32), linear=linear)
    lost = group_scores.withheld_leads(copied, alike).groupby("lead")["r2_lost"].mean()
    assert lost["V2"] == pytest.approx(1, abs=0.05)
    assert lost.drop("V2").abs().max() < 1e-6
