"""Writers of hospitals' formats for tests, after the public descriptions of each format.

Every writer takes samples `(lead, time)` in digital units, their size in uV and the rate in Hz.
"""

import base64
import binascii
import struct
import zlib

import numpy as np

SCP_CODES = {"I": 1, "II": 2, "V1": 3, "V2": 4, "V3": 5, "V4": 6, "V5": 7, "V6": 8}
SCP_CODES |= {"III": 61, "aVR": 62, "aVL": 63, "aVF": 64}


def write_muse(path, samples, leads, unit_uv, rate, *, units="MICROVOLTS", extra="", doctype=""):
    """One rhythm waveform, each lead as base64 of int16, with its CRC."""
    parts = []
    for lead, row in zip(leads, samples, strict=True):
        content = row.astype("<i2").tobytes()
        facts = {
            "LeadByteCountTotal": len(content),
            "LeadSampleCountTotal": row.size,
            "LeadAmplitudeUnitsPerBit": unit_uv,
            "LeadAmplitudeUnits": units,
            "LeadID": lead,
            "LeadSampleSize": 2,
            "LeadDataCRC32": zlib.crc32(content),
            "WaveFormData": base64.encodebytes(content).decode(),
        }
        inner = "".join(f"<{name}>{value}</{name}>" for name, value in facts.items())
        parts.append(f"<LeadData>{inner}{extra}</LeadData>")
    head = f"<WaveformType>Rhythm</WaveformType><SampleBase>{rate:g}</SampleBase>"
    body = f"<Waveform>{head}<SampleExponent>0</SampleExponent>{''.join(parts)}</Waveform>"
    text = f'<?xml version="1.0" encoding="ISO-8859-1"?>\n{doctype}<RestingECG>{body}</RestingECG>'
    path.write_text(text)
    return path


def write_aecg(path, samples, leads, unit_uv, rate, *, unit="uV", encoding="utf-8"):
    """One rhythm series: the step of time, then digits, origin and scale of each lead."""
    step = f'<increment value="{1 / rate:.9g}" unit="s"/>'
    sequences = [
        '<component><sequence><code code="TIME_RELATIVE"/>'
        f'<value><head value="0" unit="s"/>{step}</value></sequence></component>'
    ]
    for lead, row in zip(leads, samples, strict=True):
        code = f"MDC_ECG_LEAD_{lead.upper()}"
        scale = f'<origin value="0" unit="{unit}"/><scale value="{unit_uv}" unit="{unit}"/>'
        digits = " ".join(str(int(each)) for each in row)
        value = f"<value>{scale}<digits>{digits}</digits></value>"
        sequences.append(
            f'<component><sequence><code code="{code}"/>{value}</sequence></component>'
        )
    inner = f"<component><sequenceSet>{''.join(sequences)}</sequenceSet></component>"
    series = f'<component><series><code code="RHYTHM"/>{inner}</series></component>'
    text = f'<AnnotatedECG xmlns="urn:hl7-org:v3">{series}</AnnotatedECG>'
    path.write_bytes(f'<?xml version="1.0" encoding="{encoding}"?>\n{text}'.encode(encoding))
    return path


def write_sierra(path, samples, leads, unit_uv, rate, *, data=None, compression=""):
    """Version 1.04 with all leads one after the other as base64 of int16."""
    data = samples.astype("<i2").tobytes() if data is None else data
    facts = {
        "dataencoding": "Base64",
        "samplespersecond": f"{rate:g}",
        "durationperchannel": f"{1000 * samples.shape[1] / rate:g}",
        "numberofleads": len(leads),
        "leadlabels": " ".join(leads),
        "resolution": unit_uv,
        "compression": compression or "Uncompressed",
    }
    attributes = " ".join(f'{name}="{value}"' for name, value in facts.items())
    info = "<documenttype>SierraECG</documenttype><documentversion>1.04</documentversion>"
    waves = f"<parsedwaveforms {attributes}>{base64.encodebytes(data).decode()}</parsedwaveforms>"
    text = f"<documentinfo>{info}</documentinfo><waveforms>{waves}</waveforms>"
    path.write_text(f'<?xml version="1.0"?>\n<restingecgdata>{text}</restingecgdata>')
    return path


def _scp_section(number, body):
    body += b"\0" * (len(body) % 2)
    reserved = b"SCPECG" if number == 0 else bytes(6)
    rest = struct.pack("<HIBB", number, 16 + len(body), 20, 20) + reserved + body
    return struct.pack("<H", binascii.crc_hqx(rest, 0xFFFF)) + rest


