"""Means with intervals, differences of means, permutation tests, correlations."""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Return Spearman's correlation of the absolute values of two maps.

    Examples
    --------
    >>> rank_correlation(np.array([1.0, 2.0, 3.0]), np.array([-1.0, -2.0, -3.0]))
    1.0
    """
    return float(stats.spearmanr(np.abs(first).ravel(), np.abs(second).ravel()).statistic)


FLAT_VARIANCE = 1e-12  # a variance up to here is that of a flat signal


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % bootstrap interval and the number of units behind it."""

    value: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


def correlation(truth: np.ndarray, guess: np.ndarray) -> np.ndarray:
    """Return Pearson's r along time; NaN where truth or guess is flat, which has no shape.

    Parameters
    ----------
    truth, guess
        `(..., time)` of shapes that broadcast, in mV or scaled units.

    Examples
    --------
    >>> correlation(np.array([0.0, 1.0, 2.0]), np.array([[0.0, 2.0, 4.0], [1.0, 1.0, 1.0]]))
    array([ 1., nan])
    """
    return r_of_moments(*joint_moments(truth, guess))


def joint_moments(
    truth: np.ndarray, guess: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the variance of truth and of guess, and their covariance, along time."""
    centred, spread = (
        part - part.mean(axis=-1, keepdims=True)
        for part in (np.asarray(truth, np.float64), np.asarray(guess, np.float64))
    )
    powers = (np.square(each).mean(axis=-1) for each in (centred, spread))
    return (*powers, (spread * centred).mean(axis=-1))


def r_of_moments(power: np.ndarray, other: np.ndarray, mixed: np.ndarray) -> np.ndarray:
    """Return Pearson's r from two variances and the covariance."""
    with np.errstate(invalid="ignore", divide="ignore"):
        r = mixed / np.sqrt(power * other)
    return np.where((power > FLAT_VARIANCE) & (other > FLAT_VARIANCE), r, np.nan)


def bootstrap_mean(
    values: Sequence[float] | np.ndarray,
    *,
    groups: Sequence | np.ndarray | None = None,
    statistic: Callable[..., np.ndarray] = np.mean,
    n_bootstrap: int = 2000,
    seed: int = 0,
) -> Estimate:
    """Return a statistic with its 95 % percentile interval over resampled groups.

    Values of one group (a record or patient) stay together: they are first reduced to the
    group's mean, so that the interval counts independent units. NaN values are left out.

    Parameters
    ----------
    values
        One number per row.
    groups
        A label per row; without it every value is its own group.
    statistic
        Of the group means, called with `axis=-1`.

    Examples
    --------
    >>> bootstrap_mean([1.0, 1.0, 4.0, 4.0], groups=["a", "a", "b", "b"]).n
    2
    """
    values = np.asarray(values, dtype=np.float64)
    labels = np.arange(values.size) if groups is None else np.asarray(groups)
    units = pd.Series(values).groupby(labels).mean().dropna().to_numpy()
    if units.size == 0:
        return Estimate(float("nan"), float("nan"), float("nan"), 0)
    draws = np.random.default_rng(seed).integers(0, units.size, (n_bootstrap, units.size))
    low, high = np.quantile(statistic(units[draws], axis=-1), [0.025, 0.975])
    return Estimate(float(statistic(units, axis=-1)), float(low), float(high), units.size)


_N_PERMUTATION = 9999


def permutation_p(
    first: np.ndarray, second: np.ndarray, *, n_permutation: int = _N_PERMUTATION, seed: int = 0
) -> np.ndarray:
    """Return two-sided probabilities `(column,)` of a difference of means this large.

    Patients change groups: in every way if there are at most `n_permutation`, else at random.

    Parameters
    ----------
    first, second
        `(patient, column)`.
    """
    values = np.concatenate([first, second])
    n_all, n_first = len(values), len(first)
    exact = math.comb(n_all, n_first) <= n_permutation
    if exact:
        chosen = np.array(list(itertools.combinations(range(n_all), n_first)))
    else:
        draws = np.random.default_rng(seed).random((n_permutation, n_all))
        chosen = draws.argsort(axis=1)[:, :n_first]
    weights = np.full((len(chosen), n_all), -1 / len(second))
    np.put_along_axis(weights, chosen, 1 / n_first, axis=1)
    seen = np.abs(first.mean(axis=0) - second.mean(axis=0))
    as_large = (np.abs(weights @ values) >= seen * (1 - 1e-9)).sum(axis=0)
    return as_large / len(chosen) if exact else (1 + as_large) / (1 + len(chosen))


def rank_alike(first: Sequence[float], second: Sequence[float]) -> float:
    """Return Spearman's correlation of two lists of shares.

    Examples
    --------
    >>> round(rank_alike([1, 2, 3], [2, 4, 9]), 3)
    1.0
    """
    return float(stats.spearmanr(first, second).statistic)


def compare_means(
    first: np.ndarray, second: np.ndarray, *, n_bootstrap: int = 2000
) -> dict[str, float]:
    """Return the difference of the means of people with symptoms and without.

    With its 95 % interval, the probability of a permutation test and the numbers of people.
    """
    generator = np.random.default_rng(0)
    draws = [
        part[generator.integers(part.size, size=(n_bootstrap, part.size))].mean(axis=1)
        for part in (first, second)
    ]
    low, high = np.quantile(draws[0] - draws[1], [0.025, 0.975])
    found = Estimate(float(first.mean() - second.mean()), float(low), float(high), first.size)
    return {
        "symptoms": first.mean(),
        "healthy": second.mean(),
        "difference": found.value,
        "low": found.low,
        "high": found.high,
        "p": float(permutation_p(first[:, None], second[:, None])[0]),
        "n_symptoms": first.size,
        "n_healthy": second.size,
    }
