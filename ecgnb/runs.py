"""Run the reconstruction experiment: a record with a method and seed is a task that can resume."""

import contextlib
import fcntl
import hashlib
import json
import platform
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from ecgnb.databases import find_records, label_record
from ecgnb.experiments import METHODS, predict_test, score_method
from ecgnb.metrics import SCORES, bootstrap_mean
from ecgnb.preprocessing import Prepared, PreprocessingOptions, prepare_record
from ecgnb.records import RecordError, read_record
from ecgnb.tasks import (
    failure_of,
    forget_failure,
    is_whole,
    read_table,
    record_failure,
    write_bytes,
    write_chunks,
    write_table,
)
from ecgnb.workers import one_thread, run_all

MEAN_COLUMNS = ("record", "origin", "method", "seed", "r", "r_lowest", "mse", "cpu_s", "wall_s")
METHOD_COLUMNS = ("method", "n_record", "r_mean", "r_low", "r_high", "r_lowest", "mse_mean")
_PACKAGES = ("ecgnb", "numpy", "scipy", "torch", "wfdb", "sleepecg")


@dataclass(frozen=True)
class RunSummary:
    """What a run ended with.

    `means` has a row per finished task: mean `r` and `mse` and lowest `r` over its 132 pairs, CPU
    and wall seconds. `failed` holds a line per record with a task that failed.
    """

    means: pd.DataFrame
    failed: tuple[str, ...]

    def by_method(self) -> pd.DataFrame:
        """Return means over records with intervals, and the lowest r, a row per method."""
        rows = []
        for method, group in self.means.groupby("method", sort=False):
            r = bootstrap_mean(group["r"], groups=group["record"])
            mse = bootstrap_mean(group["mse"], groups=group["record"])
            row = (method, group["record"].nunique(), r.value, r.low, r.high)
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

    A task is one record with one method and seed, all 12 input leads together. Each writes its
    own file in `<out>.tasks`; a whole one is never computed again, so an interrupted run goes on
    where it stopped and ends with the same table. A task that fails leaves its exception beside.
    Task by task is appended to the table: memory does not grow with the number of records.

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
    out, paths = Path(out), record_paths(folder, records)
    methods = known_methods(methods)
    store = out.with_name(out.name + ".tasks")
    options = options or PreprocessingOptions()
    calls = [
        joblib.delayed(_run_record)(
            path.resolve(), tuple(methods), tuple(seeds), options, store.resolve()
        )
        for path in paths
    ]
    with locked(store):
        run_all(calls, store, jobs=jobs, scheduler=scheduler, progress=progress)
        for partial in store.glob(".partial-*"):  # left by processes that were killed
            partial.unlink(missing_ok=True)
        tasks = {
            task_file(store, path, method, seed): (path.stem, method, seed)
            for path in paths
            for method in methods
            for seed in seeds
        }
        summary = _write_tables(out, tasks)
        _write_manifest(out, summary.means, options, paths)
    return summary


def known_methods(methods: Sequence[str]) -> tuple[str, ...]:
    """Return the methods, refused if one is unknown."""
    unknown = sorted(set(methods) - set(METHODS))
    if unknown:
        raise ValueError(f"no method {', '.join(unknown)}; choose from {', '.join(METHODS)}")
    return tuple(methods)


def task_file(store: Path, path: Path, method: str, seed: int) -> Path:
    """Return where the scores of one record, method and seed are kept."""
    return store / f"{path.stem}--{method}--{seed}.csv"


@contextlib.contextmanager
def locked(store: Path) -> Iterator[None]:
    """Keep a folder of tasks to one run; the lock goes with the process, however it ends.

    Raises
    ------
    RuntimeError
        If another run works in the folder.
    """
    store.mkdir(parents=True, exist_ok=True)
    with (store / ".lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RuntimeError(
                f"another run works in {store.name}; wait for it or choose another --out"
            ) from None
        yield


def record_paths(folder: Path | str, records: Sequence[str] | None) -> list[Path]:
    """Return the headers to work on, refused if one asked for by name is not there."""
    paths = find_records(folder, "twadb") or sorted(Path(folder).rglob("*.hea"))
    if records is not None:
        missing = sorted(set(records) - {path.stem for path in paths})
        if missing:
            raise FileNotFoundError(f"no record {', '.join(missing)} in the folder")
        paths = [path for path in paths if path.stem in set(records)]
    if not paths:
        raise FileNotFoundError("no WFDB header (.hea) in the folder")
    return paths


