import numpy as np
import pytest
from sklearn.linear_model import Ridge

from ecgnb.reconstruction.average_beat import paste_beats
from ecgnb.reconstruction.linear import (
    LagModel,
    fit_least_squares,
    fit_mean,
    lag_moments,
    solve_ridge,
)
from ecgnb.reconstruction.neighbours import fit_neighbours, predict_held_out


@pytest.fixture
def data():
    generator = np.random.default_rng(1)
    signal = np.convolve(generator.normal(size=900), np.ones(5), mode="same")
    outputs = np.stack([np.roll(signal, 3) + 0.1 * generator.normal(size=900), signal**2])
    return signal, outputs


def lag_matrix(signal, reach):
    padded = np.pad(signal, reach)
    return np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1)


def test_least_squares_is_that_of_numpy(data):
    signal, outputs = data
    columns = np.stack([signal, np.ones_like(signal)], axis=1)
    expected = np.linalg.lstsq(columns, outputs.T, rcond=None)[0]
    model = fit_least_squares(signal, outputs)
    np.testing.assert_allclose(model.weights[0], expected[0])
    np.testing.assert_allclose(model.intercept, expected[1])


def test_a_line_through_the_origin_has_no_intercept(data):
    signal, outputs = data
    model = fit_least_squares(signal, outputs, intercept=False)
    expected = np.linalg.lstsq(signal[:, None], outputs.T, rcond=None)[0]
    np.testing.assert_allclose(model.weights, expected)
    assert (model.intercept == 0).all()


def test_the_training_mean_predicts_the_training_mean(data):
    signal, outputs = data
    predicted = fit_mean(outputs).predict(signal)
    np.testing.assert_allclose(predicted, outputs.mean(axis=1, keepdims=True) + 0 * outputs)


def test_the_gram_matrix_by_shifts_is_the_naive_one(data):
    signal, outputs = data
    lagged = lag_matrix(signal, 12)
    moments = lag_moments(signal, outputs, 12)
    np.testing.assert_allclose(moments.gram, lagged.T @ lagged)
    np.testing.assert_allclose(moments.cross, lagged.T @ outputs.T, atol=1e-9)
    np.testing.assert_allclose(moments.input_sum, lagged.sum(axis=0))


@pytest.mark.parametrize("n_time", [30, 1023, 1024, 1025, 2500])
def test_moments_are_the_same_whatever_the_number_of_blocks(n_time):
    signal, outputs = np.split(np.random.default_rng(2).normal(size=(3, n_time)), [1])
    lagged, moments = lag_matrix(signal[0], 9), lag_moments(signal[0], outputs, 9)
    np.testing.assert_allclose(moments.gram, lagged.T @ lagged, atol=1e-9)
    np.testing.assert_allclose(moments.cross, lagged.T @ outputs.T, atol=1e-9)
    np.testing.assert_allclose(moments.output_square, np.square(outputs).sum(axis=1))


def test_moments_of_two_recordings_add_up(data):
    signal, outputs = data
    both = lag_moments(signal, outputs, 4) + lag_moments(2 * signal, outputs, 4)
    lagged = np.concatenate([lag_matrix(signal, 4), lag_matrix(2 * signal, 4)])
    np.testing.assert_allclose(both.gram, lagged.T @ lagged)


def test_the_ridge_is_that_of_scikit_learn(data):
    signal, outputs = data
    moments = lag_moments(signal, outputs, 6)
    model = solve_ridge(moments, None, (1e-3,))
    gram, _ = moments.centred()
    oracle = Ridge(alpha=1e-3 * np.trace(gram) / len(gram)).fit(lag_matrix(signal, 6), outputs.T)
    np.testing.assert_allclose(model.weights, oracle.coef_.T, rtol=1e-6, atol=1e-9)
    predicted = oracle.predict(lag_matrix(signal, 6)).T
    np.testing.assert_allclose(model.predict(signal), predicted, rtol=1e-6, atol=1e-8)


