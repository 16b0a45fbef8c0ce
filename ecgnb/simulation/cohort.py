"""Simulated cohorts in the layout of PhysioNet's databases, and a pair of files to try.

Every record says that it is simulated.
"""

import contextlib
import hashlib
import json
import shlex
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import product
from pathlib import Path

import numpy as np

from ecgnb.records.record import Record
from ecgnb.records.wfdb_files import write_record
from ecgnb.simulation.conditions import CONDITION_MODELS
from ecgnb.simulation.heart import Day
from ecgnb.simulation.synthesis import Simulated, SimulationOptions, simulate_record

with warnings.catch_warnings():  # wfdb uses an argument that pandas will drop
    warnings.filterwarnings("ignore", message="The inplace keyword")
    import wfdb

MANIFEST = "simulated.json"
_VERSION = 2  # raise it whenever the same seed gives other files
_ALTERNANS_UV = (0.0, 20.0, 0.0, 40.0, 0.0, 10.0)
_TWADB_CONDITIONS = (
    "healthy control",
    "myocardial infarction",
    "hypertrophy",
    "healthy control",
    "bundle branch block",
    "cardiomyopathy",
)
SAID = "Simulated by ecgnb"
CALIBRATION, WATCH, MADE = "hospital", "watch.csv", "twelve"
LEAD = "I"
CALIBRATION_S, WATCH_S, WATCH_HZ = 60.0, 30.0, 512.0


@dataclass(frozen=True)
class CohortRecord:
    """A record of the cohort: where it is written and how it is made."""

    folder: str
    name: str
    seed: int
    options: SimulationOptions
    comments: tuple[str, ...] = ()

    def simulate(self) -> Simulated:
        """Return the record, as it was before it was written, and the truth about it."""
        return simulate_record(self.options, seed=self.seed, name=self.name)


def _seed(*parts: int) -> int:
    """Return an integer seed drawn from several."""
    return int(np.random.SeedSequence(parts).generate_state(1)[0])


def plan_cohort(
    *,
    n_twadb: int = 12,
    n_patient: int = 10,
    duration_s: float = 60.0,
    ptbdb_duration_s: float = 20.0,
    seed: int = 0,
) -> list[CohortRecord]:
    """Return the records that `write_cohort` writes, in order; nothing is simulated yet.

    Parameters
    ----------
    n_twadb
        Records of the part like twadb.
    n_patient
        Patients of each of the 8 conditions in the part like ptbdb; every fifth patient of a
        condition, from the first on, has two records.
    duration_s, ptbdb_duration_s
        Length of a record of either part, s.
    seed
        Of the cohort.

    Examples
    --------
    >>> plan = plan_cohort(n_twadb=1, n_patient=1)
    >>> len(plan), plan[0].folder, plan[0].name, plan[1].folder, plan[1].name
    (17, 'twadb', 'twa01', 'ptbdb/patient001', 's0001_re')
    """
    return _plan_twadb(n_twadb, duration_s, seed) + _plan_ptbdb(n_patient, ptbdb_duration_s, seed)


def _plan_twadb(n_record: int, duration_s: float, seed: int) -> list[CohortRecord]:
    """Return the planned records of the part like twadb, every second one with alternans."""
    plan = []
    for number in range(n_record):
        options = SimulationOptions(
            condition=_TWADB_CONDITIONS[number % len(_TWADB_CONDITIONS)],
            alternans_uv=_ALTERNANS_UV[number % len(_ALTERNANS_UV)],
            duration_s=duration_s,
        )
        plan.append(CohortRecord("twadb", f"twa{number + 1:02d}", _seed(seed, 1, number), options))
    return plan


