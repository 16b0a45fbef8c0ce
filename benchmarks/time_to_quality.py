"""CPU time until the best network is as good as a plain U-Net is at the end of its training.

Run `ECGNB_DATA=folder OMP_NUM_THREADS=1 python benchmarks/time_to_quality.py`.

Plain arm: a U-Net (8/8/16 channels, kernel 9) from random weights, Adam, 30 epochs over
overlapping windows of 256 samples, one network a record, input lead and seed, one after the other.
Ours: the network that starts from nearest neighbours and ridge; its clock starts with nothing
fitted. Both arms get three learning rates, tried on a record that is not scored. Quality is the
mean squared error over the 11 hidden leads of the validation part, test error beside it.
"""

import time
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from subjects import subjects
from torch.nn import functional
from unet import Unet

from ecgnb.leads import LEADS
from ecgnb.reconstruction import corrector
from ecgnb.signals.preparation import Prepared, make_windows
from ecgnb.studies.runner import one_thread

GIVEN = LEADS.index("II")
SEEDS = (0, 1, 2)
N_EPOCH, N_TIME, HOP, BATCH = 30, 256, 16, 16
RATES = (1e-3, 3e-3, 1e-2)


@dataclass(frozen=True)
class Reached:
    """Errors (scaled units squared) and what they cost."""

    validation: float
    test: float
    cpu_s: float


def hidden_error(predicted: np.ndarray, truth: np.ndarray) -> float:
    """Return the mean squared error over the 11 hidden leads `(lead, time)`."""
    squared = np.square(predicted - truth).mean(axis=-1)
    return float(np.delete(squared, GIVEN).mean())


def predict_part(model: Unet, part: np.ndarray) -> np.ndarray:
    """Return all leads `(lead, time)` of a part, which a U-Net takes at one go."""
    signal = torch.from_numpy(part[GIVEN])
    padded = functional.pad(signal, (0, -len(signal) % 4))
    with torch.no_grad():
        return model(padded[None, None])[0, 0, :, : len(signal)].numpy()


def plain(prepared: Prepared, *, seed: int, learning_rate: float) -> Reached:
    """Return what the plain loop reaches at its end."""
    started = time.process_time()
    torch.manual_seed(seed)
    windows = torch.from_numpy(make_windows(prepared.train, N_TIME, hop=HOP))
    model = Unet(kernel=9)
    optimiser = torch.optim.Adam(model.parameters(), lr=learning_rate)
    hidden = torch.arange(len(LEADS)) != GIVEN
    for _ in range(N_EPOCH):
        for rows in torch.randperm(len(windows)).split(BATCH):
            batch = windows[rows]
            error = model(batch[:, [GIVEN]])[:, 0, hidden] - batch[:, hidden]
            optimiser.zero_grad()
            error.square().mean().backward()
            optimiser.step()
    cpu_s = time.process_time() - started
    parts = (prepared.validation, prepared.test)
    return Reached(*(hidden_error(predict_part(model, part), part) for part in parts), cpu_s)


def ours(prepared: Prepared, target: float, *, seed: int, learning_rate: float) -> Reached:
    """Return the errors and the CPU time until validation was below the target, inf if never.

    Before any step the network equals the nearest neighbours; it is trained only if these miss
    the target.
    """
    started = time.process_time()
    closed = corrector.fit_closed_forms(prepared, inputs=(GIVEN,))
    checked, tested = (
        torch.from_numpy(corrector.closed_forms(*closed, part[[GIVEN]]))
        for part in (prepared.validation, prepared.test)
    )
    error = hidden_error(corrector.start_of(checked)[0].numpy(), prepared.validation)
    predicted, cpu_s = corrector.start_of(tested), time.process_time() - started
    if error >= target:
        seen = torch.from_numpy(
            corrector.closed_forms(*closed, prepared.train[[GIVEN]], held_out=True)
        )
        before = time.process_time() - started
        targets = (torch.from_numpy(prepared.train), torch.from_numpy(prepared.validation))
        ((network, blend),), history = corrector.fit_correctors(
            [corrector.Lesson((seen, checked), targets)],
            options=corrector.BestOptions(48, 800, 8, learning_rate=learning_rate, check_every=50),
            inputs=(GIVEN,),
            seed=seed,
        )
        errors = np.array(history.validation)[:, 0]
        error, below = errors.min(), np.flatnonzero(errors < target)
        cpu_s = before + history.cpu_s_at[below[0]] if below.size else np.inf
        given = torch.eye(len(LEADS))[[GIVEN]]
        predicted = predicted + blend[..., None] * corrector.correction(network, tested, given)
    return Reached(error, hidden_error(predicted[0].numpy(), prepared.test), cpu_s)


def tune(prepared: Prepared) -> tuple[float, float]:
    """Return the learning rates of both arms with the least validation error on one record."""
    plain_errors = [plain(prepared, seed=9, learning_rate=rate).validation for rate in RATES]
    our_errors = [ours(prepared, 0.0, seed=9, learning_rate=rate).validation for rate in RATES]
    return RATES[int(np.argmin(plain_errors))], RATES[int(np.argmin(our_errors))]


def main() -> None:
    """Print a row per record and seed, then the median ratio."""
    one_thread()
    tuned_on, *scored = subjects()
    plain_rate, our_rate = tune(tuned_on)
    print(
        f"learning rates, tried on {tuned_on.record.name}: {plain_rate:g} plain, {our_rate:g} ours"
    )
    rows = []
    for prepared in scored:
        for seed in SEEDS:
            end = plain(prepared, seed=seed, learning_rate=plain_rate)
            here = ours(prepared, end.validation, seed=seed, learning_rate=our_rate)
            rows.append(
                {
                    "record": prepared.record.name,
                    "seed": seed,
                    "plain_validation": end.validation,
                    "plain_test": end.test,
                    "plain_cpu_s": end.cpu_s,
                    "our_validation": here.validation,
                    "our_test": here.test,
                    "our_cpu_s": here.cpu_s,
                    "ratio": end.cpu_s / here.cpu_s,
                    "reached": "yes" if np.isfinite(here.cpu_s) else "not reached",
                }
            )
            print(
                pd.DataFrame(rows[-1:]).to_string(index=False, header=len(rows) == 1), flush=True
            )
    table = pd.DataFrame(rows)
    ratios, n_reached = table["ratio"], (table["reached"] == "yes").sum()
    print(
        f"reached in {n_reached} of {len(table)}; ratio of CPU time: median {ratios.median():.1f}"
        f" ({ratios.min():.1f} to {ratios.max():.1f})"
    )


if __name__ == "__main__":
    main()
