"""Principal components of windows: the linear model with the least squared error."""

from dataclasses import dataclass

import numpy as np


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
    """Return the first principal components of windows `(window, lead, time)`."""
    flat = windows.reshape(len(windows), -1)
    mean = flat.mean(axis=0)
    axes = np.linalg.svd(flat - mean, full_matrices=False)[2]
    return PcaModel(mean, axes[:n_component])
