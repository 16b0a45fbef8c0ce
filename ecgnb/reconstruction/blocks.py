"""A recording of any length goes through in overlapping blocks, in the same memory.

Each block is read with 30 s on either side, gaps filled as in the whole recording, filtered,
resampled and reconstructed; its middle is kept. What a filter does at the cut has decayed by then
(a corner of 0.5 Hz forgets in 0.45 s). A method that looks at moments near by gives the same as on
the whole recording. One that finds R peaks, or takes a look at today's average beat, takes it in
each block anew, which follows a day better than one look at all of it; two blocks are then
blended over 2 s.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path

import numpy as np

from ecgnb.files import sha256_of
from ecgnb.leads import LEADS, lead_index
from ecgnb.progress import follow
from ecgnb.reconstruction.personal import PersonalModel, reconstruct
from ecgnb.records.long_files import LongLead, LongWriter
from ecgnb.records.record import Record, RecordError
from ecgnb.signals.checks import MAX_LOST
from ecgnb.signals.filters import (
    CausalFilter,
    MissingStretches,
    blank_missing,
    clean,
    fill_missing,
)

BLOCK_S, CONTEXT_S, FADE_S = 300.0, 30.0, 2.0

_NEAR_S = 2.0  # how far any of the methods below looks

_LOOKED_AT_S = 300.0  # of a recording, where it misses least, to tell whether it can be used

NEAR_BY = frozenset(
    ("mean", "line_through_origin", "least_squares", "lagged_ridge", "neighbours", "best")
)  # methods that look at moments near by only

Predict = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Work:
    """What is done with each block: `predict(signal (time,)) -> (lead, time)`, both in mV.

    The signal is filtered between the corners and at `sampling_rate` Hz. `fade_s` is 0 where the
    prediction of a moment hangs on moments near by alone. With `causal` the filter looks back
    only, as in a stream: the recording must have the model's rate.
    """

    lead: str
    predict: Predict
    sampling_rate: float = 250.0
    low_hz: float | None = 0.5
    high_hz: float | None = 40.0
    fade_s: float = FADE_S
    causal: bool = False

    @classmethod
    def of(cls, model: PersonalModel, *, causal: bool = False) -> "Work":
        """Return what a personal model does with each block."""
        options = model.options
        fade_s = 0.0 if model.method in NEAR_BY else FADE_S
        corners = (options.low_hz, options.high_hz)
        return cls(model.lead, model.predict, options.sampling_rate, *corners, fade_s, causal)


@dataclass(frozen=True)
class Block:
    """Samples of the input: `start` to `stop` are kept, `first` to `last` are read."""

    first: int
    start: int
    stop: int
    last: int


def _cut_blocks(n_time: int, sampling_rate: float, to_rate: float) -> list[Block]:
    """Return the blocks of a recording; each begins on a whole output second or sample.

    Examples
    --------
    >>> [(block.first, block.start, block.stop, block.last) for block in
    ...  _cut_blocks(40_000, 100.0, 250.0)]
    [(0, 0, 30000, 33000), (27000, 30000, 40000, 40000)]
    """
    step = _ratio(sampling_rate, to_rate).denominator
    core, context = (
        max(round(seconds * sampling_rate / step), 1) * step for seconds in (BLOCK_S, CONTEXT_S)
    )
    edges = [*range(0, n_time, core), n_time]
    if len(edges) > 2 and edges[-1] - edges[-2] < context:
        del edges[-2]  # so that no block is shorter than what is needed to look at it
    return [
        Block(max(start - context, 0), start, stop, min(stop + context, n_time))
        for start, stop in pairwise(edges)
    ]


def _ratio(rate_from: float, rate_to: float) -> Fraction:
    return Fraction(rate_to / rate_from).limit_denominator(1000)


class _Filled:
    """A long lead whose missing samples are interpolated between the nearest ones on either side.

    The same numbers as `fill_missing` gives for the whole recording, however long a gap is.
    """

    def __init__(self, long: LongLead) -> None:
        self.long = long
        self.step = round(BLOCK_S * long.sampling_rate)
        self.gap = (0, 0, None, None)  # from, to, the sample before it, the sample after it

    def read(self, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the samples `(time,)` as they are, and filled."""
        signal = np.asarray(self.long.read(first, last))
        good = np.isfinite(signal)
        if good.all():
            return signal, signal
        known = [(first + at, signal[at]) for at in (0, len(signal) - 1) if good[at]]
        times, values = first + np.flatnonzero(good), signal[good]
        ends = [] if good[0] else [self._around(first)[0]]
        tail = [] if good[-1] else [self._around(last - 1)[1]]
        before, after = ([end for end in each if end] for each in (ends, tail))
        times = np.r_[[t for t, _ in before], times, [t for t, _ in after]]
        values = np.r_[[v for _, v in before], values, [v for _, v in after]]
        if not known and times.size == 0:
            return signal, np.zeros(signal.size)
        return signal, np.interp(np.arange(first, last), times, values)

    def _around(self, at: int) -> tuple[tuple[int, float] | None, tuple[int, float] | None]:
        """Return the samples before and after the gap around a missing sample, None at an end."""
        start, stop, before, after = self.gap
        if not start <= at < stop:
            before, after = self._last_before(at), self._first_after(at)
            start = before[0] + 1 if before else 0
            self.gap = (start, after[0] if after else self.long.n_time, before, after)
        return before, after

    def _last_before(self, at: int) -> tuple[int, float] | None:
        for stop in range(at, 0, -self.step):
            start = max(stop - self.step, 0)
            signal = np.asarray(self.long.read(start, stop))
            good = np.flatnonzero(np.isfinite(signal))
            if good.size:
                return start + int(good[-1]), float(signal[good[-1]])
        return None

    def _first_after(self, at: int) -> tuple[int, float] | None:
        for start in range(at, self.long.n_time, self.step):
            signal = np.asarray(self.long.read(start, min(start + self.step, self.long.n_time)))
            good = np.flatnonzero(np.isfinite(signal))
            if good.size:
                return start + int(good[0]), float(signal[good[0]])
        return None


