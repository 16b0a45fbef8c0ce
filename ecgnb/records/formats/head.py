"""What the lines above a table say of it: rate, unit or gain, and which lead.

A line is `key: value`, `key,value`, `key=value` or `key;value`, in any language: a rate is known
by its Hz, a unit and a lead by being one.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ecgnb.records.formats.channels import MV_PER_UNIT, is_unit, plain_unit, refuse
from ecgnb.records.formats.clock import TIME_UNITS
from ecgnb.records.formats.names import signed_lead

_VALUE = r"(\d+(?:[.,]\d+)?(?:[eE][+-]?\d+)?)"

_HZ = r"(?:hz|hertz|ヘルツ|赫兹|헤르츠|sps|samples?/s)"

_HERTZ = re.compile(rf"{_VALUE}\s*(k?){_HZ}|[(\[]\s*(k?){_HZ}\s*[)\]]\W*{_VALUE}\s*$", re.I)

_RATE_KEY = (
    r"(?:sampl\w*[\s_-]*(?:rate|freq\w*)|sampling|\bfs|\bsr|\bsfreq|abtast\w*|messrate|frequency)"
)

_KEY = re.compile(rf"{_RATE_KEY}\W*[=:,;\t ]\W*{_VALUE}\W*$", re.I)

_OTHER = re.compile(
    r"filt|notch|mains|netz|pass|band|line freq|cut.?off|heart|puls|bpm|card", re.I
)

_SAMPLING = re.compile(
    r"sampl|abtast|messrate|\bfs\b|\bsr\b|chantillon|muestr|campion|amostr|bemonster|mintav|próbk|"
    r"vzork|サンプ|采样|採樣|샘플|örnek|näyte|sampel",
    re.I,
)

_INTERVAL = re.compile(rf"(?:interval|period)\w*\W*[=:,;\t ]\W*{_VALUE}\s*(\w+)\W*$", re.I)

_VOLTS = "|".join(sorted((re.escape(word) for word in MV_PER_UNIT), key=len, reverse=True))

_DIGIT = r"(?:digits?|adu|adc|counts?|lsb|bits?|units?)"

_PER_MV = rf"{_DIGIT}\s*(?:/|per)\s*({_VOLTS})\b"

_MV_PER = rf"({_VOLTS})\s*(?:/|per)\s*{_DIGIT}"

_GAIN = re.compile(rf"{_PER_MV}\W*{_VALUE}|{_VALUE}\s*{_PER_MV}", re.I)

_STEP = re.compile(rf"{_MV_PER}\W*{_VALUE}|{_VALUE}\s*{_MV_PER}", re.I)

_SOME_GAIN = re.compile(r"\b(?:gain|resolution|lsb|verstärkung|auflösung|scale|scaling)\b", re.I)

_PAIR = re.compile(r"^[#%/\s]*[\"']?([^=:,;\t]+?)[\"']?\s*[=:,;\t]\s*(.*?)[\s,;\t]*$")

_UNIT_KEY = re.compile(r"unit|einheit|volt", re.I)


@dataclass(frozen=True)
class Head:
    """What the head of a file states; empty or None where it says nothing.

    `mv_per_digit` is set where it tells a gain, `some_gain` is the line of a gain that is not
    understood.
    """

    sampling_rate: float | None = None
    unit: str = ""
    mv_per_digit: float | None = None
    some_gain: str = ""
    lead: str = ""


def read_head(path: Path, lines: Sequence[str]) -> Head:
    """Return what some lines of metadata state.

    Raises
    ------
    RecordError
        If they state two rates or two units.

    Examples
    --------
    >>> head = read_head(Path("a.csv"), ["Frequenza,512 hertz", "Lead,Lead I", "U,uV"])
    >>> head.sampling_rate, head.lead, head.unit
    (512.0, 'Lead I', 'uV')
    """
    rates = _rates(lines)
    pairs = [pair for line in lines for pair in [_pair(line)] if pair[1]]
    values = [value for _, value in pairs]
    units = {plain_unit(value): value for key, value in pairs if _states_unit(key, value)}
    gains = {factor for line in lines for factor in [_mv_per_digit(line)] if factor}
    for what, found in (("rates", rates), ("units", units), ("gains", gains)):
        if len(found) > 1:
            raise refuse(
                path,
                f"{what} of {' and '.join(str(each) for each in sorted(found))} above the table",
                "which of them holds is unknown",
                "take the wrong line out",
            )
    leads = [value for value in values if signed_lead(value)[0] and not is_unit(value)]
    gain_lines = [line for line in lines if _SOME_GAIN.search(line) and not gains]
    return Head(
        sampling_rate=min(rates, default=None),
        unit=next(iter(units.values()), ""),
        mv_per_digit=min(gains, default=None),
        some_gain=gain_lines[0] if gain_lines else "",
        lead=leads[0] if len(set(leads)) == 1 else "",
    )


def _pair(line: str) -> tuple[str, str]:
    """Return the key and the value of a line, without quotes; both "" if it is none."""
    match = _PAIR.match(line)
    return (match[1], match[2].strip().strip("\"'").strip()) if match else ("", "")


def _states_unit(key: str, value: str) -> bool:
    """Return whether a line states a unit of voltage; a V alone may be a woman in Dutch."""
    return is_unit(value) and (plain_unit(value) != "v" or _UNIT_KEY.search(key) is not None)


def _rates(lines: Sequence[str]) -> set[float]:
    """Return the rates in Hz that lines state, those of a sampling word before any others."""
    found = [(line, rate) for line in lines for rate in [_rate(line)] if rate]
    named = {rate for line, rate in found if _SAMPLING.search(line)}
    others = {rate for line, rate in found if rate not in (50, 60)}
    return named or others


def _rate(line: str) -> float | None:
    if match := _INTERVAL.search(line):
        seconds = _float(match[1]) * TIME_UNITS.get(plain_unit(match[2]), 0.0)
        return round(1 / seconds, 6) if seconds > 0 else None
    if _OTHER.search(line) and not _SAMPLING.search(line):
        return None
    if match := _HERTZ.search(line):
        return _float(match[1] or match[4]) * (1000 if match[2] or match[3] else 1)
    match = _KEY.search(line)
    return _float(match[1]) if match else None


def _mv_per_digit(line: str) -> float | None:
    """Return mV per digit of a line such as `Gain (digit/millivolt): 2048` or `2.44 uV/LSB`."""
    if match := _GAIN.search(line):
        unit, value = match[1] or match[4], _float(match[2] or match[3])
        return MV_PER_UNIT[plain_unit(unit)] / value if value else None
    if match := _STEP.search(line):
        unit, value = match[1] or match[4], _float(match[2] or match[3])
        return MV_PER_UNIT[plain_unit(unit)] * value or None
    return None


def _float(text: str) -> float:
    return float(text.replace(",", "."))
