"""Read and write WFDB records: a valid `Record` or a `RecordError`, nothing in between.

Each sample file is checked against its header before it is decoded.
"""

import contextlib
import math
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ecgnb.leads import FRANK_LEADS, LEADS
from ecgnb.records.record import LeadQuality, Record, RecordError, lead_quality
from ecgnb.records.wfdb_header import (
    BYTES_PER_SAMPLE,
    MAX_HEADER_BYTES,
    Header,
    HeaderError,
    SignalLine,
    parse_header,
    record_line,
    signal_line,
)
from ecgnb.text import clean_text

if TYPE_CHECKING:
    from ecgnb.records.formats.channels import Request
    from ecgnb.records.formats.names import Pick

with warnings.catch_warnings():  # wfdb uses an argument that pandas will drop
    warnings.filterwarnings("ignore", message="The inplace keyword")
    import wfdb

_PIECE = 1_000_000  # samples that are decoded at one go

_MOST_SAMPLES = 20_000_000_000

MISSING = {"16": -(2**15), "212": -(2**11), "24": -(2**23), "32": -(2**31), "516": -(2**15)}


def _refuse_irregular(path: Path) -> None:
    """Refuse anything but a regular file that really lies in its folder."""
    shown = clean_text(path.name)[:60]
    if not path.exists() and not path.is_symlink():
        to_do = "check the name" if path.suffix == ".hea" else "put it beside its header"
        raise HeaderError(f"{shown} is absent", "the record needs it", to_do)
    if path.resolve().parent != path.parent.resolve() or not path.is_file():
        raise HeaderError(
            f"{shown} is not a regular file of the folder", "links out of it are not followed"
        )


