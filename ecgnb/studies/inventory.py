"""What the databases hold: figures of every record, Frank leads, misplaced leads noticed."""

import contextlib
import zlib
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from ecgnb.files import code_digest, file_beside, write_bytes, write_manifest, write_table
from ecgnb.intervals import correlation
from ecgnb.leads import DOWER_INVERSE, INDEPENDENT_LEADS, KORS, frank_from_leads
from ecgnb.records.databases import find_records
from ecgnb.records.labels import TWADB_FROM_PTBDB
from ecgnb.records.record import Record, RecordError
from ecgnb.signals.checks import CHECKED_HZ
from ecgnb.signals.description import describe_record, match_records
from ecgnb.signals.filters import clean
from ecgnb.signals.placement import lead_covariance, misplacements, unusual_placement
from ecgnb.studies.plan import EXACT, Source, Task, key_of, sources_of
from ecgnb.studies.runner import Outcome, finished, store_of, write_study

INVENTORIED = ("twadb", "ptbdb")

FRANK_COLUMNS = ("record", "patient", "method", "lead", "r", "rmse_mv")


def _sources(data: Path | str) -> list[Source]:
    """Return the records of twadb and ptbdb."""
    found = [one for name in INVENTORIED for one in sources_of(find_records(data, name), name)]
    if not found:
        raise FileNotFoundError(f"no record of twadb or ptbdb in {data}")
    return found


def run_description(
    data: Path | str, folder: Path | str, *, jobs: int = 1, progress: bool = True
) -> Outcome:
    """Return and write the two tables on real records that the book compares with.

    `real_description.csv` holds `describe_records` of twadb and ptbdb, `shared_recordings.csv`
    what `match_records` finds of twadb in ptbdb, four digits a figure.

    Parameters
    ----------
    data
        A folder that holds both databases.
    folder
        Where the tables go.
    jobs
        Local processes, one thread each.
    progress
        Whether it is told how far the run is.
    """
    folder, sources, code = Path(folder), _sources(data), code_digest(__name__)
    tasks = [
        Task(
            source.path.stem,
            key_of(code, [source], what="description"),
            partial(_describe, source),
            kinds=("description",),
            about=source.name,
            labels={"record": source.name},
            digits=EXACT,
        )
        for source in sources
    ]
    names = [source.name for source in sources]
    key = key_of(code, sources, what="matches", names=names)
    match = partial(_match, tuple(sources))
    tasks.append(Task("shared_recordings", key, match, kinds=("matches",), digits=EXACT))
    with finished(tasks, folder / "describe.tasks", jobs=jobs, progress=progress) as results:
        tables = {
            "real_description": results.table("description"),
            "shared_recordings": results.table("matches"),
        }
        for name, table in tables.items():
            write_table(folder / f"{name}.csv", table, digits=4)
        facts = results.facts(sources, code=code) | results.costs()
        write_manifest(folder / "real_description_manifest.json", facts)
        return Outcome(tables, results.failed)


def _describe(source: Source) -> dict[str, pd.DataFrame]:
    return {"description": pd.DataFrame([describe_record(source.read())])}


def _match(sources: Sequence[Source]) -> dict[str, pd.DataFrame]:
    """Return what the records of twadb share with those of ptbdb; unreadable ones are left out."""
    found = {name: [] for name in INVENTORIED}
    for source in sources:
        with contextlib.suppress(RecordError):
            found[source.database].append(replace(source.read(), name=source.name))
    table = match_records(*(found[name] for name in INVENTORIED))
    return {"matches": table.sort_values("correlation")}


def _score_frank(record: Record) -> pd.DataFrame:
    """Return how well two published matrices give the recorded Frank leads, a row for each lead.

    Inverse Dower (Edenbrandt and Pahlm 1988) and Kors (Kors et al. 1990) were both fitted on
    other people. Signals are filtered 0.5-40 Hz; `rmse_mv` in mV.
    """
    leads, frank = (clean(part, record.sampling_rate) for part in (record.signals, record.frank))
    rows = []
    for name, matrix in (("inverse Dower", DOWER_INVERSE), ("Kors", KORS)):
        for lead, guess, truth in zip("XYZ", frank_from_leads(leads, matrix), frank, strict=True):
            r = float(correlation(truth, guess))
            rmse_mv = float(np.sqrt(np.square(guess - truth).mean()))
            rows.append((record.name, record.patient, name, lead, r, rmse_mv))
    return pd.DataFrame(rows, columns=list(FRANK_COLUMNS))


