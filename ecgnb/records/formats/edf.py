"""Read EDF, EDF+ and BDF through pyedflib (the extra `ecgnb[edf]`); write EDF in pieces.

EDF has no mark for a missing sample. Samples outside the digital range that the header declares
are no measurement: they are read as missing, and missing ones are written as -32,768.
"""

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
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
        with _reader(path) as file:
            labels = [label.strip() for label in file.getSignalLabels()]
            picks = pick(path, labels, request)
            rate = _common_rate(path, file, picks)
            units = [file.getPhysicalDimension(each.position).strip() for each in picks]
            rows = [_read(file, each.position, 0, None) for each in picks]
    except (OSError, ValueError) as error:
        raise _unreadable(path, str(error)) from None
    named, notes = {}, []
    for each, unit, row in zip(picks, units, rows, strict=True):
        _check_unit(path, each.lead, unit, request)
        factor, note = agreed_factor(path, unit, request.unit)
        named[each.lead] = np.asarray(row) * (each.sign * factor)
        notes += [note] if note else []
    return Channels(named, rate, tuple(labels), tuple(dict.fromkeys(notes)))


def _reader(path: Path) -> Any:  # noqa: ANN401
    """Return an open reader; without pyedflib the file is refused with how to install it."""
    try:
        import pyedflib
    except ImportError:
        what_to_do = "install ecgnb with its extra: pip install 'ecgnb[edf]'"
        if sys.version_info >= (3, 13):
            what_to_do += ", on Python 3.12 or older: pyedflib has no wheel for newer ones"
        raise refuse(path, "an EDF file", "pyedflib reads it", what_to_do) from None
    return pyedflib.EdfReader(str(path))


def _read(file: Any, position: int, start: int, n_time: int | None) -> np.ndarray:  # noqa: ANN401
    """Return samples of a signal in its unit; those outside its declared range are NaN."""
    row = np.asarray(file.readSignal(position, start, n_time))
    bounds = (file.getPhysicalMinimum(position), file.getPhysicalMaximum(position))
    steps = file.getDigitalMaximum(position) - file.getDigitalMinimum(position)
    half = abs(bounds[1] - bounds[0]) / max(steps, 1) / 2
    outside = (row < min(bounds) - half) | (row > max(bounds) + half)
    return np.where(outside, np.nan, row) if outside.any() else row


@contextlib.contextmanager
def opened_edf_lead(
    path: Path, request: Request
) -> Iterator[tuple[float, int, tuple[str, ...], Callable]]:
    """Give rate, number of samples and notes of an EDF file's lead, and what reads it in pieces.

    Only the header is read beforehand. `read(start, stop)` gives `(time,)` in mV.

    Raises
    ------
    RecordError
        As `read_edf_file`, but for its length; and if the lead is absent.
    """
    try:
        file = _reader(path)
    except (OSError, ValueError) as error:
        raise _unreadable(path, str(error)) from None
    with file:
        labels = [label.strip() for label in file.getSignalLabels()]
        picks = pick(path, labels, request)
        if not picks:
            shown = ", ".join(label[:20] for label in labels[:20]) or "nothing"
            what = f"no lead {request.leads[0]}; found: {shown}"
            raise refuse(path, what, "it is needed", "name it by --channel")
        (each,) = picks
        unit = file.getPhysicalDimension(each.position).strip()
        _check_unit(path, each.lead, unit, request)
        factor, note = agreed_factor(path, unit, request.unit)

        def read(start: int, stop: int) -> np.ndarray:
            try:
                row = _read(file, each.position, start, stop - start)
            except (OSError, ValueError) as error:
                raise _unreadable(path, str(error)) from None
            return (row * (each.sign * factor)).astype(np.float32)

        rate = float(file.getSampleFrequency(each.position))
        n_time = int(file.getNSamples()[each.position])
        yield rate, n_time, (note,) if note else (), read


def edf_header(
    leads: Sequence[tuple[str, str]], n_second: int, sampling_rate: int, adc_gain: float
) -> bytes:
    """Return the header of an EDF file of 16-bit leads in mV, one data record a second.

    Parameters
    ----------
    leads
        Names and what each is, as `("I", "recorded")`.
    n_second
        Number of data records.
    sampling_rate
        Hz, a whole number.
    adc_gain
        Units per mV.
    """
    n_lead, largest = len(leads), f"{32767 / adc_gain:.8g}"[:7]
    fields = [
        ("0", 8), ("X X X X", 80), ("Startdate X X X X", 80), ("01.01.85", 8), ("00.00.00", 8),
        (str(256 * (n_lead + 1)), 8), ("", 44), (str(n_second), 8), ("1", 8), (str(n_lead), 4),
    ]  # fmt: skip
    for values, width in (
        ([name for name, _ in leads], 16),
        ([what for _, what in leads], 80),
        (["mV"] * n_lead, 8),
        ([f"-{largest}"] * n_lead, 8),
        ([largest] * n_lead, 8),
        (["-32767"] * n_lead, 8),
        (["32767"] * n_lead, 8),
        (["missing samples are -32768"] * n_lead, 80),
        ([str(sampling_rate)] * n_lead, 8),
        ([""] * n_lead, 32),
    ):
        fields += [(value, width) for value in values]
    return "".join(value.ljust(width)[:width] for value, width in fields).encode("ascii")


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
