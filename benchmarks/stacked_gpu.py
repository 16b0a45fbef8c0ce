"""The small U-Net on a CUDA card: many trained at once, stacked, against one by one.

Run `OMP_NUM_THREADS=1 python benchmarks/stacked_gpu.py`. A step of one small network keeps a card
waiting for the next launch. Five ways to train: one by one, as written and with the step captured
once as a CUDA graph (one launch); stacked with grouped convolutions, as on the CPU; stacked with
each convolution written as one batched matrix product, as written and captured. Wall time; equal
in float64.
"""

import copy
from collections.abc import Callable
from functools import partial

import torch
from stacked import draw, parts_of, train_each
from timing import card_seconds, compare, print_comparison
from torch import Tensor
from torch.nn import functional
from unet import Conv, Unet, stack_of, step


class ProductConv(Conv):
    """The same convolutions on `(member, channel, row, time)` as one batched matrix product."""

    def forward(self, signals: Tensor, stride: int = 1) -> Tensor:
        """Return `(member, channel, row, time / stride)`."""
        n_member, n_in, n_row, _ = signals.shape
        kernel = self.weight.shape[-1]
        windows = functional.pad(signals, (kernel // 2, kernel // 2)).unfold(-1, kernel, stride)
        columns = windows.permute(0, 1, 4, 2, 3).reshape(n_member, n_in * kernel, -1)
        out = torch.baddbmm(self.bias.unsqueeze(2), self.weight.flatten(2), columns)
        return out.unflatten(2, (n_row, -1))


class ProductUnet(Unet):
    """The same network with `ProductConv`; windows `(row, member, time)` to all leads."""

    conv_type = ProductConv

    def forward(self, windows: Tensor) -> Tensor:
        """Return `(row, member, lead, time)`."""
        return self.leads_of(windows.transpose(0, 1).unsqueeze(1)).permute(2, 0, 1, 3)


def draw_on_card(batch_size: int, n_step: int, dtype: torch.dtype, n_member: int) -> list[tuple]:
    """Return random inputs `(row, member, time)` and targets on the card, one pair per step."""
    windows = draw(batch_size, n_step, dtype, n_member=n_member)
    return [(inputs.cuda(), targets.cuda()) for inputs, targets in windows]


def capture(model: Unet, windows: list[tuple], *, learning_rate: float = 1e-3) -> Callable:
    """Return a function that trains from the start by replays of one captured step.

    Steps taken to warm up before the capture are undone at each call.
    """
    optimiser = torch.optim.Adam(model.parameters(), learning_rate, capturable=True, fused=True)
    start = copy.deepcopy(model.state_dict())
    inputs, targets = (part.clone() for part in windows[0])
    take = partial(step, model, optimiser, inputs, targets)
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            take()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        take()

    def train_by_replays() -> Unet:
        model.load_state_dict(start)
        for state in optimiser.state.values():
            for tensor in state.values():
                tensor.zero_()
        for new_inputs, new_targets in windows:
            inputs.copy_(new_inputs)
            targets.copy_(new_targets)
            graph.replay()
        return model

    return train_by_replays


def as_products(network: Unet) -> ProductUnet:
    """Return a network with the same weights whose convolutions are matrix products."""
    weight = network.enter.weight
    other = ProductUnet(network.n_member, kernel=weight.shape[-1]).to(weight)
    other.load_state_dict(network.state_dict())
    return other


def ways(members: list[Unet], windows: list[tuple]) -> dict[str, Callable[[], list[Unet]]]:
    """Return the five ways to train the same members on the same windows."""
    alone, together = (parts_of(windows, size) for size in (1, len(members)))
    stack = stack_of(members)
    products = as_products(stack)
    captured = [capture(copy.deepcopy(m), part) for m, part in zip(members, alone, strict=True)]
    captured_stack = capture(as_products(stack), windows)
    return {
        "one by one": lambda: train_each(members, alone),
        "one by one, captured": lambda: [replay() for replay in captured],
        "stacked, grouped convolutions": lambda: train_each([stack], together),
        "stacked, matrix products": lambda: train_each([products], [windows]),
        "stacked, matrix products, captured": lambda: [captured_stack()],
    }


def check_equal(n_member: int = 24, n_step: int = 20) -> float:
    """Return the largest difference of weights between the five ways in float64."""
    members = [Unet().double().cuda() for _ in range(n_member)]
    windows = draw_on_card(4, n_step, torch.float64, n_member)
    trained = [way() for way in ways(members, windows).values()]
    first, *others = (nets[0] if len(nets) == 1 else stack_of(nets) for nets in trained)
    start = stack_of(members)
    assert not torch.equal(start.leave.weight, first.leave.weight), "nothing was learnt"
    return max(
        float((a - b).detach().abs().max())
        for other in others
        for a, b in zip(first.parameters(), other.parameters(), strict=True)
    )


def time_ways(n_member: int, batch_size: int, *, kernel: int, n_step: int, n_round: int) -> None:
    """Print the wall time of the five ways and their ratio to the last one."""
    members = [Unet(kernel=kernel).cuda() for _ in range(n_member)]
    arms = ways(members, draw_on_card(batch_size, n_step, torch.float32, n_member))
    comparison = compare(arms, n_round=n_round, clock=card_seconds)
    title = f"{n_member} U-Nets, kernel {kernel}, batch {batch_size}, {n_step} steps"
    print_comparison(title, comparison, unit="s")
    alone, captured, _, products, captured_products = arms
    for slow, fast in ((alone, products), (captured, captured_products)):
        median, low, high = comparison.ratio(slow, fast)
        print(f"  {slow} / {fast}: {median:.1f} x ({low:.1f} to {high:.1f})", flush=True)


def main() -> None:
    """Print equality, then the timings."""
    if not torch.cuda.is_available():
        print("no CUDA card here: nothing measured")
        return
    torch.backends.cudnn.allow_tf32 = False
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}")
    difference = check_equal()
    assert difference < 1e-10, f"the five ways differ by {difference}"
    print(f"largest difference of weights after 20 Adam steps, float64: {difference:.1e}")
    for kernel, n_member, batch_size in (
        (3, 24, 16), (3, 24, 4), (9, 24, 16), (9, 24, 4), (3, 96, 16), (3, 96, 4),
    ):  # fmt: skip
        n_step = 30 if n_member == 24 else 10
        time_ways(n_member, batch_size, kernel=kernel, n_step=n_step, n_round=5)


if __name__ == "__main__":
    main()
