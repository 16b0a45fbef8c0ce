"""How usable each lead of a recording is, in one row of shares."""

from dataclasses import dataclass

import numpy as np

FLAT_S = 0.3
ABSURD_MV = 20.0


@dataclass(frozen=True)
class LeadQuality:
    """Shares (0 to 1) of a lead's samples that are missing, flat, saturated or beyond 20 mV."""

    lead: str
    missing: float
    flat: float
    saturated: float
    absurd: float


def lead_quality(
    lead: str, signal: np.ndarray, samples: np.ndarray, sampling_rate: float
) -> LeadQuality:
    """Return the quality of one lead.

    Flat is a run of at least 0.3 s without any change; saturated a run of 3 or more samples at
    the lead's own lowest or highest value that is not flat.

    Parameters
    ----------
    lead
        Its name.
    signal
        `(time,)`, mV.
    samples
        `(time,)`, ADC units.
    sampling_rate
        Hz.
    """
    at_end = (samples == samples.min()) | (samples == samples.max())
    flat = in_runs(samples, max(round(FLAT_S * sampling_rate), 2))
    saturated = at_end & in_runs(samples, 3) & ~flat
    absurd = np.abs(np.nan_to_num(signal)) > ABSURD_MV
    masks = (~np.isfinite(signal), flat, saturated, absurd)
    return LeadQuality(lead, *(float(mask.mean()) for mask in masks))


def in_runs(samples: np.ndarray, n_least: int) -> np.ndarray:
    """Return a mask `(time,)` of the samples in runs of at least `n_least` equal ones.

    Examples
    --------
    >>> in_runs(np.array([1, 1, 1, 2, 2]), 3).tolist()
    [True, True, True, False, False]
    """
    edges = np.r_[0, np.flatnonzero(np.diff(samples)) + 1, samples.size]
    lengths = np.diff(edges)
    return np.repeat(lengths >= n_least, lengths)
