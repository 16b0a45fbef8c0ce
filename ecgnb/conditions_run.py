"""Fit, explain and audit the VAE of every heart condition of a folder: tasks that can resume."""

import gzip
import hashlib
import json
import platform
import time
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import joblib
import pandas as pd
from tqdm import tqdm

from ecgnb.condition_folds import KINDS, Fold, fold_tables, plan_folds
from ecgnb.databases import CONDITIONS, find_records, read_records
from ecgnb.records import Record
from ecgnb.runs import locked
from ecgnb.shares import N_LEAST
from ecgnb.symptoms import choose_records, score_symptoms
from ecgnb.tasks import is_whole, read_table, record_failure, write_bytes, write_table
from ecgnb.training import one_thread
from ecgnb.vae import VaeOptions
from ecgnb.windows import WindowSet, collect_windows

_PACKAGES = ("ecgnb", "numpy", "scipy", "pandas", "torch", "captum", "wfdb", "sleepecg")
_LARGE = ("scores", "shares", "audit", "maps")


def run_conditions(
    folder: Path | str,
    out: Path | str,
    *,
    n_step: int = 500,
    jobs: int = 1,
    seed: int = 0,
    progress: bool = True,
) -> dict[str, pd.DataFrame]:
    """Return the tables of all conditions of ptbdb and write them to `out`, with a manifest.

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
        Steps of each fit.
    jobs
        Processes, one thread each.

    Raises
    ------
    FileNotFoundError
        If the folder holds no usable record of ptbdb.
    """
    started, out = time.monotonic(), Path(out)
    store, paths = out / "conditions.tasks", find_records(folder, "ptbdb")
    with locked(store):
        records = [r for r in read_records(paths, "ptbdb") if isinstance(r, Record)]
        if not records:
            raise FileNotFoundError("no usable record of ptbdb in the folder")
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
        done = joblib.Parallel(n_jobs=jobs, return_as="generator_unordered")(calls)
        for _ in tqdm(done, total=len(calls), desc="tasks", disable=None if progress else True):
            pass
        tables = {"groups": count_groups(records, groups)} | _gather(folds, chosen, store)
        facts = {"options": asdict(options), "seed": seed}
        _write(out, tables, facts | {"wall_s": round(time.monotonic() - started, 1)}, paths)
    return tables


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
    files = {kind: store / f"{fold.name}.{kind}.csv" for kind in KINDS}
    if all(is_whole(file) for file in files.values()):
        return
    one_thread()
    try:
        tables = fold_tables(fold, groups, options, seed)
    except Exception as error:
        record_failure(store / f"{fold.name}.csv", error)
        return
    labels = {"trained_on": fold.condition, "draw": fold.draw, "scaling": fold.scaling}
    for kind, file in files.items():
        write_table(file, tables[kind].assign(**labels, fold=fold.number))


def _gather(
    folds: Sequence[Fold], chosen: Sequence[Record], store: Path
) -> dict[str, pd.DataFrame]:
    """Return the tables of all tasks that are whole."""
    tables = {}
    for kind in KINDS:
        files = [store / f"{fold.name}.{kind}.csv" for fold in folds]
        found = [read_table(file) for file in files if is_whole(file)]
        if not found:
            raise RuntimeError(f"no task finished; the reasons are in {store.name}")
        filled = [table for table in found if len(table)]
        tables[kind] = pd.concat(filled, ignore_index=True)
    files = [store / f"symptoms--{record.name}.csv" for record in chosen]
    scores = [read_table(file) for file in files if is_whole(file)]
    tables["symptoms"] = pd.concat(scores, ignore_index=True) if scores else pd.DataFrame()
    return tables


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
