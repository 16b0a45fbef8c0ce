"""The databases of the book: where their records are, what a folder holds, how to load them.

What a header says is enough to choose records; samples are read of those that are returned.
"""

import heapq
import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd

from ecgnb.records.catalogue import DATABASES, Database
from ecgnb.records.labels import is_simulated, label_record, labels_of
from ecgnb.records.record import Record, RecordError
from ecgnb.records.wfdb_files import header_path, read_header, read_record, wfdb
from ecgnb.records.wfdb_header import Header
from ecgnb.text import clean_text, for_terminal

Usable = TypeVar("Usable")

OTHER_DATABASE = "(no database)"

DAY_DATABASES = ("ptbdb", "ludb", "challenge-2021")

_SAME_HEARTS = ("ptb", "st_petersburg_incart")  # sources of the challenge that hold ptbdb, twadb


@dataclass(frozen=True)
class Loaded:
    """The records of a database that can be used, and why the others cannot."""

    records: list[Record] = field(default_factory=list)
    refused: list[RecordError] = field(default_factory=list)


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


def find_people(
    folder: Path | str, databases: Sequence[str] = DAY_DATABASES
) -> dict[str, list[Path]]:
    """Return the headers of each heart in some databases of a mirror, hearts in order.

    A heart is named by its database and what `labels.labels_of` calls it; one of twadb that ptbdb
    holds as well, by ptbdb. Headers that cannot be read are left out, and the challenge's sources
    that hold ptbdb and twadb again.
    """
    people: dict[str, list[Path]] = {}
    for database in databases:
        found: dict[str, list[Path]] = {}
        for path in find_records(folder, database):
            try:
                labels = labels_of(read_header(path), path, database)
            except RecordError:
                continue
            if labels["origin"] not in _SAME_HEARTS:
                found.setdefault(_name_heart(database, labels["heart"]), []).append(path)
        people |= {heart: people.get(heart, []) + found[heart] for heart in sorted(found)}
    return people


def _name_heart(database: str, heart: str) -> str:
    """Return one name for a heart, whichever database shows it.

    Examples
    --------
    >>> _name_heart("ludb", "ludb7"), _name_heart("twadb", "patient049")
    ('ludb/7', 'ptbdb/patient049')
    """
    if heart.startswith("patient"):
        database = "ptbdb"
    return f"{database}/{heart.removeprefix(database)}"


def database_of(path: Path | str) -> str:
    """Return the database of the catalogue that a header belongs to, "" if that is not certain.

    Place and name must follow the pattern of the database, rate and comments must be those of its
    headers. Where that says too little (the challenges are alike, a simulated record may stand in
    for any, a damaged header says nothing) the folder of the database must bear its name.
    """
    path = header_path(path).absolute()
    try:
        header = read_header(path)
    except RecordError:
        header = None
    fitting = [
        one
        for one in DATABASES.values()
        if path.match(one.pattern) and (header is None or _fits(header, one))
    ]
    named = [one.name for one in fitting if one.name in _names_of_root(path, one)]
    if len(named) == 1:
        return named[0]
    certain = len(fitting) == 1 and header is not None and not is_simulated(header)
    return fitting[0].name if certain else ""


def _fits(header: Header, database: Database) -> bool:
    """Return whether rate and comments are those of the database."""
    if header.sampling_rate != database.sampling_rate:
        return False
    comments = [comment.lower() for comment in header.comments if comment]
    if not database.comment:
        return not comments or is_simulated(header)
    return any(comment.startswith(database.comment) for comment in comments)


def _names_of_root(path: Path, database: Database) -> tuple[str, str]:
    """Return the name of the folder that the pattern starts in, and of the one above."""
    root = path.parents[database.pattern.count("/")]
    return root.name, root.parent.name if root.name == database.version else ""


def load_record(path: Path | str, database: str | None = None) -> Record:
    """Return the record at `path` with its labels filled in.

    Parameters
    ----------
    path
        The header file, with or without `.hea`.
    database
        A key of `DATABASES`, or "" for none of them; by default what `database_of` says.

    Raises
    ------
    RecordError
        If the record cannot be used.
    ValueError
        If the catalogue has no such database.
    """
    path = header_path(path)
    database = database_of(path) if database is None else database
    return label_record(read_record(path), path, database)


