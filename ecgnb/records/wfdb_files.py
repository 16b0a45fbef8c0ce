"""Read and write WFDB records: a valid `Record` or a `RecordError`, nothing in between.

Each sample file is checked against its header before it is decoded.
"""

import contextlib
import math
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from ecgnb.leads import FRANK_LEADS, LEADS, standard_name
from ecgnb.records.record import LeadQuality, Record, RecordError, lead_quality
from ecgnb.records.wfdb_header import (
    BYTES_PER_SAMPLE,
    MAX_HEADER_BYTES,
    Header,
    HeaderError,
    SignalLine,
    parse_header,
)
from ecgnb.text import clean_text

MISSING = {"16": -(2**15), "212": -(2**11), "24": -(2**23), "32": -(2**31), "516": -(2**15)}

with warnings.catch_warnings():  # wfdb uses an argument that pandas will drop
    warnings.filterwarnings("ignore", message="The inplace keyword")
    import wfdb


def _refuse_irregular(path: Path) -> None:
    """Refuse anything but a regular file that really lies in its folder."""
    shown = clean_text(path.name)[:60]
    if not path.exists() and not path.is_symlink():
        raise HeaderError(f"{shown} is absent", "the record needs it", "fetch the record again")
    if path.resolve().parent != path.parent.resolve() or not path.is_file():
        raise HeaderError(
            f"{shown} is not a regular file of the folder", "links out of it are not followed"
        )


def _read_signals(path: Path, header: Header, numbers: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Return signals in mV and their samples in ADC units, both `(lead, time)`, in this order."""
    lines = [header.signals[number] for number in numbers]
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


def _read_samples(path: Path, header: Header, order: list[int]) -> np.ndarray:
    """Return samples `(signal, time)` in ADC units, decoded by wfdb."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            record = wfdb.rdrecord(str(path.with_suffix("")), channels=order, physical=False)
        samples = record.d_signal.T.astype(np.int32)
    except Exception as error:
        what = clean_text(f"{type(error).__name__}: {error}")[:200]
        raise HeaderError(what, "the samples could not be decoded", "fetch it again") from error
    if samples.shape != (len(order), header.n_time):
        raise HeaderError(
            f"{samples.shape[1]:,} samples decoded", f"the header announces {header.n_time:,}"
        )
    used = zip(record.file_name, record.fmt, record.init_value, record.checksum, strict=True)
    lines = [header.signals[number] for number in order]
    if list(used) != [(line.file, line.format, line.initial, line.checksum) for line in lines]:
        raise HeaderError(
            "a header that can be read in two ways",
            "which samples belong to a lead is not certain",
        )
    return samples


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
) -> Record:
    """Return the record at `path`, checked, in mV, with its leads in standard order.

    Nothing is said of whom it shows: `databases.load_record` reads a record and labels it.

    Parameters
    ----------
    path
        The header file, with or without `.hea`. Sample files must lie in the same folder.
    leads
        The leads that must be there; others are left out.
    renamed
        The lead that a signal of another name stands for.

    Raises
    ------
    RecordError
        For anything that is missing, damaged, contradictory or not supported.
    """
    path = header_path(path)
    with _refused(path):
        header = parse_header(_header_text(path))
        return _assemble(path, header, _find_leads(header, leads, renamed or {}), leads)


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
    """Return the path of a header that may be named without its ending.

    Examples
    --------
    >>> header_path("data/1").name
    '1.hea'
    """
    path = Path(path)
    return path if path.suffix == ".hea" else path.parent / f"{path.name}.hea"


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
        raise RecordError(name, what, "the record could not be read", "fetch it again") from error


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


def _find_leads(
    header: Header, leads: tuple[str, ...], renamed: Mapping[str, str]
) -> dict[str, int]:
    """Return the signal number of each known lead, all of `leads` among them."""
    found: dict[str, int] = {}
    for number, signal in enumerate(header.signals):
        if renamed and signal.name not in renamed:
            continue
        with contextlib.suppress(KeyError):
            lead = standard_name(renamed.get(signal.name, signal.name))
            if lead in found:
                raise HeaderError(f"lead {lead} twice", "each lead must be there once")
            found[lead] = number
    missing = [lead for lead in leads if lead not in found]
    if missing:
        names = ", ".join(signal.name[:20] for signal in header.signals[:20])
        raise HeaderError(
            f"no lead {', '.join(missing)}",
            f"{len(leads)} {'lead is' if len(leads) == 1 else 'leads are'} needed",
            f"found are {names}; check the header file",
        )
    return found


def _assemble(path: Path, header: Header, found: dict[str, int], leads: tuple[str, ...]) -> Record:
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
    path: Path, header: Header, found: dict[str, int], leads: tuple[str, ...]
) -> tuple[np.ndarray, tuple[LeadQuality, ...]]:
    """Return signals `(lead, time)` in mV and the quality of each lead."""
    signals, samples = _read_signals(path, header, [found[lead] for lead in leads])
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
    rate = record.sampling_rate
    rate = int(rate) if float(rate).is_integer() else rate
    n_signal = sum(len(leads) for _, leads, _ in groups)
    lines = [f"{record.name} {n_signal} {rate} {record.n_time}"]
    for file, leads, signals in groups:
        values = np.asarray(signals, dtype=np.float64)
        samples = np.where(np.isfinite(values), np.rint(values * adc_gain), MISSING["16"])
        samples = samples.astype("<i2")
        samples.T.tofile(folder / file)
        for lead, row in zip(leads, samples, strict=True):
            checksum = int(row.sum(dtype=np.int64)) % 65536
            facts = f"{adc_gain}(0)/mV 16 0 {row[0]} {checksum} 0 {lead}"
            lines.append(f"{file} 16 {facts}")
    lines += [f"# {comment}" for comment in record.comments]
    text = "\n".join(lines) + "\n"
    (folder / f"{record.name}.hea").write_text(text, encoding="utf-8")
