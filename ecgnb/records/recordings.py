"""Read a recording in WFDB, EDF or CSV into a `Record` in mV, or refuse it with a reason."""

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from ecgnb.leads import LEADS, standard_name
from ecgnb.records.record import Record, RecordError, lead_quality
from ecgnb.records.wfdb_files import read_record
from ecgnb.records.wfdb_header import MAX_SAMPLES, MILLIVOLTS
from ecgnb.text import for_terminal

MAX_CSV_BYTES = 500_000_000

_UNIT = re.compile(r"^(.*?)\s*[\[(]\s*([^\])]+?)\s*[\])]\s*$")

_PREFIX = re.compile(r"^(?:ecg|ekg|lead)[\s_:.-]*", re.IGNORECASE)

_TIMES = {"time", "t", "seconds", "sample", "index", ""}


def read_recording(
    path: Path | str,
    *,
    leads: tuple[str, ...] = LEADS,
    sampling_rate: float | None = None,
    channel: str = "",
    unit: str = "",
) -> Record:
    """Return a recording in mV with its leads in standard order, whatever format it has.

    Parameters
    ----------
    path
        `.edf` or `.bdf`, `.csv`, else the header of a WFDB record with or without `.hea`.
    leads
        The leads that must be there.
    sampling_rate
        Of a CSV file, Hz; the other formats say it themselves.
    channel
        The name of the only lead wanted, as the file spells it, if it is none of the 12.
    unit
        Of a CSV file without units in its header: mV (default), uV or V.

    Raises
    ------
    RecordError
        If the file is absent, damaged, lacks a lead or a sampling rate, or has an odd unit.
    """
    path = Path(path)
    if channel and len(leads) != 1:
        raise ValueError("a channel can be named for one lead only")
    suffix = path.suffix.lower()
    if suffix in {".csv", ".edf", ".bdf"} and not path.is_file():
        raise _refuse(path, "the file is absent", "it is needed", "check the name")
    if suffix == ".csv":
        named, rate = _read_csv(path, sampling_rate, unit)
    elif suffix in {".edf", ".bdf"}:
        named, rate = _read_edf(path, leads, channel)
    else:
        return read_record(path, leads=leads, renamed={channel: leads[0]} if channel else None)
    return _assemble(path, named, rate, leads=leads, channel=channel)


def _refuse(path: Path, what: str, why: str, what_to_do: str) -> RecordError:
    return RecordError(for_terminal(path.name), for_terminal(what), why, what_to_do)


def lead_of(name: str) -> str:
    """Return the standard lead that a file's name stands for, or "".

    Examples
    --------
    >>> lead_of("ECG V2"), lead_of("Lead_avl"), lead_of("EEG Fz")
    ('V2', 'aVL', '')
    """
    try:
        return standard_name(_PREFIX.sub("", name.strip()))
    except KeyError:
        return ""


def _factor(path: Path, unit: str) -> float:
    """Return mV per unit."""
    if unit.strip().lower() not in MILLIVOLTS:
        raise _refuse(
            path, f"the unit {unit[:20]!r}", "mV, uV or V is expected", "name the right unit"
        )
    return MILLIVOLTS[unit.strip().lower()]


def _read_csv(
    path: Path, sampling_rate: float | None, unit: str
) -> tuple[Mapping[str, np.ndarray], float]:
    """Return the columns of a CSV file in mV and its rate; a time column is not needed."""
    if path.stat().st_size > MAX_CSV_BYTES:
        raise _refuse(path, "the file is huge", "500 MB at most are read", "cut it into pieces")
    if sampling_rate is None:
        raise _refuse(
            path, "a CSV file without a sampling rate", "times are unknown", "give --sampling-rate"
        )
    try:
        table = pd.read_csv(path, skipinitialspace=True)
    except (ValueError, OSError) as error:
        raise _refuse(path, str(error), "it is no table", "save it with commas") from None
    _check_columns(path, table)
    named = {}
    for column in table.columns:
        match = _UNIT.match(str(column))
        name, own_unit = (match[1], match[2]) if match else (str(column), "")
        if name.strip().lower() not in _TIMES:
            values = pd.to_numeric(table[column], errors="coerce").to_numpy(dtype=np.float64)
            if lead_of(name):
                values = values * _factor(path, own_unit or unit or "mV")
            named[name.strip()] = values
    return named, sampling_rate


def _check_columns(path: Path, table: pd.DataFrame) -> None:
    numbers = pd.to_numeric(pd.Series(table.columns.astype(str)), errors="coerce")
    if numbers.notna().all():
        raise _refuse(
            path,
            "a first line of numbers",
            "a header with lead names is expected, such as I,II,V2",
            "add the header",
        )


def _read_edf(
    path: Path, leads: tuple[str, ...], channel: str
) -> tuple[Mapping[str, np.ndarray], float]:
    """Return the wanted signals of an EDF file in mV and their rate."""
    try:
        import pyedflib
    except ImportError:
        raise _refuse(
            path, "an EDF file", "pyedflib reads it", "install ecgnb with its extra: ecgnb[edf]"
        ) from None
    try:
        with pyedflib.EdfReader(str(path)) as file:
            labels = [label.strip() for label in file.getSignalLabels()]
            wanted = [
                number
                for number, label in enumerate(labels)
                if (label == channel if channel else lead_of(label) in leads)
            ]
            rates = {float(file.getSampleFrequency(number)) for number in wanted}
            sizes = [int(file.getNSamples()[number]) for number in wanted]
            if sum(sizes) > MAX_SAMPLES:
                raise _refuse(path, f"{sum(sizes):,} samples", "too many at once", "cut the file")
            units = [file.getPhysicalDimension(number) for number in wanted]
            rows = [file.readSignal(number) for number in wanted]
    except (OSError, ValueError) as error:
        raise _refuse(path, str(error), "it could not be read", "export it again") from None
    if len(rates) > 1:
        raise _refuse(path, "leads of several sampling rates", "one is expected", "resample them")
    named = {label: np.full(0, np.nan) for label in labels}
    for number, unit, row in zip(wanted, units, rows, strict=True):
        named[labels[number]] = row * _factor(path, unit)
    return named, rates.pop() if rates else float("nan")


def _assemble(
    path: Path,
    named: Mapping[str, np.ndarray],
    rate: float,
    *,
    leads: tuple[str, ...],
    channel: str,
) -> Record:
    """Return the record of named signals in mV."""
    by_lead = {lead_of(name): name for name in named if lead_of(name)}
    if channel:
        by_lead = {leads[0]: channel} if channel in named else {}
    missing = [lead for lead in leads if lead not in by_lead]
    if missing:
        found = ", ".join(str(name)[:20] for name in list(named)[:20]) or "nothing"
        raise _refuse(
            path,
            f"no lead {', '.join(missing)}; found: {found}",
            f"{', '.join(leads)} expected",
            "name the column of the file with --channel, or another lead",
        )
    if not 50 <= rate <= 5000:
        raise _refuse(path, f"a sampling rate of {rate:g} Hz", "50 to 5,000 expected", "check it")
    signals = np.stack([named[by_lead[lead]] for lead in leads]).astype(np.float32)
    if signals.size == 0 or signals.size > MAX_SAMPLES:
        raise _refuse(path, f"{signals.size:,} samples", "none or too many", "cut the recording")
    quality = tuple(
        lead_quality(lead, row, np.nan_to_num(row), rate)
        for lead, row in zip(leads, signals, strict=True)
    )
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", path.stem)[:60] or "recording"
    return Record(name, signals, rate, tuple(leads), quality=quality)
