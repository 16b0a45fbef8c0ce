"""Filter, resample, split, scale and window a record without letting the parts see each other.

Every step that could carry the test part into the training part is done inside one part:
the parts are cut first, with a gap between them, then filtered and resampled one by one, and
the scaling is fitted on the training part alone.
"""

import contextlib
import json
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from fractions import Fraction
from pathlib import Path

import numpy as np
from scipy import signal as sps

from ecgnb.files import written_aside
from ecgnb.records.record import Record
from ecgnb.splits import PreprocessingOptions, split_time

_FILTER_ORDER = 2
_EDGE_S = 3.0  # reflected signal put before and after a part while it is filtered
CACHE_VERSION = 3  # raise it whenever a step below changes what it returns


@dataclass(frozen=True)
class Labels:
    """What is known about a record apart from its signals."""

    name: str
    patient: str = ""
    condition: str = ""
    origin: str = ""
    database: str = ""
    heart: str = ""


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
class Prepared:
    """One record ready for a model: scaled parts `(lead, time)`, float32.

    `seams` are the samples of the training part at which another stretch of signal begins.
    """

    record: Labels
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    scaling: Scaling
    sampling_rate: float
    options: PreprocessingOptions
    seams: tuple[int, ...] = ()


def filter_signals(
    signals: np.ndarray,
    sampling_rate: float,
    *,
    low_hz: float | None = 0.5,
    high_hz: float | None = 40.0,
) -> np.ndarray:
    """Return signals `(..., time)` after a zero-phase Butterworth band-pass, float64, same unit.

    The filter of order 2 runs forwards and backwards, so the gain at a corner is 1/2 and no
    wave moves in time. Both ends are continued by reflection for up to 3 s.

    Parameters
    ----------
    signals
        Finite signals `(..., time)`.
    sampling_rate
        Samples per second, Hz.
    low_hz, high_hz
        Corner frequencies, Hz; None leaves that side open.

    Examples
    --------
    >>> offset_gone = filter_signals(np.full((1, 1000), 3.0), 250.0)
    >>> bool(np.abs(offset_gone).max() < 1e-9)
    True
    """
    signals = np.asarray(signals, dtype=np.float64)
    corners = [corner for corner in (low_hz, high_hz) if corner is not None]
    if not corners:
        return signals
    kind = "bandpass" if len(corners) == 2 else ("highpass" if high_hz is None else "lowpass")
    sections = sps.butter(_FILTER_ORDER, np.squeeze(corners), kind, fs=sampling_rate, output="sos")
    edge = min(int(_EDGE_S * sampling_rate), signals.shape[-1] - 1)
    return sps.sosfiltfilt(sections, signals, padtype="even", padlen=edge)


def resample_signals(signals: np.ndarray, rate_from: float, rate_to: float) -> np.ndarray:
    """Return signals `(..., time)` at another sampling rate, by a polyphase filter.

    Examples
    --------
    >>> resample_signals(np.zeros((12, 1000)), 1000.0, 250.0).shape
    (12, 250)
    """
    ratio = Fraction(rate_to / rate_from).limit_denominator(1000)
    if ratio == 1:
        return np.asarray(signals)
    return sps.resample_poly(signals, ratio.numerator, ratio.denominator, axis=-1, padtype="line")


def fill_missing(signals: np.ndarray) -> np.ndarray:
    """Return signals `(lead, time)` whose missing samples are interpolated in time.

    A lead without any sample becomes 0. Filters and R-peak detectors fail on one NaN.

    Examples
    --------
    >>> fill_missing(np.array([[0.0, np.nan, 2.0]])).tolist()
    [[0.0, 1.0, 2.0]]
    """
    good = np.isfinite(signals)
    if good.all():
        return signals
    times = np.arange(signals.shape[-1])
    rows = [
        np.interp(times, times[keep], row[keep]) if keep.any() else np.zeros(times.size)
        for row, keep in zip(signals, good, strict=True)
    ]
    return np.stack(rows)


def clean(
    signals: np.ndarray,
    sampling_rate: float,
    *,
    to_rate: float | None = None,
    low_hz: float | None = 0.5,
    high_hz: float | None = 40.0,
) -> np.ndarray:
    """Return signals `(lead, time)` filled, filtered and, last, resampled; same unit.

    An upper corner beyond 0.4 times the sampling rate is lowered to it.

    Parameters
    ----------
    signals
        Missing samples are NaN.
    sampling_rate
        Of the signals, Hz.
    to_rate
        Wanted, Hz; None keeps the rate.
    low_hz, high_hz
        Corner frequencies, Hz; None leaves that side open.

    Examples
    --------
    >>> clean(np.zeros((12, 1000)), 500.0, to_rate=250.0).shape
    (12, 500)
    """
    highest = None if high_hz is None else min(high_hz, 0.4 * sampling_rate)
    filtered = filter_signals(fill_missing(signals), sampling_rate, low_hz=low_hz, high_hz=highest)
    return resample_signals(filtered, sampling_rate, to_rate or sampling_rate)


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


def scale_windows(signals_mv: np.ndarray, n_time: int) -> np.ndarray:
    """Return signals `(lead, time)` in which every window is scaled to [-1, 1] by itself: a leak.

    Examples
    --------
    >>> scale_windows(np.array([[0.0, 4.0, 0.0, 8.0]]), 2).tolist()
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
        A record as `records.read_record` returns it, mV.
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
        scaled = [scale_windows(part, n_time) for part in parts]
        nothing = np.full((parts[0].shape[0], 1), np.nan)
        scaling = Scaling(nothing, nothing)
    else:
        scaling = fit_scaling(parts[0], scope=options.scaling)
        scaled = [scaling.apply(part) for part in parts]
    labels = Labels(**{field.name: getattr(record, field.name) for field in fields(Labels)})
    train, validation, test = (part.astype(np.float32) for part in scaled)
    return Prepared(labels, train, validation, test, scaling, options.sampling_rate, options)


def save_prepared(prepared: Prepared, path: Path) -> Path:
    """Return the path of an `.npz` file that holds a prepared record, written atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    parts = (prepared.train, prepared.validation, prepared.test)
    facts = {"record": asdict(prepared.record), "options": asdict(prepared.options)}
    facts["shapes"] = [part.shape for part in parts]
    with written_aside(path) as file:
        np.savez(
            file,
            parts=np.concatenate([part.ravel() for part in parts]),  # few members load fast
            scaling=np.stack([prepared.scaling.offset, prepared.scaling.factor]),
            facts=np.array(json.dumps(facts)),
        )
    return path


def load_prepared(path: Path) -> Prepared:
    """Return the prepared record of an `.npz` file written by `save_prepared`."""
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        facts = json.loads(str(arrays["facts"]))
        ends = np.cumsum([np.prod(shape) for shape in facts["shapes"]])[:-1]
        pieces = zip(np.split(arrays["parts"], ends), facts["shapes"], strict=True)
        train, validation, test = (piece.reshape(shape) for piece, shape in pieces)
        scaling, options = Scaling(*arrays["scaling"]), PreprocessingOptions(**facts["options"])
        labels = Labels(**facts["record"])
        return Prepared(labels, train, validation, test, scaling, options.sampling_rate, options)


def cached(path: Path, make: Callable[[], Prepared]) -> Prepared:
    """Return the prepared record of a file; absent or damaged, it is made and written."""
    if path.is_file():
        with contextlib.suppress(OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return load_prepared(path)
    prepared = make()
    save_prepared(prepared, path)
    return prepared
