"""Write how well a personal model knows its own limits: `results/expectation.csv`.

Run `ECGNB_DATA=folder OMP_NUM_THREADS=1 python benchmarks/expectation.py [METHOD] [N_RECORD]`.
Each record of twadb is calibrated on its first 60 % and reconstructed from V2 after a gap of 1 s.
The achieved r compares the reconstruction, written as WFDB and read again, with the recording. It
resumes; a method's rows replace those of an earlier run.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from ecgnb.databases import data_folder, find_records, load_record
from ecgnb.leads import LEADS
from ecgnb.personal import (
    clean_input,
    fit_personal,
    reconstruct,
    score_leads,
)
from ecgnb.record import Record, RecordError
from ecgnb.records import read_record, write_record
from ecgnb.tasks import is_whole, read_table, write_table
from ecgnb.workers import one_thread

PATH = Path(__file__).parents[1] / "results" / "expectation.csv"
STORE = Path(__file__).parents[1] / "build" / "expectation"
LEAD, GAIN = "V2", 2000.0


def score_record(record: Record, method: str) -> pd.DataFrame:
    """Return expected and achieved scores of each lead, and the largest round-trip error."""
    calibration, rest = record.split()
    model = fit_personal(calibration, LEAD, method=method)
    made = reconstruct(rest.only(LEAD), model, name="made")
    with tempfile.TemporaryDirectory() as folder:
        again = read_record(write_record(made, folder, adc_gain=GAIN))
    truth = np.stack([clean_input(rest, lead, model.options) for lead in LEADS])
    achieved = score_leads(truth, again.signals, LEAD)
    table = model.expected.merge(achieved, on="lead", suffixes=("_expected", "_achieved"))
    table.insert(0, "record", record.name)
    table.insert(1, "origin", record.origin)
    table.insert(2, "method", method)
    table["round_trip_units"] = GAIN * np.abs(again.signals - made.signals).max()
    return table


def main(method: str = "neighbours", n_record: str = "1000") -> None:
    """Print the differences after writing them."""
    one_thread()
    files = []
    for path in find_records(data_folder(), "twadb")[: int(n_record)]:
        files.append(STORE / f"{path.stem}--{method}.csv")
        if is_whole(files[-1]):
            continue
        try:
            record = load_record(path, "twadb")
            write_table(files[-1], score_record(record, method))
        except RecordError as error:
            print(error, flush=True)
    table = pd.concat([read_table(file) for file in files if is_whole(file)], ignore_index=True)
    if PATH.is_file():
        before = pd.read_csv(PATH)
        table = pd.concat([before[before["method"] != method], table], ignore_index=True)
    table.to_csv(PATH, index=False, float_format="%.5g")
    table["difference"] = (table["r_expected"] - table["r_achieved"]).abs()
    means = table.groupby(["method", "record", "origin"], as_index=False)[
        ["r_expected", "r_achieved", "difference", "round_trip_units"]
    ].mean()
    means["difference_of_means"] = (means["r_expected"] - means["r_achieved"]).abs()
    print(means.groupby("method")[["difference", "difference_of_means"]].describe().T.to_string())
    print("median over all leads", table.groupby("method")["difference"].median())
    print("largest round trip", table["round_trip_units"].max())


if __name__ == "__main__":
    main(*sys.argv[1:])
