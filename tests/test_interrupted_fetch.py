"""The real `ecgnb fetch` against a loopback server that is slow, broken or hostile."""

import functools
import hashlib
import http.server
import random
import runpy
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from conftest import DATA, real_data

from ecgnb.records.databases import database_folder
from ecgnb.records.download import FetchError, _check_sums, _read_registry, fetch_database
from ecgnb.simulation.cohort import write_cohort

ROOT = Path(__file__).resolve().parents[1]
FETCH = [sys.executable, "-c", "from ecgnb.cli import main; main()", "fetch"]


class Slow(http.server.SimpleHTTPRequestHandler):
    """Serves files after a delay.

    Files of `stall` wait longer, of `stall_once` only the first time, of `drip` come by the byte.
    """

    delay_s, stall_s, stall, stall_once, drip, sums = 0.0, 3.0, (), None, (), b""

    def log_message(self, *args):
        pass

    def do_GET(self):
        name = self.path.rsplit("/", 1)[-1]
        once = name in self.stall_once
        self.stall_once.discard(name)
        time.sleep(self.stall_s if once or name in self.stall else self.delay_s)
        try:
            if name in self.drip:
                self.send_response(200)
                self.end_headers()
                for _ in range(200):
                    self.wfile.write(b"x")
                    time.sleep(0.05)
                return
            if name != "SHA256SUMS.txt":
                super().do_GET()
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(self.sums)))
            self.end_headers()
            self.wfile.write(self.sums)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the client was killed or gave up


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A folder laid out as PhysioNet's: real records where they are, else simulated ones."""
    mirror = tmp_path_factory.mktemp("mirror")
    root = database_folder(DATA, "twadb") if DATA.is_dir() else None
    if root is None:
        plan = {"n_twadb": 60, "n_patient": 1, "duration_s": 30.0, "ptbdb_duration_s": 4.0}
        root = write_cohort(tmp_path_factory.mktemp("cohort") / "c", **plan) / "twadb"
    (mirror / "twadb").mkdir()
    (mirror / "twadb" / "1.0.0").symlink_to(root)
    return mirror, root


@pytest.fixture
def server(source):
    mirror, root = source
    registry = _read_registry("twadb")  # a simulated record may bear a real one's name
    paths = sorted(path for path in root.glob("twa*") if path.suffix != ".atr")
    digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
    digests = {name: one for name, one in digests.items() if registry.get(name, one) == one}
    lines = "".join(f"{digest} {name}\n" for name, digest in digests.items())
    handler = type("Handler", (Slow,), {"sums": lines.encode(), "stall_once": set()})
    address = ("127.0.0.1", 0)
    server = http.server.ThreadingHTTPServer(
        address, functools.partial(handler, directory=str(mirror))
    )
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", digests, handler
    server.shutdown()
    server.server_close()
    thread.join()


