"""Tables as people export them become signals in mV, or are refused where they are unclear.

Every row must have as many fields as the names; a separator at the end of every row is no field. A
column of times or of counts says where samples are missing; without one, a blank line is a missing
sample.
"""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ecgnb.records.formats.channels import (
    Channels,
    Request,
    agreed_factor,
    plain_unit,
    refuse,
    refuse_implausible,
    split_unit,
    stated_rate,
)
from ecgnb.records.formats.clock import (
    TIME_UNITS,
    Placement,
    is_stamp,
    place_by_counter,
    place_by_time,
    seconds_of,
    seconds_per_unit,
)
from ecgnb.records.formats.head import Head, read_head
from ecgnb.records.formats.layout import (
    Layout,
    find_layout,
    is_binary,
    is_comment,
    is_counter,
    is_no_voltage,
    is_plain_signal,
    is_time,
    read_lines,
    time_parts,
)
from ecgnb.records.formats.names import Pick, lead_of, pick
from ecgnb.records.formats.values import decimal_sign, is_missing, parse_block, plain_field
from ecgnb.records.record import RecordError
from ecgnb.records.wfdb_header import MAX_SAMPLES

_BLOCK = 20_000

_INTERVAL = re.compile(r"(\d*\.?\d+)\s*(m?)s(?:ec)?")


@dataclass(frozen=True)
class Body:
    """The text of some columns, in blocks of lines; the line and the blankness of each row."""

    columns: dict[int, list[str]]
    lines: np.ndarray
    blank: np.ndarray
    starts: list[int]


def is_table(path: Path, head: bytes) -> bool:
    """Return whether a file may be a table: any text that is no header of a WFDB record."""
    return path.suffix.lower() != ".hea" and not is_binary(head)


def read_table_file(path: Path, request: Request) -> Channels:
    """Return the wanted leads of a table in mV; samples that are missing are NaN.

    Raises
    ------
    RecordError
        Wherever the table could mean two things; the line is named.
    """
    lines = read_lines(path)
    return read_layout(path, lines, find_layout(path, lines, request), request)


def _gather(path: Path, lines: Sequence[str], layout: Layout, wanted: Sequence[int]) -> Body:
    """Return the text of the wanted fields of every row, each row checked for its fields.

    Raises
    ------
    RecordError
        If a row has too few or too many fields, or a quote stays open; the line is named.
    """
    kept = [at for at in range(layout.first, len(lines)) if not is_comment(lines[at])]
    while kept and not lines[kept[-1]].strip():
        kept.pop()
    columns: dict[int, list[str]] = {position: [] for position in wanted}
    if len(kept) * max(len(wanted), 1) > 2 * MAX_SAMPLES:
        raise refuse(path, f"{len(kept):,} rows", "too many at once", "cut the recording")
    for start in range(0, len(kept), _BLOCK):
        rows = _rows(path, lines, kept[start : start + _BLOCK], layout)
        fields = list(zip(*rows, strict=True))
        for position in wanted:
            columns[position].append("\n".join(fields[position]))
    blank = np.array([not lines[at].strip() for at in kept], bool)
    return Body(columns, np.array(kept) + 1, blank, list(range(0, len(kept), _BLOCK)))


def _rows(
    path: Path, lines: Sequence[str], kept: Sequence[int], layout: Layout
) -> list[Sequence[str]]:
    """Return the fields of some lines; a blank line has empty fields."""
    texts = [lines[at] for at in kept]
    separator, n_field = layout.separator, layout.n_field
    if separator == "":
        if tabs := [at for at, text in zip(kept, texts, strict=True) if "\t" in text]:
            raise _wrong_fields(path, tabs[0] + 1, 2, layout)
        return [[text] for text in texts]
    if any('"' in text for text in texts):
        plain_texts = [" ".join(text.split()) for text in texts] if separator == " " else texts
        rows = _quoted_rows(path, plain_texts, kept, separator)
    else:
        rows = [text.split(None if separator == " " else separator) for text in texts]
    empty = [""] * n_field
    for at, (row, text) in enumerate(zip(rows, texts, strict=True)):
        if len(row) != n_field or any(row[spare].strip() for spare in layout.spare):
            if not text.strip():
                rows[at] = empty
                continue
            raise _wrong_fields(path, kept[at] + 1, len(row), layout)
    return rows


