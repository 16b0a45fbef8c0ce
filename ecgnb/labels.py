"""Label a record: whom it shows, with which condition, and where it comes from."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ecgnb.catalogue import DATABASES
from ecgnb.diagnoses import condition_of, states_condition, unknown_codes
from ecgnb.leads import independent_signals

if TYPE_CHECKING:
    from ecgnb.records import Record

ORIGINS = ("synthetic", "ptbdb", "INCART")
_COUNTERS = {"1000": "ptbdb", "257": "INCART", "": "synthetic"}
_SIMULATED = "simulated by ecgnb"
SYNTHETIC_SHARE = 1e-4  # between 6.4e-6 and 4.0e-3, the nearest records of either kind


def label_record(record: "Record", path: Path, database: str = "") -> "Record":
    """Return the record with patient, condition, origin and database filled in.

    What the header and the signals disagree on, or what no table knows, is added to the notes.
    Without a database the condition is what the comments state, patient and origin stay empty.

    Raises
    ------
    ValueError
        If the catalogue has no such database.
    """
    if database and database not in DATABASES:
        raise ValueError(f"no database {database!r}; there are {', '.join(DATABASES)}")
    patient, origin = _patient_and_origin(record, path, database)
    stated = database != "twadb" and (database or states_condition(record.comments))
    notes = dict.fromkeys((*record.notes, *_label_notes(record, database, origin)))
    return replace(
        record,
        patient=patient,
        condition=condition_of(record.comments) if stated else "",
        origin=origin,
        database=database,
        notes=tuple(notes),
    )


def _patient_and_origin(record: "Record", path: Path, database: str) -> tuple[str, str]:
    """Return whom a record shows and where it comes from, as its database tells."""
    if database == "twadb":
        return patient_of_twadb(record.name), origin_of_twadb(record)
    if is_simulated(record):
        return path.parent.name if database else "", "simulated"
    if database == "ptbdb":
        return path.parent.name, "ptbdb"
    return "", path.parent.parent.name if database else ""


def _label_notes(record: "Record", database: str, origin: str) -> Iterator[str]:
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


def is_simulated(record: "Record") -> bool:
    """Return whether the record's comments say that ecgnb simulated it."""
    return any(_SIMULATED in comment.lower() for comment in record.comments)


def origin_of_twadb(record: "Record") -> str:
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
