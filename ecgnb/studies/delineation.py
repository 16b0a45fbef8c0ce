"""How well beats are delineated: what is found in the average beats of LUDB against its marks.

The options are chosen on one half of the people and tested on the other.
"""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from ecgnb.files import code_digest
from ecgnb.leads import LEADS
from ecgnb.records.databases import find_records, read_marks
from ecgnb.signals.beats import align_beats, average_beat, find_peaks, wave_masks
from ecgnb.signals.filters import clean
from ecgnb.signals.measures import Bounds, DelineationOptions, delineate
from ecgnb.studies.plan import Source, Task, key_of, sources_of
from ecgnb.studies.runner import Outcome, write_study

_MARK_RATE_HZ = 500.0

_BEFORE, _AFTER = round(0.35 * _MARK_RATE_HZ), round(0.6 * _MARK_RATE_HZ)

_GRIDS = {
    "qrs_begin": (0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.1),
    "qrs_end": (0.04, 0.06, 0.08, 0.09, 0.1, 0.12, 0.15),
    "t_end": (0.5, 0.6, 0.65, 0.7, 0.75, 0.8, 0.9, 1.0),
}


def run_delineation(
    folder: Path | str, out: Path | str, *, jobs: int = 1, progress: bool = True
) -> Outcome:
    """Return a row per person of LUDB, bound and option, also written to `out`. It resumes.

    Parameters
    ----------
    folder
        A mirror with LUDB.
    out
        The table, `.csv` or `.csv.gz`.
    """
    tasks, sources = _plan_marks(folder)
    how = {"jobs": jobs, "what": "records", "progress": progress}
    return write_study(tasks, out, sources, facts={"code": code_digest(__name__)}, **how)


def choose_delineation(table: pd.DataFrame) -> DelineationOptions:
    """Return the options with the least median error of each bound on the half to choose on.

    Parameters
    ----------
    table
        From `run_delineation`.
    """
    tried = table[(table["half"] == "choice") & (table["option"] != "wave_masks")]
    errors = tried.assign(error=(tried["found_ms"] - tried["marked_ms"]).abs())
    medians = errors.groupby(["option", "value"])["error"].median()
    return DelineationOptions(**{name: float(medians[name].idxmin()) for name in _GRIDS})


def summarise_delineation(table: pd.DataFrame) -> pd.DataFrame:
    """Return the errors of QRS duration and QT interval on the half that is only tested.

    A row per way to delineate and interval: `n_heart`, `median_ms` of the absolute error with its
    interval over hearts, `bias_ms`, `within_90_ms` (90 % of the errors are smaller).
    """
    rows, tested = [], table[(table["half"] == "test") & table["is_default"]]
    for (way, bound), own in tested.groupby(["way", "option"], sort=False):
        if bound not in ("QRS", "QT"):
            continue
        moved = (own["found_ms"] - own["marked_ms"]).dropna()
        size = moved.abs().to_numpy()
        low, high = _interval_of_median(size)
        row = {"way": way, "interval": bound, "n_heart": len(moved)}
        row |= {"median_ms": np.median(size), "median_low": low, "median_high": high}
        row |= {"bias_ms": moved.mean()}
        rows.append(row | {"within_90_ms": float(moved.abs().quantile(0.9))})
    return pd.DataFrame(rows)


def _interval_of_median(values: np.ndarray) -> tuple[float, float]:
    """Return the 95 % interval of a median, a value a heart; both ends are it if there is one."""
    if len(values) < 2:
        return (float(values[0]),) * 2
    found = stats.bootstrap((values,), np.median, method="percentile", n_resamples=2000, rng=0)
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def _plan_marks(folder: Path | str) -> tuple[list[Task], list[Source]]:
    """Return a task per record of LUDB; every other heart, by number, is only tested."""
    sources, code = sources_of(find_records(folder, "ludb")), code_digest(__name__)
    halves = ("choice", "test")
    ordered = sorted(sources, key=lambda source: int(source.path.stem))
    tasks = [
        Task(
            source.name,
            key_of(code, [source], half=halves[n % 2]),
            partial(_score_marks, source, halves[n % 2]),
        )
        for n, source in enumerate(ordered)
    ]
    return tasks, sources