def _scp_bits(row):
    """Second differences in the default code: 1 to 10 bits for -8 to 8, else 10 and 16 more."""
    second = np.r_[row[:2], np.diff(row, n=2)]
    bits = []
    for value in second.astype(int):
        size = abs(value)
        if size <= 8:
            bits.append("1" * size + ("0" if size == 0 else f"0{int(value < 0)}"))
        else:
            bits.append("1" * 10 + f"{value & 0xFFFF:016b}")
    text = "".join(bits)
    text += "0" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big")


def write_scp(path, samples, leads, unit_uv, rate, *, huffman=False, starts=None):
    """Sections 0, 1, 3 and 6, and 2 for the default Huffman code of second differences."""
    n_lead, n_time = samples.shape
    starts = starts or [1] * n_lead
    chunks = [_scp_bits(row) if huffman else row.astype("<i2").tobytes() for row in samples]
    defined = bytes([n_lead, 4 | n_lead << 3])
    for lead, start in zip(leads, starts, strict=True):
        defined += struct.pack("<IIB", start, start + n_time - 1, SCP_CODES[lead])
    rhythm = struct.pack("<HHBB", round(1000 * unit_uv), round(1e6 / rate), 2 * huffman, 0)
    rhythm += struct.pack(f"<{n_lead}H", *map(len, chunks)) + b"".join(chunks)
    bodies = {1: b"\xff\0\0", 3: defined, 6: rhythm}
    bodies |= {2: struct.pack("<H", 19999)} if huffman else {}
    sections = {number: _scp_section(number, bodies[number]) for number in sorted(bodies)}
    at = 6 + 16 + 10 * 12
    pointers = struct.pack("<HII", 0, at - 6, 7)
    for number in range(1, 12):
        section = sections.get(number, b"")
        pointers += struct.pack("<HII", number, len(section), at + 1 if section else 0)
        at += len(section)
    rest = _scp_section(0, pointers) + b"".join(sections.values())
    rest = struct.pack("<I", 6 + len(rest)) + rest
    path.write_bytes(struct.pack("<H", binascii.crc_hqx(rest, 0xFFFF)) + rest)
    return path


def _dicom_code(value, meaning, scheme):
    from pydicom.dataset import Dataset

    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning
    return code


def _dicom_channel(lead, unit_uv, baseline, unit):
    from pydicom.dataset import Dataset

    channel = Dataset()
    channel.ChannelSourceSequence = [_dicom_code(f"MDC_ECG_LEAD_{lead}", f"Lead {lead}", "MDC")]
    channel.ChannelSensitivity = str(unit_uv)
    channel.ChannelSensitivityCorrectionFactor = "1"
    channel.ChannelBaseline = str(baseline)
    channel.ChannelSensitivityUnitsSequence = [_dicom_code(unit, "unit", "UCUM")]
    channel.WaveformBitsStored = 16
    return channel


def dicom_group(samples, leads, unit_uv, rate, *, label="RHYTHM", baseline=0, unit="uV"):
    """One group of leads that were recorded together."""
    from pydicom.dataset import Dataset

    group = Dataset()
    group.MultiplexGroupLabel, group.WaveformOriginality = label, "ORIGINAL"
    group.NumberOfWaveformChannels, group.NumberOfWaveformSamples = samples.shape
    group.SamplingFrequency = str(rate)
    channels = [_dicom_channel(lead, unit_uv, baseline, unit) for lead in leads]
    group.ChannelDefinitionSequence = channels
    group.WaveformBitsAllocated, group.WaveformSampleInterpretation = 16, "SS"
    group.add_new("WaveformData", "OW", samples.T.astype("<i2").tobytes())
    return group


def write_dicom(path, groups):
    """A 12-lead ECG object in explicit little endian."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, TwelveLeadECGWaveformStorage, generate_uid

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = TwelveLeadECGWaveformStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    whole = FileDataset(str(path), {}, file_meta=meta, preamble=bytes(128))
    whole.SOPClassUID, whole.SOPInstanceUID = (
        TwelveLeadECGWaveformStorage,
        meta.MediaStorageSOPInstanceUID,
    )
    whole.Modality = "ECG"
    whole.WaveformSequence = list(groups)
    whole.save_as(path, enforce_file_format=True)
    return path
