"""What to expect of a personal model, in this session and on another day, and bands around it.

A few seconds of calibration leave nothing to hold back: each block of them is looked up in the
other blocks. What another day does is known from other people who were recorded more than once:
the squared error is a sum of terms that can be seen in the visible lead, with weights fitted on
them.

The bands are split conformal. Samples of one recording are not exchangeable with those of
another one (errors of a moved electrode last as long as the recording), nor are recordings of one
heart with those of another; hearts are, as far as they were recorded alike. So each heart counts
once, its days equally within it: the factor is the one at which the mean over hearts of the
covered share is the level. With few hearts that mean has an interval of its own, and a heart may
lie far from it: a statement about persons, not about each person.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.ndimage import uniform_filter1d

from ecgnb.leads import LEADS, derive_leads, independent_signals, lead_index, other_leads
from ecgnb.reconstruction.another_day import DayLeadModel, see
from ecgnb.reconstruction.change import obey
from ecgnb.reconstruction.linear import LagModel
from ecgnb.reconstruction.neighbours import NeighbourModel, fit_neighbours, predict_held_out
from ecgnb.reconstruction.pace import beat_at, paste_paced
from ecgnb.reconstruction.prior import DAY_RATE_HZ

_N_BLOCK = 10

_HOLDS_WITHIN = 2.0  # times what the calibration's own blocks miss of the visible lead


@dataclass(frozen=True)
class HeldOut:
    """Blocks of a calibration looked up in the others: `truth` and `guess` `(lead, time)`, mV.

    `missed` is the share of the visible lead's power that is missed, `gain` (0 to 1) how much of
    the filter of other people pays for what is left of the visible lead.
    """

    truth: np.ndarray
    guess: np.ndarray
    missed: float
    gain: float


@dataclass(frozen=True)
class PersonalDayModel:
    """One person seen from one lead: own look-up while it holds, else `another_day`.

    `missed` and `gain` are those of `HeldOut`; `variance (lead, time of the beat)` is that of its
    errors around the R peak, mV^2.
    """

    day: DayLeadModel
    missed: float
    gain: float
    variance: np.ndarray

    def predict(self, signal: np.ndarray) -> np.ndarray:
        """Return all leads `(lead, time)` in mV from the input `(time,)`, mV, 250 Hz."""
        return self.guess(signal).leads

    def guess(self, signal: np.ndarray) -> "Guess":
        """Return all leads, and the plain look-up of the calibration beside them.

        The look-up of the whole calibration counts by how little more of the visible lead it
        misses today than its own blocks miss of each other: `m^2 / (m^2 + (2 m_own)^2)` is the
        weight of the method for another day.
        """
        signal = np.asarray(signal, dtype=np.float64)
        own = _look_up(self.day).predict(signal)
        missed = _share_missed(own[self.day.lead], signal)
        weight = missed**2 / (missed**2 + (_HOLDS_WITHIN * self.missed) ** 2 + 1e-12)
        held = _carry(self.day, own, signal, self.gain)
        return Guess(signal, held + weight * (self.day.predict(signal) - held), own, missed)


@dataclass(frozen=True)
class Guess:
    """What is made of one visible lead `signal (time,)`, mV: `leads (lead, time)`.

    `own (lead, time)` is the plain look-up of the calibration, `missed` the share of the visible
    lead's power that it leaves over.
    """

    signal: np.ndarray
    leads: np.ndarray
    own: np.ndarray
    missed: float


def _share_missed(guess: np.ndarray, signal: np.ndarray) -> float:
    """Return the share of a signal's power `(time,)` that a guess leaves over.

    Examples
    --------
    >>> _share_missed(np.zeros(4), np.ones(4)), _share_missed(np.ones(4), np.ones(4))
    (1.0, 0.0)
    """
    power = max(float(np.square(signal).mean()), 1e-12)
    return float(np.square(signal - guess).mean()) / power


def _look_up(day: DayLeadModel) -> NeighbourModel:
    """Return the look-up of the visible lead in all calibrations, whole and as recorded."""
    joined, seams = _join(day)
    return fit_neighbours(joined[day.lead], joined, DAY_RATE_HZ, seams=seams)


def _join(day: DayLeadModel) -> tuple[np.ndarray, tuple[int, ...]]:
    signals = [one.signals for one in day.calibrations]
    seams = np.cumsum([one.shape[-1] for one in signals])[:-1]
    return np.concatenate(signals, axis=1), tuple(int(seam) for seam in seams)


def _carry(day: DayLeadModel, guess: np.ndarray, signal: np.ndarray, gain: float) -> np.ndarray:
    """Return leads `(lead, time)` with a part of the rest of the visible lead carried over."""
    rest = signal - guess[day.lead]
    eight = independent_signals(guess) + gain * _filtered(day, rest)
    return obey(eight, day.lead, signal)


def _filtered(day: DayLeadModel, rest: np.ndarray) -> np.ndarray:
    return LagModel(day.prior.filters[day.lead], np.zeros(8)).predict(rest)


def _hold_out(day: DayLeadModel) -> HeldOut:
    """Return what each of ten blocks of the calibrations is by the look-up in the others.

    Moments whose surroundings share a sample with the block are left out of the look-up.
    """
    joined, _ = _join(day)
    signal = joined[day.lead]
    found = predict_held_out(_look_up(day), signal, n_fold=_N_BLOCK).mean(axis=0)
    gain = _gain(independent_signals(joined - found), _filtered(day, signal - found[day.lead]))
    guess = _carry(day, found.astype(np.float64), signal, gain)
    return HeldOut(joined, guess, _share_missed(found[day.lead], signal), gain)


def _gain(missing: np.ndarray, filtered: np.ndarray) -> float:
    """Return how much of a filter's answer makes up best for what is missing, 0 to 1."""
    best = np.vdot(missing, filtered) / max(float(np.vdot(filtered, filtered)), 1e-12)
    return float(np.clip(best, 0.0, 1.0))


