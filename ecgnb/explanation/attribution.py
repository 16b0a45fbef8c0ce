"""Where a VAE looks: Grad-CAM (Selvaraju et al. 2017) and integrated gradients on 12-lead beats.

A VAE has no class, so the scalar that is explained must be said: see `declare_targets`.
"""

import warnings
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ecgnb.explanation.shares import TARGETS
from ecgnb.explanation.vae import Vae, elbo_terms
from ecgnb.leads import LEADS

with warnings.catch_warnings():  # captum asks for notebook widgets, which nothing here needs
    warnings.filterwarnings("ignore", message="IProgress not found")
    from captum.attr import IntegratedGradients, LayerGradCam

Target = Callable[[Vae, Tensor], Tensor]


def _latent_norm(model: Vae, windows: Tensor) -> Tensor:
    """Return the Euclidean norm of the latent means `(window,)`."""
    return model.encode(windows)[0].norm(dim=1)


def _one_latent(model: Vae, windows: Tensor, *, latent: int) -> Tensor:
    """Return one latent mean `(window,)`."""
    return model.encode(windows)[0][:, latent]


def _negative_elbo(model: Vae, windows: Tensor) -> Tensor:
    """Return the negative ELBO `(window,)`, the latents at their means."""
    return sum(elbo_terms(model, windows).values())


def _lead_error(model: Vae, windows: Tensor, *, lead: int, place: slice = slice(None)) -> Tensor:
    """Return the squared reconstruction error `(window,)` of one lead, within a slice of time."""
    error = model(windows)[:, lead, place] - windows[:, lead, place]
    return error.square().sum(dim=1)


def masked_error(model: Vae, windows: Tensor, *, mask: np.ndarray) -> Tensor:
    """Return the squared reconstruction error `(window,)` where a mask is true.

    The mask is `(lead, time)`, `(time,)` or, one for each window, `(window, lead, time)`. More
    windows than masks take the masks in turn, as integrated gradients need.
    """
    weights = torch.from_numpy(np.asarray(mask, dtype=np.float32))
    if weights.ndim == 3:
        weights = weights.repeat(len(windows) // len(weights), 1, 1)
    return ((model(windows) - windows).square() * weights).sum(dim=(1, 2))


def declare_targets(masks: dict[str, np.ndarray], *, latent: int) -> dict[str, Target]:
    """Return the five targets of the book by the names in `TARGETS`.

    The norm of the latent means, one of them, the negative evidence lower bound, the error of
    lead V2, and the error of the T wave in all leads.

    Parameters
    ----------
    masks
        Where the waves lie; without a T wave its target is the error of the QRS complex.
    latent
        Number of the latent that stands for one.
    """
    wave = masks["T"] if masks["T"].any() else masks["QRS"]
    targets = (
        _latent_norm,
        partial(_one_latent, latent=latent),
        _negative_elbo,
        partial(_lead_error, lead=LEADS.index("V2")),
        partial(masked_error, mask=wave),
    )
    return dict(zip(TARGETS, targets, strict=True))


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
    """Return integrated gradients `(window, lead, time)` from a baseline, one beat or one each.

    Sundararajan et al. (2017); the sum of a map is the change of the target along the path.
    """
    tensor = torch.from_numpy(np.ascontiguousarray(windows))
    start = np.broadcast_to(np.asarray(baseline, dtype=np.float32), windows.shape)
    explainer = IntegratedGradients(partial(target, model))
    maps = explainer.attribute(tensor, torch.from_numpy(start.copy()), n_steps=n_step)
    return maps.detach().numpy().astype(np.float32)


def attribute(
    model: Vae,
    windows: np.ndarray,
    target: Target,
    *,
    attribution: str = "Grad-CAM",
    baseline: np.ndarray | None = None,
) -> np.ndarray:
    """Return maps `(window, lead, time)` by one of `ATTRIBUTIONS`.

    Integrated gradients start at `baseline` `(lead, time)`, by default the mean of the windows;
    the rectified form of Grad-CAM keeps what adds to the target.
    """
    if attribution == "integrated gradients":
        start = windows.mean(axis=0) if baseline is None else baseline
        return integrated_gradients(model, windows, target, baseline=start)
    maps = grad_cam(model, windows, target)
    return np.maximum(maps, 0) if attribution == "Grad-CAM rectified" else maps
