"""The real `ecgnb run reconstruction`, disturbed; a second run ends with an undisturbed table."""

import os
import random
import signal
import subprocess
import sys
import time

import pandas as pd
import psutil
import pytest

from ecgnb.runs import locked
from ecgnb.simulate import write_cohort

METHODS = ("mean", "least_squares", "lagged_ridge", "average_beat", "average_beat_ridge")
PROGRAM = [sys.executable, "-c", "from ecgnb.cli import main; main()", "run", "reconstruction"]


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohort") / "c"
    return write_cohort(folder, n_twadb=4, n_patient=0, duration_s=30.0)


@pytest.fixture(scope="module")
def undisturbed(cohort, tmp_path_factory):
    """Bytes of the table of a run that nothing disturbs."""
    out = tmp_path_factory.mktemp("undisturbed") / "t.csv.gz"
    assert start(cohort, out).wait(timeout=120) == 0
    return out.read_bytes()


def start(cohort, out, *, jobs=1):
    options = ["--data", str(cohort), "--out", str(out), "--jobs", str(jobs)]
    with out.with_name("log.txt").open("w") as log:
        return subprocess.Popen(
            [*PROGRAM, *options, "--methods", ",".join(METHODS)],
            start_new_session=True,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )


def ended(process, out):
    """Return the exit status of a run and what it printed."""
    return process.wait(timeout=120), out.with_name("log.txt").read_text()


def wait_for_tasks(out, count, process):
    """Wait until `count` tasks are done, or the process has ended."""
    store = out.with_name(out.name + ".tasks")
    done = -1
    while process.poll() is None and done < count:
        done = sum(not path.name.endswith(".cost.csv") for path in store.glob("*.csv"))
        time.sleep(0.002)


def finish(cohort, out):
    """Run to the end and return the bytes of the table."""
    status, text = ended(start(cohort, out), out)
    assert status == 0, text
    return out.read_bytes()


def test_a_run_killed_twice_at_random_ends_with_the_same_table(cohort, undisturbed, tmp_path):
    out, generator = tmp_path / "t.csv.gz", random.Random(time.time_ns())
    for earliest in (1, 8):
        process = start(cohort, out)
        wait_for_tasks(out, earliest + generator.randrange(7), process)
        os.killpg(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        assert not out.exists()
    assert finish(cohort, out) == undisturbed


def test_a_killed_worker_is_reported_and_costs_no_result(cohort, undisturbed, tmp_path):
    out = tmp_path / "t.csv.gz"
    process = start(cohort, out, jobs=2)
    wait_for_tasks(out, 1, process)
    workers = [
        child
        for child in psutil.Process(process.pid).children(recursive=True)
        if "popen_loky" in " ".join(child.cmdline())
    ]
    workers[0].kill()
    status, text = ended(process, out)
    assert status == 1
    assert "Traceback" not in text
    assert finish(cohort, out) == undisturbed


def test_ctrl_c_ends_a_run_without_a_traceback(cohort, undisturbed, tmp_path):
    out = tmp_path / "t.csv.gz"
    process = start(cohort, out)
    wait_for_tasks(out, 3, process)
    process.send_signal(signal.SIGINT)
    status, text = ended(process, out)
    assert status != 0
    assert "Traceback" not in text
    assert finish(cohort, out) == undisturbed


def test_a_full_disk_is_named_and_costs_no_result(cohort, undisturbed, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small disk can be mounted by root only")
    try:
        out = disk / "t.csv.gz"
        status, text = ended(start(cohort, out), out)
        assert status == 1
        assert "No space left" in text
        assert "Traceback" not in text
        subprocess.run([*mount[:4], "remount,size=64m", *mount[5:]], check=True)
        assert finish(cohort, out) == undisturbed
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_second_run_in_the_same_folder_is_refused(cohort, undisturbed, tmp_path):
    out = tmp_path / "t.csv.gz"
    with locked(out.with_name(out.name + ".tasks")):
        status, text = ended(start(cohort, out), out)
    assert status == 1
    assert "another run" in text
    assert finish(cohort, out) == undisturbed


def test_a_damaged_result_is_found_and_made_again(cohort, undisturbed, tmp_path):
    out = tmp_path / "t.csv.gz"
    finish(cohort, out)
    files = sorted(out.with_name(out.name + ".tasks").glob("*--lagged_ridge--0.csv"))
    changes = (lambda x: x[:-9], lambda x: x.replace(b"7", b"8", 1), lambda x: b"")
    for file, change in zip(files, changes, strict=False):
        file.write_bytes(change(file.read_bytes()))
    assert finish(cohort, out) == undisturbed


def test_the_table_is_the_same_with_two_processes(cohort, undisturbed, tmp_path):
    out = tmp_path / "t.csv.gz"
    process = start(cohort, out, jobs=2)
    assert process.wait(timeout=120) == 0
    assert out.read_bytes() == undisturbed
    assert pd.read_csv(out)["record"].nunique() == 4
