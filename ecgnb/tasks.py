"""Results as files that are whole or absent: written aside, moved, checked by SHA-256."""

import gzip
import hashlib
import io
import os
import tempfile
import traceback
from pathlib import Path

import pandas as pd


def write_bytes(path: Path, content: bytes) -> Path:
    """Return `path` after writing `content` and its SHA-256 beside it, each at one stroke."""
    path.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(content).hexdigest()
    for target, data in ((path, content), (checksum_path(path), f"{digest}\n".encode())):
        descriptor, partial = tempfile.mkstemp(dir=path.parent, prefix=".partial-")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
            Path(partial).replace(target)
        except BaseException:
            Path(partial).unlink(missing_ok=True)
            raise
    return path


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


def record_failure(path: Path, error: BaseException) -> None:
    """Write the exception of a task beside where its result would be."""
    text = "".join(traceback.format_exception(error))
    write_bytes(path.with_suffix(".error.txt"), text.encode())
