"""Run the reconstruction experiment: a record with a method and seed is a task that can resume."""

import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from ecgnb.files import code_digest, file_beside, write_chunks, write_manifest
from ecgnb.intervals import bootstrap_mean
from ecgnb.reconstruction.methods import METHODS, predict_test, score_and_time
from ecgnb.reconstruction.scores import SCORES, hearts_of
from ecgnb.signals.preparation import Prepared, PreprocessingOptions, prepare_record
from ecgnb.studies.plan import Source, Task, key_of, list_sources
from ecgnb.studies.runner import Results, finished, store_of

_LABELS = ["record", "heart", "origin", "method", "seed"]

MEAN_COLUMNS = (*_LABELS, "r", "r_lowest", "mse", "cpu_s", "wall_s")

METHOD_COLUMNS = (
    "method", "n_record", "n_heart", "r_mean", "r_low", "r_high", "r_lowest", "mse_mean",
)  # fmt: skip

Given = tuple[Prepared, np.ndarray]


@dataclass(frozen=True)
class RunSummary:
    """What a run ended with.

    `means` has a row per finished task: mean `r` and `mse` and lowest `r` over its 132 pairs, CPU
    and wall seconds. `failed` holds a line per record with a task that failed.
    """

    means: pd.DataFrame
    failed: tuple[str, ...]

    def by_method(self) -> pd.DataFrame:
        """Return means over hearts with intervals, and the lowest r, a row per method."""
        rows = []
        for method, group in self.means.groupby("method", sort=False):
            hearts = hearts_of(group)
            r = bootstrap_mean(group["r"], groups=hearts)
            mse = bootstrap_mean(group["mse"], groups=hearts)
            row = (method, group["record"].nunique(), r.n, r.value, r.low, r.high)
            rows.append((*row, group["r_lowest"].min(), mse.value))
        return pd.DataFrame(rows, columns=list(METHOD_COLUMNS))


def run_reconstruction(
    folder: Path | str,
    out: Path | str,
    *,
    methods: Sequence[str] = tuple(METHODS),
    records: Sequence[str] | None = None,
    seeds: Sequence[int] = (0,),
    jobs: int = 1,
    scheduler: str = "",
    options: PreprocessingOptions | None = None,
    progress: bool = True,
) -> RunSummary:
    """Write the main table of the experiment to `out`, with costs and manifest; return a summary.

    A task is one record with one method and seed, all 12 input leads together. Its results are
    kept in `<out>.tasks` under a key of options, input and code, so an interrupted run goes on
    where it stopped and ends with the same table, and nothing is answered with what was computed
    for something else. Task by task is appended to the table: memory grows little with the
    number of records.

    Parameters
    ----------
    folder
        twadb, a mirror that holds it, or any folder of 12-lead WFDB records.
    out
        The table, `.csv` or `.csv.gz`. Another run that writes it is refused.
    methods
        Keys of `METHODS`.
    records
        Names of records; all by default.
    jobs
        Local processes, one thread each.
    scheduler
        Address of a Dask scheduler whose workers are used instead; they must see both folders.
    """
    out, methods, seeds = Path(out), _known_methods(methods), tuple(int(seed) for seed in seeds)
    options = options or PreprocessingOptions()
    sources = list_sources(folder, records, tell=progress)
    tasks = [
        _plan(source, method, seed, options=options, needs=needs)
        for source in sources
        for needs in [partial(_prepare, source, options)]
        for method in methods
        for seed in seeds
    ]
    how = {"jobs": jobs, "scheduler": scheduler, "what": "records", "progress": progress}
    with finished(tasks, store_of(out), **how) as results:
        summary = _write_tables(out, results)
        _write_manifest(out, summary, results, sources=sources, options=options)
    return summary


