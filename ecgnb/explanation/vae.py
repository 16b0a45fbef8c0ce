"""A variational autoencoder of 12-lead beats, one per heart condition (Kingma and Welling 2014).

The encoder keeps leads as rows: its kernels are shared over leads and run along time only, if
`lead_reach` does not say otherwise, so that every feature map has a lead axis and a time axis
until the dense layers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import linalg
from torch import Tensor, nn
from torch.nn import functional

from ecgnb.explanation.windows import N_BEAT_TIME
from ecgnb.leads import LEADS
from ecgnb.training import FitOptions, History, draw_windows, fit, seeded

_N_LEAD = len(LEADS)

_N_SHORT = N_BEAT_TIME // 16

_IN_USE_NATS = 0.05

STEPS_TAKEN = (0.0, 0.25, 0.5, 0.75, 1.0)


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


@dataclass(frozen=True)
class VaeOptions:
    """Size of the network, weight of its terms and its fit.

    `noise` is the standard deviation, in scaled units, that the decoder expects around its
    reconstruction: half the squared error over its square is the reconstruction term.
    `lead_reach` is how many leads to either side, in their order, a kernel of the second layer
    sees: 0 keeps every lead to itself until the dense layers.
    """

    n_latent: int = 12
    n_channel: int = 8
    n_hidden: int = 128
    lead_reach: int = 0
    noise: float = 0.05
    n_step: int = 400
    batch_size: int = 64
    learning_rate: float = 1e-3
    warm_up: float = 0.3


class Vae(nn.Module):
    """Encoder and decoder of windows `(window, lead, time)`, scaled."""

    def __init__(self, options: VaeOptions) -> None:
        super().__init__()
        self.options = options
        n_channel, n_flat = options.n_channel, options.n_channel * _N_LEAD * _N_SHORT
        self.first = nn.Conv2d(1, n_channel, (1, 9), stride=(1, 4), padding=(0, 4))
        kernel, padding = (2 * options.lead_reach + 1, 9), (options.lead_reach, 4)
        self.second = nn.Conv2d(n_channel, n_channel, kernel, stride=(1, 4), padding=padding)
        self.hidden = nn.Linear(n_flat, options.n_hidden)
        self.to_latent = nn.Linear(options.n_hidden, 2 * options.n_latent)
        self.encode_linear = nn.Linear(4 * n_flat, options.n_latent)
        self.from_latent = nn.Linear(options.n_latent, options.n_hidden)
        self.decode_linear = nn.Linear(options.n_latent, _N_LEAD * N_BEAT_TIME)
        self.decode_nonlinear = nn.Linear(options.n_hidden, _N_LEAD * N_BEAT_TIME)
        self.register_buffer("kl_weight", torch.ones(()))

    def encode(self, windows: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log variance of the latents, both `(window, latent)`.

        The mean is a linear part plus a nonlinear one; both read the first feature map only.

        Raises
        ------
        ValueError
            If the windows are not of 12 leads and the network's length.
        """
        if windows.shape[1:] != (_N_LEAD, N_BEAT_TIME):
            raise ValueError(
                f"windows of shape {tuple(windows.shape[1:])} do not fit a VAE of beats "
                f"({_N_LEAD}, {N_BEAT_TIME}), lead and time"
            )
        first = self.first(windows.unsqueeze(1))
        second = functional.gelu(self.second(functional.gelu(first)))
        hidden = functional.gelu(self.hidden(second.flatten(1)))
        nonlinear, log_variance = self.to_latent(hidden).chunk(2, dim=1)
        return self.encode_linear(first.flatten(1)) + nonlinear, log_variance.clamp(-12, 6)

    def decode(self, latents: Tensor) -> Tensor:
        """Return windows `(window, lead, time)` from latents: linear plus nonlinear part."""
        nonlinear = self.decode_nonlinear(functional.gelu(self.from_latent(latents)))
        return (self.decode_linear(latents) + nonlinear).unflatten(1, (_N_LEAD, N_BEAT_TIME))

    def forward(self, windows: Tensor) -> Tensor:
        """Return the reconstruction from the mean of the latents."""
        return self.decode(self.encode(windows)[0])


