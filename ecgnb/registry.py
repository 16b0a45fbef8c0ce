"""SHA-256 sums of sample files that were seen to hold what their headers say.

A sum is kept only for a file all of whose signals agree with a checksum that is not zero. Headers
and annotations carry no checksum of their own, so none of them is listed.
"""

from importlib import resources
from pathlib import Path

import pooch

from ecgnb.databases import database_folder, find_records
from ecgnb.headers import parse_header
from ecgnb.record import RecordError
from ecgnb.records import read_record

_EXCERPT = "first 10 s of"


def read_registry(database: str) -> dict[str, str]:
    """Return SHA-256 by path below the version folder, empty where none is kept.

    Examples
    --------
    >>> len(read_registry("twadb")["twa11.dat"])
    64
    """
    path = resources.files("ecgnb") / "data" / "registry" / f"{database}.txt"
    if not path.is_file():
        return {}
    lines = path.read_text(encoding="utf-8").splitlines()
    return {name: digest for digest, name in (line.split(maxsplit=1) for line in lines)}


def verified_sums(folder: Path | str, database: str) -> dict[str, str]:
    """Return SHA-256 by path of the sample files in a mirror that their checksums confirm.

    Records that are refused, that say they are an excerpt, or whose checksum is zero in any
    signal of a file give none.
    """
    root = database_folder(folder, database)
    sums = {}
    for path in find_records(folder, database):
        for file in _verified_files(path):
            sums[file.relative_to(root).as_posix()] = pooch.file_hash(str(file))
    return sums


def _verified_files(path: Path) -> list[Path]:
    try:
        record = read_record(path)
    except RecordError:
        return []
    if any(_EXCERPT in comment for comment in record.comments):
        return []
    lines = parse_header(path.read_text(encoding="utf-8")).signals
    found = []
    for file in dict.fromkeys(line.file for line in lines):
        sound = all(line.checksum for line in lines if line.file == file)
        if sound and (not file.endswith(".xyz") or record.frank is not None):
            found.append(path.parent / file)
    return found


def write_registry(folder: Path | str, database: str, path: Path) -> Path:
    """Return the path of a registry made from the sample files of a mirror."""
    sums = verified_sums(folder, database)
    path = Path(path)
    path.write_text("".join(f"{sums[name]}  {name}\n" for name in sorted(sums)), encoding="utf-8")
    return path
