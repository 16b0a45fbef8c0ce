"""Where a VAE looks: Grad-CAM (Selvaraju et al. 2017) and integrated gradients on 12-lead beats.

A VAE has no class, so the scalar that is explained must be said: see `TARGETS`.
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import pandas as pd
import torch
from captum.attr import IntegratedGradients, LayerGradCam
from torch import Tensor
from torch.nn import functional

from ecgnb.beats import WAVES, wave_masks
from ecgnb.leads import LEADS
from ecgnb.metrics import Estimate, bootstrap_mean
from ecgnb.vae import BEFORE, SAMPLING_RATE, Vae, WindowSet, elbo_terms

Target = Callable[[Vae, Tensor], Tensor]


def latent_norm(model: Vae, windows: Tensor) -> Tensor:
    """Return the Euclidean norm of the latent means `(window,)`."""
    return model.encode(windows)[0].norm(dim=1)


def one_latent(model: Vae, windows: Tensor, *, latent: int) -> Tensor:
    """Return one latent mean `(window,)`."""
    return model.encode(windows)[0][:, latent]


def negative_elbo(model: Vae, windows: Tensor) -> Tensor:
    """Return the negative ELBO `(window,)`, the latents at their means."""
    return sum(elbo_terms(model, windows, sample=False).values())


def lead_error(model: Vae, windows: Tensor, *, lead: int, place: slice = slice(None)) -> Tensor:
    """Return the squared reconstruction error `(window,)` of one lead, within a slice of time."""
    error = model(windows)[:, lead, place] - windows[:, lead, place]
    return error.square().sum(dim=1)


TARGETS: dict[str, Target] = {
    "latent_norm": latent_norm,
    "first_latent": partial(one_latent, latent=0),
    "negative_elbo": negative_elbo,
    "error_V2": partial(lead_error, lead=LEADS.index("V2")),
}


def grad_cam(
    model: Vae, windows: np.ndarray, target: Target, *, layer: str = "first"
) -> np.ndarray:
    """Return signed Grad-CAM maps `(window, lead, time)`, not rescaled.

    The map is the sum over channels of the feature map, each weighted by the mean of the
    target's gradient over leads and time (captum's `LayerGradCam`), stretched linearly along
    time to the length of the window. Take `np.maximum(map, 0)` for the rectified form.

    Parameters
    ----------
    model
        A fitted VAE.
    windows
        `(window, lead, time)`, scaled.
    target
        Gives a scalar per window.
    layer
        `first` or `second` convolution of the encoder.
    """
    tensor = torch.from_numpy(np.ascontiguousarray(windows)).requires_grad_()
    explainer = LayerGradCam(partial(target, model), getattr(model, layer))
    maps = explainer.attribute(tensor, relu_attributions=False).detach()
    size = (maps.shape[2], windows.shape[-1])
    return functional.interpolate(maps, size, mode="bilinear")[:, 0].numpy()


def integrated_gradients(
    model: Vae, windows: np.ndarray, target: Target, *, baseline: np.ndarray, n_step: int = 16
) -> np.ndarray:
    """Return integrated gradients `(window, lead, time)` from a baseline beat `(lead, time)`.

    Sundararajan et al. (2017); the sum of a map is the change of the target along the path.
    """
    tensor = torch.from_numpy(np.ascontiguousarray(windows))
    start = torch.from_numpy(np.ascontiguousarray(baseline, dtype=np.float32))[None]
    explainer = IntegratedGradients(partial(target, model))
    maps = explainer.attribute(tensor, start.expand_as(tensor), n_steps=n_step)
    return maps.detach().numpy().astype(np.float32)


def patient_maps(maps: np.ndarray, patients: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean map of each patient `(patient, lead, time)` and the patients' names.

    Examples
    --------
    >>> means, names = patient_maps(np.ones((3, 2, 4)), np.array(["b", "a", "b"]))
    >>> means.shape, names.tolist()
    ((2, 2, 4), ['a', 'b'])
    """
    names = np.unique(patients)
    return np.stack([maps[patients == name].mean(axis=0) for name in names]), names


def lead_shares(maps: np.ndarray) -> np.ndarray:
    """Return the share of the absolute relevance in each lead `(patient, lead)`."""
    size = np.abs(maps).sum(axis=2)
    return size / np.maximum(size.sum(axis=1, keepdims=True), 1e-12)


def wave_shares(maps: np.ndarray, masks: dict[str, np.ndarray]) -> np.ndarray:
    """Return the share of the absolute relevance in each wave `(patient, wave)`."""
    size = np.stack([np.abs(maps[..., masks[wave]]).sum(axis=(1, 2)) for wave in WAVES], axis=1)
    return size / np.maximum(size.sum(axis=1, keepdims=True), 1e-12)


def waves_of(windows: np.ndarray) -> dict[str, np.ndarray]:
    """Return the masks of the waves on the median of windows `(window, lead, time)`."""
    return wave_masks(np.median(windows, axis=0), SAMPLING_RATE, BEFORE)


def share_table(shares: np.ndarray, names: Sequence[str], *, n_bootstrap: int) -> pd.DataFrame:
    """Return mean share with its interval over patients, one row per lead or wave.

    Parameters
    ----------
    shares
        `(patient, name)`.
    """
    rows = [bootstrap_mean(column, n_bootstrap=n_bootstrap) for column in shares.T]
    return pd.DataFrame(
        [{"name": name} | _columns(row) for name, row in zip(names, rows, strict=True)]
    )


def _columns(estimate: Estimate) -> dict[str, float]:
    return {
        "share": estimate.value,
        "share_low": estimate.low,
        "share_high": estimate.high,
        "n_patient": estimate.n,
    }


def wave_density(shares: np.ndarray, masks: dict[str, np.ndarray]) -> np.ndarray:
    """Return relevance per ms in each wave `(patient, wave)`; 1 is the mean of the window."""
    lengths = np.array([masks[wave].mean() for wave in WAVES])
    return np.divide(shares, lengths, out=np.full_like(shares, np.nan), where=lengths > 0)


def explain(
    model: Vae, data: WindowSet, factor: np.ndarray, target: str, *, layer: str = "first"
) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean Grad-CAM map of each patient `(patient, lead, time)` and their names."""
    maps = grad_cam(model, data.scaled(factor), TARGETS[target], layer=layer)
    return patient_maps(maps, data.patients)
