"""Tables written at random from a known signal: that signal, or a refusal; never another one.

`ECGNB_TABLES=20000 pytest tests/test_table_fuzz.py -s` writes more and prints what came of them.
"""

import os
import re
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ecgnb.records.record import RecordError
from ecgnb.records.recordings import read_recording

N_EXAMPLE = int(os.environ.get("ECGNB_TABLES", "2000"))
NAMES = {
    "I": ("I", "i", "DI", "Lead I", "ECG I", "MDC_ECG_LEAD_I", "I-Ref", "LEAD_I", "'I'", "ekg_i"),
    "V2": ("V2", "v2", "C2", "ECG V2", "lead v2", "V-2"),
    "aVR": ("aVR", "AVR", "avr", "Lead aVR", "-aVR", "\u2212aVR"),
    "V5": ("V5", "v5", "ECG_V5"),
}
UNITS = {"mV": 1.0, "uV": 1e3, "µV": 1e3, "μV": 1e3, "MV": 1.0, "V": 1e-3, "millivolt": 1.0}
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252")
MISSING = ("", "NaN", "nan", "NA", "NULL", "-", "#N/A", "n/a")
CLOCKS = ("", "s", "ms", "us", "number", "clock", "iso", "german", "short", "counter", "epoch")


@dataclass(frozen=True)
class Dialect:
    """How one table is written; `spoilt` is what was done to it afterwards."""

    leads: tuple[str, ...]
    names: tuple[str, ...]
    separator: str
    decimal: str
    encoding: str
    newline: str
    unit: str
    unit_at: str
    clock: str
    rate: int
    n_decimal: int
    head: tuple[str, ...]
    quoted: str
    comments: str
    trailing: str
    row_names: bool
    others: tuple[str, ...]
    missing: str
    n_row: int
    gaps: tuple[tuple[int, int], ...]
    lost: tuple[int, ...]
    seed: int
    spoilt: str
    end: bool


@st.composite
def dialects(draw):
    """Return a way to write a table."""
    pick = lambda *values: draw(st.sampled_from(values))  # noqa: E731
    leads = draw(st.permutations(list(NAMES)))[: pick(1, 1, 2, 3, 4)]
    n_row = draw(st.integers(12, 90))
    heads = (
        "Patient: Anna",
        "Date,2020-01-01",
        "Filter: 0.05-150 Hz",
        "Export V2.1",
        "",
        "Sex: V",
    )
    return Dialect(
        leads=tuple(leads),
        names=tuple(draw(st.sampled_from(NAMES[lead])) for lead in leads),
        separator=pick(",", ";", "\t", "|", " "),
        decimal=pick(".", ".", ","),
        encoding=pick(*ENCODINGS),
        newline=pick("\n", "\r\n", "\r", "\r\r\n"),
        unit=pick(*UNITS),
        unit_at=pick("name", "name", "row", "option", "none", "head", "tail"),
        clock=pick(*CLOCKS),
        rate=pick(100, 125, 128, 250, 256, 300, 360, 500, 512, 1000),
        n_decimal=pick(3, 4, 6),
        head=tuple(draw(st.lists(st.sampled_from(heads), max_size=4))),
        quoted=pick("", "", "names", "all"),
        comments=pick("", "", "#", "%", "//"),
        trailing=pick("", "", "", "rows", "both"),
        row_names=pick(False, False, False, True),
        others=tuple(draw(st.lists(st.sampled_from(("Marker", "Resp", "Note")), max_size=2))),
        missing=pick(*MISSING),
        n_row=n_row,
        gaps=tuple(
            draw(st.lists(st.tuples(st.integers(3, n_row - 3), st.integers(1, 30)), max_size=2))
        ),
        lost=tuple(draw(st.lists(st.integers(0, n_row - 1), max_size=3))),
        seed=draw(st.integers(0, 2**20)),
        spoilt=pick(
            *[""] * 8,
            *("extra", "short", "text", "thousands", "again", "swap", "row twice", "cut"),
            *("two signs", "quote", "shift"),
        ),
        end=pick(True, True, False),
    )


def is_timed(dialect):
    """Return whether a column of times or counts is written; a blank would part date and time."""
    return dialect.clock and (dialect.clock, dialect.separator) != ("german", " ")


def draw_signals(dialect):
    """Whole steps of 1 uV that look like an ECG in size: `(lead, row)`, mV."""
    generator = np.random.default_rng(dialect.seed)
    return np.round(generator.normal(0, 0.6, (len(dialect.leads), dialect.n_row)), 3)


