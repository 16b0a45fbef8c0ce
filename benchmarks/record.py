"""Write the tables of `results/` that are recorded on real records beside the main one.

Run `ECGNB_DATA=folder OMP_NUM_THREADS=1 python benchmarks/record.py TABLE`; the tables are `heads`
(three heads, five seeds), `multiverse`, `population` and `frank`. Interrupted, the first two go on
where they stopped. The main table is `ecgnb run reconstruction`'s.
"""

import shutil
import sys
from pathlib import Path

from ecgnb.databases import data_folder
from ecgnb.multiverse import run_multiverse
from ecgnb.population import run_frank, run_population
from ecgnb.runs import run_reconstruction

ROOT = Path(__file__).parents[1]
RESULTS, WORK = ROOT / "results", ROOT / "artifacts" / "recorded"
# Chosen before anything was fitted: four of each origin, and two of each for the multiverse.
HEADS = ("twa06", "twa28", "twa52", "twa78", "twa11", "twa38", "twa48", "twa66")
HEADS += ("twa12", "twa24", "twa44", "twa58")
MULTIVERSE = ("twa06", "twa28", "twa11", "twa38", "twa12", "twa24")
METHODS = ("cnn_1d", "cnn_2d", "cnn_2d_separable")


def record_heads(folder: Path) -> None:
    """Write scores, costs and manifest of the three heads."""
    run_reconstruction(
        folder, WORK / "heads.csv.gz", methods=METHODS, records=HEADS, seeds=range(5)
    )
    for name in ("heads.csv.gz", "heads_cost.csv.gz", "heads_manifest.json"):
        shutil.copy(WORK / name, RESULTS / name)


def record_multiverse(folder: Path) -> None:
    """Write the scores of every member of the family."""
    run_multiverse(folder, WORK / "multiverse.csv", records=MULTIVERSE)
    shutil.copy(WORK / "multiverse.csv", RESULTS / "multiverse.csv")


TABLES = {
    "heads": record_heads,
    "multiverse": record_multiverse,
    "population": lambda folder: run_population(folder, RESULTS / "population.csv.gz"),
    "frank": lambda folder: run_frank(folder, RESULTS / "frank.csv"),
}

if __name__ == "__main__":
    TABLES[sys.argv[1]](data_folder())
