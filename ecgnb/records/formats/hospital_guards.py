"""Refuse a hospital's file that could cost memory or time without bound, before it is decoded."""

import base64
import binascii
import re
import struct
from collections.abc import Callable
from pathlib import Path

from ecgnb.records.formats.channels import refuse
from ecgnb.records.wfdb_header import MAX_SAMPLES

MAX_HOSPITAL_BYTES = 40_000_000  # 6 million samples as decimal text

MAX_TAGS = 400_000

_DEFLATED = "1.2.840.10008.1.2.1.99"

_WAVEFORMS = re.compile(rb"<parsedwaveforms([^>]*)>(.*?)</parsedwaveforms\s*>", re.S | re.I)

_LZW_BITS = 10

_RATES = re.compile(
    rb"""<(?:SampleBase|samplingrate)>([^<]*)<|samplespersec(?:ond)?=["']([^"']*)"""
)


def check_size(path: Path) -> None:
    """Refuse a file that is too large for any resting ECG."""
    size = path.stat().st_size
    if size > MAX_HOSPITAL_BYTES:
        raise refuse(
            path,
            f"the file has {size:,} bytes",
            f"at most {MAX_HOSPITAL_BYTES:,} are read",
            "export the ECG alone, without reports and pictures",
        )


def _check_xml(path: Path, content: bytes) -> None:
    """Refuse XML that declares entities or defaults, or that has very many elements.

    Nothing but a plain `<!DOCTYPE name SYSTEM "...">` is let through, and nothing is fetched.
    """
    plain = content.replace(b"\0", b"")  # UTF-16 without knowing its order
    doctype = re.search(rb"<!DOCTYPE[^>\[]*\[", plain)
    if doctype or b"<!ENTITY" in plain or b"<!ATTLIST" in plain:
        raise refuse(
            path,
            "XML that declares entities or attributes of its own",
            "a small file could stand for a huge one, or for files of this machine",
            "export it again without a document type of its own",
        )
    if plain.count(b"<") > MAX_TAGS:
        raise refuse(
            path,
            f"XML with more than {MAX_TAGS:,} tags",
            "no resting ECG needs so many",
            "export the ECG alone",
        )


def _check_rated_xml(path: Path, content: bytes) -> None:
    """Refuse XML that is unsafe, or whose rate is no whole number: the decoder would round it."""
    _check_xml(path, content)
    for found in _RATES.findall(content.replace(b"\0", b"")):
        text = b"".join(found).decode("latin-1").strip()
        if text and not re.fullmatch(r"\d{1,6}(?:\.0*)?", text):
            raise refuse(
                path,
                f"a sampling rate of {text[:20]!r}",
                "a whole number of Hz is expected in such a file",
                "check the export",
            )


def _check_scp(path: Path, content: bytes) -> None:
    """Refuse an SCP-ECG file that announces too many samples or whose checksum is wrong."""
    try:
        stored, size = struct.unpack_from("<HI", content)
        n_sample = _scp_samples(content)
    except struct.error:
        return  # too short: the decoder says so
    if n_sample > MAX_SAMPLES:
        raise refuse(
            path,
            f"SCP-ECG that announces {n_sample:,} samples",
            f"more than {MAX_SAMPLES:,} are not read",
            "export the 10-s ECG alone",
        )
    whole = 0 < size <= len(content)
    if whole and stored and binascii.crc_hqx(content[2:size], 0xFFFF) != stored:
        raise refuse(
            path,
            "SCP-ECG whose checksum is wrong",
            "the bytes are not those that were written",
            "export or copy it again",
        )


def _scp_samples(content: bytes) -> int:
    """Return how many samples section 3 announces, 0 without one."""
    (n_byte,) = struct.unpack_from("<I", content, 10)
    total = 0
    for at in range(22, min(6 + n_byte, len(content)) - 9, 10):
        number, length, index = struct.unpack_from("<HII", content, at)
        if number == 3 and length and index:
            body = index - 1 + 16
            for lead in range(content[body] if body < len(content) else 0):
                start, end = struct.unpack_from("<II", content, body + 2 + 9 * lead)
                total += max(end - start + 1, 0)
    return total


def _check_dicom(path: Path, content: bytes) -> None:
    """Refuse a DICOM file whose data are deflated: how large they become is not known before."""
    if _DEFLATED.encode() in content[:4096]:
        raise refuse(
            path,
            "DICOM in the deflated transfer syntax",
            "how large it becomes is not known before it is unpacked",
            "export it as explicit little endian",
        )


def _check_sierra(path: Path, content: bytes) -> None:
    """Refuse Philips XML that is unsafe or whose compressed signals unpack to too much."""
    _check_rated_xml(path, content)
    plain = content.replace(b"\0", b"")
    if b"XLI" not in plain.upper():
        return
    budget = 2 * MAX_SAMPLES
    for attributes, text in _WAVEFORMS.findall(plain):
        if b"XLI" in attributes.upper():
            budget -= _unpacked_bytes(path, text, budget)


def _unpacked_bytes(path: Path, text: bytes, budget: int) -> int:
    """Return how many bytes XLI chunks unpack to; more than `budget` are refused."""
    try:
        content = base64.b64decode(b"".join(text.split()), validate=True)
    except ValueError:
        return 0  # the decoder says so
    total, at = 0, 0
    while at + 8 <= len(content):
        size = int.from_bytes(content[at : at + 4], "little")
        total += _lzw_length(content[at + 8 : at + 8 + size], budget - total)
        if total > budget:
            raise refuse(
                path,
                "Philips XML whose compressed signals unpack to too much",
                f"more than {MAX_SAMPLES:,} samples are not read",
                "export the 10-s ECG alone",
            )
        at += 8 + max(size, 1)
    return total


def _lzw_length(chunk: bytes, budget: int) -> int:
    """Return the length of what an LZW stream stands for, without making it."""
    last = (1 << _LZW_BITS) - 2
    lengths, total, previous = dict.fromkeys(range(256), 1), 0, 0
    following = 256
    for at in range(_LZW_BITS, 8 * len(chunk) + 1, _LZW_BITS):
        code = _bits_at(chunk, at - _LZW_BITS)
        if code > last:
            break
        length = lengths.setdefault(code, previous + 1)
        if previous and following <= last:
            lengths[following] = previous + 1
            following += 1
        previous = length
        total += length
        if total > budget:
            break
    return total


def _bits_at(chunk: bytes, at: int) -> int:
    """Return the 10 bits of a stream that begin at one bit."""
    first = at // 8
    window = int.from_bytes(chunk[first : first + 3].ljust(3, b"\0"), "big")
    return window >> (24 - _LZW_BITS - at % 8) & ((1 << _LZW_BITS) - 1)


GUARDS: dict[str, Callable[[Path, bytes], None]] = {
    "GE MUSE XML": _check_rated_xml,
    "HL7 aECG": _check_xml,
    "Philips Sierra XML": _check_sierra,
    "DICOM": _check_dicom,
    "SCP-ECG": _check_scp,
}
