"""The network that starts from nearest neighbours and ridge and learns what they miss.

One small network per person serves all 12 input leads. It sees the input lead and three closed
forms of all leads, and adds a correction that is zero before training, so that step 0 equals the
nearest neighbours. Which lead is given changes scale and offset of every layer (FiLM, Perez et
al. 2018).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ecgnb.leads import LEADS
from ecgnb.reconstruction.card import on_card
from ecgnb.reconstruction.linear import check_inputs, lag_moments, solve_ridge
from ecgnb.reconstruction.neighbours import (
    NeighbourModel,
    fit_library,
    fit_on_training,
    predict_held_out,
)
from ecgnb.signals.preparation import Prepared
from ecgnb.training import FitOptions, History, Stack, fit, fitting_device, seeded

N_LEAD = len(LEADS)

_ALL_INPUTS = tuple(range(N_LEAD))

_DILATIONS = (1, 2, 4, 8, 16, 32, 64)

_CHANNEL_REACH_S = 0.4  # of the ridge that the network sees

_BLENDS = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class BestOptions:
    """Size of the network and of its fit.

    A third of the channels of version 0.1.0, half its rows and more steps: half its CPU time, at
    an r that is 0.0004 lower on 12 recordings (`results/benchmarks/best_cost.txt`).
    """

    width: int = 16
    n_step: int = 500
    batch_size: int = 12
    n_time: int = 512
    learning_rate: float = 4e-3
    check_every: int = 100


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
    if fitting_device().type == "cuda":
        models = tuple(on_card(model) for model in models)
    for model, ridge, signal in zip(models, ridges, signals, strict=True):
        each = predict_held_out(model, signal) if held_out else model.predict_each(signal)
        rows.append(np.concatenate([signal[None], *each, ridge.predict(signal)]))
    return np.stack(rows).astype(np.float32)


def fit_closed_forms(
    prepared: Prepared, *, inputs: tuple[int, ...] = _ALL_INPUTS
) -> tuple[tuple, tuple]:
    """Return the neighbours of the training part, and the ridge, of each input lead."""
    neighbours = tuple(fit_on_training(prepared, lead) for lead in inputs)
    reach = round(_CHANNEL_REACH_S * prepared.sampling_rate)
    parts = (prepared.train, prepared.validation)
    ridges = tuple(
        solve_ridge(*(lag_moments(part[lead], part, reach) for part in parts)) for lead in inputs
    )
    return neighbours, ridges


def refit_neighbours(prepared: Prepared, inputs: tuple[int, ...] = _ALL_INPUTS) -> tuple:
    """Return neighbours of the training and the validation part: all choices are made by then."""
    return tuple(fit_library(prepared, lead) for lead in inputs)


def start_of(channels: Tensor) -> Tensor:
    """Return what the network starts from: the mean of both neighbours `(..., lead, time)`."""
    short, long = channels[..., 1 : 1 + 2 * N_LEAD, :].split(N_LEAD, dim=-2)
    return (short + long) / 2


@dataclass(frozen=True)
class Lesson:
    """What the network of one person learns from, and is chosen by.

    `channels` of the training and the validation part `(input, channel, time)`, `targets` the
    same parts `(lead, time)`, scaled.
    """

    channels: tuple[Tensor, Tensor]
    targets: tuple[Tensor, Tensor]

    def to(self, device: torch.device) -> "Lesson":
        """Return the same numbers on a device."""
        parts = (tuple(x.to(device) for x in pair) for pair in (self.channels, self.targets))
        return Lesson(*parts)

    def crop(self, n_time: int, batch_size: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Return channels and targets of crops at random times, input after input."""
        rows = torch.arange(batch_size) % len(self.channels[0])
        last = self.targets[0].shape[-1] - n_time
        starts = torch.randint(last + 1, (batch_size,), generator=generator).tolist()
        pairs = list(zip(rows.tolist(), starts, strict=True))
        crops = torch.stack([self.channels[0][row, :, at : at + n_time] for row, at in pairs])
        return crops, torch.stack([self.targets[0][:, at : at + n_time] for at in starts])

    def check(self, model: Corrector, given: Tensor) -> Tensor:
        """Return the validation error of the hidden leads, with the whole correction."""
        error = start_of(self.channels[1]) + correction(model, self.channels[1], given)
        squared = (error - self.targets[1]).square().mean(dim=-1)
        return (squared * (1 - given)).sum() / (1 - given).sum()


