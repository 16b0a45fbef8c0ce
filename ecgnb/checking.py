"""What `ecgnb check` tells of a folder: counts, what cannot be used, what is left out."""

from dataclasses import asdict, dataclass, field
from pathlib import Path

import pandas as pd

from ecgnb.catalogue import DATABASES
from ecgnb.databases import database_of, read_records
from ecgnb.record import RecordError

OTHER_DATABASE = "(no database)"


@dataclass
class Checked:
    """The findings; `rows` has one line a usable record, the others one text a line."""

    rows: list[dict[str, str]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    unknown: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def counts(self) -> pd.DataFrame:
        """Return records and patients by database, origin and condition; 0 patients: unnamed."""
        table = pd.DataFrame(
            self.rows, columns=["database", "origin", "condition", "patient", "record"]
        )
        table["patient"] = table["patient"].replace("", None)
        groups = table.groupby(["database", "origin", "condition"])["patient"]
        return groups.agg(records="size", patients="nunique").reset_index()

    def add(self, paths: list[Path], database: str) -> None:
        """Read some records of a database and take note of each."""
        for result in read_records(paths, database):
            if isinstance(result, RecordError):
                self.refused.append(str(result))
                continue
            self.notes += [f"{result.name}: {note}" for note in result.notes]
            if result.condition.startswith("unknown"):
                self.unknown[result.condition] = self.unknown.get(result.condition, 0) + 1
            self.rows.append(
                {
                    "database": database or OTHER_DATABASE,
                    "origin": result.origin or "not stated",
                    "condition": result.condition or "not stated",
                    "patient": result.patient,
                    "record": result.name,
                }
            )

    def as_dict(self) -> dict[str, object]:
        """Return everything in a form that JSON can hold."""
        summary = {"usable": len(self.rows), "refused_count": len(self.refused)}
        return summary | {"counts": self.counts().to_dict("records")} | asdict(self)


def check_folder(folder: Path | str) -> Checked:
    """Return what is in a folder, every record below it read once and let go.

    Records that belong to no database of the catalogue are read as well, as `OTHER_DATABASE`.
    """
    checked = Checked()
    found: dict[str, list[Path]] = {name: [] for name in (*DATABASES, "")}
    for path in sorted(Path(folder).rglob("*.hea")):
        found[database_of(path)].append(path)
    for name, paths in found.items():
        if paths and name:
            checked.left_out[name] = DATABASES[name].left_out
        checked.add(paths, name)
    return checked