def _start_from_pca(model: Vae, windows: np.ndarray) -> None:
    """Set the linear parts to probabilistic principal components (Tipping and Bishop 1999).

    The decoder's columns are the components times the standard deviations of their scores, s; the
    encoder's mean is its posterior mean, the score over s times s² / (s² + noise²), and its
    variance noise² / (s² + noise²). The nonlinear parts start near zero.
    """
    n_latent = min(model.options.n_latent, len(windows))
    pca = fit_pca(windows, n_latent)
    size = ((windows.reshape(len(windows), -1) - pca.mean) @ pca.axes.T).std(axis=0) + 1e-6
    kept = size**2 / (size**2 + model.options.noise**2)
    mean = torch.from_numpy(pca.mean)
    with torch.no_grad():
        for layer in (
            model.decode_linear,
            model.decode_nonlinear,
            model.to_latent,
            model.encode_linear,
        ):
            layer.weight.mul_(0.01)
            layer.bias.zero_()
        model.decode_linear.weight[:, :n_latent] = torch.from_numpy(pca.axes.T * size)
        model.decode_linear.bias.copy_(mean)
        rows = torch.from_numpy((pca.axes * (kept / size)[:, None]).astype(np.float32))
        model.encode_linear.weight[:n_latent] = _through_first(model, rows)
        first = model.first(mean.reshape(1, 1, _N_LEAD, N_BEAT_TIME)).flatten(1)
        model.encode_linear.bias.copy_(-model.encode_linear(first)[0])
        log_variance = torch.from_numpy(np.log(1 - kept + 1e-6).astype(np.float32))
        model.to_latent.bias[model.options.n_latent :][:n_latent] = log_variance


def _through_first(model: Vae, rows: Tensor) -> Tensor:
    """Return weights on the first feature map that do what rows `(latent, lead x time)` do.

    The first layer makes more numbers of a lead than it was given: its pseudo-inverse is exact.
    """
    bumps = torch.eye(N_BEAT_TIME)[:, None, None]  # (time, channel, lead, time)
    changes = model.first(bumps) - model.first.bias[:, None, None]
    inverse = torch.linalg.pinv(changes.flatten(1).double()).float()  # (feature, time)
    weights = rows.unflatten(1, (_N_LEAD, N_BEAT_TIME)) @ inverse.T  # (latent, lead, feature)
    weights = weights.unflatten(2, (model.options.n_channel, -1))
    return weights.movedim(1, 2).flatten(1)