def _known_methods(methods: Sequence[str]) -> tuple[str, ...]:
    """Return the methods, refused if one is unknown."""
    unknown = sorted(set(methods) - set(METHODS))
    if unknown:
        raise ValueError(f"no method {', '.join(unknown)}; choose from {', '.join(METHODS)}")
    return tuple(methods)


def _plan(
    source: Source,
    method: str,
    seed: int,
    *,
    options: PreprocessingOptions,
    needs: Callable[[], Given],
) -> Task:
    """Return the task of one record, method and seed."""
    return Task(
        f"{source.path.stem}--{method}--{seed}",
        key_of(code_digest(__name__), [source], method=method, seed=seed, preprocessing=options),
        partial(_score, method, seed),
        kinds=("scores",),
        needs=needs,
        about=source.name,
        labels={"record": source.name},
    )


def _prepare(source: Source, options: PreprocessingOptions) -> Given:
    """Return a record ready for a model, and its prediction by the average beat."""
    prepared = prepare_record(source.read(), options)
    return prepared, predict_test(prepared, "average_beat")


def _score(method: str, seed: int, given: Given) -> dict[str, pd.DataFrame]:
    """Return the scores and the costs of one method."""
    prepared, beat = given
    scores, costs = score_and_time(prepared, method, seed=seed, average_beat=beat)
    return {"scores": scores, "cost": costs}


def _write_tables(out: Path, results: Results) -> RunSummary:
    """Write scores and costs, one finished task after the other, and return their summary."""
    done, means, costs = results.done, [], []

    def scores() -> Iterator[bytes]:
        for task in done:
            table = results.read(task, "scores").astype(dict.fromkeys(SCORES, float))
            facts = table.iloc[0][_LABELS].tolist()
            means.append((*facts, table["r"].mean(), table["r"].min(), table["mse"].mean()))
            yield _as_csv(table, header=len(means) == 1, digits=5)

    def all_costs() -> Iterator[bytes]:
        for task in done:
            table = results.read(task, "cost").astype({"cpu_s": float, "wall_s": float})
            costs.append((table["cpu_s"].sum(), table["wall_s"].sum()))
            yield _as_csv(table, header=len(costs) == 1, digits=4)

    pack = _compressed if out.suffix == ".gz" else iter
    write_chunks(out, pack(scores()))
    write_chunks(_cost_table(out), pack(all_costs()))
    rows = [(*mean, *cost) for mean, cost in zip(means, costs, strict=True)]
    return RunSummary(pd.DataFrame(rows, columns=list(MEAN_COLUMNS)), results.failed)


def _as_csv(table: pd.DataFrame, *, header: bool, digits: int) -> bytes:
    """Return a piece of a table as CSV with so many significant digits."""
    return table.to_csv(
        index=False, header=header, float_format=f"%.{digits}g", lineterminator="\n"
    ).encode()


def _cost_table(out: Path) -> Path:
    """Return where the costs of a table are kept, compressed if it is."""
    return file_beside(out, "_cost.csv.gz" if out.suffix == ".gz" else "_cost.csv")


def _compressed(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield chunks as one gzip stream; same content, same bytes."""
    stream = zlib.compressobj(9, wbits=31)
    for chunk in chunks:
        yield stream.compress(chunk)
    yield stream.flush()


def _write_manifest(
    out: Path,
    summary: RunSummary,
    results: Results,
    *,
    sources: Sequence[Source],
    options: PreprocessingOptions,
) -> None:
    """Write what went into a table: options, checksums, costs and versions."""
    means = summary.means
    facts = {
        "options": options,
        "methods": means["method"].unique().tolist(),
        "seeds": sorted({int(seed) for seed in means["seed"]}),
        "n_record": int(means["record"].nunique()),
        "n_heart": int(hearts_of(means).nunique()),
        "code": code_digest(__name__),
        **means.groupby("method", sort=False)[["cpu_s", "wall_s"]].sum().round(1).to_dict(),
    }
    write_manifest(file_beside(out, "_manifest.json"), results.facts(sources, **facts))