class _Forwards:
    """A long lead after the causal filter, whose state goes on from block to block."""

    def __init__(self, long: LongLead, work: Work) -> None:
        if long.sampling_rate != work.sampling_rate:
            raise ValueError(
                f"a causal filter at {work.sampling_rate:g} Hz cannot take {long.sampling_rate:g} "
                "Hz: resample the recording first"
            )
        self.long = long
        self.filter = CausalFilter(work.sampling_rate, work.low_hz, work.high_hz)
        self.start, self.kept = 0, np.zeros(0)

    def read(self, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the samples `(time,)` as they are, and filtered; blocks come in order."""
        while (at := self.start + self.kept.size) < last:
            stop = min(at + round(BLOCK_S * self.long.sampling_rate), last)
            more = self.filter.apply(np.asarray(self.long.read(at, stop), dtype=np.float64))
            self.kept = np.concatenate([self.kept, more])[max(first - self.start, 0) :]
            self.start = max(self.start, min(first, stop))
        kept = self.kept[first - self.start : last - self.start]
        return np.asarray(self.long.read(first, last)), kept


def reconstruct_blocks(
    long: LongLead, work: Work, *, skip: int = 0, shown: bool = False
) -> Iterator[np.ndarray]:
    """Yield twelve leads `(lead, time)` in mV, piece by piece; put together they are the result.

    Parameters
    ----------
    long
        The recording.
    work
        What is done with each block.
    skip
        Samples of the result that are there already; the pieces of so many are left out.
    shown
        Whether to tell on stderr how far it is and how long it will take.
    """
    filled, ratio = _Filled(long), _ratio(long.sampling_rate, work.sampling_rate)
    if work.causal:
        filled = _Forwards(long, work)
    blocks = _cut_blocks(long.n_time, long.sampling_rate, work.sampling_rate)
    fade = round(work.fade_s * work.sampling_rate / 2)
    ends = [_end(block.stop, ratio) - fade * (block is not blocks[-1]) for block in blocks]
    first = sum(end <= skip for end in ends)
    again = int(fade > 0 and 0 < first < len(blocks))  # the block before, for what is blended
    share, tail = (np.arange(2 * fade) + 0.5) / max(2 * fade, 1), None
    todo = range(first - again, len(blocks))
    for at in follow(todo, len(todo), "blocks of 5 min", shown=shown):
        made, offset = _reconstructed(filled, blocks[at], work)
        start = _end(blocks[at].start, ratio) - fade * (at > 0) - offset
        piece, rest = made[:, start : ends[at] - offset], made[:, ends[at] - offset :]
        if tail is not None:
            piece[:, : 2 * fade] = tail + share * (piece[:, : 2 * fade] - tail)
        tail = rest[:, : 2 * fade].copy() if fade else None
        if at >= first:
            yield piece


def _end(sample: int, ratio: Fraction) -> int:
    """Return the sample of the result at a sample of the input."""
    return -(-sample * ratio.numerator // ratio.denominator)


def _reconstructed(
    filled: _Filled | _Forwards, block: Block, work: Work
) -> tuple[np.ndarray, int]:
    """Return twelve leads `(lead, time)` of a block, missing where it is, and their first sample.

    A method that looks at moments near by is given what is kept and 2 s on either side, and
    nothing of a gap that is farther from any sample.
    """
    given, whole = filled.read(block.first, block.last)
    rate, ratio = filled.long.sampling_rate, _ratio(filled.long.sampling_rate, work.sampling_rate)
    how = {"to_rate": work.sampling_rate, "low_hz": work.low_hz, "high_hz": work.high_hz}
    signal = whole if work.causal else clean(whole[None], rate, **how)[0]
    missing = np.zeros((1, signal.size))
    blank_missing(missing, work.sampling_rate, given, rate)
    offset = _end(block.first, ratio)
    near = signal.size
    if not work.fade_s:
        near = round(_NEAR_S * work.sampling_rate)
        begin = max(_end(block.start, ratio) - offset - near, 0)
        used = slice(begin, _end(block.stop, ratio) - offset + near)
        signal, missing, offset = signal[used], missing[:, used], offset + begin
    made = np.full((len(LEADS), signal.size), np.nan, dtype=np.float32)
    for part in _without_gaps(np.isnan(missing[0]), near):
        made[:, part] = work.predict(signal[part])
    made[lead_index(work.lead)] = signal
    made[:, np.isnan(missing[0])] = np.nan
    return made, offset


def _without_gaps(missing: np.ndarray, near: int) -> list[slice]:
    """Return the stretches with every sample that is not missing, and `near` on either side.

    Examples
    --------
    >>> _without_gaps(np.array([0, 0, 1, 1, 1, 1, 0]) > 0, 1)
    [slice(0, 3, None), slice(5, 7, None)]
    """
    there = np.flatnonzero(~missing)
    if not there.size:
        return []
    breaks = np.flatnonzero(np.diff(there) > 2 * near + 1)
    starts = np.maximum(there[np.r_[0, breaks + 1]] - near, 0).tolist()
    stops = np.minimum(there[np.r_[breaks, -1]] + near + 1, missing.size).tolist()
    return [slice(*ends) for ends in zip(starts, stops, strict=True)]


def write_blocks(
    long: LongLead,
    work: Work,
    target: Path,
    *,
    comments: tuple[str, ...] = (),
    key: str = "",
    shown: bool = False,
) -> Path:
    """Return `target`, a WFDB header or an EDF file, after writing the twelve leads there.

    A run that was interrupted goes on where it was if `key`, the recording and the options are
    those of before. The result is whole or absent.

    Parameters
    ----------
    long, work
        The recording, and what is done with each block.
    target
        `OUT.hea` or `OUT.edf`.
    comments
        Lines for the header of WFDB; EDF has no room for them.
    key
        What else the result is made of: the model.
    shown
        Whether to tell on stderr how far it is.

    Raises
    ------
    RecordError
        If the recording was changed while it was read.
    OSError
        If the disk is full; a run with more room goes on.
    """
    options = (work.lead, work.sampling_rate, work.low_hz, work.high_hz, work.fade_s, work.causal)
    made_of = (long.digest, long.n_time, options, BLOCK_S, CONTEXT_S, comments, key)
    whole_key = sha256_of(repr((version("ecgnb"), made_of)).encode())
    target.parent.mkdir(parents=True, exist_ok=True)
    writer = LongWriter(target, work.sampling_rate, whole_key)
    n_time = _end(long.n_time, _ratio(long.sampling_rate, work.sampling_rate))
    while writer.n_done < n_time:
        pieces = reconstruct_blocks(long, work, skip=writer.n_done, shown=shown)
        if not all(writer.append(piece) for piece in pieces):
            continue  # too large for 16 bits at this gain: from the beginning at half of it
    grown = long.grown()
    if grown:
        text = f"{grown:,} bytes came while it was read: its first {long.duration_s:.1f} s only"
        comments = (*comments, f"the recording grew: {text}")
    return writer.finish(work.lead, comments)


def reconstruct_file(
    long: LongLead,
    model: PersonalModel,
    target: Path,
    *,
    comments: tuple[str, ...] = (),
    shown: bool = False,
) -> tuple[str, ...]:
    """Return notes on a recording of any length whose twelve leads are written to `target`.

    It is checked on the 5 minutes that miss least, and compared with the calibration there.

    Parameters
    ----------
    long
        The lead that the model expects, from `recordings.open_lead`.
    model
        Of the person and the lead.
    target
        `OUT.hea` or `OUT.edf`.
    comments
        More lines for the header.
    shown
        Whether to tell on stderr how far it is.

    Raises
    ------
    RecordError
        If the recording cannot be used with the model.
    """
    missing, start = _survey(long)
    if missing.n_lost > MAX_LOST * long.n_time:
        share = f"{100 * missing.n_lost / long.n_time:.0f} % of lead {model.lead} is missing"
        raise RecordError(
            long.name,
            f"{share}, at most {100 * MAX_LOST:.0f} % may be",
            "what is missing would be made up",
            "record it again with a better contact",
        )
    stop = min(start + round(_LOOKED_AT_S * long.sampling_rate), long.n_time)
    known = Record(
        long.name,
        fill_missing(np.asarray(long.read(start, stop))[None]).astype(np.float32),
        long.sampling_rate,
        (long.lead,),
    )
    look = reconstruct(known, model)
    text = missing.describe(long.sampling_rate)
    lost = (text,) if text else ()
    write_blocks(
        long,
        Work.of(model),
        target,
        comments=(*look.comments, *(f"{each}, in all 12 leads" for each in lost), *comments),
        key=sha256_of(look.signals.tobytes()),
        shown=shown,
    )
    return (*long.notes, *lost, *look.notes)


def _survey(long: LongLead) -> tuple[MissingStretches, int]:
    """Return what is missing, and where the stretch of 5 min begins that misses least."""
    missing, step = MissingStretches(), round(_LOOKED_AT_S * long.sampling_rate)
    lost = []
    for start in range(0, long.n_time, step):
        before = missing.n_lost
        missing.add(np.asarray(long.read(start, min(start + step, long.n_time))))
        lost.append(missing.n_lost - before)
    if len(lost) > 1:
        lost.pop()  # the last stretch is shorter
    return missing, step * int(np.argmin(lost))
