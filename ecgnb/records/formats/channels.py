"""What a reader is asked for and hands back, the units it knows, and how it refuses."""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ecgnb.leads import LEADS
from ecgnb.records.record import RecordError
from ecgnb.text import for_terminal

AGREEMENT = 0.005  # of a stated rate with the stamps: quartz is far better, 512 and 500 far apart


@dataclass(frozen=True)
class Request:
    """What is wanted of a file, and what the caller says that the file does not.

    `leads` are the leads that must be there, in standard spelling. `sampling_rate` in Hz and
    `unit` hold where the file is silent. `channel` is the name of the only lead wanted, as the
    file spells it. `renamed` maps names of the file to leads; `-aVR` turns the sign.
    """

    leads: tuple[str, ...] = LEADS
    sampling_rate: float | None = None
    channel: str = ""
    unit: str = ""
    renamed: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.channel and len(self.leads) != 1:
            raise ValueError("a channel can be named for one lead only")


@dataclass(frozen=True)
class Channels:
    """Signals of a file by standard lead: each `(time,)` in mV, missing samples NaN.

    Only wanted leads need be in `named`. `found` are all names as the file spells them, for the
    message that says which lead is absent. `notes` say what was left out, inferred or computed.
    """

    named: Mapping[str, np.ndarray]
    sampling_rate: float
    found: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    comments: tuple[str, ...] = ()


def refuse(path: Path, what: str, why: str, what_to_do: str) -> RecordError:
    """Return the refusal of a file: what was found, why it matters, what to do."""
    parts = [for_terminal(part) for part in (what, why, what_to_do)]
    return RecordError(for_terminal(path.name), *parts)


_WORDS = {
    1.0: ("mv", "millivolt", "millivolts", "mvolt", "mvolts"),
    1e-3: ("uv", "\u03bcv", "microvolt", "microvolts", "uvolt", "uvolts", "mcv", "muv"),
    1e3: ("v", "volt", "volts"),
    1e-6: ("nv", "nanovolt", "nanovolts"),
}

MV_PER_UNIT = {word: factor for factor, words in _WORDS.items() for word in words}

# A range between these, in mV, can be an ECG: a lead off is noise of some uV, saturation 10 mV.
LEAST_MV, LARGEST_MV = 0.02, 25.0

_BRACKETS = re.compile(r"^(.*?)\s*[\[({]\s*([^\])}]*?)\s*[\])}]\s*$")

_NO_UNITS = ("einthoven", "goldberger", "wilson", "raw", "ecg", "ekg")

_LEAD = re.compile(r"d?i{1,3}|av[rlf]|[vc][1-6]", re.IGNORECASE)  # as in "Channel 1 (V5)"

_LOOSE = "|".join(sorted((word for word in MV_PER_UNIT if word != "v"), key=len, reverse=True))

_TAIL = re.compile(rf"^(.*?)(?:^|[\s_/,.:-]+(?:in\s+)?)({_LOOSE})$", re.IGNORECASE)


def plain_unit(unit: str) -> str:
    r"""Return a unit in lower case, with one micro sign of the two that look alike.

    Examples
    --------
    >>> plain_unit(" \u00b5V ") == plain_unit("\u03bcv")
    True
    """
    return unicodedata.normalize("NFKC", unit).strip().strip("'\"").strip().casefold()


def is_unit(text: str) -> bool:
    """Return whether a text is a unit of voltage.

    Examples
    --------
    >>> is_unit("mV"), is_unit("mmHg")
    (True, False)
    """
    return plain_unit(text) in MV_PER_UNIT


def split_unit(name: str) -> tuple[str, str]:
    """Return a name and the unit it carries, in brackets or as its last word.

    Examples
    --------
    >>> split_unit("I (uV)"), split_unit("ecg_mV"), split_unit("uV"), split_unit("Ch1 (V5)")
    (('I', 'uV'), ('ecg', 'mV'), ('', 'uV'), ('Ch1', ''))
    """
    text = unicodedata.normalize("NFKC", name).strip().strip("'\"").strip()
    match = _BRACKETS.match(text) or _TAIL.match(text)
    if not match:
        return text, ""
    no_unit = plain_unit(match[2]) in _NO_UNITS or _LEAD.fullmatch(match[2])
    return match[1].strip(), "" if no_unit else match[2]


def mv_per_unit(path: Path, unit: str) -> float:
    """Return mV per unit; what is no unit of voltage is refused."""
    factor = MV_PER_UNIT.get(plain_unit(unit))
    if factor is None:
        raise refuse(
            path,
            f"the unit {unit[:20]!r}",
            "mV, uV, V or nV is expected",
            "name the right unit in the file; digits need their gain, in units per mV",
        )
    return factor


def agreed_factor(path: Path, said: str, option: str) -> tuple[float, str]:
    """Return mV per unit of a signal, and a note where file and caller disagree.

    Parameters
    ----------
    path
        The file, for the refusal.
    said
        The unit that the file states, or "".
    option
        The unit that the caller states, or "".
    """
    wanted = mv_per_unit(path, option) if option else 1.0
    if not said:
        return wanted, ""
    factor = mv_per_unit(path, said)
    if option and factor != wanted:
        return factor, f"the file says {said}: --unit {option} is not used"
    return factor, ""


def refuse_implausible(path: Path, signals: list[np.ndarray]) -> None:
    """Refuse numbers without any unit that cannot be an ECG in mV: 0.02 to 25 mV in range."""
    with_samples = [row[np.isfinite(row)] for row in signals]
    ranges = [np.ptp(np.percentile(row, (0.5, 99.5))) for row in with_samples if row.size]
    widest = max(ranges, default=0.0)
    if widest > LARGEST_MV or 0 < widest < LEAST_MV:
        raise refuse(
            path,
            f"numbers without a unit that range over {widest:.3g}",
            "that is no ECG in mV",
            "say what they are in: --unit uV (or V), or a name such as 'I (uV)'",
        )


def stated_rate(path: Path, said: float | None, request: Request) -> float | None:
    """Return the rate that the file says or the caller states, Hz; a contradiction is refused."""
    if said and request.sampling_rate:
        if abs(said / request.sampling_rate - 1) > AGREEMENT:
            raise refuse(
                path,
                f"the file says {said:g} Hz, --sampling-rate {request.sampling_rate:g} Hz",
                "they contradict each other",
                "leave --sampling-rate out if the file is right",
            )
        return said
    return said or request.sampling_rate
