"""Write the mean covariance of recorded ECGs, and how many misplaced leads are noticed with it.

Run `ECGNB_DATA=folder OMP_NUM_THREADS=1 python benchmarks/placement.py`. The table of the package
is made from all records of ptbdb; the rates of `results/placement.csv` are cross-validated in two
halves of the patients (records of twadb of known patients stay with them).
"""

import zlib
from pathlib import Path

import numpy as np
import pandas as pd

from ecgnb.databases import data_folder, load_database
from ecgnb.labels import TWADB_FROM_PTBDB
from ecgnb.leads import INDEPENDENT_LEADS
from ecgnb.placement import lead_covariance, misplacements, unusual_placement
from ecgnb.record import Record
from ecgnb.usable import course

ROOT = Path(__file__).parents[1]
NAMES = list(INDEPENDENT_LEADS)


def covariance(record: Record) -> np.ndarray:
    """Return the covariance of a record's independent leads."""
    return lead_covariance(np.stack([course(x, record.sampling_rate) for x in record.signals]))


def rates(tests: list[np.ndarray], usual: np.ndarray) -> pd.DataFrame:
    """Return for each misplacement, done to each record, whether anything / the right is said."""
    rows = [("none", bool(unusual_placement(c, usual=usual)), False) for c in tests]
    for name, matrix in misplacements().items():
        for one in tests:
            said = unusual_placement(matrix @ one @ matrix.T, usual=usual)
            rows.append((name, bool(said), f" {name} " in f" {said} "))
    return pd.DataFrame(rows, columns=["misplaced", "noticed", "named"])


def main() -> None:
    """Write both tables and print the rates."""
    ptbdb = load_database(data_folder(), "ptbdb").records
    shared = {r.name: r.patient for r in ptbdb}
    twadb = [r for r in load_database(data_folder(), "twadb").records if r.origin != "synthetic"]
    patients = [r.patient for r in ptbdb]
    patients += [shared.get(TWADB_FROM_PTBDB.get(r.name, ""), r.patient) for r in twadb]
    found = [covariance(record) for record in [*ptbdb, *twadb]]
    half = np.array([zlib.crc32(patient.encode()) % 2 for patient in patients])
    is_ptbdb = np.arange(len(found)) < len(ptbdb)
    tables = []
    for test in (0, 1):
        train = np.flatnonzero((half != test) & is_ptbdb)
        usual = np.mean([found[i] for i in train], axis=0)
        tables.append(rates([found[i] for i in np.flatnonzero(half == test)], usual))
    table = pd.concat(tables)
    summary = table.groupby("misplaced", sort=False).mean().reset_index()
    summary.insert(1, "n_record", len(found))
    summary.to_csv(ROOT / "results" / "placement.csv", index=False, float_format="%.4f")
    usual = pd.DataFrame(np.mean(found[: len(ptbdb)], axis=0), NAMES, NAMES)
    path = ROOT / "ecgnb" / "tables" / "lead_covariance.csv"
    usual.to_csv(path, float_format="%.6f", index_label="lead")
    print(summary.to_string(index=False))


if __name__ == "__main__":
    main()
