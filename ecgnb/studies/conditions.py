"""Fit, explain and audit the VAE of every heart condition of a folder: tasks that can resume.

A task is one fit of a condition's VAE, with who is in its parts, its scores, maps and audit.
"""

import gzip
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from ecgnb.explanation.audit import RULES, RULES_FIXED, audit_maps
from ecgnb.explanation.group_scores import fit_pooled, score_group, withheld_leads
from ecgnb.explanation.groups import describe_fit, explain_group, fit_group, part_of
from ecgnb.explanation.shares import N_LEAST
from ecgnb.explanation.vae import VaeOptions
from ecgnb.explanation.windows import BeatWindows, collect_windows, join_windows
from ecgnb.files import code_digest, write_bytes, write_manifest, write_table
from ecgnb.records.databases import find_records
from ecgnb.records.labels import CONDITIONS, HEALTHY, condition_slug
from ecgnb.records.record import Record, RecordError
from ecgnb.studies.plan import Source, Task, key_of, sources_of
from ecgnb.studies.runner import Outcome, Results, finished
from ecgnb.studies.symptoms import choose_records, personal_scores

N_FOLD = 5

KINDS = ("fits", "terms", "scores", "shares", "audit", "withheld", "maps")

AUDIT = ["test", "target", "attribution", "number"]

_N_CASE = 60  # of a pointing test
_N_AUDITED = 24  # beats of an audit


@dataclass(frozen=True)
class Fold:
    """One fit: the group it belongs to and the patients of its three parts.

    `scaling` is `lead` (each lead by its own size) or `common`.
    """

    condition: str
    scaling: str
    number: int
    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]

    @property
    def name(self) -> str:
        """As it stands in file names."""
        return f"{condition_slug(self.condition)}--{self.scaling}--{self.number}"


def _plan_folds(patients: dict[str, Sequence[str]], *, seed: int = 0) -> list[Fold]:
    """Return the fits for the patients of each condition with at least 3.

    Every condition is cut into 5 folds by patient (as many as patients if fewer); a fifth of all,
    at least one, of the others validates. Healthy controls are fitted again with one factor for
    all leads.

    Examples
    --------
    >>> folds = _plan_folds({"healthy control": list("abcdef"), "myocarditis": ["x", "y"]})
    >>> len(folds), sorted(name for fold in folds[:5] for name in fold.test)
    (10, ['a', 'b', 'c', 'd', 'e', 'f'])
    """
    enough = {name: sorted(found) for name, found in patients.items() if len(found) >= N_LEAST}
    folds = [fold for name, found in enough.items() for fold in _deal(name, found, seed=seed)]
    if HEALTHY in enough:
        folds += _deal(HEALTHY, enough[HEALTHY], seed=seed, scaling="common")
    return folds


def _deal(
    condition: str, patients: Sequence[str], *, seed: int, scaling: str = "lead"
) -> Iterator[Fold]:
    """Yield the folds of one group."""
    names = np.random.default_rng(seed).permutation(list(patients)).tolist()
    parts = [tuple(part.tolist()) for part in np.array_split(names, min(N_FOLD, len(names)))]
    n_validation = max(round(0.2 * len(names)), 1)
    for number, test in enumerate(parts):
        after = [*parts[number + 1 :], *parts[:number]]
        rest = [name for part in after for name in part]
        train, validation = tuple(rest[n_validation:]), tuple(rest[:n_validation])
        yield Fold(condition, scaling, number, train, validation, test)


def _fold_tables(
    fold: Fold, groups: dict[str, BeatWindows], options: VaeOptions, seed: int
) -> dict[str, pd.DataFrame]:
    """Return the tables `KINDS` of one fit.

    The VAE of healthy people is also scored on everybody with a condition, and only its maps are
    audited: the claims about single maps are about healthy people.
    """
    started, wall = time.process_time(), time.monotonic()
    own = groups[fold.condition]
    train, check, test = (part_of(own, part) for part in (fold.train, fold.validation, fold.test))
    equal = fold.scaling == "lead"
    fitted = fit_group(train, check, options=options, equal_leads=equal, seed=seed)
    asked = {fold.condition: test}
    if fold.condition == HEALTHY and equal:
        asked = {n: g for n, g in groups.items() if n != HEALTHY and len(g.windows)} | asked
    seen = join_windows(train, check)
    pooled = fit_pooled(seen, fold.condition, groups, fitted.factor, options.n_latent)
    scores = [
        score_group(fitted, group, pooled=pooled if condition == fold.condition else None).assign(
            condition=condition
        )
        for condition, group in asked.items()
    ]
    shares, maps = explain_group(fitted, test)
    audit = (
        audit_maps(fitted, test, n_beat=_N_AUDITED, n_case=_N_CASE, seed=seed)
        if fold.condition == HEALTHY
        else pd.DataFrame(columns=AUDIT)
    )
    terms = pd.DataFrame(fitted.history.terms).assign(
        step=fitted.history.step, validation=[errors[0] for errors in fitted.history.validation]
    )
    facts = {"n_train": train.n_patient, "n_validation": check.n_patient}
    facts |= {"n_test": test.n_patient} | describe_fit(fitted, test)
    facts |= {"cpu_s": time.process_time() - started, "wall_s": time.monotonic() - wall}
    withheld = withheld_leads(fitted, test)
    if fold.condition != HEALTHY:
        withheld = withheld.head(0)
    tables = (pd.DataFrame([facts]), terms, pd.concat(scores), shares, audit, withheld, maps)
    return dict(zip(KINDS, tables, strict=True))


