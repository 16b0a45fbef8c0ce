"""Hospitals' files: read right, or refused with the format, what is wrong and what to do."""

import base64
import re
import sys
import time
import tracemalloc
from pathlib import Path

import hospital_files as hospital
import numpy as np
import pytest
from test_round_trips import RATE, TRUTH, UNIT_UV, digital

from ecgnb.leads import INDEPENDENT_LEADS, LEADS, limb_lead_error
from ecgnb.records.formats.hospital import _family_of
from ecgnb.records.record import RecordError
from ecgnb.records.recordings import read_recording

pytest.importorskip("ecgdatakit")
CASES = Path(__file__).parents[2] / "shared" / "cases" / "28_hospital_formats"
needs_cases = pytest.mark.skipif(not CASES.is_dir(), reason="the folder of cases is absent")
FACTS = (digital(), LEADS, UNIT_UV, RATE)
BILLION = """<?xml version="1.0"?>
<!DOCTYPE RestingECG [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>
<RestingECG>&b;</RestingECG>"""
OUTSIDE = """<?xml version="1.0"?>
<!DOCTYPE AnnotatedECG [<!ENTITY a SYSTEM "file:///etc/passwd">]>
<AnnotatedECG>&a;</AnnotatedECG>"""
DEFAULTS = """<?xml version="1.0"?>
<!DOCTYPE restingecgdata [<!ATTLIST a b CDATA "aaaaaaaaaaaaaaaaaaaaaaaaa">]>
<restingecgdata><a/><a/></restingecgdata>"""


def read_muse_ourselves(path):
    """Return the leads of the rhythm in mV, straight from the bytes of a MUSE file."""
    rhythm = path.read_text("latin-1").split("<WaveformType>Rhythm</WaveformType>")[1]
    named = {}
    for part in rhythm.split("<LeadData>")[1:]:
        value = {
            name: re.search(rf"<{name}>([^<]*)<", part)[1]
            for name in ("LeadID", "LeadAmplitudeUnitsPerBit", "WaveFormData")
        }
        samples = np.frombuffer(base64.b64decode(value["WaveFormData"]), "<i2")
        named[value["LeadID"]] = samples * float(value["LeadAmplitudeUnitsPerBit"]) / 1000
    return named


@needs_cases
def test_a_real_muse_file_is_read_as_its_bytes_say():
    record = read_recording(CASES / "muse.xml")
    ours = read_muse_ourselves(CASES / "muse.xml")
    assert tuple(ours) == INDEPENDENT_LEADS
    assert (record.leads, record.sampling_rate, record.duration_s) == (LEADS, 500.0, 10.0)
    for lead, row in ours.items():
        assert np.abs(record.lead(lead) - row).max() < 1e-6
    assert 1000 * limb_lead_error(record.signals).max() < 1e-3
    assert any("computed from I and II" in note for note in record.notes)


@needs_cases
def test_a_real_dicom_file_is_read_as_pydicom_has_it():
    import pydicom

    record = read_recording(CASES / "ecg12.dcm")
    ours = pydicom.dcmread(CASES / "ecg12.dcm").waveform_array(0).T / 1000
    assert (record.leads, record.sampling_rate, record.duration_s) == (LEADS, 1000.0, 10.0)
    assert np.abs(record.signals - ours).max() < 1e-6
    assert 1000 * limb_lead_error(record.signals).max() <= 1.25
    assert record.notes == ()


@needs_cases
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("ecg.xml", "GE MUSE XML: No rhythm waveform"),
        ("ecg.dcm", "DICOM file has no usable Waveform"),
        ("ecg.scp", "SCP-ECG: File too small"),
        ("ecg.ecg", "ISHNE Holter"),
    ],
)
def test_a_stub_is_refused_with_its_format_and_what_is_wrong(name, said):
    with pytest.raises(RecordError, match=said) as caught:
        read_recording(CASES / name)
    assert "fetch" not in str(caught.value)


