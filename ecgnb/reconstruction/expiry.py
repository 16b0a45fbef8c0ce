"""Tell from the visible lead alone how far today is from the calibration.

Four signs, each larger the further away: the share of today's lead that the calibration's own
look-up of that lead misses; how far and how unlike the average beats are; how much larger or
smaller today's beat is. No sign has a scale of its own, so that each is ranked among those of
recordings whose errors are known, and the score is the mean rank.
"""

from dataclasses import astuple, dataclass

import numpy as np
from scipy.stats import rankdata

from ecgnb.reconstruction.another_day import see
from ecgnb.reconstruction.neighbours import fit_neighbours
from ecgnb.reconstruction.prior import DAY_RATE_HZ, WINDOW

SIGNS = ("missed", "distance", "unlike", "size")


@dataclass(frozen=True)
class Signs:
    """How far one lead of today is from the calibration's; all 0 for the same signal."""

    missed: float
    distance: float
    unlike: float
    size: float

    def as_array(self) -> np.ndarray:
        """Return the signs `(sign,)` in the order of `SIGNS`."""
        return np.array(astuple(self))


def signs_of_change(calibration: np.ndarray, signal: np.ndarray) -> Signs:
    """Return the signs of one visible lead, calibration `(time,)` and today `(time,)`.

    Both in mV, filtered 0.5-40 Hz, at 250 Hz. Without whole beats in either the three signs that
    need them are infinite: nothing speaks for the calibration.
    """
    model = fit_neighbours(calibration, np.asarray(calibration)[None], DAY_RATE_HZ)
    found = model.predict(signal)[0]
    missed = float(np.square(signal - found).mean() / max(np.var(signal), 1e-12))
    then, now = see(calibration).beat, see(signal).beat
    if then is None or now is None:
        return Signs(missed, np.inf, np.inf, np.inf)
    old, new = then[WINDOW] - then[WINDOW].mean(), now[WINDOW] - now[WINDOW].mean()
    sizes = np.maximum(np.array([np.linalg.norm(old), np.linalg.norm(new)]), 1e-9)
    return Signs(
        missed=missed,
        distance=float(np.linalg.norm(new - old) / sizes[0]),
        unlike=float(1 - old @ new / sizes.prod()),
        size=float(abs(np.log(sizes[1] / sizes[0]))),
    )


def mean_rank(signs: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Return the score `(case,)`: the mean over signs of the share of the reference below.

    Parameters
    ----------
    signs, reference
        `(case, sign)`; of whom to judge, and of other people.

    Examples
    --------
    >>> reference = np.arange(10.0)[:, None].repeat(4, axis=1)
    >>> mean_rank(np.array([[-1.0] * 4, [4.5] * 4, [99.0] * 4]), reference).tolist()
    [0.0, 0.5, 1.0]
    """
    ordered = np.sort(reference, axis=0)
    shares = [
        np.searchsorted(ordered[:, column], signs[:, column]) / len(ordered)
        for column in range(signs.shape[1])
    ]
    return np.mean(shares, axis=0)


def auroc(scores: np.ndarray, is_so: np.ndarray) -> float:
    """Return the probability that a case that is so scores above one that is not.

    Ties count half; NaN if all are or none is.

    Examples
    --------
    >>> auroc(np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True]))
    0.75
    """
    is_so = np.asarray(is_so, dtype=bool)
    n_so, n_not = int(is_so.sum()), int((~is_so).sum())
    if not n_so or not n_not:
        return float("nan")
    ranks = rankdata(scores)
    return float((ranks[is_so].sum() - n_so * (n_so + 1) / 2) / (n_so * n_not))
