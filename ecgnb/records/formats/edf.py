"""Read EDF, EDF+ and BDF through pyedflib (the extra `ecgnb[edf]`)."""

from pathlib import Path
from typing import Any

import numpy as np

from ecgnb.records.formats.channels import Channels, Request, agreed_factor, refuse
from ecgnb.records.formats.names import Pick, pick
from ecgnb.records.wfdb_header import MAX_SAMPLES


def is_edf(path: Path, head: bytes) -> bool:
    """Return whether a file is EDF or BDF by its first bytes or its ending."""
    return head[:8] in (b"0       ", b"\xffBIOSEMI") or path.suffix.lower() in {".edf", ".bdf"}


def read_edf_file(path: Path, request: Request) -> Channels:
    """Return the wanted signals of an EDF file in mV and their rate.

    Raises
    ------
    RecordError
        If the extra is absent, or the file is damaged, has gaps, a lead twice or without a unit,
        or leads of several rates.
    """
    try:
        import pyedflib
    except ImportError:
        what_to_do = "install ecgnb with its extra: pip install 'ecgnb[edf]'"
        raise refuse(path, "an EDF file", "pyedflib reads it", what_to_do) from None
    try:
        with pyedflib.EdfReader(str(path)) as file:
            labels = [label.strip() for label in file.getSignalLabels()]
            picks = pick(path, labels, request)
            rate = _common_rate(path, file, picks)
            units = [file.getPhysicalDimension(each.position).strip() for each in picks]
            rows = [file.readSignal(each.position) for each in picks]
    except (OSError, ValueError) as error:
        raise _unreadable(path, str(error)) from None
    named, notes = {}, []
    for each, unit, row in zip(picks, units, rows, strict=True):
        _check_unit(path, each.lead, unit, request)
        factor, note = agreed_factor(path, unit, request.unit)
        named[each.lead] = np.asarray(row) * (each.sign * factor)
        notes += [note] if note else []
    return Channels(named, rate, tuple(labels), tuple(dict.fromkeys(notes)))


def _common_rate(path: Path, file: Any, picks: tuple[Pick, ...]) -> float:  # noqa: ANN401
    """Return the one rate of the wanted signals, Hz; refused are several, and too many samples."""
    rates = {float(file.getSampleFrequency(each.position)) for each in picks}
    if len(rates) > 1:
        shown = ", ".join(f"{rate:g}" for rate in sorted(rates))
        raise refuse(
            path,
            f"leads of several sampling rates: {shown} Hz",
            "the leads must be in step",
            "export them at one rate",
        )
    n_sample = sum(int(file.getNSamples()[each.position]) for each in picks)
    if n_sample > MAX_SAMPLES:
        raise refuse(
            path,
            f"{n_sample:,} samples",
            f"at most {MAX_SAMPLES:,} are read at once",
            "cut the recording into pieces of some minutes",
        )
    return rates.pop() if rates else float("nan")


def _check_unit(path: Path, lead: str, unit: str, request: Request) -> None:
    """Refuse a signal whose unit nobody tells: EDF allows the field to be empty."""
    if not unit and not request.unit:
        raise refuse(
            path,
            f"lead {lead} has no unit: the field of the EDF header is empty",
            "the amplitude in mV is unknown",
            "say what the numbers are in: --unit uV (or mV, V)",
        )


def _unreadable(path: Path, said: str) -> Exception:
    """Return the refusal of what pyedflib does not read."""
    said = said.replace(str(path), path.name)
    if "discontinuous" in said:
        return refuse(
            path,
            "an EDF+D file: its recording has gaps",
            "pieces would be joined as if no time lay between them",
            "save it as continuous EDF+C, a file for each piece",
        )
    return refuse(path, said, "it could not be read", "export it again")
