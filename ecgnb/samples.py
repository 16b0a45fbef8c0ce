"""Read the sample files of a record, each one checked against its header first."""

import math
import warnings
from pathlib import Path

import numpy as np

from ecgnb.headers import BYTES_PER_SAMPLE, Header, HeaderError, SignalLine
from ecgnb.text import clean_text

with warnings.catch_warnings():  # wfdb uses an argument that pandas will drop
    warnings.filterwarnings("ignore", message="The inplace keyword")
    import wfdb

MISSING = {"16": -(2**15), "212": -(2**11), "24": -(2**23), "32": -(2**31), "516": -(2**15)}


def refuse_irregular(path: Path) -> None:
    """Refuse anything but a regular file that really lies in its folder."""
    shown = clean_text(path.name)[:60]
    if not path.exists() and not path.is_symlink():
        raise HeaderError(f"{shown} is absent", "the record needs it", "fetch the record again")
    if path.resolve().parent != path.parent.resolve() or not path.is_file():
        raise HeaderError(
            f"{shown} is not a regular file of the folder", "links out of it are not followed"
        )


def read_signals(path: Path, header: Header, numbers: list[int]) -> tuple[np.ndarray, np.ndarray]:
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
    refuse_irregular(path.parent / file)
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