def make_personal(day: DayLeadModel) -> tuple[PersonalDayModel, HeldOut]:
    """Return the model of a person, and how its calibration's blocks were looked up."""
    held = _hold_out(day)
    errors, start, variances = np.square(held.truth - held.guess), 0, []
    for one in day.calibrations:
        stop = start + one.signals.shape[-1]
        variances.append(beat_at(errors[:, start:stop], one.peaks))
        start = stop
    return PersonalDayModel(day, held.missed, held.gain, np.mean(variances, axis=0)), held


TERMS = ("floor", "own", "own_mean", "disagreement", "rest", "moves", "power")

_SMOOTH_S = 0.1


def error_terms(model: PersonalDayModel, guess: Guess) -> np.ndarray:
    """Return what the squared error may be made of, `(term, lead, time)` in mV^2.

    In the order of `TERMS`: 10 uV; the variance of the calibration's own errors at this place of
    the beat, and its mean over the beat; how far look-up and reconstruction differ; what is left
    of the visible lead, by the sizes of the leads; how other people's days change such a beat;
    the power of the lead, both of these by the share of the visible lead that is missed.
    """
    day, beat = model.day, np.mean([one.beat for one in model.day.calibrations], axis=0)
    today = see(guess.signal)
    how = {"stretch": 1.0, "interval_s": np.median([one.interval_s for one in day.calibrations])}
    n_time = guess.signal.size
    shape = guess.leads.shape
    moved = np.einsum("kij,jt->kit", day.prior.moves, independent_signals(beat))
    moves = np.square(derive_leads(moved)).mean(axis=0)
    pasted = paste_paced(np.concatenate([model.variance, moves]), today.peaks, n_time, **how)
    sizes = np.square(beat).mean(axis=1, keepdims=True)
    rest = _smooth(np.square(guess.signal - guess.own[day.lead])[None])
    share = guess.missed / (guess.missed + 0.1)
    terms = [
        np.full(shape, 1e-4),
        pasted[:12],
        np.broadcast_to(model.variance.mean(axis=1, keepdims=True), shape),
        _smooth(np.square(guess.leads - guess.own)),
        rest * sizes / sizes[day.lead],
        pasted[12:] * share,
        _smooth(np.square(guess.leads)) * share,
    ]
    return np.stack([np.maximum(term, 0) for term in terms])


def _smooth(signals: np.ndarray) -> np.ndarray:
    return uniform_filter1d(signals, round(_SMOOTH_S * DAY_RATE_HZ), axis=-1)


SITUATIONS = ("same session", "another day")

BAND_LEVEL = 0.9

_N_STEP = 300


@dataclass(frozen=True)
class ErrorCase:
    """One reconstruction whose truth is known: `terms (term, lead, time)`, `error (lead, time)`.

    Of hidden leads alone, in mV^2 and mV; who it was and in which of `SITUATIONS`.
    """

    heart: str
    situation: str
    terms: np.ndarray
    error: np.ndarray


@dataclass(frozen=True)
class ErrorModel:
    """How large errors are: the variance is `weights (term,)` times the terms.

    `factors` by situation: half a band in standard deviations. `ratios` by situation: the mean
    squared error over the predicted one, its 10, 50 and 90 % quantile over hearts.
    """

    weights: np.ndarray
    factors: dict[str, float]
    ratios: dict[str, tuple[float, float, float]]

    def variance(self, terms: np.ndarray) -> np.ndarray:
        """Return the expected squared error `(lead, time)`, mV^2, of terms `(term, ...)`."""
        return np.tensordot(self.weights, terms, axes=1)

    def half_width(self, terms: np.ndarray, situation: str) -> np.ndarray:
        """Return half the width of the 90 % bands `(lead, time)`, mV."""
        return self.factors[situation] * np.sqrt(self.variance(terms))


