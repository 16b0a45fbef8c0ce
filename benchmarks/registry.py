"""Write the registry of a database: SHA-256 of its sample files that their checksums confirm.

Run `python benchmarks/registry.py MIRROR DATABASE`; a maintainer does when the catalogue gets a
new version. It replaces `ecgnb/data/registry/DATABASE.txt`.
"""

import sys
from pathlib import Path

import pooch

from ecgnb.records.databases import database_folder, find_records
from ecgnb.records.record import RecordError
from ecgnb.records.wfdb_files import read_record
from ecgnb.records.wfdb_header import parse_header

_EXCERPT = "first 10 s of"
REGISTRIES = Path(__file__).parents[1] / "ecgnb" / "data" / "registry"


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


if __name__ == "__main__":
    print(write_registry(sys.argv[1], sys.argv[2], REGISTRIES / f"{sys.argv[2]}.txt"))
