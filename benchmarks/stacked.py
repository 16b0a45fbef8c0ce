"""Many small networks trained at once, stacked, against one by one; equal in float64.

Run `OMP_NUM_THREADS=1 python benchmarks/stacked.py`. Rows with two OpenMP threads and with
`DataLoader` workers show why the package uses neither.
"""

import copy

import torch
from timing import compare, print_comparison
from torch.utils.data import DataLoader, TensorDataset
from unet import N_LEAD, Unet, as_put_out, stack_of, train

N_MODEL = 24
N_TIME = 256


def draw(
    batch_size: int, n_step: int, dtype: torch.dtype, *, n_member: int = N_MODEL
) -> list[tuple]:
    """Return random inputs `(row, member, time)` and targets, one pair per step."""
    generator = torch.Generator().manual_seed(0)
    shape = (batch_size, n_member, N_LEAD, N_TIME)
    return [
        (target[:, :, 0].contiguous(), target)
        for target in (
            torch.randn(shape, generator=generator, dtype=dtype).cumsum(-1) / 8
            for _ in range(n_step)
        )
    ]


def parts_of(windows: list[tuple], size: int) -> list[list[tuple]]:
    """Return the windows of each `size` members that follow each other."""
    return [
        [(x[:, m : m + size].contiguous(), as_put_out(y[:, m : m + size])) for x, y in windows]
        for m in range(0, windows[0][0].shape[1], size)
    ]


def one_by_one(members: list[Unet], windows: list[tuple]) -> list[Unet]:
    """Return each member trained alone on its part of the windows."""
    return train_each(members, parts_of(windows, 1))


def train_each(networks: list[Unet], parts: list[list[tuple]]) -> list[Unet]:
    """Return copies of networks, each trained on its part."""
    return [
        train(copy.deepcopy(network), part) for network, part in zip(networks, parts, strict=True)
    ]


def check_equal(n_step: int = 20) -> float:
    """Return the largest difference of weights after training both ways in float64."""
    members = [Unet().double() for _ in range(N_MODEL)]
    windows = draw(4, n_step, torch.float64)
    start = stack_of(members)
    (stacked,) = train_each([start], parts_of(windows, N_MODEL))
    alone = stack_of(one_by_one(members, windows))
    assert not torch.equal(start.leave.weight, stacked.leave.weight), "nothing was learnt"
    pairs = zip(stacked.parameters(), alone.parameters(), strict=True)
    return max(float((a - b).detach().abs().max()) for a, b in pairs)


def time_batch(batch_size: int, *, kernel: int, n_step: int = 6, n_round: int = 7) -> None:
    """Print CPU time of both ways at one batch size."""
    members = [Unet(kernel=kernel) for _ in range(N_MODEL)]
    windows = draw(batch_size, n_step, torch.float32)
    size = N_MODEL if batch_size < 8 else N_MODEL // 2
    stacks = [stack_of(members[m : m + size]) for m in range(0, N_MODEL, size)]
    alone, together = parts_of(windows, 1), parts_of(windows, size)
    arms = {
        "one by one": lambda: train_each(members, alone),
        f"stacked by {size}": lambda: train_each(stacks, together),
    }
    title = f"{N_MODEL} U-Nets, kernel {kernel}, batch {batch_size}, {n_step} steps"
    print_comparison(title, compare(arms, n_round=n_round))


def two_threads(batch_size: int = 16, n_step: int = 6) -> None:
    """Print what a second OpenMP thread costs in CPU time."""
    model, windows = (
        Unet(),
        [(x[:, :1], y[:, :1]) for x, y in draw(batch_size, n_step, torch.float32)],
    )

    def with_threads(count: int) -> None:
        torch.set_num_threads(count)
        train(copy.deepcopy(model), windows * 8)
        torch.set_num_threads(1)

    arms = {"two OpenMP threads": lambda: with_threads(2), "one": lambda: with_threads(1)}
    print_comparison("one U-Net, threads", compare(arms))


def data_loader(n_window: int = 256, batch_size: int = 16) -> None:
    """Print wall time of one pass over the windows of a record, three ways."""
    import time

    data = torch.randn(n_window, N_LEAD, N_TIME)
    loaders = {
        f"DataLoader, {count} workers": DataLoader(
            TensorDataset(data), batch_size=batch_size, shuffle=True, num_workers=count
        )
        for count in (2, 0)
    }
    print("\none pass over 256 windows, wall time")
    for name, loader in loaders.items():
        started = time.perf_counter()
        for _ in loader:
            pass
        print(f"  {name:<44} {1000 * (time.perf_counter() - started):9.1f} ms")
    started = time.perf_counter()
    for rows in torch.randperm(n_window).split(batch_size):
        data.index_select(0, rows)
    print(f"  {'index_select':<44} {1000 * (time.perf_counter() - started):9.1f} ms")


def main() -> None:
    """Print equality, then the timings."""
    difference = check_equal()
    assert difference < 1e-10, f"stacked and one by one differ by {difference}"
    print(f"largest difference of weights after 20 Adam steps, float64: {difference:.1e}")
    for kernel in (3, 5, 9):
        for batch_size in (16, 4):
            time_batch(batch_size, kernel=kernel)
    two_threads()
    data_loader()


if __name__ == "__main__":
    main()
