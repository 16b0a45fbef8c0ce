"""What `ecgnb reconstruct` costs with a 10-s calibration and 60 s of input: CPU s, simulated.

python benchmarks/reconstruct_cost.py
"""

import os
import resource
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from ecgnb.records.wfdb_files import write_record
from ecgnb.simulation.synthesis import SimulationOptions, simulate_record

ALLOWED_S = 6.0


def simulate(duration_s: float, seed: int, name: str) -> Path:
    """Write a recording of one person to the current folder and return its header."""
    options = SimulationOptions(duration_s=duration_s, patient_seed=3, sampling_rate=500.0)
    record = simulate_record(options, seed=seed).record
    record = replace(record, name=name, frank=None)
    return write_record(record if name == "calibration" else record.only("I"), Path.cwd())


if __name__ == "__main__":
    os.chdir(tempfile.mkdtemp())
    calibration, recording = simulate(10.0, 1, "calibration"), simulate(60.0, 2, "recording")
    command = [sys.executable, "-m", "ecgnb", "reconstruct", str(recording), "--lead", "I"]
    command += ["--calibration", str(calibration), "--out", "twelve", "--bands"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"{cpu_s:.1f} CPU-s, {ALLOWED_S:g} allowed")
    sys.exit(cpu_s > ALLOWED_S)
