import numpy as np
import pandas as pd
import pytest

from ecgnb.leads import LEADS
from ecgnb.records.record import Record, RecordError
from ecgnb.records.recordings import read_recording
from ecgnb.records.wfdb_files import write_record

RATE = 250.0
GENERATOR = np.random.default_rng(0)
SIGNALS = (GENERATOR.normal(size=(12, 1000)) / 2).astype(np.float32)


def write_csv(path, factor=1.0, names=LEADS):
    pd.DataFrame((factor * SIGNALS).T, columns=list(names)).to_csv(path, index=False)
    return path


def test_a_csv_file_is_read_by_its_header(tmp_path):
    table = pd.DataFrame(SIGNALS.T, columns=[f"ECG {lead}" for lead in LEADS])
    table.insert(0, "time", np.arange(1000) / RATE)
    table[table.columns[::-1]].to_csv(tmp_path / "a.csv", index=False)
    record = read_recording(tmp_path / "a.csv", sampling_rate=RATE)
    assert np.allclose(record.signals, SIGNALS, atol=1e-5)
    assert record.leads == LEADS


@pytest.mark.parametrize("unit", ["uV", "µV", "μV", "V", "mV"])
def test_units_of_a_csv_file_are_converted(unit, tmp_path):
    factor = {"V": 1e-3, "mV": 1.0}.get(unit, 1e3)
    named = write_csv(tmp_path / "a.csv", factor, [f"{lead} ({unit})" for lead in LEADS])
    plain = write_csv(tmp_path / "b.csv", factor)
    first = read_recording(named, sampling_rate=RATE)
    second = read_recording(plain, sampling_rate=RATE, unit=unit)
    assert np.allclose(first.signals, SIGNALS, atol=1e-5)
    assert np.allclose(second.signals, SIGNALS, atol=1e-5)


def write_edf(path, unit="uV", factor=1000.0, rate=RATE):
    pyedflib = pytest.importorskip("pyedflib")
    with pyedflib.EdfWriter(str(path), 12, file_type=pyedflib.FILETYPE_EDFPLUS) as file:
        for number, lead in enumerate(LEADS):
            file.setSignalHeader(
                number,
                {
                    "label": f"ECG {lead}",
                    "dimension": unit,
                    "sample_frequency": rate,
                    "physical_min": -4 * factor,
                    "physical_max": 4 * factor,
                    "digital_min": -32768,
                    "digital_max": 32767,
                },
            )
        file.writeSamples([factor * row.astype(float) for row in SIGNALS])
    return path


@pytest.mark.parametrize(("unit", "factor"), [("uV", 1000.0), ("mV", 1.0)])
def test_an_edf_file_gives_mv_and_its_own_rate(unit, factor, tmp_path):
    record = read_recording(write_edf(tmp_path / "a.edf", unit, factor))
    assert record.sampling_rate == RATE
    assert np.abs(record.signals - SIGNALS).max() <= 8 / 65535


def test_a_wfdb_signal_of_another_name_can_stand_for_a_lead(tmp_path):
    record = Record("r", SIGNALS[:2], RATE, leads=("Band", "II"))
    path = write_record(record, tmp_path)
    read = read_recording(path, leads=("V2",), channel="Band")
    assert read.leads == ("V2",)
    assert np.allclose(read.signals[0], SIGNALS[0], atol=1e-3)
    with pytest.raises(RecordError, match="no lead V2"):
        read_recording(path, leads=("V2",))


def test_every_reader_says_which_lead_is_absent_and_what_it_found(tmp_path):
    names = ["MLII", *LEADS[1:]]
    path = write_csv(tmp_path / "a.csv", names=names)
    with pytest.raises(RecordError, match="no lead I; found: MLII, II"):
        read_recording(path, leads=("I",), sampling_rate=RATE)
    read = read_recording(path, leads=("I",), sampling_rate=RATE, channel="MLII")
    assert np.allclose(read.signals[0], SIGNALS[0], atol=1e-5)
    with pytest.raises(RecordError, match="no lead vx"):
        read_recording(write_edf(tmp_path / "a.edf"), leads=("vx",))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", "no table"),
        ("0.1,0.2\n0.3,0.4\n", "first line of numbers"),
        ("I,II\nx,y\n", "no lead III"),
        ("I (km)\n1\n2\n", "the unit 'km'"),
        ("I\n", "0 samples"),
        ('I,II\n1,2\n"3', "no table|no lead"),
    ],
)
def test_an_odd_csv_file_is_refused(text, wanted, tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(text)
    leads = ("I",) if text.startswith(("I\n", "I (")) else LEADS
    with pytest.raises(RecordError, match=wanted):
        read_recording(path, leads=leads, sampling_rate=RATE)


def test_a_csv_file_needs_a_sampling_rate(tmp_path):
    with pytest.raises(RecordError, match="--sampling-rate"):
        read_recording(write_csv(tmp_path / "a.csv"))
    with pytest.raises(RecordError, match="sampling rate of 3 Hz"):
        read_recording(write_csv(tmp_path / "a.csv"), sampling_rate=3.0)


@pytest.mark.parametrize("name", ["a.csv", "a.edf", "a.hea", "a"])
def test_an_absent_file_is_refused(name, tmp_path):
    with pytest.raises(RecordError, match="absent"):
        read_recording(tmp_path / name, sampling_rate=RATE)


def test_a_cut_edf_file_is_refused(tmp_path):
    path = write_edf(tmp_path / "a.edf")
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(RecordError, match="could not be read"):
        read_recording(path)


def test_text_that_a_csv_file_calls_a_number_is_missing_not_zero(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("I\n" + "0.5\n" * 9 + "lost\n")
    assert np.isnan(read_recording(path, leads=("I",), sampling_rate=RATE).signals[0, 9])