def _read_records(
    paths: Sequence[Path], database: str | None = None
) -> Iterator[Record | RecordError]:
    """Yield each record with its labels, or the error that says why it cannot be used."""
    for path in paths:
        try:
            yield load_record(path, database)
        except RecordError as error:
            yield error


def load_database(
    folder: Path | str,
    database: str,
    *,
    limit: int | None = None,
    condition: str | None = None,
) -> Loaded:
    """Return the records of a database with their labels; no sample is read of any other.

    Parameters
    ----------
    folder
        The database, or a mirror that holds it, with or without version folders.
    database
        A key of `DATABASES`.
    limit
        At most so many records, taken in turn from every origin and condition; one that cannot be
        used makes room for the next of its kind.
    condition
        Only records of this condition.
    """
    paths = find_records(folder, database)
    return Loaded(*take_in_turn(paths, database, load_record, limit=limit, condition=condition))


def take_in_turn(
    paths: Sequence[Path],
    database: str,
    read: Callable[[Path, str], Usable],
    *,
    limit: int | None = None,
    condition: str | None = None,
) -> tuple[list[Usable], list[RecordError]]:
    """Return what `read(path, database)` makes of some records, and why others are missing.

    What is read is chosen by the headers alone: see `load_database`. With a limit the result is
    in the order of the records' names, else in the order of the paths.
    """
    places, refused = _places_by_kind(paths, database, limit, condition)
    taken: list[tuple[str, int, Usable]] = []
    order = itertools.count()
    queue = [(0, 0, group[0], iter(group[1:])) for group in places]
    heapq.heapify(queue)
    while queue and len(taken) != limit:
        turn, rank, (place, name), rest = heapq.heappop(queue)
        try:
            taken.append((name, place, read(paths[place], database)))
            turn, rank = turn + 1, rank if turn else next(order)
        except RecordError as error:
            refused.append(error)
        if following := next(rest, None):
            heapq.heappush(queue, (turn, rank, following, rest))
    taken.sort(key=lambda one: one[1] if limit is None else one[:2])
    return [usable for _, _, usable in taken], refused


def _places_by_kind(
    paths: Sequence[Path], database: str, limit: int | None, condition: str | None
) -> tuple[list[list[tuple[int, str]]], list[RecordError]]:
    """Return place and name of the records of each origin and condition, all wanted, and errors.

    Without a limit all records are of one kind.
    """
    kinds: dict[tuple[str, str], list[tuple[int, str]]] = {}
    refused = []
    for place, path in enumerate(paths):
        try:
            header = read_header(path)
        except RecordError as error:
            refused.append(error)
            continue
        labels = labels_of(header, path, database)
        kind = (labels["origin"], labels["condition"]) if limit is not None else ("", "")
        if condition in (None, labels["condition"]):
            kinds.setdefault(kind, []).append((place, header.name))
    return list(kinds.values()), refused


def holds_twadb(folder: Path | str) -> bool:
    """Return whether a folder is a mirror with twadb in a folder of its own."""
    return bool(find_records(Path(folder) / "twadb", "twadb"))


