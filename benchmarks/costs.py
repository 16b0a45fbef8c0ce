"""Write what one task costs, by method and duration: `ecgnb/data/costs.csv`.

Run `OMP_NUM_THREADS=1 python benchmarks/costs.py [PART]`. Closed forms are timed on 4
simulated records of each duration, networks on one. CPU seconds of one thread, and MB. What hours
of one lead cost is taken from the table that `benchmarks/long.py` wrote:
`python benchmarks/costs.py FOLDER/long.csv`.
"""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

from ecgnb.reconstruction.methods import CLOSED_FORMS, METHODS
from ecgnb.simulation.cohort import write_cohort
from ecgnb.studies.reconstruction import run_reconstruction

PATH = Path(__file__).parents[1] / "ecgnb" / "data" / "costs.csv"
DURATIONS_S, NETWORK_DURATIONS_S, N_RECORD = (10.0, 20.0, 60.0, 120.0), (20.0, 120.0), 4
MEGABYTE = 1e6


def timed_run(data: Path, methods: tuple[str, ...], **options: object) -> tuple[float, pd.Series]:
    """Return the CPU seconds of a run and the mean ones inside each method."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.process_time()
        summary = run_reconstruction(data, Path(folder) / "t.csv.gz", methods=methods, **options)
        cpu_s = time.process_time() - started
        files = [path for path in Path(folder).rglob("*") if path.is_file()]
        disk_mb = sum(path.stat().st_blocks * 512 for path in files) / MEGABYTE
    costs = summary.means.groupby("method")["cpu_s"].mean()
    return cpu_s, pd.concat([costs, pd.Series({"disk_mb": disk_mb / len(summary.means)})])


def closed_form_rows(data: Path, duration_s: float) -> list[tuple[str, float, float]]:
    """Return the costs of the closed forms, of a record and of a task, for one duration."""
    one_s, _ = timed_run(data, ("mean",))
    all_s, costs = timed_run(data, CLOSED_FORMS)
    inside = costs[list(CLOSED_FORMS)]
    outside_s = (all_s - one_s) / N_RECORD - inside.drop("mean").sum()
    task_s = max(outside_s / (len(CLOSED_FORMS) - 1), 0.0)
    rows = {**costs, "task": task_s, "record": one_s / N_RECORD - inside["mean"] - task_s}
    rows["memory_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / MEGABYTE
    return [(what, duration_s, value) for what, value in rows.items()]


def network_rows(cohorts: dict[float, Path]) -> list[tuple[str, float, float]]:
    """Return the costs of the networks."""
    rows = []
    for duration_s in NETWORK_DURATIONS_S:
        for method in sorted(set(METHODS) - set(CLOSED_FORMS)):
            _, costs = timed_run(cohorts[duration_s], (method,), records=["twa01"])
            rows.append((method, duration_s, costs[method]))
            print(rows[-1], flush=True)
    return rows


def hour_rows(path: Path) -> list[tuple[str, float, float]]:
    """Return the costs of hours by method and duration, and the most memory of any."""
    table = (
        pd.read_csv(path).groupby(["method", "hours"], as_index=False).median(numeric_only=True)
    )
    rows = [(f"hours_{one.method}", 3600 * one.hours, one.cpu_s) for one in table.itertuples()]
    return [*rows, ("hours_memory_mb", 1.0, table["peak_mb"].max())]


def start_s() -> float:
    """Return the CPU seconds that a process takes to start."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", "import ecgnb.studies.reconstruction"], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def write_rows(rows: list[tuple[str, float, float]]) -> None:
    """Write rows into the table, in place of those of the same names."""
    table = pd.DataFrame(rows, columns=["what", "duration_s", "value"])
    if PATH.is_file():
        before = pd.read_csv(PATH)
        table = pd.concat([before[~before["what"].isin(table["what"])], table])
    table = table.sort_values(["what", "duration_s"])
    table.to_csv(PATH, index=False, float_format="%.4g")
    print(table.to_string(index=False))


def main(part: str = "all") -> None:
    """Measure and write the table; `closed_forms` or `networks` measure a part of it."""
    if part.endswith(".csv"):
        write_rows(hour_rows(Path(part)))
        return
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        cohorts = {
            duration_s: write_cohort(
                Path(folder) / f"{duration_s:g}",
                n_twadb=N_RECORD,
                n_patient=0,
                duration_s=duration_s,
            )
            for duration_s in DURATIONS_S
        }
        if part != "networks":
            timed_run(cohorts[DURATIONS_S[0]], CLOSED_FORMS)
            for duration_s, data in cohorts.items():
                rows += closed_form_rows(data, duration_s)
            rows.append(("start", 1.0, start_s()))
        if part != "closed_forms":
            rows += network_rows(cohorts)
    write_rows(rows)


if __name__ == "__main__":
    main(*sys.argv[1:])
