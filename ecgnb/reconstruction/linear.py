"""Closed forms from one lead to all: the honest baselines every network is measured against.

All models work on scaled signals. A model is fitted for one input lead and predicts every lead,
the input included, from the input alone: `model.predict(input_signal (time,)) -> (lead, time)`.
"""

from dataclasses import dataclass

import numpy as np
from scipy import fft, linalg
from scipy import signal as sps

_BLOCK = 1024  # samples

PENALTIES = tuple(float(10.0**power) for power in np.arange(-6.0, 2.5, 0.5))


@dataclass(frozen=True)
class LagModel:
    """A linear filter: each lead is a weighted sum of the input at lags -L ... L.

    `y[o, t] = intercept[o] + sum_k weights[k, o] x[t + k - L]`, the input continued by zeros.
    """

    weights: np.ndarray
    intercept: np.ndarray
    penalties: np.ndarray | None = None

    def predict(self, input_signal: np.ndarray) -> np.ndarray:
        """Return all leads `(lead, time)` from one `(time,)`."""
        kernel = self.weights.T[:, ::-1]
        signal = np.asarray(input_signal, dtype=np.float64)[None]
        return (
            sps.oaconvolve(signal, kernel, mode="full", axes=-1)[
                :, self.reach : self.reach + signal.size
            ]
            + self.intercept[:, None]
        )

    @property
    def reach(self) -> int:
        """Samples that the filter looks back and ahead."""
        return (self.weights.shape[0] - 1) // 2


@dataclass(frozen=True)
class Moments:
    """Sums over time that a lagged fit needs; moments of several records simply add up.

    `gram (lag, lag)`, `cross (lag, lead)`, `input_sum (lag,)`, `output_sum (lead,)`,
    `output_square (lead,)`, `n_time`.
    """

    gram: np.ndarray
    cross: np.ndarray
    input_sum: np.ndarray
    output_sum: np.ndarray
    output_square: np.ndarray
    n_time: float

    def __add__(self, other: "Moments") -> "Moments":
        return Moments(*(a + b for a, b in zip(self.parts(), other.parts(), strict=True)))

    def parts(self) -> tuple:
        """Return the sums as a tuple, in the order of the fields."""
        return tuple(getattr(self, name) for name in self.__dataclass_fields__)

    def centred(self) -> tuple[np.ndarray, np.ndarray]:
        """Return Gram and cross sums about the means, which fits an intercept."""
        gram = self.gram - np.outer(self.input_sum, self.input_sum) / self.n_time
        cross = self.cross - np.outer(self.input_sum, self.output_sum) / self.n_time
        return gram, cross


def lag_moments(input_signal: np.ndarray, outputs: np.ndarray, reach: int) -> Moments:
    """Return the moments of one input `(time,)` at lags -reach ... reach with `(lead, time)`.

    The Gram matrix of the lagged input is built by shift recursion,
    `G[i+1, j+1] = G[i, j] - x[i] x[j] + x[n+i] x[n+j]`, its first row and the cross sums by FFT of
    one block after the other: the lag matrix `(time, lag)` is never formed.

    Examples
    --------
    >>> generator = np.random.default_rng(0)
    >>> signal, outputs = generator.normal(size=40), generator.normal(size=(2, 40))
    >>> padded = np.pad(signal, 3)
    >>> lagged = np.stack([padded[k : k + 40] for k in range(7)])
    >>> moments = lag_moments(signal, outputs, 3)
    >>> bool(np.allclose(moments.gram, lagged @ lagged.T))
    True
    >>> bool(np.allclose(moments.cross, lagged @ outputs.T))
    True
    """
    signal = np.asarray(input_signal, dtype=np.float64)
    outputs = np.asarray(outputs, dtype=np.float64)
    n_time, n_lag = signal.size, 2 * reach + 1
    padded = np.pad(signal, reach)
    sums = _cross_sums(padded, outputs, n_lag)
    totals = np.concatenate([[0.0], np.cumsum(padded)])
    return Moments(
        gram=_gram(padded, sums[0], n_time),
        cross=sums[1:].T,
        input_sum=totals[n_time : n_time + n_lag] - totals[:n_lag],
        output_sum=outputs.sum(axis=1),
        output_square=np.einsum("ot,ot->o", outputs, outputs),
        n_time=float(n_time),
    )


def _cross_sums(padded: np.ndarray, outputs: np.ndarray, n_lag: int) -> np.ndarray:
    """Return `sum_t y[t] padded[t + k]` for each lag k, `(1 + lead, lag)`; y is the input first.

    Blocks are far longer than the lags and fit the processor's cache; their spectra are summed.
    """
    n_time = outputs.shape[-1]
    extra, length = -n_time % _BLOCK, _BLOCK + n_lag - 1
    targets = np.zeros((1 + len(outputs), n_time + extra))
    targets[0, :n_time], targets[1:, :n_time] = padded[:n_time], outputs
    pieces = np.lib.stride_tricks.sliding_window_view(np.pad(padded, (0, extra)), length)[::_BLOCK]
    size = fft.next_fast_len(length, real=True)
    spectra = fft.rfft(targets.reshape(len(targets), -1, _BLOCK), size).conj()
    summed = np.einsum("obf,bf->of", spectra, fft.rfft(pieces, size))
    return fft.irfft(summed, size)[:, :n_lag]


