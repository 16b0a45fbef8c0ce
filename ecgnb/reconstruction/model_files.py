"""A personal model as two files, arrays and a card; written whole, read without pickle.

Fitted models become arrays and plain facts, and come back: only the classes of this package are
made from them.
"""

import json
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays
from scipy.spatial import cKDTree

from ecgnb.files import sha256_of, versions, write_bytes
from ecgnb.leads import LEADS
from ecgnb.reconstruction.another_day import Calibration, DayLeadModel
from ecgnb.reconstruction.average_beat import BeatModel
from ecgnb.reconstruction.cnn import CnnOptions, StackedCnn
from ecgnb.reconstruction.corrector import BestModel, BestOptions, Corrector
from ecgnb.reconstruction.expectation import PersonalDayModel
from ecgnb.reconstruction.linear import LagModel
from ecgnb.reconstruction.methods import METHODS, LeadModels, Model
from ecgnb.reconstruction.neighbours import Embedding, Library, NeighbourModel
from ecgnb.reconstruction.personal import CAUTION, PERSONAL_METHODS, PersonalModel
from ecgnb.reconstruction.prior import Prior
from ecgnb.signals.preparation import PreprocessingOptions, Scaling
from ecgnb.text import for_header

_CLASSES = {
    kind.__name__: kind
    for kind in (
        BeatModel,
        BestModel,
        Calibration,
        DayLeadModel,
        Embedding,
        LagModel,
        Library,
        NeighbourModel,
        PersonalDayModel,
        Prior,
    )
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
    >>> _unpack(facts, packed.arrays).predict(np.ones(3)).shape
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
        return {"class": _STACK, "head": thing.head, "state": state}
    if isinstance(thing, tuple | list):
        return {"tuple": [pack(item, packed) for item in thing]}
    if is_dataclass(thing) and type(thing).__name__ in _CLASSES:
        values = {
            _AS_WRITTEN.get(f.name, f.name): pack(getattr(thing, f.name), packed)
            for f in fields(thing)
        }
        return {"class": type(thing).__name__, "fields": values}
    return json.loads(json.dumps(thing.item() if isinstance(thing, np.generic) else thing))


def _unpack(facts: Any, arrays: dict[str, np.ndarray]) -> Any:  # noqa: ANN401
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
        return tuple(_unpack(item, arrays) for item in facts["tuple"])
    if facts["class"] == _TREE:
        return cKDTree(_unpack(facts["data"], arrays))
    if facts["class"] in (_CORRECTOR, _STACK):
        state = {name: _unpack(value, arrays) for name, value in facts["state"].items()}
        if facts["class"] == _CORRECTOR:
            return _corrector(state)
        return _stack(state, facts["head"])
    as_read = {written: name for name, written in _AS_WRITTEN.items()}
    values = {as_read.get(name, name): _unpack(v, arrays) for name, v in facts["fields"].items()}
    return _CLASSES[facts["class"]](**values)


def _stack(state: dict[str, torch.Tensor], head: str) -> StackedCnn:
    """Return the networks of a state, their number and size read off the state."""
    n_member, width, n_out = state["widen.weight"].shape
    options = CnnOptions(head, n_time=n_out // len(LEADS) if head == "1d" else n_out)
    networks = StackedCnn(n_member, options.head, width, n_time=options.n_time)
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


FORMAT, FORMAT_VERSION = "ecgnb personal model", 1

_MAX_CARD_BYTES = 5_000_000

_MAX_ARRAY_BYTES = 500_000_000


class ModelFileError(Exception):
    """A saved model that cannot be used, and why."""


def save_personal(model: PersonalModel, path: Path | str) -> Path:
    """Return the card, `path.json`, after writing it and the arrays, `path.safetensors`."""
    arrays_path, card_path = model_files(path)
    packed, expected = Packed(), model.expected.astype(object)
    scaling = (model.scaling.offset, model.scaling.factor)
    card = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "lead": model.lead,
        "method": model.method,
        "seed": model.seed,
        "training": model.training,
        "options": asdict(model.options),
        "expected": expected.where(expected.notna(), None).to_dict("list"),
        "held_back_s": model.held_back_s,
        "warnings": list(model.warnings),
        "caution": CAUTION,
        "versions": versions(),
        "known": pack(model.known, packed),
        "scaling": [pack(np.array(part), packed) for part in scaling],
        "model": pack(_for_file(model.model), packed),
    }
    content = save_arrays(packed.arrays)
    card["arrays_sha256"] = sha256_of(content)
    card["card_sha256"] = _card_sum(card)
    write_bytes(arrays_path, content)
    return write_bytes(card_path, (json.dumps(card, indent=1) + "\n").encode())


def _for_file(model: Model) -> object:
    """Return what a file holds of a model: a closed form as that of its one lead."""
    return model.models[0] if isinstance(model, LeadModels) else model


def _from_file(method: str, stored: Any) -> Model:  # noqa: ANN401
    is_network = method in METHODS and METHODS[method].is_network
    return stored if is_network else LeadModels((stored,))


def model_files(path: Path | str) -> tuple[Path, Path]:
    """Return the files of a model: arrays and card, whichever of them the path names."""
    path = Path(path)
    stem = path.with_suffix("") if path.suffix in {".json", ".safetensors"} else path
    return stem.with_name(stem.name + ".safetensors"), stem.with_name(stem.name + ".json")


def _card_sum(card: dict[str, Any]) -> str:
    rest = {key: value for key, value in card.items() if key != "card_sha256"}
    return sha256_of(json.dumps(rest, sort_keys=True).encode())


def _refused(path: Path, what: str) -> ModelFileError:
    text = f"{for_header(path.name)}: {what}; a model is used whole or not at all; fit it again"
    return ModelFileError(text)


def _read(path: Path, limit: int) -> bytes:
    if not path.is_file():
        raise _refused(path, "it is absent")
    if path.stat().st_size > limit:
        raise _refused(path, f"it is larger than {limit:,} bytes")
    return path.read_bytes()


def load_personal(path: Path | str) -> PersonalModel:
    """Return a model written by `save_personal`; no pickle is read.

    Raises
    ------
    ModelFileError
        If a file is absent, cut, changed, or of another format.
    """
    arrays_path, card_path = model_files(path)
    try:
        card = json.loads(_read(card_path, _MAX_CARD_BYTES))
    except (ValueError, RecursionError) as error:
        raise _refused(card_path, "it is not the card of a model") from error
    if not isinstance(card, dict) or card.get("format") != FORMAT:
        raise _refused(card_path, "it is not the card of a model")
    if card.get("format_version") != FORMAT_VERSION:
        raise _refused(card_path, "it was written by another version of ecgnb")
    if card.get("card_sha256") != _card_sum(card):
        raise _refused(card_path, "its checksum is wrong: it was changed")
    content = _read(arrays_path, _MAX_ARRAY_BYTES)
    if sha256_of(content) != card["arrays_sha256"]:
        raise _refused(arrays_path, "its checksum is wrong: it is cut or was changed")
    try:
        return _from_card(card, load_arrays(content))
    except (KeyError, TypeError, ValueError, RuntimeError, RecursionError) as error:
        raise _refused(card_path, "it does not describe a model") from error


def _from_card(card: dict[str, Any], arrays: dict[str, np.ndarray]) -> PersonalModel:
    scaling = Scaling(*(_unpack(facts, arrays) for facts in card["scaling"]))
    expected = pd.DataFrame(card["expected"]).astype({"r": float, "rmse_mv": float})
    if card["method"] not in PERSONAL_METHODS or card["lead"] not in LEADS or len(expected) != 11:
        raise ValueError("unknown method or lead")
    return PersonalModel(
        lead=card["lead"],
        method=card["method"],
        model=_from_file(card["method"], _unpack(card["model"], arrays)),
        scaling=scaling,
        options=PreprocessingOptions(**card["options"]),
        expected=expected,
        known=_unpack(card["known"], arrays),
        held_back_s=card["held_back_s"],
        seed=card["seed"],
        training=card["training"],
        warnings=tuple(card["warnings"]),
    )
