"""Where the numbers of the book come from: the commit of its code, the runs that were recorded."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd

from ecgnb.files import sha256_of

COMMIT_FILE = "COMMIT"  # in a zip of the source, which has no git


def commit_of(folder: Path) -> str:
    """Return the commit of a copy of the project, and whether files were changed since.

    A copy that was unpacked from a zip says so itself in its file `COMMIT`; "unknown" without.
    """
    if (folder / ".git").exists():
        try:
            head = _git(folder, "rev-parse", "HEAD")
            changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
            return f"{head}, with changes" if changed else head
        except (OSError, subprocess.CalledProcessError):
            return "unknown"
    kept = folder / COMMIT_FILE
    return kept.read_text(encoding="utf-8").strip() if kept.is_file() else "unknown"


def _git(folder: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", *words], cwd=folder, capture_output=True, text=True, encoding="utf-8", check=True
    )
    return done.stdout.strip()


def recorded_runs(results: Path) -> pd.DataFrame:
    """Return a row for each manifest of a recorded run, by its name.

    Columns: `records` that the run read, `minutes` of CPU time (NaN where the manifest does not
    tell it), `python` and `torch`, the versions it ran with, and `sha256` of the manifest, its
    first 12 digits.
    """
    rows = []
    for path in sorted(results.rglob("*_manifest.json")):
        facts = json.loads(path.read_text(encoding="utf-8"))
        rows.append(
            {
                "run": path.relative_to(results).as_posix().removesuffix("_manifest.json"),
                "records": len(facts["records"]),
                "minutes": round(_total(facts.get("cpu_s", np.nan)) / 60, 1),
                "python": facts["python"],
                "torch": facts["versions"]["torch"],
                "sha256": sha256_of(path)[:12],
            }
        )
    return pd.DataFrame(rows).set_index("run")


def _total(seconds: float | dict) -> float:
    """Return the sum of seconds that a manifest may split by part or by method.

    Examples
    --------
    >>> _total({"fit": 2.5, "score": {"one": 1.0, "two": 0.5}})
    4.0
    """
    return sum(map(_total, seconds.values())) if isinstance(seconds, dict) else float(seconds)


def checksums(results: Path) -> str:
    """Return the SHA-256 of every recorded table and manifest, as `sha256sum` writes them."""
    kept = (path for path in results.rglob("*") if path.suffix in {".csv", ".gz", ".json"})
    lines = [f"{sha256_of(path)}  {path.relative_to(results).as_posix()}" for path in sorted(kept)]
    return "\n".join(lines)
