"""The paper's heads, each trained to its own plateau, at three sizes and three window lengths.

A head that is stopped while it still improves is compared with how fast it learns, not with what
it can do. So every fit goes on until the validation error of its record stays (the rule is that
of `training.FitOptions`), and the question is asked in five cells: three numbers of weights with
windows of about 1 s, and three window lengths with the middle number of weights.
"""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from ecgnb.files import code_digest, file_beside, write_manifest, write_table
from ecgnb.leads import LEADS, lead_index
from ecgnb.reconstruction.cnn import StackedCnn
from ecgnb.reconstruction.methods import METHODS, Method, Model
from ecgnb.reconstruction.scores import (
    compare_methods,
    hearts_of,
    recorded_hearts,
    score_pairs,
    summarise,
)
from ecgnb.signals.preparation import Prepared, PreprocessingOptions
from ecgnb.signals.prepared_files import prepare_file
from ecgnb.studies.plan import Source, Task, key_of, list_sources
from ecgnb.studies.runner import Outcome, finished, store_of

HEAD_METHODS = ("cnn_1d", "cnn_2d", "cnn_2d_separable")

HEAD_INPUTS = ("I", "II", "V2")

# One record a heart: 2 simulated, 4 of ptbdb, 4 of INCART; named before anything was fitted.
HEAD_RECORDS = (
    "twa06", "twa28", "twa11", "twa18", "twa38", "twa66", "twa12", "twa16", "twa24", "twa44",
)  # fmt: skip

MOST_STEPS = 12_000

LEARNING_RATES = (1e-2, 5e-3, 2.5e-3)  # the next one where a network jumped

JUMP = 1.5  # last validation error by the least one, from which on a network has jumped


@dataclass(frozen=True)
class HeadCell:
    """Number of weights of each network and samples a window, 250 Hz."""

    n_weight: int = 200_000
    n_time: int = 256


MIDDLE = HeadCell()

HEAD_CELLS = (
    MIDDLE,
    HeadCell(n_time=128),
    HeadCell(n_time=512),
    HeadCell(n_weight=100_000),
    HeadCell(n_weight=400_000),
)


def run_heads(
    folder: Path | str,
    out: Path | str,
    *,
    records: Sequence[str] = HEAD_RECORDS,
    cells: Sequence[HeadCell] = HEAD_CELLS,
    n_seed: int = 3,
    jobs: int = 1,
    most_steps: int = MOST_STEPS,
    progress: bool = True,
) -> Outcome:
    """Return scores, costs and validation curves of the heads, also written beside `out`.

    Tables `scores` (a row per input and hidden lead), `cost` (a row per fit) and `curves` (a row
    per check of a fit); columns `n_weight` and `n_time` name the cell. In the middle cell the
    1-D and the shared 2-D head are fitted with `n_seed` seeds, all else with one.

    Parameters
    ----------
    folder
        twadb or a mirror that holds it.
    out
        The scores; the other tables and the manifest lie beside it.
    records
        Names, one a heart.
    most_steps
        After which a fit ends that has not come to its plateau.
    """
    out, sources, options = Path(out), list_sources(folder, records), PreprocessingOptions()
    tasks = [
        _plan(source, *fit, options=options, most_steps=most_steps, folder=store_of(out).resolve())
        for fit in _fits(cells, n_seed)
        for source in sources
    ]
    how = {"jobs": jobs, "what": "fits", "progress": progress}
    with finished(tasks, store_of(out), **how) as results:
        tables = {"scores": results.table("scores"), "cost": results.table("cost")}
        tables["curves"] = results.table("curves")
        facts = {"options": options, "cells": list(cells), "code": code_digest(__name__)}
        known = results.facts(sources, **facts, most_steps=most_steps) | results.costs()
        write_table(out, tables["scores"], digits=5)
        for kind in ("cost", "curves"):
            write_table(file_beside(out, f"_{kind}.csv.gz"), tables[kind], digits=4)
        write_manifest(file_beside(out, "_manifest.json"), known)
        return Outcome(tables, results.failed)


