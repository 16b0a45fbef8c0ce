"""Signs of a condition in the ECG: where to look, and whether the beats at hand show them.

Which signs are looked for is declared in `data/signs.csv`, before any beat is measured; the texts
with their sources are in the chapter of the condition.
"""

import csv
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
import pandas as pd

from ecgnb.explanation.shares import N_LEAST, waves_of
from ecgnb.explanation.windows import BEFORE, SAMPLING_RATE, BeatWindows
from ecgnb.intervals import compare_means
from ecgnb.leads import lead_index
from ecgnb.records.labels import HEALTHY
from ecgnb.signals.measures import J_PLUS_S, UNITS, Bounds, delineate

_UP = {"higher": 1, "longer": 1, "positive": 1, "lower": -1, "negative": -1}


@dataclass(frozen=True)
class Sign:
    """A sign: the lead, what is measured there, how it changes, and what a figure calls it."""

    lead: str
    measure: str
    change: str
    words: str

    @property
    def unit(self) -> str:
        """Of the measure: µV or ms."""
        return UNITS.get(self.measure, "µV")

    def holds(self, low: float, high: float) -> bool:
        """Return whether a whole interval lies on the side of the change."""
        return low > 0 if _UP[self.change] > 0 else high < 0


@dataclass(frozen=True)
class Found:
    """A sign in one beat: its value in the unit of the sign, and the time, s, and mV to point at.

    Times count from the R peak, voltages from the level before the QRS complex.
    """

    sign: Sign
    value: float
    time_s: float
    voltage_mv: float


@cache
def signs_of(condition: str) -> tuple[Sign, ...]:
    """Return the signs that are looked for in a condition.

    Raises
    ------
    ValueError
        If none are declared for it.

    Examples
    --------
    >>> [sign.words for sign in signs_of("dysrhythmia")]
    ['P wave small or absent', 'P wave small or absent']
    """
    text = resources.files("ecgnb").joinpath("data", "signs.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    signs = tuple(
        Sign(row["lead"], row["measure"], row["change"], row["words"])
        for row in rows
        if row["condition"] == condition
    )
    if not signs:
        known = ", ".join(dict.fromkeys(row["condition"] for row in rows))
        raise ValueError(f"no signs of {condition!r}; there are those of {known}")
    return signs


def level_beat(windows: np.ndarray) -> tuple[np.ndarray, Bounds]:
    """Return the median beat `(lead, time)` in mV above its level before QRS, and its bounds.

    Parameters
    ----------
    windows
        Beats of one or more people `(beat, lead, time)`, mV.
    """
    beat = np.median(windows, axis=0).astype(np.float64)
    bounds = delineate(beat, SAMPLING_RATE, BEFORE)
    begin = round(bounds.qrs_begin)
    level = beat[:, max(begin - round(0.016 * SAMPLING_RATE), 0) : begin + 1].mean(axis=1)
    return beat - level[:, None], bounds


def find_signs(windows: np.ndarray, condition: str) -> list[Found]:
    """Return the signs of a condition as the median of beats shows them.

    R, S and Q are the largest value inside the QRS complex, the smallest, and the smallest before
    the largest; ST the value 60 ms after the complex; P and T the value furthest from 0 in the
    wave, 0 where there is none.

    Parameters
    ----------
    windows
        Beats `(beat, lead, time)`, mV, cut by `windows.collect_windows`.
    condition
        Whose signs.
    """
    beat, bounds = level_beat(windows)
    masks = waves_of(windows)
    return [
        _find(sign, beat[lead_index(sign.lead)], bounds, masks) for sign in signs_of(condition)
    ]


