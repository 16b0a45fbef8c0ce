"""Read what hospitals export: GE MUSE XML, DICOM ECG, HL7 aECG, SCP-ECG, Philips Sierra XML.

ecgdatakit (the extra `ecgnb[hospital]`) decodes the samples. What it is fed and what it hands
back is checked here: size, rate, unit, steps between leads, Einthoven's law. No personal detail
of the file is kept.
"""

import re
import warnings
from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from ecgnb.leads import LEADS, LEADS_FROM_INDEPENDENT
from ecgnb.records.formats.channels import Channels, Request, mv_per_unit, refuse
from ecgnb.records.formats.hospital_guards import GUARDS, check_size
from ecgnb.records.formats.names import pick
from ecgnb.records.wfdb_header import MAX_SAMPLES

DERIVED = ("III", "aVR", "aVL", "aVF")

MAX_NOTES = 3

ODD_SHARE = 0.2  # of the limb leads' size: other leads, another time, or read wrongly

ODD_MV = 0.02  # rounding, or a filter on single leads

_PARSERS = {
    "GE MUSE XML": ("ge_muse_xml", "GEMuseXMLParser"),
    "DICOM": ("dicom_waveform", "DICOMWaveformParser"),
    "HL7 aECG": ("hl7_aecg", "HL7aECGParser"),
    "SCP-ECG": ("scp_ecg", "SCPECGParser"),
    "Philips Sierra XML": ("sierra_xml", "SierraXMLParser"),
}

_ENDINGS = {".dcm": "DICOM", ".dicom": "DICOM", ".scp": "SCP-ECG"}

_SHIFTS = ("LeadTimeOffset", "LeadOffsetFirstSample", "FirstSampleBaseline", "sample_skew_ms")

_HEAD_BYTES = 65_536

_ROOTS = (
    ("Philips Sierra XML", re.compile(rb"<restingecgdata[\s>/]", re.I)),
    ("GE MUSE XML", re.compile(rb"<(?:RestingECG|MuseInfo)[\s>/]", re.I)),
    ("HL7 aECG", re.compile(rb"<(?:[\w.-]+:)?AnnotatedECG[\s>/]")),
)


def is_hospital(path: Path, head: bytes) -> bool:
    """Return whether a file is of a hospital's format, told by its first bytes or its ending."""
    return bool(_family_of(path, head))


def _family_of(path: Path, head: bytes) -> str:
    """Return the name of a hospital's format, or "".

    Examples
    --------
    >>> _family_of(Path("a.xml"), b"<RestingECG>"), _family_of(Path("a.csv"), b"I,II")
    ('GE MUSE XML', '')
    """
    if head[128:132] == b"DICM":
        return "DICOM"
    if b"SCPECG" in head[:32]:
        return "SCP-ECG"
    if head.startswith((b"ISHNE", b"ANN  1.0")):
        return "ISHNE Holter"
    plain = head.replace(b"\0", b"")
    for family, root in _ROOTS:
        if root.search(plain):
            return family
    if (
        path.suffix.lower() == ".xml"
        or plain.lstrip(b"\xef\xbb\xbf\xff\xfe \r\n\t")[:5] == b"<?xml"
    ):
        return "XML"
    return _ENDINGS.get(path.suffix.lower(), "")


def read_hospital_file(path: Path, request: Request) -> Channels:
    """Return the leads of a hospital's file in mV, those that follow from I and II computed.

    Raises
    ------
    RecordError
        If the extra is absent, or the file is damaged, unsafe, or not what it says.
    """
    with path.open("rb") as file:
        family = _family_of(path, file.read(_HEAD_BYTES))
    if family not in _PARSERS:
        raise _unknown(path, family)
    check_size(path)
    GUARDS[family](path, path.read_bytes())
    leads, facts, told = _decode(path, family)
    rate = _rate(path, family, leads, facts)
    _check_leads(path, family, leads)
    rows = [_in_mv(path, family, lead, request.unit) for lead in leads]
    labels = _labels(leads)
    named = _all_named(path, labels, rows, request)
    notes = (*_check_limb_leads(path, family, named), *told)
    computed = _compute(named) if not request.channel else {}
    if set(computed) & set(request.leads):
        notes = (f"{', '.join(computed)} computed from I and II of the {family} file", *notes)
    wanted = {lead: row for lead, row in (named | computed).items() if lead in request.leads}
    return Channels(wanted, rate, found=tuple(labels), notes=notes)


