"""Text files of watches and straps, recognised by their content and read without options.

* Apple Health: lines `key,value` in any language, among them a rate in Hz and a lead or a unit;
  then one number a line, with a point or a comma.
* Polar Sensor Logger: columns `Phone timestamp`, `sensor timestamp [ns]`, `ecg [uV]`; the stamps
  tell the rate and what is missing.
* Withings, `signal.csv` of its export: one row with a frequency and a signal `[1,2,...]`, in uV
  from a wrist and in mV from an arm.

A watch records lead I unless its file says otherwise; one held elsewhere is named by `--channel`.
"""

import csv
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ecgnb.records.formats.channels import Channels, Request, refuse
from ecgnb.records.formats.head import Head, read_head
from ecgnb.records.formats.layout import (
    Layout,
    find_layout,
    is_binary,
    peek_lines,
    read_lines,
    split_line,
)
from ecgnb.records.formats.names import WATCH_LEAD, watch_channels
from ecgnb.records.formats.table import read_layout
from ecgnb.records.formats.values import is_missing, is_number
from ecgnb.records.record import RecordError

_MAX_HEAD = 40

_WRISTS, _ARMS = ("0", "1"), ("2", "3")


def is_watch(path: Path, head: bytes) -> bool:
    """Return whether a file is one of a watch or strap that is known here."""
    if is_binary(head) or path.suffix.lower() == ".hea":
        return False
    lines = peek_lines(head)
    return any(known(path, lines) for known in (_apple_head, _is_polar, _withings_columns))


def read_watch_file(path: Path, request: Request) -> Channels:
    """Return the signal of a watch's file in mV."""
    lines = read_lines(path)
    if found := _apple_head(path, lines):
        return _read_apple(path, lines, *found, request)
    if _is_polar(path, lines):
        return read_layout(path, lines, find_layout(path, lines, request), request, lead="I")
    return _read_withings(path, lines, request)


def _apple_head(path: Path, lines: Sequence[str]) -> tuple[Head, int] | None:
    """Return the head of an Apple Health export and the index of its first number, else None."""
    first = next((at for at, line in enumerate(lines[:_MAX_HEAD]) if is_number(line)), 0)
    head = [line for line in lines[:first] if line.strip()]
    pairs = [line for line in head if re.match(r"[^,;\t:=]+[,;\t:=]", line)]
    if len(head) < 2 or len(pairs) < len(head):
        return None
    if not all(is_number(line) or is_missing(line) for line in lines[first : first + 100]):
        return None
    try:
        told = read_head(path, head)
    except RecordError:
        return None
    return (told, first) if told.sampling_rate and (told.unit or told.lead) else None


def _read_apple(
    path: Path, lines: Sequence[str], head: Head, first: int, request: Request
) -> Channels:
    """Return the numbers below the head of an Apple Health export."""
    layout = Layout("", (head.lead or WATCH_LEAD,), (head.unit,), first, 1)
    return read_layout(path, lines, layout, request, head=head)


def _is_polar(_path: Path, lines: Sequence[str]) -> bool:
    names = re.sub(r"[\"\s]+", " ", lines[0].casefold())
    return "timestamp" in names and re.search(r"\becg ?\[\s*[uµμ]v\s*\]", names) is not None


def _withings_columns(_path: Path, lines: Sequence[str]) -> dict[str, int]:
    """Return where the frequency, the signal and the wear position are; empty if it is no such."""
    separator = max(",;\t", key=lines[0].count)
    columns: dict[str, int] = {}
    for at, name in enumerate(split_line(lines[0].casefold(), separator)):
        for wanted in ("frequency", "signal", "wear"):
            if wanted in name:
                columns.setdefault(wanted, at)
    is_list = any(re.search(r"\[\s*-?[\d.]+\s*[,;]", line) for line in lines[1:4])
    return columns if {"frequency", "signal"} <= columns.keys() and is_list else {}


def _read_withings(path: Path, lines: Sequence[str], request: Request) -> Channels:
    """Return the only recording of a `signal.csv`."""
    columns = _withings_columns(path, lines)
    separator = max(",;\t", key=lines[0].count)
    rows = [_long_fields(path, line, separator) for line in lines[1:] if line.strip()]
    if len(rows) != 1 or len(rows[0]) <= max(columns.values()):
        raise refuse(
            path,
            f"{len(rows)} recordings in one file",
            "one is expected",
            "keep the row of names and the row that is wanted",
        )
    worn = rows[0][columns["wear"]].strip() if "wear" in columns else ""
    unit = "uV" if worn in _WRISTS else "mV" if worn in _ARMS else ""
    if not (unit or request.unit):
        raise refuse(path, "no wear position", "the unit hangs on it", "give --unit uV or mV")
    texts = re.split(r"[,;\s]+", rows[0][columns["signal"]].strip("[] "))
    if not all(is_number(text) or is_missing(text) for text in texts):
        raise refuse(
            path, "a signal that is no list of numbers", "it is damaged", "export it again"
        )
    values = [float("nan") if is_missing(text) else float(text) for text in texts]
    rate = rows[0][columns["frequency"]].casefold().replace("hz", "").strip()
    return watch_channels(
        path,
        {WATCH_LEAD: np.array(values)},
        request,
        rate=float(rate) if is_number(rate) else None,
        unit=unit,
    )


def _long_fields(path: Path, line: str, separator: str) -> list[str]:
    """Return the fields of a line, one of which may be long."""
    limit = csv.field_size_limit(10_000_000)
    try:
        return next(csv.reader([line], delimiter=separator))
    except csv.Error as error:
        raise refuse(path, str(error), "it is no table", "export it again") from None
    finally:
        csv.field_size_limit(limit)
