"""Download databases from PhysioNet, every file checked against a SHA-256.

The sums that `registry` keeps are used first, those of the database itself for all other files;
where both name a file they must agree.
"""

import concurrent.futures
import logging
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import pooch
import requests

from ecgnb.progress import follow
from ecgnb.records.catalogue import DATABASES

BASE_URL = "https://physionet.org/files"

SUMS = "SHA256SUMS.txt"

_LINE = re.compile(r"([0-9a-f]{64}) [ *]?(\S.*)")

MAX_SUMS_BYTES = 64_000_000

MAX_FILE_BYTES = 200_000_000  # the largest record of the catalogue has 11 million

MIN_BYTES_PER_S = 1000.0

_LEFTOVER = re.compile(r"tmp[a-z0-9_]{8}")

_SAFE_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*")


class FetchError(Exception):
    """A download that could not be completed; names the files and says what to do."""


def _parse_sums(text: str) -> dict[str, str]:
    """Return SHA-256 by relative path from the text of a SHA256SUMS.txt.

    Paths with a space or other odd characters are passed over: no record has such a name.

    Raises
    ------
    FetchError
        For a path that leaves the folder, is absolute or holds control characters.

    Examples
    --------
    >>> _parse_sums("a" * 64 + "  twa01.hea")["twa01.hea"][:3]
    'aaa'
    """
    sums = {}
    for line in text.splitlines():
        match = _LINE.fullmatch(line.strip())
        if not match:
            continue
        parts = match[2].split("/")
        if {"", ".", ".."} & set(parts) or "\\" in match[2] or not match[2].isprintable():
            raise FetchError(f"the manifest names {match[2]!r}, which is no plain path: stopped")
        if all(_SAFE_PART.fullmatch(part) for part in parts):
            sums[match[2]] = match[1]
    return sums


def _check_sums(sums: dict[str, str], registry: dict[str, str]) -> None:
    """Refuse a manifest that contradicts the sums kept with the package.

    Raises
    ------
    FetchError
        Naming the files on which they disagree.
    """
    wrong = [path for path in sums if registry.get(path, sums[path]) != sums[path]]
    if wrong:
        raise FetchError(
            f"{SUMS} disagrees with the sums kept with ecgnb on {', '.join(wrong[:3])}"
            f" ({len(wrong)} files): the server has another version or was changed; stopped"
        )


def fetch_database(
    name: str,
    folder: Path | str,
    *,
    base_url: str = BASE_URL,
    jobs: int = 4,
    timeout_s: float = 30.0,
    retries: int = 3,
    only: str = "",
    progress: bool = True,
) -> Path:
    """Return the folder of a database, downloaded or completed.

    Files that are there and right are kept, so a killed run is completed by the next one. Each is
    written aside and moved into place once its SHA-256 is right.

    Parameters
    ----------
    name
        A key of `DATABASES`.
    folder
        Where `<name>/` is made; nothing is written outside it.
    base_url
        PhysioNet or a mirror with the same layout `<base>/<name>/<version>/`.
    jobs
        Files at a time.
    only
        Regular expression for the paths wanted; by default the records of the book.

    Raises
    ------
    FetchError
        If the manifest or a file cannot be had, or a file is not what the manifest says.
    """
    database = DATABASES[name]
    root = Path(folder).resolve() / name
    url = f"{base_url.rstrip('/')}/{name}/{database.version}"
    if root.is_symlink():
        raise FetchError(f"{root} is a link: stopped")
    sums = _parse_sums(_read_text(f"{url}/{SUMS}", timeout_s, retries))
    _check_sums(sums, _read_registry(name))
    only = only or database.files
    wanted = {path: digest for path, digest in sums.items() if re.fullmatch(only, path)}
    if not wanted:
        raise FetchError(f"{url}/{SUMS} names no file of {name}")
    root.mkdir(parents=True, exist_ok=True)
    for part in root.rglob("tmp*"):  # left by a run that was killed
        if _LEFTOVER.fullmatch(part.name) and part.is_file():
            part.unlink()
    failed = list(_fetch_all(wanted, url, root, jobs, timeout_s, retries, progress))
    if failed:
        shown = "; ".join(failed[:3])
        raise FetchError(f"{len(failed)} of {len(wanted)} files failed ({shown}): run it again")
    return root


