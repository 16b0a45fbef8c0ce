"""What a run will cost, told before it starts, from costs that `benchmarks/costs.py` measured."""

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd

from ecgnb.records.wfdb_header import HeaderError, parse_header

_TABLE = "costs.csv"

_DISK_MB_AN_HOUR = 12 * 250 * 2 * 3600 / 1e6


@dataclass(frozen=True)
class Forecast:
    """What a run is expected to take, on a machine like the one that was measured.

    `memory_mb` counts all local processes together, `wall_h` divides the CPU time among them.
    """

    n_record: int
    n_task: int
    signal_h: float
    cpu_h: float
    wall_h: float
    memory_mb: float
    disk_mb: float
    not_measured: tuple[str, ...] = ()

    def __str__(self) -> str:
        cpu, wall = _in_words(self.cpu_h), _in_words(self.wall_h)
        lines = [
            f"{self.n_record} records, {_in_words(self.signal_h)} of signal, {self.n_task} tasks",
            f"CPU time: {cpu}; with this number of processes {wall}",
            f"memory: {self.memory_mb:.0f} MB; disk: {self.disk_mb:.0f} MB",
        ]
        if self.not_measured:
            lines.append(f"never measured, not counted: {', '.join(self.not_measured)}")
        return "\n".join(lines)


def _in_words(hours: float) -> str:
    """Return a time in the unit in which it is read at once.

    Examples
    --------
    >>> [_in_words(hours) for hours in (0.00435, 0.5, 12.345, 0.0002)]
    ['16 s', '30 min', '12.3 h', '0.7 s']
    """
    if hours >= 2:
        return f"{hours:.1f} h"
    if hours >= 1 / 30:
        return f"{60 * hours:.0f} min"
    return f"{3600 * hours:.{0 if hours >= 1 / 360 else 1}f} s"


@cache
def measured() -> pd.DataFrame:
    """Return the measured costs: `what`, `duration_s` of a record, `value` (CPU s, or MB)."""
    with (files("ecgnb") / "data" / _TABLE).open(encoding="utf-8") as file:
        return pd.read_csv(file)


def _cost_of(what: str, durations_s: np.ndarray) -> np.ndarray:
    """Return one cost for records of some durations: between measured ones on a line.

    Beyond the longest it grows with the duration.

    Examples
    --------
    >>> short, long = _cost_of("neighbours", np.array([30.0, 120.0]))
    >>> bool(short < long)
    True
    """
    table = measured()[measured()["what"] == what].sort_values("duration_s")
    known, values = table["duration_s"].to_numpy(), table["value"].to_numpy()
    durations_s = np.asarray(durations_s, dtype=float)
    return np.interp(durations_s, known, values) * np.maximum(durations_s / known[-1], 1.0)


def forecast(
    durations_s: Sequence[float] | np.ndarray,
    methods: Sequence[str],
    *,
    n_seed: int = 1,
    jobs: int = 1,
) -> Forecast:
    """Return what a run is expected to take on records of these durations.

    Examples
    --------
    >>> one, two = (forecast([60.0] * n, ["mean", "neighbours"]) for n in (100, 200))
    >>> two.n_task, one.memory_mb == two.memory_mb, round(two.cpu_h / one.cpu_h, 1)
    (400, True, 2.0)
    """
    durations_s = np.asarray(durations_s, dtype=float)
    known = [method for method in methods if method in set(measured()["what"])]
    n_task = len(durations_s) * len(methods) * n_seed
    cpu_s = _cost_of("record", durations_s).sum()
    cpu_s += n_seed * len(methods) * _cost_of("task", durations_s).sum()
    cpu_s += n_seed * sum(_cost_of(method, durations_s).sum() for method in known)
    n_process = jobs if jobs == 1 else jobs + 1
    cpu_s += n_process * float(_cost_of("start", np.ones(1))[0])
    longest = np.array([durations_s.max(initial=1.0)])
    return Forecast(
        n_record=len(durations_s),
        n_task=n_task,
        signal_h=float(durations_s.sum()) / 3600,
        cpu_h=float(cpu_s) / 3600,
        wall_h=float(cpu_s) / 3600 / jobs,
        memory_mb=float(n_process * _cost_of("memory_mb", longest)[0]),
        disk_mb=float(n_task * _cost_of("disk_mb", np.ones(1))[0]),
        not_measured=tuple(sorted(set(methods) - set(known))),
    )


def forecast_hours(hours: float, method: str, *, n_wearer: int = 1, jobs: int = 1) -> Forecast:
    """Return what it is expected to take to reconstruct one lead of so many hours.

    Blocks of 5 min go through in constant memory. CPU time and disk grow with the hours; the
    disk is that of the twelve leads as WFDB, 16 bits at 250 Hz.

    Parameters
    ----------
    hours
        Of each recording.
    method
        Of the personal model.
    n_wearer
        People with a recording each.
    jobs
        Processes, one recording each at a time.

    Examples
    --------
    >>> day, week = (forecast_hours(hours, "neighbours") for hours in (24, 168))
    >>> round(week.cpu_h / day.cpu_h), week.memory_mb == day.memory_mb, week.n_task
    (7, True, 2016)
    """
    known = f"hours_{method}" in set(measured()["what"])
    seconds = np.array([max(3600 * hours, 3600.0)])
    each_s = min(hours, 1.0) * float(_cost_of(f"hours_{method}", seconds)[0]) if known else 0.0
    cpu_s = n_wearer * each_s
    cpu_s += n_wearer * float(_cost_of("start", np.ones(1))[0])
    return Forecast(
        n_record=n_wearer,
        n_task=n_wearer * math.ceil(12 * hours),
        signal_h=n_wearer * hours,
        cpu_h=cpu_s / 3600,
        wall_h=cpu_s / 3600 / jobs,
        memory_mb=jobs * float(_cost_of("hours_memory_mb", np.ones(1))[0]),
        disk_mb=n_wearer * hours * _DISK_MB_AN_HOUR,
        not_measured=() if known else (method,),
    )


def read_durations(paths: Sequence[Path]) -> list[float]:
    """Return the duration in s that each header announces; one that cannot be read is left out."""
    durations_s = []
    for path in paths:
        with contextlib.suppress(HeaderError, OSError):
            header = parse_header(path.read_text(errors="replace", encoding="utf-8"))
            durations_s.append(header.n_time / header.sampling_rate)
    return durations_s
