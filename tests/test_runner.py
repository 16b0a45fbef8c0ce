"""Kept results answer for what they were made from, and for nothing else."""

import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from ecgnb.cli.commands import app
from ecgnb.records.wfdb_files import read_record, write_record
from ecgnb.signals.preparation import PreprocessingOptions
from ecgnb.simulation.cohort import write_cohort
from ecgnb.simulation.synthesis import SimulationOptions, simulate_record
from ecgnb.studies import reconstruction
from ecgnb.studies.plan import Source, key_of

ROOT = Path(__file__).resolve().parents[1]
CASES = ROOT.parent / "shared" / "cases"
MULTIVERSE = ("multiverse", "--records", "ecg")
RECONSTRUCTION = ("reconstruction", "--methods", "mean,average_beat")


def save(folder, seed, *, name="ecg"):
    record = simulate_record(SimulationOptions(duration_s=20.0), seed=seed, name=name).record
    write_record(record, folder)
    return folder


def run(*words):
    result = CliRunner().invoke(app, ["run", *map(str, words)])
    assert result.exit_code == 0, result.output
    return result


@pytest.fixture
def two(tmp_path):
    """A folder with a record `ecg` of two people."""
    for seed in (1, 2):
        save(tmp_path / "data" / f"p{seed}", seed)
    return tmp_path / "data"


def scores_of(data, out, *, methods="mean,average_beat"):
    run("reconstruction", "--data", data, "--out", out, "--methods", methods)
    return pd.read_csv(out)


@pytest.fixture
def one_member(monkeypatch):
    from ecgnb.studies import multiverse

    monkeypatch.setattr(multiverse, "_family", lambda: [multiverse.Member("line")])


@pytest.mark.parametrize("study", [RECONSTRUCTION, MULTIVERSE, ("population",), ("ceiling",)])
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_two_records_of_one_name_are_both_worked_on_and_told_apart(
    study, jobs, two, tmp_path, one_member
):
    out = tmp_path / "t.csv"
    run(*study, "--data", two, "--out", out, "--jobs", jobs)
    table = pd.read_csv(out)
    assert list(table["record"].unique()) == ["p1/ecg", "p2/ecg"]
    score = next(name for name in ("r", "floor_r") if name in table)
    assert table.groupby("record")[score].mean().nunique() == 2


def test_another_folder_with_the_same_out_is_computed_anew(two, tmp_path):
    out = tmp_path / "t.csv"
    first = scores_of(two / "p1", out)
    assert set(first["record"]) == {"ecg"}
    again = scores_of(two / "p2", out)
    assert not again["r"].equals(first["r"])
    assert again["r"].equals(scores_of(two / "p2", tmp_path / "fresh.csv")["r"])
    assert scores_of(two / "p1", out)["r"].equals(first["r"])


def test_changed_samples_under_one_header_name_are_computed_anew(two, tmp_path):
    out = tmp_path / "t.csv"
    first = scores_of(two / "p1", out)
    record = read_record(two / "p1" / "ecg.hea")
    record.signals[:] = record.signals[:, ::-1]
    write_record(record, two / "p1")
    assert not scores_of(two / "p1", out)["r"].equals(first["r"])


def test_samples_that_no_longer_agree_with_their_header_are_refused_not_answered(two, tmp_path):
    out = tmp_path / "t.csv"
    scores_of(two / "p1", out)
    samples = two / "p1" / "ecg.dat"
    content = bytearray(samples.read_bytes())
    content[1000] ^= 1
    samples.write_bytes(content)
    words = ["run", "reconstruction", "--data", str(two / "p1"), "--out", str(out)]
    result = CliRunner().invoke(app, [*words, "--methods", "mean"])
    assert result.exit_code == 1
    assert "checksum" in result.output


def test_other_records_with_the_same_out_give_the_table_of_a_fresh_run(tmp_path):
    data, out = tmp_path / "data", tmp_path / "t.csv"
    for seed in (1, 2):
        save(data, seed, name=f"ecg{seed}")
    command = ("reconstruction", "--data", data, "--methods", "mean")
    run(*command, "--out", out, "--records", "ecg1")
    run(*command, "--out", out, "--records", "ecg2")
    run(*command, "--out", tmp_path / "fresh.csv", "--records", "ecg2")
    assert out.read_bytes() == (tmp_path / "fresh.csv").read_bytes()
    manifest = json.loads((tmp_path / "t_manifest.json").read_text())
    assert list(manifest["records"]) == ["ecg2"]