def stamp(dialect, sample):
    """Return the time of a sample as the dialect writes it."""
    seconds = sample / dialect.rate
    start = datetime(2020, 1, 1, 23, 59, 59, 900_000) + timedelta(seconds=seconds)
    texts = {
        "s": f"{seconds:.6f}",
        "ms": f"{1000 * seconds:.3f}",
        "us": f"{round(1e6 * seconds)}",
        "number": f"{seconds + 3.2:.6f}",
        "epoch": f"{round(1.7e18 + 1e9 * seconds)}",
        "clock": start.strftime("%H:%M:%S.%f")[:-3],
        "iso": start.isoformat(timespec="microseconds"),
        "german": start.strftime("%d.%m.%Y %H:%M:%S,%f"),
        "short": f"{int(seconds // 60)}:{seconds % 60:06.3f}",
        "counter": str(sample + 1),
    }
    text = texts[dialect.clock]
    numeric = dialect.clock in {"s", "ms", "number"}
    return text.replace(".", dialect.decimal) if numeric else text


TIME_NAMES = {
    **{"s": "time [s]", "ms": "t_ms", "us": "Time (us)", "number": "time", "epoch": "time [ns]"},
    **{"clock": "Time", "iso": "timestamp", "german": "Zeit", "short": "Elapsed time"},
    **{"counter": "sample #"},
}


def number(dialect, value):
    if np.isnan(value):  # nothing between two blanks is nothing at all
        return dialect.missing or ("NaN" if dialect.separator == " " else "")
    factor = UNITS[dialect.unit] if dialect.unit_at != "none" else 1.0
    n_decimal = max(0, 3 + round(-np.log10(factor))) if factor != 1 else dialect.n_decimal
    return f"{value * factor:.{n_decimal}f}".replace(".", dialect.decimal)


def rows_of(dialect, signals):
    """Return the fields of the names, of the units, and of each row, and each row's sample."""
    sign = [-1 if name[0] in "-\u2212" else 1 for name in dialect.names]
    names, units = list(dialect.names), [dialect.unit] * len(sign)
    if dialect.unit_at == "name":
        names = [f"{name} ({dialect.unit})" for name in names]
    if dialect.unit_at == "tail":
        names = [f"{name}_{dialect.unit}" for name in names]
    timed = is_timed(dialect)
    if timed:
        names.insert(0, TIME_NAMES[dialect.clock])
        units.insert(0, "-")
    names += dialect.others
    units += ["-"] * len(dialect.others)
    sample, rows, gaps = 0, [], dict(dialect.gaps) if timed else {}
    for row in range(dialect.n_row):
        sample += gaps.get(row, 0)
        fields = [number(dialect, s * v) for s, v in zip(sign, signals[:, row], strict=True)]
        fields = [stamp(dialect, sample), *fields] if timed else fields
        fields += ["x" if other == "Note" else str(row % 7) for other in dialect.others]
        rows.append((sample, fields))
        sample += 1
    return names, units, rows


def write(dialect, path):
    """Write the table; return signals by lead with gaps as NaN, and the options it needs."""
    signals = draw_signals(dialect)
    for row in dialect.lost:
        signals[row % len(dialect.leads), row] = np.nan
    names, units, rows = rows_of(dialect, signals)
    quote = {"": lambda text: text, "names": lambda text: text, "all": lambda text: f'"{text}"'}
    body = quote[dialect.quoted]
    always = dialect.quoted == "names"
    head_quote = lambda text: f'"{text}"' if always or " " in text else body(text)  # noqa: E731
    join = dialect.separator.join
    lines = list(dialect.head)
    if dialect.unit_at == "head":
        lines.append(f"Unit: {dialect.unit}")
    tail = dialect.separator if dialect.trailing == "both" else ""
    lines.append(join(map(head_quote, names)) + tail)
    if dialect.unit_at == "row":
        lines.append(join(map(head_quote, units)) + tail)
    n_head = len(lines)
    tail = dialect.separator if dialect.trailing else ""
    for at, (_, fields) in enumerate(rows):
        fields = [str(at + 1), *fields] if dialect.row_names else fields
        lines.append(join(map(body, fields)) + tail)
        if dialect.comments and at % 9 == 4:
            lines.append(f"{dialect.comments} a remark")
    spoil(dialect, lines, n_head)
    text = dialect.newline.join(lines) + (dialect.newline if dialect.end else "")
    narrow = dialect.encoding == "cp1252" and any(letter in text for letter in "\u03bc\u2212")
    path.write_bytes(text.encode("utf-8" if narrow else dialect.encoding))
    truth = {}
    for lead, row in zip(dialect.leads, signals, strict=True):
        whole = np.full(rows[-1][0] + 1, np.nan)
        whole[[sample for sample, _ in rows]] = row
        truth[lead] = whole
    options = {} if dialect.clock not in {"", "counter"} else {"sampling_rate": dialect.rate}
    if len(names) - len(dialect.others) == len(dialect.leads):
        options = {"sampling_rate": dialect.rate}
    if dialect.unit_at == "option":
        options["unit"] = dialect.unit
    return truth, options


