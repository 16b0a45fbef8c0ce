"""The time column of a table: its rate, and where samples are missing.

Stamps may be rounded and may jitter by less than half a step. What they cannot settle (stamps that
run backwards, repeat, or are too irregular to say where samples are missing) is refused.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from ecgnb.records.formats.channels import AGREEMENT, plain_unit, refuse
from ecgnb.records.formats.values import plain_field
from ecgnb.records.wfdb_header import MAX_SAMPLES

RATES = (
    100, 125, 128, 130, 150, 180, 200, 240, 250, 256, 257, 300, 360, 400, 480, 500, 512, 600, 720,
    800, 960, 1000, 1024, 1200, 1600, 2000, 2048, 2400, 2500, 4000, 4096, 5000,
)  # fmt: skip

_SNAP = 2e-4  # clocks of two devices differ by less

_SECONDS = {
    1.0: ("s", "sec", "secs", "second", "seconds", "sek", "sekunden", "secondes", "segundos"),
    1e-3: ("ms", "msec", "millisecond", "milliseconds", "millis"),
    1e-6: ("us", "\u03bcs", "usec", "microsecond", "microseconds"),
    1e-9: ("ns", "nsec", "nanosecond", "nanoseconds"),
}

TIME_UNITS = {word: factor for factor, words in _SECONDS.items() for word in words}

_DATE = r"\d{1,4}[./\-]\d{1,2}[./\-]\d{1,4}\.?"

_STAMP = re.compile(
    rf"\[?\s*(?P<date>{_DATE})?[T\s,]*(?P<first>\d{{1,3}}):(?P<second>\d\d)(?::(?P<third>\d\d))?"
    rf"(?:[.,](?P<fraction>\d{{1,12}})|:(?P<ms>\d{{3}}))?\s*(?P<half>[ap]\.?m\.?)?"
    rf"\s*(?:Z|UTC|GMT|[+-]\d\d:?\d\d)?\s*(?P<late>{_DATE})?\s*\]?",
    re.IGNORECASE,
)

_SPOKEN = re.compile(r"(\d+(?:[.,]\d+)?)\s*(ms|s|sec)")  # as MATLAB writes durations


@dataclass(frozen=True)
class Placement:
    """Where each row of a table belongs: its sample number `(row,)`, the rate in Hz, notes."""

    numbers: np.ndarray
    sampling_rate: float
    notes: tuple[str, ...] = ()


def is_stamp(field: str) -> bool:
    """Return whether a field is a time of day or since the start, with colons or its unit.

    Examples
    --------
    >>> is_stamp("2026-07-26T21:56:26.765"), is_stamp("0:00.004"), is_stamp("0.004")
    (True, True, False)
    """
    return _stamp(field) is not None


def _stamp(field: str) -> re.Match[str] | None:
    text = plain_field(field)
    return (_STAMP if ":" in text else _SPOKEN).fullmatch(text)


def seconds_of(path: Path, stamps: Sequence[str], lines: Sequence[int]) -> np.ndarray:
    """Return stamps as seconds `(row,)` since some midnight; midnights that pass are counted.

    Raises
    ------
    RecordError
        If a stamp cannot be read, or the day changes without a midnight.
    """
    days, clock = [], np.empty(len(stamps))
    for row, (stamp, line) in enumerate(zip(stamps, lines, strict=True)):
        match = _stamp(stamp)
        if not match:
            raise refuse(
                path,
                f"{stamp.strip()[:30]!r} in line {line:,} of the time column",
                "it is no time",
                "mend it, or take the time column out and give --sampling-rate",
            )
        spoken = match.re is _SPOKEN
        days.append("" if spoken else match["date"] or match["late"] or "")
        clock[row] = _spoken(match) if spoken else _seconds(match)
    midnight = np.diff(clock) < -43_200
    changed = np.array([first != then for first, then in pairwise(days)], bool)
    if any(days) and (changed != midnight).any():
        line = lines[int(np.flatnonzero(changed != midnight)[0]) + 1]
        raise refuse(
            path,
            f"the day changes in line {line:,}, the time of day does not",
            "two recordings seem to be joined",
            "cut the file there",
        )
    return clock + 86_400.0 * np.concatenate([[0], np.cumsum(midnight)])


def _spoken(match: re.Match[str]) -> float:
    return float(match[1].replace(",", ".")) * TIME_UNITS[match[2]]


def _seconds(match: re.Match[str]) -> float:
    first, second, third = (int(match[part] or 0) for part in ("first", "second", "third"))
    below = float(f"0.{match['fraction'] or 0}") + int(match["ms"] or 0) / 1000
    if match["third"] is None and match["fraction"]:
        return 60.0 * first + second + below
    if match["half"]:
        first = first % 12 + 12 * (match["half"][0] in "pP")
    return 3600.0 * first + 60 * second + third + below


def seconds_per_unit(path: Path, unit: str, times: np.ndarray, rate: float | None) -> float | None:
    """Return the seconds in a unit of a numeric time column; None if nothing settles it.

    Without a unit, only one of s, ms, us and ns makes a rate of 50 to 5,000 Hz of a step. A step
    of exactly 1 counts samples as well as milliseconds: `rate` must say which.
    """
    if unit:
        if plain_unit(unit) not in TIME_UNITS:
            raise refuse(
                path, f"times in {unit[:20]!r}", "s, ms, us or ns is expected", "name the unit"
            )
        return TIME_UNITS[plain_unit(unit)]
    step = abs(float(np.median(np.diff(times))))
    fitting = [factor for factor in _SECONDS if 50 <= 1 / max(step * factor, 1e-12) <= 5000]
    if step == 1.0 and rate != 1000:
        return None
    return fitting[0] if fitting else None


def place_by_time(
    path: Path, times: np.ndarray, lines: Sequence[int], rate: float | None
) -> Placement:
    """Return where the rows of a table belong by their stamps.

    Parameters
    ----------
    path
        The file, for the refusal.
    times
        `(row,)`, s, from any start.
    lines
        The number of each row's line in the file.
    rate
        Hz, if the caller or the head of the file states one: it must agree.
    """
    steps = np.diff(times)
    if times.size < 3 or (steps < 0).any() or not times[-1] > times[0]:
        at = int(np.flatnonzero(steps < 0)[0]) + 1 if (steps < 0).any() else times.size - 1
        raise refuse(
            path,
            f"the time column does not run forward in line {lines[at]:,}",
            "the order of the samples is unknown",
            "sort the rows, or cut the file where a new recording starts",
        )
    grain = _grain(times)
    step, ahead, error = (
        _exact(steps, grain) or _rounded(steps, grain) or _coarse(path, times, grain)
    )
    found = _agreed(path, 1 / step, error, rate)
    if (ahead > 1).any():
        unsure = 0.0 if rate is not None else error
        ahead = _measure_gaps(path, times, ahead, step=1 / found, unsure=(unsure, grain))
    numbers = np.concatenate([[0], np.cumsum(ahead)])
    if numbers[-1] >= MAX_SAMPLES:
        raise refuse(path, "a gap of hours in the time column", "too long", "cut the file there")
    _check_places(path, times - times[0], numbers, grain)
    return Placement(numbers, found, _gap_notes(numbers, found))


def _grain(times: np.ndarray) -> float:
    """Return the largest power of ten in s that all stamps are multiples of, 1e-9 at least."""
    for power in range(0, -9, -1):
        multiples = (times - times[0]) / 10.0**power
        if np.abs(multiples - np.rint(multiples)).max() < 1e-3:
            return 10.0**power
    return 1e-9


def _exact(steps: np.ndarray, grain: float) -> tuple[float, np.ndarray, float] | None:
    """Return step, samples ahead and relative error of stamps on an exact grid, else None."""
    step = float(np.median(steps))
    if not step > 0:
        return None
    ahead = np.rint(steps / step)
    on_grid = np.abs(steps - ahead * step) < np.maximum(1e-3 * step * ahead, 2e-7)
    if not on_grid.all() or ahead.min() < 1 or (ahead > 1).mean() > 0.1 or _even(ahead):
        return None
    single = steps[ahead == 1].sum()
    return (
        float(single / (ahead == 1).sum()),
        ahead.astype(np.int64),
        max(grain, 1e-3 * step) / single,
    )


def _even(ahead: np.ndarray) -> bool:
    """Return whether double steps come at even distances: 960 Hz in whole ms, not lost samples."""
    return _regular(np.flatnonzero(ahead == 2))


def _regular(places: np.ndarray) -> bool:
    between = np.diff(places)
    return between.size > 1 and bool(np.ptp(between) <= 1 + 0.1 * between.mean())


def _rounded(steps: np.ndarray, grain: float) -> tuple[float, np.ndarray, float] | None:
    """Return the same of stamps that are rounded to less than 3/4 of a step, else None."""
    step = float(np.median(steps))
    for _ in range(4):
        most = step + max(0.5 * step, grain)
        single = steps < most - 1e-9
        if not single.any():
            return None
        step = float(steps[single].mean())
    if grain > 0.75 * step or steps.min() < step - max(0.5 * step, grain) - 1e-9:
        return None
    ahead = np.where(single, 1, np.maximum(np.rint(steps / step), 2)).astype(np.int64)
    return step, ahead, grain / float(steps[single].sum())


def _coarse(path: Path, times: np.ndarray, grain: float) -> tuple[float, np.ndarray, float]:
    """Return the same of stamps that repeat or jitter, as if no sample were missing."""
    starts = np.concatenate([[0], np.flatnonzero(np.diff(times) > 0) + 1])
    if starts.size < 4:
        raise _irregular(path, "stamps that change less than four times")
    repeats = np.flatnonzero(np.diff(times) == 0)
    if 0 < repeats.size < times.size / 3 and not _regular(repeats):
        raise _irregular(path, "stamps that repeat")
    first, last = starts[1], starts[-1]
    step = float(times[last] - times[first]) / float(last - first)
    early = times[starts] - times[first] - (starts - first) * step
    if np.ptp(early[1:]) > 1.05 * max(grain, step) + 0.5 * step:
        raise _irregular(path, "stamps that repeat or jump")
    # Stamps as coarse as the samples that never repeat: an even clock, rounded, or lost samples.
    leaps = np.flatnonzero(np.diff(times) > 1.5 * grain)
    if grain > 0.75 * step and not repeats.size and (leaps.size < 4 or not _regular(leaps)):
        raise _irregular(path, "stamps that may be rounded, or samples that are lost")
    if np.diff(starts).max() > max(grain, step) / step + 1.01:
        raise _irregular(path, "stamps that repeat")
    return step, np.ones(times.size - 1, np.int64), 1.5 / float(last - first)


def _measure_gaps(
    path: Path, times: np.ndarray, ahead: np.ndarray, *, step: float, unsure: tuple[float, float]
) -> np.ndarray:
    """Return samples ahead `(row - 1,)`, each gap measured between the whole runs beside it.

    Single stamps are rounded; the mean of a run's stamps is not. `unsure` are the relative error
    of the step and the grain of the stamps in s: where they leave a gap's length open by more than
    one sample in ten, it must be a whole number of samples.
    """
    cuts = np.flatnonzero(ahead > 1) + 1
    bounds = [0, *cuts.tolist(), times.size]
    sizes = np.diff(bounds)
    within = np.concatenate([np.arange(size) for size in sizes])
    starts = np.add.reduceat(times - within * step, bounds[:-1]) / sizes
    lengths = np.diff(starts) / step - sizes[:-1] + 1
    whole = np.rint(lengths)
    shorter = np.minimum(sizes[:-1], sizes[1:])
    doubt = unsure[0] * whole + unsure[1] / step / np.sqrt(shorter)
    open_ = (doubt > 0.1) & (doubt + np.abs(lengths - whole) > 0.5) & (doubt > 0.002 * whole)
    if open_.any() or whole.min() < 2:
        raise _irregular(path, "gaps of unclear length")
    measured = ahead.copy()
    measured[cuts - 1] = whole.astype(np.int64)
    return measured


def _check_places(path: Path, times: np.ndarray, numbers: np.ndarray, grain: float) -> None:
    """Refuse stamps that leave their sample's place by more than rounding and 1.5 steps.

    The step is fitted: a device's clock may be off by some millionths without losing a sample.
    """
    order = numbers - numbers.mean()
    step = float(order @ times) / float(order @ order)
    off = np.ptp(times - step * order)
    if off > 1.25 * grain + 1.5 * step:  # a fit through stairs leaves a little more than one
        raise _irregular(path, f"stamps that are up to {off:.3g} s off a regular clock")


def _irregular(path: Path, what: str) -> Exception:
    return refuse(
        path,
        f"a time column with {what}",
        "where samples are missing is unknown",
        "keep a time column with a stamp of its own for each sample, or take the column out and "
        "give --sampling-rate",
    )


def _agreed(path: Path, found: float, error: float, rate: float | None) -> float:
    """Return the rate in Hz: the one stated if the stamps agree, else a usual one near by."""
    if rate is not None:
        if abs(found / rate - 1) > max(AGREEMENT, 2 * error):
            raise refuse(
                path,
                f"the time column says {found:.5g} Hz, not {rate:g} Hz",
                "they contradict each other",
                "leave --sampling-rate out if the file is right, else the time column",
            )
        return float(rate)
    near = max(_SNAP, error)
    usual = [each for each in (*RATES, round(found)) if abs(found / each - 1) <= near]
    return float(min(usual, key=lambda each: abs(found - each), default=found))


def place_by_counter(
    path: Path, counts: np.ndarray, lines: Sequence[int], rate: float
) -> Placement:
    """Return where the rows belong by a column that counts samples.

    A counter that restarts at the same number again and again is a short one; a step other than
    1 that never changes is no count of samples; neither moves a row.
    """
    steps = np.diff(counts)
    rows = np.arange(counts.size)
    wraps = steps[steps < 0]
    short = wraps.size > 0 and (steps[steps > 0] == 1).all() and np.ptp(wraps) == 0
    if steps.size == 0 or np.ptp(steps) == 0 or (short and (steps != 0).all()):
        return Placement(rows, rate)
    if (steps < 1).any() or (steps != np.rint(steps)).any() or np.median(steps) != 1:
        at = int(np.flatnonzero((steps < 1) | (steps != np.rint(steps)) | (steps > 1))[0]) + 1
        raise refuse(
            path,
            f"a count of samples that is irregular in line {lines[at]:,}",
            "the order of the samples is unknown",
            "sort the rows, or take the column out",
        )
    numbers = (counts - counts[0]).astype(np.int64)
    if numbers[-1] >= MAX_SAMPLES:
        raise refuse(path, "a count with a gap of hours", "too long", "cut the file there")
    return Placement(numbers, rate, _gap_notes(numbers, rate))


def _gap_notes(numbers: np.ndarray, rate: float) -> tuple[str, ...]:
    """Return a note on samples that are missing between rows, with place and length.

    Examples
    --------
    >>> _gap_notes(np.array([0, 1, 4]), 2.0)
    ('2 samples are missing in 1 gap: 1 s at 1 s',)
    """
    ahead = np.diff(numbers)
    gaps = np.flatnonzero(ahead > 1)
    if not gaps.size:
        return ()
    shown = [f"{(ahead[at] - 1) / rate:.3g} s at {(numbers[at] + 1) / rate:.4g} s" for at in gaps]
    places = ", ".join(shown[:5]) + (", ..." if len(shown) > 5 else "")
    total, plural = int((ahead[gaps] - 1).sum()), "" if gaps.size == 1 else "s"
    return (f"{total:,} samples are missing in {gaps.size} gap{plural}: {places}",)
