"""A small U-Net from one lead to 12, alone or many stacked: what the benchmarks compare with.

Channels lie next to each other in memory (torch's `channels_last`, of images one row high): on a
CPU, a grouped convolution reads them up to twice as fast so.
"""

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

N_LEAD = 12
CHANNELS = (8, 8, 16)


class Conv(nn.Module):
    """`n_member` independent convolutions on `(row, member * channel, 1, time)`."""

    def __init__(self, n_member: int, n_in: int, n_out: int, *, kernel: int) -> None:
        super().__init__()
        bound = (n_in * kernel) ** -0.5
        self.n_member = n_member
        self.weight = nn.Parameter(torch.empty(n_member, n_out, n_in, kernel))
        self.bias = nn.Parameter(torch.zeros(n_member, n_out))
        nn.init.uniform_(self.weight, -bound, bound)

    def forward(self, signals: Tensor, stride: int = 1) -> Tensor:
        """Return `(row, member * channel, 1, time / stride)`."""
        weight, bias = self.weight.flatten(0, 1).unsqueeze(2), self.bias.flatten()
        padding = (0, weight.shape[-1] // 2)
        return functional.conv2d(
            signals, weight, bias, stride=(1, stride), padding=padding, groups=self.n_member
        )


class Unet(nn.Module):
    """Three levels with added skips; windows `(row, member, time)` to all leads."""

    conv_type: type[nn.Module] = Conv

    def __init__(self, n_member: int = 1, *, kernel: int = 3) -> None:
        super().__init__()
        small, middle, deep = CHANNELS
        conv = partial(self.conv_type, n_member, kernel=kernel)
        self.n_member = n_member
        self.enter = conv(1, small)
        self.down = conv(small, middle)
        self.bottom = conv(middle, deep)
        self.up = conv(deep, middle)
        self.top = conv(middle, small)
        self.leave = conv(small, N_LEAD)

    def forward(self, windows: Tensor) -> Tensor:
        """Return `(row, member, lead, time)`."""
        image = windows.unsqueeze(2).contiguous(memory_format=torch.channels_last)
        return self.leads_of(image).squeeze(2).unflatten(1, (self.n_member, N_LEAD))

    def leads_of(self, image: Tensor) -> Tensor:
        """Return what the six layers make of windows laid out as their convolution wants them."""
        first = functional.gelu(self.enter(image))
        second = functional.gelu(self.down(first, stride=2))
        third = functional.gelu(self.bottom(second, stride=2))
        wide = functional.gelu(self.up(_doubled(third)) + second)
        wider = functional.gelu(self.top(_doubled(wide)) + first)
        return self.leave(wider)


def _doubled(features: Tensor) -> Tensor:
    """Return features with every moment twice."""
    return functional.interpolate(features, scale_factor=(1.0, 2.0), mode="nearest")


def as_put_out(targets: Tensor) -> Tensor:
    """Return targets `(row, member, lead, time)` laid out in memory like the network's output."""
    return targets.movedim(-1, 1).contiguous().movedim(1, -1)


def stack_of(members: list[Unet]) -> Unet:
    """Return one network that holds the weights of several."""
    weight = members[0].enter.weight
    stacked = type(members[0])(len(members), kernel=weight.shape[-1]).to(weight)
    with torch.no_grad():
        for target, *sources in zip(
            stacked.parameters(), *(member.parameters() for member in members), strict=True
        ):
            target.copy_(torch.cat([source.detach() for source in sources]))
    return stacked


def train(
    model: Unet, windows: list[tuple[Tensor, Tensor]], *, learning_rate: float = 1e-3
) -> Unet:
    """Return the network after one Adam step per pair of inputs and targets."""
    optimiser = torch.optim.Adam(
        model.parameters(), lr=learning_rate, fused=windows[0][0].is_cuda or None
    )
    for inputs, targets in windows:
        step(model, optimiser, inputs, targets)
    return model


def step(model: Unet, optimiser: torch.optim.Optimizer, inputs: Tensor, targets: Tensor) -> None:
    """Take one step on the sum of the members' mean squared errors: none feels another."""
    optimiser.zero_grad(set_to_none=True)
    error = (model(inputs) - targets).square().sum()
    (error * (model.n_member / targets.numel())).backward()
    optimiser.step()
