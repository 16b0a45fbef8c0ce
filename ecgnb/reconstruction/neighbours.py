"""Nearest neighbours in lag space: look up what the other leads did in similar moments.

The input around a moment, its lag embedding (Takens 1981), is compared with all moments of the
training part; the other leads are read off where it was most alike. No R peak is needed.
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from scipy import linalg
from scipy.spatial import cKDTree

from ecgnb.reconstruction.cells import Cells, gather_cells
from ecgnb.signals.preparation import Prepared

EMBEDDING_REACHES_S = (0.1, 0.2)

N_COMPONENT = 18

N_NEIGHBOUR = 20

N_HELD_OUT_FOLD = 5

_WHITENING = 0.3

_PIECE = 4096  # moments that are embedded at one go

_FEW = 128  # moments whose products with all lags a cache holds

_READ_AT_ONCE = 512  # moments whose neighbours' leads a cache holds


@dataclass(frozen=True)
class Embedding:
    """Principal axes of the lagged input: `mean (lag,)`, `axes (lag, component)`."""

    mean: np.ndarray
    axes: np.ndarray
    step: int

    @property
    def reach(self) -> int:
        """Samples that the embedding looks back and ahead."""
        return (len(self.mean) - 1) // 2 * self.step

    def apply(self, input_signal: np.ndarray) -> np.ndarray:
        """Return the place `(moment, component)` of every moment at least `reach` from an end.

        Summed lag by lag in one order, so that a place has the same bits however long the signal
        around its moment is, and whatever the processor's matrix product does.
        """
        signal = np.asarray(input_signal, dtype=np.float64)
        n_moment = signal.size - 2 * self.reach
        pieces = [
            self._apply(signal[start : start + _PIECE + 2 * self.reach])
            for start in range(0, n_moment, _PIECE)
        ]
        return np.concatenate([np.zeros((0, self.axes.shape[1])), *pieces])

    def _apply(self, signal: np.ndarray) -> np.ndarray:
        n_moment = signal.size - 2 * self.reach
        if 1 < n_moment <= _FEW:  # the same sums in fewer calls; of one moment, another order
            lags = _lagged(signal, self.reach, self.step).T - self.mean[:, None]
            return np.add.reduce(self.axes[:, :, None] * lags[:, None], axis=0, initial=0.0).T
        places = np.zeros((self.axes.shape[1], n_moment))
        for lag, (mean, axes) in enumerate(zip(self.mean, self.axes, strict=True)):
            start = lag * self.step
            places += axes[:, None] * (signal[start : start + n_moment] - mean)
        return places.T


def floor_of(squared: np.ndarray) -> float:
    """Return a thousandth of the squared median distance, of squared distances.

    Examples
    --------
    >>> round(floor_of(np.array([1.0, 4.0, 9.0])), 6)
    0.004
    """
    return 1e-3 * float(np.median(np.sqrt(squared))) ** 2 + 1e-12 if squared.size else 1e-12


@dataclass(frozen=True)
class Library:
    """Places of training moments in a tree, the `moments` in samples, the leads to read off."""

    tree: cKDTree
    moments: np.ndarray
    outputs: np.ndarray

    @cached_property
    def cells(self) -> Cells:
        """The places again, in cells that are searched exactly."""
        return gather_cells(np.asarray(self.tree.data))

    @cached_property
    def rows(self) -> np.ndarray:
        """The leads `(time, lead)`, those of a moment side by side in memory."""
        return np.ascontiguousarray(self.outputs.T, dtype=np.float64)

    @cached_property
    def floor(self) -> float:
        """What is added to squared distances before they become weights.

        A thousandth of the squared median distance from moments of the last fifth to their
        neighbours in the first four: known before anything is looked up.
        """
        places = np.asarray(self.tree.data)
        cut = max(len(places) * 4 // 5, 1)
        first = self.cells.only(np.arange(len(places)) < cut)
        squared, _ = first.search(places[cut::4], min(N_NEIGHBOUR, cut))
        return floor_of(squared)

    @classmethod
    def of(cls, places: np.ndarray, moments: np.ndarray, outputs: np.ndarray) -> "Library":
        """Return the library of moments at places `(moment, component)`."""
        return cls(cKDTree(places, leafsize=len(places)), moments, outputs)

    def only(self, kept: np.ndarray) -> "Library":
        """Return the library of some moments, `kept (moment,)`, without gathering cells again."""
        part = self.of(np.asarray(self.tree.data)[kept], self.moments[kept], self.outputs)
        vars(part).update(cells=self.cells.only(kept), rows=self.rows)
        return part

    def look_up(
        self, places: np.ndarray, reach: int, *, slack: float = 0.0, settled: bool = True
    ) -> np.ndarray:
        """Return leads `(lead, time)` averaged over neighbours by inverse squared distance.

        The first and last `reach` samples have no place of their own: they are read off as far
        from the neighbours of the nearest moment that has one as they are from that moment.
        """
        weights, moments = self.weigh(places, slack=slack, settled=settled)
        ends = np.arange(-reach, 0)[:, None]
        first = self.read_off(weights[[0] * reach], moments[[0] * reach] + ends)
        last = self.read_off(weights[[-1] * reach], moments[[-1] * reach] - ends[::-1])
        return np.concatenate([first, self.read_off(weights, moments), last]).T

    def weigh(
        self, places: np.ndarray, *, slack: float = 0.0, settled: bool = True
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return weights and moments `(moment, neighbour)` of the neighbours of places."""
        n_neighbour = min(N_NEIGHBOUR, self.tree.n)
        if slack:
            distance, index = self.tree.query(places, k=[*range(1, n_neighbour + 1)], eps=slack)
            squared = np.square(distance)
        else:
            squared, index = self.cells.search(places, n_neighbour)
        weights = 1 / (squared + (self.floor if settled else floor_of(squared)))
        return weights / weights.sum(axis=1, keepdims=True), self.moments[index]

    def read_off(self, weights: np.ndarray, moments: np.ndarray) -> np.ndarray:
        """Return weighted means `(moment, lead)` of the leads at the moments of neighbours."""
        read = np.zeros((len(weights), self.rows.shape[1]))
        for start in range(0, len(weights), _READ_AT_ONCE):
            piece = slice(start, start + _READ_AT_ONCE)
            rows = self.rows.take(moments[piece].T, axis=0)  # (neighbour, moment, lead)
            rows *= weights[piece].T[..., None]
            for each in rows:  # one by one: the same bits for any number of moments
                read[piece] += each
        return read


