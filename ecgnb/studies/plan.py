"""What a study is to do: its recordings, its tasks, and the keys that tell results apart."""

import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, is_dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ecgnb.files import is_whole, sha256_of
from ecgnb.records.databases import (
    database_of,
    holds_twadb,
    load_record,
    name_records,
    record_paths,
)
from ecgnb.records.record import Record
from ecgnb.signals.prepared_files import record_digest

COST = "cost"

EXACT = 17  # digits that give back every bit

_N_PLACE = 3  # folder and file names that labels are taken from


@dataclass(frozen=True)
class Source:
    """A recording of a run: header, name in tables, database, digest of its bytes."""

    path: Path
    name: str
    database: str
    digest: str

    def read(self) -> Record:
        """Return the record with its labels."""
        return load_record(self.path, self.database)

    @property
    def identity(self) -> list[str]:
        """What results depend on: the bytes, and the names that tell person and origin."""
        return [self.digest, self.database, *self.path.parts[-_N_PLACE:]]


def list_sources(
    folder: Path | str, records: Sequence[str] | None = None, *, tell: bool = False
) -> list[Source]:
    """Return the recordings of a folder to work on, two of one name told apart.

    Parameters
    ----------
    folder
        A mirror, whose twadb is used, a database, or any folder of WFDB records.
    records
        Names; all by default.
    tell
        Say on stderr if a part of the folder is used only.

    Raises
    ------
    FileNotFoundError
        If there is none, or one asked for is not there.
    """
    paths = record_paths(folder, records)
    if tell and holds_twadb(folder):
        print("data: of the databases in this mirror twadb is used", file=sys.stderr)
    return sources_of(paths)


def sources_of(paths: Sequence[Path], database: str | None = None) -> list[Source]:
    """Return the recordings of some headers; by default their places tell the database."""
    return [
        Source(
            path.resolve(),
            name,
            database_of(path.resolve()) if database is None else database,
            record_digest(path),
        )
        for path, name in zip(paths, name_records(paths), strict=True)
    ]


def key_of(code: str, sources: Iterable[Source], **options: object) -> str:
    """Return the key of a task: a SHA-256 of all that its result depends on.

    Parameters
    ----------
    code
        From `files.code_digest`.
    sources
        The recordings that go in.
    options
        All that changes the result; dataclasses, numbers, text, and lists of them.
    """
    facts = [code, [source.identity for source in sources], options]
    return sha256_of(json.dumps(facts, sort_keys=True, default=plain_options).encode())


def plain_options(thing: object) -> object:
    """Return a dataclass as JSON can hold it.

    Raises
    ------
    TypeError
        For anything else: what cannot be written down cannot be compared.
    """
    if is_dataclass(thing) and not isinstance(thing, type):
        return asdict(thing)
    raise TypeError(f"an option of {type(thing).__name__} has no place in a key")


@dataclass(frozen=True)
class Task:
    """A piece of work whose tables are kept.

    Parameters
    ----------
    name
        What people read in file names.
    key
        From `key_of`; it decides which kept result is this task's.
    work
        Gives the tables by kind; is called with what `needs` gives, if there is one. Must be
        picklable.
    kinds
        The tables, besides `cost`, which is measured where `work` does not give it.
    needs
        Makes what several tasks have in common. Tasks with the same object run one after the
        other in one process, which calls it once, and only if one of them is not done.
    about
        What a failure is told of; the name by default.
    labels
        Columns that are set when a result is read: they depend on the run, not on the result.
    digits
        Of numbers in kept tables.
    """

    name: str
    key: str
    work: Callable[..., Mapping[str, pd.DataFrame]]
    kinds: tuple[str, ...] = ("rows",)
    needs: Callable[[], Any] | None = None
    about: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    digits: int = 6

    @property
    def stem(self) -> str:
        """Begin of the names of its files."""
        return f"{re.sub(r'[^A-Za-z0-9._+-]+', '_', self.name)[:80]}--{self.key[:20]}"

    def file(self, store: Path, kind: str) -> Path:
        """Return where one of its tables is kept."""
        return store / f"{self.stem}.{kind}.csv"

    def is_done(self, store: Path) -> bool:
        """Return whether all its tables are there and whole."""
        return all(is_whole(self.file(store, kind)) for kind in {*self.kinds, COST})
