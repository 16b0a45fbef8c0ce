"""A personal model as two files, arrays and a card; written whole, read without pickle."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from ecgnb.experiments import METHODS, LeadModels, Model
from ecgnb.files import sha256_of, versions, write_bytes
from ecgnb.leads import LEADS
from ecgnb.packing import Packed, pack, unpack
from ecgnb.personal import CAUTION, PersonalModel
from ecgnb.signals.preparation import PreprocessingOptions, Scaling
from ecgnb.text import for_header

FORMAT, FORMAT_VERSION = "ecgnb personal model", 1
_MAX_CARD_BYTES = 5_000_000
_MAX_ARRAY_BYTES = 500_000_000


class ModelFileError(Exception):
    """A saved model that cannot be used, and why."""


def save_personal(model: PersonalModel, path: Path | str) -> Path:
    """Return the card, `path.json`, after writing it and the arrays, `path.safetensors`."""
    arrays_path, card_path = _files(path)
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
    return stored if METHODS[method].is_network else LeadModels((stored,))


def _files(path: Path | str) -> tuple[Path, Path]:
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
    arrays_path, card_path = _files(path)
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
    scaling = Scaling(*(unpack(facts, arrays) for facts in card["scaling"]))
    expected = pd.DataFrame(card["expected"]).astype({"r": float, "rmse_mv": float})
    if card["method"] not in METHODS or card["lead"] not in LEADS or len(expected) != 11:
        raise ValueError("unknown method or lead")
    return PersonalModel(
        lead=card["lead"],
        method=card["method"],
        model=_from_file(card["method"], unpack(card["model"], arrays)),
        scaling=scaling,
        options=PreprocessingOptions(**card["options"]),
        expected=expected,
        known=unpack(card["known"], arrays),
        held_back_s=card["held_back_s"],
        seed=card["seed"],
        training=card["training"],
        warnings=tuple(card["warnings"]),
    )
