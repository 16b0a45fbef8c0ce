"""Every set of leads, and what it tells about the others: linear fits from the same sums.

Twelve leads are eight independent signals, so that many sets of leads know the same. A fit from
several leads needs one matrix of sums over time, from which the rows and columns of any set are
taken; the twelve leads themselves are among its entries, so that it holds the targets too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from math import comb

import numpy as np
from scipy import linalg

from ecgnb.leads import INDEPENDENT_LEADS, LEADS, LEADS_FROM_INDEPENDENT
from ecgnb.signals.beats import align_beats, average_beat, find_peaks, wave_masks

SET_RATE_HZ = 125.0  # enough for 0.5-40 Hz

# Samples at 125 Hz, close together around the moment and further apart away from it: 0 to 400 ms.
_REACHES = (1, 2, 3, 4, 6, 8, 11, 15, 20, 28, 38, 50)

SET_LAGS = tuple(sorted({0, *_REACHES, *(-reach for reach in _REACHES)}))

SET_PENALTIES = tuple(float(10.0**power) for power in range(-6, 1))

_N_LEAD, _N_LAG = len(LEADS), len(SET_LAGS)

NOW = np.arange(_N_LEAD) * _N_LAG + SET_LAGS.index(0)  # the leads themselves among the features


@dataclass(frozen=True)
class LeadSet:
    """Leads that know the same as any of `n_subset` sets: all that are `known`.

    `given` are as few of them as determine the others, the first in standard order.
    """

    known: tuple[str, ...]
    given: tuple[str, ...]
    n_subset: int

    @property
    def name(self) -> str:
        """The given leads, joined by +."""
        return "+".join(self.given)

    @property
    def hidden(self) -> tuple[str, ...]:
        """The independent leads that are not known."""
        return tuple(lead for lead in INDEPENDENT_LEADS if lead not in self.known)


def known_by(subsets: np.ndarray) -> np.ndarray:
    """Return which leads each subset determines `(subset, lead)`, as bools.

    A lead is determined if it lies in the row space of the subset's rows of the relations between
    the leads: if projecting it there changes nothing.

    Parameters
    ----------
    subsets
        Which leads are given `(subset, lead)`, bools.

    Examples
    --------
    >>> known_by(np.array([[lead in ("aVR", "III", "V2") for lead in LEADS]])).sum()
    np.int64(7)
    """
    rows = LEADS_FROM_INDEPENDENT * np.asarray(subsets, dtype=float)[:, :, None]
    projected = LEADS_FROM_INDEPENDENT @ (np.linalg.pinv(rows) @ rows)
    return np.abs(projected - LEADS_FROM_INDEPENDENT).max(axis=-1) < 1e-9


@cache
def _proper_subsets() -> np.ndarray:
    """Return all proper subsets of the twelve leads but the empty one `(4094, lead)`, bools."""
    numbers = np.arange(1, 2**_N_LEAD - 1)
    return (numbers[:, None] >> np.arange(_N_LEAD)) % 2 == 1


@cache
def lead_sets() -> tuple[LeadSet, ...]:
    """Return the sets of leads that know different things and not everything, small ones first.

    A proper subset of the twelve leads belongs to exactly one, or determines all twelve.

    Examples
    --------
    >>> len(lead_sets()), lead_sets()[0].name, lead_sets()[-1].hidden
    (510, 'I', ('I', 'II'))
    """
    subsets = _proper_subsets()
    known, member = np.unique(known_by(subsets), axis=0, return_inverse=True)
    found = []
    for number, leads in enumerate(known):
        if leads.all():
            continue
        own = subsets[member.ravel() == number]
        names = tuple(lead for lead, one in zip(LEADS, leads, strict=True) if one)
        found.append(LeadSet(names, _fewest(own), len(own)))
    return tuple(sorted(found, key=lambda one: (len(one.given), _places(one.given))))


def _fewest(subsets: np.ndarray) -> tuple[str, ...]:
    """Return the smallest of some subsets, the first in standard order."""
    smallest = subsets[subsets.sum(axis=1) == subsets.sum(axis=1).min()]
    named = [tuple(lead for lead, one in zip(LEADS, row, strict=True) if one) for row in smallest]
    return min(named, key=_places)


def _places(leads: Sequence[str]) -> tuple[int, ...]:
    return tuple(LEADS.index(lead) for lead in leads)


@cache
def _sets_by_known() -> dict[tuple[str, ...], LeadSet]:
    return {one.known: one for one in lead_sets()}


def find_set(leads: Sequence[str]) -> LeadSet:
    """Return the set that knows what some leads know.

    Raises
    ------
    ValueError
        If the leads determine all twelve or none: nothing is to be reconstructed then, or from
        nothing.

    Examples
    --------
    >>> find_set(["aVF", "aVL"]).name
    'I+II'
    """
    row = known_by(np.array([[lead in leads for lead in LEADS]]))[0]
    names = tuple(lead for lead, one in zip(LEADS, row, strict=True) if one)
    if names in _sets_by_known():
        return _sets_by_known()[names]
    raise ValueError(f"{'+'.join(leads) or 'no lead'} leaves nothing to reconstruct, or all of it")


def lagged_leads(signals: np.ndarray) -> np.ndarray:
    """Return the leads at all lags `(feature, time)`, a lead's lags side by side.

    Feature `lead * n_lag + k` is the lead `SET_LAGS[k]` samples later; beyond an end it is 0.

    Parameters
    ----------
    signals
        12 leads `(lead, time)` at 125 Hz.

    Examples
    --------
    >>> features = lagged_leads(np.arange(12 * 200.0).reshape(12, 200))
    >>> features.shape, bool((features[NOW] == np.arange(12 * 200).reshape(12, 200)).all())
    ((300, 200), True)
    """
    reach, n_time = max(SET_LAGS), np.shape(signals)[-1]
    padded = np.pad(np.asarray(signals, dtype=np.float64), [(0, 0), (reach, reach)])
    shifted = [padded[:, reach + lag : reach + lag + n_time] for lag in SET_LAGS]
    return np.stack(shifted, axis=1).reshape(_N_LEAD * _N_LAG, n_time)


def lead_moments(signals: np.ndarray) -> np.ndarray:
    """Return the sums over time of all products of lagged leads `(feature, feature)`.

    Sums of several stretches or people simply add up.
    """
    features = lagged_leads(signals)
    return features @ features.T


def _features_of(leads: Sequence[str]) -> np.ndarray:
    """Return the places of all lags of some leads among the features."""
    return np.concatenate([LEADS.index(lead) * _N_LAG + np.arange(_N_LAG) for lead in leads])


@dataclass(frozen=True)
class SetModel:
    """A linear filter from the leads of a set to all twelve: `weights (feature, lead)`.

    The known leads are exact, whatever the sums were.
    """

    leads: LeadSet
    weights: np.ndarray
    penalty: float

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Return all leads `(lead, time)` from features `(feature, time)` of `lagged_leads`."""
        return self.weights.T @ features[_features_of(self.leads.given)]

    def squared_error(self, moments: np.ndarray) -> np.ndarray:
        """Return the summed squared error `(lead,)` on the signals of some moments."""
        return _squared_errors(self.weights[None], moments, _features_of(self.leads.given))[0]


