"""Read a recording in any format into a `Record` in mV, or refuse it with a reason."""

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ecgnb.leads import LEADS
from ecgnb.records.formats import read_channels
from ecgnb.records.formats.channels import Channels, Request, refuse
from ecgnb.records.formats.names import unknown_names
from ecgnb.records.record import Record, lead_quality
from ecgnb.records.wfdb_files import read_record
from ecgnb.records.wfdb_header import MAX_SAMPLES
from ecgnb.text import for_terminal


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
    channels = read_channels(path, request) if path.is_file() else None
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