def _plan_ptbdb(n_patient: int, duration_s: float, seed: int) -> list[CohortRecord]:
    """Return the planned records of the part like ptbdb, conditions in turn."""
    plan, conditions = [], list(CONDITION_MODELS)
    for number in range(n_patient * len(conditions)):
        options = SimulationOptions(
            condition=conditions[number % len(conditions)],
            duration_s=duration_s,
            sampling_rate=1000.0,
            patient_seed=_seed(seed, 2, number),
        )
        folder = f"ptbdb/patient{number + 1:03d}"
        for _visit in range(2 if (number // len(conditions)) % 5 == 0 else 1):
            count = len(plan) + 1
            plan.append(CohortRecord(folder, f"s{count:04d}_re", _seed(seed, 3, count), options))
    return plan


def _write(planned: CohortRecord, root: Path) -> None:
    """Write one record of the cohort below `root`."""
    simulated = planned.simulate()
    record, truth = simulated.record, simulated.truth
    folder = root / planned.folder
    folder.mkdir(parents=True, exist_ok=True)
    if planned.folder == "twadb":
        alternans = f"T-wave alternans: {planned.options.alternans_uv:g} uV"
        record = replace(record, frank=None, comments=(*record.comments, alternans))
        write_record(record, folder)
        symbols = ["V" if ectopic else "N" for ectopic in truth.ectopic]
        wfdb.wrann(planned.name, "qrs", truth.r_peaks, symbol=symbols, write_dir=str(folder))
        return
    reason = f"Reason for admission: {planned.options.condition.capitalize()}"
    record = replace(
        record,
        leads=tuple(lead.lower() for lead in record.leads),
        comments=(*record.comments, reason, *planned.comments),
    )
    write_record(record, folder)


def _digests(root: Path) -> Iterator[tuple[str, str]]:
    """Yield the path below `root` and the SHA-256 of every file of the cohort."""
    for path in sorted(root.rglob("*")):
        if path.is_file() and path.name != MANIFEST:
            yield path.relative_to(root).as_posix(), hashlib.sha256(path.read_bytes()).hexdigest()


def _is_complete(folder: Path, wanted: dict[str, object]) -> bool:
    """Return whether `folder` holds exactly the cohort `wanted`, every byte of it."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        return manifest["made_by"] == wanted and manifest["files"] == dict(_digests(folder))
    return False


def _make(folder: Path, plan: list[CohortRecord], wanted: dict[str, object]) -> None:
    """Write the planned records beside `folder`, with a manifest, and move all into place."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".cohort-") as partial:
        root = Path(partial) / folder.name
        root.mkdir()
        for planned in plan:
            _write(planned, root)
        manifest = {"made_by": wanted, "files": dict(_digests(root))}
        (root / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
        if folder.is_dir():
            shutil.move(folder, Path(partial) / "former")
        with contextlib.suppress(OSError):  # another process may have been faster
            root.rename(folder)


def write_cohort(
    folder: Path | str,
    *,
    n_twadb: int = 12,
    n_patient: int = 10,
    duration_s: float = 60.0,
    ptbdb_duration_s: float = 20.0,
    seed: int = 0,
) -> Path:
    """Return the folder that holds the cohort of `plan_cohort`, written if it is not there yet.

    The files are made beside the folder and moved into place together with a manifest of their
    SHA-256, so an interrupted run leaves nothing that looks complete. Same options, same bytes.

    Raises
    ------
    FileExistsError
        If the folder holds files and no manifest: they are somebody's recordings.
    """
    folder = Path(folder)
    sizes = {"n_twadb": n_twadb, "n_patient": n_patient, "duration_s": duration_s}
    sizes |= {"ptbdb_duration_s": ptbdb_duration_s, "seed": seed}
    wanted = {"version": _VERSION, **sizes}
    return _complete(folder, plan_cohort(**sizes), wanted)


# What real people with several recordings in ptbdb have: mostly infarcts, some of them evolving.
_DAY_CONDITIONS = ("myocardial infarction", "healthy control", "hypertrophy", "healthy control")

_ECTOPIC_SHARES = (None, 0.0, None, 0.12)

_FIRST_DAY, _DAYS_APART = date(2001, 1, 1), (0, 3, 30, 300)


def _plan_days(
    *, n_heart: int = 8, n_day: int = 3, duration_s: float = 20.0, seed: int = 0
) -> list[CohortRecord]:
    """Return the records that `write_days` writes: each heart on several days.

    From one day to the next every electrode is put elsewhere by centimetres, the heart lies
    otherwise in the chest and beats at another rate (`Day`); an infarct grows from hours to
    months old. Every fourth heart has ectopic beats.

    Parameters
    ----------
    n_heart
        People, their conditions in turn.
    n_day
        Recordings of each, 2 to 4: on the first day and 3, 30 and 300 days later.
    duration_s
        Of each, s.
    seed
        Of the cohort.

    Examples
    --------
    >>> [(one.folder, one.name, one.comments) for one in _plan_days(n_heart=1, n_day=2)][1]
    ('ptbdb/patient001', 's0002_re', ('ECG date: 04/01/2001',))
    """
    if not 2 <= n_day <= len(_DAYS_APART):
        raise ValueError(f"n_day must be 2 to {len(_DAYS_APART)}, got {n_day}")
    plan = []
    for heart, number in product(range(n_heart), range(n_day)):
        condition = _DAY_CONDITIONS[heart % len(_DAY_CONDITIONS)]
        evolves = condition == _DAY_CONDITIONS[0]
        day = Day(infarct_age=number / (n_day - 1)) if evolves else Day()
        options = SimulationOptions(
            condition=condition,
            duration_s=duration_s,
            sampling_rate=1000.0,
            ectopic_share=_ECTOPIC_SHARES[heart % len(_ECTOPIC_SHARES)],
            patient_seed=_seed(seed, 4, heart),
            day=day,
        )
        when = _FIRST_DAY + timedelta(days=_DAYS_APART[number])
        place = f"ptbdb/patient{heart + 1:03d}", f"s{len(plan) + 1:04d}_re"
        said = (f"ECG date: {when:%d/%m/%Y}",)
        plan.append(CohortRecord(*place, _seed(seed, 5, len(plan)), options, said))
    return plan


def write_days(
    folder: Path | str,
    *,
    n_heart: int = 8,
    n_day: int = 3,
    duration_s: float = 20.0,
    seed: int = 0,
) -> Path:
    """Return the folder that holds the cohort of `_plan_days`, written if it is not there yet.

    As `write_cohort` does it: whole or not at all, same options, same bytes.

    Raises
    ------
    FileExistsError
        If the folder holds files and no manifest: they are somebody's recordings.
    """
    sizes = {"n_heart": n_heart, "n_day": n_day, "duration_s": duration_s, "seed": seed}
    wanted = {"version": _VERSION, "what": "days", **sizes}
    return _complete(Path(folder), _plan_days(**sizes), wanted)


def _complete(folder: Path, plan: list[CohortRecord], wanted: dict[str, object]) -> Path:
    """Return the folder after writing what it lacks of a planned cohort."""
    if _is_complete(folder, wanted):
        return folder
    if folder.is_dir() and any(folder.iterdir()) and not (folder / MANIFEST).is_file():
        raise FileExistsError(f"{folder} holds files that were not simulated; choose another")
    _make(folder, plan, wanted)
    if not _is_complete(folder, wanted):
        raise OSError(f"the simulated cohort could not be moved to {folder}")
    return folder


@dataclass(frozen=True)
class Example:
    """The files of an example, and the command to run next."""

    calibration: Path
    recording: Path
    command: str


def write_example(folder: Path | str, *, seed: int = 0) -> Example:
    """Return an example written to a folder: 12 leads as WFDB, and a watch's CSV file of lead I.

    Parameters
    ----------
    folder
        Made if absent.
    seed
        Of the person.

    Raises
    ------
    FileExistsError
        If a file of that name is there and is no earlier example.
    """
    folder = Path(folder)
    for name in (f"{CALIBRATION}.hea", WATCH):
        path = folder / name
        if path.exists() and SAID not in path.read_text(encoding="utf-8", errors="replace"):
            raise FileExistsError(f"{path} is there and was not simulated; choose another folder")
    if (folder / f"{CALIBRATION}.dat").exists() and not (folder / f"{CALIBRATION}.hea").exists():
        raise FileExistsError(
            f"{CALIBRATION}.dat is there without a header; choose another folder"
        )
    calibration = _simulate(seed, 1, CALIBRATION_S, 500.0)
    header = write_record(replace(calibration, name=CALIBRATION), folder)
    recording = folder / WATCH
    watched = _simulate(seed, 2, WATCH_S, WATCH_HZ)
    recording.write_text(_watch_text(watched.lead(LEAD)), encoding="utf-8")
    words = ["ecgnb", "reconstruct", str(recording), "--calibration", str(header), "--lead", LEAD]
    words += ["--out", str(folder / MADE)]
    words += ["--plot", str(folder / f"{MADE}.png")]
    return Example(header, recording, shlex.join(words))


def _simulate(person: int, day: int, duration_s: float, sampling_rate: float) -> Record:
    """Return a recording of a person on one day, without Frank leads."""
    options = SimulationOptions(
        duration_s=duration_s, sampling_rate=sampling_rate, patient_seed=person
    )
    record = simulate_record(options, seed=100 * person + day, name="simulated").record
    return replace(record, frank=None)


def _watch_text(signal: np.ndarray) -> str:
    """Return a lead `(time,)` in mV as a watch exports it: lines of facts, then uV, one a line."""
    lines = [f"Name,{SAID}", "Classification,Simulated", f"Device,{SAID}"]
    lines += [f"Sample Rate,{WATCH_HZ:g} hertz", "", "", f"Lead,Lead {LEAD}", "Unit,\u00b5V", ""]
    return "\n".join([*lines, *(f"{1000 * value:.3f}" for value in signal)]) + "\n"