def _kl_per_latent(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return KL(N(mean, variance) || N(0, 1)) in nats, elementwise.

    Examples
    --------
    >>> _kl_per_latent(torch.zeros(1), torch.zeros(1)).item()
    0.0
    """
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)


def elbo_terms(
    model: Vae, windows: Tensor, *, generator: torch.Generator | None = None
) -> dict[str, Tensor]:
    """Return the two terms of the negative ELBO per window `(window,)`, in nats.

    Latents are drawn from `generator`; without one they stay at their means.
    Both are sums over the window (reconstruction: over leads and samples, without the constant;
    KL: over latents), so that their weights against each other are those of the model.
    """
    mean, log_variance = model.encode(windows)
    latents = mean
    if generator is not None:
        noise = torch.empty_like(mean).normal_(generator=generator)
        latents = mean + noise * (0.5 * log_variance).exp()
    error = model.decode(latents) - windows
    return {
        "reconstruction": 0.5 * error.square().sum(dim=(1, 2)) / model.options.noise**2,
        "kl": _kl_per_latent(mean, log_variance).sum(dim=1),
    }


def fit_vae(
    train: np.ndarray, validation: np.ndarray, *, options: VaeOptions | None = None, seed: int = 0
) -> tuple[Vae, History]:
    """Return a VAE fitted to windows `(window, lead, time)`, best on validation, and its history.

    It starts as probabilistic principal components. The weight of the KL term grows from 0 to 1
    over the first `warm_up` share of the steps. How far the fit moves the weights is chosen on
    the validation windows.
    """
    options = options or VaeOptions()
    with seeded(seed) as noise:
        model = Vae(options)
    windows = torch.from_numpy(np.ascontiguousarray(train, dtype=np.float32))
    _start_from_pca(model, train)
    start = [weights.detach().clone() for weights in model.parameters()]
    check = torch.from_numpy(np.ascontiguousarray(validation, dtype=np.float32))
    growth = 1 / max(options.warm_up * options.n_step, 1)
    model.kl_weight.zero_()

    def loss(model: Vae, batch: Tensor) -> dict[str, Tensor]:
        model.kl_weight.add_(growth).clamp_(max=1)
        terms = elbo_terms(model, batch, generator=noise)
        return {
            name: term.mean() * (model.kl_weight if name == "kl" else 1)
            for name, term in terms.items()
        }

    def validate(model: Vae) -> Tensor:
        return sum(elbo_terms(model, check).values()).mean()

    settings = FitOptions(
        options.n_step,
        options.learning_rate,
        weight_decay=1e-4,
        clip=1e4,
        check_every=max(options.n_step // 20, 1),
        seed=seed,
    )
    pick = draw_windows((windows,), options.batch_size)

    def draw(generator: torch.Generator) -> tuple[Tensor]:
        return (_mix_windows(*pick(generator), *pick(generator), generator),)

    history = fit(model, draw, loss, validate=validate, options=settings)
    history.step_taken = _choose_step(model, start, validation)
    return model.eval(), history


def _choose_step(model: Vae, start: Sequence[Tensor], validation: np.ndarray) -> float:
    """Return how far the weights go from `start` to where the fit took them, and set them there.

    The one of `STEPS_TAKEN` with the least reconstruction error on validation patients.
    """
    end = [weights.detach().clone() for weights in model.parameters()]

    def go(step_taken: float) -> float:
        with torch.no_grad():
            for weights, first, last in zip(model.parameters(), start, end, strict=True):
                weights.copy_(torch.lerp(first, last, step_taken))
        return float(np.square(rebuild_windows(model, validation) - validation).mean())

    chosen = min(STEPS_TAKEN, key=go)
    go(chosen)
    return chosen


def _mix_windows(first: Tensor, second: Tensor, generator: torch.Generator) -> Tensor:
    """Return windows on the lines through pairs of windows, up to half beyond either.

    Few patients leave much of the space between them empty; points on these lines fill it.
    """
    place = 2 * torch.rand(len(first), 1, 1, generator=generator) - 0.5
    return place * first + (1 - place) * second


def latents_in_use(model: Vae, windows: np.ndarray) -> np.ndarray:
    """Return the mean KL of each latent `(latent,)` in nats; above 0.05 a latent is in use."""
    with torch.no_grad():
        return _kl_per_latent(*model.encode(torch.from_numpy(windows))).mean(dim=0).numpy()


def count_in_use(nats: np.ndarray) -> int:
    """Return the number of latents in use; 0 means that the VAE has collapsed.

    Examples
    --------
    >>> count_in_use(np.array([0.0, 0.01, 2.0]))
    1
    """
    return int((np.asarray(nats) > _IN_USE_NATS).sum())


def decode(model: Vae, latents: np.ndarray) -> np.ndarray:
    """Return windows `(window, lead, time)`, scaled, from latents `(window, latent)`."""
    with torch.no_grad():
        return model.decode(torch.from_numpy(np.asarray(latents, dtype=np.float32))).numpy()


def _latent_means(model: Vae, windows: np.ndarray) -> np.ndarray:
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
    ends = [_latent_means(model, windows).mean(axis=0) for windows in (first, second)]
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


def rebuild_windows(model: Vae, windows: np.ndarray) -> np.ndarray:
    """Return the reconstruction of windows `(window, lead, time)` from their latent means."""
    with torch.no_grad():
        return model(torch.from_numpy(np.ascontiguousarray(windows))).numpy()
