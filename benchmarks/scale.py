"""Write what the closed forms cost for 100, 500 and 2,000 simulated records: `results/scale.csv`.

Run `OMP_NUM_THREADS=1 python benchmarks/scale.py FOLDER [JOBS] [COUNT ...]`. The cohort and the
tables go to FOLDER (2 GB). Each count is a fresh `ecgnb run reconstruction` with five closed
forms; CPU time, the peak memory of all its processes, and the space that tasks and table take are
measured. Rows of an earlier run with the same count and processes are replaced.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import psutil

from ecgnb.records.databases import find_records
from ecgnb.simulation.cohort import write_cohort
from ecgnb.studies.costs import forecast

PATH = Path(__file__).parents[1] / "results" / "scale.csv"
PROGRAM = [sys.executable, "-c", "from ecgnb.cli import main; main()", "run", "reconstruction"]
METHODS = ("mean", "line_through_origin", "least_squares", "lagged_ridge", "average_beat")
COUNTS, DURATION_S = (100, 500, 2000), 12.0


def memory_mb(process: psutil.Process) -> float:
    """Return what a process and its children hold in memory (PSS: shared pages counted once)."""
    total = 0.0
    for one in [process, *process.children(recursive=True)]:
        try:
            total += one.memory_full_info().pss / 1e6
        except psutil.Error:
            continue
    return total


def disk_mb(folder: Path) -> float:
    """Return the space that all files below a folder take."""
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file()) / 1e6


def measure(data: Path, names: list[str], folder: Path, jobs: int) -> dict[str, float]:
    """Return the costs of one run on the named records."""
    command = [*PROGRAM, "--data", str(data), "--out", str(folder / "table.csv.gz")]
    command += ["--methods", ",".join(METHODS), "--jobs", str(jobs)]
    started, peak_mb = time.monotonic(), 0.0
    with (folder / "log.txt").open("w") as log:
        run = subprocess.Popen([*command, "--records", ",".join(names)], stdout=log, stderr=log)
        watched = psutil.Process(run.pid)
        while True:
            try:
                done, status, usage = os.wait4(run.pid, os.WNOHANG)
                if done:
                    break
                peak_mb = max(peak_mb, memory_mb(watched))
            except psutil.Error:
                pass
            time.sleep(0.5)
    if status:
        raise SystemExit((folder / "log.txt").read_text())
    return {
        "n_record": len(names),
        "jobs": jobs,
        "wall_s": time.monotonic() - started,
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "cpu_s_per_record": (usage.ru_utime + usage.ru_stime) / len(names),
        "peak_mb": peak_mb,
        "disk_mb": disk_mb(folder),
    }


def foretold(n_record: int) -> float:
    """Return the CPU seconds per record that `--dry-run` tells."""
    cost = forecast([DURATION_S] * n_record, METHODS)
    return 3600 * cost.cpu_h / n_record


def main(folder: str, jobs: str = "1", *counts: str) -> None:
    """Measure every count and print the table."""
    data = write_cohort(
        Path(folder) / "cohort", n_twadb=max(COUNTS), n_patient=0, duration_s=DURATION_S
    )
    names = [path.stem for path in find_records(data, "twadb")]
    for count in [int(count) for count in counts] or COUNTS:
        target = Path(folder) / f"{count}-{jobs}-{time.time_ns()}"
        target.mkdir()
        row = pd.DataFrame([measure(data, names[:count], target, int(jobs))])
        table = pd.concat([pd.read_csv(PATH), row]) if PATH.is_file() else row
        table = table.drop_duplicates(["n_record", "jobs"], keep="last")
        table["forecast_cpu_s_per_record"] = [foretold(n) for n in table["n_record"]]
        table.to_csv(PATH, index=False, float_format="%.5g")
        print(row.to_string(index=False), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
