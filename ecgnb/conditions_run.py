"""Fit, explain and audit the VAE of every heart condition of a folder: tasks that can resume."""

import gzip
import hashlib
import json
import platform
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import joblib
import pandas as pd
from threadpoolctl import threadpool_limits

from ecgnb.condition_folds import KINDS, Fold, fold_tables, plan_folds
from ecgnb.databases import find_records, read_records
from ecgnb.diagnoses import CONDITIONS
from ecgnb.record import Record
from ecgnb.runs import locked
from ecgnb.shares import N_LEAST
from ecgnb.symptoms import choose_records, score_symptoms
from ecgnb.tasks import (
    failure_of,
    forget_failure,
    is_whole,
    read_table,
    record_failure,
    write_bytes,
    write_table,
)
from ecgnb.vae import VaeOptions
from ecgnb.windows import WindowSet, collect_windows
from ecgnb.workers import one_thread, run_all

_PACKAGES = ("ecgnb", "numpy", "scipy", "pandas", "torch", "captum", "wfdb", "sleepecg")
N_STEP = 300
_LARGE = ("scores", "shares", "audit", "maps")


@dataclass(frozen=True)
class ConditionsRun:
    """What a run ended with: its tables by name, and a line per task that failed."""

    tables: dict[str, pd.DataFrame]
    failed: tuple[str, ...]


def run_conditions(
    folder: Path | str,
    out: Path | str,
    *,
    n_step: int = N_STEP,
    jobs: int = 1,
    scheduler: str = "",
    seed: int = 0,
    progress: bool = True,
) -> ConditionsRun:
    """Write the tables of all conditions of ptbdb to `out`, with a manifest; return them.

    A task is one fit with its scores, maps and audit, or the personal models of one record; a
    whole one is never computed again, so an interrupted run goes on where it stopped and ends
    with the same tables. A task that fails leaves its exception beside.

    Parameters
    ----------
    folder
        ptbdb, or a mirror that holds it.
    out
        Folder of the tables `conditions_*.csv` and `conditions_*.csv.gz`. Another run that
        writes there is refused.
    n_step
        Steps of each fit of a VAE.
    jobs
        Local processes, one thread each.
    scheduler
        Address of a Dask scheduler whose workers are used instead; they must see both folders.

    Raises
    ------
    FileNotFoundError
        If the folder holds no usable record of ptbdb.
    """
    started, out = time.monotonic(), Path(out)
    store, paths = (out / "conditions.tasks").resolve(), find_records(folder, "ptbdb")
    records = [r for r in read_records(paths, "ptbdb") if isinstance(r, Record)]
    if not records:
        raise FileNotFoundError(f"no usable record of ptbdb in {folder}")
    with locked(store):
        groups = {
            condition: collect_windows([r for r in records if r.condition == condition])
            for condition in CONDITIONS
        }
        folds = plan_folds(
            {name: sorted(set(g.patients)) for name, g in groups.items()}, seed=seed
        )
        options, chosen = VaeOptions(n_step=n_step), choose_records(records)
        calls = [joblib.delayed(_run_fold)(fold, groups, options, store, seed) for fold in folds]
        calls += [joblib.delayed(score_symptoms)(record, store, seed=seed) for record in chosen]
        run_all(calls, store, jobs=jobs, scheduler=scheduler, what="tasks", progress=progress)
        done = _gather(folds, chosen, store)
        tables = {"groups": count_groups(records, groups)} | done.tables
        tables["maps"] = average_maps(tables["maps"])
        facts = {"options": asdict(options), "seed": seed, "failed": list(done.failed)}
        facts["wall_s"] = round(_earlier_wall_s(out) + time.monotonic() - started, 1)
        _write(out, tables, facts, paths)
    return ConditionsRun(tables, done.failed)


def count_groups(records: Sequence[Record], groups: dict[str, WindowSet]) -> pd.DataFrame:
    """Return for each condition the number of records, patients and beats, and what is done."""
    rows = []
    for condition, group in groups.items():
        n_record = sum(record.condition == condition for record in records)
        use = "fitted" if group.n_patient >= N_LEAST else "too few patients: no conclusion"
        rows.append((condition, n_record, group.n_patient, len(group.windows), use))
    return pd.DataFrame(rows, columns=["condition", "records", "patients", "beats", "use"])


