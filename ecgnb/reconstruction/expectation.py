"""What to expect of a personal model that stands on a few seconds of calibration.

Nothing is held back: each block of the calibration is looked up in the other blocks, so that a
standard ECG of 10 s is calibration and test at once.
"""

from dataclasses import dataclass

import numpy as np

from ecgnb.leads import independent_signals
from ecgnb.reconstruction.another_day import DayLeadModel
from ecgnb.reconstruction.change import obey
from ecgnb.reconstruction.linear import LagModel
from ecgnb.reconstruction.neighbours import NeighbourModel, fit_neighbours, predict_held_out
from ecgnb.reconstruction.pace import beat_at
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
