"""The databases of the book: where their records are, who and what they show, how to cite them."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from ecgnb.records import Record, RecordError, read_record

CONDITIONS = (
    "healthy control",
    "myocardial infarction",
    "cardiomyopathy",
    "bundle branch block",
    "dysrhythmia",
    "hypertrophy",
    "valvular heart disease",
    "myocarditis",
)
ORIGINS = ("synthetic", "ptbdb", "INCART")
OTHER = "other"

# Every wording of `Reason for admission` in ptbdb 1.0.0, in lower case. The conditions of the
# paper take the first word that fits; angina, palpitation and n/a are kept as `other`.
_ADMISSIONS = {
    "healthy control": "healthy control",
    "myocardial infarction": "myocardial infarction",
    "cardiomyopathy": "cardiomyopathy",
    "heart failure (nyha 2)": "cardiomyopathy",
    "heart failure (nyha 3)": "cardiomyopathy",
    "heart failure (nyha 4)": "cardiomyopathy",
    "bundle branch block": "bundle branch block",
    "dysrhythmia": "dysrhythmia",
    "hypertrophy": "hypertrophy",
    "valvular heart disease": "valvular heart disease",
    "myocarditis": "myocarditis",
    "stable angina": OTHER,
    "unstable angina": OTHER,
    "palpitation": OTHER,
    "n/a": OTHER,
}
_COUNTERS = {"1000": "ptbdb", "257": "INCART", "": "synthetic"}
_SIMULATED = "simulated by ecgnb"


@dataclass(frozen=True)
class Database:
    """A database of PhysioNet: version, licence, citation key and sample rate."""

    name: str
    title: str
    version: str
    licence: str
    citation: str
    sampling_rate: float
    pattern: str


DATABASES = {
    "twadb": Database(
        "twadb",
        "T-Wave Alternans Challenge Database",
        "1.0.0",
        "ODC-By 1.0",
        "doi:10.13026/C2QK5J",
        500.0,
        "twa*.hea",
    ),
    "ptbdb": Database(
        "ptbdb",
        "PTB Diagnostic ECG Database",
        "1.0.0",
        "ODC-By 1.0",
        "doi:10.13026/C28C71",
        1000.0,
        "patient*/s*.hea",
    ),
}


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
    """Return the record with patient, condition, origin and database filled in."""
    if database == "ptbdb":
        condition = condition_of(record.comments)
        patient = path.parent.name
        origin = "simulated" if is_simulated(record) else "ptbdb"
    else:
        condition, patient = "", patient_of_twadb(record.name)
        origin = origin_of_twadb(record)
    return replace(record, patient=patient, condition=condition, origin=origin, database=database)


def is_simulated(record: Record) -> bool:
    """Return whether the record's comments say that ecgnb simulated it."""
    return any(_SIMULATED in comment.lower() for comment in record.comments)


def condition_of(comments: tuple[str, ...]) -> str:
    """Return the condition behind `Reason for admission`, `unknown: ...` for a new wording.

    Examples
    --------
    >>> condition_of(("Reason for admission: Heart failure (NYHA 3)",))
    'cardiomyopathy'
    >>> condition_of(("Reason for admission: Something new",))
    'unknown: something new'
    """
    for comment in comments:
        key, _, value = comment.partition(":")
        if key.strip().lower() == "reason for admission":
            wording = value.strip().lower()
            return _ADMISSIONS.get(wording, f"unknown: {wording}" if wording else OTHER)
    return OTHER


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
