"""A strict parser of WFDB headers, run before any library trusts them.

The grammar is that of the WFDB `header(5)` manual page, narrowed to what a 12-lead recording
needs: one segment, one sample per frame, no skew. Anything else is refused with its reason.
"""

import contextlib
import math
import re
from dataclasses import dataclass

from ecgnb.text import clean_text

MAX_HEADER_BYTES = 200_000

MAX_SIGNALS = 64

MAX_FIELD = 250  # characters: as long as a file name, and no pattern below takes long on it

GAINS = (1e-6, 1e12)  # units per mV that any converter could have, and a float32 can show

MAX_SAMPLES = 6_000_000  # of all signals together: half an hour of 12 leads at 257 Hz (INCART)

BYTES_PER_SAMPLE = {"16": 2.0, "212": 1.5, "24": 3.0, "32": 4.0, "516": 0.0}

MILLIVOLTS = {"mv": 1.0, "uv": 1e-3, "\u00b5v": 1e-3, "\u03bcv": 1e-3, "v": 1e3}

_NUMBER = r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?"

_RATE = re.compile(rf"({_NUMBER})(?:/({_NUMBER})(?:\({_NUMBER}\))?)?")

_FORMAT = re.compile(r"(\d+)(?:x(\d+))?(?::(\d+))?(?:\+(\d+))?")

_GAIN = re.compile(rf"({_NUMBER})(?:\(([-+]?\d+)\))?(?:/(\S+))?")


class HeaderError(ValueError):
    """A header that is not accepted: what was found, why it matters, what to do."""

    def __init__(self, what: str, why: str, what_to_do: str = "check the header file") -> None:
        super().__init__(what)
        self.what, self.why, self.what_to_do = what, why, what_to_do


@dataclass(frozen=True)
class SignalLine:
    """One signal of a header: where its samples are and how they become mV.

    `fault` says why the signal cannot be used; only who asks for it need know. `text` is the line.
    """

    file: str
    format: str
    offset: int
    gain: float
    baseline: int
    mv_per_unit: float
    initial: int
    checksum: int
    name: str
    text: str = ""
    fault: HeaderError | None = None


@dataclass(frozen=True)
class Header:
    """A parsed header: rate in Hz, counter frequency as written, signals, comments.

    `dated` tells whether time or date follow on the record line; they are not read.
    """

    name: str
    sampling_rate: float
    counter_frequency: str
    n_time: int
    signals: tuple[SignalLine, ...]
    comments: tuple[str, ...]
    dated: bool = False


def parse_header(text: str, *, most_samples: int = MAX_SAMPLES) -> Header:
    r"""Return the header written in `text`, refused with a `HeaderError` where it is not sound.

    A record of more than `most_samples` of all its signals together is refused too.

    Examples
    --------
    >>> header = parse_header("r1 1 500/1000 250\nr1.dat 16 200(0)/mV 12 0 5 7 0 V2")
    >>> header.sampling_rate, header.counter_frequency, header.signals[0].name
    (500.0, '1000', 'V2')
    """
    # Other readers know only ASCII; these three would end a line here and vanish there.
    text = text.translate(dict.fromkeys((0x85, 0x2028, 0x2029)))
    lines = [line.strip() for line in text.splitlines()]
    comments = tuple(clean_text(line.lstrip("#").strip()) for line in lines if line[:1] == "#")
    content = [line for line in lines if line and line[0] != "#"]
    if not content:
        raise HeaderError("the header is empty", "it has no record line")
    name, n_signal, rate, counter, n_time = _record_line(content[0])
    if len(content) - 1 < n_signal:
        raise HeaderError(
            f"{len(content) - 1} signal lines", f"the record line announces {n_signal}"
        )
    signals = tuple(_signal_line(line) for line in content[1 : n_signal + 1])
    if n_time * n_signal > most_samples:
        raise HeaderError(
            f"{n_time:.3g} samples of {n_signal} signals",
            f"more than {most_samples:,} samples in one record are not read",
            "cut the recording into pieces of some minutes",
        )
    dated = len(content[0].split()) > 4
    return Header(name, rate, counter, n_time, signals, comments, dated)


def _record_line(line: str) -> tuple[str, int, float, str, int]:
    fields = _fields(line)
    if "/" in fields[0]:
        raise HeaderError(
            "a multi-segment header",
            "only records of one segment are read",
            "join the segments into one record first",
        )
    if len(fields) < 3:
        raise HeaderError("a record line without a sampling rate", "signals need one, in Hz")
    n_signal = _whole(fields[1], "number of signals", 1, MAX_SIGNALS)
    match = _RATE.fullmatch(fields[2])
    rate = float(match[1]) if match else math.nan
    if not 50 <= rate <= 5000:
        raise HeaderError(
            f"a sampling rate of {clean_text(fields[2])[:20]!r}", "it must be 50 to 5,000 Hz"
        )
    if match[2] and not math.isfinite(float(match[2])):
        raise HeaderError(f"a counter frequency of {match[2][:20]!r}", "it must be finite")
    length = fields[3] if len(fields) > 3 else "0"
    n_time = _whole(length, "number of samples", 1, 10**9)
    return clean_text(fields[0]), n_signal, rate, match[2] or "", n_time


