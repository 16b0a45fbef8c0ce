"""What the latents of a VAE hold: beats decoded while latents move, mix, or are drawn."""

import numpy as np
import torch

from ecgnb.vae import Vae


def decode(model: Vae, latents: np.ndarray) -> np.ndarray:
    """Return windows `(window, lead, time)`, scaled, from latents `(window, latent)`."""
    with torch.no_grad():
        return model.decode(torch.from_numpy(np.asarray(latents, dtype=np.float32))).numpy()


def latent_means(model: Vae, windows: np.ndarray) -> np.ndarray:
    """Return the latent means `(window, latent)` of scaled windows."""
    with torch.no_grad():
        return model.encode(torch.from_numpy(np.ascontiguousarray(windows)))[0].numpy()


def traverse(model: Vae, latent: int, shifts: np.ndarray) -> np.ndarray:
    """Return windows decoded with one latent at each shift (standard deviations), others at 0."""
    latents = np.zeros((len(shifts), model.options.n_latent))
    latents[:, latent] = shifts
    return decode(model, latents)


def interpolate(model: Vae, first: np.ndarray, second: np.ndarray, *, n_beat: int) -> np.ndarray:
    """Return windows decoded on the line between the mean latents of two sets of windows.

    The first and the last of the `n_beat` windows are the ends of the line.
    """
    ends = [latent_means(model, windows).mean(axis=0) for windows in (first, second)]
    share = np.linspace(0, 1, n_beat)[:, None]
    return decode(model, (1 - share) * ends[0] + share * ends[1])


def first_patient(windows: np.ndarray, patients: np.ndarray) -> np.ndarray:
    """Return the windows of the patient whose name comes first.

    Examples
    --------
    >>> first_patient(np.arange(3), np.array(["b", "a", "b"])).tolist()
    [1]
    """
    return windows[patients == np.unique(patients)[0]]


def sample_prior(model: Vae, *, n_beat: int, seed: int = 0) -> np.ndarray:
    """Return windows decoded from latents that are drawn from the standard normal prior."""
    generator = np.random.default_rng(seed)
    return decode(model, generator.standard_normal((n_beat, model.options.n_latent)))


def side_by_side(windows: np.ndarray) -> np.ndarray:
    """Return windows `(window, lead, time)` as one course `(lead, time)`, one after the other.

    Examples
    --------
    >>> side_by_side(np.zeros((3, 12, 5))).shape
    (12, 15)
    """
    return np.moveaxis(windows, 0, 1).reshape(windows.shape[1], -1)
