"""Write what PTB-XL and a week of 1,000 wearers would take: `results/benchmarks/crowd.csv`.

Run `python benchmarks/crowd.py`. On paper: tasks, CPU hours, memory and disk by the measured costs
that `--dry-run` uses too, for 2, 16 and 256 processes. By simulation: a Dask scheduler on
loopback is given as many tasks as PTB-XL has records (21,799; Wagner et al., 2020, version 1.0.3),
which do nothing, so that what is measured is the scheduler alone. How many processes it can feed
is the CPU time of a task over the time that the scheduler takes for one.
"""

import time
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
from distributed import Client, LocalCluster, wait

from ecgnb.reconstruction.methods import CLOSED_FORMS
from ecgnb.studies.costs import Forecast, forecast, forecast_hours

PATH = Path(__file__).parents[1] / "results" / "benchmarks" / "crowd.csv"
PTB_XL = np.full(21_799, 10.0)
N_WEARER, WEEK_H = 1000, 7 * 24.0
N_PROCESS = (2, 16, 256)
AT_ONCE = 2000


def on_paper(n_process: int) -> dict[str, Forecast]:
    """Return what both would take with so many processes."""
    return {
        "PTB-XL, closed forms": forecast(PTB_XL, CLOSED_FORMS, jobs=n_process),
        "week of 1,000 wearers, neighbours": forecast_hours(
            WEEK_H, "neighbours", n_wearer=N_WEARER, jobs=n_process
        ),
    }


def scheduling(n_task: int) -> dict[str, float]:
    """Return the seconds that a scheduler takes for a task, and the memory it comes to hold."""
    options = {"n_workers": 2, "threads_per_worker": 1, "processes": True}
    with LocalCluster(dashboard_address=None, **options) as cluster, Client(cluster) as client:
        before = psutil.Process().memory_info().rss
        client.gather(client.map(abs, range(100), pure=False))
        started, futures = time.monotonic(), []
        for first in range(0, n_task, AT_ONCE):
            numbers = range(first, min(first + AT_ONCE, n_task))
            futures += client.map(abs, numbers, pure=False)
        wait(futures)
        took_s = time.monotonic() - started
        grown_mb = (psutil.Process().memory_info().rss - before) / 1e6
    return {"scheduler_ms_a_task": 1000 * took_s / n_task, "scheduler_mb": grown_mb}


def row_of(what: str, n_process: int, cost: Forecast, measured: dict[str, float]) -> dict:
    """Return a row: what is needed, how many processes can be fed, and what breaks first."""
    cpu_s_a_task = 3600 * cost.cpu_h / cost.n_task
    fed = 1000 * cpu_s_a_task / measured["scheduler_ms_a_task"]
    wall_h = max(cost.wall_h, cost.n_task * measured["scheduler_ms_a_task"] / 3.6e6)
    needs = {
        "processes that the scheduler can feed": n_process / fed,
        "disk of 1 TB": cost.disk_mb / 1e6,
        "memory of 64 GB": cost.memory_mb / 64_000,
        "a day of wall time": wall_h / 24,
    }
    return {
        "what": what,
        "processes": n_process,
        "tasks": cost.n_task,
        "cpu_h": cost.cpu_h,
        "wall_h": wall_h,
        "memory_gb": cost.memory_mb / 1000,
        "disk_gb": cost.disk_mb / 1000,
        **measured,
        "processes_fed": fed,
        "breaks_first": max(needs, key=needs.__getitem__),
        "by_a_factor": max(needs.values()),
    }


def main() -> None:
    """Measure the scheduler and print the table."""
    measured = scheduling(len(PTB_XL))
    rows = [
        row_of(what, n_process, cost, measured)
        for n_process in N_PROCESS
        for what, cost in on_paper(n_process).items()
    ]
    table = pd.DataFrame(rows)
    table.to_csv(PATH, index=False, float_format="%.4g")
    print(table.to_string(index=False))


if __name__ == "__main__":
    main()
