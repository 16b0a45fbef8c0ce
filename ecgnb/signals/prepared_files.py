"""Keep prepared recordings in files named by what they were made from."""

import contextlib
import hashlib
import json
import zipfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np

from ecgnb.files import written_aside
from ecgnb.records.databases import load_record
from ecgnb.records.record import RecordError
from ecgnb.signals.preparation import (
    Prepared,
    PreprocessingOptions,
    RecordLabels,
    Scaling,
    prepare_record,
)

_NOT_USED = (".xyz", ".XYZ")  # Frank leads have no part in the result


def _file_key(path: Path, database: str, options: PreprocessingOptions) -> str:
    """Return the SHA-256 of a record's header and samples, its folder's name and the options."""
    digest = _hash_of(path, _NOT_USED)
    facts = [CACHE_VERSION, path.parent.name, database, asdict(options)]
    digest.update(json.dumps(facts, sort_keys=True).encode())
    return digest.hexdigest()


def record_digest(path: Path) -> str:
    """Return the SHA-256 of a record's header and of all its sample files that are there."""
    return _hash_of(path, ()).hexdigest()


def _hash_of(path: Path, left_out: tuple[str, ...]) -> "hashlib._Hash":
    """Return the hash of a header and its sample files, those with some endings left out."""
    header = path.read_bytes() if path.is_file() else b""
    digest = hashlib.sha256(header)
    for name in _sample_files(header, left_out):
        file = path.parent / name
        if file.is_file():
            content = file.read_bytes()
            digest.update(f"{name} {len(content)} ".encode())
            digest.update(content)
    return digest


def _sample_files(header: bytes, left_out: tuple[str, ...]) -> list[str]:
    """Return the names of the sample files in a header, those with some endings left out."""
    lines = [line.split() for line in header.splitlines() if not line.lstrip().startswith(b"#")]
    names = {line[0].decode("utf-8", "replace") for line in lines[1:] if line}
    return sorted(name for name in names if "/" not in name and not name.endswith(left_out))


def prepare_file(
    path: Path, database: str, folder: Path, options: PreprocessingOptions | None = None
) -> Prepared:
    """Return the prepared form of a record file; a second time without reading the record.

    Parameters
    ----------
    path
        The header file.
    database
        The database it belongs to, "" for none, for the labels.
    folder
        Where prepared records are kept.
    options
        Defaults to `PreprocessingOptions()`.

    Raises
    ------
    RecordError
        If the record cannot be used, or is too short for its parts.
    """
    options = options or PreprocessingOptions()

    def make() -> Prepared:
        record = load_record(path, database)
        try:
            return prepare_record(record, options)
        except ValueError as error:
            what_to_do = "use it whole, or choose a smaller gap"
            raise RecordError(record.name, str(error), "it has no parts", what_to_do) from error

    return _cached(Path(folder) / f"{_file_key(path, database, options)}.npz", make)


CACHE_VERSION = 3  # raise it whenever a step below changes what it returns


def _save_prepared(prepared: Prepared, path: Path) -> Path:
    """Return the path of an `.npz` file that holds a prepared record, written atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    parts = (prepared.train, prepared.validation, prepared.test)
    facts = {"record": asdict(prepared.record), "options": asdict(prepared.options)}
    facts["shapes"] = [part.shape for part in parts]
    with written_aside(path) as file:
        np.savez(
            file,
            parts=np.concatenate([part.ravel() for part in parts]),  # few members load fast
            scaling=np.stack([prepared.scaling.offset, prepared.scaling.factor]),
            facts=np.array(json.dumps(facts)),
        )
    return path


def _load_prepared(path: Path) -> Prepared:
    """Return the prepared record of an `.npz` file written by `save_prepared`."""
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        facts = json.loads(str(arrays["facts"]))
        ends = np.cumsum([np.prod(shape) for shape in facts["shapes"]])[:-1]
        pieces = zip(np.split(arrays["parts"], ends), facts["shapes"], strict=True)
        train, validation, test = (piece.reshape(shape) for piece, shape in pieces)
        scaling, options = Scaling(*arrays["scaling"]), PreprocessingOptions(**facts["options"])
        labels = RecordLabels(**facts["record"])
        return Prepared(labels, train, validation, test, scaling, options.sampling_rate, options)


def _cached(path: Path, make: Callable[[], Prepared]) -> Prepared:
    """Return the prepared record of a file; absent or damaged, it is made and written."""
    if path.is_file():
        with contextlib.suppress(OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return _load_prepared(path)
    prepared = make()
    _save_prepared(prepared, path)
    return prepared
