"""How a table is written, told from its text before anything is read as a number.

Found by the content: encoding, separator, lines above the names, the row of names, a row of units,
comment lines (`#`, `%`, `//`), row names. What can be read in two ways is refused.
"""

import codecs
import contextlib
import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ecgnb.records.formats.channels import Request, is_unit, plain_unit, refuse, split_unit
from ecgnb.records.formats.clock import TIME_UNITS, is_stamp
from ecgnb.records.formats.names import known_leads, name_positions
from ecgnb.records.formats.values import is_missing, is_number, plain_field

MAX_TABLE_BYTES = 500_000_000

MAX_FIELDS = 1000

SEPARATORS = ("\t", ";", "|", ",", " ", "")  # " " is any run of blanks, "" none: one column

_HEAD_LINES = 150

_COMMENT = re.compile(r"\s*(?:#(?!N/A|NV|VALUE|WERT)|%|//)", re.IGNORECASE)

_COUNTER = re.compile(
    r"(?:(?:sample|data|row|point|frame)s?)?[\s_]*(?:#|no|nr|num|number|index|idx|id|count|counter|interval)?\.?|"
    r"points?|n|unnamed: 0|zeile|nummer|muestra|échantillon",
)

_TIME = re.compile(
    r"(?:elapsed|phone|sensor|sample|system|local|recording|relative|unix|epoch|ecg)?[\s_]*"
    r"(?:date|time|times|time ?stamps?|datetime|date[\s_/]*time)(?:[\s_].*)?|t|s|secs?|seconds?|"
    r"m?sec|ms|us|ns|milliseconds?|clock|epoch|zeit.*|uhrzeit|datum|sekunden?|temps|tempo|tiempo|"
    r"heure|hora|ora|tijd|tid|fecha|channeltitle=|hh:mm:ss.*|"
    r".*timestamp.*",
)

_TIME_UNIT = re.compile(r"^(.*?)(?:\s*[\[(]\s*([^\])]*?)\s*[\])]|(?:^|[\s_/,]+)([a-zμ]+))$")

_PLAIN_SIGNAL = re.compile(
    r"(?:(?:raw|filtered)[\s_]*)?(?:ecg|ekg|voltage|signal|amplitude|value|values|data|raw|potential|"
    r"samples?|wert|spannung|valeur|valor|valore|y|)"
    r"(?:[\s_]*(?:raw|signal|value|values|voltage|data|amplitude|sample|samples))?",
)

_OTHER_UNITS = re.compile(
    r"|-|nu|n\.u\.|a\.?u\.?|adu|digits?|counts?|raw|lsb|bpm|mmhg|%|g|mg|#|n/a|hh:mm:ss.*|"
    r"(?:h+:)?mm?:ss.*|date.*|.*time.*|[\d.]+\s*m?s(?:ec)?",
)

_DIGITS = re.compile(r"adu|digits?|counts?|lsb")

_LEADISH = re.compile(r"[ivcd\u2160-\u2162]", re.IGNORECASE)  # a letter of every lead's name

_SETTING = re.compile(r"[A-Za-z][\w ]*[=:]$")  # lines of `Range=` that recorders put below names


@dataclass(frozen=True)
class Layout:
    """How a table is written.

    `names` and `units` of its columns; `first` is the index of the first line of numbers; rows
    have `n_field` fields, `shift` of them before the first named one; `spare` are
    fields that must be empty in every row; `head` are the lines above the names.
    """

    separator: str
    names: tuple[str, ...]
    units: tuple[str, ...]
    first: int
    n_field: int
    shift: int = 0
    spare: tuple[int, ...] = ()
    head: tuple[str, ...] = ()


def read_lines(path: Path) -> list[str]:
    """Return the lines of a text file in any of the usual encodings.

    UTF-8 with or without a mark, UTF-16 with or without one, else Windows-1252 or Latin-1.
    """
    if path.stat().st_size > MAX_TABLE_BYTES:
        raise refuse(path, "the file is huge", "500 MB at most are read", "cut it into pieces")
    text = _decode(path.read_bytes(), whole=True)
    if text is None:
        raise refuse(path, "bytes that are no text", "it is no table", "export it as text")
    if not text.strip():
        raise refuse(path, "an empty file", "it is no table", "export it again")
    return _split(text)


def peek_lines(head: bytes) -> list[str]:
    """Return the lines of the first bytes of a file, the last of them cut; none if no text."""
    return _split(_decode(head, whole=False) or "")


def _split(text: str) -> list[str]:
    text = text.replace("\r\r\n", "\n").replace("\r\n", "\n").replace("\r", "\n")
    lines = text.split("\n")
    if all(line.count('"') == 2 and line[0] == line[-1] == '"' for line in lines if line.strip()):
        return [line[1:-1] for line in lines]  # each row in quotes, as Excel does on a 2nd save
    return lines


