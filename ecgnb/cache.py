"""Keep prepared recordings in files named by what they were made from."""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ecgnb.databases import find_records
from ecgnb.preprocessing import (
    CACHE_VERSION,
    Prepared,
    PreprocessingOptions,
    cached,
    prepare_record,
)
from ecgnb.records import RecordError, read_record

_NOT_USED = (".xyz", ".qrs", ".atr")  # Frank leads and annotations have no part in the result


@dataclass(frozen=True)
class PreparedDatabase:
    """The prepared records of a database, and the reasons why the others are missing."""

    records: list[Prepared] = field(default_factory=list)
    refused: list[RecordError] = field(default_factory=list)


def file_key(path: Path, database: str, options: PreprocessingOptions) -> str:
    """Return the SHA-256 of a record's header and samples, its place, database and options."""
    digest = hashlib.sha256()
    files = path.parent.glob(f"{path.stem}.*")
    for file in sorted(file for file in files if file.suffix not in _NOT_USED):
        digest.update(f"{file.name} {file.stat().st_size} ".encode())
        digest.update(file.read_bytes())
    facts = [CACHE_VERSION, path.parent.name, database, asdict(options)]
    digest.update(json.dumps(facts, sort_keys=True).encode())
    return digest.hexdigest()


def prepare_file(
    path: Path, database: str, folder: Path, options: PreprocessingOptions | None = None
) -> Prepared:
    """Return the prepared form of a record file; a second time without reading the record.

    Parameters
    ----------
    path
        The header file.
    database
        The database it belongs to, for the labels.
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
        record = read_record(path, database=database)
        try:
            return prepare_record(record, options)
        except ValueError as error:
            what_to_do = "use it whole, or choose a smaller gap"
            raise RecordError(record.name, str(error), "it has no parts", what_to_do) from error

    return cached(Path(folder) / f"{file_key(path, database, options)}.npz", make)


def prepare_database(
    data: Path | str,
    database: str,
    folder: Path,
    options: PreprocessingOptions | None = None,
) -> PreparedDatabase:
    """Return all records of a database in prepared form, read once and kept in `folder`.

    Parameters
    ----------
    data
        The database or a mirror that holds it.
    database
        A key of `databases.DATABASES`.
    folder
        Where prepared records are kept.
    options
        Defaults to `PreprocessingOptions()`.
    """
    prepared = PreparedDatabase()
    for path in find_records(data, database):
        try:
            prepared.records.append(prepare_file(path, database, folder, options))
        except RecordError as error:
            prepared.refused.append(error)
    return prepared