def _run_record(
    path: Path,
    methods: tuple[str, ...],
    seeds: tuple[int, ...],
    options: PreprocessingOptions,
    store: Path,
) -> None:
    """Run what is not done yet for one record."""
    wanted = {
        task_file(store, path, method, seed): (method, seed)
        for method in methods
        for seed in seeds
    }
    open_tasks = {file: task for file, task in wanted.items() if not is_done(file)}
    if not open_tasks:
        return
    one_thread()
    with threadpool_limits(1):
        try:
            prepared = prepare_record(label_record(read_record(path), path, "twadb"), options)
            beat = predict_test(prepared, "average_beat")
        except (RecordError, ValueError, OSError) as error:
            for file in open_tasks:
                record_failure(file, error)
            return
        for file, (method, seed) in open_tasks.items():
            _run_task(file, prepared, method, seed, beat)


def _run_task(file: Path, prepared: Prepared, method: str, seed: int, beat: np.ndarray) -> None:
    """Write the scores and the costs of one method, or why there are none."""
    try:
        scores, _, costs = score_method(prepared, method, seed=seed, average_beat=beat)
    except Exception as error:
        record_failure(file, error)
        return
    write_table(cost_file(file), costs)
    write_table(file, scores)
    forget_failure(file)


def is_done(file: Path) -> bool:
    """Return whether scores and costs of a task are there and whole."""
    return is_whole(file) and is_whole(cost_file(file))


def cost_file(file: Path) -> Path:
    """Return where the costs of a task are kept."""
    return file.with_suffix(".cost.csv")


def _write_tables(out: Path, tasks: Mapping[Path, tuple[str, str, int]]) -> RunSummary:
    """Write scores and costs, one finished task after the other, and return their summary."""
    done = [file for file in tasks if is_done(file)]
    failed = {}
    for file in tasks.keys() - set(done):
        record = tasks[file][0]
        reason = failure_of(file).removeprefix(f"ecgnb.records.RecordError: {record}: ")
        failed[record] = f"{record}: {reason}"
    if not done:
        raise RuntimeError(f"no task finished; the first reason: {min(failed.values())}")
    means, costs = [], []

    def scores() -> Iterator[bytes]:
        for file in done:
            table = read_table(file).astype(dict.fromkeys(SCORES, float))
            record, method, seed = tasks[file]
            facts = (record, table["origin"][0], method, seed)
            means.append((*facts, table["r"].mean(), table["r"].min(), table["mse"].mean()))
            yield as_csv(table, header=len(means) == 1, digits=5)

    def all_costs() -> Iterator[bytes]:
        for file in done:
            table = read_table(cost_file(file)).astype({"cpu_s": float, "wall_s": float})
            costs.append((table["cpu_s"].sum(), table["wall_s"].sum()))
            yield as_csv(table, header=len(costs) == 1, digits=4)

    pack = compressed if out.suffix == ".gz" else iter
    write_chunks(out, pack(scores()))
    write_chunks(cost_table(out), pack(all_costs()))
    rows = [(*mean, *cost) for mean, cost in zip(means, costs, strict=True)]
    table = pd.DataFrame(rows, columns=list(MEAN_COLUMNS))
    return RunSummary(table, tuple(failed[record] for record in sorted(failed)))


def as_csv(table: pd.DataFrame, *, header: bool, digits: int) -> bytes:
    """Return a piece of a table as CSV with so many significant digits."""
    return table.to_csv(index=False, header=header, float_format=f"%.{digits}g").encode()


def cost_table(out: Path) -> Path:
    """Return where the costs of a table are kept, compressed if it is."""
    return _beside(out, "_cost.csv.gz" if out.suffix == ".gz" else "_cost.csv")


def _beside(out: Path, ending: str) -> Path:
    """Return the path of a file that goes with the table."""
    return out.with_name(out.name.removesuffix(".gz").removesuffix(".csv") + ending)


def compressed(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield chunks as one gzip stream; same content, same bytes."""
    stream = zlib.compressobj(9, wbits=31)
    for chunk in chunks:
        yield stream.compress(chunk)
    yield stream.flush()


def _write_manifest(
    out: Path, means: pd.DataFrame, options: PreprocessingOptions, paths: list[Path]
) -> None:
    """Write what went into a table: options, checksums, costs and versions."""
    sums = means.groupby("method", sort=False)[["cpu_s", "wall_s"]].sum().round(1)
    manifest = {
        "options": asdict(options),
        "methods": means["method"].unique().tolist(),
        "seeds": sorted({int(seed) for seed in means["seed"]}),
        "records": {path.stem: _header_digest(path) for path in paths},
        "n_record": int(means["record"].nunique()),
        **sums.to_dict(),
        "versions": {name: version(name) for name in _PACKAGES},
        "python": platform.python_version(),
    }
    content = (json.dumps(manifest, indent=1) + "\n").encode()
    write_bytes(_beside(out, "_manifest.json"), content)


def _header_digest(path: Path) -> str:
    """Return the SHA-256 of a header, which holds the checksums of the samples."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