def _quoted_rows(
    path: Path, texts: Sequence[str], kept: Sequence[int], separator: str
) -> list[Sequence[str]]:
    """Return the fields of lines with quotes; a quote that stays open is refused."""
    odd = [at for at, text in zip(kept, texts, strict=True) if text.count('"') % 2]
    try:
        rows = [] if odd else list(csv.reader(texts, delimiter=separator))
    except csv.Error:
        rows = []
    if len(rows) != len(texts):
        where = f" in line {odd[0] + 1:,}" if odd else ""
        raise refuse(path, f"a quote that stays open{where}", "it is no table", "close the quotes")
    return rows


def _wrong_fields(path: Path, line: int, n_field: int, layout: Layout) -> RecordError:
    expected = layout.n_field - len(layout.spare)
    return refuse(
        path,
        f"{n_field} fields in line {line:,}, {expected} expected",
        "a value would land under another lead",
        f"mend the line; the columns are {', '.join(layout.names)[:80] or 'without names'}",
    )


def read_layout(
    path: Path,
    lines: Sequence[str],
    layout: Layout,
    request: Request,
    *,
    lead: str = "",
    head: Head | None = None,
) -> Channels:
    """Return the wanted leads of a table whose layout is known.

    Parameters
    ----------
    path
        The file, for refusals.
    lines
        Its lines.
    layout
        How they are written.
    request
        What is wanted.
    lead
        The lead of the only signal where its name does not say one: a watch's lead.
    head
        What is known beforehand; else the lines above the names tell.
    """
    head = head or read_head(path, layout.head)
    lead = lead or lead_of(head.lead)
    names = layout.names or ("",) * layout.n_field
    times = [at for at, name in enumerate(names) if is_time(name)]
    rate = stated_rate(path, head.sampling_rate or _rate_of_units(layout), request)
    picks, notes = _find_signals(path, layout, request, lead)
    times = [at for at in times if at not in [each.position for each in picks]]
    if rate is None and not times:
        raise refuse(
            path, "a table without a sampling rate", "times are unknown", "give --sampling-rate"
        )
    if {each.lead for each in picks} != set(request.leads):
        there = {each.lead: np.zeros(0) for each in picks}
        return Channels(there, float("nan"), found=layout.names)
    counters = [at for at, name in enumerate(names) if layout.names and is_counter(name)]
    counters = [at for at in counters if at not in [each.position for each in picks]]
    wanted = [each.position for each in picks] + times + counters
    body = _gather(path, lines, layout, [at + layout.shift for at in wanted])
    if not body.lines.size:
        raise refuse(path, "0 samples", "there is no line of numbers", "export it again")
    columns = _Columns(path, body, layout)
    placed, keep = _place(columns, times, counters, rate, [each.position for each in picks])
    signals, more = _signals(columns, layout, picks, head, request)
    named = {}
    for each, row in zip(picks, signals, strict=True):
        whole = np.full(placed.numbers[-1] + 1, np.nan)
        whole[placed.numbers] = row[keep]
        named[each.lead] = whole
    return Channels(named, placed.sampling_rate, layout.names, (*notes, *more, *placed.notes))


def _rate_of_units(layout: Layout) -> float | None:
    """Return the rate of a row of units that says `0.004 sec` below a count of samples."""
    for name, unit in zip(layout.names, layout.units, strict=True):
        match = _INTERVAL.fullmatch(unit.strip().casefold())
        if match and is_counter(name) and float(match[1]) > 0:
            return round((1000 if match[2] else 1) / float(match[1]), 6)
    return None


