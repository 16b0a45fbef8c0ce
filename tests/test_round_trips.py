"""The simulated 12 leads through every format that can be written: back within a digital unit."""

import hospital_files as hospital
import numpy as np
import pytest
import wfdb

from ecgnb.leads import INDEPENDENT_LEADS, LEADS, independent_signals, limb_lead_error
from ecgnb.records.recordings import read_recording
from ecgnb.simulation.synthesis import SimulationOptions, simulate_record

RATE = 500.0
TRUTH = (
    simulate_record(SimulationOptions(duration_s=10.0), seed=3)
    .record.signals.astype(np.float64)
    .round(6)
)
UNIT_UV = 4.88


def digital(unit_uv=UNIT_UV, signals=TRUTH):
    """Samples in digital units, each rounded by itself as converters do."""
    return np.rint(1000 * signals / unit_uv).astype(int)


def write_edf(path, *, is_bdf=False, n_signal=12, **changes):
    pyedflib = pytest.importorskip("pyedflib")
    kind = pyedflib.FILETYPE_BDFPLUS if is_bdf else pyedflib.FILETYPE_EDFPLUS
    largest = 2**23 - 1 if is_bdf else 2**15 - 1
    facts = {
        "dimension": "uV",
        "sample_frequency": RATE,
        "physical_min": -8000.0,
        "physical_max": 8000.0,
        "digital_min": -largest - 1,
        "digital_max": largest,
    } | changes
    names = facts.pop("names", LEADS)
    with pyedflib.EdfWriter(str(path), n_signal, file_type=kind) as file:
        for number in range(n_signal):
            file.setSignalHeader(number, {"label": names[number], **facts})
        file.writeSamples([1000 * row for row in TRUTH[:n_signal]])
    return path, 16000 / (2 * largest + 1)


def write_with_wfdb(folder, kind):
    gain = {"16": 1000.0, "212": 400.0, "24": 100_000.0}[kind]
    wfdb.wrsamp(
        "r1",
        fs=RATE,
        units=["mV"] * 12,
        sig_name=list(LEADS),
        p_signal=TRUTH.T,
        fmt=[kind] * 12,
        adc_gain=[gain] * 12,
        baseline=[0] * 12,
        write_dir=str(folder),
    )
    return folder / "r1", 1000 / gain


def write(kind, folder):
    """Return the path of a file of some kind and its digital unit in uV."""
    if kind in {"16", "212", "24"}:
        return write_with_wfdb(folder, kind)
    if kind in {"edf", "bdf"}:
        return write_edf(folder / f"a.{kind}", is_bdf=kind == "bdf")
    pytest.importorskip("ecgdatakit")
    facts = (digital(), LEADS, UNIT_UV, RATE)
    if kind == "dcm":
        group = hospital.dicom_group(*facts)
        return hospital.write_dicom(folder / "a.dcm", [group]), UNIT_UV
    name, huffman = kind.removesuffix("-huffman"), {"huffman": True} if "-" in kind else {}
    writer = getattr(hospital, f"write_{name}")
    return writer(folder / f"a.{'scp' if name == 'scp' else 'xml'}", *facts, **huffman), UNIT_UV


KINDS = ("16", "212", "24", "edf", "bdf", "dcm", "muse", "aecg", "scp", "scp-huffman", "sierra")


@pytest.mark.parametrize("kind", KINDS)
def test_twelve_leads_come_back_within_a_digital_unit(kind, tmp_path):
    path, unit_uv = write(kind, tmp_path)
    record = read_recording(path)
    assert record.leads == LEADS
    assert record.sampling_rate == RATE
    assert record.signals.shape == TRUTH.shape
    assert 1000 * np.abs(record.signals - TRUTH).max() <= 1.001 * unit_uv + 0.001
    assert 1000 * limb_lead_error(record.signals).max() <= 2.01 * unit_uv


@pytest.mark.parametrize("name", ["muse", "aecg", "scp", "sierra"])
def test_eight_leads_become_twelve_by_arithmetic_and_the_notes_say_so(name, tmp_path):
    pytest.importorskip("ecgdatakit")
    samples = digital(signals=independent_signals(TRUTH))
    writer = getattr(hospital, f"write_{name}")
    path = writer(tmp_path / "a.xml", samples, INDEPENDENT_LEADS, UNIT_UV, RATE)
    record = read_recording(path)
    assert 1000 * limb_lead_error(record.signals).max() < 0.001
    assert 1000 * np.abs(record.signals - TRUTH).max() <= 1.001 * UNIT_UV + 0.001
    assert any("III, aVR, aVL, aVF computed from I and II" in note for note in record.notes)


@pytest.mark.parametrize("kind", KINDS)
def test_one_lead_is_read_alone(kind, tmp_path):
    path, unit_uv = write(kind, tmp_path)
    record = read_recording(path, leads=("V2",))
    assert record.signals.shape == (1, TRUTH.shape[1])
    assert 1000 * np.abs(record.signals[0] - TRUTH[7]).max() <= 1.001 * unit_uv + 0.001
