"""Principal components of windows: the linear model with the least squared error."""

from dataclasses import dataclass

import numpy as np
from scipy import linalg


@dataclass(frozen=True)
class PcaModel:
    """Principal components of flattened windows: the linear baseline of a VAE."""

    mean: np.ndarray
    axes: np.ndarray

    def reconstruct(self, windows: np.ndarray) -> np.ndarray:
        """Return the reconstruction of windows `(window, lead, time)`."""
        flat = windows.reshape(len(windows), -1) - self.mean
        return (flat @ self.axes.T @ self.axes + self.mean).reshape(windows.shape)


def fit_pca(windows: np.ndarray, n_component: int) -> PcaModel:
    """Return the first principal components of windows `(window, lead, time)`, largest first.

    From the eigenvectors of the products of the windows, which is several times faster than
    a decomposition of windows that are longer than many. Components that the windows do not
    span are zero.
    """
    flat = np.asarray(windows, dtype=np.float64).reshape(len(windows), -1)
    mean = flat.mean(axis=0)
    centred = flat - mean
    count = min(n_component, len(flat))
    first = len(flat) - count
    powers, rows = linalg.eigh(centred @ centred.T, subset_by_index=(first, len(flat) - 1))
    powers, rows = powers[::-1], rows[:, ::-1]
    spanned = powers > 1e-10 * max(powers[0], np.finfo(float).tiny)
    lengths = np.where(spanned, np.sqrt(np.maximum(powers, 0)), np.inf)
    axes = (rows / lengths).T @ centred
    return PcaModel(mean.astype(np.float32), axes.astype(np.float32))