def fit_set(
    leads: LeadSet,
    train: np.ndarray,
    validation: np.ndarray | None = None,
    *,
    penalties: Sequence[float] = SET_PENALTIES,
) -> SetModel:
    """Return the ridge filter of a set, its penalty that of the least validation error.

    `W = (G + p t I)^-1 C`, with `t` the mean diagonal of the Gram matrix `G`. The error is summed
    over the twelve leads, in squared mV.

    Parameters
    ----------
    leads
        From `lead_sets`.
    train, validation
        From `lead_moments`; without validation the first penalty is taken.
    penalties
        Candidates, relative to the mean power of the features.
    """
    rows = _features_of(leads.given)
    gram, cross = train[np.ix_(rows, rows)], train[np.ix_(rows, NOW)]
    values, vectors = linalg.eigh(gram, check_finite=False)
    rotated, scale = vectors.T @ cross, max(np.trace(gram) / len(gram), 1e-12)
    tried = penalties if validation is not None else penalties[:1]
    damped = [np.maximum(values, 0.0) + penalty * scale for penalty in tried]
    weights = np.stack([vectors @ (rotated / each[:, None]) for each in damped])
    weights = _make_exact(weights, leads)
    best = 0
    if validation is not None:
        best = int(_squared_errors(weights, validation, rows).sum(axis=1).argmin())
    return SetModel(leads, weights[best], tried[best])


def _make_exact(weights: np.ndarray, leads: LeadSet) -> np.ndarray:
    """Return weights `(penalty, feature, lead)` that give the known leads by the leads' laws."""
    given = LEADS_FROM_INDEPENDENT[list(_places(leads.given))]
    for lead in leads.known:
        place = LEADS.index(lead)
        shares = np.linalg.lstsq(given.T, LEADS_FROM_INDEPENDENT[place], rcond=None)[0]
        weights[:, :, place] = 0.0
        weights[:, SET_LAGS.index(0) :: _N_LAG, place] = shares
    return weights


