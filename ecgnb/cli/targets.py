"""Where results go: never over what they are made of, never over another recording's result."""

import hashlib
import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ecgnb.cli.console import BAD_USAGE, fail

PICTURES = {".png": "Source", ".pdf": "Keywords", ".svg": "Source"}  # where each says its source

_MADE_OF = "made of the recording with SHA-256 "

_READ_BYTES = 50_000_000


@dataclass(frozen=True)
class OutputTarget:
    """Folder and name of the record to write, and what to say of the choice."""

    folder: Path
    name: str
    note: str = ""
    bands: bool = False

    @property
    def files(self) -> tuple[Path, ...]:
        """The header and the sample file, and those of the bands if there are to be any."""
        names = [self.name, *([f"{self.name}_bands"] if self.bands else [])]
        return tuple(self.folder / f"{name}{end}" for name in names for end in (".hea", ".dat"))


def made_of(digest: str) -> str:
    """Return the comment by which a result is known again."""
    return f"{_MADE_OF}{digest}"


def recording_files(path: Path) -> list[Path]:
    """Return the files that a recording consists of: for WFDB the header and its sample files."""
    from ecgnb.records.record import RecordError
    from ecgnb.records.recordings import find_reader
    from ecgnb.records.wfdb_files import header_path
    from ecgnb.records.wfdb_header import HeaderError, parse_header

    if path.is_file() and find_reader(path):
        return [path]
    files = [path] if path.is_file() else []
    try:
        header = header_path(path)
        text = header.read_bytes().decode("latin-1")
        lines = parse_header(text).signals
    except (HeaderError, RecordError, OSError, ValueError):
        return files
    beside = [header.parent / name for name in dict.fromkeys(line.file for line in lines)]
    return [*dict.fromkeys([*files, header, *(file for file in beside if file.is_file())])]


def digest_of(files: Iterable[Path]) -> str:
    """Return one SHA-256 of the contents of files, whatever their names."""
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as opened:
            digest.update(hashlib.file_digest(opened, "sha256").digest())
    return digest.hexdigest()


def refuse_overlap(outputs: Iterable[Path], inputs: Iterable[Path]) -> None:
    """End the program if a file to be written is one that is read, however either is spelt."""
    inputs = list(inputs)
    for output in outputs:
        for given in inputs:
            if _is_same(output, given):
                shown = output if output.name == given.name else f"{output} (that is {given})"
                raise fail(
                    f"--out or --plot would write {shown}, which is an input; "
                    "the recording would be lost; choose another name",
                    BAD_USAGE,
                )


def _is_same(output: Path, given: Path) -> bool:
    if output.resolve() == given.resolve():
        return True
    return output.exists() and given.exists() and output.samefile(given)


def check_output_folder(folder: Path, option: str) -> None:
    """End the program if a folder cannot be made or written to, before any work is done."""
    there = next(path for path in (folder, *folder.absolute().parents) if os.path.lexists(path))
    if not there.is_dir():
        raise fail(f"{option}: {there} is no folder; choose another place", BAD_USAGE)
    if not os.access(there, os.W_OK | os.X_OK):
        raise fail(f"{option}: you may not write into {there}; choose another place")


def parse_out(out: str) -> tuple[Path, str]:
    """Return folder and name of the record to write, "" where `out` is a folder.

    `out` is `OUT` or `OUT.hea`, or a folder: one that is there, or with a slash at its end.
    """
    path = Path(out)
    if path.is_dir() or out.endswith(("/", os.sep)):
        check_output_folder(path, "--out")
        return path, ""
    stem = path.name.removesuffix(".hea").removesuffix(".edf")
    if not re.fullmatch(r"[A-Za-z0-9_-]+", stem):
        raise fail(f"{stem!r} is no name of a WFDB record: letters, digits, - and _", BAD_USAGE)
    check_output_folder(path.parent, "--out")
    return path.parent, stem


def choose_target(
    out: tuple[Path, str], name: str, digest: str, *, bands: bool = False
) -> OutputTarget:
    """Return where a reconstruction goes; a result of another recording is never replaced.

    Parameters
    ----------
    out
        From `parse_out`.
    name
        Of the record in a folder. If another recording's result has it, a number is added.
    digest
        Of the recording, from `digest_of`.
    bands
        Whether a second record holds bands.
    """
    folder, stem = out
    if not stem:
        return _numbered(folder, name, digest, bands)
    target = OutputTarget(folder, stem, bands=bands)
    if not _is_free(target, digest):
        raise fail(
            f"{target.files[0]} is there already and was not made of this recording; "
            "nothing is replaced; choose another --out, or a folder, or remove it"
        )
    return target


def _numbered(folder: Path, name: str, digest: str, bands: bool) -> OutputTarget:
    number, target = 1, OutputTarget(folder, name, bands=bands)
    while not _is_free(target, digest):
        number += 1
        note = f"{name} in {folder} was made of another recording and stays"
        target = OutputTarget(folder, f"{name}_{number}", note, bands)
    return target


def _is_free(target: OutputTarget, digest: str) -> bool:
    """Return whether nothing is there, or an earlier result of the same recording."""
    pairs = zip(target.files[::2], target.files[1::2], strict=True)
    return all(
        not (os.path.lexists(header) or os.path.lexists(samples)) or _says(header, made_of(digest))
        for header, samples in pairs
    )


def _says(path: Path, text: str) -> bool:
    """Return whether a file of moderate size holds a text."""
    try:
        return path.stat().st_size < _READ_BYTES and text.encode() in path.read_bytes()
    except OSError:
        return False


def check_picture(plot: Path | None) -> None:
    """End the program if no picture of that ending can be drawn, or not there."""
    if plot is None:
        return
    if plot.suffix.lower() not in PICTURES:
        endings = ", ".join(PICTURES)
        raise fail(f"--plot {plot}: the ending must be one of {endings}", BAD_USAGE)
    check_output_folder(plot.parent, "--plot")


def refuse_other_picture(plot: Path | None, digest: str) -> None:
    """End the program if a picture would replace one that was not drawn of this recording."""
    if plot is not None and os.path.lexists(plot) and not _says(plot, digest):
        raise fail(
            f"{plot} is there already and was not drawn of this recording; nothing is replaced; "
            "choose another --plot or remove it"
        )


def refuse_other_model(card: Path, signals_digest: str) -> None:
    """End the program if a model would replace one of another calibration, or another file."""
    if not os.path.lexists(card):
        return
    try:
        kept = json.loads(card.read_bytes())["training"]["signals_sha256"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        kept = ""
    if kept != signals_digest:
        raise fail(
            f"{card} is there already and is no model of this calibration; nothing is replaced; "
            "choose another --out or remove it"
        )
