"""Whom a record shows, whose heart, with which condition, and where it comes from.

ptbdb writes a `Reason for admission`, the PhysioNet challenges SNOMED CT codes after `Dx`, LUDB a
finding a line after `<diagnoses>:`; the tables of codes and findings are `data/snomed.csv` and
`data/ludb.csv`. What is in no table is called unknown, never dropped.
"""

import csv
import functools
import re
from collections.abc import Iterator
from dataclasses import replace
from importlib import resources
from pathlib import Path

import numpy as np

from ecgnb.leads import independent_signals
from ecgnb.records.catalogue import DATABASES
from ecgnb.records.record import Record
from ecgnb.records.wfdb_header import Header

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

HEALTHY, OTHER = CONDITIONS[0], "other"

_FINDINGS = "<diagnoses>:"

# Every wording of `Reason for admission` in ptbdb 1.0.0, in lower case. Heart failure counts as
# cardiomyopathy, as in the database's own table; angina, palpitation and n/a are `other`.
ADMISSIONS = {
    **{condition: condition for condition in CONDITIONS},
    "heart failure (nyha 2)": "cardiomyopathy",
    "heart failure (nyha 3)": "cardiomyopathy",
    "heart failure (nyha 4)": "cardiomyopathy",
    "stable angina": OTHER,
    "unstable angina": OTHER,
    "palpitation": OTHER,
    "n/a": OTHER,
}


@functools.cache
def _snomed_conditions() -> dict[str, str]:
    """Return the condition behind each SNOMED CT code of the challenges 2020 and 2021.

    Examples
    --------
    >>> _snomed_conditions()["164889003"]
    'dysrhythmia'
    """
    return {row["code"]: row["condition"] for row in _table("snomed")}


@functools.cache
def _ludb_conditions() -> dict[str, str]:
    """Return the condition behind each finding of LUDB, which is written in lower case.

    The findings are judged as the challenges' codes of the same meaning are: a scar or an
    infarction with ST elevation is a myocardial infarction, ischaemia alone is `other`. A normal
    axis, also a horizontal or vertical one, says nothing against a healthy heart.

    Examples
    --------
    >>> _ludb_conditions()["left ventricular hypertrophy"]
    'hypertrophy'
    """
    return {row["finding"]: row["condition"] for row in _table("ludb")}


def _table(name: str) -> list[dict[str, str]]:
    table = resources.files("ecgnb") / "data" / f"{name}.csv"
    return list(csv.DictReader(table.read_text(encoding="utf-8").splitlines()))


def _field_of(comments: tuple[str, ...], key: str) -> str:
    """Return what the comments say after `key:`, in any case, or an empty text.

    Examples
    --------
    >>> _field_of(("Age: 74", "Dx: 59118001,426783006"), "dx")
    '59118001,426783006'
    >>> _field_of(("<age>: 51", "<sex>: F"), "age")
    '51'
    """
    for comment in comments:
        name, _, value = comment.partition(":")
        if name.strip(" <>").lower() == key.lower():
            return value.strip()
    return ""


def _unknown_diagnoses(comments: tuple[str, ...]) -> tuple[str, tuple[str, ...]] | None:
    """Return what kind of diagnosis no table knows, and which, in their order; None if all are.

    Examples
    --------
    >>> _unknown_diagnoses(("Dx: 59118001,123",))
    ('Dx code', ('123',))
    """
    if codes := tuple(code for code in _codes(comments) if code not in _snomed_conditions()):
        return "Dx code", codes
    findings = tuple(one for one in _findings(comments) if one not in _ludb_conditions())
    return ("finding", findings) if findings else None


def _states_condition(comments: tuple[str, ...]) -> bool:
    """Return whether the comments say anything of a diagnosis.

    Examples
    --------
    >>> _states_condition(("Dx: 59118001",)), _states_condition(("Age: 74",))
    (True, False)
    """
    written = any(_field_of(comments, key) for key in ("reason for admission", "dx"))
    return written or bool(_findings(comments))


def condition_of(comments: tuple[str, ...]) -> str:
    """Return the condition that a header's comments state, `unknown: ...` for what is new.

    Of several codes or findings the first one of a disease among the conditions counts. Sinus
    rhythm means a healthy control only where nothing but a normal axis stands beside it.

    Examples
    --------
    >>> condition_of(("Reason for admission: Heart failure (NYHA 3)",))
    'cardiomyopathy'
    >>> condition_of(("Reason for admission: Something new",))
    'unknown: something new'
    >>> condition_of(("Dx: 426783006,59118001",))
    'bundle branch block'
    >>> condition_of(("<diagnoses>:", "Rhythm: Sinus rhythm.", "I degree AV block."))
    'other'
    """
    wording = _field_of(comments, "reason for admission").lower()
    if wording:
        return ADMISSIONS.get(wording, f"unknown: {wording}")
    found = [_snomed_conditions().get(code, f"unknown: {code}") for code in _codes(comments)]
    found += [_ludb_conditions().get(one, f"unknown: {one}") for one in _findings(comments)]
    diseases = [condition for condition in found if condition in CONDITIONS[1:]]
    if diseases:
        return diseases[0]
    if found and set(found) == {HEALTHY}:
        return HEALTHY
    return next((condition for condition in found if condition.startswith("unknown")), OTHER)


def _codes(comments: tuple[str, ...]) -> list[str]:
    return [code for code in re.split(r"[,\s]+", _field_of(comments, "dx")) if code]


def _findings(comments: tuple[str, ...]) -> list[str]:
    """Return the findings in lower case that follow `<diagnoses>:`, a line each."""
    if _FINDINGS not in comments:
        return []
    lines = comments[comments.index(_FINDINGS) + 1 :]
    return [finding for line in lines if (finding := line.strip(" .").lower())]


