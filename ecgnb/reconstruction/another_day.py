"""Carry a calibration over to another day: one lead is seen today, twelve were seen then.

Today's visible lead tells how the calibration has to be changed before it is used: its average
beat gives the stretch of the T wave and, by a Gaussian prior over how leads change together (the
day-to-day moves of other people's leads, and how people differ), the most likely change of every
other lead. The changed calibration is pasted at today's R peaks and looked up as well; what is
left of the visible lead is carried over by a filter of other people. Limb-lead laws hold exactly.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ecgnb.leads import independent_signals
from ecgnb.reconstruction.change import expected_change, obey
from ecgnb.reconstruction.linear import LagModel
from ecgnb.reconstruction.neighbours import fit_neighbours
from ecgnb.reconstruction.pace import (
    BEFORE_R,
    beat_at,
    find_stretch,
    paste_paced,
    repace,
    stretch_beat,
)
from ecgnb.reconstruction.prior import DAY_RATE_HZ, Prior, fit_moves, load_prior
from ecgnb.signals.beats import find_peaks

LEAST_S = 5.0

_LONGEST_S = 60.0  # of all calibrations together, in the look-up

_SHARPNESS = 0.1

_HOLDS_BELOW = 0.03  # share of the visible lead's power that its look-up misses

_FAR = (1, 2, 1)  # weights where nothing holds: looked up, changed and looked up, pasted


@dataclass(frozen=True)
class Calibration:
    """One recording of twelve leads: `signals (lead, time)`, its peaks and average beat."""

    signals: np.ndarray
    peaks: np.ndarray
    beat: np.ndarray
    interval_s: float


@dataclass(frozen=True)
class Today:
    """What one visible lead shows: its signal, peaks, average beat `(time,)` and interval."""

    signal: np.ndarray
    peaks: np.ndarray
    beat: np.ndarray | None
    interval_s: float


@dataclass(frozen=True)
class DayLeadModel:
    """The calibrations of one person as seen from one input lead, and the prior."""

    lead: int
    calibrations: tuple[Calibration, ...]
    own_moves: np.ndarray
    prior: Prior

    def predict(self, signal: np.ndarray) -> np.ndarray:
        """Return all leads `(lead, time)` in mV from the input `(time,)`, mV, 250 Hz."""
        today = see(signal)
        guess = blend(self.members(today), self.lead, today.signal)
        filter_ = LagModel(self.prior.filters[self.lead], np.zeros(8))
        eight = independent_signals(guess) + filter_.predict(today.signal - guess[self.lead])
        return obey(eight, self.lead, today.signal)

    def members(self, today: Today) -> list[np.ndarray]:
        """Return the guesses `(lead, time)` to blend: looked up, changed and looked up, pasted.

        Without an average beat of today only the look-up of the calibration as it stands.
        """
        if today.beat is None:
            return [_look_up([one.signals for one in self.calibrations], self.lead, today)]
        paced = [_pace(one, self.lead, today) for one in self.calibrations]
        changed = [
            _add_at(signals, peaks, self.change(one.beat, stretch, today))
            for one, (stretch, signals, peaks) in zip(self.calibrations, paced, strict=True)
        ]
        return [
            _look_up([signals for _, signals, _ in paced], self.lead, today),
            _look_up(changed, self.lead, today),
            self._paste(today, [stretch for stretch, _, _ in paced]),
        ]

    def change(self, beat: np.ndarray, stretch: float, today: Today) -> np.ndarray:
        """Return by how much the leads' beat `(lead, time)` has changed, given the visible one."""
        stretched = stretch_beat(beat, stretch)
        seen = today.beat - stretched[self.lead]
        return expected_change(stretched, seen, self.lead, self.prior, own_moves=self.own_moves)

    def _paste(self, today: Today, stretches: Sequence[float]) -> np.ndarray:
        """Return the average beats pasted, days that look like today weighing most."""
        pairs = list(zip(self.calibrations, stretches, strict=True))
        missed = [
            _missed(stretch_beat(one.beat, stretch)[self.lead], today.beat)
            for one, stretch in pairs
        ]
        weights = np.exp(-(np.array(missed) - min(missed)) / _SHARPNESS)
        pasted = [
            paste_paced(
                one.beat,
                today.peaks,
                today.signal.size,
                stretch=stretch,
                interval_s=one.interval_s,
            )
            for one, stretch in pairs
        ]
        return np.tensordot(weights / weights.sum(), np.stack(pasted), axes=1)


@dataclass(frozen=True)
class AnotherDayModel:
    """A model of one person for several input leads."""

    models: tuple[DayLeadModel, ...]

    def predict(self, signals: np.ndarray) -> np.ndarray:
        """Return `(input, lead, time)` in mV from the inputs `(input, time)`, mV, 250 Hz."""
        pairs = zip(self.models, np.atleast_2d(signals), strict=True)
        return np.stack([model.predict(signal) for model, signal in pairs])


