"""The exact search finds what measuring every point finds, for any batch and any kernel."""

import tracemalloc

import numpy as np
import pytest

from ecgnb.reconstruction.cells import gather_cells
from ecgnb.reconstruction.neighbours import fit_neighbours


def all_measured(points, places, n_neighbour):
    """Squared distances and numbers by measuring every point; of equal ones the lower number."""
    squared = ((points[None] - places[:, None]) ** 2).sum(axis=2)
    best = np.sort(np.argsort(squared, axis=1, kind="stable")[:, :n_neighbour], axis=1)
    return np.take_along_axis(squared, best, 1), best


def walk(seed, n_point=3000):
    """A path that comes back to where it was, with noise: like the lag embedding of an ECG."""
    generator = np.random.default_rng(seed)
    angle = np.arange(n_point)[:, None] / 40.0 * np.arange(1, 7)
    path = np.concatenate([np.sin(angle), np.cos(angle), np.zeros((n_point, 6))], axis=1)
    return path + 0.1 * generator.normal(size=path.shape)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_the_search_is_exact(scale):
    points, places = scale * walk(0), scale * walk(1, 300)
    squared, numbers = gather_cells(points).search(places, 20)
    expected_squared, expected = all_measured(points, places, 20)
    assert np.array_equal(numbers, expected)
    np.testing.assert_allclose(squared, expected_squared, rtol=1e-9)


def test_a_place_far_from_all_points_finds_the_nearest_ones():
    points = walk(2)
    places = np.concatenate([points[:3] + 1e3, points[:3]])
    assert np.array_equal(
        gather_cells(points).search(places, 20)[1], all_measured(points, places, 20)[1]
    )


def test_of_equal_distances_the_earlier_point_is_taken():
    points = np.tile(walk(3, 400), (9, 1))
    squared, numbers = gather_cells(points).search(points[:50], 20)
    assert np.array_equal(numbers, all_measured(points, points[:50], 20)[1])
    assert ((squared == 0).sum(axis=1) == 9).all()


@pytest.mark.parametrize("n_point", [1, 2, 19, 20, 21, 24, 25, 700])
def test_small_and_flat_libraries_are_searched_too(n_point):
    for points in (walk(4, n_point), np.ones((n_point, 18))):
        wanted = min(20, n_point)
        _, numbers = gather_cells(points).search(points[:5], wanted)
        assert np.array_equal(numbers, all_measured(points, points[:5], wanted)[1])


@pytest.mark.parametrize(
    "wanted", [lambda at: at < 2400, lambda at: at % 7 == 0, lambda at: at > 40]
)
def test_a_part_of_the_points_is_searched_as_if_there_were_no_others(wanted):
    points, places = walk(5), walk(6, 200)
    kept = wanted(np.arange(len(points)))
    squared, numbers = gather_cells(points).only(kept).search(places, 20)
    expected_squared, expected = gather_cells(points[kept]).search(places, 20)
    assert np.array_equal(numbers, expected)
    assert np.array_equal(squared, expected_squared)


def test_a_flat_library_takes_no_more_memory_than_a_batch_may():
    flat = np.zeros((20_000, 18))
    _, numbers = gather_cells(flat).search(flat[:200], 20)
    assert (numbers == np.arange(20)).all()


def test_one_place_with_many_candidates_does_not_make_the_others_take_memory():
    """A line through a gap is as far from every moment: of 20,000 points none can be left out."""
    generator = np.random.default_rng(7)
    shell = generator.normal(size=(20_000, 18))
    shell *= (1 + 1e-6 * generator.random((20_000, 1))) / np.linalg.norm(shell, axis=1)[:, None]
    places = np.concatenate([np.zeros((3, 18)), shell[:2000] * 1.01])
    cells = gather_cells(shell)
    tracemalloc.start()
    _, numbers = cells.search(places, 20)
    assert tracemalloc.get_traced_memory()[1] < 150e6
    tracemalloc.stop()
    few = [*range(3), 500, 1500]
    assert np.array_equal(numbers[few], all_measured(shell, places[few], 20)[1])


def test_a_prediction_has_the_same_bits_however_long_the_signal_around_it_is():
    signal = walk(5, 2500)[:, 0]
    model = fit_neighbours(signal[:1500], np.stack([signal[:1500], -signal[:1500]]), 250.0)
    whole, reach = model.predict(signal[1500:]), 50
    for start, stop in ((0, 1000), (137, 311), (200, 301), (10, 999)):
        piece = model.predict(signal[1500 + start : 1500 + stop])
        assert np.array_equal(piece[:, reach:-reach], whole[:, start + reach : stop - reach])


@pytest.mark.parametrize("n_lead", [1, 12])
def test_one_moment_or_a_few_have_the_same_bits_as_in_a_long_signal(n_lead):
    signal = walk(6, 2500)[:, 0]
    outputs = np.stack([np.roll(signal[:1500], lead) for lead in range(n_lead)])
    model = fit_neighbours(signal[:1500], outputs, 250.0)
    whole, reach = model.predict(signal[1500:]), 50
    for n_moment in (1, 2, 3, 27, 28, 29, 70, 77, 78, 79, 127, 128, 129, 200):
        piece = model.predict(signal[1600 : 1600 + n_moment + 2 * reach])
        middle = whole[:, 100 + reach : 100 + reach + n_moment]
        assert np.array_equal(piece[:, reach:-reach], middle), n_moment
