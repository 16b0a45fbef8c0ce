"""Side-by-side timing: arms in turn, CPU time, rounds on a disturbed machine left out."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from ecgnb.studies.runner import one_thread

_PROBE_SIZE = 1024
_LEAST_PROBE = 0.7


def cpu_seconds(work: Callable[[], object]) -> float:
    """Return the CPU seconds that a call takes in this process."""
    started = time.process_time()
    work()
    return time.process_time() - started


def card_seconds(work: Callable[[], object]) -> float:
    """Return the wall seconds of a call, the work that it leaves on the CUDA card included."""
    torch.cuda.synchronize()
    started = time.perf_counter()
    work()
    torch.cuda.synchronize()
    return time.perf_counter() - started


def sgemm_probe(n_repeat: int = 4) -> float:
    """Return GFLOP/s of a float32 matrix product, the best of a few: how fast the core is now."""
    matrix = torch.ones(_PROBE_SIZE, _PROBE_SIZE)
    seconds = min(cpu_seconds(lambda: matrix @ matrix) for _ in range(n_repeat))
    return 2e-9 * _PROBE_SIZE**3 / seconds


@dataclass(frozen=True)
class Comparison:
    """Seconds `(arm, round)` of several arms and the probe `(round,)` of each round."""

    names: tuple[str, ...]
    seconds: np.ndarray
    probes: np.ndarray

    @property
    def kept(self) -> np.ndarray:
        """Which rounds ran on an undisturbed core: probe at least 70 % of the best one."""
        return self.probes >= _LEAST_PROBE * self.probes.max()

    def median(self, name: str) -> float:
        """Return the median seconds of an arm."""
        return float(np.median(self.seconds[self.names.index(name), self.kept]))

    def ratio(self, slow: str, fast: str) -> tuple[float, float, float]:
        """Return median, lowest and highest ratio of two arms, paired by round."""
        rows = [self.seconds[self.names.index(name), self.kept] for name in (slow, fast)]
        ratios = rows[0] / rows[1]
        return float(np.median(ratios)), float(ratios.min()), float(ratios.max())


def compare(
    arms: Mapping[str, Callable[[], object]],
    *,
    n_round: int = 5,
    clock: Callable[[Callable[[], object]], float] = cpu_seconds,
) -> Comparison:
    """Return seconds of arms that take turns, A B A B, one warm-up each, one thread."""
    one_thread()
    for work in arms.values():
        work()
    probes, rounds = [], []
    for _ in range(n_round):
        probes.append(sgemm_probe())
        rounds.append([clock(work) for work in arms.values()])
    return Comparison(tuple(arms), np.array(rounds).T, np.array(probes))


def print_comparison(title: str, comparison: Comparison, *, unit: str = "CPU-s") -> None:
    """Print a comparison: medians, paired ratio against the last arm, rounds kept."""
    reference = comparison.names[-1]
    kept, total = int(comparison.kept.sum()), len(comparison.probes)
    print(
        f"\n{title}  ({kept} of {total} rounds kept, sgemm {comparison.probes.max():.0f} GFLOP/s)"
    )
    for name in comparison.names:
        median, low, high = comparison.ratio(name, reference)
        print(
            f"  {name:<44} {comparison.median(name):9.3f} {unit}"
            f"  {median:6.2f} x ({low:.2f} to {high:.2f})"
        )
