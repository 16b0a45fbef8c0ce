"""The databases of the book: where their records are, who and what they show, how to cite them."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ecgnb.catalogue import DATABASES as DATABASES
from ecgnb.catalogue import Database as Database
from ecgnb.diagnoses import CONDITIONS as CONDITIONS
from ecgnb.diagnoses import OTHER as OTHER
from ecgnb.diagnoses import condition_of as condition_of
from ecgnb.labels import ORIGINS as ORIGINS
from ecgnb.labels import TWADB_FROM_PTBDB as TWADB_FROM_PTBDB
from ecgnb.labels import label_record as label_record
from ecgnb.labels import patient_of_twadb as patient_of_twadb
from ecgnb.labels import share_beyond_three as share_beyond_three
from ecgnb.records import Record, RecordError, read_record


@dataclass(frozen=True)
class Loaded:
    """The records of a database that can be used, and why the others cannot."""

    records: list[Record] = field(default_factory=list)
    refused: list[RecordError] = field(default_factory=list)


def condition_slug(condition: str) -> str:
    """Return a condition as it stands in file names.

    Examples
    --------
    >>> condition_slug("bundle branch block")
    'bundle_branch_block'
    """
    return re.sub(r"[^a-z0-9]+", "_", condition.lower()).strip("_")


def data_folder(data: str | Path | None = "") -> Path | None:
    """Return the folder of real recordings: the argument, else `ECGNB_DATA`, else None.

    Raises
    ------
    FileNotFoundError
        If the folder named is not there.
    """
    chosen = str(data or os.environ.get("ECGNB_DATA", ""))
    if not chosen:
        return None
    folder = Path(chosen).expanduser()
    if not folder.is_dir():
        raise FileNotFoundError(f"the data folder {folder} is not there; set DATA or ECGNB_DATA")
    return folder.resolve()


def database_folder(folder: Path | str, database: str) -> Path | None:
    """Return the folder of a database inside a mirror, also one with version folders, or None."""
    root, version = Path(folder), DATABASES[database].version
    candidates = [root / database / version, root / database, root / version, root]
    for candidate in candidates:
        if candidate.is_dir() and any(candidate.glob(DATABASES[database].pattern)):
            return candidate
    return None


def find_records(folder: Path | str, database: str) -> list[Path]:
    """Return the header paths of a database below `folder`, in order of their names."""
    root = database_folder(folder, database)
    return sorted(root.glob(DATABASES[database].pattern)) if root else []


def _spread(paths: list[Path], limit: int | None) -> list[Path]:
    """Return at most `limit` of the paths, evenly spread over their order."""
    if limit is None or limit >= len(paths):
        return paths
    return [paths[int(number * len(paths) / limit)] for number in range(limit)]


def read_records(paths: list[Path], database: str) -> Iterator[Record | RecordError]:
    """Yield each record with its labels, or the error that says why it cannot be used."""
    for path in paths:
        try:
            yield read_record(path, database=database)
        except RecordError as error:
            yield error


def load_database(folder: Path | str, database: str, *, limit: int | None = None) -> Loaded:
    """Return the records of a database with patient, condition, origin and database filled in.

    Parameters
    ----------
    folder
        The database, or a mirror that holds it, with or without version folders.
    database
        A key of `DATABASES`.
    limit
        At most so many records, spread evenly over the names.
    """
    loaded = Loaded()
    for result in read_records(_spread(find_records(folder, database), limit), database):
        (loaded.records if isinstance(result, Record) else loaded.refused).append(result)
    return loaded
