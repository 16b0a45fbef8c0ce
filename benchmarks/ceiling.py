"""Write what could be had at most: `results/ceiling.csv`, a row per record and lead.

Run `ECGNB_DATA=folder OMP_NUM_THREADS=1 python benchmarks/ceiling.py`. Records on which the
recorded run has an r below 0.3 are fitted again to see how much of that is due to artefacts.
"""

from pathlib import Path

import pandas as pd

from ecgnb.ceiling import describe_ceiling
from ecgnb.databases import data_folder, find_records, label_record
from ecgnb.experiments import predict_test
from ecgnb.preprocessing import prepare_record
from ecgnb.records import read_record

RESULTS = Path(__file__).parents[1] / "results"


def main() -> None:
    """Print the table's summary after writing it."""
    recorded = pd.read_csv(RESULTS / "reconstruction.csv.gz").query("method == 'best'")
    hard = set(recorded.loc[recorded["r"] < 0.3, "record"])
    tables = []
    for path in find_records(data_folder(), "twadb"):
        prepared = prepare_record(label_record(read_record(path), path, "twadb"))
        predictions = predict_test(prepared, "best") if path.stem in hard else None
        tables.append(describe_ceiling(prepared, predictions))
        print(path.stem, flush=True)
    table = pd.concat(tables, ignore_index=True)
    table.to_csv(RESULTS / "ceiling.csv", index=False, float_format="%.5g")
    print(table.groupby("origin")[["floor_mse", "floor_r", "share_beyond"]].mean())
    print(table[table["record"].isin(hard)].to_string(index=False))


if __name__ == "__main__":
    main()
