"""Run the reconstruction experiment: a record with a method and seed is a task that can resume."""

import contextlib
import fcntl
import hashlib
import json
import platform
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import joblib
import pandas as pd
from tqdm import tqdm

from ecgnb.databases import find_records, label_record
from ecgnb.experiments import METHODS, score_method
from ecgnb.preprocessing import PreprocessingOptions, prepare_record
from ecgnb.records import RecordError, read_record
from ecgnb.tasks import is_whole, read_table, record_failure, write_bytes, write_table
from ecgnb.training import one_thread

_PACKAGES = ("ecgnb", "numpy", "scipy", "torch", "wfdb", "sleepecg")


def run_reconstruction(
    folder: Path | str,
    out: Path | str,
    *,
    methods: Sequence[str] = tuple(METHODS),
    records: Sequence[str] | None = None,
    seeds: Sequence[int] = (0,),
    jobs: int = 1,
    options: PreprocessingOptions | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Return the main table of the experiment and write it to `out`, with costs and manifest.

    A task is one record with one method and seed, all 12 input leads together. Each writes its
    own file in `<out>.tasks`; a whole one is never computed again, so an interrupted run goes on
    where it stopped and ends with the same table. A task that fails leaves its exception beside.

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
        Processes, one thread each.
    """
    unknown = sorted(set(methods) - set(METHODS))
    if unknown:
        raise ValueError(f"no method {', '.join(unknown)}; choose from {', '.join(METHODS)}")
    out, paths = Path(out), record_paths(folder, records)
    store = out.with_name(out.name + ".tasks")
    options = options or PreprocessingOptions()
    calls = [
        joblib.delayed(_run_record)(path, tuple(methods), tuple(seeds), options, store)
        for path in paths
    ]
    with locked(store):
        done = joblib.Parallel(n_jobs=jobs, return_as="generator_unordered")(calls)
        for _ in tqdm(done, total=len(calls), desc="records", disable=None if progress else True):
            pass
        files = [
            store / f"{path.stem}--{method}--{seed}.csv"
            for path in paths
            for method in methods
            for seed in seeds
        ]
        files = [file for file in files if is_whole(file)]
        if not files:
            raise RuntimeError(f"no task finished; the reasons are in {store.name}")
        table = _joined(files)
        costs = _joined([file.with_suffix(".cost.csv") for file in files])
        _write_results(out, table, costs, options, paths)
    return table


@contextlib.contextmanager
def locked(store: Path) -> Iterator[None]:
    """Keep a folder of tasks to one run; the lock goes with the process, however it ends.

    Raises
    ------
    RuntimeError
        If another run works in the folder.
    """
    store.mkdir(parents=True, exist_ok=True)
    with (store / ".lock").open("w") as file:
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
    one_thread()
    wanted = {
        store / f"{path.stem}--{method}--{seed}.csv": (method, seed)
        for method in methods
        for seed in seeds
    }
    open_tasks = {file: task for file, task in wanted.items() if not is_whole(file)}
    if not open_tasks:
        return
    try:
        prepared = prepare_record(label_record(read_record(path), path, "twadb"), options)
        beat = METHODS["average_beat"].fit_predict(prepared, 0)
    except (RecordError, ValueError) as error:
        for file in open_tasks:
            record_failure(file, error)
        return
    for file, (method, seed) in open_tasks.items():
        try:
            scores, _, costs = score_method(prepared, method, seed=seed, average_beat=beat)
        except Exception as error:
            record_failure(file, error)
            continue
        write_table(file.with_suffix(".cost.csv"), costs)
        write_table(file, scores)


def _joined(files: list[Path]) -> pd.DataFrame:
    return pd.concat([read_table(file) for file in files], ignore_index=True)


def _write_results(
    out: Path,
    table: pd.DataFrame,
    costs: pd.DataFrame,
    options: PreprocessingOptions,
    paths: list[Path],
) -> None:
    """Write table, costs and manifest."""
    stem, dot, suffix = out.name.partition(".csv")
    write_table(out, table, digits=5)
    write_table(out.with_name(f"{stem}_cost{dot}{suffix}"), costs, digits=4)
    manifest = {
        "options": asdict(options),
        "methods": table["method"].unique().tolist(),
        "seeds": sorted({int(seed) for seed in table["seed"]}),
        "records": {path.stem: _header_digest(path) for path in paths},
        "n_record": int(table["record"].nunique()),
        "cpu_s": _sums(costs, "cpu_s"),
        "wall_s": _sums(costs, "wall_s"),
        "versions": {name: version(name) for name in _PACKAGES},
        "python": platform.python_version(),
    }
    write_bytes(
        out.with_name(f"{stem}_manifest.json"), (json.dumps(manifest, indent=1) + "\n").encode()
    )


def _sums(costs: pd.DataFrame, column: str) -> dict[str, float]:
    """Return the seconds of each method, all records together."""
    sums = costs.groupby("method", sort=False)[column].sum()
    return {name: round(float(seconds), 1) for name, seconds in sums.items()}


def _header_digest(path: Path) -> str:
    """Return the SHA-256 of a header, which holds the checksums of the samples."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
