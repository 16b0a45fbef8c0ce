"""The reconstruction experiment: every record, input lead and method as tasks that can resume."""

import gzip
import hashlib
import json
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from tqdm import tqdm

from ecgnb import best, linear, neighbours, networks, templates
from ecgnb.databases import find_records, label_record
from ecgnb.leads import LEADS
from ecgnb.metrics import score_pairs
from ecgnb.preprocessing import Prepared, PreprocessingOptions, prepare_record
from ecgnb.records import RecordError, read_record
from ecgnb.tasks import is_whole, read_table, record_failure, write_bytes, write_table
from ecgnb.training import one_thread

FitPredict = Callable[[Prepared, int], np.ndarray]
COST_COLUMNS = ("record", "method", "seed", "cpu_s")
_RIDGE_REACH_S = 0.1
_PACKAGES = ("ecgnb", "numpy", "scipy", "torch", "wfdb", "sleepecg")


@dataclass(frozen=True)
class Method:
    """A rung of the ladder: its name in tables and on pages, and how it predicts a test part.

    `fit_predict(prepared, seed)` gives scaled predictions `(input, lead, time)`.
    """

    name: str
    title: str
    fit_predict: FitPredict
    is_network: bool = False


def _for_each_input(fit: Callable[[Prepared, int], object]) -> FitPredict:
    """Return a method that fits one model per input lead and predicts the test part."""

    def fit_predict(prepared: Prepared, seed: int) -> np.ndarray:
        rows = [fit(prepared, lead).predict(prepared.test[lead]) for lead in range(len(LEADS))]
        return np.stack(rows).astype(np.float32)

    return fit_predict


def _line(prepared: Prepared, lead: int, *, intercept: bool) -> linear.LagModel:
    return linear.fit_least_squares(prepared.train[lead], prepared.train, intercept=intercept)


def fit_lagged_ridge(
    prepared: Prepared, lead: int, *, reach_s: float = _RIDGE_REACH_S
) -> linear.LagModel:
    """Return the lagged ridge of one input lead, its penalties chosen on the validation part."""
    reach = round(reach_s * prepared.sampling_rate)
    parts = (prepared.train, prepared.validation)
    return linear.solve_ridge(*(linear.lag_moments(part[lead], part, reach) for part in parts))


_LADDER = (
    Method("mean", "training mean", _for_each_input(lambda p, lead: linear.fit_mean(p.train))),
    Method(
        "line_through_origin",
        "least squares through the origin",
        _for_each_input(lambda p, lead: _line(p, lead, intercept=False)),
    ),
    Method(
        "least_squares",
        "least squares with intercept",
        _for_each_input(lambda p, lead: _line(p, lead, intercept=True)),
    ),
    Method("lagged_ridge", "lagged ridge, ±100 ms", _for_each_input(fit_lagged_ridge)),
    Method("average_beat", "average beat", _for_each_input(templates.fit_average_beat)),
    Method(
        "average_beat_ridge",
        "average beat + residual ridge",
        _for_each_input(templates.fit_beat_ridge),
    ),
    Method(
        "neighbours",
        "nearest neighbours in lag space",
        _for_each_input(
            lambda p, lead: neighbours.fit_neighbours(p.train[lead], p.train, p.sampling_rate)
        ),
    ),
    Method("cnn_1d", "CNN, 1-D head", networks.predict_1d, is_network=True),
    Method("cnn_2d", "CNN, 2-D head", networks.predict_2d, is_network=True),
    Method("cnn_2d_separable", "CNN, 2-D separable head", networks.predict_separable, True),
    Method(
        "best",
        "neighbours + network",
        lambda prepared, seed: best.fit_predict_best(prepared, seed=seed),
        is_network=True,
    ),
)
METHODS = {method.name: method for method in _LADDER}
CLOSED_FORMS = tuple(method.name for method in _LADDER if not method.is_network)


