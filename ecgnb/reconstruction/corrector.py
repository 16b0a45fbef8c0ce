"""The network that starts from nearest neighbours and ridge and learns what they miss.

One small network per person serves all 12 input leads. It sees the input lead and three closed
forms of all leads, and adds a correction that is zero before training, so that step 0 equals the
nearest neighbours. Which lead is given changes scale and offset of every layer (FiLM, Perez et
al. 2018).
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ecgnb.leads import LEADS
from ecgnb.reconstruction.linear import check_inputs, lag_moments, solve_ridge
from ecgnb.reconstruction.neighbours import (
    NeighbourModel,
    fit_library,
    fit_on_training,
    predict_held_out,
)
from ecgnb.signals.preparation import Prepared
from ecgnb.training import FitOptions, History, fit, fitting_device, seeded

N_LEAD = len(LEADS)

_ALL_INPUTS = tuple(range(N_LEAD))

_DILATIONS = (1, 2, 4, 8, 16, 32, 64)

_CHANNEL_REACH_S = 0.4  # of the ridge that the network sees

_BLENDS = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class BestOptions:
    """Size of the network and of its fit."""

    width: int = 48
    n_step: int = 300
    batch_size: int = 24
    n_time: int = 512
    learning_rate: float = 3e-3


class Corrector(nn.Module):
    """Dilated convolutions over `(row, channel, time)` that give corrections `(row, lead, time)`.

    Seven layers of kernel 5 and dilation 1 ... 64 look back and ahead about one second.
    """

    def __init__(self, n_channel: int, width: int) -> None:
        super().__init__()
        self.enter = nn.Conv1d(n_channel, width, 5, padding=2)
        self.layers = nn.ModuleList(
            nn.Conv1d(width, width, 5, padding=2 * dilation, dilation=dilation)
            for dilation in _DILATIONS
        )
        self.films = nn.ModuleList(nn.Linear(N_LEAD, 2 * width) for _ in range(8))
        self.leave = nn.Conv1d(width, N_LEAD, 1)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)
        for film in self.films:
            nn.init.normal_(film.weight, std=0.3)
            nn.init.zeros_(film.bias)

    def forward(self, channels: Tensor, given: Tensor) -> Tensor:
        """Return corrections from channels and the one-hot given lead `(row, 12)`."""
        features = self._modulated(self.films[0], given, self.enter(channels))
        for film, layer in zip(self.films[1:], self.layers, strict=True):
            features = features + self._modulated(film, given, layer(features))
        return self.leave(features)

    @staticmethod
    def _modulated(film: nn.Module, given: Tensor, features: Tensor) -> Tensor:
        scale, shift = film(given).unsqueeze(-1).chunk(2, dim=1)
        return functional.gelu(features * (1 + scale) + shift)


def closed_forms(
    models: tuple[NeighbourModel, ...],
    ridges: tuple,
    signals: np.ndarray,
    *,
    held_out: bool = False,
) -> np.ndarray:
    """Return the network's channels `(input, channel, time)` for input leads `(input, time)`.

    Channel 0 is the input lead, then 12 leads each by short neighbours, long neighbours, ridge.
    """
    rows = []
    for model, ridge, signal in zip(models, ridges, signals, strict=True):
        each = predict_held_out(model, signal) if held_out else model.predict_each(signal)
        rows.append(np.concatenate([signal[None], *each, ridge.predict(signal)]))
    return np.stack(rows).astype(np.float32)


def fit_closed_forms(
    prepared: Prepared, *, inputs: tuple[int, ...] = _ALL_INPUTS, refit: bool = False
) -> tuple[tuple, tuple]:
    """Return the neighbours and the ridge of each input lead.

    With `refit` the neighbours are looked up in the training and the validation part together:
    all choices are made by then.
    """
    rate = prepared.sampling_rate
    fit_one = fit_library if refit else fit_on_training
    neighbours = tuple(fit_one(prepared, lead) for lead in inputs)
    reach = round(_CHANNEL_REACH_S * rate)
    parts = (prepared.train, prepared.validation)
    ridges = tuple(
        solve_ridge(*(lag_moments(part[lead], part, reach) for part in parts)) for lead in inputs
    )
    return neighbours, ridges


def start_of(channels: Tensor) -> Tensor:
    """Return what the network starts from: the mean of both neighbours `(row, lead, time)`."""
    return (channels[:, 1 : 1 + N_LEAD] + channels[:, 1 + N_LEAD : 1 + 2 * N_LEAD]) / 2


def fit_corrector(
    channels: tuple[Tensor, Tensor],
    targets: tuple[Tensor, Tensor],
    *,
    options: BestOptions,
    inputs: tuple[int, ...] = _ALL_INPUTS,
    seed: int = 0,
) -> tuple[Corrector, Tensor, History]:
    """Return the network, how much of its correction to use per pair `(input, lead)`, its history.

    Parameters
    ----------
    channels
        Of the training and the validation part `(input, channel, time)`.
    targets
        The same parts `(lead, time)`, scaled.
    inputs
        Which leads the rows of `channels` were computed from.
    """
    device = fitting_device()
    with seeded(seed):
        model = Corrector(channels[0].shape[1], options.width).to(device)
    channels, targets = (tuple(x.to(device) for x in parts) for parts in (channels, targets))
    given = torch.eye(N_LEAD, device=device)[list(inputs)]
    hidden = 1 - given
    n_time = min(options.n_time, targets[0].shape[-1])
    last = targets[0].shape[-1] - n_time

    def draw(generator: torch.Generator) -> tuple[Tensor, ...]:
        rows = torch.arange(options.batch_size) % len(inputs)
        starts = torch.randint(last + 1, (options.batch_size,), generator=generator).tolist()
        pairs = list(zip(rows.tolist(), starts, strict=True))
        crops = torch.stack([channels[0][row, :, at : at + n_time] for row, at in pairs])
        return rows, crops, torch.stack([targets[0][:, at : at + n_time] for at in starts])

    def loss(model: Corrector, rows: Tensor, crops: Tensor, wanted: Tensor) -> dict[str, Tensor]:
        error = model(crops, given[rows]) + start_of(crops) - wanted
        squared = error.square().mean(dim=-1) * hidden[rows]
        return {"reconstruction": squared.sum() / hidden[rows].sum()}

    def validate(model: Corrector) -> Tensor:
        error = start_of(channels[1]) + correction(model, channels[1], given) - targets[1]
        return ((error.square().mean(dim=-1) * hidden).sum() / hidden.sum()).reshape(1)

    fit_options = FitOptions(options.n_step, options.learning_rate, check_every=50, seed=seed)
    history = fit(model, draw, loss, validate=validate, options=fit_options)
    blend = _choose_blend(model, channels[1], targets[1], given)
    return model.cpu(), blend.cpu(), history


def correction(model: Corrector, channels: Tensor, given: Tensor) -> Tensor:
    """Return the corrections `(input, lead, time)` of one part, lead by lead to save memory."""
    with torch.no_grad():
        return torch.cat(
            [model(channels[row : row + 1], given[row : row + 1]) for row in range(len(given))]
        )


def _choose_blend(model: Corrector, channels: Tensor, targets: Tensor, given: Tensor) -> Tensor:
    """Return how much correction to blend in `(input, lead)`: the least validation error."""
    error, added = start_of(channels) - targets, correction(model, channels, given)
    errors = [(error + blend * added).square().mean(dim=-1) for blend in _BLENDS]
    return torch.tensor(_BLENDS, device=error.device)[torch.stack(errors).argmin(dim=0)]


@dataclass(frozen=True)
class BestModel:
    """A fitted network with the closed forms it starts from, for the leads in `inputs`."""

    inputs: tuple[int, ...]
    neighbours: tuple[NeighbourModel, ...]
    ridges: tuple
    network: Corrector
    blend: Tensor

    def predict(self, signals: np.ndarray) -> np.ndarray:
        """Return all leads `(input, lead, time)` from input leads `(input, time)`, scaled."""
        check_inputs(signals, len(self.inputs))
        channels = torch.from_numpy(closed_forms(self.neighbours, self.ridges, signals))
        given = torch.eye(N_LEAD)[list(self.inputs)]
        added = self.blend[..., None] * correction(self.network, channels, given)
        return (start_of(channels) + added).numpy()


def fit_best(
    prepared: Prepared,
    inputs: tuple[int, ...] = _ALL_INPUTS,
    *,
    seed: int = 0,
    options: BestOptions | None = None,
) -> BestModel:
    """Return the network of one record, for all input leads or some.

    Trained on held-out neighbours of the training part; epochs and how much of the
    correction to blend in are chosen on the validation part, which then joins the neighbours'
    library.
    """
    options, leads = options or BestOptions(), list(inputs)
    closed = fit_closed_forms(prepared, inputs=inputs)
    channels = (
        torch.from_numpy(closed_forms(*closed, prepared.train[leads], held_out=True)),
        torch.from_numpy(closed_forms(*closed, prepared.validation[leads])),
    )
    targets = (torch.from_numpy(prepared.train), torch.from_numpy(prepared.validation))
    network, blend, _ = fit_corrector(channels, targets, options=options, inputs=inputs, seed=seed)
    return BestModel(
        inputs, *fit_closed_forms(prepared, inputs=inputs, refit=True), network, blend
    )
