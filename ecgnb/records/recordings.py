"""Read a recording in any format into a `Record` in mV, or refuse it with a reason."""

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

from ecgnb.leads import LEADS
from ecgnb.records.formats import edf, hospital, table, watch, watch_json
from ecgnb.records.formats.channels import Channels, Request, refuse
from ecgnb.records.formats.names import unknown_names
from ecgnb.records.long_files import LongLead, opened_table, sized
from ecgnb.records.record import Record, RecordError, lead_quality
from ecgnb.records.wfdb_files import header_path, open_record_lead, read_record
from ecgnb.records.wfdb_header import MAX_SAMPLES, parse_header
from ecgnb.text import for_terminal

HEAD_BYTES = 65_536

Recognise = Callable[[Path, bytes], bool]

Read = Callable[[Path, Request], Channels]

_LONG_S, _LONG_BYTES, _MOST_SAMPLES = 1800.0, 20_000_000, 20_000_000_000


def _readers() -> Iterator[tuple[Recognise, Read]]:
    """Yield the pairs: what is sure of its content comes before what takes any text."""
    yield edf.is_edf, edf.read_edf_file
    yield hospital.is_hospital, hospital.read_hospital_file
    yield watch_json.is_watch_json, watch_json.read_watch_json_file
    yield watch.is_watch, watch.read_watch_file
    yield table.is_table, table.read_table_file


def _read_channels(path: Path, request: Request) -> Channels | None:
    """Return the wanted signals of a file by the reader that recognises it, None if none does.

    Raises
    ------
    RecordError
        If the file cannot be used, or could mean two things.
    """
    read = find_reader(path)
    return read(path, request) if read else None


def find_reader(path: Path) -> Read | None:
    """Return the function that reads a file, None if no reader recognises it."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    return next((read for recognise, read in _readers() if recognise(path, head)), None)


def read_recording(
    path: Path | str,
    *,
    leads: tuple[str, ...] = LEADS,
    sampling_rate: float | None = None,
    channel: str = "",
    unit: str = "",
    renamed: Mapping[str, str] | None = None,
) -> Record:
    """Return a recording in mV with its leads in standard order, whatever format it has.

    Parameters
    ----------
    path
        A table, the file of a watch or hospital, `.edf`, `.bdf`, else a WFDB record.
    leads
        The leads that must be there.
    sampling_rate
        In Hz, of a file that does not say it; one that says another rate is refused.
    channel
        The name of the only lead wanted, as the file spells it, if it is none of the 12.
    unit
        Of a file that names none: mV (what tables are taken to be in), uV, V or nV.
    renamed
        The leads that names of the file stand for; `-aVR` turns the sign.

    Raises
    ------
    RecordError
        If the file is absent, damaged, lacks a lead or a sampling rate, has an odd unit, or could
        be read in two ways.
    """
    path = Path(path)
    request = Request(tuple(leads), sampling_rate, channel, unit, dict(renamed or {}))
    channels = _read_channels(path, request) if path.is_file() else None
    if channels is not None:
        return _assemble(path, channels, request)
    if path.suffix.lower() in {".csv", ".tsv", ".txt", ".json", ".edf", ".bdf", ".xml", ".dcm"}:
        what = "the file is absent" if not path.exists() else "it is no file"
        raise refuse(path, what, "it is needed", "check the name")
    return read_record(path, leads=request.leads, channel=channel, renamed=request.renamed)


def _assemble(path: Path, channels: Channels, request: Request) -> Record:
    """Return the record of what a reader found."""
    leads, named, rate = request.leads, channels.named, channels.sampling_rate
    missing = [lead for lead in leads if lead not in named]
    if missing:
        found = ", ".join(name[:20] for name in channels.found[:20]) or "nothing"
        raise refuse(
            path,
            f"no lead {', '.join(missing)}; found: {found}",
            f"{', '.join(leads)} expected",
            f'say which name is which lead: --leads "NAME={missing[0]}", or --channel for one',
        )
    if not 50 <= rate <= 5000:
        raise refuse(path, f"a sampling rate of {rate:g} Hz", "50 to 5,000 expected", "check it")
    signals = np.stack([named[lead] for lead in leads]).astype(np.float32)
    if signals.size == 0 or signals.size > MAX_SAMPLES:
        raise refuse(path, f"{signals.size:,} samples", "none or too many", "cut the recording")
    quality = tuple(
        lead_quality(lead, row, np.nan_to_num(row), rate)
        for lead, row in zip(leads, signals, strict=True)
    )
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", path.stem)[:60] or "recording"
    unknown = unknown_names(channels.found, request.renamed)
    notes = tuple(f"--leads names {each!r}, which the file lacks" for each in unknown)
    return Record(
        name,
        signals,
        float(rate),
        tuple(leads),
        quality=quality,
        notes=tuple(for_terminal(note) for note in (*notes, *channels.notes)),
        comments=channels.comments,
    )


def is_long(path: Path) -> bool:
    """Return whether a recording lasts over half an hour, or is a table of over 20 MB.

    What cannot be read is not long: the reader says what is wrong with it.
    """
    try:
        reader = find_reader(path) if path.is_file() else None
        if reader is table.read_table_file:
            return path.stat().st_size > _LONG_BYTES
        if reader is edf.read_edf_file:
            with path.open("rb") as file:
                head = file.read(252)
            return float(head[236:244]) * float(head[244:252]) > _LONG_S
        if reader is None:
            text = header_path(path).read_bytes().decode("latin-1")
            header = parse_header(text, most_samples=_MOST_SAMPLES)
            return header.n_time / header.sampling_rate > _LONG_S
    except (OSError, ValueError, RecordError):
        pass
    return False


@contextlib.contextmanager
def open_lead(path: Path | str, request: Request) -> Iterator[LongLead]:
    """Give one lead of a WFDB, EDF or table file of any length, to be read in pieces.

    Watch and hospital files, which are short, are read whole.

    Parameters
    ----------
    path
        The recording.
    request
        The one lead that is wanted and what is known of the file.

    Raises
    ------
    RecordError
        For anything that is missing, damaged, contradictory or not supported.
    """
    path, (lead,) = Path(path), request.leads
    reader = find_reader(path) if path.is_file() else None
    name = "".join(c if c.isascii() and c.isalnum() else "_" for c in path.stem)[:60]
    if reader is edf.read_edf_file:
        files = sized(path)
        with edf.opened_edf_lead(path, request) as (rate, n_time, notes, read):
            yield LongLead(name, lead, rate, n_time, read, files, notes)
    elif reader is table.read_table_file:
        with opened_table(path, request, name) as long:
            yield long
    elif reader is None:
        header, read = open_record_lead(path, request)
        own = header_path(path)
        files = sized(own, *{own.parent / line.file for line in header.signals})
        rate, n_time = header.sampling_rate, header.n_time
        yield LongLead(header.name, lead, rate, n_time, read, files)
    else:
        yield _in_memory(path, request)


def _in_memory(path: Path, request: Request) -> LongLead:
    files = sized(path)
    record = read_recording(
        path,
        leads=request.leads,
        sampling_rate=request.sampling_rate,
        channel=request.channel,
        unit=request.unit,
        renamed=request.renamed,
    )
    signal = record.signals[0]

    def read(start: int, stop: int) -> np.ndarray:
        return signal[start:stop]

    return LongLead(
        record.name,
        request.leads[0],
        record.sampling_rate,
        signal.size,
        read,
        files,
        record.notes,
    )