def fit_correctors(
    lessons: Sequence[Lesson],
    *,
    options: BestOptions,
    inputs: tuple[int, ...] = _ALL_INPUTS,
    seed: int = 0,
) -> tuple[list[tuple[Corrector, Tensor]], History]:
    """Return each person's network and how much of its correction to use, and their history.

    How much is used is told per pair `(input, lead)`. All networks are trained at once; each is
    the one that its person alone would give, to rounding.

    Parameters
    ----------
    lessons
        One a person.
    inputs
        Which leads the rows of the channels were computed from.
    """
    device = fitting_device()
    with seeded(seed):
        start = Corrector(lessons[0].channels[0].shape[1], options.width)
    stack = Stack([start] * len(lessons)).to(device)
    lessons = [lesson.to(device) for lesson in lessons]
    given = torch.eye(N_LEAD, device=device)[list(inputs)]
    hidden, rows = 1 - given, torch.arange(options.batch_size) % len(inputs)
    n_time = min(options.n_time, *(lesson.targets[0].shape[-1] for lesson in lessons))
    chances = [torch.Generator().manual_seed(seed) for _ in lessons]

    def draw(_: torch.Generator) -> tuple[Tensor, ...]:
        pairs = zip(lessons, chances, strict=True)
        crops = [lesson.crop(n_time, options.batch_size, chance) for lesson, chance in pairs]
        return tuple(torch.stack(part) for part in zip(*crops, strict=True))

    def loss(stack: Stack, crops: Tensor, wanted: Tensor) -> dict[str, Tensor]:
        shown = given[rows].expand(len(lessons), -1, -1)
        error = stack(crops, shown) + start_of(crops) - wanted
        squared = error.square().mean(dim=-1) * hidden[rows]
        return {"reconstruction": squared.sum() / hidden[rows].sum()}

    def validate(stack: Stack) -> Tensor:
        errors = [lesson.check(stack.member(at), given) for at, lesson in enumerate(lessons)]
        return torch.stack(errors)

    history = fit(stack, draw, loss, validate=validate, options=_steps(options, seed))
    members = [stack.member(at) for at in range(len(lessons))]
    fitted = [
        (model, _choose_blend(model, lesson.channels[1], lesson.targets[1], given))
        for model, lesson in zip(members, lessons, strict=True)
    ]
    return [(model.cpu(), blend.cpu()) for model, blend in fitted], history


def _steps(options: BestOptions, seed: int) -> FitOptions:
    rate, every = options.learning_rate, options.check_every
    return FitOptions(options.n_step, rate, check_every=every, seed=seed)


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
        return self.correct(torch.from_numpy(closed_forms(self.neighbours, self.ridges, signals)))

    def correct(self, channels: Tensor) -> np.ndarray:
        """Return all leads `(input, lead, time)` from the channels of `closed_forms`."""
        given = torch.eye(N_LEAD)[list(self.inputs)]
        added = self.blend[..., None] * correction(self.network, channels, given)
        return (start_of(channels) + added).numpy()


def fit_best_each(
    several: Sequence[Prepared],
    inputs: tuple[int, ...] = _ALL_INPUTS,
    *,
    seed: int = 0,
    options: BestOptions | None = None,
) -> list[BestModel]:
    """Return the network of each record, for all input leads or some, trained at once.

    Trained on held-out neighbours of the training part; epochs and how much of the
    correction to blend in are chosen on the validation part, which then joins the neighbours'
    library. Many records at once are worth it on a card.
    """
    closed = [fit_closed_forms(prepared, inputs=inputs) for prepared in several]
    lessons = [
        lesson_of(prepared, forms, inputs) for prepared, forms in zip(several, closed, strict=True)
    ]
    fitted, _ = fit_correctors(lessons, options=options or BestOptions(), inputs=inputs, seed=seed)
    return [
        BestModel(inputs, refit_neighbours(prepared, inputs), forms[1], *parts)
        for prepared, forms, parts in zip(several, closed, fitted, strict=True)
    ]


def lesson_of(prepared: Prepared, closed: tuple[tuple, tuple], inputs: tuple[int, ...]) -> Lesson:
    """Return what a record's network learns from: closed forms, held out in the training part."""
    leads, parts = list(inputs), (prepared.train, prepared.validation)
    channels = (
        torch.from_numpy(closed_forms(*closed, part[leads], held_out=part is parts[0]))
        for part in parts
    )
    return Lesson(tuple(channels), tuple(torch.from_numpy(part) for part in parts))


def fit_best(
    prepared: Prepared,
    inputs: tuple[int, ...] = _ALL_INPUTS,
    *,
    seed: int = 0,
    options: BestOptions | None = None,
) -> BestModel:
    """Return the network of one record, as `fit_best_each`."""
    return fit_best_each([prepared], inputs, seed=seed, options=options)[0]
