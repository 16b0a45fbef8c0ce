"""How fast a stream is, and what a causal filter costs in r, on real recordings.

Run `ECGNB_DATA=folder OMP_NUM_THREADS=1 python benchmarks/stream.py [RECORD ...]`. For each
record the model is fitted on the first part; the rest is looked up from lead II once with the
zero-phase filter and once as a stream, with its look-up fitted for it (`causal`) and without
(`not_fitted`). The truth is filtered without shift. r is the mean over the 11 hidden leads.
"""

import sys
import time

import numpy as np
import pandas as pd

from ecgnb.intervals import correlation
from ecgnb.leads import LEADS, other_leads
from ecgnb.reconstruction.personal import fit_personal, reconstruct
from ecgnb.reconstruction.streaming import fit_for_stream, stream
from ecgnb.records.databases import data_folder, find_records, load_record
from ecgnb.signals.filters import clean, resample_signals
from ecgnb.studies.runner import one_thread

LEAD, SIZES = "II", (1, 7, 250, 5000)


def times_real(model, signal: np.ndarray, size: int) -> float:
    """Return how many times faster than real time a signal is pushed in pieces of a size."""
    coming, started = stream(model), time.process_time()
    for start in range(0, signal.size, size):
        coming.push(signal[start : start + size])
    return signal.size / coming.sampling_rate / (time.process_time() - started)


def mean_r(guess: np.ndarray, truth: np.ndarray) -> float:
    """Return the mean r over the hidden leads of `(lead, time)`."""
    rows = [LEADS.index(lead) for lead in other_leads(LEAD)]
    return float(np.nanmean(correlation(truth[rows], guess[rows])))


def measure(name: str, *, with_speed: bool) -> dict[str, float]:
    """Return r of both filters, and the speed for each size of piece."""
    paths = {path.stem: path for path in find_records(data_folder(), "twadb")}
    record = load_record(paths[name], "twadb")
    first, rest = record.split(share=0.6)
    model = fit_personal(first, LEAD, method="neighbours")
    rate = model.options.sampling_rate
    truth = clean(rest.signals, rest.sampling_rate, to_rate=rate)
    given = resample_signals(rest.lead(LEAD), rest.sampling_rate, rate)
    fitted = fit_for_stream(first, model)
    causal, plain = (
        np.concatenate([coming.push(given), coming.finish()], axis=1)
        for coming in (stream(fitted), stream(model))
    )
    row = {"record": name, "origin": record.origin}
    row |= {"zero_phase": mean_r(reconstruct(rest.only(LEAD), model).signals, truth)}
    row |= {"causal": mean_r(causal, truth), "not_fitted": mean_r(plain, truth)}
    if with_speed:
        row |= {f"speed_{size}": times_real(fitted, given[:10_000], size) for size in SIZES}
    return row


def main(*names: str) -> None:
    """Print a row per record and the mean price by origin."""
    one_thread()
    rows = [measure(name, with_speed=at == 0) for at, name in enumerate(names)]
    table = pd.DataFrame(rows)
    table["price"] = table["causal"] - table["zero_phase"]
    print(table.to_string(index=False))
    print(table.groupby("origin")["price"].mean())


if __name__ == "__main__":
    main(*sys.argv[1:])