def spoil(dialect, lines, n_head):
    """Do to a table what editors, scripts and cut downloads do."""
    at = n_head + (dialect.seed % max(len(lines) - n_head - 2, 1)) + 1
    line, separator = lines[at], dialect.separator
    fields = line.split(separator)
    kind = dialect.spoilt
    if kind == "extra":
        fields.insert(dialect.seed % (len(fields) + 1), "0")
        lines[at] = separator.join(fields)
    elif kind == "short" and len(fields) > 1:
        del fields[dialect.seed % len(fields)]
        lines[at] = separator.join(fields) or line  # a blank line says that its sample is missing
    elif kind in {"text", "two signs", "thousands"}:
        texts = {"text": "abc", "two signs": "1.234,5", "thousands": "1.234.567"}
        fields[dialect.seed % len(fields)] = texts[kind]
        lines[at] = separator.join(fields)
    elif kind == "again":
        lines[at:at] = lines[n_head - 1 : n_head] * 2
    elif kind == "swap" and is_timed(dialect):
        lines[at], lines[at - 1] = lines[at - 1], lines[at]
    elif kind == "row twice" and is_timed(dialect):
        lines.insert(at, lines[at])
    elif kind == "cut":
        lines[-1] = lines[-1][: len(lines[-1]) // 2]
    elif kind == "quote":
        lines[at] = '"' + lines[at]
    elif kind == "shift":
        lines[at] = separator + lines[at]


def unspoilt_rows(dialect):
    """Whether what was spoilt may leave another signal that nobody could tell from the right one.

    Without times, two rows that changed places or came twice are a signal like any other; a last
    number that was cut is a number, and a text in a column nobody asked for is no matter.
    """
    return dialect.spoilt != "cut"


@pytest.fixture(scope="module")
def tally():
    tally = Counter()
    yield tally
    shown = "; ".join(f"{name} {count}" for name, count in tally.most_common(25))
    print(f"\n{tally.total()} tables: {shown}")
    assert tally["read"] > 0.2 * tally.total()


@settings(
    max_examples=N_EXAMPLE,
    deadline=None,
    derandomize=N_EXAMPLE == 2000,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(dialect=dialects())
def test_a_table_gives_its_signal_or_a_refusal_and_never_another_signal(
    dialect, tally, tmp_path_factory
):
    path = tmp_path_factory.getbasetemp() / "fuzz.csv"
    truth, options = write(dialect, path)
    try:
        record = read_recording(path, leads=dialect.leads, **options)
    except RecordError as error:
        what = re.sub(r"\d+|'.*'", "N", error.what)[:40]
        tally[f"refused: {what}"] += 1
        if os.environ.get("ECGNB_SHOW") and not dialect.spoilt:
            print("\nREFUSED", error, options, "\n", path.read_bytes()[:400])
        return
    tally["read"] += 1
    rounding = 1.5e-3 * dialect.rate / dialect.n_row  # of stamps in whole ms
    assert record.sampling_rate == pytest.approx(dialect.rate, rel=0.005 + rounding)
    step = 0.51 * 10.0 ** -min(3, dialect.n_decimal)
    for lead, row in zip(dialect.leads, record.signals, strict=True):
        expected = truth[lead]
        if not unspoilt_rows(dialect):
            expected, row = expected[: row.size - 1], row[:-1]
        if row.size < expected.size and dialect.missing == "":
            assert np.isnan(expected[row.size :]).all()  # blank lines at the end are no samples
            expected = expected[: row.size]
        assert row.size == expected.size
        np.testing.assert_allclose(row, expected, atol=step, equal_nan=True)