def _unknown(path: Path, family: str) -> Exception:
    if family == "ISHNE Holter":
        why = "Holter recordings of this format are not read"
        return refuse(path, "an ISHNE Holter file", why, "convert it to WFDB or EDF")
    return refuse(
        path,
        "an XML file of an unknown kind",
        f"read are {', '.join(name for name in _PARSERS if 'XML' in name or 'aECG' in name)}",
        "export the ECG in one of them, or as DICOM, EDF or CSV",
    )


def _decode(path: Path, family: str) -> tuple[list[Any], dict[str, Any], tuple[str, ...]]:
    """Return the leads as ecgdatakit gives them, facts about the file, and notes."""
    module, name = _PARSERS[family]
    try:
        parser = getattr(import_module(f"ecgdatakit.parsing.parsers.{module}"), name)
        import pydicom  # noqa: F401 (part of the extra)
    except ImportError:
        raise refuse(
            path,
            f"a {family} file",
            "ecgdatakit reads it",
            "install ecgnb with its extra: pip install 'ecgnb[hospital]'",
        ) from None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            record = parser().parse(path)
        except Exception as error:  # decoders of foreign bytes raise anything
            what = str(error).replace(str(path), path.name) or type(error).__name__
            why = f"the {family} file could not be read"
            raise refuse(path, f"{family}: {what}", why, "export it again") from error
    told = [str(each.message).replace(str(path), path.name) for each in caught]
    _check_told(path, family, caught)
    if not record.leads:
        raise refuse(
            path,
            f"{family} without a rhythm",
            "only an average beat is there",
            "export the rhythm",
        )
    return record.leads, record.raw_metadata, tuple(dict.fromkeys(told))[:MAX_NOTES]


def _check_told(path: Path, family: str, caught: list[warnings.WarningMessage]) -> None:
    """Refuse a file whose checksum is wrong; that of SCP-ECG was checked before."""
    for each in caught:
        if each.category.__name__ == "ChecksumWarning" and family != "SCP-ECG":
            raise refuse(
                path,
                f"{family} whose checksum is wrong",
                "the samples are not those that were written",
                "export or copy it again",
            )


def _rate(path: Path, family: str, leads: list[Any], facts: Mapping[str, Any]) -> float:
    """Return the exact sampling rate in Hz: ecgdatakit rounds it to a whole number."""
    rates = {float(lead.sampling_rate) for lead in leads}
    if len(rates) > 1:
        raise refuse(path, f"{family} with leads of several rates", "one is expected", "resample")
    rate = rates.pop()
    if family == "HL7 aECG":
        rate = float(facts["rhythm_time"]["sampling_rate_exact"])
    elif family == "SCP-ECG":
        rate = 1e6 / facts["rhythm_sample_interval_us"]
    elif family == "DICOM":
        rate = _group_rate(path, leads, facts["multiplex_groups"])
    if not 50 <= rate <= 5000:
        raise refuse(
            path,
            f"{family} with a sampling rate of {rate:g} Hz",
            "50 to 5,000 Hz are expected",
            "check the export",
        )
    return round(rate, 6)


def _group_rate(path: Path, leads: list[Any], groups: list[dict[str, Any]]) -> float:
    """Return the rate of the group that was read, the longest of the file."""
    size = (len(leads), len(leads[0].samples))
    read = [group for group in groups if (group["channels"], group["samples"]) == size]
    longest = max(group["samples"] / group["sampling_frequency"] for group in groups)
    if size[1] / read[0]["sampling_frequency"] < longest or len(read) > 1:
        raise refuse(
            path,
            f"DICOM with {len(groups)} groups of leads",
            "which of them is the ECG, or how they follow in time, is not certain",
            "export the leads as one group",
        )
    return float(read[0]["sampling_frequency"])