def _find_signals(
    path: Path, layout: Layout, request: Request, lead: str
) -> tuple[tuple[Pick, ...], tuple[str, ...]]:
    """Return the wanted columns, and a note where a column is taken for want of another."""
    if not layout.names:
        if layout.n_field > 1 or len(request.leads) > 1:
            raise refuse(
                path,
                "a first line of numbers",
                "a header with lead names is expected, such as I,II,V2",
                "add the header",
            )
        only = lead or request.leads[0]
        picks = (Pick(only, 0, 1),) if only in request.leads else ()
        return picks, () if lead else (f"the only column is taken as lead {only}",)
    picks = pick(path, layout.names, request)
    if picks or request.channel or len(request.leads) > 1:
        return picks, ()
    rest = [
        at for at, name in enumerate(layout.names) if not is_time(name) and not is_counter(name)
    ]
    rest = rest or ([0] if len(layout.names) == 1 else [])
    said = [at for at in rest if re.search("e[ck]g", layout.names[at].casefold())]
    rest = said if len(said) == 1 else rest
    if len(rest) != 1 or not is_plain_signal(layout.names[rest[0]]):
        return (), ()
    if lead and lead not in request.leads:
        raise refuse(
            path,
            f"a recording of lead {lead}, not {request.leads[0]}",
            "the file or its kind says so; a watch or strap records lead I where it is worn",
            f"if it was held elsewhere, say so: --channel {layout.names[rest[0]]!r}",
        )
    note = f"the column {layout.names[rest[0]]!r} is taken as lead {request.leads[0]}"
    return (Pick(request.leads[0], rest[0], 1),), (note,)


class _Columns:
    """The columns of a body as numbers or as text, found by the position of their name."""

    def __init__(self, path: Path, body: Body, layout: Layout) -> None:
        self.path, self.body, self.layout = path, body, layout
        self.shift = layout.shift
        numeric = [blocks for blocks in body.columns.values() if not _first_is_stamp(blocks[0])]
        self.decimal = decimal_sign(path, numeric)

    def text(self, at: int) -> list[str]:
        return "\n".join(self.body.columns[at + self.shift]).split("\n")

    def is_stamps(self, at: int) -> bool:
        return _first_is_stamp(self.body.columns[at + self.shift][0])

    def numbers(self, at: int) -> np.ndarray:
        blocks, lines = self.body.columns[at + self.shift], self.body.lines
        ends = [*self.body.starts[1:], len(lines)]
        pairs = zip(blocks, self.body.starts, ends, strict=True)
        parts = [
            parse_block(self.path, block, lines[start:end].tolist(), self.decimal)
            for block, start, end in pairs
        ]
        return np.concatenate(parts)

    def exact(self, at: int) -> np.ndarray:
        """Return numbers from the first one on, whole ones without loss: stamps in ns have 18."""
        texts = self.text(at)
        try:
            whole = np.array([int(plain_field(text)) for text in texts if text.strip()], np.int64)
        except (ValueError, OverflowError):
            numbers = self.numbers(at)
            return numbers - numbers[np.flatnonzero(np.isfinite(numbers))[:1]].sum()
        numbers = np.full(len(texts), np.nan)
        numbers[[bool(text.strip()) for text in texts]] = whole - whole[:1].sum()
        return numbers


def _first_is_stamp(block: str) -> bool:
    first = next((field for field in block.split("\n", 50) if not is_missing(field)), "")
    return is_stamp(first)


def _place(
    columns: _Columns,
    times: Sequence[int],
    counters: Sequence[int],
    rate: float | None,
    signals: Sequence[int],
) -> tuple[Placement, np.ndarray]:
    """Return where the rows belong, and a mask `(row,)` of those that hold samples."""
    body = columns.body
    placed, refusals = [], []
    for at in times:
        keep = ~body.blank
        try:
            result = _place_by(columns, at, keep, rate, signals)
        except RecordError as error:
            refusals.append(error)
        else:
            placed += [result] if result else []
    if refusals and not placed:
        raise refusals[0]
    if placed:
        return _finest(columns.path, placed)
    _check_blanks(columns.path, body)
    every = np.ones(body.lines.size, bool)
    if rate is None:
        raise refuse(
            columns.path,
            "a time column in steps of 1",
            "it may count samples or milliseconds",
            "give --sampling-rate, or name its unit: 'time [ms]'",
        )
    counts = [columns.exact(at) for at in counters]
    counted = [
        place_by_counter(columns.path, each, body.lines, rate)
        for each in counts
        if np.isfinite(each).all()
    ]
    plain_order = Placement(np.arange(body.lines.size), rate)
    return max(counted, key=lambda each: int(each.numbers[-1]), default=plain_order), every


