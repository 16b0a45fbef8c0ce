"""The download against a server on loopback: whole, checked, resumable, inside its folder."""

import functools
import hashlib
import http.server
import threading
from pathlib import Path
from typing import ClassVar

import pytest

from ecgnb.records.download import FetchError, _parse_sums, fetch_database

FILES = {f"twa{number:02d}.{kind}": f"{number}{kind}".encode() * 50
         for number in range(6) for kind in ("hea", "dat")}  # fmt: skip


class Quiet(http.server.SimpleHTTPRequestHandler):
    served: ClassVar[list] = []

    def log_message(self, *args):
        self.served.append(self.path)


@pytest.fixture
def mirror(tmp_path):
    root = tmp_path / "mirror" / "twadb" / "1.0.0"
    root.mkdir(parents=True)
    for name, content in FILES.items():
        (root / name).write_bytes(content)
    write_sums(root)
    handler = functools.partial(Quiet, directory=tmp_path / "mirror")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    Quiet.served.clear()
    yield root, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def write_sums(root, extra=""):
    lines = [f"{hashlib.sha256(content).hexdigest()} {name}" for name, content in FILES.items()]
    (root / "SHA256SUMS.txt").write_text("\n".join([*lines, extra]))


def fetch(url, folder):
    return fetch_database("twadb", folder, base_url=url, retries=0, timeout_s=5, progress=False)


def contents(root):
    return {path.name: path.read_bytes() for path in Path(root).iterdir()}


def test_every_file_arrives(mirror, tmp_path):
    assert contents(fetch(mirror[1], tmp_path / "out")) == FILES


def test_a_second_run_downloads_the_manifest_only(mirror, tmp_path):
    fetch(mirror[1], tmp_path / "out")
    Quiet.served.clear()
    fetch(mirror[1], tmp_path / "out")
    assert Quiet.served == ["/twadb/1.0.0/SHA256SUMS.txt"]


def test_a_damaged_file_and_leftovers_are_made_good(mirror, tmp_path):
    root = fetch(mirror[1], tmp_path / "out")
    (root / "twa01.dat").write_bytes(b"cut")
    (root / "tmple1t_8xy").write_bytes(b"half of a file")
    assert (root / "tmple1t_8xy").exists()
    assert contents(fetch(mirror[1], tmp_path / "out")) == FILES


def test_a_file_that_is_not_what_the_manifest_says_is_refused_by_name(mirror, tmp_path):
    (mirror[0] / "twa02.dat").write_bytes(b"something else")
    with pytest.raises(FetchError, match=r"twa02\.dat"):
        fetch(mirror[1], tmp_path / "out")
    assert not (tmp_path / "out/twadb/twa02.dat").exists()
    assert (tmp_path / "out/twadb/twa03.dat").exists()


def test_a_missing_file_is_named(mirror, tmp_path):
    (mirror[0] / "twa04.hea").unlink()
    with pytest.raises(FetchError, match=r"twa04\.hea"):
        fetch(mirror[1], tmp_path / "out")


HOSTILE = ["../../x", "../../evil.dat", "/tmp/evil.dat", "a/../../evil.dat", "a//b", "a\\b", "./x"]


@pytest.mark.parametrize("path", HOSTILE)
def test_a_manifest_that_leaves_the_folder_is_refused(mirror, tmp_path, path):
    write_sums(mirror[0], f"{'0' * 64} {path}")
    with pytest.raises(FetchError, match="no plain path"):
        fetch(mirror[1], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_document_with_a_space_in_its_name_is_passed_over(mirror, tmp_path):
    write_sums(mirror[0], f"{'0' * 64} How to use (v2).pdf")
    assert contents(fetch(mirror[1], tmp_path / "out")) == FILES


def test_a_file_without_end_is_given_up(mirror, tmp_path, monkeypatch):
    monkeypatch.setattr("ecgnb.records.download.MAX_FILE_BYTES", 100)
    with pytest.raises(FetchError, match=rf"{len(FILES)} of {len(FILES)} files failed"):
        fetch(mirror[1], tmp_path / "out")
    assert not list((tmp_path / "out" / "twadb").iterdir())


def test_a_link_in_the_folder_is_not_followed(mirror, tmp_path):
    root = tmp_path / "out" / "twadb"
    root.mkdir(parents=True)
    target = tmp_path / "precious"
    target.write_bytes(b"mine")
    (root / "twa00.dat").symlink_to(target)
    with pytest.raises(FetchError):
        fetch(mirror[1], tmp_path / "out")
    assert target.read_bytes() == b"mine"


def test_an_absent_server_is_an_error_that_says_so(tmp_path):
    with pytest.raises(FetchError, match="cannot be had"):
        fetch("http://127.0.0.1:9", tmp_path)


def test_lines_that_are_no_sums_are_left_out():
    assert _parse_sums("hello\n" + "b" * 64 + " x.hea\n") == {"x.hea": "b" * 64}
