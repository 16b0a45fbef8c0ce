"""The best network of 12 records on a CUDA card, all in one process, against one processor core.

Run `ECGNB_DATA=folder OMP_NUM_THREADS=1 python benchmarks/best_on_card.py`. Four recordings of
each origin, each for all 12 input leads: the card looks all of them up and trains their networks
as one stack; the core does the same for two of them, one after the other, with one thread. Wall
time of look-ups and training told apart, and r, the mean over input and other leads of the test
part. The card has been started, and a small problem solved on it, before its time begins.

The recorded run is of the network of version 0.1.0, 48 channels and 300 steps; since then one has
16 channels and 500 steps, and the core looks up a quarter faster.
"""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import pandas as pd
import torch
from best_cost import INPUTS, chosen, mean_r

from ecgnb.reconstruction import corrector
from ecgnb.reconstruction.corrector import BestModel, BestOptions
from ecgnb.signals.preparation import Prepared
from ecgnb.studies.runner import one_thread

N_BASELINE = 2


@dataclass(frozen=True)
class Fitted:
    """Seconds that look-ups and training took, and r of each record by name."""

    looked_up_s: float
    trained_s: float
    r: dict[str, float]


def timed(work: Callable[[], object]) -> tuple[object, float]:
    """Return what some work returns, and its wall time when all of it is done, s."""
    started = time.perf_counter()
    found = work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return found, time.perf_counter() - started


def fit_all(several: Sequence[Prepared], options: BestOptions) -> Fitted:
    """Fit the networks of all records at once and predict their test parts."""

    def look_up() -> list[tuple]:
        found = []
        for prepared in several:
            closed = corrector.fit_closed_forms(prepared, inputs=INPUTS)
            lesson = corrector.lesson_of(prepared, closed, INPUTS)
            neighbours = corrector.refit_neighbours(prepared)
            tested = corrector.closed_forms(neighbours, closed[1], prepared.test)
            found.append((lesson, torch.from_numpy(tested), neighbours, closed[1]))
        return found

    found, looked_up_s = timed(look_up)
    (fitted, _), trained_s = timed(
        lambda: corrector.fit_correctors([each[0] for each in found], options=options)
    )
    r = {}
    for prepared, (_, channels, *forms), parts in zip(several, found, fitted, strict=True):
        guess = BestModel(INPUTS, *forms, *parts).correct(channels)
        r[prepared.record.name] = mean_r(prepared.test, guess, prepared)
    return Fitted(looked_up_s, trained_s, r)


def on_core(several: Sequence[Prepared], options: BestOptions) -> list[Fitted]:
    """Fit the networks one after the other on the processor."""
    os.environ["ECGNB_DEVICE"] = "cpu"
    fitted = [fit_all([prepared], options) for prepared in several]
    del os.environ["ECGNB_DEVICE"]
    return fitted


def main() -> None:
    """Print the times of both, their ratio for the same number of records, and the scores."""
    one_thread()
    if not torch.cuda.is_available():
        raise SystemExit("no CUDA card is here, and this benchmark needs one")
    several, options = [prepared for *_, prepared in chosen()], BestOptions()
    corrector.fit_best_each(several[:1], options=replace(options, n_step=2))
    card = fit_all(several, options)
    core = on_core(several[:N_BASELINE], options)
    rows = [("card", len(several), card.looked_up_s, card.trained_s)]
    sums = (sum(each.looked_up_s for each in core), sum(each.trained_s for each in core))
    rows += [("one core", len(core), *sums)]
    table = pd.DataFrame(rows, columns=["where", "records", "look_ups_s", "training_s"])
    for part in ("look_ups_s", "training_s"):
        table[f"{part}_a_record"] = table[part] / table["records"]
    table["s_a_record"] = table["look_ups_s_a_record"] + table["training_s_a_record"]
    size = f"{options.width} channels, {options.n_step} steps"
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, {size}")
    print(table.to_string(index=False, float_format="%.2f"))
    ratios = (table.iloc[1, 4:] / table.iloc[0, 4:]).to_dict()
    print("core / card:", ", ".join(f"{name} {ratio:.1f} x" for name, ratio in ratios.items()))
    told = {name: r for each in core for name, r in each.r.items()}
    for name, r in card.r.items():
        other = f", core {told[name]:.6f}, apart {r - told[name]:+.6f}" if name in told else ""
        print(f"{name}: r {r:.6f}{other}")


if __name__ == "__main__":
    main()