def _gram(padded: np.ndarray, first_row: np.ndarray, n_time: int) -> np.ndarray:
    """Return the symmetric Gram matrix from its first row, one row after the other."""
    n_step = first_row.size - 1
    head, tail = padded[:n_step], padded[n_time : n_time + n_step]
    steps = np.outer(tail, tail) - np.outer(head, head)
    gram = np.empty((n_step + 1, n_step + 1))
    gram[0] = gram[:, 0] = first_row
    for row in range(n_step):
        gram[row + 1, 1:] = gram[row, :-1] + steps[row]
    return gram


def solve_ridge(
    train: Moments, validation: Moments | None, penalties: tuple[float, ...] = PENALTIES
) -> LagModel:
    """Return the ridge filter whose penalty, one per lead, has the least validation error.

    `W = (G + p t I)^-1 C` with `t` the mean diagonal of the centred Gram matrix `G`. One
    eigendecomposition of `G` serves all penalties. The validation error is a quadratic form in
    the validation moments, so nothing is predicted to choose the penalty.

    Parameters
    ----------
    train, validation
        From `lag_moments`; without validation the first penalty is taken.
    penalties
        Candidates, relative to the mean power of the input.
    """
    gram, cross = train.centred()
    values, vectors = linalg.eigh(gram, check_finite=False)
    rotated = vectors.T @ cross
    scale = max(np.trace(gram) / len(gram), 1e-12)
    errors, weights = [], []
    for penalty in penalties if validation else penalties[:1]:
        found = vectors @ (rotated / (np.maximum(values, 0.0) + penalty * scale)[:, None])
        weights.append(found)
        errors.append(_squared_error(found, train, validation or train))
    best = np.argmin(errors, axis=0)
    chosen = np.stack([weights[index][:, lead] for lead, index in enumerate(best)], axis=1)
    intercept = (train.output_sum - train.input_sum @ chosen) / train.n_time
    return LagModel(chosen, intercept, np.array(penalties)[best])


def _squared_error(weights: np.ndarray, train: Moments, other: Moments) -> np.ndarray:
    """Return the summed squared error `(lead,)` of a filter on the data of `other`."""
    intercept = (train.output_sum - train.input_sum @ weights) / train.n_time
    fitted = np.einsum("ko,ko->o", weights, other.gram @ weights)
    fitted += 2 * intercept * (other.input_sum @ weights) + other.n_time * intercept**2
    mixed = np.einsum("ko,ko->o", weights, other.cross) + intercept * other.output_sum
    return other.output_square - 2 * mixed + fitted


def check_inputs(signals: np.ndarray, n_input: int) -> None:
    """Refuse signals that are not `(input, time)` with a row for each lead a model was fitted for.

    Raises
    ------
    ValueError
        With the shape found and the shape wanted.

    Examples
    --------
    >>> check_inputs(np.zeros((2, 50)), 2)
    """
    if np.ndim(signals) != 2 or len(signals) != n_input:
        raise ValueError(
            f"signals of shape {np.shape(signals)} do not fit a model of {n_input} input leads; "
            f"give (input, time) with {n_input} rows, in the order of its inputs"
        )


def fit_mean(outputs: np.ndarray) -> LagModel:
    """Return the model that predicts the training mean of each lead `(lead, time)`."""
    return LagModel(np.zeros((1, len(outputs))), np.asarray(outputs, float).mean(axis=1))


def fit_least_squares(
    input_signal: np.ndarray, outputs: np.ndarray, *, intercept: bool = True
) -> LagModel:
    """Return the least-squares line from one lead to each: slope `sum xy / sum xx`.

    With `intercept` both are centred first. Without it the line goes through the origin, which
    after a scaling to [-1, 1] by the range is not the mean: the likely reading of the paper.

    Examples
    --------
    >>> x = np.array([0.0, 1.0, 2.0])
    >>> model = fit_least_squares(x, np.stack([2 * x + 1]))
    >>> model.weights.round(6).item(), model.intercept.round(6).item()
    (2.0, 1.0)
    """
    x, y = np.asarray(input_signal, float), np.asarray(outputs, float)
    means = (x.mean(), y.mean(axis=1)) if intercept else (0.0, np.zeros(len(y)))
    centred = x - means[0]
    slope = (y - means[1][:, None]) @ centred / max(centred @ centred, 1e-12)
    return LagModel(slope[None], means[1] - slope * means[0])
