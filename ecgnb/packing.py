"""Fitted models as arrays and plain facts, and back: what a file can hold without pickle."""

import json
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import torch
from scipy.spatial import cKDTree

from ecgnb.best import BestModel, BestOptions, Corrector
from ecgnb.leads import LEADS
from ecgnb.linear import LagModel
from ecgnb.neighbours import Embedding, Library, NeighbourModel
from ecgnb.networks import CnnOptions, StackedCnn, matched_width
from ecgnb.templates import BeatModel

_CLASSES = {
    kind.__name__: kind
    for kind in (BeatModel, BestModel, Embedding, LagModel, Library, NeighbourModel)
}
_CORRECTOR, _STACK, _TREE = "Corrector", "StackedCnn", "cKDTree"
_AS_WRITTEN = {"blend": "share"}  # fields renamed since the first files were written


class Packed:
    """Arrays by name, collected while the facts are described; equal arrays are kept once."""

    def __init__(self) -> None:
        self.arrays: dict[str, np.ndarray] = {}
        self._names: dict[int, str] = {}
        self._kept: list[np.ndarray] = []

    def add(self, array: np.ndarray) -> dict[str, str]:
        """Return the reference to an array."""
        if id(array) not in self._names:
            name = f"array{len(self.arrays):03d}"
            self._names[id(array)] = name
            self._kept.append(array)  # keeps its id from being given away
            self.arrays[name] = np.ascontiguousarray(array)
        return {"array": self._names[id(array)]}


def pack(thing: Any, packed: Packed) -> Any:  # noqa: ANN401 (a tree of JSON values)
    """Return what JSON can hold of a fitted model; its arrays go to `packed`.

    Examples
    --------
    >>> packed = Packed()
    >>> facts = pack(LagModel(np.ones((1, 2)), np.zeros(2)), packed)
    >>> facts["class"], sorted(packed.arrays)
    ('LagModel', ['array000', 'array001'])
    >>> unpack(facts, packed.arrays).predict(np.ones(3)).shape
    (2, 3)
    """
    if isinstance(thing, torch.Tensor):
        return {"tensor": packed.add(thing.detach().numpy())["array"]}
    if isinstance(thing, np.ndarray):
        return packed.add(thing)
    if isinstance(thing, cKDTree):
        return {"class": _TREE, "data": packed.add(np.asarray(thing.data))}
    if isinstance(thing, Corrector):
        state = {name: pack(value, packed) for name, value in thing.state_dict().items()}
        return {"class": _CORRECTOR, "state": state}
    if isinstance(thing, StackedCnn):
        state = {name: pack(value, packed) for name, value in thing.state_dict().items()}
        return {"class": _STACK, "head": thing.head, "n_time": thing.n_time, "state": state}
    if isinstance(thing, tuple | list):
        return {"tuple": [pack(item, packed) for item in thing]}
    if is_dataclass(thing) and type(thing).__name__ in _CLASSES:
        values = {
            _AS_WRITTEN.get(f.name, f.name): pack(getattr(thing, f.name), packed)
            for f in fields(thing)
        }
        return {"class": type(thing).__name__, "fields": values}
    return json.loads(json.dumps(thing.item() if isinstance(thing, np.generic) else thing))


def unpack(facts: Any, arrays: dict[str, np.ndarray]) -> Any:  # noqa: ANN401
    """Return the model that `pack` described; only the classes of this package are made.

    Raises
    ------
    KeyError, TypeError, ValueError, RuntimeError
        If facts and arrays do not describe a model.
    """
    if not isinstance(facts, dict):
        return facts
    if "array" in facts:
        return arrays[facts["array"]]
    if "tensor" in facts:
        return torch.from_numpy(arrays[facts["tensor"]])
    if "tuple" in facts:
        return tuple(unpack(item, arrays) for item in facts["tuple"])
    if facts["class"] == _TREE:
        return cKDTree(unpack(facts["data"], arrays))
    if facts["class"] in (_CORRECTOR, _STACK):
        state = {name: unpack(value, arrays) for name, value in facts["state"].items()}
        if facts["class"] == _CORRECTOR:
            return _corrector(state)
        return _stack(state, facts["head"], facts["n_time"])
    as_read = {written: name for name, written in _AS_WRITTEN.items()}
    values = {as_read.get(name, name): unpack(v, arrays) for name, v in facts["fields"].items()}
    return _CLASSES[facts["class"]](**values)


def _stack(state: dict[str, torch.Tensor], head: str, n_time: int) -> StackedCnn:
    """Return the networks of a state, their number and size read off the state."""
    n_member, _, width = state["narrow.weight"].shape
    options = CnnOptions(head, n_time=n_time)
    if n_member > len(LEADS) or width > 16 * matched_width(head, options.n_weight, n_time=n_time):
        raise ValueError(f"{n_member} networks of width {width}")
    networks = StackedCnn(n_member, head, width, n_time=n_time)
    networks.load_state_dict(state)
    return networks.eval()


def _corrector(state: dict[str, torch.Tensor]) -> Corrector:
    """Return the network of a state, its size read off the state."""
    width, n_channel, _ = state["enter.weight"].shape
    if width > 16 * BestOptions().width:
        raise ValueError(f"a network of width {width}")
    network = Corrector(n_channel, width)
    network.load_state_dict(state)
    return network.eval()
