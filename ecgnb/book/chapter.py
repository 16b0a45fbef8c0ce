"""The chapter's side of the book: profile, data, artifacts, numbers for the text."""

import html
import inspect
import json
import platform
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from IPython.display import HTML, Markdown, display

from ecgnb import files
from ecgnb.figures import style
from ecgnb.intervals import Estimate
from ecgnb.records.databases import data_folder, find_records, load_database, take_in_turn
from ecgnb.records.labels import CONDITIONS, HEALTHY, condition_slug
from ecgnb.records.record import Record
from ecgnb.signals.preparation import Prepared
from ecgnb.signals.prepared_files import prepare_file
from ecgnb.simulation.cohort import write_cohort, write_days
from ecgnb.studies.runner import one_thread


@dataclass(frozen=True)
class Profile:
    """Sizes of one run; the code is the same in all of them.

    `None` means all there is. `n_record` counts records of twadb, `n_described` records of ptbdb,
    `n_network_record` records that networks are trained on, `n_patient` simulated patients of a
    condition, `n_vae_step` and `n_cnn_step` steps of the fits, `n_day_heart` simulated hearts on
    `n_day` days each.
    """

    name: str
    n_record: int | None
    n_described: int
    n_network_record: int
    n_best_record: int
    n_seed: int
    n_patient: int
    twadb_duration_s: float
    n_cnn_step: int
    n_best_step: int
    n_vae_step: int
    n_map_patient: int
    n_bootstrap: int
    n_day_heart: int
    n_day: int


