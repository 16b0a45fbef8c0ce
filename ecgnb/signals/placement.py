"""Notice leads that were swapped or turned upside down in a 12-lead recording.

Three signs: the limb-lead identities fail; the recording is far more usual after one swap or
inversion is undone; a lead is the negative of what the other limb leads give. How usual a
recording is: `trace(S^-1 C) / trace(C)` with `C` the covariance of its 8 independent leads and
`S` the mean covariance, each of unit trace, of recorded ECGs.
"""

from dataclasses import replace
from functools import cache
from importlib.resources import files
from itertools import combinations

import numpy as np
import pandas as pd

from ecgnb.leads import INDEPENDENT_LEADS, LIMB_LEADS, derive_leads, independent_signals
from ecgnb.records.record import Record
from ecgnb.signals.checks import CHECKED_HZ
from ecgnb.signals.filters import clean

FACTOR = 1.3  # chosen on 99 recorded ECGs: see `ecgnb run placement` for what it finds

IDENTITY_SHARE = 0.3

_RIDGE = 0.002

_TABLE = "lead_covariance.csv"


def find_misplaced(record: Record) -> tuple[str, ...]:
    """Return warnings, each naming what seems swapped or inverted in a 12-lead recording.

    An exchange of the left arm and the left leg hardly changes how usual an ECG is and is mostly
    missed.
    """
    signals = clean(record.signals, record.sampling_rate, to_rate=CHECKED_HZ)
    limb = _broken_identity(signals)
    if limb:
        return (limb,)
    found = unusual_placement(lead_covariance(signals))
    return (found,) if found else ()


def _broken_identity(signals: np.ndarray) -> str:
    """Return what is wrong with the limb leads of 12 leads `(lead, time)`, or "".

    If turning over one lead, or exchanging two, mends the identities, it is named.
    """
    limb = np.asarray(signals, dtype=np.float64)[:6]
    limb = limb - limb.mean(axis=-1, keepdims=True)
    if _identity_share(limb) < IDENTITY_SHARE:
        return ""
    repairs = {}
    for row, name in enumerate(LIMB_LEADS):
        mended = limb.copy()
        mended[row] *= -1
        repairs[f"lead {name} seems to be upside down"] = _identity_share(mended)
    for first, second in combinations(range(6), 2):
        mended = limb.copy()
        mended[[first, second]] = mended[[second, first]]
        names = f"{LIMB_LEADS[first]} and {LIMB_LEADS[second]}"
        repairs[f"leads {names} seem to be exchanged"] = _identity_share(mended)
    best = min(repairs, key=repairs.__getitem__)
    if repairs[best] < IDENTITY_SHARE / 2:
        return f"{best}: only then do the limb leads agree"
    return "the limb leads contradict each other (III = II - I, ...): check their names and signs"


def _identity_share(limb: np.ndarray) -> float:
    """Return the departure from the identities as a share of the limb leads' size."""
    wanted = derive_leads(np.vstack([limb[:2], np.zeros((6, limb.shape[1]))]))[:6]
    return float(np.linalg.norm(limb - wanted) / max(np.linalg.norm(limb), 1e-12))


def lead_covariance(signals: np.ndarray) -> np.ndarray:
    """Return the covariance `(8, 8)` of the independent leads, unit trace."""
    eight = independent_signals(np.asarray(signals, dtype=np.float64))
    eight = eight - eight.mean(axis=-1, keepdims=True)
    covariance = eight @ eight.T
    return covariance / max(np.trace(covariance), 1e-12)


@cache
def _usual_covariance() -> np.ndarray:
    """Return the mean covariance `(8, 8)` of recorded ECGs, from the package's table."""
    with (files("ecgnb") / "data" / _TABLE).open(encoding="utf-8") as file:
        table = pd.read_csv(file, index_col=0)
    return table.loc[list(INDEPENDENT_LEADS), list(INDEPENDENT_LEADS)].to_numpy()


@cache
def misplacements() -> dict[str, np.ndarray]:
    """Return the matrix `(8, 8)` of each misplacement that is looked for; each undoes itself."""
    found = {
        "right and left arm": _limb([-1, 0], [-1, 1]),
        "right arm and left leg": _limb([1, -1], [0, -1]),
        "left arm and left leg": _limb([0, 1], [1, 0]),
    }
    for first, second in combinations(range(2, 8), 2):
        exchange = np.eye(8)
        exchange[[first, second]] = exchange[[second, first]]
        found[f"{INDEPENDENT_LEADS[first]} and {INDEPENDENT_LEADS[second]}"] = exchange
    for row in range(2, 8):
        inversion = np.eye(8)
        inversion[row, row] = -1
        found[INDEPENDENT_LEADS[row]] = inversion
    return found


def misplace(record: Record, name: str) -> Record:
    """Return a 12-lead recording as if two electrodes had been exchanged, or a lead inverted.

    Parameters
    ----------
    record
        12 leads, mV.
    name
        A key of `misplacements`.
    """
    eight = misplacements()[name] @ independent_signals(record.signals)
    return replace(record, signals=derive_leads(eight).astype(np.float32))


def turn_over(record: Record, lead: str) -> Record:
    """Return a recording with one lead upside down."""
    signals = record.signals.copy()
    signals[record.leads.index(lead)] *= -1
    return replace(record, signals=signals)


def _limb(lead_i: list[int], lead_ii: list[int]) -> np.ndarray:
    matrix = np.eye(8)
    matrix[:2, :2] = lead_i, lead_ii
    return matrix


def unusual_placement(
    covariance: np.ndarray, *, usual: np.ndarray | None = None, factor: float = FACTOR
) -> str:
    """Return the misplacement whose undoing makes a recording more usual by `factor`, or "".

    Parameters
    ----------
    covariance
        From `lead_covariance`.
    usual
        Mean covariance `(8, 8)` of other recordings; the package's table by default.
    factor
        How much smaller the measure must become.
    """
    usual = _usual_covariance() if usual is None else usual
    precision = np.linalg.inv(usual + _RIDGE * np.eye(8))
    measures = {
        name: _unusual(matrix @ covariance @ matrix.T, precision)
        for name, matrix in misplacements().items()
    }
    best = min(measures, key=measures.__getitem__)
    if _unusual(covariance, precision) < factor * measures[best]:
        return ""
    if "arm" in best:
        return f"the electrodes of {best} seem to be exchanged"
    return f"leads {best} seem to be exchanged" if " " in best else f"{best} seems upside down"


def _unusual(covariance: np.ndarray, precision: np.ndarray) -> float:
    return float(np.trace(precision @ covariance) / np.trace(covariance))