@dataclass(frozen=True)
class NeighbourModel:
    """Embeddings of several reaches, each with the training moments and their leads.

    A search may return neighbours up to `slack` (a share) further away than the nearest ones.
    With any slack the last bits of an embedding decide which ones are found, so fits search
    exactly; models that version 0.1.0 saved keep the slack they were measured with.
    """

    embeddings: tuple[Embedding, ...]
    libraries: tuple[Library, ...]
    slack: float = 0.0

    def predict_each(self, input_signal: np.ndarray, *, settled: bool = True) -> np.ndarray:
        """Return the prediction of each reach `(reach, lead, time)` from one lead `(time,)`.

        What is added to squared distances is known from the library; with `settled` False, as in
        the live page and in models of version 0.1.0, it is taken from the moments looked up.
        """
        how = {"slack": self.slack, "settled": settled and not self.slack}
        pairs = zip(self.embeddings, self.libraries, strict=True)
        return np.stack(
            [lib.look_up(axes.apply(input_signal), axes.reach, **how) for axes, lib in pairs]
        )

    def predict(self, input_signal: np.ndarray) -> np.ndarray:
        """Return all leads `(lead, time)`: the mean over the reaches."""
        return self.predict_each(input_signal).mean(axis=0)

    def predict_middle(self, input_signal: np.ndarray, context: int) -> np.ndarray:
        """Return `predict` without the first and last `context` samples, with the same bits.

        Only what is returned is looked up: what a stream needs again and again. The context is at
        least the longest reach.
        """
        pairs = zip(self.embeddings, self.libraries, strict=True)
        return np.stack(
            [self._middle(lib, axes, input_signal, context).T for axes, lib in pairs]
        ).mean(axis=0)

    def _middle(
        self, library: Library, axes: Embedding, signal: np.ndarray, context: int
    ) -> np.ndarray:
        """Return leads `(time, lead)` of the moments at least `context` samples from both ends."""
        edge = context - axes.reach
        places = axes.apply(signal[edge : signal.size - edge])
        weighed = library.weigh(places, slack=self.slack, settled=not self.slack)
        return library.read_off(*weighed)


def _lagged(signal: np.ndarray, reach: int, step: int) -> np.ndarray:
    signal = np.asarray(signal, dtype=np.float64)
    return np.lib.stride_tricks.sliding_window_view(signal, 2 * reach + 1)[:, ::step]