def _score_marks(source: Source, half: str) -> dict[str, pd.DataFrame]:
    """Return what the marks say of a record's average beat and what is found in it, ms from R."""
    record = source.read()
    signals = clean(record.signals, record.sampling_rate, to_rate=_MARK_RATE_HZ)
    peaks = find_peaks(signals, _MARK_RATE_HZ)
    beat = average_beat(align_beats(signals, peaks, before=_BEFORE, after=_AFTER))
    whole = peaks[(peaks >= _BEFORE) & (peaks + _AFTER <= signals.shape[-1])]
    marked = _marked_bounds(source.path, whole)
    rows = []
    for name, grid in _GRIDS.items():
        for value in grid:
            found = delineate(
                beat, _MARK_RATE_HZ, _BEFORE, replace(DelineationOptions(), **{name: value})
            )
            rows.append(("delineate", name, value, getattr(found, name), getattr(marked, name)))
    own = delineate(beat, _MARK_RATE_HZ, _BEFORE), _masked_bounds(beat, _BEFORE)
    for way, found in zip(("delineate", "wave_masks"), own, strict=True):
        for interval, end in (("QRS", "qrs_end"), ("QT", "t_end")):
            both = [getattr(one, end) - one.qrs_begin for one in (found, marked)]
            rows.append((way, interval, np.nan, *both))
    table = pd.DataFrame(rows, columns=["way", "option", "value", "found_ms", "marked_ms"])
    timed = table["option"].isin(list(_GRIDS))
    table.loc[timed, ["found_ms", "marked_ms"]] -= _BEFORE
    table[["found_ms", "marked_ms"]] *= 1000 / _MARK_RATE_HZ
    table["is_default"] = table["value"].isna()
    table.insert(0, "half", half)
    table.insert(0, "heart", f"ludb/{record.name}")
    return {"rows": table}


def _marked_bounds(path: Path, peaks: np.ndarray) -> Bounds:
    """Return the marks of a record, samples of the average beat: the median over leads and beats.

    A beat counts where at least six leads have its QRS complex marked, for the T wave four.
    """
    marks = {lead: read_marks(path, lead) for lead in LEADS}
    bounds = []
    for peak in peaks:
        qrs = [_near(marks[lead]["QRS"], peak, (-50, 50)) for lead in LEADS]
        t_wave = [_near(marks[lead]["T"], peak, (40, 275)) for lead in LEADS]
        qrs, t_wave = ([one for one in own if one is not None] for own in (qrs, t_wave))
        begin, end = np.median(qrs, axis=0)[[0, 2]] - peak if len(qrs) >= 6 else (np.nan, np.nan)
        t_end = np.median(t_wave, axis=0)[2] - peak if len(t_wave) >= 4 else np.nan
        bounds.append((begin, end, t_end))
    rows = np.array(bounds, dtype=float).reshape(-1, 3)
    middle = [np.nanmedian(own) if np.isfinite(own).any() else np.nan for own in rows.T]
    return Bounds(*(float(one) + _BEFORE for one in middle))


def _near(marks: np.ndarray, peak: int, window: tuple[int, int]) -> np.ndarray | None:
    """Return the first wave whose peak lies in a window around an R peak."""
    near = marks[(marks[:, 1] > peak + window[0]) & (marks[:, 1] < peak + window[1])]
    return near[0] if len(near) else None


def _masked_bounds(beat: np.ndarray, r_peak: int) -> Bounds:
    """Return the bounds that `wave_masks` finds."""
    masks = wave_masks(beat, _MARK_RATE_HZ, r_peak)
    qrs, t_wave = np.flatnonzero(masks["QRS"]), np.flatnonzero(masks["T"])
    return Bounds(qrs[0], qrs[-1] + 1, t_wave[-1] + 1 if t_wave.size else np.nan)