def fit_error_model(cases: Sequence[ErrorCase]) -> ErrorModel:
    """Return the weights under which the errors of the cases are most likely, and what follows.

    Each error is taken for normal with the variance `sum_k w_k term_k`, `w_k >= 0`; the likelihood
    never falls under the multiplicative steps of Fevotte and Idier (2011) for this divergence,
    that of Itakura and Saito. Each heart weighs the same within a situation.
    """
    shares = _shares(cases)
    terms = [case.terms.reshape(len(case.terms), -1) for case in cases]
    squares = [np.square(case.error).ravel() for case in cases]
    joined, square = np.concatenate(terms, axis=1), np.concatenate(squares)
    share = np.repeat(shares / [one.size for one in squares], [one.size for one in squares])
    weights = np.full(len(joined), 0.2)
    for _ in range(_N_STEP):
        variance = weights @ joined + 1e-9
        pulled = joined @ (share * square / variance**2)
        weights = weights * np.sqrt(pulled / np.maximum(joined @ (share / variance), 1e-300))
    factors, ratios = {}, {}
    for situation in dict.fromkeys(case.situation for case in cases):
        own = [case for case in cases if case.situation == situation]
        factors[situation] = _band_factor(own, weights)
        ratios[situation] = _error_ratios(own, weights)
    return ErrorModel(weights, factors, ratios)


def _shares(cases: Sequence[ErrorCase]) -> np.ndarray:
    """Return the weight of each case: hearts equal within a situation, cases within a heart."""
    keys = [(case.situation, case.heart) for case in cases]
    n_heart = {s: len({heart for other, heart in keys if other == s}) for s, _ in keys}
    return np.array([1 / keys.count(key) / n_heart[key[0]] for key in keys])


def _band_factor(cases: Sequence[ErrorCase], weights: np.ndarray) -> float:
    """Return the factor at which, in the mean over hearts, bands cover `BAND_LEVEL`."""
    needed = [
        np.abs(case.error).ravel()
        / np.sqrt(np.tensordot(weights, case.terms, axes=1).ravel() + 1e-12)
        for case in cases
    ]
    sizes = [one.size for one in needed]
    share = np.repeat(_shares(cases) / sizes, sizes)
    joined = np.concatenate(needed)
    order = np.argsort(joined)
    return float(joined[order][np.searchsorted(np.cumsum(share[order]), BAND_LEVEL * share.sum())])


def _error_ratios(cases: Sequence[ErrorCase], weights: np.ndarray) -> tuple[float, float, float]:
    """Return quantiles over hearts of the mean squared error by lead over the predicted one."""
    rows = []
    for case in cases:
        predicted = np.tensordot(weights, case.terms, axes=1).mean(axis=-1)
        ratio = np.log(np.square(case.error).mean(axis=-1) / predicted)
        rows.append((case.heart, *np.quantile(ratio, (0.1, 0.5, 0.9))))
    hearts = pd.DataFrame(rows).groupby(0).mean()
    return tuple(float(value) for value in np.exp(hearts.median()))


def expected_r(
    power: np.ndarray, squared: np.ndarray, ratios: tuple[float, float, float]
) -> np.ndarray:
    """Return the r to expect, and its lowest and highest, `(3, lead)`.

    If the error is not correlated with the reconstruction, as that of a conditional mean,
    `r = sqrt(P / (P + e^2))` with the power `P` of the reconstruction and the squared error
    `e^2`: the predicted one times its ratios of `ErrorModel`.

    Examples
    --------
    >>> expected_r(np.ones(1), np.full(1, 0.1), (0.5, 1.0, 2.0)).round(3).ravel().tolist()
    [0.953, 0.913, 0.976]
    """
    few, usual, many = ratios
    return np.stack([np.sqrt(power / (power + ratio * squared)) for ratio in (usual, many, few)])


def expect(
    model: PersonalDayModel, guess: Guess, terms: np.ndarray, errors: ErrorModel, situation: str
) -> pd.DataFrame:
    """Return what to expect of a reconstruction by hidden lead: `lead, r, r_low, r_high, rmse_mv`.

    By `expected_r`; `r_low` to `r_high` holds four of five hearts.
    """
    ratios, predicted = errors.ratios[situation], errors.variance(terms).mean(axis=-1)
    found = expected_r(np.var(guess.leads, axis=-1), predicted, ratios)
    rows = []
    for name in other_leads(LEADS[model.day.lead]):
        row = lead_index(name)
        rmse_mv = float(np.sqrt(ratios[1] * predicted[row]))
        rows.append((name, *map(float, found[:, row]), rmse_mv))
    return pd.DataFrame(rows, columns=["lead", "r", "r_low", "r_high", "rmse_mv"])
