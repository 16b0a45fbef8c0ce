"""Exact search of nearest neighbours: cells of near points, matrix products, float64 at the end.

Faster than a tree where points fill many dimensions, by far where they are noisy, and with a
result that hangs neither on the processor's kernels nor on how many places are asked for at once.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

_CELL = 256  # points of a cell

_PIECE = 4096  # places that are searched at one go

_AT_ONCE = 512  # places whose candidates are measured at one go: what a cache holds

_MORE = 4  # candidates beyond the neighbours that are measured exactly

_ROUNDING = 4e-6  # beyond what 20 products in float32 can be off, relative to the lengths

_MOST_PAIRS = 1_000_000

_NOTHING = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Cells:
    """Points `(point, component)` in cells of near ones, for exact search of nearest neighbours.

    `order` are the points cell by cell, from `starts` on; each cell has a centre and a radius.
    `lifted` holds, a cell each, the points in float32 with their squared length and 1 below: one
    matrix product gives a cell's squared distances less a bound. It only chooses candidates; what
    is found is measured in float64, so that the result hangs on no kernel and no batch.
    """

    points: np.ndarray
    order: np.ndarray
    starts: np.ndarray
    centres: np.ndarray
    radii: np.ndarray
    lifted: tuple[np.ndarray, ...]
    farthest: float

    def search(self, places: np.ndarray, n_neighbour: int) -> tuple[np.ndarray, np.ndarray]:
        """Return squared distances and numbers `(place, neighbour)` of the nearest points.

        In the order of their numbers; of equally far ones those with the lower numbers. Exact:
        distances are summed in float64.

        Examples
        --------
        >>> squared, number = gather_cells(np.arange(9.0)[:, None]).search(np.array([[3.2]]), 2)
        >>> number.tolist(), squared.round(2).tolist()
        ([[3, 4]], [[0.04, 0.64]])
        """
        found = [
            self._search(places[start : start + _PIECE], n_neighbour)
            for start in range(0, len(places), _PIECE)
        ]
        nothing = (np.zeros((0, n_neighbour)), np.zeros((0, n_neighbour), dtype=np.int64))
        return tuple(np.concatenate(parts) for parts in zip(nothing, *found, strict=True))

    def _search(self, places: np.ndarray, n_neighbour: int) -> tuple[np.ndarray, np.ndarray]:
        lengths = np.sqrt(np.einsum("ij,ij->i", places, places))
        lifted = np.concatenate([-2 * places, np.ones((len(places), 2))], axis=1)
        lifted[:, -1] = np.square(lengths)
        lifted = lifted.astype(np.float32)
        apart = self._distances_to_centres(places)
        bounds = self._bound(lifted, apart, n_neighbour)  # on squared distances
        slack = self._slack(lengths, bounds)
        bounds += slack
        lifted[:, -1] = np.square(lengths) - bounds - slack
        near = np.sqrt(bounds) + 1e-6 * (1 + lengths + self.farthest)
        needed = apart - near[:, None] <= self.radii
        pairs = self._candidates(lifted, needed)
        if pairs is None:
            half = len(places) // 2
            parts = [self._search(part, n_neighbour) for part in (places[:half], places[half:])]
            return tuple(np.concatenate(both) for both in zip(*parts, strict=True))
        return self._nearest(places, *pairs, slack, slack + bounds, n_neighbour)

    def _slack(self, lengths: np.ndarray, bounds: np.ndarray) -> np.ndarray:
        """Return what squared distances of points within a bound can be off in float32.

        Such a point is at most as long as its place and the bound's root together.
        """
        longest = np.minimum(1.01 * (lengths + np.sqrt(bounds)), self.farthest)
        return _ROUNDING * np.square(lengths + longest)

    def _distances_to_centres(self, places: np.ndarray) -> np.ndarray:
        squares = [np.einsum("ij,ij->i", each, each) for each in (places, self.centres)]
        products = places @ self.centres.T
        return np.sqrt(np.maximum(squares[0][:, None] + squares[1] - 2 * products, 0.0))

    def _bound(self, lifted: np.ndarray, apart: np.ndarray, n_neighbour: int) -> np.ndarray:
        """Return squared distances within which a cell near each place has enough points."""
        large = np.diff(self.starts) >= n_neighbour
        nearest = np.where(large, apart, np.inf).argmin(axis=1)
        bounds = np.empty(len(lifted))
        for cell, rows in _grouped(nearest, np.arange(len(lifted)), len(large)):
            squared = lifted[rows] @ self.lifted[cell]
            squared.partition(n_neighbour - 1, axis=1)
            bounds[rows] = squared[:, n_neighbour - 1]
        return np.maximum(bounds, 0.0)

    def _candidates(
        self, lifted: np.ndarray, needed: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
        """Return places, points and float32 distances less the bound; None if there are too many.

        Every point within its place's bound is among them.
        """
        found, total = [], 0
        for cell, rows in _grouped(*np.nonzero(needed.T), len(self.radii)):
            excess = (lifted[rows] @ self.lifted[cell]).ravel()
            hits = np.flatnonzero(excess <= 0)
            size = self.lifted[cell].shape[1]
            row = hits // size
            found.append((rows[row], hits - row * size + self.starts[cell], excess[hits]))
            total += hits.size
            if total > _MOST_PAIRS and len(lifted) > 1:
                return None
        rows, points, excess = (np.concatenate(parts) for parts in zip(*found, strict=True))
        return rows, self.order[points], excess

    def _nearest(
        self,
        places: np.ndarray,
        rows: np.ndarray,
        numbers: np.ndarray,
        excess: np.ndarray,
        slack: np.ndarray,
        bounds: np.ndarray,
        n_neighbour: int,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the nearest candidates, a few more than are wanted measured in float64."""
        counts = np.bincount(rows, minlength=len(places))
        if len(places) > 1 and len(places) * int(counts.max()) > _MOST_PAIRS:
            return self._by_halves(
                places, rows, numbers, excess, slack, bounds, counts, n_neighbour
            )
        by_row = np.argsort(rows.astype(np.int16), kind="stable")  # at most 4,096 of them
        rows, numbers, excess = rows[by_row], numbers[by_row], excess[by_row]
        first = np.searchsorted(rows, np.arange(len(places) + 1))
        table = (rows, np.arange(rows.size) - first[rows])
        width = max(int(np.diff(first).max()), n_neighbour + _MORE + 1)
        rough = np.maximum(excess + bounds[rows], 0.0).astype(np.float32)
        keys = np.full((len(places), width), _NOTHING)
        keys[table] = rough.view(np.int32).astype(np.int64) << 32 | numbers
        n_kept = n_neighbour + _MORE
        keys.partition(n_kept, axis=1)
        cut = (keys[:, n_kept] >> 32).astype(np.int32).view(np.float32).astype(np.float64)
        cut[keys[:, n_kept] == _NOTHING] = np.inf
        numbers = np.where(keys == _NOTHING, _NOTHING, keys & 0xFFFFFFFF)
        squared, chosen, farthest = self._measured(places, numbers[:, :n_kept], n_neighbour)
        unsure = np.flatnonzero(farthest >= cut - 2 * slack)  # what was cut off might be nearer
        for row in unsure:
            one = self._measured(places[[row]], numbers[[row]], n_neighbour)
            squared[row], chosen[row] = one[0][0], one[1][0]
        return squared, chosen

    def _by_halves(
        self,
        places: np.ndarray,
        rows: np.ndarray,
        numbers: np.ndarray,
        excess: np.ndarray,
        slack: np.ndarray,
        bounds: np.ndarray,
        counts: np.ndarray,
        n_neighbour: int,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return what `_nearest` does, places with many candidates apart from those with few."""
        squared = np.empty((len(places), n_neighbour))
        chosen = np.empty((len(places), n_neighbour), dtype=np.int64)
        for half in np.array_split(np.argsort(counts, kind="stable"), 2):
            place = np.full(len(places), -1)
            place[half] = np.arange(len(half))
            kept = place[rows] >= 0
            pairs = (place[rows[kept]], numbers[kept], excess[kept])
            squared[half], chosen[half] = self._nearest(
                places[half], *pairs, slack[half], bounds[half], n_neighbour
            )
        return squared, chosen

    def _measured(
        self, places: np.ndarray, numbers: np.ndarray, n_neighbour: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return squared distances and numbers of the nearest of some points, and the largest."""
        found = [
            self._measure(places[start : start + _AT_ONCE], each, n_neighbour)
            for start in range(0, len(places), _AT_ONCE)
            for each in [np.sort(numbers[start : start + _AT_ONCE], axis=1)]
        ]
        return tuple(np.concatenate(parts) for parts in zip(*found, strict=True))

    def _measure(
        self, places: np.ndarray, numbers: np.ndarray, n_neighbour: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        none = numbers == _NOTHING
        apart = self.points.take(np.where(none, 0, numbers), axis=0)
        apart -= places[:, None]
        squared = np.einsum("ijk,ijk->ij", apart, apart)
        squared[none] = np.inf
        farthest = np.partition(squared, n_neighbour - 1, axis=1)[:, n_neighbour - 1, None]
        kept = squared <= farthest
        too_many = np.flatnonzero(kept.sum(axis=1) > n_neighbour)
        if too_many.size:  # equally far: the lower numbers, which come first
            equal = squared[too_many] == farthest[too_many]
            spare = n_neighbour - (squared[too_many] < farthest[too_many]).sum(axis=1)
            kept[too_many] &= ~equal | (equal.cumsum(axis=1) <= spare[:, None])
        shape = (len(places), n_neighbour)
        return squared[kept].reshape(shape), numbers[kept].reshape(shape), farthest[:, 0]


def _grouped(
    groups: np.ndarray, rows: np.ndarray, n_group: int
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield each group that has rows, and its rows in order."""
    by_group = np.argsort(groups.astype(np.min_scalar_type(n_group)), kind="stable")
    cuts = np.searchsorted(groups[by_group], np.arange(n_group + 1))
    for group in np.flatnonzero(np.diff(cuts)):
        yield int(group), rows[by_group[cuts[group] : cuts[group + 1]]]


def gather_cells(points: np.ndarray) -> Cells:
    """Return points `(point, component)` in cells of about 256 near ones (two rounds of k-means).

    Any cells would do: which points lie together changes how fast a search is, not what it finds.
    """
    points = np.ascontiguousarray(points, dtype=np.float64)
    n_cell = max(round(len(points) / _CELL), 1)
    centres = points[np.linspace(0, len(points) - 1, n_cell).astype(int)]
    for _ in range(2):
        order, starts, _ = _assign(points, centres)
        centres = np.add.reduceat(points[order], starts[:-1], axis=0) / np.diff(starts)[:, None]
    order, starts, kept = _assign(points, centres)
    centres, sorted_points = centres[kept], points[order]
    sizes = np.diff(starts)
    from_centre = np.square(sorted_points - np.repeat(centres, sizes, axis=0)).sum(axis=1)
    squares = np.einsum("ij,ij->i", sorted_points, sorted_points)
    lifted = np.concatenate([sorted_points, squares[:, None], np.ones((len(points), 1))], axis=1)
    return Cells(
        points=points,
        order=order,
        starts=starts,
        centres=centres,
        radii=np.sqrt(np.maximum.reduceat(from_centre, starts[:-1])),
        lifted=tuple(
            np.ascontiguousarray(lifted[a:b].T, dtype=np.float32) for a, b in pairwise(starts)
        ),
        farthest=float(np.sqrt(squares.max())),
    )


def _assign(points: np.ndarray, centres: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return points cell by cell, where each cell starts, and the cells that are not empty."""
    squares = np.einsum("ij,ij->i", centres, centres)
    cell = np.concatenate(
        [
            np.argmin(squares - 2 * piece @ centres.T, axis=1)
            for piece in np.array_split(points, max(len(points) // _PIECE, 1))
        ]
    )
    counts = np.bincount(cell, minlength=len(centres))
    kept = np.flatnonzero(counts)
    return np.argsort(cell, kind="stable"), np.r_[0, np.cumsum(counts[kept])], kept
