"""The databases of the book: where their records are, who and what they show, how to cite them."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from ecgnb.catalogue import DATABASES as DATABASES
from ecgnb.catalogue import Database as Database
from ecgnb.diagnoses import CONDITIONS as CONDITIONS
from ecgnb.diagnoses import OTHER as OTHER
from ecgnb.diagnoses import condition_of as condition_of
from ecgnb.diagnoses import unknown_codes
from ecgnb.leads import independent_signals
from ecgnb.records import Record, RecordError, read_record

ORIGINS = ("synthetic", "ptbdb", "INCART")
_COUNTERS = {"1000": "ptbdb", "257": "INCART", "": "synthetic"}
_SIMULATED = "simulated by ecgnb"
SYNTHETIC_SHARE = 1e-4  # between 6.4e-6 and 4.0e-3, the nearest records of either kind


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
            yield label_record(read_record(path), path, database)
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


def label_record(record: Record, path: Path, database: str) -> Record:
    """Return the record with patient, condition, origin and database filled in.

    What the header and the signals disagree on, or what no table knows, is added to the notes.
    """
    condition = "" if database == "twadb" else condition_of(record.comments)
    if database == "twadb":
        patient, origin = patient_of_twadb(record.name), origin_of_twadb(record)
    elif database == "ptbdb":
        patient = path.parent.name
        origin = "simulated" if is_simulated(record) else "ptbdb"
    else:
        patient, origin = "", path.parent.parent.name
    notes = (*record.notes, *_label_notes(record, database, origin))
    return replace(
        record,
        patient=patient,
        condition=condition,
        origin=origin,
        database=database,
        notes=notes,
    )


def _label_notes(record: Record, database: str, origin: str) -> Iterator[str]:
    """Yield what is odd about the labels."""
    codes = unknown_codes(record.comments)
    if codes:
        yield f"unknown Dx code {', '.join(codes)}"
    if database == "twadb" and origin in ORIGINS:
        share = share_beyond_three(record.signals)
        if (share < SYNTHETIC_SHARE) != (origin == "synthetic"):
            yield (
                f"origin in doubt: the header says {origin}, but {share:.2g} of the energy lies "
                f"beyond three directions (synthetic: less than {SYNTHETIC_SHARE:g})"
            )


def share_beyond_three(signals: np.ndarray) -> float:
    """Return the share of the independent leads' energy that three leads cannot give.

    A synthetic record of twadb is a projection of three sources: its share was at most 6.4e-6 in
    27 records, against at least 4.0e-3 in 33 recorded ones.

    Parameters
    ----------
    signals
        12 leads `(lead, time)` in standard order.
    """
    eight = independent_signals(np.asarray(signals, dtype=np.float64))
    eight = eight[:, np.isfinite(eight).all(axis=0)]
    if eight.shape[-1] < 2:
        return float("nan")
    eight = eight - eight.mean(axis=-1, keepdims=True)
    energy = np.linalg.eigvalsh(eight @ eight.T).clip(0)
    return float(energy[:-3].sum() / max(energy.sum(), np.finfo(float).tiny))


def is_simulated(record: Record) -> bool:
    """Return whether the record's comments say that ecgnb simulated it."""
    return any(_SIMULATED in comment.lower() for comment in record.comments)


def origin_of_twadb(record: Record) -> str:
    """Return where a record of twadb comes from, told by the counter frequency of its header.

    A record resampled from ptbdb keeps its 1000 Hz there, one from the INCART database 257 Hz;
    synthetic records have none.
    """
    if is_simulated(record):
        return "simulated"
    counter = record.counter_frequency
    counter = str(round(float(counter))) if counter else ""
    return _COUNTERS.get(counter, f"unknown: counter frequency {counter} Hz")


# Records of twadb that show one person, from the correlation of their signals with ptbdb
# (patient049, patient004) and from equal lead offsets (halves of one INCART recording).
_SAME_PERSON = (
    ("twa11", "twa19", "twa42", "twa48"),
    ("twa47", "twa65"),
    ("twa12", "twa56"),
    ("twa16", "twa74"),
    ("twa24", "twa58"),
    ("twa26", "twa27"),
    ("twa44", "twa84"),
)
# Records of ptbdb that twadb holds as well, matched by correlation.
TWADB_FROM_PTBDB = {
    "twa11": "s0178lre",
    "twa19": "s0186lre",
    "twa42": "s0314lre",
    "twa48": "s0173lre",
    "twa47": "s0020bre",
    "twa65": "s0020are",
    "twa90": "s0467_re",
    "twa99": "s0471_re",
    "twa39": "s0472_re",
    "twa60": "s0491_re",
}


def patient_of_twadb(name: str) -> str:
    """Return one name for all records of twadb that are known to show the same person.

    Examples
    --------
    >>> patient_of_twadb("twa42"), patient_of_twadb("twa06")
    ('twa11', 'twa06')
    """
    for group in _SAME_PERSON:
        if name in group:
            return group[0]
    return name
