import numpy as np
import pytest
import torch

from ecgnb.explanation import groups, vae
from ecgnb.explanation.windows import BeatWindows
from ecgnb.files import MissingArtifactError


@pytest.fixture(scope="module")
def windows():
    return np.random.default_rng(0).normal(size=(8, 12, 256)).astype(np.float32)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return vae.Vae(vae.VaeOptions(n_latent=4, n_hidden=16)).eval()


def test_a_traversal_moves_one_latent_alone(model):
    moved = vae.traverse(model, 2, np.array([-1.0, 0.0, 1.0]))
    expected = vae.decode(model, [[0, 0, -1, 0], [0, 0, 0, 0], [0, 0, 1, 0]])
    np.testing.assert_allclose(moved, expected, atol=1e-6)


def test_an_interpolation_begins_and_ends_at_the_two_people(model, windows):
    line = vae.interpolate(model, windows[:1], windows[1:2], n_beat=3)
    ends = vae.rebuild_windows(model, windows[:2])
    np.testing.assert_allclose(line[[0, 2]], ends, atol=1e-4)


def test_the_middle_of_a_line_decodes_the_mean_of_its_ends(model, windows):
    line = vae.interpolate(model, windows[:1], windows[1:2], n_beat=3)
    middle = vae._latent_means(model, windows[:2]).mean(axis=0)[None]
    np.testing.assert_allclose(line[1:2], vae.decode(model, middle), atol=1e-4)


def test_samples_of_the_prior_repeat_with_their_seed_and_differ_from_each_other(model):
    first, again = (vae.sample_prior(model, n_beat=3, seed=5) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first[0] - first[1]).max() > 0


def test_beats_stand_side_by_side_in_their_order(windows):
    course = vae.side_by_side(windows[:2])
    np.testing.assert_array_equal(course[:, :256], windows[0])
    np.testing.assert_array_equal(course[:, 256:], windows[1])


def test_a_vae_comes_back_from_its_file_as_it_was(windows, tmp_path, monkeypatch):
    monkeypatch.setattr(groups, "_N_SEEN", 12)
    people = BeatWindows(windows, np.repeat(["a", "b"], 4))
    options = vae.VaeOptions(n_latent=3, n_step=2)
    fitted = groups.fit_group(people, people, options=options)
    groups.save_group(tmp_path, "hypertrophy", fitted)
    assert groups.has_group(tmp_path, "hypertrophy")
    back = groups.load_group(tmp_path, "hypertrophy")
    scaled = people.scaled(back.factor)
    for name, guess in fitted.guesses(scaled).items():
        np.testing.assert_array_equal(guess, back.guesses(scaled)[name])
    assert back.strength == fitted.strength
    assert back.history.step_taken == fitted.history.step_taken


def test_a_page_before_its_vae_is_told_which_chapter_to_run(tmp_path):
    assert not groups.has_group(tmp_path / "06_vae", "hypertrophy")
    with pytest.raises(MissingArtifactError, match="run 06_vae first"):
        groups.load_group(tmp_path / "06_vae", "hypertrophy")
