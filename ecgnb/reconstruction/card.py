"""Look-ups on a CUDA card: every distance measured there, in float64, by matrix products.

What a card does in one go needs no cells: all training moments are compared with each place. The
neighbours are those of the search on the processor; sums run in another order, so that leads
differ in their last bits.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from ecgnb.reconstruction.neighbours import (
    N_NEIGHBOUR,
    Embedding,
    NeighbourModel,
    floor_of,
)
from ecgnb.training import fitting_device

_AT_ONCE = 1 << 26  # distances that are held at one go, 0.5 GB


class CardEmbedding(Embedding):
    """An embedding whose places `(moment, component)` stay on the card."""

    def apply(self, input_signal: np.ndarray) -> Tensor:
        """Return the place of every moment at least `reach` from an end."""
        signal = _to_card(input_signal)
        lags = signal.unfold(0, 2 * self.reach + 1, 1)[:, :: self.step]
        return (lags - _to_card(self.mean)) @ _to_card(self.axes)


@dataclass(frozen=True)
class CardLibrary:
    """What a `Library` holds, its `places (moment, component)` on the card."""

    places: Tensor
    moments: np.ndarray
    outputs: np.ndarray

    of = classmethod(lambda cls, *parts: cls(*parts))

    def only(self, kept: np.ndarray) -> "CardLibrary":
        """Return the library of some moments, as `Library.only`."""
        chosen = torch.from_numpy(kept).to(self.places.device)
        return CardLibrary(self.places[chosen], self.moments[kept], self.outputs)

    @cached_property
    def rows(self) -> Tensor:
        """The leads `(time, lead)`."""
        return _to_card(self.outputs.T)

    @cached_property
    def floor(self) -> float:
        """What is added to squared distances, as `Library.floor`."""
        cut = max(len(self.places) * 4 // 5, 1)
        squared, _ = _search(self.places[:cut], self.places[cut::4])
        return floor_of(squared.cpu().numpy())

    def look_up(
        self, places: Tensor, reach: int, *, slack: float = 0.0, settled: bool = True
    ) -> np.ndarray:
        """Return leads `(lead, time)`, as `Library.look_up` without slack and settled."""
        if slack or not settled:
            raise ValueError("a card looks up without slack and with a floor of the library")
        squared, index = _search(self.places, places)
        weights = 1 / (squared + self.floor)
        weights /= weights.sum(dim=1, keepdim=True)
        moments = _to_card(self.moments)[index]
        ends = torch.arange(-reach, 0, device=places.device)[:, None]
        parts = (
            (weights[:1].expand(reach, -1), moments[:1] + ends),
            (weights, moments),
            (weights[-1:].expand(reach, -1), moments[-1:] - ends.flip(0)),
        )
        return torch.cat([self._read_off(*part) for part in parts]).T.cpu().numpy()

    def _read_off(self, weights: Tensor, moments: Tensor) -> Tensor:
        pieces = zip(weights.split(1 << 14), moments.split(1 << 14), strict=True)
        return torch.cat([torch.einsum("mn,mnl->ml", w, self.rows[at]) for w, at in pieces])


def _to_card(array: np.ndarray) -> Tensor:
    """Return numbers where networks are fitted: float64, whole numbers as they are."""
    array = np.asarray(array)
    kept = array if array.dtype.kind == "i" else array.astype(np.float64)
    return torch.from_numpy(np.ascontiguousarray(kept)).to(fitting_device())


def _search(points: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
    """Return squared distances and numbers `(place, neighbour)` of the nearest points."""
    n_neighbour, found = min(N_NEIGHBOUR, len(points)), []
    lengths = points.square().sum(dim=1)
    for piece in places.split(max(_AT_ONCE // len(points), 1)):
        apart = torch.addmm(lengths, piece, points.T, alpha=-2)
        index = apart.topk(n_neighbour, dim=1, largest=False).indices
        squared = (points[index] - piece[:, None]).square().sum(dim=-1)
        found.append((squared, index))
    return tuple(torch.cat(parts) for parts in zip(*found, strict=True))


def on_card(model: NeighbourModel) -> NeighbourModel:
    """Return the model with its places where networks are fitted; leads come back as arrays."""
    embeddings = tuple(CardEmbedding(e.mean, e.axes, e.step) for e in model.embeddings)
    libraries = tuple(
        CardLibrary(_to_card(np.asarray(lib.tree.data)), lib.moments, lib.outputs)
        for lib in model.libraries
    )
    return replace(model, embeddings=embeddings, libraries=libraries)