def run_frank(
    folder: Path | str, out: Path | str, *, jobs: int = 1, progress: bool = True
) -> Outcome:
    """Return `score_frank` of all records of ptbdb with Frank leads, also written to `out`."""
    sources, code = sources_of(find_records(folder, "ptbdb"), "ptbdb"), code_digest(__name__)
    if not sources:
        raise FileNotFoundError("no record of ptbdb with Frank leads in the folder")
    tasks = [
        Task(
            source.path.stem,
            key_of(code, [source]),
            partial(_frank_of, source),
            about=source.name,
            labels={"record": source.name},
            digits=EXACT,
        )
        for source in sources
    ]
    how = {"jobs": jobs, "what": "records", "progress": progress}
    done = write_study(tasks, out, sources, digits=4, facts={"code": code}, **how)
    if not len(done.table):
        raise FileNotFoundError("no record of ptbdb with Frank leads in the folder")
    return done


def _frank_of(source: Source) -> dict[str, pd.DataFrame]:
    record = source.read()
    empty = pd.DataFrame(columns=list(FRANK_COLUMNS))
    return {"rows": empty if record.frank is None else _score_frank(record)}


def run_placement(
    data: Path | str, out: Path | str, *, jobs: int = 1, progress: bool = True
) -> Outcome:
    """Return and write how many misplaced leads are noticed, and the usual covariance beside.

    Rates are cross-validated in two halves of the patients (records of twadb of known patients
    stay with them, synthetic ones are left out); the covariance is the mean over all of ptbdb,
    which is the package's table.

    Parameters
    ----------
    data
        A folder that holds twadb and ptbdb.
    out
        The table of rates; `<out>_covariance.csv` goes beside.
    jobs
        Local processes, one thread each.
    progress
        Whether it is told how far the run is.
    """
    out, code = Path(out), code_digest(__name__)
    sources = sorted(_sources(data), key=lambda source: source.database != "ptbdb")
    tasks = [
        Task(
            source.path.stem,
            key_of(code, [source], what="covariance"),
            partial(_covariance, source),
            about=source.name,
            labels={"record": source.name},
            digits=EXACT,
        )
        for source in sources
    ]
    how = {"jobs": jobs, "what": "records", "progress": progress}
    with finished(tasks, store_of(out), **how) as results:
        table = results.table()
        rates, usual = _summarise_placement(table[table["origin"] != "synthetic"])
        write_bytes(
            out, rates.to_csv(index=False, float_format="%.4f", lineterminator="\n").encode()
        )
        content = usual.to_csv(
            float_format="%.6f", index_label="lead", lineterminator="\n"
        ).encode()
        write_bytes(file_beside(out, "_covariance.csv"), content)
        facts = results.facts(sources, code=code) | results.costs()
        write_manifest(file_beside(out, "_manifest.json"), facts)
        return Outcome({"placement": rates, "covariance": usual.reset_index()}, results.failed)


def _covariance(source: Source) -> dict[str, pd.DataFrame]:
    """Return the covariance of a record's independent leads, a row, with its labels."""
    record = source.read()
    signals = clean(record.signals, record.sampling_rate, to_rate=CHECKED_HZ)
    labels = ("name", "patient", "origin", "database")
    row = {label: getattr(record, label) for label in labels}
    values = lead_covariance(signals).ravel()
    row |= {f"c{number}": value for number, value in enumerate(values)}
    return {"rows": pd.DataFrame([row])}


def _summarise_placement(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rates of what is noticed and named, and the usual covariance.

    Parameters
    ----------
    table
        A row per record: `name`, `patient`, `database`, and the covariance in the last columns,
        records of ptbdb first.
    """
    n_lead = len(INDEPENDENT_LEADS)
    found = table.iloc[:, -(n_lead**2) :].to_numpy(dtype=float).reshape(-1, n_lead, n_lead)
    is_ptbdb = (table["database"] == "ptbdb").to_numpy()
    known = dict(zip(table["name"][is_ptbdb], table["patient"][is_ptbdb], strict=True))
    people = [
        known.get(TWADB_FROM_PTBDB.get(row.name, ""), row.patient) for row in table.itertuples()
    ]
    half = np.array([zlib.crc32(person.encode()) % 2 for person in people])
    tables = []
    for test in (0, 1):
        usual = np.mean(found[(half != test) & is_ptbdb], axis=0)
        tables.append(_placement_rates(found[half == test], usual))
    summary = pd.concat(tables).groupby("misplaced", sort=False).mean().reset_index()
    summary.insert(1, "n_record", len(found))
    leads = list(INDEPENDENT_LEADS)
    return summary, pd.DataFrame(np.mean(found[is_ptbdb], axis=0), leads, leads)


def _placement_rates(tests: np.ndarray, usual: np.ndarray) -> pd.DataFrame:
    """Return for each misplacement, done to each record, whether anything / the right is said.

    Parameters
    ----------
    tests
        Covariances `(record, lead, lead)`.
    usual
        The mean covariance `(lead, lead)` of other people.
    """
    rows = [("none", bool(unusual_placement(one, usual=usual)), False) for one in tests]
    for name, matrix in misplacements().items():
        for one in tests:
            said = unusual_placement(matrix @ one @ matrix.T, usual=usual)
            rows.append((name, bool(said), f" {name} " in f" {said} "))
    return pd.DataFrame(rows, columns=["misplaced", "noticed", "named"])
