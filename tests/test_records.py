"""The reader gives a valid record or a RecordError, nothing else."""

import os
import shutil
import time
from dataclasses import replace

import numpy as np
import pytest

from ecgnb.leads import LEADS, derive_leads
from ecgnb.records.databases import load_record
from ecgnb.records.record import Record, RecordError
from ecgnb.records.wfdb_files import read_record, write_record
from ecgnb.records.wfdb_header import MAX_HEADER_BYTES


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
    assert [(row.lead, row.missing) for row in record.quality[12:]] == [
        ("vx", 1.0),
        ("vy", 1.0),
        ("vz", 1.0),
    ]


def test_the_database_tells_patient_heart_condition_and_origin(tmp_path):
    comments = ("Reason for admission: Hypertrophy",)
    header = write_record(make_record(comments=comments), tmp_path / "patient007")
    record = load_record(header, "ptbdb")
    labels = (record.patient, record.heart, record.condition, record.origin, record.database)
    assert labels == ("patient007", "patient007", "hypertrophy", "ptbdb", "ptbdb")
    assert load_record(header, "").condition == "hypertrophy"
    assert load_record(header, "").patient == ""
    assert load_record(write_record(make_record(), tmp_path)).condition == ""
    with pytest.raises(ValueError, match="no database 'mine'"):
        load_record(header, "mine")


def test_a_record_that_is_read_has_no_labels(tmp_path):
    header = write_record(make_record(comments=("Reason for admission: Hypertrophy",)), tmp_path)
    record = read_record(header)
    assert (record.patient, record.heart, record.condition, record.origin) == ("", "", "", "")


def test_parts_of_a_record_keep_their_frank_leads_in_step_and_one_lead_has_none():
    frank = np.arange(3000.0).reshape(3, 1000)
    first, rest = make_record(frank=frank).split(share=0.5, gap_s=0.1)
    assert first.frank.shape[-1] == first.n_time
    np.testing.assert_array_equal(rest.frank, frank[:, -rest.n_time :])
    assert rest.only("V2").frank is None