def _in_mv(path: Path, family: str, lead: Any, unit: str) -> np.ndarray:  # noqa: ANN401
    """Return the samples `(time,)` of a lead in mV."""
    named = lead.resolution_unit if lead.is_raw else lead.units
    if not named and not (unit and lead.adc_resolution):
        raise refuse(
            path,
            f"{family} without a unit for lead {lead.label}",
            "the amplitude in mV is unknown",
            "name it with --unit" if lead.adc_resolution else "export it with its scale",
        )
    values = np.asarray(lead.samples, dtype=np.float64)
    if lead.is_raw:
        values = values * lead.resolution + lead.offset
    if not np.isfinite(values[~np.isnan(values)]).all():
        raise refuse(
            path, f"{family} with infinite samples", "no lead has them", "export it again"
        )
    return values * mv_per_unit(path, named or unit)


def _check_leads(path: Path, family: str, leads: list[Any]) -> None:
    """Refuse leads that are not in step, or too long."""
    lengths = {len(lead.samples) for lead in leads}
    starts = {lead.annotations.get("start_sample") for lead in leads}
    shifts = {lead.annotations.get(key) for lead in leads for key in _SHIFTS} - {None}
    if len(lengths) > 1 or len(starts) > 1 or shifts:
        raise refuse(
            path,
            f"{family} with leads of several lengths, or shifted in time",
            "all leads must be recorded at the same time",
            "export the simultaneous leads",
        )
    n_sample = sum(len(lead.samples) for lead in leads)
    if not 0 < n_sample <= MAX_SAMPLES:
        raise refuse(
            path,
            f"{family} with {n_sample:,} samples",
            f"1 to {MAX_SAMPLES:,} are read",
            "export the 10-s ECG",
        )


def _labels(leads: list[Any]) -> list[str]:
    """Return the names of the leads; ecgdatakit numbers those that come twice."""
    labels = [lead.label for lead in leads]
    return [re.sub(r"_\d+$", "", each) if each[:-2] in labels else each for each in labels]


def _all_named(
    path: Path, labels: list[str], rows: list[np.ndarray], request: Request
) -> dict[str, np.ndarray]:
    """Return all standard leads of the file, for they check each other; or the channel wanted."""
    wide = request if request.channel else replace(request, leads=LEADS)
    return {each.lead: each.sign * rows[each.position] for each in pick(path, labels, wide)}


def _compute(named: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return those of III, aVR, aVL and aVF that are absent, from I and II."""
    if not {"I", "II"} <= set(named):
        return {}
    return {lead: _from_limbs(named, lead) for lead in DERIVED if lead not in named}


def _from_limbs(named: Mapping[str, np.ndarray], lead: str) -> np.ndarray:
    of_one, of_two = LEADS_FROM_INDEPENDENT[LEADS.index(lead), :2]
    return of_one * named["I"] + of_two * named["II"]


def _check_limb_leads(path: Path, family: str, named: Mapping[str, np.ndarray]) -> tuple[str, ...]:
    """Return notes where limb leads are not what I and II give; refuse what is another lead."""
    there = [lead for lead in DERIVED if lead in named]
    if not {"I", "II", *there[:1]} <= set(named):
        return ()
    notes = []
    size = max(np.nanstd(named["I"]), np.nanstd(named["II"]))
    for lead in there:
        difference = named[lead] - _from_limbs(named, lead)
        if np.nanstd(difference) > ODD_SHARE * size:
            raise refuse(
                path,
                f"{family} whose {lead} is not what I and II give (Einthoven's law): they differ "
                f"by {np.nanstd(difference):.3f} mV",
                "the leads were not recorded at the same time, or the file is read wrongly",
                "export the simultaneous leads",
            )
        if (largest := np.nanmax(np.abs(difference))) > ODD_MV:
            notes.append(f"{lead} departs by up to {largest:.3f} mV from what I and II give")
    return tuple(notes)