def test_the_format_is_told_by_the_content_whatever_the_name(tmp_path):
    for name, family in (
        ("muse", "GE MUSE XML"),
        ("aecg", "HL7 aECG"),
        ("sierra", "Philips Sierra XML"),
        ("scp", "SCP-ECG"),
    ):
        path = getattr(hospital, f"write_{name}")(tmp_path / "export.bin", *FACTS)
        assert _family_of(path, path.read_bytes()[:4096]) == family
        assert read_recording(path).sampling_rate == RATE


def test_xml_in_two_bytes_a_letter_is_read(tmp_path):
    record = read_recording(hospital.write_aecg(tmp_path / "a.xml", *FACTS, encoding="utf-16"))
    assert 1000 * np.abs(record.signals - TRUTH).max() <= UNIT_UV


@pytest.mark.parametrize(("unit", "factor"), [("mV", 1000.0), ("V", 1e6), ("nV", 1e-3)])
def test_units_of_a_file_become_millivolts(unit, factor, tmp_path):
    facts = (digital(), LEADS, UNIT_UV / factor, RATE)
    record = read_recording(hospital.write_aecg(tmp_path / "a.xml", *facts, unit=unit))
    assert 1000 * np.abs(record.signals - TRUTH).max() <= UNIT_UV


def test_a_unit_that_the_file_lacks_is_asked_for(tmp_path):
    path = hospital.write_muse(tmp_path / "a.xml", *FACTS, units="")
    with pytest.raises(RecordError, match=r"GE MUSE XML without a unit for lead I.*--unit"):
        read_recording(path)
    record = read_recording(path, unit="uV")
    assert 1000 * np.abs(record.signals - TRUTH).max() <= UNIT_UV


def test_a_baseline_of_dicom_is_added_and_its_unit_converted(tmp_path):
    samples = digital(signals=TRUTH - 0.1)
    group = hospital.dicom_group(samples, LEADS, UNIT_UV / 1000, RATE, baseline=0.1, unit="mV")
    record = read_recording(hospital.write_dicom(tmp_path / "a.dcm", [group]))
    assert 1000 * np.abs(record.signals - TRUTH).max() <= UNIT_UV


def test_a_rate_that_is_no_whole_number_is_not_rounded(tmp_path):
    group = hospital.dicom_group(*FACTS[:3], 257.4)
    record = read_recording(hospital.write_dicom(tmp_path / "a.dcm", [group]))
    assert record.sampling_rate == 257.4
    record = read_recording(hospital.write_scp(tmp_path / "a.scp", *FACTS[:3], 1e6 / 3900))
    assert record.sampling_rate == pytest.approx(1e6 / 3900)


@pytest.mark.parametrize("name", ["muse", "sierra"])
def test_a_rate_that_the_decoder_would_round_is_refused(name, tmp_path):
    path = getattr(hospital, f"write_{name}")(tmp_path / "a.xml", *FACTS[:3], 257.4)
    with pytest.raises(RecordError, match=r"sampling rate of '257\.4'"):
        read_recording(path)


def test_an_average_beat_beside_the_rhythm_is_left_out(tmp_path):
    rhythm = hospital.dicom_group(*FACTS)
    beat = hospital.dicom_group(digital()[:, :600], *FACTS[1:], label="MEDIAN BEAT")
    record = read_recording(hospital.write_dicom(tmp_path / "a.dcm", [rhythm, beat]))
    assert record.n_time == TRUTH.shape[1]
    with pytest.raises(RecordError, match="only an average beat"):
        read_recording(hospital.write_dicom(tmp_path / "b.dcm", [beat]))


def test_dicom_whose_leads_follow_each_other_in_groups_is_refused(tmp_path):
    groups = [
        hospital.dicom_group(digital()[at : at + 3, :1250], LEADS[at : at + 3], UNIT_UV, RATE)
        for at in range(0, 12, 3)
    ]
    with pytest.raises(RecordError, match=r"DICOM with \d groups|no lead aVR"):
        read_recording(hospital.write_dicom(tmp_path / "a.dcm", groups))
    short = hospital.dicom_group(digital()[:, :600], *FACTS[1:], label="")
    whole = hospital.dicom_group(*FACTS, label="")
    with pytest.raises(RecordError, match="DICOM with 2 groups"):
        read_recording(hospital.write_dicom(tmp_path / "b.dcm", [short, whole]))


