"""Headers and samples changed at random: a valid record or a RecordError, fast and small.

`ECGNB_FUZZ=20000 pytest tests/test_fuzz.py -s` runs more examples and prints what came of them.
"""

import os
import resource
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_formats import LARGEST, draw_samples, write_mat, write_with_wfdb

from ecgnb.leads import LEADS
from ecgnb.records.catalogue import DATABASES
from ecgnb.records.databases import load_record
from ecgnb.records.record import RecordError

MAX_S, MAX_BYTES = 1.0, 200e6
ODD = (
    *(b"0", b"-1", b"1e9", b"1e999", b"nan", b"inf", b"9" * 25, b"5000000", b"", b"\xff", b"#"),
    *(b"r1/2", b"16", b"212", b"516", b"16+24", b"16x2:3", b"80", b"../x", b"/dev/zero", b"12"),
    *(
        b"500/1e999",
        b"1e-300/mV",
        b"1e300/mV",
        b"500.1/1000(7)",
        b"\x0b",
        "\u2028".encode(),
        b"\x85",
    ),
    *(b"200/uV", b"200(1000000000000)/mV", b"0/mV", "200/\u00b5V".encode("latin-1"), b"\n", b"II"),
)


@dataclass
class Tally:
    """What came of the examples so far."""

    outcomes: Counter = field(default_factory=Counter)
    worst_s: float = 0.0
    worst_wall_s: float = 0.0
    worst_bytes: int = 0


@pytest.fixture(scope="module")
def tally():
    tally = Tally()
    yield tally
    shown = ", ".join(f"{name} {count}" for name, count in tally.outcomes.most_common())
    print(f"\n{tally.outcomes.total()} readings: {shown}")
    print(f"worst {tally.worst_s:.3f} s of the processor, {tally.worst_wall_s:.3f} s in all")
    print(f"at most {tally.worst_bytes / 1e6:.1f} MB more than before a reading")
    assert tally.outcomes["Record"] > 50
    assert tally.outcomes["RecordError"] > 50


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """Return by format the bytes of a record's files, its header among them."""
    files = {}
    for kind in (*LARGEST, "mat"):
        folder = tmp_path_factory.mktemp("whole")
        samples = draw_samples("16" if kind == "mat" else kind, n_time=60)
        if kind == "mat":
            write_mat(folder, samples)
        else:
            write_with_wfdb(folder, kind, samples)
        files[kind] = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
    return files


def change_bytes(content, data):
    """Replace up to four bytes at one place by up to six others."""
    at = data.draw(st.integers(0, max(len(content) - 1, 0)))
    n_old, new = data.draw(st.integers(0, 4)), data.draw(st.binary(max_size=6))
    return content[:at] + new + content[at + n_old :]


def change_field(content, data):
    """Replace one field of a header by a value that readers have stumbled over."""
    fields = content.split(b" ")
    fields[data.draw(st.integers(0, len(fields) - 1))] = data.draw(st.sampled_from(ODD))
    return b" ".join(fields)


def change_length(content, data):
    """Repeat one field, or the letters of one, until it nearly fills the largest header."""
    fields = content.split(b" ")
    at = data.draw(st.integers(0, len(fields) - 1))
    piece = data.draw(
        st.sampled_from([fields[at], b"1", b"1.", b"e9", b"/", b" ", b"\n", b"\xb5"])
    )
    size = data.draw(st.sampled_from([200, 300, 20_000, 190_000]))
    fields[at] += piece * (size // max(len(piece), 1))
    return b" ".join(fields)


def change_lines(content, data):
    """Drop, repeat or swap whole lines of a header."""
    lines = content.split(b"\n")
    one, other = (data.draw(st.integers(0, len(lines) - 1)) for _ in range(2))
    lines[one] = data.draw(st.sampled_from([b"", lines[other], lines[one] + b"\n" + lines[one]]))
    return b"\n".join(lines)


def resident_bytes():
    """Memory of this process now, as far as the system tells it, else the most there was."""
    status = Path("/proc/self/statm")
    if not status.exists():
        return most_bytes()
    return int(status.read_text().split()[1]) * resource.getpagesize()


def most_bytes():
    """The most memory that this process has had, with what libraries in C took."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def read_measured(path, database, tally):
    """Return the record or its error; the tally keeps time and memory, both within bounds."""
    before, start, start_wall = resident_bytes(), time.process_time(), time.perf_counter()
    try:
        result = load_record(path, database)
    except RecordError as error:
        result = error
    seconds, wall_s = time.process_time() - start, time.perf_counter() - start_wall
    n_byte = most_bytes() - before
    tally.outcomes[type(result).__name__] += 1
    tally.worst_s, tally.worst_bytes = max(tally.worst_s, seconds), max(tally.worst_bytes, n_byte)
    tally.worst_wall_s = max(tally.worst_wall_s, wall_s)
    assert seconds < MAX_S
    assert n_byte < MAX_BYTES
    return result


@settings(
    max_examples=int(os.environ.get("ECGNB_FUZZ", "2000")),
    deadline=5000,
    suppress_health_check=list(HealthCheck),
    database=None,
)
@given(data=st.data())
def test_any_change_gives_a_record_or_a_record_error(originals, tally, tmp_path, data):
    files = dict(originals[data.draw(st.sampled_from(sorted(originals)))])
    header = next(name for name in files if name.endswith(".hea"))
    for _ in range(data.draw(st.integers(0, 3))):
        name = data.draw(st.sampled_from([header, header, *files]))
        files[name] = change_bytes(files[name], data)
    changes = st.sampled_from(
        [change_field, change_field, change_lines, change_lines, change_length]
    )
    for change in data.draw(st.lists(changes, max_size=2)):
        files[header] = change(files[header], data)
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    database = data.draw(st.sampled_from(["", *DATABASES]))
    result = read_measured(tmp_path / header, database, tally)
    if isinstance(result, RecordError):
        assert all((result.record, result.what, result.why, result.what_to_do))
        return
    assert result.signals.shape == (len(LEADS), result.n_time)
    assert result.signals.dtype == np.float32
    assert not np.isinf(result.signals).any()
    assert 50 <= result.sampling_rate <= 5000
