"""One Dask scheduler and two worker processes on loopback run what local processes run."""

import contextlib
import io
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import joblib
import pandas as pd
import pytest
from disturbed import METHODS, ended, finish, start, wait_for_tasks

from ecgnb.reconstruction.methods import CLOSED_FORMS
from ecgnb.simulation.cohort import write_cohort
from ecgnb.studies import runner
from ecgnb.studies.runner import ClusterError

pytest.importorskip("distributed")
DASK = [sys.executable, "-m", "dask"]


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohort") / "c"
    return write_cohort(folder, n_twadb=6, n_patient=0, duration_s=15.0)


@pytest.fixture(scope="module")
def undisturbed(cohort, tmp_path_factory):
    """Bytes of the table of a run on this machine."""
    return finish(cohort, tmp_path_factory.mktemp("undisturbed") / "t.csv.gz")


class Cluster:
    """A scheduler and its workers, as `dask scheduler` and `dask worker` start them."""

    def __init__(self, folder):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.folder, self.processes = folder, []
        self.address = f"tcp://127.0.0.1:{self.port}"

    def begin(self, *command):
        options = ["--no-dashboard", *(["--no-nanny"] if command[0] == "worker" else [])]
        with (self.folder / "cluster.log").open("a") as log:
            process = subprocess.Popen(
                [*DASK, *command, *options],
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=os.environ | {"OMP_NUM_THREADS": "1"},
            )
        self.processes.append(process)
        return process

    def scheduler(self):
        process = self.begin("scheduler", "--host", "127.0.0.1", "--port", str(self.port))
        while process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return process
            time.sleep(0.05)
        raise RuntimeError((self.folder / "cluster.log").read_text())

    def worker(self):
        place = ["--nthreads", "1", "--host", "127.0.0.1", "--local-directory", str(self.folder)]
        return self.begin("worker", self.address, *place, "--death-timeout", "60")

    def end(self):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()


@pytest.fixture
def cluster(tmp_path):
    one = Cluster(tmp_path)
    yield one
    one.end()


def test_a_cluster_gives_the_same_table_and_survives_a_killed_worker(
    cohort, undisturbed, cluster, tmp_path
):
    out = tmp_path / "t.csv.gz"
    cluster.scheduler()
    first, _ = cluster.worker(), cluster.worker()
    process = start(cohort, out, "--scheduler", cluster.address)
    wait_for_tasks(out, 12, process)
    first.kill()
    status, text = ended(process, out)
    assert status == 0, text
    assert out.read_bytes() == undisturbed
    calls = [joblib.delayed(os.getpid)()]
    with pytest.raises(ClusterError, match=r"does not see .*absent"):
        runner._run_all(calls, tmp_path / "absent", scheduler=cluster.address)


def test_a_scheduler_that_is_restarted_costs_no_result(cohort, undisturbed, cluster, tmp_path):
    out = tmp_path / "t.csv.gz"
    scheduler = cluster.scheduler()
    cluster.worker()
    process = start(cohort, out, "--scheduler", cluster.address)
    wait_for_tasks(out, 8, process)
    scheduler.send_signal(signal.SIGKILL)
    scheduler.wait()
    status, text = ended(process, out)
    assert status == 1
    assert "run again: what is done is kept" in text
    assert "Traceback" not in text
    cluster.scheduler()
    cluster.worker()
    assert finish(cohort, out, "--scheduler", cluster.address) == undisturbed


def test_a_cluster_that_is_not_there_is_named(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "CONNECT_S", 0.5)
    with pytest.raises(ClusterError, match=f"no Dask scheduler answers at {cluster.address}"):
        runner._run_all([], tmp_path, scheduler=cluster.address)
    with pytest.raises(ClusterError, match="no Dask scheduler answers at nonsense"):
        runner._run_all([], tmp_path, scheduler="nonsense://")


def test_the_slurm_script_runs_what_a_cluster_runs(cohort, undisturbed, tmp_path):
    """`srun` is stood in for by one that starts each task on this machine."""
    srun = tmp_path / "srun"
    srun.write_text('#!/bin/bash\nfor _ in $(seq "${1#--ntasks=}"); do "${@:2}" & done\nwait\n')
    srun.chmod(0o755)
    places = [str(tmp_path), str(Path(sys.executable).parent), os.environ["PATH"]]
    settings = {"SLURM_JOB_ID": "7", "SLURM_NTASKS": "3", "PATH": ":".join(places)}
    out = tmp_path / "t.csv.gz"
    script = Path(__file__).parents[1] / "book" / "slurm.sh"
    with (tmp_path / "log.txt").open("w") as log:
        process = subprocess.Popen(
            ["bash", str(script), str(cohort), str(out)],
            stdout=log,
            stderr=log,
            start_new_session=True,
            env=os.environ | settings | {"TMPDIR": str(tmp_path)},
        )
        status = process.wait(timeout=180)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    assert status == 0, (tmp_path / "log.txt").read_text()
    table = pd.read_csv(out)
    assert set(table["method"]) == set(CLOSED_FORMS)
    known = pd.read_csv(io.BytesIO(undisturbed), compression="gzip")
    both = table[table["method"].isin(METHODS)].reset_index(drop=True)
    assert len(both) == len(known) == 6 * 132 * len(METHODS)
    merged = both.merge(known, how="inner")
    assert len(merged) == len(known)
