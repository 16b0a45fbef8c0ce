"""The databases of the book: where their records are, who and what they show, how to cite them."""

import os
import re
from collections.abc import Iterator, Sequence
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


def database_of(path: Path | str) -> str:
    """Return the database that a record's path belongs to, or "".

    Examples
    --------
    >>> database_of("mirror/ptbdb/patient001/s0010_re.hea"), database_of("clinic/ecg.hea")
    ('ptbdb', '')
    """
    names = [folder.name for folder in Path(path).parents]
    return next((name for name in names if name in DATABASES), "")


def holds_twadb(folder: Path | str) -> bool:
    """Return whether a folder is a mirror with twadb in a folder of its own."""
    found = database_folder(Path(folder) / "twadb", "twadb")
    return found is not None


def record_paths(folder: Path | str, records: Sequence[str] | None = None) -> list[Path]:
    """Return the headers to work on: twadb of a mirror, else every one below the folder.

    Parameters
    ----------
    folder
        A mirror, a database, or any folder of WFDB records.
    records
        Names of records, as `name_records` tells them apart, or of their files; all by default.

    Raises
    ------
    FileNotFoundError
        If there is none, or one asked for is not there.
    """
    is_mirror = holds_twadb(folder)
    paths = find_records(folder, "twadb") if is_mirror else sorted(Path(folder).rglob("*.hea"))
    if records is not None:
        known = [{name, path.stem} for name, path in zip(name_records(paths), paths, strict=True)]
        missing = sorted(set(records).difference(*known))
        if missing:
            raise FileNotFoundError(f"no record {', '.join(missing)} in the folder")
        asked = zip(paths, known, strict=True)
        paths = [path for path, names in asked if names & set(records)]
    if not paths:
        raise FileNotFoundError("no WFDB header (.hea) in the folder")
    return paths


def name_records(paths: Sequence[Path]) -> list[str]:
    """Return a name for each header: its file's, with the folders that differ if others share it.

    Examples
    --------
    >>> name_records([Path("a/p1/ecg.hea"), Path("a/p2/ecg.hea"), Path("a/rest.hea")])
    ['p1/ecg', 'p2/ecg', 'rest']
    """
    folders: dict[str, list[Path]] = {}
    for path in paths:
        folders.setdefault(path.stem, []).append(path.parent)
    shared = {name: os.path.commonpath(found) for name, found in folders.items()}
    return [
        (path.parent.relative_to(shared[path.stem]) / path.stem).as_posix()
        if len(folders[path.stem]) > 1
        else path.stem
        for path in paths
    ]