def is_binary(head: bytes) -> bool:
    """Return whether the first bytes of a file are no text in any usual encoding."""
    return b"\0" in head and _wide(head) is None


def _wide(content: bytes) -> str | None:
    """Return the encoding of two or four bytes a letter, by its mark or by its zeros."""
    marks = {b"\xff\xfe\0\0": "utf-32", b"\0\0\xfe\xff": "utf-32", b"\xff\xfe": "utf-16"}
    marks[b"\xfe\xff"] = "utf-16"
    for mark, encoding in marks.items():
        if content.startswith(mark):
            return encoding
    part = content[:4000]
    if len(part) > 3 and 0 not in part[::2] and part[1::2].count(0) > 0.9 * len(part[1::2]):
        return "utf-16-le"
    if len(part) > 3 and 0 not in part[1::2] and part[::2].count(0) > 0.9 * len(part[::2]):
        return "utf-16-be"
    return None


def _decode(content: bytes, *, whole: bool) -> str | None:
    """Return bytes as text, None if they are none; a letter may be cut off unless `whole`."""
    wide = _wide(content)
    for encoding in [wide] if wide else ["utf-8-sig", "cp1252", "latin-1"]:
        try:
            text = codecs.getincrementaldecoder(encoding)().decode(content, final=whole)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text.removeprefix("\ufeff")
    return None


def is_time(name: str) -> bool:
    """Return whether a column's name says that it holds times; a unit of voltage says otherwise.

    Examples
    --------
    >>> is_time("Elapsed time"), is_time("sensor timestamp [ns]"), is_time("t_ms"), is_time("ecg")
    (True, True, True, False)
    """
    base = time_parts(name)[0]
    return _TIME.fullmatch(base) is not None and not is_unit(split_unit(name)[1])


def time_parts(name: str) -> tuple[str, str]:
    """Return the name of a time column in lower case, and its unit."""
    text = plain_unit(name)
    match = _TIME_UNIT.match(text)
    unit = (match[2] or match[3] or "") if match else ""
    if match and (match[2] or unit in TIME_UNITS):
        return match[1].strip() or unit, unit
    return text, ""


def is_counter(name: str) -> bool:
    """Return whether a column's name says that it numbers the samples.

    Examples
    --------
    >>> is_counter("sample #"), is_counter("point"), is_counter(""), is_counter("value")
    (True, True, True, False)
    """
    return _COUNTER.fullmatch(plain_unit(name)) is not None


def is_no_voltage(unit: str) -> bool:
    """Return whether a cell in a row of units says nothing of voltage: digits, a dash, a time.

    Examples
    --------
    >>> is_no_voltage("adu"), is_no_voltage("mV"), is_no_voltage("km")
    (True, False, False)
    """
    return not is_unit(unit) and _OTHER_UNITS.fullmatch(plain_unit(unit)) is not None


def is_plain_signal(name: str) -> bool:
    """Return whether a name says no more than that a column is a signal.

    Examples
    --------
    >>> is_plain_signal("value"), is_plain_signal("ecg [uV]"), is_plain_signal("pressure")
    (True, True, False)
    """
    return _PLAIN_SIGNAL.fullmatch(plain_unit(split_unit(name)[0])) is not None


def find_layout(path: Path, lines: Sequence[str], request: Request) -> Layout:
    """Return how a table is written; what can be read in two ways is refused."""
    told = re.fullmatch(r"\"?sep=(.)\"?", lines[0].rstrip("\r")) if lines else None
    shown = "\n".join(lines[:_HEAD_LINES])
    separators = (told[1],) if told else tuple(each for each in SEPARATORS if each in shown)
    start = 1 if told else 0
    found = [_try(lines, separator, start, request) for separator in separators]
    layout = _likeliest(path, [each for each in found if each])
    _check_head(path, layout)
    if layout.n_field == 1 and _may_be_numbered(lines[layout.first : layout.first + 100]):
        raise refuse(
            path,
            f"line {layout.first + 1:,} may be a number with a comma or a row number and a value",
            "commas may separate fields or be decimal signs",
            "export it with semicolons or tabs",
        )
    if layout.n_field > MAX_FIELDS:
        raise refuse(
            path, f"{layout.n_field:,} columns", "one a lead is expected", "turn the table round"
        )
    if (layout.n_field, layout.separator) == (1, " "):
        return replace(layout, separator="")  # so that a stray tab is no blank to be overlooked
    return layout


