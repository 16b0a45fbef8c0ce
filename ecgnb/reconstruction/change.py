"""The most likely change of twelve leads' beat when only that of one lead is seen.

A Gaussian conditional over leads and moments of the beat: its covariance is what other people's
leads did from one recording to the next, applied to this person's beat, and how people differ.
"""

import numpy as np

from ecgnb.leads import LEADS_FROM_INDEPENDENT, derive_leads, independent_signals
from ecgnb.reconstruction.prior import WINDOW, Prior

_PEOPLE, _MOVES, _ELECTRODE, _NOISE = 0.3, 0.6, 0.1, 0.2

_OWN_MOVES = 2.0

_TAPER = 15  # samples


def expected_change(
    beat: np.ndarray, seen: np.ndarray, lead: int, prior: Prior, *, own_moves: np.ndarray
) -> np.ndarray:
    """Return the most likely change of all leads `(lead, time)` given that of the visible one.

    A Gaussian conditional: the covariance between leads and moments is that of other people's
    moves applied to this beat, of this person's own moves if several days are known, and of how
    people's beats differ; what only the visible lead's electrode or noise explains stays there.

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
    samples = _weighted(prior, own_moves, eight)
    row = LEADS_FROM_INDEPENDENT[lead]
    visible = np.einsum("l,klt->kt", row, samples)
    covariance = visible.T @ visible + _ELECTRODE * eight.T @ eight
    covariance[np.diag_indices_from(covariance)] += _NOISE
    # Both sides are divided by the size of the beat, so that the result is in mV again.
    loads = visible @ np.linalg.solve(covariance, seen[WINDOW])
    change = np.zeros((8, beat.shape[-1]))
    change[:, WINDOW] = np.tensordot(loads, samples, axes=1)
    target = np.zeros(beat.shape[-1])
    target[WINDOW] = seen[WINDOW]
    return obey(change, lead, target) * _taper(beat.shape[-1])


def _weighted(prior: Prior, own_moves: np.ndarray, eight: np.ndarray) -> np.ndarray:
    """Return samples `(sample, 8, time)` whose outer products sum to the prior covariance."""
    moves = [np.sqrt(_MOVES / max(len(prior.moves), 1)) * prior.moves]
    if len(own_moves):
        moves.append(np.sqrt(_OWN_MOVES / len(own_moves)) * own_moves)
    moved = np.einsum("kij,jt->kit", np.concatenate(moves), eight)
    return np.concatenate([np.sqrt(_PEOPLE) * prior.people, moved])


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