def _place_by(
    columns: _Columns, at: int, keep: np.ndarray, rate: float | None, signals: Sequence[int]
) -> tuple[Placement, np.ndarray] | None:
    """Return the same by one time column, None if it says nothing: empty, or one date."""
    path, body = columns.path, columns.body
    texts = columns.text(at)
    if len({text.strip() for text, kept in zip(texts, keep, strict=True) if kept}) == 1:
        return None
    stamped = np.array([not is_missing(text) for text in texts])
    if (lost := keep & ~stamped).any():
        values = np.stack([columns.numbers(position) for position in signals])
        if np.isfinite(values[:, lost]).any():
            line = body.lines[np.flatnonzero(lost)[0]]
            raise refuse(
                path,
                f"no time in line {line:,}",
                "where its samples belong is unknown",
                "write the time, or take the time column out and give --sampling-rate",
            )
        keep = keep & stamped
    lines = body.lines[keep]
    if columns.is_stamps(at):
        chosen = [text for text, kept in zip(texts, keep, strict=True) if kept]
        return place_by_time(path, seconds_of(path, chosen, lines), lines, rate), keep
    numbers = columns.exact(at)[keep]
    unit = _unit_of_time(columns, at)
    factor = seconds_per_unit(path, unit, numbers, rate) if numbers.size > 1 else None
    if factor is None and np.median(np.diff(numbers)) == 1:
        if rate is None:
            return None
        return place_by_counter(path, numbers, lines, rate), keep
    if factor is None:
        raise refuse(
            path,
            f"a time column in steps of {np.median(np.diff(numbers)):g}",
            "in s, ms, us or ns that is no rate of 50 to 5,000 Hz",
            "name its unit, or take the column out and give --sampling-rate",
        )
    return place_by_time(path, numbers * factor, lines, rate), keep


def _unit_of_time(columns: _Columns, at: int) -> str:
    name, unit = columns.layout.names[at], columns.layout.units[at]
    return unit if plain_unit(unit) in TIME_UNITS else time_parts(name)[1]


def _finest(
    path: Path, placed: Sequence[tuple[Placement, np.ndarray]]
) -> tuple[Placement, np.ndarray]:
    """Return the placement by the last of several time columns that agree, the finest clock."""
    rates = [each.sampling_rate for each, _ in placed]
    if max(rates) / min(rates) - 1 > 0.01:
        raise refuse(
            path,
            f"time columns of {', '.join(f'{rate:g}' for rate in rates)} Hz",
            "they contradict each other",
            "take the wrong one out",
        )
    return max(placed, key=lambda each: int(each[0].numbers[-1]))


def _check_blanks(path: Path, body: Body) -> None:
    """Refuse blank lines that may be no samples: before the first number, or every second line."""
    if body.blank[0] or (body.blank.size > 4 and body.blank.mean() > 0.4):
        raise refuse(
            path,
            f"blank lines from line {body.lines[np.flatnonzero(body.blank)[0]]:,} on",
            "they may be missing samples or nothing",
            "take them out, or write NaN where a sample is missing",
        )


def _signals(
    columns: _Columns, layout: Layout, picks: Sequence[Pick], head: Head, request: Request
) -> tuple[list[np.ndarray], tuple[str, ...]]:
    """Return the picked signals `(row,)` in mV, and notes on their units."""
    path, notes, signals, silent = columns.path, [], [], []
    for each in picks:
        name = layout.names[each.position] if layout.names else ""
        row_unit = layout.units[each.position] if layout.units else ""
        own = split_unit(name)[1] or row_unit
        digits = is_no_voltage(own)
        said = ("" if digits else own) or head.unit
        factor, note = agreed_factor(path, said, request.unit)
        if not said and head.mv_per_digit:
            factor, note = head.mv_per_digit, "the numbers are digits, by the gain in the file"
        elif not said and not request.unit and (head.some_gain or own not in ("", "-")):
            raise refuse(
                path,
                f"numbers in {own or 'digits'} ({head.some_gain[:40] or 'no gain'})",
                "how many mV they are is unknown",
                "convert them to mV, or give --unit",
            )
        values = columns.numbers(each.position) * (each.sign * factor)
        notes.append(note)
        signals.append(values)
        if not (said or request.unit or head.mv_per_digit):
            silent.append(values)
    if silent:
        refuse_implausible(path, silent)
        notes.append("the file names no unit: its numbers are taken as mV")
    return signals, tuple(dict.fromkeys(filter(None, notes)))
