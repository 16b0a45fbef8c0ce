"""What `ecgnb check` tells of a folder: counts, what cannot be used, what is left out."""

from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pandas as pd

from ecgnb.databases import DATABASES, database_folder, find_records, read_records
from ecgnb.records import RecordError


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

    def as_dict(self) -> dict[str, object]:
        """Return everything in a form that JSON can hold."""
        summary = {"usable": len(self.rows), "refused_count": len(self.refused)}
        return summary | {"counts": self.counts().to_dict("records")} | asdict(self)


def check_folder(folder: Path | str) -> Checked:
    """Return what is in a folder, every record of every database read once and let go."""
    checked, seen, unknown = Checked(), set(), Counter()
    for name, database in DATABASES.items():
        root = database_folder(folder, name)
        if root is None or root.resolve() in seen:
            continue
        seen.add(root.resolve())
        checked.left_out[name] = database.left_out
        for result in read_records(find_records(folder, name), name):
            if isinstance(result, RecordError):
                checked.refused.append(str(result))
                continue
            checked.notes += [f"{result.name}: {note}" for note in result.notes]
            unknown.update([result.condition] if result.condition.startswith("unknown") else [])
            labels = {"origin": result.origin, "condition": result.condition or "not stated"}
            row = {"database": name, **labels, "patient": result.patient, "record": result.name}
            checked.rows.append(row)
    checked.unknown = dict(unknown)
    return checked