def _read_signals(path: Path, header: Header, numbers: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Return signals in mV and their samples in ADC units, both `(lead, time)`, in this order."""
    lines = [header.signals[number] for number in numbers]
    for line in lines:
        if line.fault:
            raise line.fault
    for file in dict.fromkeys(line.file for line in lines):
        _check_file(path, header, file)
    order = sorted(set(numbers))
    samples = _read_samples(path, header, order)[[order.index(number) for number in numbers]]
    signals = np.empty(samples.shape, dtype=np.float32)
    for line, row, signal in zip(lines, samples, signals, strict=True):
        _check_samples(line, row)
        signal[:] = (row - float(line.baseline)) / (line.gain / line.mv_per_unit)
        signal[row == MISSING[line.format]] = np.nan
    return signals, samples


def _check_file(path: Path, header: Header, file: str) -> None:
    """Refuse a sample file that is absent, elsewhere, or not of the announced size."""
    if Path(file).name != file or file in {".", ".."}:
        raise HeaderError(
            f"the sample file name {clean_text(file)[:40]!r}", "it must be a plain file name"
        )
    _refuse_irregular(path.parent / file)
    group = [line for line in header.signals if line.file == file]
    for line in group:
        if line.format not in BYTES_PER_SAMPLE and line.fault:
            raise line.fault  # where its samples lie among those of the others is not known
    kinds = {(line.format, line.offset) for line in group}
    if len(kinds) > 1:
        raise HeaderError(f"several formats in {clean_text(file)}", "one file has one format")
    kind, offset = kinds.pop()
    size = (path.parent / file).stat().st_size
    expected = math.ceil(BYTES_PER_SAMPLE[kind] * header.n_time * len(group)) + offset
    slack = 2 if kind == "212" else 0
    if kind != "516" and not expected <= size <= expected + slack:
        raise HeaderError(
            f"{clean_text(file)} has {size:,} bytes",
            f"the header needs {expected:,}",
            "fetch the record again: the file is cut, padded or of another format",
        )


def _read_samples(
    path: Path, header: Header, order: list[int], span: tuple[int, int] | None = None
) -> np.ndarray:
    """Return samples `(signal, time)` in ADC units, decoded by wfdb; of a span, or all."""
    first, last = span or (0, header.n_time)
    try:
        with warnings.catch_warnings(), _plain_record(path, header, order) as (stem, channels):
            warnings.simplefilter("ignore")
            record = wfdb.rdrecord(
                stem, channels=channels, physical=False, sampfrom=first, sampto=last
            )
        samples = record.d_signal.T.astype(np.int32)
    except Exception as error:
        what = clean_text(f"{type(error).__name__}: {error}")[:200]
        to_do = "check the header and the sample file; copy or fetch them again if they are cut"
        raise HeaderError(what, "the samples could not be decoded", to_do) from error
    if samples.shape != (len(order), last - first):
        raise HeaderError(
            f"{samples.shape[1]:,} samples decoded", f"the header announces {last - first:,}"
        )
    used = [record.file_name, record.fmt]
    lines = [header.signals[number] for number in order]
    known = [(line.file, line.format, line.initial, line.checksum) for line in lines]
    if span is None:  # of a span, wfdb makes up the other two
        used += [record.init_value, record.checksum]
    if list(zip(*used, strict=True)) != [each[: len(used)] for each in known]:
        raise HeaderError(
            "a header that can be read in two ways",
            "which samples belong to a lead is not certain",
        )
    return samples


@contextlib.contextmanager
def _plain_record(path: Path, header: Header, order: list[int]) -> Iterator[tuple[str, list[int]]]:
    """Give a record without what wfdb stumbles over and nobody asked for: dates, other signals.

    Its header keeps the lines of `order` as they are; its sample files are those of the record.
    """
    if not header.dated and not any(line.fault for line in header.signals):
        yield str(path.with_suffix("")), order
        return
    files = {header.signals[number].file for number in order}
    kept = [number for number, line in enumerate(header.signals) if line.file in files]
    lines = [f"record {len(kept)} {header.sampling_rate:.12g} {header.n_time}"]
    lines += [_plain_line(header.signals[number]) for number in kept]
    with tempfile.TemporaryDirectory(prefix="ecgnb-") as folder:
        for file in files:
            _lend(path.parent.resolve() / file, Path(folder) / file)
        (Path(folder) / "record.hea").write_text("\n".join(lines) + "\n", encoding="utf-8")
        yield str(Path(folder) / "record"), [kept.index(number) for number in order]


def _plain_line(line: SignalLine) -> str:
    return f"{line.file} {line.text.split()[1]} 200 16 0 0 0 0 -" if line.fault else line.text


def _lend(source: Path, target: Path) -> None:
    """Make a file appear at another place."""
    try:
        target.symlink_to(source)
    except OSError:  # where links are not allowed
        shutil.copyfile(source, target)


def _check_samples(line: SignalLine, samples: np.ndarray) -> None:
    """Refuse samples that contradict the checksum or the initial value of their header line."""
    if line.checksum and int(samples.sum() - line.checksum) % 65536:
        raise HeaderError(
            f"checksum of lead {line.name} is wrong",
            "the samples are not those that were written",
            "fetch the record again",
        )
    if line.initial and int(samples[0]) != line.initial:
        raise HeaderError(
            f"lead {line.name} starts at {samples[0]}",
            f"the header says {line.initial}",
            "fetch the record again",
        )


def read_record(
    path: Path | str,
    *,
    leads: tuple[str, ...] = LEADS,
    renamed: Mapping[str, str] | None = None,
    channel: str = "",
) -> Record:
    """Return the record at `path`, checked, in mV, with its leads in standard order.

    Nothing is said of whom it shows: `databases.load_record` reads a record and labels it.

    Parameters
    ----------
    path
        The header file, with or without `.hea`, or a sample file of the same name beside it.
    leads
        The leads that must be there; others are left out.
    renamed
        The lead that a signal of another name stands for; `-aVR` turns the sign.
    channel
        The name of the only signal wanted, whatever its lead.

    Raises
    ------
    RecordError
        For anything that is missing, damaged, contradictory or not supported.
    """
    from ecgnb.records.formats.channels import Request

    path = header_path(path)
    request = Request(leads=tuple(leads), channel=channel, renamed=renamed or {})
    with _refused(path):
        header = parse_header(_header_text(path))
        return _assemble(path, header, _find_leads(path, header, request), request.leads)


def open_record_lead(path: Path | str, request: "Request") -> tuple[Header, Callable]:
    """Return the header of a record of any length and what reads one lead of it in pieces.

    `read(start, stop)` gives `(time,)` in mV, missing samples NaN. The whole lead is read once
    before, piece by piece, and compared with its checksum and first value.

    Raises
    ------
    RecordError
        For anything that is missing, damaged, contradictory or not supported.
    """
    path = header_path(path)
    with _refused(path):
        header = parse_header(_header_text(path), most_samples=_MOST_SAMPLES)
        found = _find_leads(path, header, request)[request.leads[0]]
        line = header.signals[found.position]
        if line.fault:
            raise line.fault
        _check_file(path, header, line.file)
        _check_whole(path, header, found.position)

    def read(start: int, stop: int) -> np.ndarray:
        with _refused(path):
            row = _read_samples(path, header, [found.position], (start, stop))[0]
        signal = ((row - float(line.baseline)) / (line.gain / line.mv_per_unit)).astype(np.float32)
        signal[row == MISSING[line.format]] = np.nan
        return found.sign * signal

    return header, read


def _check_whole(path: Path, header: Header, position: int) -> None:
    """Refuse a lead of any length that contradicts its checksum or first value."""
    total, first = 0, None
    for start in range(0, header.n_time, _PIECE):
        span = (start, min(start + _PIECE, header.n_time))
        row = _read_samples(path, header, [position], span)[0]
        total, first = total + int(row.sum(dtype=np.int64)), row[:1] if first is None else first
    line = header.signals[position]
    _check_samples(line, np.array([int(first[0]), total - int(first[0])]))


def read_header(path: Path | str) -> Header:
    """Return the header at `path`, without a look at any sample.

    Raises
    ------
    RecordError
        If it is missing, damaged or not supported.
    """
    path = header_path(path)
    with _refused(path):
        return parse_header(_header_text(path))


def header_path(path: Path | str) -> Path:
    """Return the header that a path names: `a`, `a.hea`, `a.dat` and `a.mat` name one record.

    Raises
    ------
    RecordError
        For a sample file without a header beside it.

    Examples
    --------
    >>> header_path("data/1").name
    '1.hea'
    """
    path = Path(path)
    with _refused(path):
        return _named_header(path)


def _named_header(path: Path) -> Path:
    named = path if path.suffix == ".hea" else path.parent / f"{path.name}.hea"
    if named.exists() or named.is_symlink() or not path.suffix:
        return named
    beside = path.with_suffix(".hea")
    if path.suffix != ".hea" and path.is_file() and not beside.exists():
        raise RecordError(
            clean_text(path.stem),
            f"{clean_text(path.name)[:60]} has no header {clean_text(beside.name)[:60]} beside it",
            "samples alone tell neither leads nor rate nor unit",
            "put the header beside it; a file of another format needs its usual ending",
        )
    return beside if path.suffix != ".hea" else named


@contextlib.contextmanager
def _refused(path: Path) -> Iterator[None]:
    """Turn whatever is wrong with a record into a `RecordError`."""
    name = clean_text(path.stem)
    try:
        yield
    except HeaderError as error:
        raise RecordError(name, error.what, error.why, error.what_to_do) from None
    except (OSError, ValueError, MemoryError) as error:
        what = clean_text(str(error))[:200]
        to_do = "check the name, the folder and whether you may read it"
        raise RecordError(name, what, "the record could not be read", to_do) from error


def _header_text(path: Path) -> str:
    _refuse_irregular(path)
    if path.stat().st_size > MAX_HEADER_BYTES:
        raise HeaderError(
            f"a header of {path.stat().st_size:,} bytes",
            f"headers are at most {MAX_HEADER_BYTES:,} bytes long",
        )
    content = path.read_bytes()
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _find_leads(path: Path, header: Header, request: "Request") -> dict[str, "Pick"]:
    """Return where each lead of a request is, and the Frank leads as far as they are there."""
    from ecgnb.records.formats.names import pick

    names = [signal.name for signal in header.signals]
    found = {each.lead: each for each in pick(path, names, request)}
    missing = [lead for lead in request.leads if lead not in found]
    unnamed = [signal.fault for signal in header.signals if signal.fault and not signal.name]
    if missing and unnamed:
        raise unnamed[0]
    if missing:
        shown = ", ".join(name[:20] for name in names[:20])
        raise HeaderError(
            f"no lead {', '.join(missing)}",
            f"{len(missing)} {'lead is' if len(missing) == 1 else 'leads are'} needed",
            f"found are {shown}; check the header file, or name the lead with --channel",
        )
    if request.leads == LEADS:
        with contextlib.suppress(RecordError):
            frank = replace(request, leads=FRANK_LEADS)
            found |= {each.lead: each for each in pick(path, names, frank)}
    return found


def _assemble(
    path: Path, header: Header, found: dict[str, "Pick"], leads: tuple[str, ...]
) -> Record:
    signals, quality = _read_leads(path, header, found, leads)
    frank, notes = None, ()
    if all(lead in found for lead in FRANK_LEADS) and leads == LEADS:
        try:
            frank, rows = _read_leads(path, header, found, FRANK_LEADS)
        except HeaderError as error:
            notes = (f"no Frank leads: {error.what}",)
            rows = tuple(LeadQuality(lead, 1.0, 0.0, 0.0, 0.0) for lead in FRANK_LEADS)
        quality += rows
    return Record(
        name=header.name,
        signals=signals,
        sampling_rate=header.sampling_rate,
        leads=tuple(leads),
        comments=header.comments,
        frank=frank,
        quality=quality,
        notes=notes,
        counter_frequency=header.counter_frequency,
    )


def _read_leads(
    path: Path, header: Header, found: dict[str, "Pick"], leads: tuple[str, ...]
) -> tuple[np.ndarray, tuple[LeadQuality, ...]]:
    """Return signals `(lead, time)` in mV and the quality of each lead."""
    signals, samples = _read_signals(path, header, [found[lead].position for lead in leads])
    signals *= np.array([[found[lead].sign] for lead in leads], dtype=np.float32)
    rows = zip(leads, signals, samples, strict=True)
    return signals, tuple(lead_quality(*row, header.sampling_rate) for row in rows)


def write_record(record: Record, folder: Path | str, *, adc_gain: float = 2000.0) -> Path:
    """Return the header path of `record` written to `folder` as 16-bit WFDB with checksums.

    Frank leads go to a second file, `.xyz`, as in ptbdb. Missing samples stay missing. The files
    are written elsewhere and moved into place, the header last.

    Parameters
    ----------
    record
        Signals in mV.
    folder
        Made if absent.
    adc_gain
        Units per mV; halved until the largest sample fits into 16 bits.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    groups = [(f"{record.name}.dat", record.leads, record.signals)]
    if record.frank is not None:
        groups.append((f"{record.name}.xyz", FRANK_LEADS, record.frank))
    largest = max(np.nanmax(np.abs(group[2]), initial=0.0) for group in groups)
    while largest * adc_gain > 32_000:
        adc_gain /= 2
    with tempfile.TemporaryDirectory(dir=folder, prefix=".write-") as partial:
        _write_files(Path(partial), record, groups, adc_gain)
        for file in [*(group[0] for group in groups), f"{record.name}.hea"]:
            (Path(partial) / file).replace(folder / file)
    return folder / f"{record.name}.hea"


def _write_files(folder: Path, record: Record, groups: list, adc_gain: float) -> None:
    """Write sample files and header, byte for byte as the slower wfdb.wrsamp."""
    n_signal = sum(len(leads) for _, leads, _ in groups)
    lines = [record_line(record.name, n_signal, record.sampling_rate, record.n_time)]
    for file, leads, signals in groups:
        samples = as_samples(signals, adc_gain)
        samples.T.tofile(folder / file)
        for lead, row in zip(leads, samples, strict=True):
            total = int(row.sum(dtype=np.int64))
            lines.append(signal_line(file, lead, adc_gain, first=int(row[0]), total=total))
    lines += [f"# {comment}" for comment in record.comments]
    text = "\n".join(lines) + "\n"
    (folder / f"{record.name}.hea").write_text(text, encoding="utf-8")


def as_samples(signals: np.ndarray, adc_gain: float) -> np.ndarray:
    """Return signals in mV as 16-bit samples; missing ones as the format marks them."""
    values = np.asarray(signals, dtype=np.float64)
    samples = np.where(np.isfinite(values), np.rint(values * adc_gain), MISSING["16"])
    return samples.astype("<i2")
