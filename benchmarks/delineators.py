"""QRS duration and QT interval of LUDB's people as neurokit2 finds them, beside ours.

Run `ECGNB_DATA=folder python benchmarks/delineators.py` where neurokit2 is installed, which the
package itself does not need. Its wavelet and its prominence method get the same filtered leads
and R peaks as ours, each lead by itself; a bound is the median over leads and beats, as that of
LUDB's marks is. It resumes, and writes `results/delineation_neurokit2.csv.gz`, whose marks are
those of `results/delineation.csv.gz`.
"""

import shutil
import warnings
from functools import partial
from pathlib import Path

import neurokit2
import numpy as np
import pandas as pd

from ecgnb.files import code_digest
from ecgnb.records.databases import data_folder, find_records
from ecgnb.signals.beats import find_peaks
from ecgnb.signals.filters import clean
from ecgnb.studies.delineation import summarise_delineation
from ecgnb.studies.plan import Source, Task, key_of, sources_of
from ecgnb.studies.runner import write_study

RATE_HZ, EDGE_S = 500.0, 0.7
ROOT = Path(__file__).parents[1]
RESULTS, WORK = ROOT / "results", ROOT / "artifacts" / "recorded"
METHODS = ("dwt", "prominence")
BOUNDS = ("ECG_R_Onsets", "ECG_R_Offsets", "ECG_T_Offsets")


def bounds_of(lead: np.ndarray, peaks: np.ndarray, method: str) -> np.ndarray:
    """Return QRS begin, QRS end and T end of each beat `(beat, 3)`, samples from its R peak."""
    try:
        found = neurokit2.ecg_delineate(lead, peaks, round(RATE_HZ), method=method)[1]
    except (ValueError, IndexError, KeyError):  # raised where a lead shows no wave it knows
        return np.empty((0, 3))
    rows = [np.array(found[name], dtype=float)[: len(peaks)] - peaks for name in BOUNDS]
    return np.stack(rows, axis=1)


def find_bounds(source: Source, marks: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return QRS duration and QT interval of a record by each method, ms, beside the marks."""
    record = source.read()
    signals = clean(record.signals, record.sampling_rate, to_rate=RATE_HZ)
    peaks, edge = find_peaks(signals, RATE_HZ), round(EDGE_S * RATE_HZ)
    peaks = peaks[(peaks > edge) & (peaks < signals.shape[-1] - edge)]
    rows = []
    for method in METHODS:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            each = np.concatenate([bounds_of(lead, peaks, method) for lead in signals])
            begin, end, t_end = 1000 / RATE_HZ * np.nanmedian(each, axis=0)
        way = f"neurokit2 {method}"
        rows += [(way, "QRS", end - begin), (way, "QT", t_end - begin)]
    found = pd.DataFrame(rows, columns=["way", "option", "found_ms"])
    return {"rows": marks.merge(found, on="option")[[*marks, "way", "found_ms"]]}


def main() -> None:
    """Write the table, with the marks and the halves of ours."""
    ours = pd.read_csv(RESULTS / "delineation.csv.gz")
    ours = ours[(ours["way"] == "delineate") & ours["is_default"]]
    ours = ours[["heart", "half", "option", "marked_ms", "is_default"]]
    sources, version = sources_of(find_records(data_folder(), "ludb")), neurokit2.__version__
    code = code_digest("ecgnb.signals.beats", "ecgnb.signals.filters")
    tasks = [
        Task(
            one.name,
            key_of(code, [one], neurokit2=version),
            partial(find_bounds, one, ours[ours["heart"] == f"ludb/{one.name}"]),
        )
        for one in sources
    ]
    out, facts = WORK / "delineation_neurokit2.csv.gz", {"neurokit2": version, "code": code}
    print(summarise_delineation(write_study(tasks, out, sources, digits=2, facts=facts).table))
    for file in (out.name, "delineation_neurokit2_manifest.json"):
        shutil.copy(WORK / file, RESULTS / file)


if __name__ == "__main__":
    main()
