"""Start the real `ecgnb run reconstruction` and wait for it, to be disturbed meanwhile."""

import os
import subprocess
import sys
import time

METHODS = ("mean", "least_squares", "lagged_ridge", "average_beat", "average_beat_ridge")
# Ctrl-C must reach the run also where the tests are a background job, whose children ignore it.
CODE = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
CODE += "from ecgnb.cli import main; main()"
PROGRAM = [sys.executable, "-c", CODE, "run", "reconstruction"]


def start(cohort, out, *options, methods=METHODS):
    command = [*PROGRAM, "--data", str(cohort), "--out", str(out), *options]
    with out.with_name("log.txt").open("w") as log:
        return subprocess.Popen(
            [*command, "--methods", ",".join(methods)],
            start_new_session=True,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )


def ended(process, out):
    """Return the exit status of a run and what it printed."""
    return process.wait(timeout=180), out.with_name("log.txt").read_text()


def wait_for_tasks(out, count, process):
    """Wait until `count` tasks are done, or the process has ended."""
    store = out.with_name(out.name + ".tasks")
    done = -1
    while process.poll() is None and done < count:
        done = len(list(store.glob("*.scores.csv")))
        time.sleep(0.002)


def finish(cohort, out, *options, methods=METHODS):
    """Run to the end and return the bytes of the table."""
    status, text = ended(start(cohort, out, *options, methods=methods), out)
    assert status == 0, text
    return out.read_bytes()