@dataclass(frozen=True)
class Chapter:
    """One chapter in one run: where its data and its artifacts are."""

    name: str
    profile: Profile
    data: Path
    simulated: bool
    artifacts: Path

    @property
    def results(self) -> Path:
        """Where the recorded runs on real data are."""
        return ROOT / "results"

    @property
    def folder(self) -> Path:
        """Where this chapter writes."""
        return self.artifacts / self.name

    def banner(self) -> None:
        """Display what the data of this page is."""
        if self.simulated:
            kind, title = "warning", "Simulated data"
            text = "The recordings on this page are simulated, unless a figure says otherwise."
        else:
            kind, title = "note", "Real recordings"
            text = "The recordings on this page come from the data folder of this run."
        display(
            HTML(
                f'<div class="admonition {kind}"><p class="admonition-title">{title}</p>'
                f"<p>{text} Profile: {self.profile.name}.</p></div>"
            )
        )

    def load(
        self, database: str, *, condition: str | None = None, limit: int | None = None
    ) -> list[Record]:
        """Return usable records of a database, at most `limit`, spread over origins or conditions.

        No other record is read.

        Raises
        ------
        FileNotFoundError
            If the data folder holds none.
        """
        records = load_database(self.data, database, limit=limit, condition=condition).records
        if not records and condition is None:
            raise FileNotFoundError(f"no usable record of {database} in the data folder")
        return records

    def day_folder(self) -> Path:
        """Return a folder with several recordings of each heart, the simulated one if need be."""
        if not self.simulated:
            return self.data
        folder = ROOT / "data" / f"simulated-days-{self.profile.name}"
        sizes = {"n_heart": self.profile.n_day_heart, "n_day": self.profile.n_day}
        return write_days(folder, **sizes, duration_s=DAY_S)

    def recorded_facts(self, name: str) -> dict[str, object]:
        """Return the manifest beside a table of `recorded`."""
        path = self.results / f"{name}_manifest.json"
        if not path.is_file():
            raise files.MissingArtifactError(
                f"results/{path.name} is not part of this copy of the project"
            )
        return json.loads(path.read_text(encoding="utf-8"))

    def prepare(self, database: str, *, limit: int | None = None) -> list[Prepared]:
        """Return `prepare_record` of the records that `load` gives, kept for the next chapter.

        Raises
        ------
        FileNotFoundError
            If the data folder holds none.
        """

        def read(path: Path, database: str) -> Prepared:
            return prepare_file(path, database, self.artifacts / "prepared")

        prepared, _ = take_in_turn(find_records(self.data, database), database, read, limit=limit)
        if not prepared:
            raise FileNotFoundError(f"no usable record of {database} in the data folder")
        return prepared

    def save_table(self, name: str, table: pd.DataFrame) -> None:
        """Write a table for other chapters."""
        files.write_table(self.folder / f"{name}.csv", table)

    def read_table(self, chapter: str, name: str) -> pd.DataFrame:
        """Return a table of another chapter."""
        return files.read_table(self._artifact(chapter, f"{name}.csv"))

    def save_arrays(self, name: str, **arrays: np.ndarray) -> None:
        """Write arrays for other chapters, as `.npz` without pickle."""
        files.write_arrays(self.folder / f"{name}.npz", **arrays)

    def read_arrays(self, chapter: str, name: str) -> dict[str, np.ndarray]:
        """Return arrays of another chapter."""
        return files.read_arrays(self._artifact(chapter, f"{name}.npz"))

    def save_numbers(self, name: str, numbers: dict[str, float | Estimate]) -> None:
        """Write numbers for the scorecard and other chapters; an `Estimate` in its parts."""
        plain = {}
        for key, value in numbers.items():
            plain |= _parts_of(key, value)
        text = json.dumps(plain, indent=1) + "\n"
        files.write_bytes(self.folder / f"{name}.json", text.encode())

    def read_numbers(self, chapter: str, name: str) -> dict[str, float]:
        """Return numbers of another chapter."""
        return json.loads(self._artifact(chapter, f"{name}.json").read_text(encoding="utf-8"))

    def _artifact(self, chapter: str, file: str) -> Path:
        path = self.artifacts / chapter / file
        if not files.is_whole(path):
            raise files.MissingArtifactError(
                f"{file} of chapter {chapter} is absent or damaged: run {chapter} first, "
                f"with profile {self.profile.name!r} and the same data"
            )
        return path

    def recorded(self, name: str) -> pd.DataFrame:
        """Return a table of the recorded run on real data, kept under `results/`."""
        for suffix in (".csv", ".csv.gz"):
            path = self.results / f"{name}{suffix}"
            if path.is_file():
                return pd.read_csv(path)
        raise files.MissingArtifactError(
            f"results/{name}.csv is not part of this copy of the project"
        )

    def glue(self, name: str, value: float | Estimate) -> None:
        """Make a number available to the text; an `Estimate` also as `_low`, `_high`, `_n`."""
        from myst_nb import glue

        for key, part in _parts_of(name, value).items():
            glue(key, part, display=False)

    def glue_all(self, numbers: dict[str, float | Estimate]) -> None:
        """Glue numbers and save them as this chapter's `numbers`."""
        for name, value in numbers.items():
            self.glue(name, value)
        self.save_numbers("numbers", numbers)

    def glue_words(self, words: dict[str, str]) -> None:
        """Make words that were chosen by a number available to the text (format `:s`)."""
        from myst_nb import glue

        for name, word in words.items():
            glue(name, word, display=False)


def _parts_of(name: str, value: float | Estimate) -> dict[str, float]:
    """Return a number by its name, an estimate also with its limits and number of units.

    Examples
    --------
    >>> _parts_of("r", Estimate(0.5, 0.4, 0.6, 9))
    {'r': 0.5, 'r_low': 0.4, 'r_high': 0.6, 'r_n': 9.0}
    """
    if not isinstance(value, Estimate):
        return {name: float(value)}
    parts = {"": value.value, "_low": value.low, "_high": value.high, "_n": value.n}
    return {f"{name}{suffix}": float(part) for suffix, part in parts.items()}


def read_shares(chapter: Chapter) -> pd.DataFrame:
    """Return the shares that the pages of the conditions saved, one table with `condition`."""
    found = {}
    for condition in CONDITIONS:
        name = f"08_condition_{condition_slug(condition)}"
        if files.is_whole(chapter.artifacts / name / "shares.csv"):
            found[condition] = chapter.read_table(name, "shares")
    if HEALTHY not in found:
        raise files.MissingArtifactError("run 08_condition for healthy control first")
    return pd.concat([table.assign(condition=name) for name, table in found.items()])