def score_method(
    prepared: Prepared, method: str, *, seed: int = 0, average_beat: np.ndarray | None = None
) -> tuple[pd.DataFrame, np.ndarray, float]:
    """Return scores per pair, predictions `(input, lead, time)` and CPU seconds of one method.

    Parameters
    ----------
    prepared
        A record.
    method
        A key of `METHODS`.
    average_beat
        Predictions of the average beat, if at hand.
    """
    if average_beat is None:
        average_beat = METHODS["average_beat"].fit_predict(prepared, 0)
    started = time.process_time()
    predictions = METHODS[method].fit_predict(prepared, seed)
    cpu_s = time.process_time() - started
    scores = score_pairs(prepared.test, predictions, prepared.scaling, average_beat=average_beat)
    labels = prepared.record
    scores.insert(0, "database", labels.database)
    scores.insert(1, "record", labels.name)
    scores.insert(2, "origin", labels.origin)
    scores.insert(5, "method", method)
    scores.insert(6, "seed", seed)
    return scores, predictions, cpu_s


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
        The table, `.csv` or `.csv.gz`.
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
    out, paths = Path(out), _record_paths(folder, records)
    store = out.with_name(out.name + ".tasks")
    options = options or PreprocessingOptions()
    calls = [
        joblib.delayed(_run_record)(path, tuple(methods), tuple(seeds), options, store)
        for path in paths
    ]
    done = joblib.Parallel(n_jobs=jobs, return_as="generator_unordered")(calls)
    for _ in tqdm(done, total=len(calls), desc="records", disable=None if progress else True):
        pass
    tables = [
        read_table(store / f"{path.stem}--{method}--{seed}.csv")
        for path in paths
        for method in methods
        for seed in seeds
        if is_whole(store / f"{path.stem}--{method}--{seed}.csv")
    ]
    if not tables:
        raise RuntimeError(f"no task finished; the reasons are in {store.name}")
    costs = [read_table(path) for path in sorted(store.glob("*.cost.csv"))]
    table = pd.concat(tables, ignore_index=True)
    _write_results(out, table, pd.concat(costs, ignore_index=True), options, paths)
    return table


def _record_paths(folder: Path | str, records: Sequence[str] | None) -> list[Path]:
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
            scores, _, cpu_s = score_method(prepared, method, seed=seed, average_beat=beat)
        except Exception as error:
            record_failure(file, error)
            continue
        cost = pd.DataFrame([(path.stem, method, seed, cpu_s)], columns=list(COST_COLUMNS))
        write_table(file.with_suffix(".cost.csv"), cost)
        write_table(file, scores)


def _write_results(
    out: Path,
    table: pd.DataFrame,
    costs: pd.DataFrame,
    options: PreprocessingOptions,
    paths: list[Path],
) -> None:
    """Write table, costs and manifest."""
    stem = out.name.removesuffix(".gz").removesuffix(".csv")
    content = table.to_csv(index=False, float_format="%.5g").encode()
    write_bytes(out, gzip.compress(content, mtime=0) if out.suffix == ".gz" else content)
    write_table(out.with_name(f"{stem}_cost.csv"), costs)
    manifest = {
        "options": asdict(options),
        "methods": table["method"].unique().tolist(),
        "seeds": sorted({int(seed) for seed in table["seed"]}),
        "records": {path.stem: _header_digest(path) for path in paths},
        "n_record": int(table["record"].nunique()),
        "cpu_s": {
            name: round(float(s), 1) for name, s in costs.groupby("method")["cpu_s"].sum().items()
        },
        "versions": {
            name: version(name)
            for name in ("ecgnb", "numpy", "scipy", "torch", "wfdb", "sleepecg")
        },
        "python": platform.python_version(),
    }
    write_bytes(
        out.with_name(f"{stem}_manifest.json"), (json.dumps(manifest, indent=1) + "\n").encode()
    )


def _header_digest(path: Path) -> str:
    """Return the SHA-256 of a header, which holds the checksums of the samples."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
