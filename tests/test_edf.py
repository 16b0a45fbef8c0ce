"""EDF and BDF: units, names, rates and gaps, each read right or refused with what to do."""

import numpy as np
import pytest
from test_round_trips import LEADS, RATE, TRUTH, write_edf

from ecgnb.records.record import RecordError
from ecgnb.records.recordings import read_recording

pyedflib = pytest.importorskip("pyedflib")


def test_an_edf_file_without_a_unit_takes_the_one_that_is_given(tmp_path):
    path, unit_uv = write_edf(tmp_path / "a.edf", dimension="")
    with pytest.raises(RecordError, match=r"lead I has no unit.*--unit uV"):
        read_recording(path)
    record = read_recording(path, unit="uV")
    assert 1000 * np.abs(record.signals - TRUTH).max() <= 1.001 * unit_uv + 0.001


def test_the_unit_of_the_file_holds_against_the_option_and_a_note_says_so(tmp_path):
    path, unit_uv = write_edf(tmp_path / "a.edf")
    record = read_recording(path, unit="mV")
    assert 1000 * np.abs(record.signals - TRUTH).max() <= 1.001 * unit_uv + 0.001
    assert any("--unit mV is not used" in note for note in record.notes)


def test_an_odd_unit_is_refused_for_a_wanted_lead_only(tmp_path):
    path, _ = write_edf(tmp_path / "a.edf", dimension="mmHg", names=["ABP"], n_signal=1)
    with pytest.raises(RecordError, match="the unit 'mmHg'"):
        read_recording(path, leads=("I",), channel="ABP")
    with pytest.raises(RecordError, match="no lead I; found: ABP"):
        read_recording(path, leads=("I",))


def test_a_lead_twice_is_refused_unless_it_is_said_which_one_is_meant(tmp_path):
    path, _ = write_edf(tmp_path / "a.edf", names=["I", "ECG I"], n_signal=2)
    with pytest.raises(RecordError, match="lead I twice: 'I', 'ECG I'"):
        read_recording(path, leads=("I",))
    record = read_recording(path, leads=("I",), channel="ECG I")
    assert np.abs(record.signals[0] - TRUTH[1]).max() < 0.001


@pytest.mark.parametrize("style", ["ECG {}", "Lead {}", "MDC_ECG_LEAD_{}", "EKG-{}", "{}-Ref"])
def test_names_are_those_of_every_other_format(style, tmp_path):
    path, _ = write_edf(tmp_path / "a.edf", names=[style.format(lead)[:16] for lead in LEADS])
    assert read_recording(path).leads == LEADS


def test_minus_avr_is_turned(tmp_path):
    path, _ = write_edf(tmp_path / "a.edf", names=["-aVR"], n_signal=1)
    record = read_recording(path, leads=("aVR",))
    assert np.abs(record.signals[0] + TRUTH[0]).max() < 0.001


def test_another_rate_of_a_signal_nobody_wants_is_no_reason(tmp_path):
    with pyedflib.EdfWriter(str(tmp_path / "a.edf"), 3) as file:
        for number, (label, rate) in enumerate([("I", RATE), ("II", 250.0), ("Resp", 25.0)]):
            facts = {"label": label, "dimension": "mV", "sample_frequency": rate}
            limits = {"physical_min": -8, "physical_max": 8}
            file.setSignalHeader(
                number, facts | limits | {"digital_min": -999, "digital_max": 999}
            )
        file.writeSamples([TRUTH[0], TRUTH[1][::2].copy(), np.zeros(250)])
    assert read_recording(tmp_path / "a.edf", leads=("I",)).sampling_rate == RATE
    assert read_recording(tmp_path / "a.edf", leads=("II",)).sampling_rate == 250
    with pytest.raises(RecordError, match="several sampling rates: 250, 500 Hz"):
        read_recording(tmp_path / "a.edf", leads=("I", "II"))


def test_a_recording_with_gaps_is_refused_not_joined(tmp_path):
    path, _ = write_edf(tmp_path / "a.edf")
    path.write_bytes(path.read_bytes().replace(b"EDF+C", b"EDF+D", 1))
    with pytest.raises(RecordError, match=r"EDF\+D file: its recording has gaps"):
        read_recording(path)


@pytest.mark.parametrize("share", [0.01, 0.3, 0.99])
def test_a_cut_edf_file_is_refused(share, tmp_path):
    path, _ = write_edf(tmp_path / "a.edf")
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(RecordError):
        read_recording(path)
