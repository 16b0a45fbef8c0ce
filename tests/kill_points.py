"""Kill a run by SIGKILL at every step of every write, finish it, compare the tables.

Run `python kill_points.py COHORT FOLDER`. A file is written in halves and moved: it can be cut,
whole but not in place, or in place. Every step is one run in a process of its own.
"""

import itertools
import os
import signal
import sys
from pathlib import Path

from ecgnb import files
from ecgnb.studies.reconstruction import run_reconstruction

METHODS, RECORDS = ("mean", "least_squares"), ["twa01"]


def run(cohort, out):
    """Run and return the bytes of the table."""
    run_reconstruction(cohort, out, methods=METHODS, records=RECORDS, progress=False)
    return out.read_bytes()


def die_at(step):
    """Make this process kill itself at one step of its writes, and return their counter."""
    steps = itertools.count(1)

    def count():
        if next(steps) == step:
            os.kill(os.getpid(), signal.SIGKILL)

    class Halved:
        def __init__(self, descriptor, mode):
            self.descriptor, self.content = descriptor, b""

        def __enter__(self):
            return self

        def write(self, chunk):
            self.content += chunk

        def __exit__(self, *_):
            middle = len(self.content) // 2
            os.write(self.descriptor, self.content[:middle])
            count()
            os.write(self.descriptor, self.content[middle:])
            os.close(self.descriptor)

    replace = Path.replace

    def replace_in_steps(path, target):
        count()
        replace(path, target)
        count()

    files.os.fdopen, Path.replace = Halved, replace_in_steps
    return steps


def killed_at(step, cohort, out):
    """Return whether a run in a process of its own was killed at a step."""
    child = os.fork()
    if child == 0:
        die_at(step)
        run(cohort, out)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def main(cohort, folder):
    """Print how many kills there were and how many tables differ."""
    undisturbed = run(cohort, Path(folder) / "undisturbed" / "t.csv.gz")
    different = 0
    for step in itertools.count(1):
        out = Path(folder) / str(step) / "t.csv.gz"
        if not killed_at(step, cohort, out):
            break
        different += run(cohort, out) != undisturbed
    print(f"{step - 1} kills, {different} tables differ")


if __name__ == "__main__":
    main(*sys.argv[1:])