N_STEP = 300

_LARGE = ("scores", "shares", "audit", "maps", "withheld")


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
    options = VaeOptions(n_step=n_step)
    inputs = key_of(code, sources, vae=options, seed=seed)
    tasks = _plan_fits(groups, inputs, options=options, seed=seed)
    own_code = code_digest(personal_scores.__module__)
    tasks += _plan_symptoms(sources, list(records.values()), own_code, seed=seed)
    how = {"jobs": jobs, "scheduler": scheduler, "progress": progress}
    with finished(tasks, out / "conditions.tasks", **how) as results:
        tables = {"groups": _count_groups(list(records.values()), groups)} | _gather(results)
        facts = {"options": options, "seed": seed, "n_fit": len(tables["fits"])}
        facts |= {"refused": refused, "code": code} | results.costs()
        facts |= {"rules": RULES, "rules_fixed": RULES_FIXED}
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


def _plan_fits(
    groups: dict[str, BeatWindows], inputs: str, *, options: VaeOptions, seed: int
) -> list[Task]:
    """Return the tasks of all fits."""
    patients = {name: sorted(set(group.patients)) for name, group in groups.items()}
    return [
        _plan_fit(fold, groups, inputs, options=options, seed=seed)
        for fold in _plan_folds(patients, seed=seed)
    ]


def _plan_symptoms(
    sources: Sequence[Source], records: Sequence[Record], code: str, *, seed: int
) -> list[Task]:
    """Return the tasks of personal models: one record of each patient."""
    by_name = {source.name: source for source in sources}
    return [
        Task(
            f"symptoms--{record.name}",
            key_of(code, [by_name[record.name]], what="symptoms", seed=seed),
            partial(_score_symptoms, by_name[record.name], seed),
            kinds=("symptoms",),
            labels={"record": record.name},
        )
        for record in choose_records(records)
    ]


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


def _count_groups(records: Sequence[Record], groups: dict[str, BeatWindows]) -> pd.DataFrame:
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
    labels = {"trained_on": fold.condition, "scaling": fold.scaling}
    tables = _fold_tables(fold, groups, options, seed)
    return {kind: tables[kind].assign(**labels, fold=fold.number) for kind in KINDS}


def _gather(results: Results) -> dict[str, pd.DataFrame]:
    """Return the tables of all tasks that are finished."""
    tables = {kind: results.table(kind) for kind in (*KINDS, "symptoms")}
    if not len(tables["fits"]):
        raise RuntimeError(f"no fit finished; the reasons are in {results.store.name}")
    return tables | {"maps": _average_maps(tables["maps"])}


def _average_maps(maps: pd.DataFrame) -> pd.DataFrame:
    """Return the mean maps of the groups over their fits, each patient counting once."""
    keys = ["trained_on", "scaling", "lead", "time_s"]
    values = [name for name in maps.columns if name not in {*keys, "fold", "n_patient"}]
    counts = maps["n_patient"]
    weighted = maps[keys].join(maps[values].mul(counts, axis=0)).assign(n_patient=counts)
    total = weighted.groupby(keys, sort=False, as_index=False).sum()
    return total.assign(**{name: total[name] / total["n_patient"] for name in values})


def _write(out: Path, tables: dict[str, pd.DataFrame], facts: dict[str, object]) -> None:
    """Write the tables and the manifest."""
    for name, table in tables.items():
        path = out / f"conditions_{name}.csv"
        if name not in _LARGE:
            write_table(path, table)
            continue
        content = table.to_csv(index=False, float_format="%.4g", lineterminator="\n").encode()
        write_bytes(path.with_name(f"{path.name}.gz"), gzip.compress(content, mtime=0))
    write_manifest(out / "conditions_manifest.json", facts)
