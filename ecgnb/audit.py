"""Checks that a map must pass before it is believed (after Adebayo et al. 2018 and others)."""

import copy

import numpy as np
import torch
from scipy import stats
from torch import nn

from ecgnb.attribution import Target, grad_cam, integrated_gradients, lead_error
from ecgnb.vae import Vae, reconstruct

LAYERS = ("to_latent", "encode_linear", "hidden", "second", "first")


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Return Spearman's correlation of the absolute values of two maps.

    Examples
    --------
    >>> rank_correlation(np.array([1.0, 2.0, 3.0]), np.array([-1.0, -2.0, -3.0]))
    1.0
    """
    return float(stats.spearmanr(np.abs(first).ravel(), np.abs(second).ravel()).statistic)


def randomise_layers(model: Vae, *, seed: int = 0) -> list[tuple[str, Vae]]:
    """Return copies of a VAE with more and more layers of the encoder drawn anew, from the top."""
    torch.manual_seed(seed)
    copies, current = [], model
    for name in LAYERS:
        current = copy.deepcopy(current)
        layer: nn.Module = getattr(current, name)
        layer.reset_parameters()
        copies.append((name, current))
    return copies


def randomisation_test(
    model: Vae, windows: np.ndarray, target: Target, *, seed: int = 0
) -> dict[str, float]:
    """Return the rank correlation with the original mean map after each layer is randomised."""
    original = grad_cam(model, windows, target).mean(axis=0)
    return {
        name: rank_correlation(original, grad_cam(other, windows, target).mean(axis=0))
        for name, other in randomise_layers(model, seed=seed)
    }


def permuted_leads(
    model: Vae, windows: np.ndarray, target: Target, *, seed: int = 0
) -> dict[str, float]:
    """Return how the lead shares follow when the leads of the input change places.

    `follows_lead`: rank correlation after the map's rows are put back in order; `stays_in_row`:
    without. A map of the signal follows the lead, a map of the row stays.
    """
    order = np.random.default_rng(seed).permutation(windows.shape[1])
    plain = np.abs(grad_cam(model, windows, target)).sum(axis=(0, 2))
    moved = np.abs(grad_cam(model, windows[:, order], target)).sum(axis=(0, 2))
    back = np.empty_like(moved)
    back[order] = moved
    return {
        "follows_lead": rank_correlation(plain, back),
        "stays_in_row": rank_correlation(plain, moved),
    }


def amplitude_agreement(maps: np.ndarray, windows: np.ndarray) -> float:
    """Return the rank correlation between lead relevance and plain lead amplitude."""
    relevance = np.abs(maps).sum(axis=(0, 2))
    return rank_correlation(relevance, np.abs(windows).sum(axis=(0, 2)))


def deletion_curve(
    model: Vae, windows: np.ndarray, order_by: np.ndarray, *, steps: int = 8
) -> np.ndarray:
    """Return the rise of the reconstruction error `(step,)` as the top cells are set to the mean.

    Parameters
    ----------
    model
        A fitted VAE.
    windows
        `(window, lead, time)`, scaled.
    order_by
        Importance `(lead, time)`; the largest goes first.
    steps
        Up to half of all cells, in equal steps.
    """
    ranks = np.argsort(-order_by.ravel())
    mean = windows.mean(axis=0)
    before = reconstruct(model, windows)
    rises = []
    for step in range(1, steps + 1):
        gone = ranks[: int(len(ranks) * 0.5 * step / steps)]
        changed = windows.reshape(len(windows), -1).copy()
        changed[:, gone] = mean.ravel()[gone]
        after = reconstruct(model, changed.reshape(windows.shape))
        rises.append(float(np.square(after - before).mean()))
    return np.array(rises)


def inject_bump(
    windows: np.ndarray, lead: int, centre: int, *, size: float = 0.6, width: float = 5.0
) -> np.ndarray:
    """Return windows with a Gaussian bump in one lead at one time: a known abnormality.

    `width` is the standard deviation in samples, `size` in scaled units.
    """
    changed = windows.copy()
    times = np.arange(windows.shape[2])
    changed[:, lead] += size * np.exp(-0.5 * ((times - centre) / width) ** 2)
    return changed


def peak_inside(maps: np.ndarray, lead: int, centre: int, *, reach: int = 15) -> np.ndarray:
    """Return for each map `(lead, time)` whether its largest size lies in the true region."""
    flat = np.abs(maps).reshape(len(maps), -1).argmax(axis=1)
    rows, columns = np.unravel_index(flat, maps.shape[1:])
    return (rows == lead) & (np.abs(columns - centre) <= reach)


def pointing_test(
    model: Vae, windows: np.ndarray, targets: dict[str, Target], *, n_case: int = 60, seed: int = 0
) -> dict[str, float]:
    """Return for each way of explaining the share of maps that peak at an injected bump.

    A bump is put into a random lead at a random time. The map of the changed window minus that of
    the unchanged one should peak within ±60 ms in that lead. Every target is explained by
    Grad-CAM on the first layer; the error of the lead itself also by integrated gradients from
    the unchanged window.
    """
    generator = np.random.default_rng(seed)
    hits: dict[str, list[bool]] = {}
    for _ in range(n_case):
        window = windows[generator.integers(len(windows))][None]
        lead = int(generator.integers(windows.shape[1]))
        centre = int(generator.integers(40, windows.shape[2] - 40))
        changed = inject_bump(window, lead, centre)

        def own_error(model: Vae, x: torch.Tensor, lead: int = lead) -> torch.Tensor:
            return lead_error(model, x, lead=lead)

        for name, target in (targets | {"error of the lead": own_error}).items():
            maps = grad_cam(model, changed, target) - grad_cam(model, window, target)
            hits.setdefault(f"Grad-CAM, {name}", []).append(bool(peak_inside(maps, lead, centre)))
        maps = integrated_gradients(model, changed, own_error, baseline=window[0])
        hit = bool(peak_inside(maps, lead, centre))
        hits.setdefault("integrated gradients, error of the lead", []).append(hit)
    return {name: float(np.mean(found)) for name, found in hits.items()}
