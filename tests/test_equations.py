"""The equations of the chapters, written out once more, give what the functions give."""

import itertools
from math import factorial

import numpy as np
import pytest
import torch

from ecgnb.explanation import vae
from ecgnb.explanation.comparisons import _distances
from ecgnb.intervals import bootstrap_mean, paired_p
from ecgnb.reconstruction import another_day, expiry, linear, neighbours, scores
from ecgnb.reconstruction.lead_sets import shapley_values
from ecgnb.signals.filters import filter_signals
from ecgnb.signals.preparation import fit_scaling

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def generator():
    return np.random.default_rng(0)


@pytest.mark.parametrize("frequency", [0.5, 1.0, 5.0, 20.0, 40.0, 60.0])
def test_eq_filter_is_the_gain_of_the_band_pass(frequency):
    times = np.arange(0, 60, 1 / 1000)
    wave = np.sin(2 * np.pi * frequency * times)
    left = filter_signals(wave, 1000.0)[20000:40000]
    low, high = 0.5, 40.0
    gain = 1 / (1 + ((frequency**2 - low * high) / (frequency * (high - low))) ** 4)
    assert np.sqrt(2) * left.std() == pytest.approx(gain, abs=0.01)


def test_eq_filter_scales_by_the_middle_and_half_of_the_range(generator):
    train = generator.normal(size=(1, 50))
    offset, factor = (train.max() + train.min()) / 2, (train.max() - train.min()) / 2
    np.testing.assert_allclose(fit_scaling(train).apply(train), (train - offset) / factor)


def test_eq_line_and_eq_ridge_are_the_fits(generator):
    x, y = generator.normal(size=400), generator.normal(size=(3, 400))
    slope = ((x - x.mean()) * (y - y.mean(axis=1, keepdims=True))).sum(axis=1)
    slope /= ((x - x.mean()) ** 2).sum()
    offset = y.mean(axis=1) - slope * x.mean()
    line = linear.fit_least_squares(x, y)
    np.testing.assert_allclose(line.predict(x), slope[:, None] * x + offset[:, None])
    reach, penalty = 4, 0.1
    padded = np.pad(x, reach)
    lagged = np.stack([padded[k : k + x.size] for k in range(2 * reach + 1)])
    centred = lagged - lagged.mean(axis=1, keepdims=True)
    gram, cross = centred @ centred.T, centred @ (y - y.mean(axis=1, keepdims=True)).T
    size = np.trace(gram) / len(gram)
    weights = np.linalg.solve(gram + penalty * size * np.eye(len(gram)), cross)
    moments = linear.lag_moments(x, y, reach)
    model = linear.solve_ridge(moments, None, (penalty,))
    np.testing.assert_allclose(model.weights, weights, rtol=1e-8, atol=1e-10)
    offset = y.mean(axis=1) - weights.T @ lagged.mean(axis=1)
    np.testing.assert_allclose(model.predict(x), weights.T @ lagged + offset[:, None], atol=1e-9)


def test_eq_neighbours_weighs_by_the_inverse_squared_distance(generator):
    x = np.cumsum(generator.normal(size=900))
    y = np.stack([x, x**2])
    model = neighbours.fit_neighbours(x, y, 250.0)
    found = model.predict_each(x[200:500])[0]
    axes, library = model.embeddings[0], model.libraries[0]
    places, known = axes.apply(x[200:500]), np.asarray(library.tree.data)
    moment = 100
    squared = np.square(known - places[moment]).sum(axis=1)
    nearest = np.argsort(squared)[:20]
    weights = 1 / (squared[nearest] + library.floor)
    read = y[:, library.moments[nearest]] @ (weights / weights.sum())
    np.testing.assert_allclose(found[:, moment + axes.reach], read, rtol=1e-6)
    np.testing.assert_allclose(model.predict(x), model.predict_each(x).mean(axis=0))


def test_eq_scores_are_the_scores_of_a_pair(generator):
    truth = generator.normal(size=(12, 300))
    guesses = truth + generator.normal(size=(12, 12, 300))
    scaling = fit_scaling(3 * truth)
    row = scores.score_pairs(truth, guesses, scaling).iloc[0]  # I to II
    y, guess = truth[1], guesses[0, 1]
    covariance = np.cov(guess, y, bias=True)
    assert row["r"] == pytest.approx(covariance[0, 1] / np.sqrt(guess.var() * y.var()))
    assert row["mse"] == pytest.approx(((guess - y) ** 2).mean())
    assert row["rmse_mv"] == pytest.approx(scaling.factor[1, 0] * np.sqrt(row["mse"]))


def test_eq_hearts_and_eq_signs_count_hearts_once():
    values, hearts = np.array([0.9, 0.7, 0.4]), ["a", "a", "b"]
    assert bootstrap_mean(values, groups=hearts).value == pytest.approx((0.8 + 0.4) / 2)
    differences = np.array([0.3, 0.2, -0.1, 0.4])
    signs = np.array(list(itertools.product((-1, 1), repeat=4)))
    as_large = np.abs(signs @ differences) >= abs(differences.sum()) - 1e-12
    assert paired_p(differences) == pytest.approx(as_large.mean())


def test_eq_refits_is_the_mean_absolute_difference(generator):
    first, second = generator.random((2, 6)), generator.random((3, 6))
    each = [np.abs(a - b).sum() / 6 for a in first for b in second]
    np.testing.assert_allclose(_distances(first, second), each)


def test_eq_elbo_is_the_loss_of_the_vae(generator):
    torch.manual_seed(0)
    options = vae.VaeOptions(n_latent=3)
    model = vae.Vae(options)
    beats = torch.from_numpy(generator.normal(size=(2, 12, 256)).astype(np.float32))
    terms = vae.elbo_terms(model, beats)
    mean, log_variance = model.encode(beats)
    error = ((model.decode(mean) - beats) ** 2).sum(dim=(1, 2)) / (2 * options.noise**2)
    divergence = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(dim=1)
    torch.testing.assert_close(terms["reconstruction"], error)
    torch.testing.assert_close(terms["kl"], divergence)


def test_eq_blend_weighs_the_changed_calibration(generator):
    signal = generator.normal(size=200)
    plain, changed = 0.9 * signal[None], 0.2 * signal[None]
    missed = ((signal - plain[0]) ** 2).mean() / (signal**2).mean()
    share = missed**2 / (missed**2 + 0.03**2)
    found = another_day.blend([plain, changed, changed], 0, signal)
    far = (plain + 3 * changed) / 4
    np.testing.assert_allclose(found, (1 - share) * plain + share * far)


def test_eq_expired_is_the_mean_share_of_signs_below(generator):
    reference, today = generator.normal(size=(50, 5)), generator.normal(size=5)
    score = np.mean([(reference[:, sign] < today[sign]).mean() for sign in range(5)])
    assert expiry.mean_rank(today[None], reference)[0] == pytest.approx(score)


def test_eq_shapley_is_the_value_of_a_lead(generator):
    n_player = 4
    worth = generator.random(2**n_player)
    values = shapley_values(worth)
    for player in range(n_player):
        total = 0.0
        for others in range(2**n_player):
            if not others >> player & 1:
                size = others.bit_count()
                chance = factorial(size) * factorial(n_player - size - 1) / factorial(n_player)
                total += chance * (worth[others | 1 << player] - worth[others])
        assert values[player] == pytest.approx(total)
