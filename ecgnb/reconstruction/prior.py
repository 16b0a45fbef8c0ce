"""What other people's recordings say of how leads change together, as a small table of numbers.

Three things are kept: how other people's leads moved between two recordings (8 x 8 matrices that
turn a person's independent leads of one day into those of another), how people's beats differ,
and for each input lead a filter from what it shows beyond the average beat to what the others do.
Every heart has its share, so that a prior without one heart costs a sum. The shipped table is
made by `write_prior` from PTB, LUDB and the challenge's records of 2021.
"""

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import permutations
from pathlib import Path

import numpy as np
from scipy import linalg

from ecgnb.files import read_shipped, sha256_of, write_bytes, write_manifest
from ecgnb.leads import LEADS, independent_signals
from ecgnb.reconstruction.linear import lag_moments
from ecgnb.reconstruction.pace import BEFORE_R, beat_at, find_stretch, paste_paced, stretch_beat
from ecgnb.records.record import Record
from ecgnb.signals.beats import find_peaks, rms_lead
from ecgnb.signals.filters import clean

DAY_RATE_HZ = 250.0

WINDOW = slice(BEFORE_R - 75, BEFORE_R + 125)  # 300 ms before to 500 ms after the R peak

FIRST_S = 10.0

N_PEOPLE = 40

_REACH = 24  # 96 ms

_MIXING_PENALTY, _FILTER_PENALTY = 0.03, 2.0

_NAME = "another_day.npz"


@dataclass(frozen=True)
class Prior:
    """Of other people: `moves (move, 8, 8)`, `people (component, 8, time)` over `WINDOW`.

    `mean (8, time)` is their mean beat, of size 1; `filters (input, lag, 8)` carry the rest of an
    input lead to the independent leads.
    """

    moves: np.ndarray
    people: np.ndarray
    mean: np.ndarray
    filters: np.ndarray


@dataclass(frozen=True)
class HeartShare:
    """What one heart adds: moments `(input, lag, lag + 8)`, its moves and its beat, size 1.

    `within` of what a recording shows beyond its own average beat, `between` of what it shows
    beyond the beat of another recording; None where there is no other.
    """

    heart: str
    beat: np.ndarray
    within: np.ndarray
    between: np.ndarray | None
    moves: np.ndarray


def clean_record(record: Record, *, first_s: float | None = None) -> np.ndarray:
    """Return leads `(lead, time)` in mV, filled, filtered 0.5-40 Hz, at 250 Hz.

    Only the first seconds if so asked, cut before anything is filtered.
    """
    n_time = None if first_s is None else round(first_s * record.sampling_rate)
    return clean(record.signals[:, :n_time], record.sampling_rate, to_rate=DAY_RATE_HZ)