def middle_cell(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the middle cell; of a table that names no cell, all.

    Examples
    --------
    >>> middle_cell(pd.DataFrame({"n_weight": [200_000, 100_000], "n_time": 256, "r": [0.9, 0.8]}))
       n_weight  n_time    r
    0    200000     256  0.9
    """
    if "n_time" not in scores:
        return scores
    return scores[_is_cell(scores, MIDDLE)]


def compare_cells(scores: pd.DataFrame, cells: Sequence[HeadCell] = HEAD_CELLS) -> pd.DataFrame:
    """Return 2-D minus 1-D head in each cell, on recorded hearts, seeds averaged before.

    A row per cell: `window_s`, `n_weight`, `n_heart`, the mean r of the heads `r_1d` and `r_2d`,
    and their difference `head_gain` with its interval `head_gain_low` and `head_gain_high`.
    """
    known, rate_hz = recorded_hearts(scores), PreprocessingOptions().sampling_rate
    rows = []
    for cell in sorted(cells, key=lambda one: (one.n_time, one.n_weight)):
        here = known[_is_cell(known, cell)]
        gain = compare_methods(here, "cnn_2d", "cnn_1d")["difference"]
        row = {"window_s": cell.n_time / rate_hz, "n_weight": cell.n_weight, "n_heart": gain.n}
        r = summarise(here).set_index("method")["r_mean"]
        row |= {"r_1d": r["cnn_1d"], "r_2d": r["cnn_2d"], "head_gain": gain.value}
        rows.append(row | {"head_gain_low": gain.low, "head_gain_high": gain.high})
    return pd.DataFrame(rows)


def describe_cells(scores: pd.DataFrame) -> dict[str, float]:
    """Return the numbers that chapter 04 says of the cells, by name.

    Hearts of all records and recorded ones, the least and the largest gain of the 2-D head, in
    how many cells its interval lies above or below zero, and the gain at the ends of the two rows
    through the middle cell: `gain_short` and `gain_long` window, `gain_few` and `gain_many`
    weights.
    """
    cells = compare_cells(scores)
    gain = cells.set_index(["n_weight", "window_s"])["head_gain"].sort_index()
    weights, windows = (gain.index.unique(level) for level in range(2))
    middle_s = MIDDLE.n_time / PreprocessingOptions().sampling_rate
    return {
        "n_heads_heart": hearts_of(scores).nunique(),
        "n_heads_recorded": cells["n_heart"].min(),
        "gain_from": gain.min(),
        "gain_to": gain.max(),
        "cells_ahead": (cells["head_gain_low"] > 0).sum(),
        "cells_behind": (cells["head_gain_high"] < 0).sum(),
        "gain_short": gain[MIDDLE.n_weight, windows.min()],
        "gain_long": gain[MIDDLE.n_weight, windows.max()],
        "gain_few": gain[weights.min(), middle_s],
        "gain_many": gain[weights.max(), middle_s],
    }


def _is_cell(scores: pd.DataFrame, cell: HeadCell) -> pd.Series:
    """Return which rows are of a cell."""
    return (scores["n_weight"] == cell.n_weight) & (scores["n_time"] == cell.n_time)


def _fits(cells: Sequence[HeadCell], n_seed: int) -> list[tuple[HeadCell, str, int]]:
    """Return cell, head and seed of the fits of a record, the first seed of all cells first."""
    first = [(cell, head, 0) for cell in cells for head in HEAD_METHODS[:2]]
    more = [(cells[0], head, seed) for seed in range(1, n_seed) for head in HEAD_METHODS[:2]]
    return [*first, *more, (cells[0], HEAD_METHODS[2], 0)]


def _plan(
    source: Source,
    cell: HeadCell,
    head: str,
    seed: int,
    *,
    options: PreprocessingOptions,
    most_steps: int,
    folder: Path,
) -> Task:
    """Return the task of one fit on one record."""
    about = {"cell": cell, "head": head, "seed": seed, "most_steps": most_steps}
    return Task(
        f"{source.path.stem}--{head}--{cell.n_weight}--{cell.n_time}--{seed}",
        key_of(code_digest(__name__), [source], preprocessing=options, **about),
        partial(_fit, source, cell, head, seed, options, most_steps, folder / "prepared"),
        kinds=("scores", "curves"),
        about=source.name,
        labels={"record": source.name},
    )


def _fit(
    source: Source,
    cell: HeadCell,
    head: str,
    seed: int,
    options: PreprocessingOptions,
    most_steps: int,
    folder: Path,
) -> dict[str, pd.DataFrame]:
    """Return scores, curve and costs of one head on one record."""
    prepared = prepare_file(source.path, source.database, folder, options)
    inputs = [lead_index(name) for name in HEAD_INPUTS]
    cpu_s, wall_s = time.process_time(), time.perf_counter()
    how = {"n_step": most_steps, "to_plateau": True} | asdict(cell)
    model, rate = _fit_steadily(METHODS[head], prepared, inputs, seed=seed, **how)
    scores = _score(prepared, model, inputs)
    cpu_s, wall_s = time.process_time() - cpu_s, time.perf_counter() - wall_s
    names = {"record": source.name, "method": head, **asdict(cell), "seed": seed}
    facts = {"heart": prepared.record.heart, "origin": prepared.record.origin}
    curve = _curve(model)
    cost = {
        "n_step": curve["step"].iloc[-1],
        "learning_rate": rate,
        "cpu_s": cpu_s,
        "wall_s": wall_s,
    }
    return {
        "scores": _labelled(scores, names | facts),
        "curves": _labelled(curve, names),
        "cost": pd.DataFrame([names | facts | cost]),
    }


def _fit_steadily(
    method: Method, prepared: Prepared, inputs: Sequence[int], **how: object
) -> tuple[Model, float]:
    """Return networks at their plateau and their learning rate.

    Networks of which one jumped away from its least error, so that it stands where no training
    ends, are made again at half the rate.
    """
    for rate in LEARNING_RATES:
        model = method.fit(prepared, inputs, learning_rate=rate, **how)
        errors = np.asarray(model.history.validation)
        if (errors[-1] < JUMP * errors.min(axis=0)).all():
            break
    return model, rate


def _score(prepared: Prepared, model: StackedCnn, inputs: Sequence[int]) -> pd.DataFrame:
    """Return a row of scores for each of the inputs and hidden lead."""
    found = np.full((len(LEADS), *prepared.test.shape), np.nan, dtype=np.float32)
    found[inputs] = model.predict(prepared.test[inputs])
    scores = score_pairs(prepared.test, found, prepared.scaling)
    kept = ["input_lead", "output_lead", "mse", "r", "rmse_mv"]
    return scores.loc[scores["input_lead"].isin(HEAD_INPUTS), kept]


def _curve(model: StackedCnn) -> pd.DataFrame:
    """Return the mean validation error over the networks at each check."""
    history = model.history
    return pd.DataFrame({"step": history.step, "mse": np.mean(history.validation, axis=1)})


def _labelled(table: pd.DataFrame, names: dict[str, object]) -> pd.DataFrame:
    """Return a table with columns of one value each before its own."""
    labels = pd.DataFrame([names] * len(table), index=table.index)
    return pd.concat([labels, table], axis=1).reset_index(drop=True)
