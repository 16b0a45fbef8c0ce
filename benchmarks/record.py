"""Write the tables of `results/` that are recorded on real records beside the main one.

Run `ECGNB_DATA=folder OMP_NUM_THREADS=1 python benchmarks/record.py TABLE`; the tables are `heads`
(three heads, five seeds), `multiverse`, `population`, `frank`, `ceiling`, `expectation` and
`placement`. Interrupted, they go on where they stopped: these are the commands `ecgnb run TABLE`,
and this file says on what. The main table is `ecgnb run reconstruction`'s.
"""

import shutil
import sys
from pathlib import Path

import pandas as pd

from ecgnb.records.databases import data_folder
from ecgnb.studies.ceiling import hard_records, run_ceiling
from ecgnb.studies.expectation import run_expectation
from ecgnb.studies.heads import run_heads
from ecgnb.studies.inventory import run_frank, run_placement
from ecgnb.studies.multiverse import run_multiverse
from ecgnb.studies.population import run_population

ROOT = Path(__file__).parents[1]
RESULTS, WORK = ROOT / "results", ROOT / "artifacts" / "recorded"
# Chosen before anything was fitted: two of each origin.
MULTIVERSE = ("twa06", "twa28", "twa11", "twa38", "twa12", "twa24")


def record_ceiling(folder: Path, out: Path) -> None:
    """Write the ceiling, fitted again where the recorded run has an r below 0.3."""
    hard = hard_records(pd.read_csv(RESULTS / "reconstruction.csv.gz"))
    run_ceiling(folder, out, hard=hard)


def record_placement(folder: Path, out: Path) -> None:
    """Write the rates, and the covariance where the package looks for it."""
    run_placement(folder, out)
    covariance = out.with_name("placement_covariance.csv")
    shutil.copy(covariance, ROOT / "ecgnb" / "data" / "lead_covariance.csv")


TABLES = {
    "heads.csv.gz": run_heads,
    "multiverse.csv": lambda folder, out: run_multiverse(folder, out, records=MULTIVERSE),
    "population.csv.gz": run_population,
    "frank.csv": run_frank,
    "ceiling.csv": record_ceiling,
    "expectation.csv": run_expectation,
    "placement.csv": record_placement,
}
BESIDE = {"heads.csv.gz": ("heads_cost.csv.gz", "heads_curves.csv.gz", "heads_manifest.json")}


def main(table: str) -> None:
    """Run one study and copy its table."""
    name = next(name for name in TABLES if name.split(".")[0] == table)
    TABLES[name](data_folder(), WORK / name)
    for file in (name, *BESIDE.get(name, ())):
        shutil.copy(WORK / file, RESULTS / file)


if __name__ == "__main__":
    main(sys.argv[1])
