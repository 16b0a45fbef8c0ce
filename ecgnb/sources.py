"""What a study is made from: its recordings, and the keys that tell results apart."""

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path

from ecgnb.cache import record_digest
from ecgnb.databases import database_of, holds_twadb, load_record, name_records, record_paths
from ecgnb.record import Record
from ecgnb.tasks import sha256_of

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
        From `tasks.code_digest`.
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
