"""Where a VAE looks: Grad-CAM (Selvaraju et al. 2017) and integrated gradients on 12-lead beats.

A VAE has no class, so the scalar that is explained must be said: see `declare_targets`.
"""

import warnings
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from ecgnb.explanation.shares import PATH, TARGETS
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
    target's gradient over leads and time (captum's `LayerGradCam`). Each value is put on the
    sample that the middle of its kernel sees, with straight lines between. Take
    `np.maximum(map, 0)` for the rectified form.

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
    return _on_samples(_grad_cam_features(model, windows, target, layer), windows.shape[-1])


def _grad_cam_features(model: Vae, windows: np.ndarray, target: Target, layer: str) -> np.ndarray:
    """Return signed Grad-CAM maps `(window, lead, feature)` as the layer has them."""
    tensor = torch.from_numpy(np.ascontiguousarray(windows)).requires_grad_()
    explainer = LayerGradCam(partial(target, model), getattr(model, layer))
    return explainer.attribute(tensor, relu_attributions=False).detach()[:, 0].numpy()


def _on_samples(maps: np.ndarray, n_time: int) -> np.ndarray:
    """Return maps `(..., feature)` as `(..., time)`: feature k belongs to sample k x stride.

    The layers' padding is half a kernel, so that the middle of kernel k lies on that sample.
    Behind the last feature its value is held.
    """
    n_feature = maps.shape[-1]
    places = np.minimum(np.arange(n_time) * n_feature / n_time, n_feature - 1)
    left = places.astype(int)
    right = np.minimum(left + 1, n_feature - 1)
    share = (places - left).astype(maps.dtype)
    return maps[..., left] * (1 - share) + maps[..., right] * share


def shared_filter(model: Vae, windows: np.ndarray, target: Target) -> tuple[np.ndarray, ...]:
    """Return the filter that Grad-CAM of the first layer is: taps `(window, tap)`, constants.

    Feature map c of lead l is b_c + sum_j w_cj x_l(t + j), with the same kernel w_c for every
    lead, and Grad-CAM weights it by one number a_c, the mean gradient over leads and times. So
    the map is a constant, sum_c a_c b_c `(window,)`, plus the lead filtered by sum_c a_c w_c.

    Parameters
    ----------
    model
        A VAE, whose first layer is linear and has one kernel a channel for all leads.
    windows
        `(window, lead, time)`, scaled.
    target
        Gives a scalar per window.
    """
    gradients, handle = _gradients_of(model.first)
    tensor = torch.from_numpy(np.ascontiguousarray(windows)).requires_grad_()
    target(model, tensor).sum().backward()
    handle.remove()
    weights = gradients[0].mean(dim=(2, 3)).double()  # (window, channel)
    kernels = model.first.weight[:, 0, 0].detach().double()  # (channel, tap)
    constants = weights @ model.first.bias.detach().double()
    return (weights @ kernels).numpy(), constants.numpy()


def _gradients_of(layer: nn.Module) -> tuple[list[Tensor], torch.utils.hooks.RemovableHandle]:
    """Return the list into which the gradient of a layer's output comes, and what ends that."""
    found: list[Tensor] = []
    handle = layer.register_full_backward_hook(lambda _, __, given: found.append(given[0]))
    return found, handle


def filter_gap(
    model: Vae, windows: np.ndarray, target: Target, *, layer: str = "first", n_tap: int = 9
) -> float:
    """Return how far Grad-CAM is from any one filter plus a constant that all leads share.

    For each beat the filter that comes nearest in the least-squares sense is found; the result
    is the largest difference that it leaves, as a share of the range of the map. Zero: the map
    of a lead is the lead itself, filtered as every other lead is, and ranks leads by the size
    of what passes. A layer that mixes leads leaves a difference.

    Parameters
    ----------
    model, windows, target, layer
        As for `grad_cam`.
    n_tap
        Samples that the filter sees.
    """
    maps = _grad_cam_features(model, windows, target, layer).astype(np.float64)
    n_feature, half = maps.shape[-1], n_tap // 2
    padded = np.pad(windows.astype(np.float64), ((0, 0), (0, 0), (half, half)))
    seen = np.lib.stride_tricks.sliding_window_view(padded, n_tap, axis=2)
    seen = seen[:, :, :: windows.shape[-1] // n_feature]  # (window, lead, feature, tap)
    gaps = []
    for lags, found in zip(seen, maps, strict=True):
        columns = np.concatenate([lags, np.ones((*lags.shape[:2], 1))], axis=2)
        columns = columns.reshape(-1, n_tap + 1)
        nearest = columns @ np.linalg.lstsq(columns, found.ravel(), rcond=None)[0]
        gaps.append(np.abs(nearest - found.ravel()).max() / np.ptp(found))
    return float(max(gaps))


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
    if attribution == PATH:
        start = windows.mean(axis=0) if baseline is None else baseline
        return integrated_gradients(model, windows, target, baseline=start)
    maps = grad_cam(model, windows, target)
    return np.maximum(maps, 0) if attribution == "Grad-CAM rectified" else maps