def digests_below(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def start_fetch(url, folder):
    command = [*FETCH, "twadb", "--folder", str(folder), "--base-url", url, "--jobs", "2"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=ROOT)


def wait_for_files(root, process, n_file):
    """Return when so many files lie in the folder, or the process has ended."""
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        if root.is_dir() and sum(1 for _ in root.iterdir()) >= n_file:
            return
        time.sleep(0.005)


def test_a_fetch_killed_three_times_completes_with_the_same_bytes(server, tmp_path):
    url, digests, handler = server
    handler.delay_s = 0.03
    generator = random.Random(7)
    folder, n_killed, counts = tmp_path / "out", 0, []
    for attempt in range(3):
        process = start_fetch(url, folder)
        wait_for_files(folder / "twadb", process, 1 + attempt * len(digests) // 5)
        time.sleep(generator.uniform(0, 0.4))
        process.kill()
        process.communicate()
        n_killed += process.returncode == -9
        counts.append(len(list((folder / "twadb").iterdir())))
    assert n_killed == 3
    assert counts[0] < counts[-1] < len(digests)
    handler.delay_s = 0.0
    process = start_fetch(url, folder)
    errors = process.communicate(timeout=120)[1].decode()
    assert process.returncode == 0, errors
    assert digests_below(folder / "twadb") == digests
    assert [path.name for path in folder.iterdir()] == ["twadb"]


def fetch_few(url, folder, **options):
    few = {"only": r"twa[0-3]\d\.(hea|qrs)", "progress": False, "retries": 1, "timeout_s": 1.0}
    return fetch_database("twadb", folder, base_url=url, **few | options)


def test_a_server_that_stalls_once_is_asked_again(server, tmp_path):
    url, digests, handler = server
    slow = next(name for name in digests if name.startswith("twa1") and name.endswith(".hea"))
    handler.stall_once.add(slow)
    root = fetch_few(url, tmp_path / "out")
    assert digests_below(root)[slow] == digests[slow]
    assert not handler.stall_once


def test_a_server_that_always_stalls_fails_by_name_and_the_rest_arrives(server, tmp_path):
    url, digests, handler = server
    slow = next(name for name in digests if name.startswith("twa1") and name.endswith(".hea"))
    handler.stall = (slow,)
    start = time.monotonic()
    with pytest.raises(FetchError, match=slow.replace(".", r"\.")):
        fetch_few(url, tmp_path / "out")
    assert time.monotonic() - start < 30
    handler.stall = ()
    arrived = set(digests_below(tmp_path / "out" / "twadb"))
    assert len(arrived) > 5
    assert slow not in arrived


def test_a_server_that_drips_is_given_up(server, tmp_path):
    url, digests, handler = server
    slow = next(name for name in digests if name.startswith("twa1") and name.endswith(".hea"))
    handler.drip = (slow,)
    start = time.monotonic()
    with pytest.raises(FetchError, match=rf"1 of .*{slow}: Timeout"):
        fetch_few(url, tmp_path / "out", retries=0)
    assert time.monotonic() - start < 10
    assert slow not in digests_below(tmp_path / "out" / "twadb")


def test_a_database_folder_that_is_a_link_is_left_alone(server, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "tmpabcd1234").write_bytes(b"mine")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "twadb").symlink_to(elsewhere)
    with pytest.raises(FetchError, match="is a link"):
        fetch_few(server[0], tmp_path / "out")
    assert [path.name for path in elsewhere.iterdir()] == ["tmpabcd1234"]


def test_a_linked_folder_inside_is_not_written_through(server, tmp_path):
    url, _, handler = server
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "out" / "twadb").mkdir(parents=True)
    (tmp_path / "out" / "twadb" / "part").symlink_to(elsewhere)
    handler.sums += f"{'0' * 64} part/twa00.hea\n".encode()
    with pytest.raises(FetchError, match=r"part/twa00\.hea: FetchError"):
        fetch_few(url, tmp_path / "out", only=r"part/.*|twa0.\.hea")
    assert not list(elsewhere.iterdir())


def test_a_manifest_that_contradicts_the_registry_is_refused(server, tmp_path):
    name, digest = next(iter(_read_registry("twadb").items()))
    _check_sums({name: digest, "other.hea": "0" * 64}, {name: digest})
    server[2].sums = f"{'0' * 64} {name}\n".encode()
    with pytest.raises(FetchError, match=rf"disagrees .* {name}"):
        fetch_few(server[0], tmp_path / "out", only="")
    assert not (tmp_path / "out").exists()


def test_a_manifest_without_end_is_refused(server, tmp_path, monkeypatch):
    monkeypatch.setattr("ecgnb.records.download.MAX_SUMS_BYTES", 1000)
    with pytest.raises(FetchError, match="longer than"):
        fetch_few(server[0], tmp_path / "out")


@pytest.mark.parametrize("database", ["twadb", "ptbdb", "ludb"])
def test_the_registry_is_what_the_verified_files_give(database):
    registry = _read_registry(database)
    assert len(registry) > 50
    assert not [name for name in registry if name.endswith((".hea", ".qrs"))]
    script = runpy.run_path(str(ROOT / "benchmarks" / "registry.py"))
    sums = script["verified_sums"](real_data(database), database)
    assert sums
    assert sums == {name: registry[name] for name in sums}
