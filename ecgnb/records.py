"""Read and write WFDB records: a valid `Record` or a `RecordError`, nothing in between."""

import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from ecgnb.headers import MAX_HEADER_BYTES, Header, HeaderError, parse_header
from ecgnb.leads import FRANK_LEADS, LEADS, standard_name
from ecgnb.record import LeadQuality, Record, RecordError, lead_quality
from ecgnb.samples import MISSING, read_signals, refuse_irregular
from ecgnb.text import clean_text


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
    refuse_irregular(path)
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
    signals, samples = read_signals(path, header, [found[lead] for lead in leads])
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