def fit_another_day(
    calibrations: Sequence[np.ndarray],
    inputs: Sequence[int],
    *,
    seed: int = 0,
    prior: Prior | None = None,
) -> AnotherDayModel:
    """Return the model of a person from one or several calibrations of at least 5 s.

    Parameters
    ----------
    calibrations
        Each `(12, time)` in mV, filtered 0.5-40 Hz, at 250 Hz.
    inputs
        Indices of the leads that will be given, one model each.
    seed
        Not used: nothing is drawn.
    prior
        Of other people; the shipped one by default.

    Raises
    ------
    ValueError
        If a calibration is too short or shows no whole beat in an input lead.
    """
    prior = prior or load_prior()
    return AnotherDayModel(tuple(_fit_lead(calibrations, lead, prior) for lead in inputs))


def _fit_lead(calibrations: Sequence[np.ndarray], lead: int, prior: Prior) -> DayLeadModel:
    known = tuple(_calibrate(signals, lead) for signals in calibrations)
    if not known:
        raise ValueError("no calibration was given; at least one recording of 12 leads is needed")
    moves = [
        fit_moves(one.beat, other.beat) for one in known for other in known if one is not other
    ]
    return DayLeadModel(lead, known, np.array(moves).reshape(-1, 8, 8), prior)


def _calibrate(signals: np.ndarray, lead: int) -> Calibration:
    signals = np.asarray(signals, dtype=np.float64)
    if signals.shape[-1] < LEAST_S * DAY_RATE_HZ:
        raise ValueError(
            f"the calibration lasts {signals.shape[-1] / DAY_RATE_HZ:.1f} s; at least "
            f"{LEAST_S:g} s are needed to see a few beats whole; record for longer"
        )
    peaks = find_peaks(signals[lead], DAY_RATE_HZ)
    beat = beat_at(signals, peaks)
    if beat is None:
        raise ValueError(
            "no whole heartbeat was found in the input lead of the calibration; "
            "check the lead and the sampling rate"
        )
    return Calibration(signals, peaks, beat, _interval_s(peaks))


def see(signal: np.ndarray) -> Today:
    """Return what one lead `(time,)`, mV, 250 Hz, shows: peaks and average beat."""
    signal = np.asarray(signal, dtype=np.float64)
    peaks = find_peaks(signal, DAY_RATE_HZ)
    beat = beat_at(signal[None], peaks)
    return Today(signal, peaks, None if beat is None else beat[0], _interval_s(peaks))


def blend(members: Sequence[np.ndarray], lead: int, signal: np.ndarray) -> np.ndarray:
    """Return the weighted mean `(lead, time)` of guesses, the first being the plain look-up.

    While the look-up explains the visible lead the calibration holds and it is taken alone; the
    more of the lead it misses, the more the others weigh, the changed look-up most.

    Examples
    --------
    >>> signal, other = np.ones(3), np.full((1, 3), 9.0)
    >>> blend([signal[None], other, other], 0, signal).tolist()
    [[1.0, 1.0, 1.0]]
    """
    power = max(np.square(signal).mean(), 1e-12)
    missed = np.square(signal - members[0][lead]).mean() / power
    share = missed**2 / (missed**2 + _HOLDS_BELOW**2)
    far = np.average(members, axis=0, weights=_FAR[: len(members)])
    return (1 - share) * members[0] + share * far


def _interval_s(peaks: np.ndarray) -> float:
    return float(np.median(np.diff(peaks))) / DAY_RATE_HZ if len(peaks) > 1 else 1.0


def _missed(beat: np.ndarray, target: np.ndarray) -> float:
    """Return the share of a visible beat that another one leaves unexplained."""
    window = slice(BEFORE_R - 75, BEFORE_R + 125)
    square = np.square(beat[window] - target[window]).sum()
    return float(square / max(np.square(target[window]).sum(), 1e-12))


def _pace(one: Calibration, lead: int, today: Today) -> tuple[float, np.ndarray, np.ndarray]:
    """Return the stretch of a calibration and its signals and peaks at today's heart rate."""
    intervals = (one.interval_s, today.interval_s)
    stretch = find_stretch(one.beat[lead], today.beat, intervals)
    ratio = today.interval_s / one.interval_s
    return stretch, *repace(one.signals, one.peaks, stretch=stretch, ratio=ratio)


def _look_up(library: Sequence[np.ndarray], lead: int, today: Today) -> np.ndarray:
    """Return leads `(lead, time)` looked up in the first seconds of each recording."""
    longest = round(_LONGEST_S * DAY_RATE_HZ / len(library))
    pieces = [signals[:, :longest] for signals in library]
    seams = tuple(np.cumsum([piece.shape[-1] for piece in pieces])[:-1])
    joined = np.concatenate(pieces, axis=1)
    return fit_neighbours(joined[lead], joined, DAY_RATE_HZ, seams=seams).predict(today.signal)


def _add_at(signals: np.ndarray, peaks: np.ndarray, change: np.ndarray) -> np.ndarray:
    """Return signals `(lead, time)` with a change added at each peak."""
    padded = np.pad(np.asarray(signals, dtype=np.float64), [(0, 0), (change.shape[-1],) * 2])
    for peak in peaks:
        start = change.shape[-1] + peak - BEFORE_R
        padded[:, start : start + change.shape[-1]] += change
    return padded[:, change.shape[-1] : -change.shape[-1]]
