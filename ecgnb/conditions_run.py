"""Fit, explain and audit the VAE of every heart condition of a folder: tasks that can resume."""

import gzip
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pandas as pd

from ecgnb.condition_folds import KINDS, Fold, fold_tables, plan_folds
from ecgnb.explanation.shares import N_LEAST
from ecgnb.explanation.vae import VaeOptions
from ecgnb.explanation.windows import BeatWindows, collect_windows
from ecgnb.files import code_digest, write_bytes, write_manifest, write_table
from ecgnb.plan import Source, Task, key_of, sources_of
from ecgnb.records.databases import find_records
from ecgnb.records.labels import CONDITIONS
from ecgnb.records.record import Record, RecordError
from ecgnb.runner import Outcome, Results, finished
from ecgnb.symptoms import choose_records, personal_scores

N_STEP = 300
_LARGE = ("scores", "shares", "audit", "maps")


def run_conditions(
    folder: Path | str,
    out: Path | str,
    *,
    n_step: int = N_STEP,
    jobs: int = 1,
    scheduler: str = "",
    seed: int = 0,
    progress: bool = True,
) -> Outcome:
    """Write the tables of all conditions of ptbdb to `out`, with a manifest; return them.

    A task is one fit with its scores, maps and audit, or the personal models of one record. An
    interrupted run goes on where it stopped and ends with the same tables.

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
    out, code = Path(out), code_digest(__name__)
    sources = sources_of(find_records(folder, "ptbdb"), "ptbdb")
    records, refused = _read(sources)
    if not records:
        raise FileNotFoundError(f"no usable record of ptbdb in {folder}")
    groups = {
        condition: collect_windows([r for r in records.values() if r.condition == condition])
        for condition in CONDITIONS
    }
    patients = {name: sorted(set(group.patients)) for name, group in groups.items()}
    options = VaeOptions(n_step=n_step)
    inputs = key_of(code, sources, vae=options, seed=seed)
    tasks = [
        _plan_fit(fold, groups, inputs, options=options, seed=seed)
        for fold in plan_folds(patients, seed=seed)
    ]
    by_name = {source.name: source for source in sources}
    tasks += [
        Task(
            f"symptoms--{record.name}",
            key_of(code, [by_name[record.name]], what="symptoms", seed=seed),
            partial(_score_symptoms, by_name[record.name], seed),
            kinds=("symptoms",),
            labels={"record": record.name},
        )
        for record in choose_records(list(records.values()))
    ]
    how = {"jobs": jobs, "scheduler": scheduler, "progress": progress}
    with finished(tasks, out / "conditions.tasks", **how) as results:
        tables = {"groups": count_groups(list(records.values()), groups)} | _gather(results)
        facts = {"options": options, "seed": seed, "n_fit": len(tables["fits"])}
        facts |= {"refused": refused, "code": code} | results.costs()
        _write(out, tables, results.facts(sources, **facts))
        return Outcome(tables, results.failed)


def _read(sources: Sequence[Source]) -> tuple[dict[str, Record], list[str]]:
    """Return the records that can be used, by name, and why others cannot."""
    records, refused = {}, []
    for source in sources:
        try:
            records[source.name] = replace(source.read(), name=source.name)
        except RecordError as error:
            refused.append(str(error))
    return records, refused


def _plan_fit(
    fold: Fold, groups: dict[str, BeatWindows], inputs: str, *, options: VaeOptions, seed: int
) -> Task:
    """Return the task of one fit, whose result depends on all records."""
    return Task(
        fold.name,
        key_of(inputs, [], fold=fold),
        partial(_fit, fold, groups, options, seed),
        kinds=KINDS,
    )


def _score_symptoms(source: Source, seed: int) -> dict[str, pd.DataFrame]:
    return {"symptoms": personal_scores(source.read(), seed=seed)}


def count_groups(records: Sequence[Record], groups: dict[str, BeatWindows]) -> pd.DataFrame:
    """Return for each condition the number of records, patients and beats, and what is done."""
    rows = []
    for condition, group in groups.items():
        n_record = sum(record.condition == condition for record in records)
        use = "fitted" if group.n_patient >= N_LEAST else "too few patients: no conclusion"
        rows.append((condition, n_record, group.n_patient, len(group.windows), use))
    return pd.DataFrame(rows, columns=["condition", "records", "patients", "beats", "use"])


def _fit(
    fold: Fold, groups: dict[str, BeatWindows], options: VaeOptions, seed: int
) -> dict[str, pd.DataFrame]:
    """Return the tables of one fit, with what was fitted."""
    labels = {"trained_on": fold.condition, "draw": fold.draw, "scaling": fold.scaling}
    tables = fold_tables(fold, groups, options, seed)
    return {kind: tables[kind].assign(**labels, fold=fold.number) for kind in KINDS}


def _gather(results: Results) -> dict[str, pd.DataFrame]:
    """Return the tables of all tasks that are finished."""
    tables = {kind: results.table(kind) for kind in (*KINDS, "symptoms")}
    if not len(tables["fits"]):
        raise RuntimeError(f"no fit finished; the reasons are in {results.store.name}")
    return tables | {"maps": average_maps(tables["maps"])}


def average_maps(maps: pd.DataFrame) -> pd.DataFrame:
    """Return the mean maps of whole groups over their fits, each patient counting once."""
    rows, keys = maps[maps["draw"] == "all"], ["trained_on", "scaling", "lead", "time_s"]
    values = [name for name in rows.columns if name not in {*keys, "draw", "fold", "n_patient"}]
    counts = rows["n_patient"]
    weighted = rows[keys].join(rows[values].mul(counts, axis=0)).assign(n_patient=counts)
    total = weighted.groupby(keys, sort=False, as_index=False).sum()
    return total.assign(**{name: total[name] / total["n_patient"] for name in values})


def _write(out: Path, tables: dict[str, pd.DataFrame], facts: dict[str, object]) -> None:
    """Write the tables and the manifest."""
    for name, table in tables.items():
        path = out / f"conditions_{name}.csv"
        if name not in _LARGE:
            write_table(path, table)
            continue
        content = table.to_csv(index=False, float_format="%.4g").encode()
        write_bytes(path.with_name(f"{path.name}.gz"), gzip.compress(content, mtime=0))
    write_manifest(out / "conditions_manifest.json", facts)