def fit_embedding(
    input_signal: np.ndarray, reach: int, *, n_component: int = N_COMPONENT
) -> Embedding:
    """Return the principal axes of lags -reach ... reach, slightly whitened.

    Each axis is divided by its standard deviation to the power 0.3, so that small components,
    which carry the P wave, keep some weight. Reaches over 30 samples use every second lag.
    """
    step = 2 if reach > 30 else 1
    reach -= reach % step
    lagged = _lagged(input_signal, reach, step)
    mean = lagged.mean(axis=0)
    values, vectors = linalg.eigh(np.cov(lagged, rowvar=False))
    n_component = min(n_component, len(values))
    top = np.sqrt(np.maximum(values[::-1][:n_component], 1e-12))
    return Embedding(mean, vectors[:, ::-1][:, :n_component] / top**_WHITENING, step)


def fit_neighbours(
    input_signal: np.ndarray,
    outputs: np.ndarray,
    sampling_rate: float,
    *,
    reaches_s: tuple[float, ...] = EMBEDDING_REACHES_S,
    seams: tuple[int, ...] = (),
) -> NeighbourModel:
    """Return the model that looks `input_signal (time,)` up among its own moments.

    Parameters
    ----------
    input_signal, outputs
        Training part of the input `(time,)` and of all leads `(lead, time)`.
    sampling_rate
        Hz.
    reaches_s
        How far around a moment the input is compared, s; predictions are averaged.
    seams
        Samples at which a new stretch of signal begins; moments that straddle one are left out.

    Examples
    --------
    >>> signal = np.sin(np.arange(900) / 20)
    >>> model = fit_neighbours(signal[:700], np.stack([2 * signal[:700]]), 250.0)
    >>> bool(np.abs(model.predict(signal[700:])[0, 60:-60] - 2 * signal[760:840]).max() < 0.01)
    True
    """
    embeddings = tuple(
        fit_embedding(input_signal, round(reach_s * sampling_rate)) for reach_s in reaches_s
    )
    outputs = np.asarray(outputs, dtype=np.float32)
    libraries = tuple(
        _library(
            axes.apply(input_signal),
            axes.reach,
            outputs,
            without=tuple((seam, seam) for seam in seams),
        )
        for axes in embeddings
    )
    return NeighbourModel(embeddings, libraries)


def fit_on_training(prepared: Prepared, lead: int) -> NeighbourModel:
    """Return the look-up of one input lead in the training part alone."""
    train, rate = prepared.train, prepared.sampling_rate
    return fit_neighbours(train[lead], train, rate, seams=prepared.seams)


def fit_library(prepared: Prepared, lead: int) -> NeighbourModel:
    """Return the look-up of one input lead in the training and the validation part together.

    The look-up leaves nothing to choose, so that the validation part can be looked up as well.
    """
    library = np.concatenate([prepared.train, prepared.validation], axis=1)
    seams = (*prepared.seams, prepared.train.shape[1])
    return fit_neighbours(library[lead], library, prepared.sampling_rate, seams=seams)


def _library(
    places: np.ndarray,
    reach: int,
    outputs: np.ndarray,
    *,
    without: tuple[tuple[int, int], ...],
) -> Library:
    """Return the library of all moments whose lags share no sample with a stretch `without`."""
    moments = reach + np.arange(len(places))
    kept = np.ones(len(places), dtype=bool)
    for stretch in without:
        kept &= _are_apart(moments, reach, stretch)
    return Library.of(places[kept], moments[kept], outputs)


def _are_apart(moments: np.ndarray, reach: int, stretch: tuple[int, int]) -> np.ndarray:
    """Return which moments' lags share no sample with a stretch `(start, stop)`."""
    return (moments + reach < stretch[0]) | (moments - reach >= stretch[1])


def predict_held_out(
    model: NeighbourModel, input_signal: np.ndarray, *, n_fold: int = N_HELD_OUT_FOLD
) -> np.ndarray:
    """Return predictions `(reach, lead, time)` of the training part by its other folds.

    Contiguous folds: no moment is looked up among moments whose lags share a sample with its
    fold. A network trained on these sees errors like those of new data.
    """
    n_time = len(input_signal)
    edges = np.linspace(0, n_time, n_fold + 1).astype(int)
    outputs = model.libraries[0].outputs
    held_out = np.empty((len(model.embeddings), *outputs.shape), dtype=np.float32)
    for number, embedding in enumerate(model.embeddings):
        reach, places = embedding.reach, embedding.apply(input_signal)
        moments = reach + np.arange(len(places))
        whole = model.libraries[number]
        if len(whole.moments) < len(moments):  # those at seams are looked up among too
            whole = whole.of(places, moments, outputs)
        for start, stop in pairwise(edges):
            library = whole.only(_are_apart(moments, reach, (start, stop)))
            first, last = max(start - reach, 0), min(stop + reach, n_time)
            found = library.look_up(places[first : last - 2 * reach], reach)
            held_out[number, :, start:stop] = found[:, start - first : stop - first]
    return held_out
