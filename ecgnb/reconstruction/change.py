"""The most likely change of twelve leads' beat when only that of one lead is seen.

A Gaussian conditional over leads and moments of the beat: its covariance is what other people's
leads did from one recording to the next, applied to this person's beat, and how people differ.
"""

from dataclasses import dataclass

import numpy as np

from ecgnb.leads import LEADS_FROM_INDEPENDENT, derive_leads, independent_signals, lead_index
from ecgnb.reconstruction.prior import WINDOW, Prior


@dataclass(frozen=True)
class _Weights:
    """What a change of the visible lead is put down to: variances, the beat being of size 1.

    `people`: as people differ; `toward`: on the way to the mean of people; `moves`: as other
    people's leads moved; `electrode`: of this lead's own electrode; `noise`: of each sample.
    """

    people: float
    toward: float
    moves: float
    electrode: float
    noise: float


# Limb electrodes lie far from the heart, so that what they see changes elsewhere too; what a chest
# electrode sees changes with its own place first. Chosen on the eleven people of PTB.
_OF_LIMB = _Weights(people=0.12, toward=0.25, moves=2.0, electrode=0.01, noise=1.0)
_OF_CHEST = _Weights(people=0.03, toward=0.0, moves=0.6, electrode=0.1, noise=0.5)

_OWN_MOVES = 2.0

_TAPER = 15  # samples


def expected_change(
    beat: np.ndarray, seen: np.ndarray, lead: int, prior: Prior, *, own_moves: np.ndarray
) -> np.ndarray:
    """Return the most likely change of all leads `(lead, time)` given that of the visible one.

    A Gaussian conditional: the covariance between leads and moments is that of other people's
    moves applied to this beat, of this person's own moves if several days are known, of how
    people's beats differ and of the way from this beat to their mean; what only the visible
    lead's electrode or noise explains stays there.

    Parameters
    ----------
    beat
        The person's beat `(lead, time)`, stretched to today's rate.
    seen
        Today's visible beat less that beat's `(time,)`.
    lead
        The visible one.
    prior
        Of other people.
    own_moves
        `(move, 8, 8)`, of the person's other days.
    """
    size = np.sqrt(np.square(beat[:, WINDOW]).mean())
    eight = independent_signals(beat)[:, WINDOW] / max(size, 1e-9)
    weights = _OF_LIMB if lead < lead_index("V1") else _OF_CHEST
    samples = _weighted(prior, own_moves, eight, weights)
    row = LEADS_FROM_INDEPENDENT[lead]
    visible = np.einsum("l,klt->kt", row, samples)
    covariance = visible.T @ visible + weights.electrode * eight.T @ eight
    covariance[np.diag_indices_from(covariance)] += weights.noise
    # Both sides are divided by the size of the beat, so that the result is in mV again.
    loads = visible @ np.linalg.solve(covariance, seen[WINDOW])
    change = np.zeros((8, beat.shape[-1]))
    change[:, WINDOW] = np.tensordot(loads, samples, axes=1)
    target = np.zeros(beat.shape[-1])
    target[WINDOW] = seen[WINDOW]
    return obey(change, lead, target) * _taper(beat.shape[-1])


def _weighted(
    prior: Prior, own_moves: np.ndarray, eight: np.ndarray, weights: _Weights
) -> np.ndarray:
    """Return samples `(sample, 8, time)` whose outer products sum to the prior covariance."""
    moves = [np.sqrt(weights.moves / max(len(prior.moves), 1)) * prior.moves]
    if len(own_moves):
        moves.append(np.sqrt(_OWN_MOVES / len(own_moves)) * own_moves)
    moved = np.einsum("kij,jt->kit", np.concatenate(moves), eight)
    toward = np.sqrt(weights.toward) * (prior.mean - eight)
    return np.concatenate([np.sqrt(weights.people) * prior.people, toward[None], moved])


def _taper(n_time: int) -> np.ndarray:
    """Return weights `(time,)` that let a change begin and end without a step."""
    shape = np.zeros(n_time)
    shape[WINDOW] = 1.0
    return np.convolve(shape, np.ones(_TAPER) / _TAPER, mode="same") * shape


def obey(eight: np.ndarray, lead: int, signal: np.ndarray) -> np.ndarray:
    """Return 12 leads `(lead, time)` that keep the limb-lead laws and show the visible lead.

    What the visible lead differs by is given to the independent leads it is made of, by the
    smallest change: all of it to I, II or a chest lead, shares of I and II for the others.

    Examples
    --------
    >>> twelve = obey(np.zeros((8, 1)), 2, np.ones(1))  # III = II - I
    >>> twelve[:3, 0].tolist()
    [-0.5, 0.5, 1.0]
    """
    row = LEADS_FROM_INDEPENDENT[lead]
    missing = signal - row @ eight
    return derive_leads(eight + np.outer(row / (row @ row), missing))
