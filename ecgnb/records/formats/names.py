"""One table of lead names for every format, and which signals of a file stand for which leads.

Known spellings, in any case, with blanks, dots, colons, hyphens or underscores between the parts:

| the lead | spellings |
|---|---|
| I, II, III | `DI`, `D1`, `Lead I`, `ECG I`, `EKG_I`, `Ableitung I`, `MDC_ECG_LEAD_I`, `I-Ref` |
| aVR, aVL, aVF | the same prefixes; `-aVR`, `aVR-`, `inverted aVR` turn the sign |
| V1 ... V6 | `V-1`, `C1` (unless the file looks like an EEG) |
| any | `Channel 1 (V5)`; of the limb leads `LA-RA`, `LL-RA`, `LL-LA` |
| vx, vy, vz | the Frank leads |

A bare number (`Lead 1`, `ch2`) is no name: it may count leads or channels. `MLII`, `VR` and other
leads that are not the standard ones need `--leads "MLII=II"`.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ecgnb.leads import LEADS, standard_name
from ecgnb.records.formats.channels import (
    Channels,
    Request,
    agreed_factor,
    refuse,
    split_unit,
    stated_rate,
)

WATCH_LEAD = "Lead I"

# The word for a lead, as the exports of watches and hospitals have it in their languages.
_WORDS = (
    "mdc_ecg_lead|mdc_ecg_elec_potl|ecg|ekg|leads?|einthoven|goldberger|wilson|ableitung|abl|"
    "d[eé]rivation|derivaci[oó]n|derivazione|deriva[cç][aã]o|derivada|deriva[tț]ia|afleiding|"
    "avledning|afledning|kytkent[aä]|odprowadzenie|svod|zvod|elvezet[eé]s|derivasyon|odvod|"
    "отведение|відведення|απαγωγή|誘導|导联|導程|유도|리드"
)

_GAP = r"[\s_:.\-]*"

_WORD = re.compile(rf"^(?:{_WORDS}){_GAP}|{_GAP}(?:{_WORDS})$")

_REFERENCE = re.compile(rf"{_GAP}[-_/ ](?:ref|reference|wct)$")

_TURNED = re.compile(r"^(?:-\s*|inv(?:erted|\.)?[\s_]+)(.+)|^(.+?)(?:-|[\s_]+inv(?:erted|\.)?)$")

_CORE = re.compile(
    rf"d?{_GAP}(?P<limb>i{{1,3}})|d(?P<number>[123])|a{_GAP}v{_GAP}(?P<augmented>[rlf])|"
    rf"(?P<chest>[vc]){_GAP}(?P<place>[1-6])|v{_GAP}(?P<frank>[xyz])"
)

_IN_BRACKETS = re.compile(r"[\[(]([^\])]+)[\])]$")

_PAIRS = {"la-ra": "i", "ll-ra": "ii", "ll-la": "iii"}  # positive electrode first

_BRAIN = re.compile(r"(?:eeg|eog|emg)\b.*|(?:fp|f|t|p|o|a|m)\d\d?|(?:f|c|p|o)z|(?:roc|loc)")


@dataclass(frozen=True)
class Pick:
    """A signal of the file that is wanted: its lead, its position, +1 or -1 for its sign."""

    lead: str
    position: int
    sign: int


def lead_of(name: str) -> str:
    """Return the standard lead that a file's name stands for, or "".

    Examples
    --------
    >>> lead_of("ECG V2"), lead_of("Lead_avl"), lead_of("MDC_ECG_LEAD_I"), lead_of("EEG Fz")
    ('V2', 'aVL', 'I', '')
    """
    lead, sign, _ = _known(name)
    return lead if sign > 0 else ""


def signed_lead(name: str) -> tuple[str, int]:
    """Return the standard lead of a file's name, or "", and its sign.

    Examples
    --------
    >>> signed_lead("-aVR"), signed_lead("DII"), signed_lead("I-II")
    (('aVR', -1), ('II', 1), ('', 1))
    """
    return _known(name)[:2]


def _plain(name: str) -> str:
    """Return a name for comparisons: one form of each letter, one minus, lower case."""
    text = unicodedata.normalize("NFKC", name).replace("\u2212", "-").replace("\u2013", "-")
    return " ".join(text.strip().strip("'\"").split()).casefold()


def _known(name: str) -> tuple[str, int, bool]:
    """Return lead, sign, and whether the name is a bare C1 to C6, which EEGs have as well."""
    text, sign, words = _REFERENCE.sub("", _plain(name)), 1, False
    while True:
        before = text
        if sign > 0 and (match := _TURNED.fullmatch(text)):
            text, sign = (match[1] or match[2]).strip(), -1
        shorter = _WORD.sub("", text).strip()
        text, words = shorter, words or shorter != text
        if text == before:
            break
    match = _CORE.fullmatch(_PAIRS.get(text, text))
    if not match:
        return "", 1, False
    return _standard(match), sign, match["chest"] == "c" and not words


def _known_with_brackets(name: str) -> tuple[str, int, bool]:
    """Return the same of a name with a unit, or with a lead in brackets: `Channel 1 (V5)`."""
    found = _known(split_unit(name)[0])
    match = _IN_BRACKETS.search(_plain(name))
    return _known(match[1]) if match and not found[0] else found


def _standard(match: re.Match[str]) -> str:
    if match["number"]:
        return "I" * int(match["number"])
    if match["limb"]:
        return match["limb"].upper()
    if match["augmented"]:
        return standard_name(f"av{match['augmented']}")
    return standard_name(f"v{match['place'] or match['frank']}")


def known_leads(names: Sequence[str]) -> list[tuple[str, int]]:
    """Return lead ("" if none) and sign of each name of a file, in view of the other names.

    Bare `C1` to `C6` are chest leads unless the file looks like an EEG: another name of the brain
    stands beside them, or only C3 and C4 are there, as in recordings of sleep.

    Examples
    --------
    >>> known_leads(["I", "C1", "C2"]), known_leads(["I", "C3", "C4", "O1"])
    ([('I', 1), ('V1', 1), ('V2', 1)], [('I', 1), ('', 1), ('', 1), ('', 1)])
    """
    known = [_known_with_brackets(name) for name in names]
    bare = {lead for lead, _, is_bare in known if is_bare}
    brain = bare <= {"V3", "V4"} or any(_BRAIN.fullmatch(_plain(name)) for name in names)
    return [("", 1) if is_bare and brain else (lead, sign) for lead, sign, is_bare in known]


def parse_renamed(text: str) -> dict[str, str]:
    """Return the mapping of names to leads that `--leads "ch1=I,ch2=V2"` states.

    Raises
    ------
    ValueError
        If a part is no `name=lead`, a name comes twice, or the lead is none of the 12.

    Examples
    --------
    >>> parse_renamed("ch1=I, ch 2=-avr")
    {'ch1': 'I', 'ch 2': '-aVR'}
    """
    renamed: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, lead = (piece.strip() for piece in part.rpartition("="))
        standard, sign = signed_lead(lead)
        if not (name and equals) or standard not in LEADS or name in renamed:
            raise ValueError(f"--leads: {part[:40]!r} is not one new name=lead, such as ch1=V2")
        renamed[name] = standard if sign > 0 else f"-{standard}"
    return renamed


def pick(path: Path, names: Sequence[str], request: Request) -> tuple[Pick, ...]:
    """Return the signals of a file that stand for the wanted leads, in the order of the file.

    Parameters
    ----------
    path
        The file, for the refusal.
    names
        Of all its signals, as it spells them; a unit in brackets is overlooked.
    request
        Its leads, channel and renamed names.

    Raises
    ------
    RecordError
        If a wanted lead is there twice. One that is absent is simply not picked.
    """
    if request.channel:
        at = name_positions(names, request.channel)
        picks = [Pick(request.leads[0], position, 1) for position in at]
    else:
        known = _renamed(names, known_leads(names), request.renamed)
        picks = [Pick(lead, at, sign) for at, (lead, sign) in enumerate(known)]
        picks = [each for each in picks if each.lead in request.leads]
    for lead in request.leads:
        same = [names[each.position] for each in picks if each.lead == lead]
        if len(same) > 1:
            raise refuse(
                path,
                f"lead {lead} twice: {', '.join(repr(name[:20]) for name in same[:4])}",
                "which of them is meant is unknown",
                "take one out or rename it, or name the one you mean: --channel or --leads",
            )
    return tuple(picks)


def _renamed(
    names: Sequence[str], known: list[tuple[str, int]], renamed: Mapping[str, str]
) -> list[tuple[str, int]]:
    """Return leads and signs after the caller's names; what he names is nothing else any more."""
    given = {
        at: signed_lead(lead)
        for name, lead in renamed.items()
        for at in name_positions(names, name)
    }
    taken = {lead for lead, _ in given.values()}
    rest = [("", 1) if lead in taken else (lead, sign) for lead, sign in known]
    return [given.get(at, each) for at, each in enumerate(rest)]


