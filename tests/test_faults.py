"""The real `ecgnb run reconstruction`, disturbed; a second run ends with an undisturbed table."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest
from disturbed import ended, finish, start, wait_for_tasks

from ecgnb.simulation.cohort import write_cohort
from ecgnb.studies.runner import _locked


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohort") / "c"
    return write_cohort(folder, n_twadb=4, n_patient=0, duration_s=15.0)


@pytest.fixture(scope="module")
def undisturbed(cohort, tmp_path_factory):
    """Bytes of the table of a run that nothing disturbs."""
    out = tmp_path_factory.mktemp("undisturbed") / "t.csv.gz"
    return finish(cohort, out)


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
    process = start(cohort, out, "--jobs", "2")
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
    wait_for_tasks(out, 1, process)
    process.send_signal(signal.SIGINT)
    status, text = ended(process, out)
    assert status == 130, text  # the shells' number for an interrupt
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
    with _locked(out.with_name(out.name + ".tasks")):
        status, text = ended(start(cohort, out), out)
    assert status == 1
    assert "another run" in text
    assert finish(cohort, out) == undisturbed


def test_a_damaged_result_is_found_and_made_again(cohort, undisturbed, tmp_path):
    out = tmp_path / "t.csv.gz"
    finish(cohort, out)
    files = sorted(out.with_name(out.name + ".tasks").glob("*--lagged_ridge--0--*.scores.csv"))
    changes = (lambda x: x[:-9], lambda x: x.replace(b"7", b"8", 1), lambda x: b"")
    for file, change in zip(files, changes, strict=False):
        file.write_bytes(change(file.read_bytes()))
    assert finish(cohort, out) == undisturbed


def test_the_table_is_the_same_with_two_processes(cohort, undisturbed, tmp_path):
    out = tmp_path / "t.csv.gz"
    assert finish(cohort, out, "--jobs", "2") == undisturbed
    assert pd.read_csv(out)["record"].nunique() == 4


def test_one_unreadable_record_among_60_is_reported_and_the_rest_completed(tmp_path):
    methods = ("mean", "least_squares")
    folder = write_cohort(tmp_path / "c", n_twadb=60, n_patient=0, duration_s=10.0)
    whole, out = tmp_path / "a" / "t.csv.gz", tmp_path / "b" / "t.csv.gz"
    for path in (whole, out):
        path.parent.mkdir()
    samples = folder / "twadb" / "twa31.dat"
    content = samples.read_bytes()
    samples.write_bytes(content[:-4])
    status, text = ended(start(folder, out, methods=methods), out)
    assert status == 1
    assert text.count("not done: ") == 1
    assert "not done: twa31: twa31.dat has" in text
    assert set(pd.read_csv(out)["record"]) == {f"twa{n:02d}" for n in range(1, 61)} - {"twa31"}
    samples.write_bytes(content)
    expected = finish(folder, whole, methods=methods)
    assert finish(folder, out, methods=methods) == expected


def test_a_kill_at_any_step_of_any_write_loses_nothing(cohort, tmp_path):
    script = Path(__file__).with_name("kill_points.py")
    done = subprocess.run(
        [sys.executable, str(script), str(cohort), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["42", "kills,", "0", "tables", "differ"]