def test_the_chosen_penalty_has_the_least_validation_error(data):
    signal, outputs = data
    parts = [(signal[:300], outputs[:, :300]), (signal[300:], outputs[:, 300:])]
    moments = [lag_moments(*part, 40) for part in parts]
    penalties = (1e-6, 1e-3, 1e-1, 10.0)
    chosen = solve_ridge(*moments, penalties).penalties
    errors = [
        np.square(solve_ridge(moments[0], None, (p,)).predict(parts[1][0]) - parts[1][1]).mean(1)
        for p in penalties
    ]
    np.testing.assert_array_equal(chosen, np.array(penalties)[np.argmin(errors, axis=0)])


def test_a_filter_predicts_the_weighted_sum_of_its_lags():
    weights = np.array([[1.0], [10.0], [100.0]])
    signal = np.array([1.0, 2.0, 3.0])
    predicted = LagModel(weights, np.array([0.5])).predict(signal)
    np.testing.assert_allclose(predicted, [[210.5, 321.5, 32.5]])


def test_a_beat_is_pasted_at_every_peak():
    beat = np.array([[0.0, 1.0, 0.0]])
    pasted = paste_beats(beat, np.array([3, 8]), 12, before=1)
    assert np.flatnonzero(pasted[0]).tolist() == [3, 8]


def test_without_a_peak_the_mean_of_the_beat_is_pasted():
    pasted = paste_beats(np.array([[0.0, 3.0]]), np.array([], dtype=int), 4, before=1)
    assert pasted.tolist() == [[1.5] * 4]


def test_neighbours_find_the_moment_itself(data):
    signal, outputs = data
    model = fit_neighbours(signal, outputs, 250.0)
    error = np.square(model.predict(signal) - outputs).mean()
    assert error < 0.05 * np.square(outputs).mean()


def test_held_out_neighbours_do_not_use_their_own_fold(data):
    signal, outputs = data
    marked = outputs.copy()
    marked[:, :180] += 1000.0
    held_out = predict_held_out(fit_neighbours(signal, marked, 250.0), signal)
    assert np.abs(held_out[..., :180]).max() < 500


def test_neighbours_read_the_ends_of_a_part_off_the_nearest_whole_moment():
    time = np.arange(2000)
    outputs = np.stack([np.sin(time / 15), np.cos(time / 15), np.sin(time / 15) ** 2])
    model = fit_neighbours(outputs[0, :1500], outputs[:, :1500], 250.0)
    predicted = model.predict(outputs[0, 1500:])
    np.testing.assert_allclose(predicted, outputs[:, 1500:], atol=0.03)


def test_no_neighbour_straddles_a_seam():
    signal = np.random.default_rng(0).normal(size=700).cumsum()
    model = fit_neighbours(signal, signal[None], 250.0, seams=(400,))
    for axes, library in zip(model.embeddings, model.libraries, strict=True):
        assert (np.abs(library.moments + 0.5 - 400) > axes.reach).all()


@pytest.mark.parametrize("settled", [True, False])
def test_the_look_up_finds_the_nearest_moments_and_no_others(data, settled):
    signal, outputs = data
    model = fit_neighbours(signal, outputs, 250.0)
    assert model.slack == 0
    each = model.predict_each(signal, settled=settled)
    for axes, library, found in zip(model.embeddings, model.libraries, each, strict=True):
        places = axes.apply(signal)
        apart = np.sqrt(np.square(places[:, None] - library.tree.data[None]).sum(axis=-1))
        nearest = np.argsort(apart, axis=1)[:, :20]
        distance = np.take_along_axis(apart, nearest, axis=1)
        floor = library.floor if settled else 1e-3 * np.median(distance) ** 2 + 1e-12
        weights = 1 / (np.square(distance) + floor)
        weights /= weights.sum(axis=1, keepdims=True)
        read = np.einsum("tk,ltk->lt", weights, outputs[:, library.moments[nearest]])
        inside = slice(axes.reach, len(signal) - axes.reach)
        np.testing.assert_allclose(found[:, inside], read, atol=1e-5)
