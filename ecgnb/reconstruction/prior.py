"""What other people's recordings say of how leads change together, as a small table of numbers.

Three things are kept: how other people's leads moved between two recordings (8 x 8 matrices that
turn a person's independent leads of one day into those of another), how people's beats differ,
and for each input lead a filter from what it shows beyond the average beat to what the others do.
Every heart has its share, so that a prior without one heart costs a sum. The shipped table is
made by `write_prior` from PTB, LUDB and the challenge's records of 2021.
"""

import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.metadata import version
from itertools import permutations
from pathlib import Path

import numpy as np
from scipy import linalg

from ecgnb.files import write_bytes
from ecgnb.leads import LEADS, independent_signals
from ecgnb.progress import follow
from ecgnb.reconstruction.linear import lag_moments
from ecgnb.reconstruction.pace import BEFORE_R, beat_at, find_stretch, paste_paced, stretch_beat
from ecgnb.records.record import Record, RecordError
from ecgnb.records.wfdb_files import read_record
from ecgnb.signals.beats import find_peaks, rms_lead
from ecgnb.signals.filters import clean

DAY_RATE_HZ = 250.0

WINDOW = slice(BEFORE_R - 75, BEFORE_R + 125)  # 300 ms before to 500 ms after the R peak

FIRST_S = 10.0

N_PEOPLE = 40

_REACH = 24  # 96 ms

_MIXING_PENALTY, _FILTER_PENALTY = 0.03, 2.0

_NAME = "another_day.npz"

_PATTERNS = {
    "ptbdb": "patient*/*.hea",
    "ludb": "data/*.hea",
    "challenge-2021": "training/*/g*/*.hea",
}

_SAME_HEARTS = ("ptb", "st_petersburg_incart")  # sources of the challenge that hold ptbdb, twadb


@dataclass(frozen=True)
class Prior:
    """Of other people: `moves (move, 8, 8)`, `people (component, 8, time)` over `WINDOW`.

    `filters (input, lag, 8)` carry the rest of an input lead to the independent leads.
    """

    moves: np.ndarray
    people: np.ndarray
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


def find_people(folder: Path | str) -> dict[str, list[Path]]:
    """Return the headers of each heart in a mirror of ptbdb, LUDB and the challenge of 2021.

    A folder of ptbdb is a person; each record of the others is taken for one.
    """
    people: dict[str, list[Path]] = {}
    for database, pattern in _PATTERNS.items():
        roots = [Path(folder) / database, *sorted((Path(folder) / database).glob("[0-9]*"))]
        for path in sorted(path for root in roots for path in root.glob(pattern)):
            if path.parent.parent.name in _SAME_HEARTS:
                continue
            name = path.parent.name if database == "ptbdb" else path.stem
            people.setdefault(f"{database}/{name}", []).append(path)
    return people


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


def _share_of(heart: str, recordings: Sequence[np.ndarray]) -> HeartShare | None:
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
    return Prior(np.concatenate(moves), _differences(kept), _solve(moments))


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


def read_heart_shares(folder: Path | str) -> Iterator[HeartShare]:
    """Yield the share of each heart in a mirror; recordings that cannot be read are left out.

    The first 10 s of each: what a standard ECG shows, and no heart is known better than others.
    """
    people = find_people(folder)
    for heart, paths in follow(people.items(), len(people), "hearts"):
        recordings = [clean_record(one, first_s=FIRST_S) for one in _readable(paths)]
        share = _share_of(heart, recordings)
        if share is not None:
            yield share


def _readable(paths: Iterable[Path]) -> Iterator[Record]:
    for path in paths:
        try:
            yield read_record(path)
        except RecordError:
            continue


def write_prior(folder: Path | str, out: Path | str) -> Path:
    """Return the path of a prior made from a mirror, an `.npz` with a manifest beside it."""
    shares, out = list(read_heart_shares(folder)), Path(out)
    prior, content = combine(shares), io.BytesIO()
    np.savez_compressed(
        content,
        moves=prior.moves.astype(np.float32),
        people=prior.people.astype(np.float16),
        filters=prior.filters.astype(np.float32),
    )
    write_bytes(out, content.getvalue())
    manifest = {
        "ecgnb": version("ecgnb"),
        "hearts": [share.heart for share in shares],
        "hearts_with_several_recordings": [s.heart for s in shares if s.between is not None],
        "sampling_rate": DAY_RATE_HZ,
        "inputs": list(LEADS),
        "sha256": hashlib.sha256(content.getvalue()).hexdigest(),
    }
    write_bytes(out.with_suffix(".json"), json.dumps(manifest, indent=1).encode() + b"\n")
    return out


def _read_prior(path: Path | str) -> Prior:
    """Return a prior from a file that `write_prior` made."""
    with Path(path).open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        names = ("moves", "people", "filters")
        return Prior(*(arrays[name].astype(np.float64) for name in names))


@cache
def load_prior() -> Prior:
    """Return the shipped prior.

    Raises
    ------
    ValueError
        If the file is not the one its manifest names.
    """
    table = resources.files("ecgnb") / "data" / _NAME
    if hashlib.sha256(table.read_bytes()).hexdigest() != _prior_manifest()["sha256"]:
        raise ValueError(f"{_NAME} is not what its manifest names; install ecgnb again")
    with resources.as_file(table) as path:
        return _read_prior(path)


def _prior_manifest() -> dict[str, object]:
    """Return what the shipped prior was made from and by."""
    path = resources.files("ecgnb") / "data" / Path(_NAME).with_suffix(".json").name
    return json.loads(path.read_text(encoding="utf-8"))
