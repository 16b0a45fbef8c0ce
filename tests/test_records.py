"""The reader gives a valid record or a RecordError, nothing else."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ecgnb.headers import MAX_HEADER_BYTES
from ecgnb.leads import LEADS, derive_leads
from ecgnb.records import Record, RecordError, read_record, write_record


def make_record(name="r1", n_time=1000, **changes):
    generator = np.random.default_rng(0)
    signals = derive_leads(np.rint(400 * generator.normal(size=(8, n_time))) / 1000)
    record = Record(name, signals.astype(np.float32), 500.0, comments=("Simulated by ecgnb",))
    return replace(record, **changes)


@pytest.fixture
def header(tmp_path):
    return write_record(make_record(), tmp_path)


def change_header(header, old, new, count=-1):
    text = header.read_text(encoding="utf-8")
    assert old in text
    header.write_text(text.replace(old, new, count), encoding="utf-8")


def test_a_written_record_reads_back_within_half_a_digital_unit(header):
    record = read_record(header)
    assert record.leads == LEADS
    assert np.abs(record.signals - make_record().signals).max() <= 0.5 / 2000 + 1e-7


def test_missing_samples_stay_missing(tmp_path):
    signals = make_record().signals.copy()
    signals[3, 10:20] = np.nan
    record = read_record(write_record(make_record(signals=signals), tmp_path))
    assert np.isnan(record.signals[3, 10:20]).all()
    assert np.isfinite(record.signals).sum() == record.signals.size - 10
    assert record.quality[3].missing == pytest.approx(0.01)


def test_leads_in_any_case_and_order_come_back_in_standard_order(tmp_path):
    order = tuple(reversed(LEADS))
    shuffled = make_record(
        signals=make_record().signals[::-1], leads=tuple(lead.lower() for lead in order)
    )
    record = read_record(write_record(shuffled, tmp_path))
    assert np.allclose(record.signals, make_record().signals, atol=1e-3)


def test_one_lead_can_be_read_from_a_record_that_has_only_one(tmp_path):
    single = make_record(signals=make_record().signals[7:8], leads=("V2",))
    header = write_record(single, tmp_path)
    assert read_record(header, leads=("V2",)).signals.shape == (1, 1000)
    with pytest.raises(RecordError, match="no lead I, II"):
        read_record(header)


def test_an_absent_frank_file_costs_the_frank_leads_only(tmp_path):
    frank = np.zeros((3, 1000), dtype=np.float32)
    header = write_record(make_record(frank=frank), tmp_path)
    assert read_record(header).frank is not None
    (tmp_path / "r1.xyz").unlink()
    record = read_record(header)
    assert record.frank is None
    assert "r1.xyz is absent" in record.notes[0]


@pytest.mark.parametrize("unit", ["uV", "\u00b5V", "\u03bcV"])
def test_microvolts_become_millivolts_however_they_are_written(header, unit):
    before = read_record(header).signals
    change_header(header, "2000.0(0)/mV", f"2.0(0)/{unit}")
    assert np.allclose(read_record(header).signals, before)


CASES = {
    "no sampling rate": ("r1 12 500 1000", "r1 12"),
    "rate 0": ("r1 12 500 ", "r1 12 0 "),
    "rate as text": ("r1 12 500 ", "r1 12 fast "),
    "rate too high": ("r1 12 500 ", "r1 12 50000 "),
    "gain 0": ("2000.0(0)/mV", "0(0)/mV"),
    "gain negative": ("2000.0(0)/mV", "-200(0)/mV"),
    "gain nan": ("2000.0(0)/mV", "nan(0)/mV"),
    "gain inf": ("2000.0(0)/mV", "inf(0)/mV"),
    "gain 1e999": ("2000.0(0)/mV", "1e999(0)/mV"),
    "format 212 on 16-bit data": (".dat 16 ", ".dat 212 "),
    "unknown format": (".dat 16 ", ".dat 99 "),
    "baseline of a million million": ("(0)/mV", "(1000000000000)/mV"),
    "negative length": ("500 1000", "500 -1000"),
    "huge length": ("500 1000", "500 1000000000000"),
    "length one too many": ("500 1000", "500 1001"),
    "a million signal lines announced": ("r1 12 ", "r1 1000000 "),
    "multi-segment record of itself": ("r1 12 500 1000", "r1/3 12 500 1000"),
    "duplicate lead": (" 0 aVF", " 0 II"),
    "unknown unit": ("/mV", "/furlong"),
    "several samples a frame": (".dat 16 ", ".dat 16x2 "),
    "file in another folder": ("r1.dat 16", "../r1.dat 16"),
    "absent sample file": ("r1.dat 16", "r2.dat 16"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_header_that_is_wrong_is_refused(header, case):
    change_header(header, *CASES[case])
    with pytest.raises(RecordError):
        read_record(header)


def test_a_wrong_checksum_is_refused(header):
    line = header.read_text().splitlines()[1]
    fields = line.split()
    fields[6] = str((int(fields[6]) + 1) % 65536 or 2)
    change_header(header, line, " ".join(fields))
    with pytest.raises(RecordError, match="checksum"):
        read_record(header)


def test_a_flipped_bit_in_the_samples_is_refused(header):
    samples = header.with_suffix(".dat")
    content = bytearray(samples.read_bytes())
    content[5000] ^= 4
    samples.write_bytes(content)
    with pytest.raises(RecordError, match="checksum"):
        read_record(header)


@pytest.mark.parametrize("change", [lambda b: b[:-2], lambda b: b + b"\0\0", lambda b: b""])
def test_a_cut_or_padded_sample_file_is_refused(header, change):
    samples = header.with_suffix(".dat")
    samples.write_bytes(change(samples.read_bytes()))
    with pytest.raises(RecordError, match="bytes"):
        read_record(header)


def test_a_header_of_many_megabytes_is_refused_unread(header):
    header.write_text(header.read_text() + "#" * MAX_HEADER_BYTES)
    with pytest.raises(RecordError, match="bytes"):
        read_record(header)


def test_a_pipe_and_a_link_out_of_the_folder_are_refused(header, tmp_path):
    samples = header.with_suffix(".dat")
    outside = tmp_path.parent / f"outside-{tmp_path.name}.dat"
    shutil.move(samples, outside)
    samples.symlink_to(outside)
    with pytest.raises(RecordError, match="regular file"):
        read_record(header)
    samples.unlink()
    os.mkfifo(samples)
    with pytest.raises(RecordError, match="regular file"):
        read_record(header)


def test_an_error_says_what_why_and_what_to_do(tmp_path):
    with pytest.raises(RecordError) as caught:
        read_record(tmp_path / "nothing")
    error = caught.value
    assert all((error.record, error.what, error.why, error.what_to_do))
    assert "nothing.hea is absent" in str(error)


def test_control_characters_of_a_header_reach_no_terminal(header):
    header.write_text(header.read_text() + "# \x1b[31mred\n")
    assert all(text.isprintable() for text in read_record(header).comments)


_EXAMPLES = int(os.environ.get("ECGNB_FUZZ", "2000"))


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    header = write_record(make_record(n_time=60), folder)
    return header.read_bytes(), header.with_suffix(".dat").read_bytes()


@settings(
    max_examples=_EXAMPLES, deadline=3000, suppress_health_check=list(HealthCheck), database=None
)
@given(data=st.data())
def test_any_change_gives_a_record_or_a_record_error(whole, tmp_path, data):
    header, samples = (bytearray(part) for part in whole)
    for _ in range(data.draw(st.integers(0, 3))):
        part = data.draw(st.sampled_from([header, header, samples]))
        at = data.draw(st.integers(0, len(part) - 1))
        part[at : at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=6))
        if not part:
            part.extend(b"\0")
    if data.draw(st.booleans()):
        fields = header.split(b" ")
        place = data.draw(st.integers(0, len(fields) - 1))
        odd = [b"0", b"-1", b"1e9", b"nan", b"9" * 25, b"", b"\xff", b"r1/2", b"212", b"../x"]
        fields[place] = data.draw(st.sampled_from(odd))
        header = bytearray(b" ".join(fields))
    Path(tmp_path / "r1.hea").write_bytes(header)
    Path(tmp_path / "r1.dat").write_bytes(samples)
    try:
        record = read_record(tmp_path / "r1.hea")
    except RecordError:
        return
    assert record.signals.shape[0] == len(LEADS)
    assert 50 <= record.sampling_rate <= 5000
