"""Time and memory of the whole closed-form ladder, and the same run killed twice at random.

Run `ECGNB_DATA=folder OMP_NUM_THREADS=1 python benchmarks/ladder.py [JOBS]`. All records of twadb,
12 input leads. Memory is the resident set of all processes together, pages they share counted in
each. The run that is killed must end with the bytes of the one that is not.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from ecgnb.reconstruction.methods import CLOSED_FORMS
from ecgnb.records.databases import data_folder


def start(out: Path, jobs: str) -> subprocess.Popen:
    """Return the command, started in a session of its own."""
    command = [sys.executable, "-c", "from ecgnb.cli import main; main()", "run", "reconstruction"]
    command += ["--data", str(data_folder()), "--out", str(out), "--jobs", jobs]
    command += ["--methods", ",".join(CLOSED_FORMS)]
    return subprocess.Popen(
        command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def resident_mb(session: int) -> float:
    """Return the memory of all processes of a session."""
    listed = subprocess.run(["ps", "-o", "rss=", "-s", str(session)], capture_output=True)
    return sum(int(size) for size in listed.stdout.split()) / 1024


def run_whole(out: Path, jobs: str) -> None:
    """Run to the end and print wall time, CPU time and largest memory."""
    before, started, peak = os.times(), time.perf_counter(), 0.0
    process = start(out, jobs)
    while process.poll() is None:
        peak = max(peak, resident_mb(process.pid))
        time.sleep(0.2)
    after = os.times()
    cpu_s = sum(after[2:4]) - sum(before[2:4])
    assert process.returncode == 0, "the run failed"
    n_record = len(list(out.with_name(out.name + ".tasks").glob("*--mean--0.csv")))
    print(
        f"{n_record} records x 12 inputs x {len(CLOSED_FORMS)} closed forms, {jobs} processes: "
        f"{time.perf_counter() - started:.0f} s wall, {cpu_s:.0f} CPU-s, at most {peak:.0f} MB",
        flush=True,
    )


def run_killed(out: Path, jobs: str, moments_s: np.ndarray) -> None:
    """Kill the run with all its processes after some seconds, for each; then let it end."""
    for moment_s in moments_s:
        process = start(out, jobs)
        time.sleep(moment_s)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        done = len(list(out.with_name(out.name + ".tasks").glob("*--0.csv")))
        print(f"killed after {moment_s:.1f} s, {done} tasks done", flush=True)
    assert start(out, jobs).wait() == 0, "the run failed"


def main(jobs: str = "2") -> None:
    """Print both and whether the tables are the same."""
    with tempfile.TemporaryDirectory() as folder:
        whole, killed = Path(folder) / "whole.csv.gz", Path(folder) / "killed.csv.gz"
        run_whole(whole, jobs)
        run_killed(killed, jobs, np.random.default_rng().uniform(10, 60, 2))
        assert whole.read_bytes() == killed.read_bytes(), "the tables differ"
        print("the killed run ends with the same bytes")


if __name__ == "__main__":
    main(*sys.argv[1:])