@pytest.mark.parametrize("path", ["", ".", "..", "/", "a\0b", "x" * 5000, "nothing/at/all"])
def test_a_path_that_names_no_record_is_refused(path):
    with pytest.raises(RecordError):
        read_record(path)


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
    "rate infinite": ("r1 12 500 ", "r1 12 inf "),
    "rate too low": ("r1 12 500 ", "r1 12 49 "),
    "gain absent": (" 2000.0(0)/mV 16 0 ", " "),
    "gain empty": ("2000.0(0)/mV", "/mV"),
    "gain as text": ("2000.0(0)/mV", "high/mV"),
    "gain 0": ("2000.0(0)/mV", "0(0)/mV"),
    "gain 0.0": ("2000.0(0)/mV", "0.0(0)/mV"),
    "gain negative": ("2000.0(0)/mV", "-200(0)/mV"),
    "gain nan": ("2000.0(0)/mV", "nan(0)/mV"),
    "gain inf": ("2000.0(0)/mV", "inf(0)/mV"),
    "gain 1e999": ("2000.0(0)/mV", "1e999(0)/mV"),
    "gain too small to be one": ("2000.0(0)/mV", "1e-300(0)/mV"),
    "gain too large to be one": ("2000.0(0)/mV", "1e300(0)/mV"),
    "counter frequency infinite": ("r1 12 500 ", "r1 12 500/1e999 "),
    "format 212 on 16-bit data": (".dat 16 ", ".dat 212 "),
    "unknown format": (".dat 16 ", ".dat 99 "),
    "baseline of a million million": ("(0)/mV", "(1000000000000)/mV"),
    "length absent": ("500 1000", "500"),
    "length 0": ("500 1000", "500 0"),
    "negative length": ("500 1000", "500 -1000"),
    "huge length": ("500 1000", "500 1000000000000"),
    "length as text": ("500 1000", "500 long"),
    "length one too many": ("500 1000", "500 1001"),
    "a million signal lines announced": ("r1 12 ", "r1 1000000 "),
    "no signal": ("r1 12 500", "r1 0 500"),
    "a negative number of signals": ("r1 12 500", "r1 -12 500"),
    "more signals announced than there are": ("r1 12 500", "r1 13 500"),
    "missing lead": (" 0 aVF", " 0 resp"),
    "skewed leads": (".dat 16 ", ".dat 16:2 "),
    "byte offset beyond the file": (".dat 16 ", ".dat 16+24 "),
    "format 212x2": (".dat 16 ", ".dat 212x2 "),
    "duplicate lead": (" 0 aVF", " 0 II"),
    "unknown unit": ("/mV", "/furlong"),
    "several samples a frame": (".dat 16 ", ".dat 16x2 "),
    "file in another folder": ("r1.dat 16", "../r1.dat 16"),
    "file of the machine": ("r1.dat 16", "/dev/zero 16"),
    "absent sample file": ("r1.dat 16", "r2.dat 16"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_header_that_is_wrong_is_refused(header, case):
    change_header(header, *CASES[case])
    with pytest.raises(RecordError):
        read_record(header)


LONG = {
    "rate": ("r1 12 500 ", "r1 12 {} "),
    "rate with a counter": ("r1 12 500 ", "r1 12 500./{} "),
    "gain": ("2000.0(0)/mV", "{}"),
    "format": (".dat 16 ", ".dat {} "),
    "lead name": (" 0 aVF", " 0 {}"),
}


@pytest.mark.parametrize("case", LONG)
def test_a_field_of_a_hundred_thousand_digits_is_refused_at_once(header, case):
    old, new = LONG[case]
    change_header(header, old, new.format("1" * 150_000 + "x"), 1)
    start = time.process_time()
    with pytest.raises(RecordError, match=r"a field of 1\d\d,\d+ characters"):
        read_record(header)
    assert time.process_time() - start < 0.5


def test_a_header_that_two_readers_would_read_in_two_ways_is_refused(header, tmp_path):
    samples = header.with_suffix(".dat")
    shutil.copy(samples, tmp_path / "r1\u00e9.dat")  # readers of ASCII take the other file
    change_header(header, "r1.dat", "r1\u00e9.dat")
    with pytest.raises(RecordError, match="in two ways"):
        read_record(header)


def test_a_line_end_that_only_unicode_knows_does_not_end_a_line(header):
    before = read_record(header).signals
    line = header.read_text().splitlines()[3]
    change_header(header, line, f"# note\u2028{line}\n{line}")
    np.testing.assert_array_equal(read_record(header).signals, before)


MULTI = {
    "that names itself": "r1/2 12 500 2000\nr1 1000\nr1 1000\n",
    "of a million million samples": "r1/1 12 500 1000000000000\nr1s 1000000000000\n",
    "of a million million segments": "r1/1000000000000 12 500 1000\nr1s 1000\n",
    "with a layout": "r1/2 12 500 1000\nr1_layout 0\n~ 1000\n",
}


@pytest.mark.parametrize("case", MULTI)
def test_a_multi_segment_header_is_refused(header, case):
    header.write_text(MULTI[case])
    with pytest.raises(RecordError, match="multi-segment"):
        read_record(header)


def test_a_header_with_a_million_signal_lines_is_refused_unread(header):
    line = header.read_text().splitlines()[1]
    header.write_text("\n".join(["r1 1000000 500 1000", *[line] * 1_000_000]))
    with pytest.raises(RecordError, match="a header of"):
        read_record(header)


@pytest.mark.parametrize(
    "content", [b"", b"\n\n", b"# only a comment\n", bytes(range(256)), b"r1"]
)
def test_a_file_that_is_no_header_is_refused(header, content):
    header.write_bytes(content)
    with pytest.raises(RecordError):
        read_record(header)


def test_missing_and_duplicate_leads_are_named(header):
    change_header(header, " 0 aVF", " 0 resp")
    with pytest.raises(RecordError, match="no lead aVF"):
        read_record(header)
    change_header(header, " 0 resp", " 0 avl")
    with pytest.raises(RecordError, match="lead aVL twice"):
        read_record(header)


def test_volts_become_millivolts(header):
    before = read_record(header).signals
    change_header(header, "2000.0(0)/mV", "2000000(0)/V")
    np.testing.assert_array_equal(read_record(header).signals, before)


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_a_micro_sign_is_read_in_either_encoding(header, encoding):
    before = read_record(header).signals
    text = header.read_text().replace("2000.0(0)/mV", "2(0)/\u00b5V")
    header.write_bytes(text.encode(encoding))
    np.testing.assert_allclose(read_record(header).signals, before, rtol=1e-6)


def test_a_wrong_initial_value_is_refused(header):
    line = header.read_text().splitlines()[1]
    fields = line.split()
    fields[5] = str(int(fields[5]) + 1)
    change_header(header, line, " ".join(fields))
    with pytest.raises(RecordError, match="starts at"):
        read_record(header)
    fields[6] = "0"  # no checksum to compare
    change_header(header, header.read_text().splitlines()[1], " ".join(fields))
    with pytest.raises(RecordError, match="starts at"):
        read_record(header)


def test_checksums_and_initial_values_of_zero_are_not_compared(header):
    before = read_record(header).signals
    lines = header.read_text().splitlines()
    for number in range(1, 13):
        fields = lines[number].split()
        fields[5:7] = "0", "0"
        lines[number] = " ".join(fields)
    header.write_text("\n".join(lines))
    np.testing.assert_array_equal(read_record(header).signals, before)


@pytest.mark.parametrize("n_time", [30, 5000, 60_001])
def test_a_record_of_any_length_is_read(tmp_path, n_time):
    record = read_record(write_record(make_record(n_time=n_time), tmp_path))
    assert record.signals.shape == (12, n_time)


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


def test_a_header_that_is_a_pipe_a_folder_or_a_link_elsewhere_is_refused(header, tmp_path):
    outside = tmp_path.parent / f"outside-{tmp_path.name}.hea"
    shutil.move(header, outside)
    header.symlink_to(outside)
    with pytest.raises(RecordError, match="regular file"):
        read_record(header)
    header.unlink()
    os.mkfifo(header)
    with pytest.raises(RecordError, match="regular file"):
        read_record(header)
    header.unlink()
    header.mkdir()
    with pytest.raises(RecordError, match="regular file"):
        read_record(header)


def test_the_quality_of_a_lead_names_each_share(tmp_path):
    signals = make_record().signals.copy()
    signals[0, :100] = np.nan
    signals[1, 200:400] = 0.125  # 0.4 s without change
    signals[2, 500:510] = signals[2].max() + 1  # 10 samples at the end of the range
    signals[3, 600:650] = 20.5 + 0.001 * np.arange(50)
    quality = read_record(write_record(make_record(signals=signals), tmp_path)).quality
    assert [row.lead for row in quality] == list(LEADS)
    assert quality[0].missing == pytest.approx(0.1)
    assert quality[1].flat == pytest.approx(0.2)
    assert quality[2].saturated == pytest.approx(0.01)
    assert quality[3].absurd == pytest.approx(0.05)
    assert (quality[4].missing, quality[4].flat, quality[4].absurd) == (0, 0, 0)


def test_an_error_says_what_why_and_what_to_do(tmp_path):
    with pytest.raises(RecordError) as caught:
        read_record(tmp_path / "nothing")
    error = caught.value
    assert all((error.record, error.what, error.why, error.what_to_do))
    assert "nothing.hea is absent" in str(error)


def test_control_characters_of_a_header_reach_no_terminal(header):
    header.write_text(header.read_text() + "# \x1b[31mred\n")
    assert all(text.isprintable() for text in read_record(header).comments)


def add_signal(header, line):
    """Announce one more signal, in a file of its own."""
    text = header.read_text().replace("r1 12 ", "r1 13 ").split("\n")
    header.write_text("\n".join([*text[:13], line, *text[13:]]), encoding="utf-8")


@pytest.mark.parametrize(
    "line",
    [
        "r1.abp 16 10(0)/mmHg 16 0 0 0 0 ABP",
        "r1.abp 16 0(0)/mV 16 0 0 0 0 gain of nothing",
        "r1.abp 16x4 100/pm 16 0 0 0 0 Resp",
        "r1.abp 80 100/mV 8 0 0 0 0 odd format",
        "r1.abp 16 1e300/mV 99 0 0 0 0 II again",
        "r1.abp 16",
        "r1.dat 16 10(0)/mmHg 16 0 0 0 0 ABP",
    ],
)
def test_a_signal_that_nobody_asked_for_blocks_nothing(line, tmp_path):
    header = write_record(make_record(), tmp_path)
    before = read_record(header).signals
    add_signal(header, line)
    if line.startswith("r1.dat"):
        samples = np.fromfile(tmp_path / "r1.dat", "<i2").reshape(-1, 12)
        np.hstack([samples, samples[:, :1]]).tofile(tmp_path / "r1.dat")
    np.testing.assert_array_equal(read_record(header).signals, before)
    name = line.split(None, 8)[8] if len(line.split()) > 8 else "none"
    with pytest.raises(RecordError):
        read_record(header, leads=("V2",), channel=name)


def test_an_unknown_format_in_the_file_of_the_leads_is_refused(header, tmp_path):
    add_signal(header, "r1.dat 16x2 100/mV 16 0 0 0 0 Resp")
    with pytest.raises(RecordError, match="several samples per frame"):
        read_record(header)


@pytest.mark.parametrize("dates", ["2006", "0:0:0 00/00/0000", "25:61:00", "x y z", "99/99/99"])
def test_time_and_date_are_not_read(dates, header):
    before = read_record(header).signals
    change_header(header, "r1 12 500 1000", f"r1 12 500 1000 {dates}")
    np.testing.assert_array_equal(read_record(header).signals, before)


@pytest.mark.parametrize("name", ["r1", "r1.hea", "r1.dat"])
def test_header_and_sample_file_name_the_same_record(name, header, tmp_path):
    assert read_record(tmp_path / name).name == "r1"
    shutil.copy(tmp_path / "r1.dat", tmp_path / "r1.mat")
    change_header(header, "r1.dat", "r1.mat")
    assert read_record(tmp_path / "r1.mat").name == "r1"


def test_fetching_is_advised_only_where_it_could_help(header, tmp_path):
    with pytest.raises(RecordError, match="check the name") as caught:
        read_record(tmp_path / "r2")
    assert "fetch" not in str(caught.value)
    (tmp_path / "r3.dat").write_bytes(b"\0" * 100)
    with pytest.raises(RecordError, match=r"r3\.dat has no header r3\.hea beside it"):
        read_record(tmp_path / "r3.dat")
    samples = header.with_suffix(".dat")
    samples.write_bytes(samples.read_bytes()[:-4])
    with pytest.raises(RecordError, match="fetch the record again"):
        read_record(header)


def test_names_of_wfdb_signals_are_those_of_every_other_format(header):
    before = read_record(header).signals
    for lead in ("I", "aVR", "V2"):
        change_header(header, f" 0 {lead}\n", f" 0 ECG lead {lead}\n", 1)
    np.testing.assert_array_equal(read_record(header).signals, before)
    change_header(header, " 0 aVL\n", " 0 -aVL\n")
    np.testing.assert_array_equal(read_record(header).lead("aVL"), -before[4])
    change_header(header, " 0 -aVL\n", " 0 ch5\n")
    renamed = read_record(header, renamed={"ch5": "aVL"})
    np.testing.assert_array_equal(renamed.signals, before)


def test_a_lead_twice_is_refused_only_if_it_is_wanted(header):
    change_header(header, " 0 V6", " 0 ECG V5")
    assert read_record(header, leads=("V2",)).leads == ("V2",)
    with pytest.raises(RecordError, match="lead V5 twice"):
        read_record(header, leads=("V5",))