def _find(sign: Sign, course: np.ndarray, bounds: Bounds, masks: dict[str, np.ndarray]) -> Found:
    begin, end = round(bounds.qrs_begin), round(bounds.qrs_end)
    place = _place(sign.measure, course, begin, end, masks)
    if place is None:
        return Found(sign, 0.0, (begin - BEFORE) / SAMPLING_RATE - 0.1, 0.0)
    value = 1000 * float(course[place])
    if sign.measure == "QRS":
        value = 1000 * (bounds.qrs_end - bounds.qrs_begin) / SAMPLING_RATE
    return Found(sign, value, (place - BEFORE) / SAMPLING_RATE, float(course[place]))


def _place(
    measure: str, course: np.ndarray, begin: int, end: int, masks: dict[str, np.ndarray]
) -> int | None:
    """Return the sample of a course `(time,)` that a measure is taken at, None without a wave."""
    complex_ = course[begin : end + 1]
    top = int(complex_.argmax())
    if measure in ("P", "T"):
        inside = np.flatnonzero(masks[measure])
        return int(inside[np.abs(course[inside]).argmax()]) if inside.size else None
    return {
        "R": begin + top,
        "S": begin + int(complex_.argmin()),
        "Q": begin + int(complex_[: top + 1].argmin()),
        "ST": min(end + round(J_PLUS_S * SAMPLING_RATE), course.size - 1),
        "QRS": end,
    }[measure]


def compare_signs(group: BeatWindows, healthy: BeatWindows, condition: str) -> pd.DataFrame:
    """Return how the signs of a condition differ between its people and healthy ones.

    A row per sign, indexed by its words, lead and unit: the means over people `here` and
    `healthy`, their `difference` with its 95 % interval, and whether the whole interval lies on
    the side that the sign has, `told`. Nobody is compared with themselves, and no group of fewer
    than three people: the table is empty then.

    Parameters
    ----------
    group, healthy
        Windows of people.
    condition
        That of the group.
    """
    rows, signs = {}, signs_of(condition)
    columns = ["here", "healthy", "difference", "low", "high", "told"]
    if condition != HEALTHY and min(group.n_patient, healthy.n_patient) >= N_LEAST:
        ours, theirs = (_by_patient(people, condition) for people in (group, healthy))
        for sign, here, there in zip(signs, ours.T, theirs.T, strict=True):
            apart = compare_means(here, there)
            told = sign.holds(apart["low"], apart["high"])
            row = (here.mean(), there.mean(), *(apart[name] for name in columns[2:5]), told)
            rows[f"{sign.words}, {sign.lead} / {sign.unit}"] = row
    table = pd.DataFrame.from_dict(rows, orient="index", columns=columns)
    return table.rename_axis("sign")


def _by_patient(people: BeatWindows, condition: str) -> np.ndarray:
    """Return the value of each sign on the median beat of each patient `(patient, sign)`."""
    beats = [people.windows[people.patients == name] for name in np.unique(people.patients)]
    return np.array([[one.value for one in find_signs(own, condition)] for own in beats])


def tell_signs(group: BeatWindows, compared: pd.DataFrame, condition: str) -> str:
    """Return in words which signs of a condition the data show, and which they do not.

    Parameters
    ----------
    group
        Windows of the people of the condition.
    compared
        From `compare_signs`.
    condition
        Theirs.
    """
    if condition == HEALTHY:
        found = find_signs(group.windows, condition)
        seen = {f"{one.sign.words} ({one.sign.lead})": _on_side(one) for one in found}
    elif not len(compared):
        return f"Fewer than {N_LEAST} people: the figure shows them, and nothing is concluded."
    else:
        seen = compared["told"].to_dict()
    shown = [name.split(" / ")[0] for name, told in seen.items() if told]
    missing = [name.split(" / ")[0] for name, told in seen.items() if not told]
    text = f"These data show {len(shown)} of {len(seen)} signs"
    text += f": {'; '.join(shown)}." if shown else "."
    return text + (f" They do not show: {'; '.join(missing)}." if missing else "")


def _on_side(found: Found) -> bool:
    return found.sign.holds(found.value, found.value)
