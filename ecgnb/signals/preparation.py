"""Filter, resample, split, scale and window a record without letting the parts see each other.

Every step that could carry the test part into the training part is done inside one part:
the parts are cut first, with a gap between them, then filtered and resampled one by one, and
the scaling is fitted on the training part alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from ecgnb.records.record import Record
from ecgnb.signals.filters import clean

SCALINGS = ("lead", "record", "window")


@dataclass(frozen=True)
class PreprocessingOptions:
    """Choices of the preprocessing; a bad value is refused when the options are built.

    Parameters
    ----------
    sampling_rate
        Rate after resampling, Hz.
    low_hz, high_hz
        Corner frequencies of the band-pass, Hz; None leaves that side open.
    train, validation
        Shares of the record, from its beginning; the rest is the test part.
    gap_s
        Signal dropped at the beginning of the validation and of the test part, s.
    scaling
        What one pair of factors to [-1, 1] belongs to: each `lead` or the whole `record`, both
        fitted on the training part; or each `window` of `window_s`, fitted on the window itself,
        which tells a model the amplitude of the hidden lead and cannot be undone.
    window_s
        Length of a window when `scaling` is `window`, s.
    filter_before_split
        True filters the whole record first: a leak, kept so that it can be measured.

    Examples
    --------
    >>> PreprocessingOptions(high_hz=130.0)
    Traceback (most recent call last):
    ...
    ValueError: high_hz must be below half the sampling rate of 250 Hz, got 130
    """

    sampling_rate: float = 250.0
    low_hz: float | None = 0.5
    high_hz: float | None = 40.0
    train: float = 0.6
    validation: float = 0.2
    gap_s: float = 1.0
    scaling: str = "lead"
    window_s: float = 1.024
    filter_before_split: bool = False

    def __post_init__(self) -> None:
        if not 50 <= self.sampling_rate <= 5000:
            raise ValueError(f"sampling_rate must be 50-5000 Hz, got {self.sampling_rate:g}")
        if self.high_hz is not None and not 0 < self.high_hz < self.sampling_rate / 2:
            raise ValueError(
                f"high_hz must be below half the sampling rate of {self.sampling_rate:g} Hz, "
                f"got {self.high_hz:g}"
            )
        if self.low_hz is not None and not 0 < self.low_hz < (self.high_hz or np.inf):
            raise ValueError(f"low_hz must lie between 0 and high_hz, got {self.low_hz:g}")
        if not (self.train > 0 and self.validation >= 0 and self.train + self.validation < 1):
            raise ValueError("train and validation must leave a share for the test part")
        if self.gap_s < 0 or self.window_s <= 0:
            raise ValueError("gap_s must not be negative and window_s must be positive")
        if self.scaling not in SCALINGS:
            raise ValueError(f"scaling must be one of {', '.join(SCALINGS)}, got {self.scaling!r}")


@dataclass(frozen=True)
class Parts:
    """Time slices of the training, validation and test part of one record."""

    train: slice
    validation: slice
    test: slice


def split_time(
    n_time: int, sampling_rate: float, options: PreprocessingOptions | None = None
) -> Parts:
    """Return the slices of the training, validation and test part, in this order in time.

    `gap_s` is dropped between the parts, from the beginning of the later one.

    Raises
    ------
    ValueError
        If the record is so short that a part would hold less than half a second.

    Examples
    --------
    >>> split_time(1000, 10.0, PreprocessingOptions())
    Parts(train=slice(0, 600, None), validation=slice(610, 800, None), test=slice(810, 1000, None))
    """
    options = options or PreprocessingOptions()
    gap = round(options.gap_s * sampling_rate)
    first = round(options.train * n_time)
    second = round((options.train + options.validation) * n_time)
    validation = slice(first + gap, second) if options.validation else slice(first, first)
    parts = Parts(slice(0, first), validation, slice(second + gap, n_time))
    wanted = [parts.train, parts.test] + [parts.validation] * bool(options.validation)
    if min(part.stop - part.start for part in wanted) < sampling_rate / 2:
        raise ValueError(
            f"a record of {n_time / sampling_rate:.1f} s is too short to be split with gaps of "
            f"{options.gap_s:g} s: every part needs 0.5 s"
        )
    return parts


def make_windows(signals: np.ndarray, n_time: int, *, hop: int) -> np.ndarray:
    """Return windows `(window, lead, time)` of `n_time` samples, one every `hop` samples.

    The copy is contiguous: indexing a strided view later would be several times slower.

    Examples
    --------
    >>> make_windows(np.zeros((12, 1000)), 256, hop=128).shape
    (6, 12, 256)
    """
    if hop < 1 or not 0 < n_time <= signals.shape[-1]:
        raise ValueError(f"no window of {n_time} samples, hop {hop}, in {signals.shape[-1]}")
    view = np.lib.stride_tricks.sliding_window_view(signals, n_time, axis=-1)
    return np.ascontiguousarray(np.moveaxis(view[..., ::hop, :], -2, 0))


def split_patients(
    records: Sequence[Any], *, seed: int, test: float = 0.2, validation: float = 0.2
) -> dict[str, list[Any]]:
    """Return the records of the parts `train`, `validation`, `test`; no patient is in two.

    Patients are drawn within each condition. A condition with three or more patients has at
    least one in every part, one with two has them in training and test, a single one trains.

    Parameters
    ----------
    records
        Objects with `name`, `patient` and `condition`; without a patient the name stands in.
    seed
        Of the draw; the order of `records` does not matter.
    """
    patients: dict[str, list[Any]] = {}
    for record in sorted(records, key=lambda record: record.name):
        patients.setdefault(record.patient or record.name, []).append(record)
    groups: dict[str, list[str]] = {}
    for patient in sorted(patients):
        groups.setdefault(patients[patient][0].condition, []).append(patient)
    generator = np.random.default_rng(seed)
    parts: dict[str, list[Any]] = {"train": [], "validation": [], "test": []}
    for condition in sorted(groups):
        drawn = [str(patient) for patient in generator.permutation(groups[condition])]
        n_test = max(round(test * len(drawn)), int(test > 0 and len(drawn) > 1))
        n_validation = max(round(validation * len(drawn)), int(validation > 0 and len(drawn) > 2))
        names = ["test"] * n_test + ["validation"] * n_validation
        names += ["train"] * (len(drawn) - len(names))
        for patient, part in zip(drawn, names, strict=True):
            parts[part] += patients[patient]
    return parts


@dataclass(frozen=True)
class Scaling:
    """Offset and factor `(lead, 1)` in mV that bring the training part to [-1, 1]."""

    offset: np.ndarray
    factor: np.ndarray

    def apply(self, signals_mv: np.ndarray) -> np.ndarray:
        """Return signals `(..., lead, time)` in scaled units from mV."""
        return (signals_mv - self.offset) / self.factor

    def to_mv(self, scaled: np.ndarray) -> np.ndarray:
        """Return signals `(..., lead, time)` in mV from scaled units."""
        return scaled * self.factor + self.offset


@dataclass(frozen=True)
class RecordLabels:
    """What is known about a record apart from its signals."""

    name: str
    patient: str = ""
    condition: str = ""
    origin: str = ""
    database: str = ""
    heart: str = ""


@dataclass(frozen=True)
class Prepared:
    """One record ready for a model: scaled parts `(lead, time)`, float32.

    `seams` are the samples of the training part at which another stretch of signal begins.
    """

    record: RecordLabels
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    scaling: Scaling
    sampling_rate: float
    options: PreprocessingOptions
    seams: tuple[int, ...] = ()


def fit_scaling(train_mv: np.ndarray, *, scope: str = "lead") -> Scaling:
    """Return the scaling that maps the range of the training part `(lead, time)` to [-1, 1].

    A lead that never changes gets the factor 1 mV, so that it stays finite.

    Parameters
    ----------
    train_mv
        Training part, mV.
    scope
        `lead`: a range for each lead; `record`: one range for all.

    Examples
    --------
    >>> fit_scaling(np.array([[0.0, 4.0]])).apply(np.array([[0.0, 2.0, 4.0]])).tolist()
    [[-1.0, 0.0, 1.0]]
    """
    axes = -1 if scope == "lead" else None
    low = np.min(train_mv, axis=axes, keepdims=True)
    high = np.max(train_mv, axis=axes, keepdims=True)
    shape = (train_mv.shape[0], 1)
    factor = np.where(high > low, (high - low) / 2, 1.0)
    return Scaling(np.broadcast_to((high + low) / 2, shape), np.broadcast_to(factor, shape))


def _scale_windows(signals_mv: np.ndarray, n_time: int) -> np.ndarray:
    """Return signals `(lead, time)` in which every window is scaled to [-1, 1] by itself: a leak.

    Examples
    --------
    >>> _scale_windows(np.array([[0.0, 4.0, 0.0, 8.0]]), 2).tolist()
    [[-1.0, 1.0, -1.0, 1.0]]
    """
    starts = range(0, signals_mv.shape[-1], n_time)
    pieces = [signals_mv[:, start : start + n_time] for start in starts]
    return np.concatenate([fit_scaling(piece).apply(piece) for piece in pieces], axis=-1)


def clean_parts(record: Record, options: PreprocessingOptions) -> tuple[np.ndarray, ...]:
    """Return the training, validation and test part `(lead, time)` in mV at the new rate."""
    how = {"low_hz": options.low_hz, "high_hz": options.high_hz, "to_rate": options.sampling_rate}
    if options.filter_before_split:
        cleaned = clean(record.signals, record.sampling_rate, **how)
        parts = split_time(cleaned.shape[-1], options.sampling_rate, options)
        return tuple(cleaned[:, part] for part in (parts.train, parts.validation, parts.test))
    parts = split_time(record.signals.shape[-1], record.sampling_rate, options)
    return tuple(
        clean(record.signals[:, part], record.sampling_rate, **how)
        if part.stop > part.start
        else np.zeros((record.signals.shape[0], 0))
        for part in (parts.train, parts.validation, parts.test)
    )


def prepare_record(record: Record, options: PreprocessingOptions | None = None) -> Prepared:
    """Return a record cut into parts, each filtered and resampled by itself, then scaled.

    With `scaling="window"` the factors of the result are NaN: no figure in mV can be had.

    Parameters
    ----------
    record
        A record as `wfdb_files.read_record` returns it, mV.
    options
        Defaults to `PreprocessingOptions()`.

    Raises
    ------
    ValueError
        If the record is too short for its parts.
    """
    options = options or PreprocessingOptions()
    parts = clean_parts(record, options)
    if options.scaling == "window":
        n_time = round(options.window_s * options.sampling_rate)
        scaled = [_scale_windows(part, n_time) for part in parts]
        nothing = np.full((parts[0].shape[0], 1), np.nan)
        scaling = Scaling(nothing, nothing)
    else:
        scaling = fit_scaling(parts[0], scope=options.scaling)
        scaled = [scaling.apply(part) for part in parts]
    labels = RecordLabels(
        **{field.name: getattr(record, field.name) for field in fields(RecordLabels)}
    )
    train, validation, test = (part.astype(np.float32) for part in scaled)
    return Prepared(labels, train, validation, test, scaling, options.sampling_rate, options)