def _squared_errors(weights: np.ndarray, moments: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return summed squared errors `(penalty, lead)` of weights `(penalty, feature, lead)`."""
    fitted = np.einsum("pko,pko->po", weights, moments[np.ix_(rows, rows)] @ weights)
    mixed = np.einsum("pko,ko->po", weights, moments[np.ix_(rows, NOW)])
    return np.maximum(moments[NOW, NOW] - 2 * mixed + fitted, 0.0)


def shapley_values(worth: np.ndarray) -> np.ndarray:
    """Return the exact Shapley values `(player, ...)` of a game (Shapley 1953).

    A player's value is the mean, over all orders in which the players can come, of what is gained
    when the player comes; the values sum to the gain of all together.

    Parameters
    ----------
    worth
        Of every coalition `(2 ** n_player, ...)`; bit `i` of the number says whether player `i`
        takes part.

    Examples
    --------
    >>> shapley_values(np.array([0.0, 1.0, 2.0, 4.0])).tolist()  # 1, 2 alone, 4 together
    [1.5, 2.5]
    """
    n_player = int(np.log2(len(worth)))
    numbers = np.arange(2**n_player)
    sizes = np.array([int(number).bit_count() for number in numbers])
    chance = 1.0 / (n_player * np.array([comb(n_player - 1, size) for size in range(n_player)]))
    values = []
    for player in range(n_player):
        without = numbers[(numbers >> player) % 2 == 0]
        gains = worth[without | 1 << player] - worth[without]
        values.append(np.tensordot(chance[sizes[without]], gains, axes=1))
    return np.stack(values)


@dataclass(frozen=True)
class SetTrial:
    """What scoring any set on one stretch of signal needs; `truth` and `base (lead, time)` in mV.

    The base is what is known without the filter (a pasted beat; zero for other people's fits);
    the filter carries on what the visible leads differ from it. `st_features (feature,)` and
    `st_rest (lead,)` give the error of the ST level: features times weights less the rest.
    """

    moments: np.ndarray
    truth_cross: np.ndarray
    base_cross: np.ndarray
    base_power: np.ndarray
    base_truth: np.ndarray
    truth_power: np.ndarray
    st_features: np.ndarray
    st_rest: np.ndarray
    n_time: int

    @classmethod
    def of(cls, truth: np.ndarray, base: np.ndarray, st: np.ndarray | None = None) -> "SetTrial":
        """Return the sums of one stretch; `st (time,)` weighs samples to the mean ST level."""
        truth = truth - truth.mean(axis=1, keepdims=True)
        base = base - base.mean(axis=1, keepdims=True)
        features = lagged_leads(truth - base)
        weights = np.zeros(truth.shape[-1]) if st is None else st
        return cls(
            moments=features @ features.T,
            truth_cross=features @ truth.T,
            base_cross=features @ base.T,
            base_power=np.square(base).sum(axis=1),
            base_truth=(base * truth).sum(axis=1),
            truth_power=np.square(truth).sum(axis=1),
            st_features=features @ weights,
            st_rest=(truth - base) @ weights,
            n_time=truth.shape[-1],
        )

    def score(self, model: SetModel) -> dict[str, float]:
        """Return the scores of a set.

        `r` is the mean over the hidden independent leads, `rmse_uv` the root mean square error
        over all twelve, of which the known ones are exact, `st_<lead>` the error of the ST level.
        """
        rows, weights = _features_of(model.leads.given), model.weights
        error = model.squared_error(self.moments)
        power = self.base_power + _along(weights, self.moments[np.ix_(rows, rows)] @ weights)
        power = power + 2 * _along(weights, self.base_cross[rows])
        mixed = self.base_truth + _along(weights, self.truth_cross[rows])
        r = mixed / np.sqrt(np.maximum(power * self.truth_power, 1e-24))
        st_uv = 1000 * (weights.T @ self.st_features[rows] - self.st_rest)
        hidden = list(_places(model.leads.hidden))
        found = {
            "r": float(r[hidden].mean()),
            "rmse_uv": float(1000 * np.sqrt(error.mean() / self.n_time)),
        }
        names = INDEPENDENT_LEADS
        return found | {f"st_{name}": float(st_uv[LEADS.index(name)]) for name in names}


def _along(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.einsum("ko,ko->o", one, other)


def st_weights(signals: np.ndarray, sampling_rate: float) -> np.ndarray:
    """Return the weight of each sample `(time,)` in the mean ST level of a stretch.

    The level is that 60 ms after the end of the QRS complex (J point), less the mean of the 16 ms
    before its begin, over all beats that lie whole in the stretch. Bounds are those of the average
    beat of all leads; without a beat all weights are 0.

    Parameters
    ----------
    signals
        12 leads `(lead, time)`.
    sampling_rate
        Hz.
    """
    weights = np.zeros(signals.shape[-1])
    peaks = find_peaks(signals, sampling_rate)
    before, after = round(0.3 * sampling_rate), round(0.5 * sampling_rate)
    peaks = peaks[(peaks >= before) & (peaks + after <= weights.size)]
    if not peaks.size:
        return weights
    beat = average_beat(align_beats(signals, peaks, before=before, after=after))
    qrs = np.flatnonzero(wave_masks(beat, sampling_rate, before)["QRS"]) - before
    level, n_level = qrs[0], max(round(0.016 * sampling_rate), 1)
    weights[peaks + qrs[-1] + 1 + round(0.06 * sampling_rate)] += 1 / peaks.size
    for back in range(n_level):
        weights[peaks + level - back] -= 1 / (peaks.size * n_level)
    return weights
