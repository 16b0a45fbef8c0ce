"""Readers of recordings, one module a family of formats.

Every module offers a pair: `is_...(path, head) -> bool` looks at the content, and
`read_...(path, request) -> Channels` reads. The first that recognises a file reads it.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

from ecgnb.records.formats.channels import Channels, Request

HEAD_BYTES = 65_536

Recognise = Callable[[Path, bytes], bool]

Read = Callable[[Path, Request], Channels]


def _readers() -> Iterator[tuple[Recognise, Read]]:
    """Yield the pairs: what is sure of its content comes before what takes any text."""
    from ecgnb.records.formats import edf, hospital, table, watch, watch_json

    yield edf.is_edf, edf.read_edf_file
    yield hospital.is_hospital, hospital.read_hospital_file
    yield watch_json.is_watch_json, watch_json.read_watch_json_file
    yield watch.is_watch, watch.read_watch_file
    yield table.is_table, table.read_table_file


def read_channels(path: Path, request: Request) -> Channels | None:
    """Return the wanted signals of a file by the reader that recognises it, None if none does.

    Raises
    ------
    RecordError
        If the file cannot be used, or could mean two things.
    """
    read = find_reader(path)
    return read(path, request) if read else None


def find_reader(path: Path) -> Read | None:
    """Return the function that reads a file, None if no reader recognises it."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    return next((read for recognise, read in _readers() if recognise(path, head)), None)