def _fields(line: str, n_split: int = -1) -> list[str]:
    """Return the fields of a line, none of them so long that a pattern could stick in it."""
    fields = line.split(maxsplit=n_split)
    longest = max(fields, key=len)
    if len(longest) > MAX_FIELD:
        raise HeaderError(
            f"a field of {len(longest):,} characters: {clean_text(longest[:20])!r}",
            f"fields are at most {MAX_FIELD} characters long",
        )
    return fields


def _whole(text: str, what: str, low: int, high: int) -> int:
    """Return a whole number between two bounds."""
    if not re.fullmatch(r"[-+]?\d{1,18}", text) or not low <= int(text) <= high:
        raise HeaderError(
            f"a {what} of {clean_text(text)[:20]!r}",
            f"a whole number of {low} to {high} is needed",
        )
    return int(text)


def _signal_line(line: str) -> SignalLine:
    """Return a signal; one that cannot be used, with its fault: perhaps nobody wants it."""
    fields = _fields(line, 8)
    try:
        return _sound_line(fields, line)
    except HeaderError as error:
        kind, offset = (fields[1] if len(fields) > 1 else ""), 0
        with contextlib.suppress(HeaderError):
            kind, offset = _format(kind)
        name = clean_text(fields[8].strip()) if len(fields) > 8 else ""
        unknown = (math.nan, 0, math.nan, 0, 0)
        return SignalLine(fields[0], kind, offset, *unknown, name, line, error)


def _sound_line(fields: list[str], line: str) -> SignalLine:
    if len(fields) < 9:
        raise HeaderError(
            f"a signal line of {len(fields)} fields: {clean_text(line)[:40]!r}",
            "9 are needed, from the file name to the lead name",
        )
    file, (kind, offset) = fields[0], _format(fields[1])
    gain, baseline, units = _gain(fields[2])
    zero = _whole(fields[4], "ADC zero", -(2**31), 2**31)
    _whole(fields[3], "ADC resolution", 0, 64)
    _whole(fields[7], "block size", -(2**31), 2**31)
    return SignalLine(
        file=file,
        format=kind,
        offset=offset,
        gain=gain,
        baseline=zero if baseline is None else baseline,
        mv_per_unit=units,
        initial=_whole(fields[5], "initial value", -(2**31), 2**31),
        checksum=_whole(fields[6], "checksum", -(2**31), 2**31),
        name=clean_text(fields[8].strip()),
        text=line,
    )


def _format(text: str) -> tuple[str, int]:
    """Return the sample format and the byte offset of the first sample."""
    match = _FORMAT.fullmatch(text)
    if not match or match[1] not in BYTES_PER_SAMPLE:
        raise HeaderError(
            f"sample format {clean_text(text)[:20]!r}",
            f"the formats that are read are {', '.join(BYTES_PER_SAMPLE)}",
            "convert the record, for example with wfdb.wrsamp",
        )
    if match[2] not in (None, "1") or int(match[3] or 0) != 0:
        raise HeaderError("several samples per frame or a skew", "all leads must be in step")
    return match[1], _whole(match[4] or "0", "byte offset", 0, 10**6)


def _gain(text: str) -> tuple[float, int | None, float]:
    """Return units per mV (or per the unit given), the baseline if given, and mV per unit."""
    match = _GAIN.fullmatch(text)
    gain = float(match[1]) if match else math.nan
    unit = ((match and match[3]) or "mV").strip().lower()
    if not (math.isfinite(gain) and gain > 0):
        raise HeaderError(
            f"a gain of {clean_text(text)[:20]!r}",
            "without a positive gain the amplitude in mV is unknown",
        )
    if unit not in MILLIVOLTS:
        raise HeaderError(f"the unit {clean_text(unit)[:20]!r}", "mV, uV or V is needed")
    if not GAINS[0] <= gain / MILLIVOLTS[unit] <= GAINS[1]:
        raise HeaderError(
            f"a gain of {clean_text(text)[:20]!r}",
            f"no converter has less than {GAINS[0]:g} or more than {GAINS[1]:g} units per mV",
        )
    baseline = _whole(match[2], "baseline", -(2**31), 2**31) if match[2] else None
    return gain, baseline, MILLIVOLTS[unit]


def record_line(name: str, n_signal: int, sampling_rate: float, n_time: int) -> str:
    """Return the first line of a header.

    Examples
    --------
    >>> record_line("a", 12, 250.0, 1000)
    'a 12 250 1000'
    """
    rate = int(sampling_rate) if float(sampling_rate).is_integer() else sampling_rate
    return f"{name} {n_signal} {rate} {n_time}"


def signal_line(file: str, lead: str, adc_gain: float, *, first: int, total: int) -> str:
    """Return the header line of a lead of 16-bit samples, with their first one and their sum.

    Examples
    --------
    >>> signal_line("a.dat", "II", 2000.0, first=5, total=65537)
    'a.dat 16 2000.0(0)/mV 16 0 5 1 0 II'
    """
    return f"{file} 16 {adc_gain}(0)/mV 16 0 {first} {total % 65536} 0 {lead}"