def test_one_twa_header_hides_no_other_record(two, tmp_path):
    save(two, 3, name="twa01")
    table = scores_of(two, tmp_path / "t.csv")
    assert set(table["record"]) == {"p1/ecg", "p2/ecg", "twa01"}


def test_of_the_databases_of_a_mirror_twadb_is_used_and_that_is_said(two, tmp_path):
    save(two / "twadb", 3, name="twa01")
    save(two / "ptbdb" / "patient001", 4, name="s0001_re")
    result = run("reconstruction", "--data", two, "--out", tmp_path / "t.csv", *RECONSTRUCTION[1:])
    assert set(pd.read_csv(tmp_path / "t.csv")["record"]) == {"twa01", "p1/ecg", "p2/ecg"}
    assert "of the databases in this mirror twadb is used" in result.stderr


def test_the_two_records_of_the_case_are_scored_and_told_apart(tmp_path):
    folder = case("17_same_name_in_two_folders")
    table = scores_of(folder, tmp_path / "t.csv", methods="average_beat")
    assert list(table["record"].unique()) == ["p1/ecg", "p2/ecg"]


def test_the_second_person_of_the_case_gets_their_own_scores(tmp_path):
    folder, out = case("17_same_name_in_two_folders"), tmp_path / "t.csv"
    first, second = (
        scores_of(folder / name, out, methods="lagged_ridge") for name in ("p1", "p2")
    )
    fresh = scores_of(folder / "p2", tmp_path / "fresh.csv", methods="lagged_ridge")
    assert second.equals(fresh)
    assert not second["r"].equals(first["r"])


def test_a_copy_of_a_record_has_its_own_rows(two, tmp_path):
    shutil.copytree(two, tmp_path / "twice" / "a" / "data")
    shutil.copytree(two, tmp_path / "twice" / "b" / "data")
    table = scores_of(tmp_path / "twice", tmp_path / "t.csv", methods="mean")
    names = [f"{one}/data/p{person}/ecg" for one in "ab" for person in (1, 2)]
    assert list(table["record"].unique()) == names


def test_a_record_whose_name_is_a_number_keeps_it(tmp_path):
    save(tmp_path / "data", 1, name="007")
    scores_of(tmp_path / "data", tmp_path / "t.csv", methods="mean")
    assert ",007," in (tmp_path / "t.csv").read_text()


@pytest.mark.parametrize(
    "changed", [{"options": PreprocessingOptions(high_hz=20.0)}, {"seeds": (1,)}]
)
def test_other_options_with_the_same_out_are_computed_anew_and_named(changed, two, tmp_path):
    out, how = tmp_path / "t.csv", {"methods": ("least_squares",), "progress": False}
    reconstruction.run_reconstruction(two, out, **how)
    before = pd.read_csv(out)
    reconstruction.run_reconstruction(two, out, **how, **changed)
    reconstruction.run_reconstruction(two, tmp_path / "fresh.csv", **how, **changed)
    assert out.read_bytes() == (tmp_path / "fresh.csv").read_bytes()
    after, manifest = pd.read_csv(out), json.loads((tmp_path / "t_manifest.json").read_text())
    assert manifest["seeds"] == [int(after["seed"].iloc[0])]
    if "options" in changed:
        assert manifest["options"]["high_hz"] == 20.0
        assert not after["r"].equals(before["r"])


def test_the_manifest_names_what_failed_and_the_bytes_of_every_record(two, tmp_path):
    samples = two / "p1" / "ecg.dat"
    before = samples.read_bytes()
    digests = []
    for content in (before, before[:-4]):
        samples.write_bytes(content)
        words = ["run", *RECONSTRUCTION, "--data", str(two), "--out", str(tmp_path / "t.csv")]
        CliRunner().invoke(app, words)
        manifest = json.loads((tmp_path / "t_manifest.json").read_text())
        digests.append(manifest["records"])
    assert digests[0]["p1/ecg"] != digests[1]["p1/ecg"]
    assert digests[0]["p2/ecg"] == digests[1]["p2/ecg"]
    (failed,) = manifest["failed"]
    assert failed.startswith("p1/ecg: ecg.dat has")
    assert manifest["n_record"] == 1


