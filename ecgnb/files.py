"""Files that are whole or absent, and what they were made from: digests, versions, manifests."""

import ast
import contextlib
import gzip
import hashlib
import io
import json
import os
import platform
import uuid
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd

PACKAGES = ("ecgnb", "numpy", "scipy", "pandas", "torch", "captum", "wfdb", "sleepecg")

_PACKAGE = Path(__file__).parent

_TEXT = dict.fromkeys(("record", "patient", "heart", "condition", "origin", "database"), str)


def sha256_of(content: bytes | Path) -> str:
    """Return the SHA-256 of bytes, or of a file."""
    content = content.read_bytes() if isinstance(content, Path) else content
    return hashlib.sha256(content).hexdigest()


def versions() -> dict[str, str]:
    """Return the versions of the packages that compute."""
    return {name: version(name) for name in PACKAGES}


@cache
def code_digest(*modules: str) -> str:
    """Return the SHA-256 of the code of modules, all of `ecgnb` that they import, and libraries.

    Tables of the package and the versions of the libraries count: they decide results. Nobody has
    to remember to raise a number when results change: a forgotten one would give old scores for
    new code, while a digest that changes too often costs a second run only. It does not change
    with comments, docstrings or line breaks, nor with modules that are not imported, such as
    those that draw. Imports inside functions count; a module whose name is put together at run
    time is not seen and must be named. Without modules: everything.
    """
    found, left = {}, list(modules) or [_name_of(path) for path in _PACKAGE.rglob("*.py")]
    while left:
        name = left.pop()
        path = _source_of(name)
        if path is None and name in modules:
            raise ModuleNotFoundError(f"no module {name}: its code cannot be part of a key")
        if name not in found and path:
            tree = ast.parse(path.read_bytes())
            left += _imported(tree)
            found[name] = ast.dump(_without_docstrings(tree))
    for path in sorted(_PACKAGE.rglob("*.csv")):
        found[path.name] = sha256_of(path)
    found |= {name: number for name, number in versions().items() if name != "ecgnb"}
    return sha256_of(json.dumps(found, sort_keys=True).encode())


def _name_of(path: Path) -> str:
    parts = path.relative_to(_PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _source_of(name: str) -> Path | None:
    """Return the file of a module below `ecgnb`, or None if there is none of this name."""
    place = _PACKAGE.parent.joinpath(*name.split("."))
    files = (place.with_name(f"{place.name}.py"), place / "__init__.py")
    return next((file for file in files if file.is_file()), None)


def _imported(tree: ast.Module) -> set[str]:
    """Return what code imports from `ecgnb`: modules, and names that may be modules."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {name for name in names if name.startswith(f"{_PACKAGE.name}.")}


def _without_docstrings(tree: ast.Module) -> ast.Module:
    """Return code without the docstrings of its modules, classes and functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(
            node, clean=False
        ):
            node.body = node.body[1:]
    return tree


def write_manifest(path: Path, facts: dict[str, Any]) -> Path:
    """Return `path` after writing, as JSON, what a table was made from, and the versions."""
    manifest = facts | {"versions": versions(), "python": platform.python_version()}
    return write_bytes(path, (json.dumps(manifest, indent=1) + "\n").encode())


def file_beside(table: Path, ending: str) -> Path:
    """Return the path of a file that goes with a table.

    Examples
    --------
    >>> file_beside(Path("scores.csv.gz"), "_manifest.json").name
    'scores_manifest.json'
    """
    return table.with_name(table.name.removesuffix(".gz").removesuffix(".csv") + ending)


class MissingArtifactError(FileNotFoundError):
    """A file that another chapter or run writes is absent, cut or changed."""


def write_bytes(path: Path, content: bytes) -> Path:
    """Return `path` after writing `content` and its SHA-256 beside it, each at one stroke."""
    return write_chunks(path, (content,))


def write_chunks(path: Path, chunks: Iterable[bytes]) -> Path:
    """Return `path` after writing chunks one by one, and their SHA-256 beside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    digest = _replace(path, chunks)
    _replace(checksum_path(path), (f"{digest}\n".encode(),))
    return path


def _replace(path: Path, chunks: Iterable[bytes]) -> str:
    """Write a file aside, move it into place and return its SHA-256."""
    digest = hashlib.sha256()
    with written_aside(path) as file:
        for chunk in chunks:
            file.write(chunk)
            digest.update(chunk)
    return digest.hexdigest()


@contextlib.contextmanager
def written_aside(path: Path) -> Iterator[BinaryIO]:
    """Give a new file, readable as the umask says, that takes the place of `path` when whole."""
    partial = path.with_name(f".partial-{uuid.uuid4().hex}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)  # of Windows
    descriptor = os.open(partial, flags, 0o666)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def checksum_path(path: Path) -> Path:
    """Return where the SHA-256 of a file stands."""
    return path.with_name(path.name + ".sha256")


def is_whole(path: Path) -> bool:
    """Return whether a file is there and agrees with the SHA-256 beside it."""
    try:
        expected = checksum_path(path).read_text(encoding="utf-8").strip()
        return sha256_of(path) == expected
    except OSError:
        return False


def read_shipped(name: str) -> bytes:
    """Return a file of `ecgnb/data` that came with the package.

    Raises
    ------
    ValueError
        If it does not agree with the SHA-256 beside it.
    """
    folder = resources.files("ecgnb") / "data"
    content = (folder / name).read_bytes()
    if sha256_of(content) != (folder / f"{name}.sha256").read_text(encoding="utf-8").strip():
        raise ValueError(f"{name} is not what its checksum names; install ecgnb again")
    return content


def write_table(path: Path, table: pd.DataFrame, *, digits: int = 6) -> Path:
    """Return `path` after writing a table as CSV, compressed if its name ends in `.gz`."""
    content = table.to_csv(index=False, float_format=f"%.{digits}g", lineterminator="\n").encode()
    return write_bytes(path, gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)


def read_table(path: Path) -> pd.DataFrame:
    """Return a table written by `write_table`.

    Raises
    ------
    ValueError
        If the file does not agree with the SHA-256 beside it.
    """
    if not is_whole(path):
        raise ValueError(f"{path.name} is absent, cut or changed; remove it and run again")
    content = path.read_bytes()
    content = gzip.decompress(content) if path.suffix == ".gz" else content
    return pd.read_csv(io.BytesIO(content), dtype=_TEXT)


def write_arrays(path: Path, **arrays: np.ndarray) -> Path:
    """Return `path` after writing arrays by name, as `.npz` without pickle."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return write_bytes(path, buffer.getvalue())


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays that `write_arrays` wrote.

    Raises
    ------
    MissingArtifactError
        If the file does not agree with the SHA-256 beside it; a chapter writes into a folder of
        its own name, which is told.
    """
    if not is_whole(path):
        raise MissingArtifactError(
            f"{path.name} of {path.parent.name} is absent or damaged: run {path.parent.name} "
            "first, with the same profile and data"
        )
    with np.load(path, allow_pickle=False) as arrays:
        return {key: arrays[key] for key in arrays.files}