def test_a_lead_twice_is_refused(tmp_path):
    samples = np.vstack([digital(), digital()[:1]])
    path = hospital.write_muse(tmp_path / "a.xml", samples, (*LEADS, "I"), UNIT_UV, RATE)
    with pytest.raises(RecordError, match="lead I twice"):
        read_recording(path)


@pytest.mark.parametrize("name", ["muse", "aecg", "scp", "sierra"])
def test_limb_leads_that_break_einthovens_law_are_refused(name, tmp_path):
    samples = digital().copy()
    samples[2] = samples[8]
    path = getattr(hospital, f"write_{name}")(tmp_path / "a.xml", samples, *FACTS[1:])
    with pytest.raises(RecordError, match=r"III is not what I and II give \(Einthoven"):
        read_recording(path)


def test_a_limb_lead_that_departs_a_little_is_noted(tmp_path):
    samples = digital().copy()
    samples[5, 1000] += 10
    record = read_recording(hospital.write_muse(tmp_path / "a.xml", samples, *FACTS[1:]))
    assert any(note.startswith("aVF departs by up to 0.0") for note in record.notes)


def test_leads_out_of_step_are_refused(tmp_path):
    late = "<LeadTimeOffset>20</LeadTimeOffset>"
    with pytest.raises(RecordError, match="shifted in time"):
        read_recording(hospital.write_muse(tmp_path / "a.xml", *FACTS, extra=late))
    starts = [1] * 6 + [101] * 6
    with pytest.raises(RecordError, match="shifted in time"):
        read_recording(hospital.write_scp(tmp_path / "a.scp", *FACTS, starts=starts))


@pytest.mark.parametrize("rate", [20.0, 9000.0])
def test_a_rate_that_no_ecg_has_is_refused(rate, tmp_path):
    with pytest.raises(RecordError, match=f"sampling rate of {rate:g}"):
        read_recording(hospital.write_muse(tmp_path / "a.xml", *FACTS[:3], rate))


@pytest.mark.parametrize("text", [BILLION, OUTSIDE, DEFAULTS])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_xml_that_declares_anything_is_refused_before_a_parser_sees_it(text, encoding, tmp_path):
    path = tmp_path / "a.xml"
    path.write_bytes(text.encode(encoding))
    with pytest.raises(RecordError, match="XML that declares entities or attributes"):
        read_recording(path)


def test_a_document_type_that_only_names_itself_is_no_reason(tmp_path):
    doctype = '<!DOCTYPE RestingECG SYSTEM "restecg.dtd">\n'
    path = hospital.write_muse(tmp_path / "a.xml", *FACTS, doctype=doctype)
    assert read_recording(path).duration_s == 10


def test_xml_of_a_million_tags_is_refused_unread(tmp_path):
    path = tmp_path / "a.xml"
    path.write_text("<RestingECG>" + "<a>" * 1_000_000)
    with pytest.raises(RecordError, match="more than 400,000 tags"):
        read_recording(path)


def test_a_file_of_many_megabytes_is_refused_unread(tmp_path):
    path = tmp_path / "a.xml"
    path.write_bytes(b"<RestingECG>" + b" " * 41_000_000)
    with pytest.raises(RecordError, match="at most 40,000,000 are read"):
        read_recording(path)


def test_xml_of_another_kind_is_refused_with_what_is_read(tmp_path):
    (tmp_path / "a.xml").write_text('<?xml version="1.0"?><svg/>')
    with pytest.raises(RecordError, match="unknown kind; read are GE MUSE XML, HL7 aECG"):
        read_recording(tmp_path / "a.xml")


