"""The paper's family of personal CNNs: one lead in, twelve out, alike but for their head.

Two strided convolutions read a window of one lead. Then either everything is flattened and goes
through dense layers (1-D head), or the channel x time structure stays through the dense layers
(2-D head), in two readings: dense layers along time, shared by the channels, or a separable linear
map over leads and time. The 12 networks of a record, one per input lead, are stacked: their
parameters share a first axis and they train together without feeling each other.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ecgnb.leads import LEADS
from ecgnb.reconstruction.linear import check_inputs
from ecgnb.signals.preparation import Prepared, make_windows
from ecgnb.training import FitOptions, History, draw_windows, fit, fitting_device, seeded

HEADS = ("1d", "2d_shared", "2d_separable")

N_TIME = 256

_KERNEL = 9

_STRIDE = 2

_N_LEAD = len(LEADS)

_N_CHANNEL = 16

_N_AT_ONCE = 32


@dataclass(frozen=True)
class CnnOptions:
    """Head, size and fit of the networks; the width of the dense layers matches `n_weight`.

    With `to_plateau` (see `training.FitOptions`) `n_step` is the most steps that are taken.
    """

    head: str = "1d"
    n_weight: int = 200_000
    n_step: int = 400
    batch_size: int = 16
    hop: int = 4
    learning_rate: float = 1e-2
    n_time: int = N_TIME
    to_plateau: bool = False

    def __post_init__(self) -> None:
        if self.n_time < 64 or self.n_time % _STRIDE**2:
            raise ValueError(f"n_time must be a multiple of 4 from 64 on, got {self.n_time}")
        if self.head not in HEADS:
            raise ValueError(f"head must be one of {', '.join(HEADS)}, got {self.head!r}")


class StackedConv(nn.Module):
    """`n_member` independent convolutions on `(row, member, channel, time)`."""

    def __init__(self, n_member: int, n_in: int, n_out: int) -> None:
        super().__init__()
        bound = (n_in * _KERNEL) ** -0.5
        self.weight = nn.Parameter(torch.empty(n_member, n_out, n_in, _KERNEL))
        self.bias = nn.Parameter(torch.zeros(n_member, n_out))
        nn.init.uniform_(self.weight, -bound, bound)

    def forward(self, signals: Tensor) -> Tensor:
        """Return `(row, member, channel, time / 2)`."""
        n_row, n_member, _, n_time = signals.shape
        out = functional.conv1d(
            signals.reshape(n_row, -1, n_time),
            self.weight.flatten(0, 1),
            self.bias.flatten(),
            stride=_STRIDE,
            padding=_KERNEL // 2,
            groups=n_member,
        )
        return out.reshape(n_row, n_member, -1, out.shape[-1])


class StackedDense(nn.Module):
    """`n_member` independent dense layers on the last axis of `(row, member, ..., feature)`."""

    def __init__(self, n_member: int, n_in: int, n_out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_member, n_in, n_out))
        self.bias = nn.Parameter(torch.zeros(n_member, 1, n_out))
        nn.init.uniform_(self.weight, -(n_in**-0.5), n_in**-0.5)

    def forward(self, features: Tensor) -> Tensor:
        """Return `(row, member, ..., n_out)`.

        Raises
        ------
        ValueError
            If the features are not of this layer's members and width.
        """
        n_member, n_in, _ = self.weight.shape
        found = (features.shape[1], features.shape[-1])
        if found != (n_member, n_in):
            raise ValueError(
                f"features of {found[0]} members with width {found[1]} do not fit a layer of "
                f"{n_member} members with width {n_in}"
            )
        by_member = features.transpose(0, 1)
        flat = by_member.reshape(n_member, -1, n_in)
        out = torch.baddbmm(self.bias, flat, self.weight)
        return out.reshape(*by_member.shape[:-1], -1).transpose(0, 1)


class StackedCnn(nn.Module):
    """`n_member` networks from one lead `(row, member, time)` to `(row, member, lead, time)`.

    `history` tells how they were fitted.
    """

    def __init__(self, n_member: int, head: str, width: int, *, n_time: int = N_TIME) -> None:
        super().__init__()
        self.n_member, self.head, self.n_time = n_member, head, n_time
        self.history = History()
        n_short = n_time // _STRIDE**2
        self.first = StackedConv(n_member, 1, _N_CHANNEL)
        self.second = StackedConv(n_member, _N_CHANNEL, _N_CHANNEL)
        if head == "1d":
            self.narrow = StackedDense(n_member, _N_CHANNEL * n_short, width)
            self.widen = StackedDense(n_member, width, _N_LEAD * n_time)
        else:
            self.narrow = StackedDense(n_member, n_short, width)
            self.widen = StackedDense(n_member, width, n_time)
            self.over_leads = StackedDense(n_member, _N_CHANNEL, _N_LEAD)

    def forward(self, signals: Tensor) -> Tensor:
        """Return all leads of each window.

        Raises
        ------
        ValueError
            If the windows are not of the networks' number and length.
        """
        if signals.shape[1:] != (self.n_member, self.n_time):
            raise ValueError(
                f"windows of shape {tuple(signals.shape[1:])} do not fit networks that take "
                f"({self.n_member}, {self.n_time}): one input lead a network, {self.n_time} "
                "samples a window"
            )
        features = functional.gelu(self.second(functional.gelu(self.first(signals.unsqueeze(2)))))
        if self.head == "1d":
            hidden = functional.gelu(self.narrow(features.flatten(2)))
            return self.widen(hidden).unflatten(-1, (_N_LEAD, self.n_time))
        hidden = self.narrow(features)
        if self.head == "2d_shared":
            hidden = functional.gelu(hidden)
        stretched = self.widen(hidden)
        return self.over_leads(stretched.transpose(2, 3)).transpose(2, 3)

    def predict(self, signals: np.ndarray) -> np.ndarray:
        """Return all leads `(input, lead, time)` from input leads `(input, time)`, scaled."""
        return _predict_windows(self, signals)

    def predict_each(self, windows: np.ndarray) -> np.ndarray:
        """Return predictions `(window, input, lead, time)` of windows `(window, input, time)`."""
        with torch.no_grad():
            rows = [self(part).numpy() for part in torch.from_numpy(windows).split(_N_AT_ONCE)]
        return np.concatenate(rows)


def matched_width(head: str, n_weight: int, *, n_time: int = N_TIME) -> int:
    """Return the width that brings a network nearest to a number of weights.

    Examples
    --------
    >>> [matched_width(head, 100_000) for head in HEADS]
    [23, 302, 302]
    """
    widths = range(1, 2000)
    return min(widths, key=lambda width: abs(_n_weight(head, width, n_time) - n_weight))


def _n_weight(head: str, width: int, n_time: int) -> int:
    n_short = n_time // _STRIDE**2
    n_body = _N_CHANNEL * (_KERNEL + 1) + _N_CHANNEL * (_N_CHANNEL * _KERNEL + 1)
    if head == "1d":
        return n_body + (_N_CHANNEL * n_short + 1) * width + (width + 1) * _N_LEAD * n_time
    return n_body + (n_short + 1) * width + (width + 1) * n_time + (_N_CHANNEL + 1) * _N_LEAD


def fit_cnn(
    prepared: Prepared,
    inputs: Sequence[int] = range(_N_LEAD),
    *,
    options: CnnOptions,
    seed: int = 0,
    windows: tuple[np.ndarray, np.ndarray] | None = None,
) -> StackedCnn:
    """Return the networks of a record, one per input lead, each in its best state.

    The loss of a network is its mean squared error over the 11 hidden leads; the losses are
    summed, so that each network gets its own gradient.

    Parameters
    ----------
    inputs
        Indices of the leads that will be given.
    windows
        Of the training and the validation part, `(window, lead, time)`, where they are not to be
        cut from the record one after the other.
    """
    train, check = windows or _cut(prepared, options)
    inputs, device = list(inputs), fitting_device()
    width = matched_width(options.head, options.n_weight, n_time=options.n_time)
    with seeded(seed):
        model = StackedCnn(len(inputs), options.head, width, n_time=options.n_time).to(device)
    train, check = (torch.from_numpy(part).to(device) for part in (train, check))
    hidden = 1 - torch.eye(_N_LEAD, device=device)[inputs]

    def errors(model: StackedCnn, windows: Tensor) -> Tensor:
        found = model(windows[:, inputs]) - windows.unsqueeze(1)
        return (found.square().mean(dim=(0, 3)) * hidden).sum(dim=1) / hidden.sum(dim=1)

    model.history = fit(
        model,
        draw_windows((train,), options.batch_size),
        lambda model, windows: {"reconstruction": errors(model, windows).sum()},
        validate=lambda model: errors(model, check),
        options=_fit_options(options, seed),
    )
    return model.cpu()


def _fit_options(options: CnnOptions, seed: int) -> FitOptions:
    check_every = 50 if options.to_plateau else 25
    how = {"check_every": check_every, "seed": seed, "to_plateau": options.to_plateau}
    return FitOptions(options.n_step, options.learning_rate, **how)


def _cut(prepared: Prepared, options: CnnOptions) -> tuple[np.ndarray, np.ndarray]:
    """Return overlapping windows of the training and the validation part."""
    hops = (options.hop, options.n_time // 4)
    parts = (prepared.train, prepared.validation)
    return tuple(
        make_windows(part, options.n_time, hop=hop) for part, hop in zip(parts, hops, strict=True)
    )


def _predict_windows(model: StackedCnn, signals: np.ndarray) -> np.ndarray:
    """Return predictions `(input, lead, time)` for one part `(input, time)`, scaled.

    Windows of the networks' own length overlap by three quarters and are averaged with Hann
    weights, so that no window's edge shows.

    Raises
    ------
    ValueError
        If the signals have not a row for each network.
    """
    check_inputs(signals, model.n_member)
    n_time, length, hop = signals.shape[-1], model.n_time, model.n_time // 4
    mode = "reflect" if n_time > 2 * length else "edge"
    padded = np.pad(signals, [(0, 0), (length, 2 * length)], mode=mode)
    windows = torch.from_numpy(make_windows(padded.astype(np.float32), length, hop=hop))
    weights = np.hanning(length + 2)[1:-1].astype(np.float32)
    total = np.zeros((model.n_member, _N_LEAD, padded.shape[-1]), dtype=np.float32)
    norm = np.zeros(padded.shape[-1], dtype=np.float32)
    with torch.no_grad():
        for number, window in enumerate(windows):
            place = slice(number * hop, number * hop + length)
            total[..., place] += model(window.unsqueeze(0))[0].numpy() * weights
            norm[place] += weights
    inside = slice(length, length + n_time)
    return total[..., inside] / norm[inside]