def fit_moves(beat: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the 8 x 8 matrix that, times the leads of one beat, gives their change to another.

    Ridge over the window; both beats `(lead, time)` of one person, R peaks on the same sample.

    Examples
    --------
    >>> beat = np.random.default_rng(0).normal(size=(12, 300))
    >>> bool(np.abs(fit_moves(beat, beat)).max() < 1e-9)
    True
    """
    old, new = (independent_signals(one)[:, WINDOW] for one in (beat, other))
    gram = old @ old.T
    gram[np.diag_indices_from(gram)] += _MIXING_PENALTY * np.trace(gram) / len(gram)
    return np.linalg.solve(gram, old @ (new - old).T).T


def share_of_heart(heart: str, recordings: Sequence[np.ndarray]) -> HeartShare | None:
    """Return what a heart adds, from recordings `(12, time)` in mV at 250 Hz.

    None if no recording shows three whole beats.
    """
    seen = [one for one in map(_see, recordings) if one is not None]
    if not seen:
        return None
    within = [_moments(signals - _pasted(one, one)) for one in seen for signals in one[:1]]
    pairs = [(old, new) for old, new in permutations(seen, 2)]
    between = [_moments(new[0] - _pasted(old, new)) for old, new in pairs]
    moves = [fit_moves(_stretched(old, new), new[2]) for old, new in pairs]
    beat = independent_signals(seen[0][2])[:, WINDOW]
    return HeartShare(
        heart=heart,
        beat=beat / np.sqrt(np.square(seen[0][2][:, WINDOW]).mean()),
        within=np.mean(within, axis=0),
        between=np.mean(between, axis=0) if between else None,
        moves=np.array(moves).reshape(-1, 8, 8),
    )


_Seen = tuple[np.ndarray, np.ndarray, np.ndarray, float]


def _see(signals: np.ndarray) -> _Seen | None:
    """Return signals, peaks of all leads, average beat and interval, None without beats."""
    peaks = find_peaks(signals, DAY_RATE_HZ)
    beat = beat_at(signals, peaks)
    if beat is None or len(peaks) < 4 or np.square(beat[:, WINDOW]).mean() < 1e-9:
        return None
    return signals, peaks, beat, float(np.median(np.diff(peaks))) / DAY_RATE_HZ


def _stretch(old: _Seen, new: _Seen) -> float:
    return find_stretch(rms_lead(old[2]), rms_lead(new[2]), (old[3], new[3]))


def _stretched(old: _Seen, new: _Seen) -> np.ndarray:
    return stretch_beat(old[2], _stretch(old, new))


def _pasted(old: _Seen, new: _Seen) -> np.ndarray:
    stretch = 1.0 if old is new else _stretch(old, new)
    return paste_paced(old[2], new[1], new[0].shape[-1], stretch=stretch, interval_s=old[3])


def _moments(rest: np.ndarray) -> np.ndarray:
    """Return Gram and cross sums `(input, lag, lag + 8)`, each input of power 1."""
    eight, found = independent_signals(rest), []
    for signal in rest:
        gram, cross = lag_moments(signal, eight, _REACH).centred()
        found.append(np.concatenate([gram, cross], axis=1) * len(gram) / max(gram.trace(), 1e-9))
    return np.stack(found)


def combine(shares: Iterable[HeartShare], *, without: str = "") -> Prior:
    """Return the prior of all hearts but one; every heart weighs the same.

    Raises
    ------
    ValueError
        If no heart with several recordings is left: nothing is known of other days then.
    """
    kept = [share for share in shares if share.heart != without]
    several = [share for share in kept if share.between is not None]
    if not several:
        raise ValueError("a prior needs at least one person with several recordings")
    moments = np.mean([share.within for share in kept], axis=0)
    moments = moments + np.mean([share.between for share in several], axis=0)
    scale = sum(len(share.moves) for share in several) / len(several)
    moves = [np.sqrt(scale / len(share.moves)) * share.moves for share in several]
    mean = np.mean([share.beat for share in kept], axis=0)
    return Prior(np.concatenate(moves), _differences(kept), mean, _solve(moments))


def _differences(shares: Sequence[HeartShare]) -> np.ndarray:
    """Return components `(component, 8, time)` whose outer products sum to those of differences.

    Of two people's beats, that is twice the covariance over people.
    """
    beats = np.array([share.beat for share in shares])
    centred = (beats - beats.mean(axis=0)).reshape(len(beats), -1)
    _, sizes, axes = linalg.svd(centred * np.sqrt(2 / len(beats)), full_matrices=False)
    components = sizes[:N_PEOPLE, None] * axes[:N_PEOPLE]
    return components.reshape(-1, *beats.shape[1:])


def _solve(moments: np.ndarray) -> np.ndarray:
    """Return filters `(input, lag, 8)` by ridge from summed moments `(input, lag, lag + 8)`."""
    n_lag = moments.shape[1]
    gram = moments[:, :, :n_lag] + _FILTER_PENALTY * np.eye(n_lag)
    return np.linalg.solve(gram, moments[:, :, n_lag:])


def write_prior(shares: Sequence[HeartShare], out: Path, facts: Mapping[str, object]) -> Path:
    """Return the path of a prior of some hearts, an `.npz` with a manifest beside it.

    Parameters
    ----------
    shares
        Of each heart, from `share_of_heart`.
    out
        The `.npz`.
    facts
        What else the manifest says: what the shares were made from.
    """
    prior, content = combine(shares), io.BytesIO()
    np.savez_compressed(
        content,
        moves=prior.moves.astype(np.float32),
        people=prior.people.astype(np.float16),
        mean=prior.mean.astype(np.float32),
        filters=prior.filters.astype(np.float32),
    )
    write_bytes(out, content.getvalue())
    known = {
        "hearts": [share.heart for share in shares],
        "hearts_with_several_recordings": [s.heart for s in shares if s.between is not None],
        "sampling_rate": DAY_RATE_HZ,
        "inputs": list(LEADS),
        "sha256": sha256_of(content.getvalue()),
    }
    write_manifest(out.with_suffix(".json"), known | facts)
    return out


def _read_prior(content: bytes) -> Prior:
    """Return a prior from the bytes of a file that `write_prior` made."""
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        names = ("moves", "people", "mean", "filters")
        return Prior(*(arrays[name].astype(np.float64) for name in names))


@cache
def load_prior() -> Prior:
    """Return the shipped prior.

    Raises
    ------
    ValueError
        If the file is not the one its checksum names.
    """
    return _read_prior(read_shipped(_NAME))
