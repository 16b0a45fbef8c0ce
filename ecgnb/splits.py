"""Choose the preprocessing and cut recordings into parts: in time, into windows, by patient."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

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
