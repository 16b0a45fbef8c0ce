"""The recordings that the benchmarks work on: real ones where there are any, else simulated."""

from collections.abc import Iterator
from pathlib import Path

from ecgnb.records.databases import data_folder, find_records, load_record
from ecgnb.signals.preparation import Prepared, prepare_record
from ecgnb.simulation.cohort import write_cohort

# Chosen before anything was timed: one to tune on, then two from each of the three origins.
REAL = ("twa52", "twa06", "twa28", "twa11", "twa48", "twa12", "twa58")


def subjects(n_record: int = len(REAL)) -> Iterator[Prepared]:
    """Yield records ready for a model; from `ECGNB_DATA`, else from a simulated cohort."""
    folder = data_folder()
    if folder is None:
        folder = write_cohort(Path("data/simulated-benchmark"), n_patient=0, duration_s=120.0)
    paths = find_records(folder, "twadb")
    chosen = [path for name in REAL for path in paths if path.stem == name] or paths
    for path in chosen[:n_record]:
        yield prepare_record(load_record(path, "twadb"))
