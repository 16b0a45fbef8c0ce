"""Share of the measured matrix-product peak that a training step of each network reaches.

Run `OMP_NUM_THREADS=1 python benchmarks/peak.py`. Floating-point operations of forward and
backward pass are counted by torch; the time includes loss, Adam and everything else of a step.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from timing import cpu_seconds, sgemm_probe
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode
from unet import Unet

from ecgnb.reconstruction.cnn import N_TIME, StackedCnn, matched_width
from ecgnb.studies.runner import one_thread


class Wide(nn.Module):
    """A 2-D network of 32 and 64 channels: dense along time, shared by channels, then leads."""

    def __init__(self, n_time: int, width: int) -> None:
        super().__init__()
        self.first = nn.Conv1d(1, 32, 9, stride=2, padding=4)
        self.second = nn.Conv1d(32, 64, 9, stride=2, padding=4)
        self.narrow = nn.Linear(n_time // 4, width)
        self.widen = nn.Linear(width, n_time)
        self.over_leads = nn.Conv1d(64, 12, 1)

    def forward(self, windows: Tensor) -> Tensor:
        """Return all leads `(row, lead, time)` of windows `(row, 1, time)`."""
        features = functional.relu(self.second(functional.relu(self.first(windows))))
        return self.over_leads(self.widen(functional.relu(self.narrow(features))))


def step_of(model: nn.Module, inputs: Tensor) -> Callable[[], None]:
    """Return one training step on fixed inputs."""
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-4)
    targets = torch.randn_like(model(inputs))

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        error = (model(inputs) - targets).flatten()
        (error @ error).backward()
        optimiser.step()

    return step


def count_operations(model: nn.Module, inputs: Tensor) -> int:
    """Return floating-point operations of one training step; right for ungrouped layers only."""
    step = step_of(model, inputs)
    with FlopCounterMode(display=False) as counter:
        step()
    return counter.get_total_flops()


def measure(
    name: str, build: Callable[[int], nn.Module], shape: tuple[int, int, int], *, n_round: int = 7
) -> float:
    """Print and return the share of the peak, the median over rounds with a good probe.

    `build(n_member)` gives the network for windows of `shape (row, member, time)`. Operations are
    counted on one member: the counter does not know of groups.
    """
    n_row, n_member, n_time = shape
    step = step_of(build(n_member), torch.randn(shape))
    operations = n_member * count_operations(build(1), torch.randn(n_row, 1, n_time))
    rounds = []
    for _ in range(n_round):
        probe = sgemm_probe()
        seconds = cpu_seconds(lambda: [step() for _ in range(8)]) / 8
        rounds.append((probe, 1e-9 * operations / seconds))
    probes, speeds = np.array(rounds).T
    kept = probes >= 0.7 * probes.max()
    shares = speeds[kept] / probes[kept]
    print(
        f"  {name:<44} {np.median(speeds[kept]):6.1f} GFLOP/s {np.median(shares):6.1%}"
        f" ({shares.min():.1%} to {shares.max():.1%}) of {np.median(probes[kept]):.0f}"
    )
    return float(np.median(shares))


def main() -> None:
    """Print a line per network."""
    one_thread()
    torch.manual_seed(0)
    title = "2-D network, 32/64 channels"
    measure(f"{title}, 4 s, width 1536", lambda _: Wide(1024, 1536), (128, 1, 1024))
    measure(f"{title}, 1 s, width 512", lambda _: Wide(256, 512), (64, 1, 256))
    for head in ("2d_shared", "1d"):
        width = matched_width(head, 200_000)
        build = partial(StackedCnn, head=head, width=width)
        measure(f"the book's CNN, head {head}, 12 stacked", build, (16, 12, N_TIME))
    for kernel in (9, 3):
        build = partial(Unet, kernel=kernel)
        measure(f"small U-Net, kernel {kernel}, 24 stacked", build, (16, 24, 256))


if __name__ == "__main__":
    main()