@pytest.mark.parametrize("change", ["code", "digest", "database", "folder", "options"])
def test_a_key_depends_on_everything(change, tmp_path):
    facts = {"code": "c", "digest": "d", "database": "twadb", "folder": "p1", "options": 1}

    def key(code, digest, database, folder, options):
        source = Source(tmp_path / folder / "ecg.hea", "any name", database, digest)
        return key_of(code, [source], n=options)

    assert key(**facts) == key(**facts)
    assert key(**facts) != key(**facts | {change: "other"})


LINEAR, STUDY = ["ecgnb.reconstruction.linear"], ["ecgnb.studies.reconstruction"]


@pytest.fixture
def copied(tmp_path):
    """The package's code in another folder, and the module there that makes digests of it."""
    shutil.copytree(ROOT / "ecgnb", tmp_path / "ecgnb")
    spec = importlib.util.spec_from_file_location("copied", tmp_path / "ecgnb" / "files.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return tmp_path / "ecgnb", module.code_digest


@pytest.mark.parametrize(
    ("modules", "file", "old", "new", "changes"),
    [
        (
            ["ecgnb.reconstruction.linear"],
            "reconstruction/linear.py",
            "np.pad(",
            "1 * np.pad(",
            True,
        ),
        (
            ["ecgnb.studies.reconstruction"],
            "reconstruction/linear.py",
            "np.pad(",
            "1 * np.pad(",
            True,
        ),
        (["ecgnb.reconstruction.linear"], "data/lead_covariance.csv", "I,", "II,", True),
        (
            ["ecgnb.reconstruction.linear"],
            "reconstruction/linear.py",
            '"""Return',
            '"""Give',
            False,
        ),
        (["ecgnb.reconstruction.linear"], "figures/ecg.py", "axes.", "axis.", False),
        ([], "figures/ecg.py", "axes.", "axis.", True),
    ],
)
def test_a_digest_of_code_changes_with_what_computes(modules, file, old, new, changes, copied):
    folder, digest = copied
    before, text = digest(*modules), (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new))
    digest.cache_clear()
    assert (before != digest(*modules)) == changes


def test_a_digest_of_a_module_that_is_not_there_is_refused(copied):
    with pytest.raises(ModuleNotFoundError, match=r"no module ecgnb\.renamed"):
        copied[1]("ecgnb.renamed")


def test_no_module_needs_what_windows_lacks():
    lacking = r"^\s*(import|from) (fcntl|grp|pty|pwd|resource|termios)\b"
    sources = {path.name: path.read_text() for path in (ROOT / "ecgnb").rglob("*.py")}
    found = {name for name, text in sources.items() if re.search(lacking, text, re.MULTILINE)}
    assert found == set()


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohort") / "c"
    return write_cohort(folder, n_twadb=4, n_patient=0, duration_s=40.0)


@pytest.mark.parametrize(
    "study", ["population", "ceiling", "expectation --methods lagged_ridge,average_beat_ridge"]
)
def test_a_killed_study_goes_on_and_ends_with_the_table_of_a_whole_one(study, cohort, tmp_path):
    out, words = tmp_path / "t.csv", (*study.split(), "--data", str(cohort))
    store = tmp_path / "t.csv.tasks"
    code = "from ecgnb.cli import main; main()"
    command = [sys.executable, "-c", code, "run", *words, "--out", str(out)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)
    while process.poll() is None and not list(store.glob("*.rows.csv.sha256")):
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    kept = {path: path.stat().st_mtime_ns for path in store.glob("*.rows.csv.sha256")}
    assert kept
    assert not out.exists()
    run(*words, "--out", out)
    run(*words, "--out", tmp_path / "whole.csv")
    assert out.read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert kept == {path: path.stat().st_mtime_ns for path in kept}


def case(name):
    if not (CASES / name).is_dir():
        pytest.skip("the cases of ../shared are absent")
    return CASES / name