def _run_fold(
    fold: Fold, groups: dict[str, WindowSet], options: VaeOptions, store: Path, seed: int
) -> None:
    """Write the tables of one fit, unless they are there."""
    task = store / f"{fold.name}.csv"
    files = {kind: task.with_suffix(f".{kind}.csv") for kind in KINDS}
    if all(is_whole(file) for file in files.values()):
        return
    one_thread()
    try:
        with threadpool_limits(1):
            tables = fold_tables(fold, groups, options, seed)
    except Exception as error:
        record_failure(task, error)
        return
    labels = {"trained_on": fold.condition, "draw": fold.draw, "scaling": fold.scaling}
    for kind, file in files.items():
        write_table(file, tables[kind].assign(**labels, fold=fold.number))
    forget_failure(task)


def _gather(folds: Sequence[Fold], chosen: Sequence[Record], store: Path) -> ConditionsRun:
    """Return the tables of all tasks that are whole, and why others are missing."""
    tasks = [store / f"{fold.name}.csv" for fold in folds]
    tasks += [store / f"symptoms--{record.name}.csv" for record in chosen]
    parts: dict[str, list[pd.DataFrame]] = {kind: [] for kind in (*KINDS, "symptoms")}
    failed = []
    for task in tasks:
        files = {kind: task.with_suffix(f".{kind}.csv") for kind in KINDS}
        if task.name.startswith("symptoms"):
            files = {"symptoms": task}
        if not all(is_whole(file) for file in files.values()):
            failed.append(f"{task.stem}: {failure_of(task)}")
            continue
        for kind, file in files.items():
            parts[kind].append(read_table(file))
    if not parts["fits"]:
        raise RuntimeError(f"no fit finished; the reasons are in {store.name}")
    filled = {kind: [table for table in found if len(table)] for kind, found in parts.items()}
    tables = {
        kind: pd.concat(found, ignore_index=True) if found else pd.DataFrame()
        for kind, found in filled.items()
    }
    return ConditionsRun(tables, tuple(failed))


def average_maps(maps: pd.DataFrame) -> pd.DataFrame:
    """Return the mean maps of whole groups over their fits, each patient counting once."""
    rows, keys = maps[maps["draw"] == "all"], ["trained_on", "scaling", "lead", "time_s"]
    values = [name for name in rows.columns if name not in {*keys, "draw", "fold", "n_patient"}]
    counts = rows["n_patient"]
    weighted = rows[keys].join(rows[values].mul(counts, axis=0)).assign(n_patient=counts)
    total = weighted.groupby(keys, sort=False, as_index=False).sum()
    return total.assign(**{name: total[name] / total["n_patient"] for name in values})


def _earlier_wall_s(out: Path) -> float:
    """Return the time that earlier calls spent on the same folder."""
    manifest = out / "conditions_manifest.json"
    return json.loads(manifest.read_text())["wall_s"] if is_whole(manifest) else 0.0


def _write(
    out: Path, tables: dict[str, pd.DataFrame], facts: dict[str, object], paths: Sequence[Path]
) -> None:
    """Write the tables and the manifest."""
    manifest = facts | {
        "n_fit": len(tables["fits"]),
        "cpu_s": round(sum(_cpu_s(tables[name]) for name in ("fits", "symptoms")), 1),
        "records": {path.stem: _digest(path) for path in paths},
        "versions": {name: version(name) for name in _PACKAGES},
        "python": platform.python_version(),
    }
    for name, table in tables.items():
        path = out / f"conditions_{name}.csv"
        if name not in _LARGE:
            write_table(path, table)
            continue
        content = table.to_csv(index=False, float_format="%.4g").encode()
        write_bytes(path.with_name(f"{path.name}.gz"), gzip.compress(content, mtime=0))
    text = json.dumps(manifest, indent=1) + "\n"
    write_bytes(out / "conditions_manifest.json", text.encode())


def _cpu_s(table: pd.DataFrame) -> float:
    """Return the CPU time of the tasks of a table, which several rows may share."""
    return float(table.drop_duplicates("cpu_s")["cpu_s"].sum()) if len(table) else 0.0


def _digest(path: Path) -> str:
    """Return the SHA-256 of a header and its samples."""
    digest = hashlib.sha256(path.read_bytes())
    samples = path.with_suffix(".dat")
    if samples.is_file():
        digest.update(samples.read_bytes())
    return digest.hexdigest()