PROFILES = {
    "smoke": Profile("smoke", 3, 24, 1, 1, 1, 4, 45.0, 30, 20, 60, 4, 200, 2, 2),
    "demo": Profile("demo", 8, 48, 4, 2, 1, 10, 60.0, 400, 330, 300, 20, 1000, 4, 2),
    "paper": Profile("paper", None, 1000, 60, 60, 5, 20, 120.0, 400, 500, 1500, 1000, 2000, 12, 3),
}

DAY_S = 30.0  # of a simulated recording on a day

ROOT = Path(__file__).resolve().parents[2]

CHAPTERS = (
    "01_recordings",
    "02_preprocessing",
    "03_least_squares",
    "04_cnn",
    "05_every_lead",
    "06_vae",
    "07_grad_cam",
    "08_condition",
    "09_conditions_compared",
    "10_audit",
    "11_your_own_ecg",
    "12_another_day",
    "13_what_you_do_not_know",
    "14_choose_your_leads",
    "15_does_the_message_survive",
    "try_it",
    "scorecard",
    "colophon",
)


def label_of(data: str | Path | None) -> str:
    """Return `real` if a data folder is given here or by `ECGNB_DATA`, else `simulated`."""
    return "simulated" if data_folder(data) is None else "real"


def _artifact_folder(profile: str, data: str | Path | None) -> Path:
    """Return where the chapters of one run leave their results."""
    return ROOT / "artifacts" / f"{profile}-{label_of(data)}"


def open_chapter(name: str, *, profile: str = "demo", data: str = "") -> "Chapter":
    """Return the chapter `name`, its options checked and its data in place.

    Without a data folder the simulated cohort of the profile is written first.

    Raises
    ------
    ValueError
        For a chapter or profile that does not exist.
    """
    if not any(name.startswith(chapter) for chapter in CHAPTERS):
        raise ValueError(f"no chapter {name!r}; there are {', '.join(CHAPTERS)}")
    if profile not in PROFILES:
        raise ValueError(f"profile must be one of {', '.join(PROFILES)}, got {profile!r}")
    one_thread()
    style.use_style()
    sizes, folder = PROFILES[profile], data_folder(data)
    simulated = folder is None
    if simulated:
        folder = _simulated_folder(sizes)
    return Chapter(name, sizes, folder, simulated, _artifact_folder(profile, data))


def _simulated_folder(sizes: Profile) -> Path:
    """Return the folder of the profile's simulated cohort, written if it is not there."""
    return write_cohort(
        ROOT / "data" / f"simulated-{sizes.name}",
        n_twadb=sizes.n_record or 60,
        n_patient=sizes.n_patient,
        duration_s=sizes.twadb_duration_s,
    )


def show_source(thing: object) -> None:
    """Display the package's own source of a function or class."""
    display(Markdown(f"```python\n{inspect.getsource(thing)}```"))


def show_text(text: str) -> None:
    """Display plain text, escaped."""
    display(HTML(f"<p>{html.escape(text)}</p>"))


def version_table() -> pd.DataFrame:
    """Return the versions of Python and of the packages that compute."""
    rows = [("python", platform.python_version())]
    rows += files.versions().items()
    return pd.DataFrame(rows, columns=["package", "version"])


NEEDS = {
    "04_cnn": ("03_least_squares",),
    "05_every_lead": ("03_least_squares", "04_cnn"),
    "07_grad_cam": ("06_vae",),
    "08_condition": ("06_vae", "07_grad_cam"),
    "09_conditions_compared": ("08_condition",),
    "10_audit": ("06_vae", "08_condition"),
    "scorecard": ("05_every_lead", "09_conditions_compared", "10_audit"),
    "try_it": ("03_least_squares",),
}