def _likeliest(path: Path, found: Sequence[tuple[int, int, Layout]]) -> Layout:
    """Return the layout with the best score; two of one score that say different are refused."""
    named = [each for each in found if each[0] > 0]
    tried = sorted(named or found, key=lambda each: (-each[0], each[1]))
    if not tried:
        raise refuse(
            path, "no lines of numbers", "it is no table", "export it with a row of lead names"
        )
    score, faults, layout = tried[0]
    for other_score, other_faults, other in tried[1:]:
        same = _meaning(other) == _meaning(layout)
        if (other_score, other_faults) == (score, faults) and faults == 0 and not same:
            raise refuse(
                path,
                f"line {layout.first + 1:,} can be read with two separators",
                "commas may separate fields or be decimal signs",
                "export it with semicolons or tabs",
            )
    return layout


def _check_head(path: Path, layout: Layout) -> None:
    """Refuse numbers, or the same names once more, above the row of names."""
    above = [split_line(line, layout.separator) for line in layout.head if not is_comment(line)]
    if any(
        tuple(fields) == layout.names
        or _is_numeric(fields)
        or (is_number(fields[0]) and len(fields) == layout.n_field > 1)
        for fields in above
    ):
        raise refuse(
            path,
            f"numbers or the same names above the row of names, line {layout.first:,}",
            "two tables seem to be joined, or the names stand in the wrong place",
            "keep one table with its names above it",
        )


def _may_be_numbered(lines: Sequence[str]) -> bool:
    """Return whether what stands before each comma counts 0, 1, 2, ... or 1, 2, 3, ..."""
    filled = [line.strip() for line in lines if line.strip() and not is_comment(line)]
    before = [line.partition(",")[0] for line in filled if "," in line]
    return len(filled) == len(before) > 2 and _counts(before)


def _meaning(layout: Layout) -> tuple[tuple[str, ...], int]:
    """Return what two layouts must share to say the same: names, and fields that hold values."""
    filled = tuple(name for name in layout.names if name)
    return filled, layout.n_field - layout.shift - len(layout.spare)


def split_line(line: str, separator: str) -> list[str]:
    """Return the fields of one line without quotes and blanks around them."""
    if separator == "":
        return [plain_field(line)]
    if '"' in line:
        line = " ".join(line.split()) if separator == " " else line
        with contextlib.suppress(csv.Error):
            return [plain_field(field) for field in next(csv.reader([line], delimiter=separator))]
    return [plain_field(field) for field in line.split(None if separator == " " else separator)]


def is_comment(line: str) -> bool:
    """Return whether a line begins with a mark of comments; `#N/A` is none."""
    return _COMMENT.match(line) is not None


def _is_numeric(fields: Sequence[str]) -> bool:
    """Return whether a row holds numbers, times and marks for missing samples only."""
    numbers = [is_number(field) or is_stamp(field) for field in fields]
    return any(numbers) and all(
        number or is_missing(field) for number, field in zip(numbers, fields, strict=True)
    )


def _is_units(fields: Sequence[str]) -> bool:
    """Return whether a row holds units only, one of them of voltage, of time or of digits."""
    bare = [plain_unit(field.strip("[]() ")) for field in fields]
    certain = [
        is_unit(field) or field in TIME_UNITS or _DIGITS.fullmatch(field) is not None
        for field in bare
    ]
    return any(certain) and all(
        sure or _OTHER_UNITS.fullmatch(field) is not None
        for sure, field in zip(certain, bare, strict=True)
    )


def _stands_above_numbers(at: int, rows: Sequence[tuple[int, list[str]]]) -> bool:
    """Return whether numbers come next after a row, but for one of units and `key=` rows."""
    below = [fields for each, fields in rows if each > at]
    below = below[1:] if below and _is_units(below[0]) else below
    first = next((fields for fields in below if not _SETTING.match(fields[0])), [""])
    return any(is_number(field) or is_stamp(field) or is_missing(field) for field in first)


def _count_known(fields: Sequence[str], request: Request) -> int:
    """Return how many fields of a row without numbers name a lead or what the caller names."""
    wanted = [name for name in (request.channel, *request.renamed) if name]
    if not wanted and not any(_LEADISH.search(field) for field in fields):
        return 0
    if any(is_number(field) or is_stamp(field) for field in fields):
        return 0
    known = {at for at, (lead, _) in enumerate(known_leads(fields)) if lead}
    for name in wanted:
        known |= set(name_positions(fields, name))
    return len(known)


