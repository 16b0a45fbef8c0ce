"""Nearest neighbours in lag space: look up what the other leads did in similar moments.

The input around a moment, its lag embedding (Takens 1981), is compared with all moments of the
training part; the other leads are read off where it was most alike. No R peak is needed.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy import linalg
from scipy.spatial import cKDTree

from ecgnb.signals.preparation import Prepared

EMBEDDING_REACHES_S = (0.1, 0.2)

N_COMPONENT = 18

N_NEIGHBOUR = 20

N_HELD_OUT_FOLD = 5

_WHITENING = 0.3


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
        """Return the place `(moment, component)` of every moment at least `reach` from an end."""
        return (_lagged(input_signal, self.reach, self.step) - self.mean) @ self.axes


@dataclass(frozen=True)
class Library:
    """Places of training moments in a tree, the `moments` in samples, the leads to read off."""

    tree: cKDTree
    moments: np.ndarray
    outputs: np.ndarray


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

    def predict_each(self, input_signal: np.ndarray) -> np.ndarray:
        """Return the prediction of each reach `(reach, lead, time)` from one lead `(time,)`."""
        pairs = zip(self.embeddings, self.libraries, strict=True)
        return np.stack(
            [
                _look_up(library, axes.apply(input_signal), axes.reach, slack=self.slack)
                for axes, library in pairs
            ]
        )

    def predict(self, input_signal: np.ndarray) -> np.ndarray:
        """Return all leads `(lead, time)`: the mean over the reaches."""
        return self.predict_each(input_signal).mean(axis=0)


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


def _look_up(
    library: Library, places: np.ndarray, reach: int, *, slack: float = 0.0
) -> np.ndarray:
    """Return leads `(lead, time)` averaged over neighbours by inverse squared distance.

    The first and last `reach` samples have no place of their own: they are read off as far from
    the neighbours of the nearest moment that has one as they are from that moment.
    """
    n_neighbour = min(N_NEIGHBOUR, library.tree.n)
    distance, index = library.tree.query(places, k=[*range(1, n_neighbour + 1)], eps=slack)
    floor = 1e-3 * np.median(distance) ** 2 + 1e-12
    weights = 1 / (np.square(distance) + floor)
    weights /= weights.sum(axis=1, keepdims=True)
    time = np.arange(len(places) + 2 * reach)
    nearest = np.clip(time - reach, 0, len(places) - 1)
    moments = library.moments[index][nearest] + (time - reach - nearest)[:, None]
    return np.einsum("tk,ltk->lt", weights[nearest], library.outputs[:, moments], optimize=True)


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
    places: np.ndarray, reach: int, outputs: np.ndarray, *, without: tuple[tuple[int, int], ...]
) -> Library:
    """Return the library of all moments whose lags share no sample with a stretch `without`."""
    moments = reach + np.arange(len(places))
    kept = np.ones(len(places), dtype=bool)
    for start, stop in without:
        kept &= (moments + reach < start) | (moments - reach >= stop)
    return Library(cKDTree(places[kept]), moments[kept], outputs)


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
        for start, stop in pairwise(edges):
            library = _library(places, reach, outputs, without=((start, stop),))
            first, last = max(start - reach, 0), min(stop + reach, n_time)
            found = _look_up(library, places[first : last - 2 * reach], reach)
            held_out[number, :, start:stop] = found[:, start - first : stop - first]
    return held_out
