"""What hours of one lead cost: CPU time, peak memory, and whether the first half hour is the same.

Run `OMP_NUM_THREADS=1 python benchmarks/long.py simulate FOLDER HOURS`, then with `neighbours` or
`another_day` in place of `simulate`, in a process of its own for each. One person is simulated at
250 Hz, ten minutes drawn anew after ten minutes, with ectopic beats, wander, noise and lost
samples. A run that was stopped goes on, but then its CPU time is that of its last part. Each run
adds a line to FOLDER/long.csv.
"""

import resource
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

from ecgnb.leads import lead_index
from ecgnb.reconstruction.blocks import Work, reconstruct_blocks, write_blocks
from ecgnb.reconstruction.personal import fit_personal
from ecgnb.records.formats.channels import Request
from ecgnb.records.long_files import LongLead
from ecgnb.records.record import Record
from ecgnb.records.recordings import open_lead
from ecgnb.records.wfdb_files import as_samples
from ecgnb.records.wfdb_header import record_line, signal_line
from ecgnb.signals.filters import clean
from ecgnb.simulation.synthesis import SimulationOptions, simulate_record
from ecgnb.studies.runner import one_thread

RATE_HZ, LEAD, PERSON, PIECE_S, GAIN = 250.0, "II", 1, 600.0, 2000.0
CALIBRATION_S, COMPARED_S, LONGEST_GAP = 120.0, 1800.0, 5000


def simulated(duration_s: float, seed: int) -> Record:
    """Return some time of the one person, with ectopic beats."""
    options = SimulationOptions(
        duration_s=duration_s, sampling_rate=RATE_HZ, ectopic_share=0.02, patient_seed=PERSON
    )
    return simulate_record(options, seed=seed).record


def path_of(folder: Path, hours: float) -> Path:
    """Return the header of the recording of so many hours."""
    return folder / f"lead{hours:g}h.hea"


def simulate(folder: Path, hours: float) -> None:
    """Write one lead of so many hours, ten minutes after ten minutes, with three gaps in each."""
    header, generator = path_of(folder, hours), np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    total, first, n_time = 0, 0, 0
    with header.with_suffix(".dat").open("wb") as file:
        for number in range(round(hours * 3600 / PIECE_S)):
            signal = simulated(PIECE_S, 100 + number).lead(LEAD).copy()
            for start in generator.integers(1, signal.size - LONGEST_GAP, size=3):
                signal[start : start + generator.integers(2, LONGEST_GAP)] = np.nan
            (samples,) = as_samples(signal[None], GAIN)
            samples.tofile(file)
            first = first if n_time else int(samples[0])
            total, n_time = total + int(samples.sum(dtype=np.int64)), n_time + samples.size
    line = signal_line(header.with_suffix(".dat").name, LEAD, GAIN, first=first, total=total)
    header.write_text(f"{record_line(header.stem, 1, RATE_HZ, n_time)}\n{line}\n")


def work_of(method: str) -> Work:
    """Return what a method, fitted on two minutes of the person, does with each block."""
    return Work.of(fit_personal(simulated(CALIBRATION_S, 1), LEAD, method=method))


def compare(long: LongLead, work: Work, target: Path) -> dict[str, float]:
    """Return how the first half hour differs from what is made of the recording at one go.

    A method that takes a look at today in each block is compared with the blocks of a shorter
    recording.
    """
    n_time, n_read = round(COMPARED_S * RATE_HZ), round((COMPARED_S + 300) * RATE_HZ)
    signal = np.asarray(long.read(0, min(n_read, long.n_time)))
    if work.fade_s:
        short = LongLead(long.name, LEAD, RATE_HZ, signal.size, long.read)
        whole = np.concatenate([*reconstruct_blocks(short, work)], axis=1)
    else:
        good = np.isfinite(signal)
        filled = np.interp(np.arange(signal.size), np.flatnonzero(good), signal[good])
        cleaned = clean(filled[None], RATE_HZ, to_rate=RATE_HZ)[0]
        whole = np.array(work.predict(cleaned), dtype=np.float32)
        whole[lead_index(LEAD)] = cleaned
        whole[:, ~good] = np.nan
    expected = as_samples(whole[:, :n_time], GAIN)
    n_byte = 2 * expected.shape[0] * expected.shape[1]
    with target.with_suffix(".dat").open("rb") as file:
        found = np.frombuffer(file.read(n_byte), "<i2").reshape(-1, 12).T
    apart = np.abs(found.astype(int) - expected[:, : found.shape[1]])
    return {"samples_that_differ": int((apart > 0).sum()), "largest_uv": apart.max() / GAIN * 1e3}


def main(method: str, folder: str, hours: str) -> None:
    """Simulate, or measure one method on a recording."""
    one_thread()
    place, header = Path(folder), path_of(Path(folder), float(hours))
    if method == "simulate":
        simulate(place, float(hours))
        return
    work, target = work_of(method), place / f"{method}{float(hours):g}h.hea"
    started, wall_s = time.process_time(), time.monotonic()
    with open_lead(header, Request(leads=(LEAD,))) as long:
        write_blocks(long, work, target, key=method, shown=True)
        row = {
            "method": method,
            "hours": float(hours),
            "cpu_s": time.process_time() - started,
            "wall_s": time.monotonic() - wall_s,
            "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6,
        }
        row["cpu_s_an_hour"] = row["cpu_s"] / row["hours"]
        row |= compare(long, work, target)
    table = pd.DataFrame([row])
    if (place / "long.csv").is_file():
        table = pd.concat([pd.read_csv(place / "long.csv"), table])
    table.to_csv(place / "long.csv", index=False, float_format="%.5g")
    print(table.to_string(index=False))


if __name__ == "__main__":
    main(*sys.argv[1:])
