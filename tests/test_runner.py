"""Kept results answer for what they were made from, and for nothing else."""

import json
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from ecgnb.cli import app
from ecgnb.records import read_record, write_record
from ecgnb.simulate import SimulationOptions, simulate_record

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
    from ecgnb import multiverse

    monkeypatch.setattr(multiverse, "family", lambda: [multiverse.Member("line")])


@pytest.mark.parametrize("study", [RECONSTRUCTION, MULTIVERSE, ("population",), ("ceiling",)])
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_two_records_of_one_name_are_both_worked_on_and_told_apart(
    study, jobs, two, tmp_path, one_member
):
    if jobs == "2" and study[0] in ("population", "ceiling"):
        pytest.skip("the engine is the same; two studies show it")
    out = tmp_path / "t.csv"
    options = ("--jobs", jobs) if study[0] != "population" else ()
    run(*study, "--data", two, "--out", out, *options)
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


def test_a_mirror_gives_its_twadb_and_says_so(two, tmp_path):
    save(two / "twadb", 3, name="twa01")
    result = run("reconstruction", "--data", two, "--out", tmp_path / "t.csv", *RECONSTRUCTION[1:])
    assert set(pd.read_csv(tmp_path / "t.csv")["record"]) == {"twa01"}
    assert "twadb of this mirror" in result.stderr


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


def case(name):
    if not (CASES / name).is_dir():
        pytest.skip("the cases of ../shared are absent")
    return CASES / name