def _try(
    lines: Sequence[str], separator: str, start: int, request: Request
) -> tuple[int, int, Layout] | None:
    """Return how well a separator fits (names known, rows that do not fit) and its layout."""
    numbered = [(at, line) for at, line in enumerate(lines[:_HEAD_LINES]) if at >= start]
    filled = [(at, line) for at, line in numbered if line.strip()]
    rows = [(at, split_line(line, separator)) for at, line in filled if not is_comment(line)]
    numeric = next((at for at, fields in rows if _is_numeric(fields)), None)
    header = _header(filled, rows, separator, numeric, request)
    if header is None and numeric is None:
        return None
    if header is None:
        return _without_names(lines, rows, separator, numeric or 0)
    at, names, known = header
    if any(name and not name.strip(",;|") for name in names):
        return None  # another separator stands where this one sees a name
    after = [row for row in rows if row[0] > at]
    units, before = ("",) * len(names), [row for row in rows if row[0] < at][-1:]
    last = at
    if after and len(after[0][1]) == len(names) and _is_units(after[0][1]):
        units, last = tuple(field.strip("[]() ") for field in after[0][1]), after[0][0]
    elif before and len(before[0][1]) == len(names) and _is_units(before[0][1]):
        units = tuple(field.strip("[]() ") for field in before[0][1])
    while settings := [row for row in after if row[0] > last and _SETTING.match(row[1][0])][:1]:
        if any(last < each < settings[0][0] for each, _ in after):
            break
        last = settings[0][0]
    after = [row for row in after if row[0] > last]
    head = tuple(line for each, line in filled if each < at)
    layout = Layout(separator, names, units, last + 1, len(names), head=head)
    quoted = bool(after) and lines[after[0][0]].lstrip().startswith('"')
    layout = _aligned(layout, [fields for _, fields in after], quoted)
    faults = sum(len(fields) != layout.n_field for _, fields in after)
    return known, faults, layout


def _header(
    filled: Sequence[tuple[int, str]],
    rows: Sequence[tuple[int, list[str]]],
    separator: str,
    numeric: int | None,
    request: Request,
) -> tuple[int, tuple[str, ...], int] | None:
    """Return line, names and number of known names of the row of names, None if there is none.

    The last row that has a known name and no number; else a comment just above the numbers, as
    numpy writes it; else the row just above the numbers, unless it is a `key: value`.
    """
    known = [(at, fields, _count_known(fields, request)) for at, fields in rows]
    known = [each for each in known if each[2]]
    if numeric is not None:
        known = [each for each in known if _stands_above_numbers(each[0], rows)]
    if known:
        at, fields, count = known[-1]
        return at, tuple(fields), count
    above = [(at, line) for at, line in filled if numeric is not None and at < numeric]
    if not above:
        return None
    at, line = above[-1]
    if is_comment(line):
        fields = split_line(_COMMENT.sub("", line).strip(), separator)
        count = _count_known(fields, request)
        return (at, tuple(fields), count) if count else None
    fields = split_line(line, separator)
    if _is_units(fields) and len(above) > 1:
        at, fields = above[-2][0], split_line(above[-2][1], separator)
    if re.search(r"[:=]", "".join(fields)) or any(is_number(field) for field in fields):
        return None
    return at, tuple(fields), 0


def _without_names(
    lines: Sequence[str], rows: Sequence[tuple[int, list[str]]], separator: str, first: int
) -> tuple[int, int, Layout]:
    """Return the layout of numbers without a row of names."""
    after = [fields for at, fields in rows if at >= first]
    n_field = Counter(map(len, after)).most_common(1)[0][0]
    head = tuple(line for line in lines[:first] if line.strip())
    layout = Layout(separator, (), (), first, n_field, head=head)
    return 0, sum(len(fields) != n_field for fields in after), layout


def _aligned(layout: Layout, rows: Sequence[Sequence[str]], quoted: bool) -> Layout:
    """Return the layout with the number of fields that its rows have, if names explain it.

    A column without a name, other than a first one, must be empty: numbers below no name are the
    decimals of a comma that also separates. Row names are known by quotes or by a separator other
    than a comma, for the same reason.
    """
    names, n_name = layout.names, len(layout.names)
    spare = tuple(at for at, name in enumerate(names) if not name and at)
    n_row = Counter(map(len, rows)).most_common(1)[0][0] if rows else n_name
    full = [fields for fields in rows if len(fields) == n_row]
    if n_row == n_name - 1 and spare[-1:] == (n_name - 1,):
        names, units = names[:-1], layout.units[:-1]
        return replace(layout, names=names, units=units, n_field=n_row, spare=spare[:-1])
    if n_row == n_name + 1 and all(names):
        ended = all(not fields[-1] for fields in full)
        counted = _counts([fields[0] for fields in full])
        if ended and not counted:
            return replace(layout, n_field=n_row, spare=(n_row - 1,))
        filled = sum(bool(fields[-1]) for fields in full) > len(full) / 2  # else it only ends rows
        if counted and filled and (quoted or layout.separator != ","):
            return replace(layout, n_field=n_row, shift=1)
    return replace(layout, spare=spare)


def _counts(fields: Sequence[str]) -> bool:
    """Return whether fields are 0, 1, 2, ... or 1, 2, 3, ..., as names of rows are."""
    start = next((start for start in (0, 1) if fields and fields[0] == str(start)), None)
    return start is not None and list(fields) == [str(start + at) for at in range(len(fields))]