def name_positions(names: Sequence[str], wanted: str) -> list[int]:
    """Return where a name is: spelt exactly so, else in another case, else without its unit."""
    tests = (
        lambda name: name.strip() == wanted.strip(),
        lambda name: _plain(name) == _plain(wanted),
        lambda name: _plain(split_unit(name)[0]) == _plain(wanted),
    )
    for test in tests:
        if found := [at for at, name in enumerate(names) if test(name)]:
            return found
    return []


def unknown_names(names: Sequence[str], renamed: Mapping[str, str]) -> tuple[str, ...]:
    """Return those names of the caller's mapping that the file lacks.

    Examples
    --------
    >>> unknown_names(["ch1"], {"ch1": "I", "chl": "II"})
    ('chl',)
    """
    return tuple(name for name in renamed if not name_positions(names, name))


def watch_channels(
    path: Path,
    signals: dict[str, np.ndarray],
    request: Request,
    *,
    rate: float | None,
    unit: str,
    notes: tuple[str, ...] = (),
) -> Channels:
    """Return the wanted leads of the signals `(time,)` that a watch's file names, in mV.

    Parameters
    ----------
    path
        The file, for refusals.
    signals
        By the file's names, in its unit.
    request
        What is wanted.
    rate
        In Hz, as the file says it; None if it does not.
    unit
        Of the signals.
    notes
        To hand on.
    """
    names = tuple(signals)
    rate = stated_rate(path, rate, request)
    if rate is None:
        raise refuse(path, "no sampling rate", "times are unknown", "give --sampling-rate")
    factor, note = agreed_factor(path, unit, request.unit)
    named = {
        each.lead: signals[names[each.position]] * (each.sign * factor)
        for each in pick(path, names, request)
    }
    if len({row.size for row in named.values()}) > 1:
        raise refuse(path, "leads of several lengths", "it is damaged", "export it again")
    return Channels(named, rate, names, tuple(filter(None, (*notes, note))))
