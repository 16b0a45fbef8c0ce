"""Every sample format that is supported is read exactly, quickly and in little memory."""

import struct
import time
import tracemalloc

import numpy as np
import pytest
import wfdb

from ecgnb.leads import LEADS
from ecgnb.records.databases import load_record
from ecgnb.records.record import RecordError
from ecgnb.records.wfdb_files import read_record, write_record

GAIN = 200.0
LARGEST = {"16": 2**15 - 1, "212": 2**11 - 1, "24": 2**23 - 1, "32": 2**31 - 1, "516": 2**15 - 1}


def draw_samples(kind, n_time=777, n_lead=12):
    """Whole numbers over the format's range, its lowest value (missing) at one known place."""
    generator = np.random.default_rng(1)
    largest = LARGEST[kind]
    samples = generator.integers(-largest, largest, (n_time, n_lead), endpoint=True)
    samples[0, 0] = largest
    samples[5, 3] = -largest - 1
    return samples


def write_with_wfdb(folder, kind, samples, leads=LEADS):
    """Write the samples by wfdb; FLAC holds 8 channels at most, so 12 leads take 2 files."""
    n_lead = len(leads)
    files = ["r1.dat"] * n_lead
    if kind == "516":
        files = ["r1a.dat" if lead < 8 else "r1b.dat" for lead in range(n_lead)]
    wfdb.Record(
        record_name="r1",
        n_sig=n_lead,
        fs=500,
        sig_len=len(samples),
        file_name=files,
        fmt=[kind] * n_lead,
        adc_gain=[GAIN] * n_lead,
        baseline=[0] * n_lead,
        units=["mV"] * n_lead,
        adc_res=[16] * n_lead,
        adc_zero=[0] * n_lead,
        init_value=samples[0].tolist(),
        checksum=(samples.sum(axis=0) % 65536).tolist(),
        block_size=[0] * n_lead,
        sig_name=list(leads),
        comments=[],
        d_signal=samples,
    ).wrsamp(write_dir=str(folder))
    return folder / "r1.hea"


def write_mat(folder, samples, kind="16+24"):
    """Write a record as the PhysioNet challenges do: a MAT v4 matrix named `val` of int16."""
    head = struct.pack("<5i4s", 30, samples.shape[1], samples.shape[0], 0, 4, b"val\0")
    assert len(head) == 24
    (folder / "A0001.mat").write_bytes(head + samples.astype("<i2").tobytes())
    lines = ["A0001 12 500 " + f"{len(samples)} 05-Feb-2020 11:39:16"]
    for lead, row in zip(LEADS, samples.T, strict=True):
        checksum = (int(row.sum()) + 32768) % 65536 - 32768
        lines.append(f"A0001.mat {kind} 1000/mV 16 0 {row[0]} {checksum} 0 {lead}")
    comments = ["#Age: 74", "#Sex: Male", "#Dx: 59118001,426783006", "#Rx: Unknown"]
    (folder / "A0001.hea").write_text("\n".join([*lines, *comments]) + "\n")
    return folder / "A0001.hea"


def assert_equals(record, samples, gain, lowest):
    expected = (samples.T / gain).astype(np.float32)
    expected[np.equal(samples.T, lowest)] = np.nan
    assert record.leads == LEADS
    np.testing.assert_array_equal(record.signals, expected)
    assert np.isnan(record.signals).sum() == 1


@pytest.mark.parametrize("kind", LARGEST)
def test_a_record_written_by_wfdb_reads_back_sample_for_sample(tmp_path, kind):
    samples = draw_samples(kind)
    record = read_record(write_with_wfdb(tmp_path, kind, samples))
    assert_equals(record, samples, GAIN, -LARGEST[kind] - 1)


def test_what_ecgnb_writes_equals_what_wfdb_writes_byte_for_byte(tmp_path):
    (tmp_path / "wfdb").mkdir()
    header = write_with_wfdb(tmp_path / "wfdb", "16", draw_samples("16") // 2)
    write_record(read_record(header), tmp_path / "own", adc_gain=GAIN)
    for name in ("r1.hea", "r1.dat"):
        assert (tmp_path / "own" / name).read_bytes() == (tmp_path / "wfdb" / name).read_bytes()


@pytest.mark.parametrize("kind", ["16+24", "16x1+24"])
def test_a_mat_file_of_the_challenges_reads_back_sample_for_sample(tmp_path, kind):
    samples = draw_samples("16", n_time=5000)
    record = read_record(write_mat(tmp_path, samples, kind))
    assert_equals(record, samples, 1000.0, -(2**15))
    assert record.duration_s == 10.0
    assert "Dx: 59118001,426783006" in record.comments


def test_a_mat_file_read_without_its_offset_is_refused(tmp_path):
    header = write_mat(tmp_path, draw_samples("16"), kind="16")
    with pytest.raises(RecordError, match="bytes"):
        read_record(header)


def test_a_mat_file_can_be_read_by_scipy_as_well(tmp_path):
    from scipy.io import loadmat

    samples = draw_samples("16")
    write_mat(tmp_path, samples)
    np.testing.assert_array_equal(loadmat(tmp_path / "A0001.mat")["val"], samples.T)


@pytest.mark.parametrize("kind", LARGEST)
@pytest.mark.parametrize("change", ["cut", "bit", "zeros"])
def test_damage_is_found_in_every_format(tmp_path, kind, change):
    header = write_with_wfdb(tmp_path, kind, draw_samples(kind))
    path = tmp_path / ("r1a.dat" if kind == "516" else "r1.dat")
    content = bytearray(path.read_bytes())
    if change == "bit":
        content[len(content) // 2] ^= 8
    elif change == "zeros":
        content[len(content) // 2 :] = bytes(len(content) - len(content) // 2)
    else:
        content = content[: -len(content) // 3]
    path.write_bytes(content)
    with pytest.raises(RecordError):
        read_record(header)


def test_a_header_that_claims_another_format_is_refused(tmp_path):
    header = write_with_wfdb(tmp_path, "212", draw_samples("212"))
    text = header.read_text()
    for kind in ("16", "24", "32", "516"):
        header.write_text(text.replace(" 212 ", f" {kind} "))
        with pytest.raises(RecordError):
            read_record(header)


@pytest.mark.parametrize("kind", LARGEST)
def test_the_longest_record_is_read_in_a_second_and_200_megabytes(tmp_path, kind):
    header = write_with_wfdb(tmp_path, kind, draw_samples(kind, n_time=500_000))
    start = time.process_time()
    load_record(header, "twadb")
    seconds = time.process_time() - start
    tracemalloc.start()
    record = load_record(header, "twadb")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    print(f"{kind}: {seconds:.2f} s of the processor, {peak / 1e6:.0f} MB")
    assert record.n_time == 500_000
    assert seconds < 1
    assert peak < 200e6


def test_one_lead_as_long_as_a_record_may_be_takes_no_more(tmp_path):
    samples = draw_samples("16", n_time=6_000_000, n_lead=4)[:, :1]
    header = write_with_wfdb(tmp_path, "16", samples, leads=("V2",))
    tracemalloc.start()
    start = time.process_time()
    read_record(header, leads=("V2",))
    seconds = time.process_time() - start
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    print(f"one lead: {seconds:.2f} s of the processor, {peak / 1e6:.0f} MB")
    assert seconds < 1
    assert peak < 200e6