ORIGINS = ("synthetic", "ptbdb", "INCART")

_COUNTERS = {"1000": "ptbdb", "257": "INCART", "": "synthetic"}

_SIMULATED = "simulated by ecgnb"

SYNTHETIC_SHARE = 1e-4  # between 6.4e-6 and 4.0e-3, the nearest records of either kind


def label_record(record: Record, path: Path, database: str = "") -> Record:
    """Return the record with patient, heart, condition, origin and database filled in.

    What the header and the signals disagree on, or what no table knows, is added to the notes.

    Raises
    ------
    ValueError
        If the catalogue has no such database.
    """
    labels = labels_of(record, path, database)
    notes = dict.fromkeys((*record.notes, *_label_notes(record, database, labels["origin"])))
    return replace(record, **labels, notes=tuple(notes))


def labels_of(record: Record | Header, path: Path, database: str = "") -> dict[str, str]:
    """Return the labels of a record, all of which its header and its place tell.

    Without a database the condition is what the comments state; patient and heart stay empty, and
    so does the origin, unless the record was simulated.

    Raises
    ------
    ValueError
        If the catalogue has no such database.
    """
    if database and database not in DATABASES:
        raise ValueError(f"no database {database!r}; there are {', '.join(DATABASES)}")
    stated = database != "twadb" and (database or _states_condition(record.comments))
    patient = _patient_of(record, path, database)
    return {
        "patient": patient,
        "heart": _heart_of(record, database, patient),
        "condition": condition_of(record.comments) if stated else "",
        "origin": _origin_of(record, path, database),
        "database": database,
    }


def _patient_of(record: Record | Header, path: Path, database: str) -> str:
    """Return whom a record shows, as its database says or as was found; "" if nobody knows."""
    if database == "ptbdb":
        return path.absolute().parent.name
    if database == "ludb":
        return f"ludb{record.name}"
    if database == "twadb":
        return record.name if is_simulated(record) else _first_of(_SAME_PERSON, record.name)
    return ""


def _heart_of(record: Record | Header, database: str, patient: str) -> str:
    """Return one name for all recordings that are known to show the same heart."""
    if database == "twadb" and not is_simulated(record):
        return _heart_of_twadb(record.name)
    return patient or (record.name if database else "")


def heart_of(record: str, origin: str) -> str:
    """Return whose heart a record shows, by the name and origin that tables of scores hold.

    Records of twadb that are known to show one heart get one name; any other stands for itself.

    Examples
    --------
    >>> heart_of("twa11", "ptbdb") == heart_of("twa48", "ptbdb")
    True
    >>> heart_of("twa11", "simulated")
    'twa11'
    """
    return _heart_of_twadb(record) if origin in ORIGINS else record


def _heart_of_twadb(name: str) -> str:
    person = _first_of(_SAME_PERSON, name)
    return _TWADB_HEARTS.get(name, _first_of(_SAME_SOURCES, person))


def _first_of(groups: tuple[tuple[str, ...], ...], name: str) -> str:
    """Return the first name of the group that a name is in, or the name."""
    return next((group[0] for group in groups if name in group), name)


def _origin_of(record: Record | Header, path: Path, database: str) -> str:
    """Return where a record comes from, as its database tells."""
    if is_simulated(record):
        return "simulated"
    if database == "twadb":
        return _origin_of_twadb(record)
    source = path.absolute().parent.parent.name if database.startswith("challenge") else ""
    return source or database


def _label_notes(record: Record, database: str, origin: str) -> Iterator[str]:
    """Yield what is odd about the labels."""
    unknown = _unknown_diagnoses(record.comments)
    if unknown:
        yield f"unknown {unknown[0]} {', '.join(unknown[1])}"
    if database == "twadb" and origin in ORIGINS:
        share = _share_beyond_three(record.signals)
        if (share < SYNTHETIC_SHARE) != (origin == "synthetic"):
            yield (
                f"origin in doubt: the header says {origin}, but {share:.2g} of the energy lies "
                f"beyond three directions (synthetic: less than {SYNTHETIC_SHARE:g})"
            )


def _share_beyond_three(signals: np.ndarray) -> float:
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


def is_simulated(record: Record | Header) -> bool:
    """Return whether the record's comments say that ecgnb simulated it."""
    return any(_SIMULATED in comment.lower() for comment in record.comments)


def _origin_of_twadb(record: Record | Header) -> str:
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

# Synthetic records of twadb computed from the same three sources: at the beginning their average
# beats correlate above 0.99, those of two groups below 0.9. With twa52 alone the 27 records show
# six hearts; but twa52 begins as the records of twa50 do (0.999) and has their three sources, only
# that they change later and it does not (0.92 on the whole).
_SAME_SOURCES = (
    ("twa06", "twa09", "twa21", "twa30", "twa67", "twa70"),
    ("twa13", "twa25", "twa35", "twa72", "twa73", "twa82"),
    ("twa15", "twa28", "twa69", "twa88"),
    ("twa29", "twa33", "twa78", "twa97", "twa98"),
    ("twa50", "twa51", "twa76", "twa79", "twa81"),
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

# The patients of ptbdb whom these records show.
_TWADB_HEARTS = {
    "twa11": "patient049",
    "twa19": "patient049",
    "twa42": "patient049",
    "twa48": "patient049",
    "twa47": "patient004",
    "twa65": "patient004",
    "twa90": "patient239",
    "twa99": "patient242",
    "twa39": "patient243",
    "twa60": "patient255",
}


def condition_slug(condition: str) -> str:
    """Return a condition as it stands in file names.

    Examples
    --------
    >>> condition_slug("bundle branch block")
    'bundle_branch_block'
    """
    return re.sub(r"[^a-z0-9]+", "_", condition.lower()).strip("_")
