"""The VAE of a group of people: how its beats are scaled, varied and learned."""

from dataclasses import dataclass, replace

import numpy as np

from ecgnb.pca import PcaModel, fit_pca
from ecgnb.training import History
from ecgnb.vae import Vae, VaeOptions, fit_vae, reconstruct
from ecgnb.windows import WindowSet, common_factor, lead_factor, vary_windows

STRENGTHS = (0.0, 0.5, 1.0, 2.0)
_N_SEEN = 1000  # beats that a fit sees, original ones and variations


@dataclass(frozen=True)
class GroupVae:
    """A fitted VAE, its factor per lead `(lead, 1)` in mV, and what was chosen on the way.

    `strength` says how much the beats were varied, `linear` holds the principal components of
    the training windows as they are, `linear_varied` those of all windows that the VAE saw.
    """

    model: Vae
    factor: np.ndarray
    history: History
    strength: float
    linear: PcaModel
    linear_varied: PcaModel

    def guesses(self, windows: np.ndarray) -> dict[str, np.ndarray]:
        """Return reconstructions of scaled windows by the VAE and its baselines, scaled."""
        return {
            "VAE": reconstruct(self.model, windows),
            "PCA": self.linear.reconstruct(windows),
            "PCA, varied beats": self.linear_varied.reconstruct(windows),
            "mean beat": np.broadcast_to(
                self.linear.mean.reshape(windows.shape[1:]), windows.shape
            ),
        }


def fit_group(
    train: WindowSet,
    validation: WindowSet,
    *,
    options: VaeOptions | None = None,
    equal_leads: bool = True,
    seed: int = 0,
) -> GroupVae:
    """Return the VAE of the people in `train`; all choices are made on those in `validation`.

    Beats are varied (`windows.vary_windows`) as strongly as serves principal components of new
    people best. Without validation patients the training windows stand in.

    Parameters
    ----------
    train, validation
        Windows in mV, with no patient in both.
    options
        Of the network and its fit.
    equal_leads
        True scales every lead by its own size; False scales all by one.
    seed
        Of the variations and the fit.
    """
    options = options or VaeOptions()
    factor = (lead_factor if equal_leads else common_factor)(train.windows)
    own = train.scaled(factor)
    check = validation.scaled(factor) if len(validation.windows) else own
    seen, errors = {}, {}
    for strength in STRENGTHS:
        seen[strength] = _with_variations(train, factor, strength, seed)
        linear = fit_pca(seen[strength], options.n_latent)
        errors[strength] = float(np.square(linear.reconstruct(check) - check).mean())
    best = min(STRENGTHS, key=errors.__getitem__)
    model, history = fit_vae(seen[best], check, options=options, seed=seed)
    own_linear, varied = (fit_pca(each, options.n_latent) for each in (own, seen[best]))
    return GroupVae(model, factor, history, best, own_linear, varied)


def _with_variations(
    train: WindowSet, factor: np.ndarray, strength: float, seed: int
) -> np.ndarray:
    """Return the training windows, scaled, followed by as many variations as make 1,000."""
    if strength == 0:
        return train.scaled(factor)
    generator = np.random.default_rng(seed)
    n_more = max(_N_SEEN - len(train.windows), len(train.windows) // 2)
    rows = generator.integers(len(train.windows), size=n_more)
    varied = vary_windows(train.windows[rows], strength=strength, generator=generator)
    windows = np.concatenate([train.windows, varied])
    return replace(train, windows=windows).scaled(factor)
