"""Results as files that are whole or absent: written aside, moved, checked by SHA-256."""

import contextlib
import gzip
import hashlib
import io
import os
import traceback
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pandas as pd


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
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
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
        expected = checksum_path(path).read_text().strip()
        return hashlib.sha256(path.read_bytes()).hexdigest() == expected
    except OSError:
        return False


def write_table(path: Path, table: pd.DataFrame, *, digits: int = 6) -> Path:
    """Return `path` after writing a table as CSV, compressed if its name ends in `.gz`."""
    content = table.to_csv(index=False, float_format=f"%.{digits}g").encode()
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
    return pd.read_csv(io.BytesIO(content), keep_default_na=True)


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


def record_failure(path: Path, error: BaseException) -> None:
    """Write the exception of a task beside where its result would be."""
    text = "".join(traceback.format_exception(error))
    write_bytes(path.with_suffix(".error.txt"), text.encode())


def failure_of(path: Path) -> str:
    """Return the last line of what `record_failure` wrote, or that nothing is known."""
    try:
        return path.with_suffix(".error.txt").read_text().strip().splitlines()[-1]
    except (OSError, IndexError):
        return "it did not finish"


def forget_failure(path: Path) -> None:
    """Remove what an earlier failure of a task left."""
    failure = path.with_suffix(".error.txt")
    for file in (failure, checksum_path(failure)):
        file.unlink(missing_ok=True)
