"""Recordings of any length: one lead read in pieces, twelve written in pieces.

What is written grows in a folder beside its place, with a note of how far it is. A run that was
killed goes on from the note; the result appears whole, its header last, or not at all.
"""

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from ecgnb.leads import LEADS
from ecgnb.records.formats.channels import Request, refuse
from ecgnb.records.formats.edf import edf_header
from ecgnb.records.formats.layout import Layout, find_layout, is_comment, peek_lines
from ecgnb.records.formats.table import read_layout
from ecgnb.records.record import RecordError
from ecgnb.records.wfdb_files import as_samples
from ecgnb.records.wfdb_header import record_line, signal_line

_TABLE_BYTES = 2_000_000  # of a table that are read at one go

_STILL_S = 2.0  # without a change: a file is no longer being written

_DIGEST_BYTES = 1 << 20

_LARGEST = 32_000  # of 16 bits, as `write_record` has it


@dataclass(frozen=True)
class LongLead:
    """One lead of a recording on disk; `read(start, stop)` gives `(time,)` in mV, missing NaN.

    `files` are those it is read from, with the sizes they had when it was opened; without files
    it is a lead in memory.
    """

    name: str
    lead: str
    sampling_rate: float
    n_time: int
    read: Callable[[int, int], np.ndarray]
    files: tuple[tuple[Path, int], ...] = ()
    notes: tuple[str, ...] = ()

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of as many bytes of the files as there were; taken when first asked for."""
        return _digest(self.files)

    @property
    def duration_s(self) -> float:
        """Length in s."""
        return self.n_time / self.sampling_rate

    def grown(self) -> int:
        """Return by how many bytes the files have grown since they were opened.

        Raises
        ------
        RecordError
            If what was there has changed, or is gone.
        """
        if _digest(self.files) != self.digest:
            raise RecordError(
                self.name,
                "the recording changed while it was read",
                "parts of two recordings would be joined",
                "wait until it is written, then run again",
            )
        return sum(path.stat().st_size - size for path, size in self.files)


def _digest(files: tuple[tuple[Path, int], ...]) -> str:
    digest = hashlib.sha256()
    for path, size in files:
        left = size
        with contextlib.suppress(OSError), path.open("rb") as file:
            while left and (chunk := file.read(min(left, _DIGEST_BYTES))):
                digest.update(chunk)
                left -= len(chunk)
        digest.update(f"{size - left}".encode())
    return digest.hexdigest()


def sized(*paths: Path) -> tuple[tuple[Path, int], ...]:
    """Return files that are there with their sizes in bytes, in order."""
    return tuple((path, path.stat().st_size) for path in sorted(paths) if path.is_file())


@contextlib.contextmanager
def opened_table(path: Path, request: Request, name: str) -> Iterator[LongLead]:
    """Give a lead of a table, which is read once, piece by piece, into a file of numbers."""
    files, notes = sized(path), []
    with tempfile.TemporaryFile() as spool:
        n_time, rate = 0, request.sampling_rate
        for lines, layout in _pieces(path, request, files[0][1]):
            known = replace(request, sampling_rate=rate)
            channels = read_layout(path, lines, layout, known)
            signal = channels.named.get(request.leads[0], np.zeros(0))
            if not signal.size:
                what = f"no lead {request.leads[0]}; found: {', '.join(channels.found[:20])}"
                raise refuse(path, what, "it is needed", "name it by --channel or --leads")
            signal = signal[1 if n_time else 0 :]  # the row both pieces share
            signal.astype(np.float32).tofile(spool)
            n_time, rate = n_time + signal.size, channels.sampling_rate
            notes += [note for note in channels.notes if note not in notes]
        spool.flush()

        def read(start: int, stop: int) -> np.ndarray:
            spool.seek(4 * start)
            return np.frombuffer(spool.read(4 * (stop - start)), dtype=np.float32)

        lead, found = request.leads[0], tuple(notes)
        yield LongLead(name, lead, float(rate), n_time, read, files, found)


def _pieces(path: Path, request: Request, size: int) -> Iterator[tuple[list[str], Layout]]:
    """Yield the lines of a table in pieces; each begins with the last row of the one before.

    A last line that is not ended is left out if the file was written to just now: it may be the
    half of a number.
    """
    layout, rest, last, left = None, b"", "", size
    is_still = time.time() - path.stat().st_mtime > _STILL_S
    with path.open("rb") as file:
        while left:
            content = file.read(min(_TABLE_BYTES, left))
            left -= len(content)
            content, cut, rest = (rest + content).rpartition(b"\n")
            lines = [line.rstrip("\r") for line in peek_lines(content + cut)[:-1]]
            if not left and rest and is_still:
                lines, rest = [*lines, *peek_lines(rest)], b""
            if layout is None and lines:
                layout = find_layout(path, lines, request)
                first = layout
            elif lines:
                lines, first = [last, *lines], replace(layout, first=0)
            full = [line for line in lines if line.strip() and not is_comment(line)]
            if len(full) < 2:
                raise refuse(path, "a piece without rows", "it is no table", "export it as text")
            tail = lines.index(full[-1], len(lines) - lines[::-1].index(full[-1]) - 1) + 1
            rest = "\n".join([*lines[tail:], ""]).encode() + rest if tail < len(lines) else rest
            last = full[-1]
            yield lines[:tail], first


@dataclass
class LongWriter:
    """Twelve leads written in pieces beside their place: 16-bit WFDB, or EDF by the ending.

    `target` is `OUT.hea` or `OUT.edf`; `key` says what it is made of: what was begun under
    another key is begun anew.
    """

    target: Path
    sampling_rate: float
    key: str
    gain: float = 2000.0
    n_done: int = 0

    def __post_init__(self) -> None:
        if self.is_edf and not float(self.sampling_rate).is_integer():
            raise ValueError(f"EDF needs whole samples a second, not {self.sampling_rate:g} Hz")
        self.sums, self.first = [0] * len(LEADS), [0] * len(LEADS)
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            state = json.loads((self.folder / "state.json").read_text(encoding="utf-8"))
            if state["key"] == self.key:
                self.gain, self.n_done = float(state["gain"]), int(state["n_done"])
                self.sums, self.first = state["sums"], state["first"]
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self.n_done:
            self._begin(self.gain)

    @property
    def is_edf(self) -> bool:
        """Whether the result is EDF."""
        return self.target.suffix.lower() == ".edf"

    @property
    def folder(self) -> Path:
        """Where the result grows."""
        return self.target.with_name(f".{self.target.name}.partial")

    @property
    def samples(self) -> Path:
        """The file of samples, while it grows."""
        return self.folder / "samples"

    def _begin(self, gain: float) -> None:
        self.gain, self.n_done = gain, 0
        self.sums, self.first = [0] * len(LEADS), [0] * len(LEADS)
        self.samples.write_bytes(edf_header([("I", "")] * 12, 0, 1, gain) if self.is_edf else b"")
        self._note()

    def append(self, signals: np.ndarray) -> bool:
        """Add signals `(lead, time)` in mV; False if they were too large and all begins anew.

        The gain is then halved as often as is needed. A piece of an EDF file, but the last, is
        a whole number of seconds.
        """
        gain = self.gain
        while float(np.nanmax(np.abs(signals), initial=0.0)) * gain > _LARGEST:
            gain /= 2
        if gain != self.gain:
            self._begin(gain)
            return False
        samples = as_samples(signals, gain)
        size = self._size()
        with self.samples.open("r+b") as file:
            file.truncate(size)
            file.seek(size)
            file.write(self._laid_out(samples))
            file.flush()
            os.fsync(file.fileno())
        if not self.n_done:
            self.first = samples[:, 0].tolist()
        totals = samples.sum(axis=1, dtype=np.int64)
        self.sums = [int(sum_ + total) for sum_, total in zip(self.sums, totals, strict=True)]
        self.n_done += samples.shape[1]
        self._note()
        return True

    def _size(self) -> int:
        """Return how many bytes of the file hold what is done."""
        head = 256 * (len(LEADS) + 1) if self.is_edf else 0
        return head + 2 * len(LEADS) * self.n_done

    def _laid_out(self, samples: np.ndarray) -> bytes:
        if not self.is_edf:
            return samples.T.tobytes()
        rate = int(self.sampling_rate)
        padded = np.pad(samples, [(0, 0), (0, -samples.shape[1] % rate)], constant_values=-32768)
        return padded.reshape(len(LEADS), -1, rate).transpose(1, 0, 2).tobytes()

    def _note(self) -> None:
        """Write how far the file is, at one stroke."""
        names = ("key", "gain", "n_done", "sums", "first")
        partial = self.folder / "state.partial"
        partial.write_text(
            json.dumps({name: getattr(self, name) for name in names}), encoding="utf-8"
        )
        partial.replace(self.folder / "state.json")

    def finish(self, given: str, comments: tuple[str, ...]) -> Path:
        """Return the result, put into its place; `given` is the lead that was recorded."""
        if self.is_edf:
            what = {lead: "reconstructed: a guess, not recorded" for lead in LEADS}
            leads = [*(what | {given: "recorded, filtered"}).items()]
            rate = int(self.sampling_rate)
            if self.samples.exists():
                with self.samples.open("r+b") as file:
                    file.write(edf_header(leads, -(-self.n_done // rate), rate, self.gain))
                self.samples.replace(self.target)
        else:
            self._place_wfdb(comments)
        shutil.rmtree(self.folder)
        return self.target

    def _place_wfdb(self, comments: tuple[str, ...]) -> None:
        """Move the samples and then their header into place; an older header goes first."""
        name = self.target.stem
        lines = [record_line(name, len(LEADS), self.sampling_rate, self.n_done)]
        for lead, first, total in zip(LEADS, self.first, self.sums, strict=True):
            lines.append(signal_line(f"{name}.dat", lead, self.gain, first=first, total=total))
        lines += [f"# {comment}" for comment in comments]
        header = self.folder / "header"
        header.write_text("\n".join(lines) + "\n", encoding="utf-8")
        if self.samples.exists():
            self.target.unlink(missing_ok=True)
            self.samples.replace(self.target.with_suffix(".dat"))
        header.replace(self.target)
