"""Score of the best network against CPU time: what width, rows and steps are worth it.

Run `ECGNB_DATA=folder OMP_NUM_THREADS=1 python benchmarks/best_cost.py TABLE.csv`. It takes four
recordings of each origin, each of another heart where there are so many, and fits the network for
all 12 input leads as version 0.1.0 did, as it is fitted now, and with fewer steps. A row of the
table is a recording and a fit with r, the mean over input and other leads, on the validation part,
by which fits are chosen, and on the test part, and the CPU time of the look-ups, which all fits of
a recording share, and of the training. Recordings that are in the table already are not run again.
"""

import sys
import time
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from ecgnb.intervals import bootstrap_mean
from ecgnb.leads import LEADS
from ecgnb.reconstruction import corrector
from ecgnb.reconstruction.corrector import BestModel, BestOptions
from ecgnb.reconstruction.scores import score_pairs
from ecgnb.records.databases import data_folder, find_records, load_record
from ecgnb.signals.preparation import Prepared, prepare_record
from ecgnb.studies.runner import one_thread

N_EACH = 4
EARLIER = BestOptions(width=48, n_step=300, batch_size=24, learning_rate=3e-3, check_every=50)
FITS = {
    "version 0.1.0": EARLIER,
    "now": BestOptions(),
    "now, 300 steps": BestOptions(n_step=300),
    "version 0.1.0, 100 steps": replace(EARLIER, n_step=100),
}
INPUTS = tuple(range(len(LEADS)))


def chosen() -> list[tuple[str, str, Prepared]]:
    """Return origin, heart and recording: of each origin the first ones, heart after heart."""
    records = [load_record(path, "twadb") for path in find_records(data_folder(), "twadb")]
    records.sort(key=lambda record: record.origin)
    picked = []
    for _, group in groupby(records, key=lambda record: record.origin):
        same = list(group)
        hearts = {record.heart or record.name: record for record in reversed(same)}
        first = sorted(hearts.values(), key=lambda record: record.name)
        rest = [record for record in same if record not in first]
        picked.append((first + rest)[:N_EACH])
    turns = [record for turn in zip(*picked, strict=True) for record in turn]
    return [(one.origin, one.heart or one.name, prepare_record(one)) for one in turns]


def mean_r(truth: np.ndarray, guess: np.ndarray, prepared: Prepared) -> float:
    """Return the mean r over input leads and other leads."""
    return float(score_pairs(truth, guess, prepared.scaling)["r"].mean())


def curve(prepared: Prepared) -> list[dict[str, float]]:
    """Return a row for each fit."""
    started = time.process_time()
    closed = corrector.fit_closed_forms(prepared, inputs=INPUTS)
    lesson = corrector.lesson_of(prepared, closed, INPUTS)
    refitted = corrector.refit_neighbours(prepared)
    tested = torch.from_numpy(
        corrector.closed_forms(refitted, closed[1], prepared.test[list(INPUTS)])
    )
    looked_up_s, rows = time.process_time() - started, []
    for name, options in FITS.items():
        started = time.process_time()
        ((network, blend),), history = corrector.fit_correctors([lesson], options=options)
        trained_s = time.process_time() - started
        model = BestModel(INPUTS, refitted, closed[1], network, blend)
        row = {"fit": name, "best_step": history.best_step[0]}
        for part, channels in (("validation", lesson.channels[1]), ("test", tested)):
            truth = getattr(prepared, part)
            row[f"{part}_r"] = mean_r(truth, model.correct(channels), prepared)
        rows.append(row | {"looked_up_cpu_s": looked_up_s, "trained_cpu_s": trained_s})
    return rows


def differences(table: pd.DataFrame) -> pd.DataFrame:
    """Return for each fit the mean difference from version 0.1.0's by heart, and the cost."""
    wide = table.pivot(index=["record", "heart"], columns="fit")
    hearts, own, rows = wide.index.get_level_values("heart"), next(iter(FITS)), []
    cost = wide["looked_up_cpu_s"] + wide["trained_cpu_s"]
    for fit in FITS:
        row = {"fit": fit, "cpu_s": float(cost[fit].median())}
        row |= {"cpu_ratio": float((cost[own] / cost[fit]).median())}
        for part in ("validation_r", "test_r"):
            apart = (wide[part][fit] - wide[part][own]).to_numpy()
            found = bootstrap_mean(apart, groups=hearts)
            row |= {f"{part}_difference": found.value, f"{part}_low": found.low}
            row |= {f"{part}_high": found.high, f"{part}_lowest": apart.min()}
        rows.append(row | {"hearts": found.n, "records": len(wide)})
    return pd.DataFrame(rows)


def main(path: str) -> None:
    """Fill the table recording by recording, and print it and the differences."""
    one_thread()
    target = Path(path)
    table = pd.read_csv(target) if target.is_file() else pd.DataFrame({"record": []})
    for origin, heart, prepared in chosen():
        name = prepared.record.name
        if (table["record"] == name).any():
            continue
        told = {"record": name, "origin": origin, "heart": heart}
        more = pd.DataFrame([told | row for row in curve(prepared)])
        table = pd.concat([table, more])
        table.to_csv(target, index=False, float_format="%.6g")
        print(more.to_string(index=False), flush=True)
    print(differences(table).to_string(index=False, float_format="{:.5f}".format))


if __name__ == "__main__":
    main(*sys.argv[1:])
