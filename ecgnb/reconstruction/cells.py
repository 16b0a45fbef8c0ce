"""Exact search of nearest neighbours: cells of near points, matrix products, float64 at the end.

Faster than a tree where points fill many dimensions, by far where they are noisy, and with a
result that hangs neither on the processor's kernels nor on how many places are asked for at once.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.cluster.hierarchy import leaves_list, linkage

_CELL = 128  # about the points of a cell

_SORTED = 32_768  # places that are put in the order of their cells at one go

_PIECE = 4096  # places, at most 12 bits of them, that are searched at one go

_AT_ONCE = 512  # places whose candidates are measured at one go: what a cache holds

_BLOCK = 96  # places, at most, that are compared with the same cells

_STRANDS = 4  # of so many points one, the nearest, tells how near enough points are

_SPAN = 2  # cells side by side whose places look for their bounds together

_BUFFER = 1 << 18  # distances in float32 that are compared at one go: what a cache holds

_SAMPLED = 4  # of so many points one tells where the cells are

_MORE = 4  # candidates beyond the neighbours that are measured exactly

_ROUNDING = 4e-6  # beyond what 20 products in float32 can be off, relative to the lengths

_MOST_PAIRS = 1_000_000

_NOTHING = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Cells:
    """Points `(point, component)` in cells of near ones, for exact search of nearest neighbours.

    `order` are the points cell by cell, from `starts` on, cells that are near each other side by
    side. `lifted` holds the points in that order in float32, with their squared length and 1
    below, `lids` the centres, `rims` these and how far each cell goes: matrix products with places
    give squared distances less a bound. They only choose candidates; what is found is measured in
    float64, so that the result hangs on no kernel and no batch.
    """

    points: np.ndarray
    order: np.ndarray
    starts: np.ndarray
    lids: np.ndarray
    rims: np.ndarray
    lifted: np.ndarray
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
            self._search(places[start : start + _SORTED], n_neighbour)
            for start in range(0, len(places), _SORTED)
        ]
        nothing = (np.zeros((0, n_neighbour)), np.zeros((0, n_neighbour), dtype=np.int64))
        return tuple(np.concatenate(parts) for parts in zip(nothing, *found, strict=True))

    def only(self, kept: np.ndarray) -> "Cells":
        """Return some of the points, `kept (point,)`, in the cells where they are.

        They are numbered anew. A cell that has lost points still goes as far as it did.

        Examples
        --------
        >>> cells = gather_cells(np.arange(9.0)[:, None]).only(np.arange(9) % 3 > 0)
        >>> cells.points[cells.search(np.array([[3.2]]), 2)[1], 0].tolist()
        [[2.0, 4.0]]
        """
        chosen = kept[self.order]
        counts = np.add.reduceat(chosen, self.starts[:-1], dtype=np.int64)
        some = counts > 0
        return Cells(
            points=self.points[kept],
            order=(np.cumsum(kept) - 1)[self.order[chosen]],
            starts=np.r_[0, np.cumsum(counts[some])],
            lids=self.lids[:, some],
            rims=self.rims[:, some],
            lifted=self.lifted[:, chosen],
            farthest=self.farthest,
        )

    def _search(self, places: np.ndarray, n_neighbour: int) -> tuple[np.ndarray, np.ndarray]:
        squares = np.einsum("ij,ij->i", places, places)
        lifted = np.empty((len(places), places.shape[1] + 2), dtype=np.float32)
        np.multiply(places, -2, out=lifted[:, :-2], casting="same_kind")
        lifted[:, -2], lifted[:, -1] = 1, squares
        nearest = (lifted @ self.lids).argmin(axis=1)
        order = np.argsort(nearest, kind="stable")  # so that a block of places needs few cells
        squared = np.empty((len(places), n_neighbour))
        numbers = np.empty((len(places), n_neighbour), dtype=np.int64)
        for start in range(0, len(places), _PIECE):
            piece = order[start : start + _PIECE]
            squared[piece], numbers[piece] = self._search_sorted(
                places[piece], lifted[piece], nearest[piece], n_neighbour
            )
        return squared, numbers

    def _search_sorted(
        self,
        places: np.ndarray,
        lifted: np.ndarray,
        nearest: np.ndarray,
        n_neighbour: int,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return what `search` does for places in the order of the cells nearest to them."""
        squares = np.einsum("ij,ij->i", places, places)
        lengths = np.sqrt(squares)
        bounds = self._bound(lifted, nearest, n_neighbour)  # on squared distances
        slack = self._slack(lengths, bounds)
        bounds += slack
        lifted[:, -1] = squares - bounds - slack
        needed = self._needed(lifted, np.sqrt(bounds), lengths)
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

    def _needed(self, lifted: np.ndarray, near: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Return which cells `(place, cell)` may hold a point as near to a place as `near`.

        Those whose centre is not farther than `near` and their radius together, by one product:
        `|p - c|^2 - (near + r)^2 <= 0`. No centre is longer than the longest point, so that the
        21 products in float32 are off by less than the margin.
        """
        longest = lengths + self.farthest
        reach = near + 1e-6 * (1 + longest)
        given = np.empty((len(lifted), len(self.rims)), dtype=np.float32)
        given[:, :-2] = lifted[:, :-1]
        given[:, -2] = np.square(lengths) - np.square(reach) - 5 * _ROUNDING * np.square(longest)
        given[:, -1] = reach
        return given @ self.rims <= 0

    def _bound(self, lifted: np.ndarray, nearest: np.ndarray, n_neighbour: int) -> np.ndarray:
        """Return squared distances within which the cells near each place have enough points."""
        bounds, more = np.empty(len(lifted)), max(_CELL, n_neighbour)
        for start, stop in pairwise(_cuts(nearest)):
            first = max(self.starts[nearest[start]] - more, 0)
            last = min(self.starts[nearest[stop - 1] + 1] + more, len(self.points))
            n_each = (last - first) // _STRANDS
            if n_each < 2 * n_neighbour:
                squared = lifted[start:stop] @ self.lifted[:, first:last]
            else:  # the least of each strand: so many points are as near as these
                squared = lifted[start:stop] @ self.lifted[:, first : first + _STRANDS * n_each]
                squared = squared.reshape(-1, _STRANDS, n_each).min(axis=1)
            squared.partition(n_neighbour - 1, axis=1)
            bounds[start:stop] = squared[:, n_neighbour - 1]
        return np.maximum(bounds, 0.0)

    def _candidates(
        self, lifted: np.ndarray, needed: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
        """Return places, points and float32 distances less the bound; None if there are too many.

        Every point within its place's bound is among them.
        """
        size = min(max(len(lifted) // 4, _BLOCK // 6), _BLOCK)
        room, within = np.empty(_BUFFER, dtype=np.float32), np.empty(_BUFFER, dtype=bool)
        found, total = [], 0
        for block, first, last in self._stretches(needed, size):
            given = lifted[block : block + size]
            excess = room[: len(given) * (last - first)]
            np.matmul(given, self.lifted[:, first:last], out=excess.reshape(len(given), -1))
            hits = np.less_equal(excess, 0, out=within[: excess.size]).nonzero()[0]
            found.append((hits, excess[hits], block, first, last - first))
            total += hits.size
            if total > _MOST_PAIRS and len(lifted) > 1:
                return None
        hits, excess = (np.concatenate([each[part] for each in found]) for part in (0, 1))
        n_hit = [each[0].size for each in found]
        blocks, firsts, sizes = (
            np.repeat([each[at] for each in found], n_hit) for at in (2, 3, 4)
        )
        rows = hits // sizes
        return rows + blocks, self.order[hits - rows * sizes + firsts], excess

    def _stretches(self, needed: np.ndarray, size: int) -> Iterator[tuple[int, int, int]]:
        """Yield the first place of a block, and from which to which point its cells go, in order.

        A block are `size` places; it needs the cells that any of them needs.
        """
        blocks = np.arange(0, len(needed), size)
        some = np.logical_or.reduceat(needed, blocks, axis=0)
        some = np.pad(some, ((0, 0), (1, 1)))
        row, edge = np.nonzero(some[:, 1:] != some[:, :-1])
        points, longest = self.starts[edge].tolist(), _BUFFER // size
        for block, first, last in zip(
            blocks[row[::2]].tolist(), points[::2], points[1::2], strict=True
        ):
            for start in range(first, last, longest):
                yield block, start, min(start + longest, last)

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
        """Return the nearest candidates, a few more than are wanted measured in float64.

        Candidates are sorted by place, rough distance and number, in one integer: 12 bits, 31 bits
        and, as there are at most a million pairs, 20 bits for which one it is.
        """
        rough = np.maximum(excess + bounds[rows], 0.0).astype(np.float32) + np.float32(0)
        n_bit = rows.size.bit_length()
        keys = rows.astype(np.uint64) << np.uint64(31 + n_bit)
        keys |= rough.view(np.uint32).astype(np.uint64) << np.uint64(n_bit)
        keys |= np.arange(rows.size, dtype=np.uint64)
        keys.sort()
        chosen = (keys & np.uint64((1 << n_bit) - 1)).astype(np.int64)
        first = np.r_[0, np.cumsum(np.bincount(rows, minlength=len(places)))]
        n_kept = n_neighbour + _MORE
        at = first[:-1, None] + np.arange(n_kept + 1)
        none = at >= first[1:, None]
        kept = chosen[np.minimum(at, rows.size - 1)]
        cut = np.where(none[:, -1], np.inf, rough[kept[:, -1]])
        few = np.where(none, _NOTHING, numbers[kept])[:, :-1]
        squared, found, farthest = self._measured(places, few, n_neighbour)
        for row in np.flatnonzero(farthest >= cut - 2 * slack):  # what was cut off might be nearer
            every = numbers[chosen[first[row] : first[row + 1]]][None]
            one = self._measured(places[[row]], every, n_neighbour)
            squared[row], found[row] = one[0][0], one[1][0]
        return squared, found

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


def _cuts(nearest: np.ndarray) -> list[int]:
    """Return where places begin, and end, whose nearest cells are the same or side by side."""
    cuts, cell = [], -_SPAN
    at = np.flatnonzero(np.diff(nearest, prepend=-1))
    for start, here in zip(at.tolist(), nearest[at].tolist(), strict=True):
        if here - cell >= _SPAN:
            cuts.append(start)
            cell = here
    return [*cuts, len(nearest)]


def gather_cells(points: np.ndarray) -> Cells:
    """Return points `(point, component)` in cells of about 128 near ones (two rounds of k-means).

    Any cells would do: which points lie together changes how fast a search is, not what it finds.
    """
    points = np.ascontiguousarray(points, dtype=np.float64)
    n_cell = max(round(len(points) / _CELL), 1)
    centres = points[np.linspace(0, len(points) - 1, n_cell).astype(int)]
    sample = points[::_SAMPLED] if len(points) > _SAMPLED * _CELL else points
    for _ in range(2):
        order, starts = _assign(sample, centres)
        centres = _means(sample[order], starts)
    order, starts = _assign(points, centres[_side_by_side(centres)])
    centres = _means(points[order], starts)
    sorted_points = points[order]
    sizes = np.diff(starts)
    from_centre = np.square(sorted_points - np.repeat(centres, sizes, axis=0)).sum(axis=1)
    radii, lids = np.sqrt(np.maximum.reduceat(from_centre, starts[:-1])), _lift(centres)
    rims = np.vstack([lids, -2 * radii]).astype(np.float32)
    rims[-3] = np.einsum("ij,ij->i", centres, centres) - np.square(radii)
    return Cells(
        points=points,
        order=order,
        starts=starts,
        lids=lids,
        rims=rims,
        lifted=_lift(sorted_points),
        farthest=float(np.sqrt(np.einsum("ij,ij->i", points, points).max())),
    )


def _side_by_side(centres: np.ndarray) -> np.ndarray:
    """Return the order in which near centres are side by side."""
    return leaves_list(linkage(centres, "average")) if len(centres) > 1 else np.arange(1)


def _lift(points: np.ndarray) -> np.ndarray:
    """Return points `(component + 2, point)` in float32, their squared length and 1 below."""
    lifted = np.ones((points.shape[1] + 2, len(points)), dtype=np.float32)
    lifted[:-2], lifted[-2] = points.T, np.einsum("ij,ij->i", points, points)
    return lifted


def _means(points: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Return the mean `(cell, component)` of points that lie cell by cell."""
    return np.add.reduceat(points, starts[:-1], axis=0) / np.diff(starts)[:, None]


def _assign(points: np.ndarray, centres: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return points cell by cell, and where each cell that is not empty starts."""
    squares = np.einsum("ij,ij->i", centres, centres).astype(np.float32)
    sides = (2 * centres.T).astype(np.float32)
    pieces = (points[at : at + _AT_ONCE] for at in range(0, len(points), _AT_ONCE))
    products = (piece.astype(np.float32) @ sides for piece in pieces)
    cell = np.concatenate([np.argmin(squares - product, axis=1) for product in products])
    counts = np.bincount(cell, minlength=len(centres))
    return np.argsort(cell, kind="stable"), np.r_[0, np.cumsum(counts[counts > 0])]