def _read_text(url: str, timeout_s: float, retries: int) -> str:
    for attempt in range(retries + 1):
        try:
            with requests.get(url, timeout=timeout_s, stream=True) as answer:
                answer.raise_for_status()
                return _limited(answer.iter_content(65_536), url).decode("utf-8", "replace")
        except requests.RequestException as error:
            if attempt == retries:
                raise FetchError(f"{url} cannot be had: {error}") from error
            time.sleep(0.5 * 2**attempt)
    raise AssertionError("unreachable")


def _limited(pieces: Iterator[bytes], url: str) -> bytes:
    content = bytearray()
    for piece in pieces:
        content += piece
        if len(content) > MAX_SUMS_BYTES:
            raise FetchError(f"{url} is longer than {MAX_SUMS_BYTES:,} bytes: stopped")
    return bytes(content)


def _fetch_all(
    wanted: dict[str, str],
    url: str,
    root: Path,
    jobs: int,
    timeout_s: float,
    retries: int,
    progress: bool,
) -> Iterator[str]:
    """Yield what failed, file by file."""
    pooch.get_logger().setLevel(logging.WARNING)  # the bar tells what is done
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        tasks = {
            pool.submit(_fetch_one, f"{url}/{path}", root / path, digest, timeout_s, retries): path
            for path, digest in wanted.items()
        }
        done = concurrent.futures.as_completed(tasks)
        for task in follow(done, len(tasks), "files", shown=progress):
            error = task.exception()
            if error is not None:
                yield f"{tasks[task]}: {type(error).__name__}"


def _fetch_one(url: str, path: Path, digest: str, timeout_s: float, retries: int) -> None:
    """Download one file unless it is there and right."""
    if path.is_symlink() or path.parent.resolve() != path.parent:
        raise FetchError(f"{path.name} is or lies behind a link")
    if path.is_file() and pooch.file_hash(path) == digest:
        return
    path.unlink(missing_ok=True)
    pooch.create(
        path=path.parent,
        base_url=url.rsplit("/", 1)[0] + "/",
        registry={path.name: f"sha256:{digest}"},
        retry_if_failed=retries,
    ).fetch(path.name, downloader=_Downloader(timeout_s))


@dataclass(frozen=True)
class _Downloader:
    """What pooch calls to write a file; an answer that has no end or drips is given up."""

    timeout_s: float

    def __call__(self, url: str, output_file: str, _pooch: object) -> None:
        end = time.monotonic() + self.timeout_s
        headers = {"Accept-Encoding": "identity"}
        options = {"headers": headers, "timeout": self.timeout_s, "stream": True}
        with requests.get(url, **options) as answer, Path(output_file).open("wb") as file:
            answer.raise_for_status()
            while piece := answer.raw.read1(65_536):
                file.write(piece)
                if file.tell() > MAX_FILE_BYTES:
                    raise FetchError(f"{url} is longer than {MAX_FILE_BYTES:,} bytes: stopped")
                if time.monotonic() > end + file.tell() / MIN_BYTES_PER_S:
                    raise requests.Timeout(f"{url} comes at less than {MIN_BYTES_PER_S:g} B/s")


def _read_registry(database: str) -> dict[str, str]:
    """Return SHA-256 by path below the version folder, empty where none is kept.

    Examples
    --------
    >>> len(_read_registry("twadb")["twa11.dat"])
    64
    """
    path = resources.files("ecgnb") / "data" / "registry" / f"{database}.txt"
    if not path.is_file():
        return {}
    lines = path.read_text(encoding="utf-8").splitlines()
    return {name: digest for digest, name in (line.split(maxsplit=1) for line in lines)}