def packed(codes):
    text = "".join(f"{code:010b}" for code in codes)
    return int(text.ljust(-(-len(text) // 8) * 8, "0"), 2).to_bytes(-(-len(text) // 8), "big")


def test_philips_data_that_unpack_to_gigabytes_are_refused_before_that(tmp_path):
    chunk = packed([0, *range(256, 1023), *[1022] * 200_000])
    data = len(chunk).to_bytes(4, "little") + bytes(4) + chunk
    path = hospital.write_sierra(tmp_path / "a.xml", *FACTS, data=data, compression="XLI")
    tracemalloc.start()
    with pytest.raises(RecordError, match="unpack to too much"):
        read_recording(path)
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()


@pytest.mark.parametrize("code", [4_000_000_000, 100_000_000])
def test_scp_that_announces_too_many_samples_is_refused_at_once(code, tmp_path):
    path = hospital.write_scp(tmp_path / "a.scp", *FACTS, huffman=True)
    content = path.read_bytes()
    end = (1).to_bytes(4, "little") + TRUTH.shape[1].to_bytes(4, "little")
    assert end in content
    path.write_bytes(content.replace(end, end[:4] + code.to_bytes(4, "little"), 1))
    with pytest.raises(RecordError, match="announces"):
        read_recording(path)


def test_dicom_in_a_deflated_syntax_is_refused(tmp_path):
    path = hospital.write_dicom(tmp_path / "a.dcm", [hospital.dicom_group(*FACTS)])
    content = path.read_bytes().replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.1.99", 1)
    path.write_bytes(content)
    with pytest.raises(RecordError, match="deflated"):
        read_recording(path)


@pytest.mark.parametrize("name", ["muse", "aecg", "scp", "scp-huffman", "sierra", "dcm"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.97])
def test_a_cut_file_is_refused_with_its_format(name, share, tmp_path):
    path = tmp_path / f"a.{'dcm' if name == 'dcm' else 'scp' if 'scp' in name else 'xml'}"
    if name == "dcm":
        hospital.write_dicom(path, [hospital.dicom_group(*FACTS)])
    else:
        options = {"huffman": True} if "-" in name else {}
        getattr(hospital, f"write_{name.split('-')[0]}")(path, *FACTS, **options)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    start = time.process_time()
    with pytest.raises(RecordError, match=r"MUSE|aECG|SCP-ECG|Sierra|DICOM|XML"):
        read_recording(path)
    assert time.process_time() - start < 3


@pytest.mark.parametrize("name", ["muse", "scp"])
def test_a_changed_sample_is_found_by_the_checksum(name, tmp_path):
    path = getattr(hospital, f"write_{name}")(tmp_path / "a.xml", *FACTS)
    content = bytearray(path.read_bytes())
    at = len(content) // 2
    if name == "muse":
        at = content.index(b"<WaveFormData>", at) + 100
        content[at] = ord("B") if content[at] != ord("B") else ord("C")
    else:
        content[at] ^= 16
    path.write_bytes(bytes(content))
    with pytest.raises(RecordError, match="checksum is wrong"):
        read_recording(path)


@pytest.mark.parametrize("name", ["muse", "aecg", "scp", "sierra"])
def test_bytes_changed_at_random_give_a_record_or_a_record_error(name, tmp_path):
    generator = np.random.default_rng(0)
    facts = (digital()[:, :500], *FACTS[1:])
    path = getattr(hospital, f"write_{name}")(tmp_path / "a.xml", *facts)
    whole = path.read_bytes()
    for _ in range(60):
        content = bytearray(whole)
        for at in generator.integers(0, len(content), 3):
            content[at] = generator.integers(0, 256)
        path.write_bytes(bytes(content))
        try:
            record = read_recording(path)
        except RecordError:
            continue
        assert 50 <= record.sampling_rate <= 5000
        assert not np.isinf(record.signals).any()


def test_without_the_extra_the_refusal_names_it(tmp_path, monkeypatch):
    path = hospital.write_muse(tmp_path / "a.xml", *FACTS)
    monkeypatch.setitem(sys.modules, "ecgdatakit.parsing.parsers.ge_muse_xml", None)
    with pytest.raises(RecordError, match=r"pip install 'ecgnb\[hospital\]'"):
        read_recording(path)


def test_no_personal_detail_of_the_file_is_kept(tmp_path):
    path = hospital.write_muse(tmp_path / "a.xml", *FACTS)
    name = "<PatientDemographics><PatientLastName>Doe</PatientLastName></PatientDemographics>"
    path.write_text(path.read_text().replace("<Waveform>", f"{name}<Waveform>"))
    record = read_recording(path)
    assert "Doe" not in f"{record.comments}{record.notes}{record.patient}{record.name}"
