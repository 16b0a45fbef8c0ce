"""Write how two Dask workers compare with `--jobs 2`: `results/cluster.csv`.

Run `ECGNB_DATA=folder OMP_NUM_THREADS=1 python benchmarks/cluster.py FOLDER [N_RECORD]`. The
closed forms run on records of twadb by two local processes, by one scheduler with two workers on
loopback, and by the same with one worker killed half-way; the tables must be the same bytes.
"""

import subprocess
import sys
import time
from pathlib import Path

import pandas as pd

from ecgnb.reconstruction.methods import CLOSED_FORMS
from ecgnb.records.databases import data_folder, find_records

PATH = Path(__file__).parents[1] / "results" / "cluster.csv"
PROGRAM = [sys.executable, "-c", "from ecgnb.cli import main; main()", "run", "reconstruction"]
ADDRESS = "tcp://127.0.0.1:18791"


def dask(folder: Path, *words: str) -> subprocess.Popen:
    """Return a process of Dask's command line, its output in a log."""
    log = (folder / f"{words[0]}-{time.time_ns()}.log").open("w")
    command = [sys.executable, "-m", "dask", *words, "--no-dashboard"]
    return subprocess.Popen(command, stdout=log, stderr=log)


def cluster(folder: Path) -> list[subprocess.Popen]:
    """Return a scheduler and two workers that are ready."""
    from distributed import Client

    place = ["--nthreads", "1", "--no-nanny", "--local-directory", str(folder)]
    processes = [dask(folder, "scheduler", "--host", "127.0.0.1", "--port", ADDRESS[-5:])]
    processes += [dask(folder, "worker", ADDRESS, *place) for _ in range(2)]
    with Client(ADDRESS, timeout=60) as client:
        client.wait_for_workers(2, timeout=60)
    return processes


def timed(out: Path, names: list[str], *options: str, victim: subprocess.Popen | None) -> float:
    """Return the wall seconds of a run; the victim is killed when half of the tasks are done."""
    command = [*PROGRAM, "--data", str(data_folder()), "--out", str(out), *options]
    command += ["--methods", "closed_forms", "--records", ",".join(names)]
    started = time.monotonic()
    with out.with_suffix(".log").open("w") as log:
        run = subprocess.Popen(command, stdout=log, stderr=log)
        half = len(names) * len(CLOSED_FORMS) // 2
        while run.poll() is None:
            done = len(list(out.with_name(f"{out.name}.tasks").glob("*.cost.csv")))
            if victim is not None and done >= half:
                victim.kill()
                victim = None
            time.sleep(0.2)
    if run.returncode:
        raise SystemExit(out.with_suffix(".log").read_text())
    return time.monotonic() - started


def main(folder: str, n_record: str = "1000") -> None:
    """Time the three runs, compare their tables, and print and write what was found."""
    place = Path(folder) / str(time.time_ns())
    place.mkdir(parents=True)
    names = [path.stem for path in find_records(data_folder(), "twadb")][: int(n_record)]
    rows, tables = [], []
    for run in ("two local processes", "two Dask workers", "one of two Dask workers killed"):
        out = place / f"{len(rows)}.csv.gz"
        processes = cluster(place) if "Dask" in run else []
        options = ["--scheduler", ADDRESS] if processes else ["--jobs", "2"]
        victim = processes[1] if "killed" in run else None
        wall_s = timed(out, names, *options, victim=victim)
        for process in processes:
            process.kill()
            process.wait()
        tables.append(out.read_bytes())
        rows.append((run, len(names), wall_s, tables[-1] == tables[0]))
        print(rows[-1], flush=True)
    table = pd.DataFrame(rows, columns=["run", "n_record", "wall_s", "same_table"])
    table["throughput"] = table["wall_s"].iloc[0] / table["wall_s"]
    table.to_csv(PATH, index=False, float_format="%.4g")
    print(table.to_string(index=False))


if __name__ == "__main__":
    main(*sys.argv[1:])