def record_paths(folder: Path | str, records: Sequence[str] | None = None) -> list[Path]:
    """Return the headers to work on: every one below the folder.

    In a mirror that holds twadb the folders of the other databases are left out.

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
    folder = Path(folder)
    paths = sorted(folder.rglob("*.hea"))
    if holds_twadb(folder):
        others = DATABASES.keys() - {"twadb"}
        paths = [path for path in paths if path.relative_to(folder).parts[0] not in others]
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


_MARKED = {"p": "P", "N": "QRS", "t": "T"}


def read_marks(path: Path | str, lead: str) -> dict[str, np.ndarray]:
    """Return the hand-made marks of one lead: begin, peak, end `(wave, 3)` of P, QRS and T waves.

    As LUDB has them, samples of the record, in a file named after the lead; a wave that lacks its
    begin or its end is left out.

    Parameters
    ----------
    path
        The header of the record, with or without `.hea`.
    lead
        One of the 12 leads.

    Raises
    ------
    RecordError
        If there are no marks of this lead or they cannot be read.
    """
    path = header_path(path)
    ending = lead.lower()
    try:
        found = wfdb.rdann(str(path.with_suffix("")), ending)
    except (OSError, ValueError, IndexError, KeyError) as error:
        what = f"the marks of lead {lead} cannot be read ({clean_text(str(error))[:80]})"
        why = "they say where a reader saw the waves begin and end"
        raise RecordError(path.stem, what, why, "fetch the database again") from error
    waves: dict[str, list[tuple[int, int, int]]] = {name: [] for name in _MARKED.values()}
    symbols, samples = found.symbol, found.sample.tolist()
    for first in range(len(symbols) - 2):
        begin, wave, end = symbols[first : first + 3]
        if begin == "(" and end == ")" and wave in _MARKED:
            waves[_MARKED[wave]].append(tuple(samples[first : first + 3]))
    return {name: np.array(rows, dtype=int).reshape(-1, 3) for name, rows in waves.items()}


@dataclass
class Checked:
    """The findings; `rows` has one line a usable record, the others one text a line."""

    rows: list[dict[str, str]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    unknown: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, tuple[str, ...]] = field(default_factory=dict)
    unread: list[str] = field(default_factory=list)

    def counts(self) -> pd.DataFrame:
        """Return records and patients by database, origin and condition; 0 patients: unnamed."""
        table = pd.DataFrame(
            self.rows, columns=["database", "origin", "condition", "patient", "record"]
        )
        table["patient"] = table["patient"].replace("", None)
        groups = table.groupby(["database", "origin", "condition"])["patient"]
        return groups.agg(records="size", patients="nunique").reset_index()

    def add(self, paths: list[Path], database: str) -> None:
        """Read some records of a database and take note of each."""
        for result in _read_records(paths, database):
            if isinstance(result, RecordError):
                self.refused.append(str(result))
                continue
            self.notes += [f"{result.name}: {note}" for note in result.notes]
            if result.condition.startswith("unknown"):
                self.unknown[result.condition] = self.unknown.get(result.condition, 0) + 1
            self.rows.append(
                {
                    "database": database or OTHER_DATABASE,
                    "origin": result.origin or "not stated",
                    "condition": result.condition or "not stated",
                    "patient": result.patient,
                    "record": result.name,
                }
            )

    def as_dict(self) -> dict[str, object]:
        """Return everything in a form that JSON can hold."""
        summary = {"usable": len(self.rows), "refused_count": len(self.refused)}
        return summary | {"counts": self.counts().to_dict("records")} | asdict(self)


def check_folder(folder: Path | str) -> Checked:
    """Return what is in a folder, every record below it read once and let go.

    Records that belong to no database of the catalogue are read as well, as `OTHER_DATABASE`.
    Folders that may not be read and links that lead nowhere are named in `unread`.
    """
    checked = Checked()
    found: dict[str, list[Path]] = {name: [] for name in (*DATABASES, "")}
    headers, checked.unread, links = _look_through(Path(folder))
    for path in headers:
        found[database_of(path)].append(path)
    for name, paths in found.items():
        if paths and name:
            checked.left_out[name] = DATABASES[name].left_out
        checked.add(paths, name)
    for link in links:
        checked.notes.append(f"{for_terminal(link)} is a link to a folder: not followed")
    return checked


def _look_through(folder: Path) -> tuple[list[Path], list[str], list[Path]]:
    """Return headers, places that could not be read and why, and links to folders."""
    headers, unread, links = [], [], []

    def note(error: OSError) -> None:
        unread.append(for_terminal(f"{error.filename}: {error.strerror}"))

    for root, folders, files in os.walk(folder, onerror=note):
        links += [Path(root, name) for name in folders if Path(root, name).is_symlink()]
        for path in (Path(root, name) for name in files):
            if path.suffix == ".hea":
                headers.append(path)
            elif path.is_symlink() and not path.exists():
                unread.append(for_terminal(f"{path}: a link that leads nowhere"))
    return sorted(headers), sorted(unread), sorted(links)
