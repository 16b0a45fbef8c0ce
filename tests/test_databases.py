"""The catalogue: conditions, people, origins and mirrors, and what `ecgnb check` says of them."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import DATA, real_data
from test_formats import draw_samples, write_mat
from typer.testing import CliRunner

from ecgnb.catalogue import DATABASES
from ecgnb.checking import check_folder
from ecgnb.cli import app
from ecgnb.databases import database_folder, find_records, load_database
from ecgnb.diagnoses import ADMISSIONS, CONDITIONS, OTHER, condition_of, snomed_conditions
from ecgnb.labels import label_record, share_beyond_three
from ecgnb.leads import derive_leads
from ecgnb.record import Record
from ecgnb.records import write_record
from ecgnb.simulate import write_cohort


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohort") / "c"
    return write_cohort(folder, n_twadb=2, n_patient=1, duration_s=30.0, ptbdb_duration_s=5.0)


@pytest.fixture
def challenge(tmp_path):
    """Write a mirror of the challenge of 2021 with three records of two sources."""
    root = tmp_path / "challenge-2021" / "1.0.3" / "training"
    codes = {"ptb-xl": "426783006", "georgia": "59118001,999", "ningbo": "999"}
    for source, text in codes.items():
        folder = root / source / "g1"
        folder.mkdir(parents=True)
        header = write_mat(folder, draw_samples("16", n_time=5000))
        header.write_text(re.sub("#Dx: .*", f"#Dx: {text}", header.read_text()))
    return tmp_path


@pytest.mark.parametrize("name", DATABASES)
def test_every_database_says_what_it_is_who_is_in_it_and_what_is_left_out(name):
    database = DATABASES[name]
    assert database.citation.startswith("doi:10.13026/")
    assert all((database.title, database.licence, database.patients, database.left_out))


@pytest.mark.parametrize("wording", ADMISSIONS)
def test_every_wording_of_ptbdb_has_a_condition(wording):
    expected = ADMISSIONS[wording]
    assert expected in (*CONDITIONS, OTHER)
    assert condition_of((f"Reason for admission: {wording.capitalize()}",)) == expected


def test_the_code_table_covers_the_133_codes_of_the_challenges():
    table = snomed_conditions()
    assert len(table) == 133
    assert all(code.isdigit() for code in table)
    assert set(table.values()) == {*CONDITIONS, OTHER} - {"myocarditis"}


@pytest.mark.parametrize(
    ("codes", "condition"),
    [
        ("426783006", "healthy control"),
        ("426783006,39732003", "other"),
        ("39732003,164889003", "dysrhythmia"),
        ("164865005,164889003", "myocardial infarction"),
        ("999,39732003", "unknown: 999"),
        ("", "other"),
    ],
)
def test_several_codes_give_one_condition(codes, condition):
    assert condition_of((f"Dx: {codes}",)) == condition


def test_records_of_a_challenge_carry_source_and_condition_and_no_patient(challenge):
    records = load_database(challenge, "challenge-2021").records
    labels = {record.origin: (record.condition, record.patient) for record in records}
    assert labels["ptb-xl"] == ("healthy control", "")
    assert labels["georgia"] == ("bundle branch block", "")
    assert labels["ningbo"] == ("unknown: 999", "")
    assert {record.signals.shape for record in records} == {(12, 5000)}


def test_check_lists_unknown_codes_and_what_is_left_out(challenge):
    result = CliRunner().invoke(app, ["check", str(challenge)])
    assert result.exit_code == 0, result.output
    assert "unknown Dx code 999" in result.output
    assert "unknown: 999: 1 records" in result.output
    assert "left out of challenge-2021: the validation and test sets" in result.output


def test_check_as_json_says_the_same(challenge):
    (challenge / "challenge-2021/1.0.3/training/ningbo/g1/A0001.mat").write_bytes(b"cut")
    result = CliRunner().invoke(app, ["check", str(challenge), "--json"])
    found = json.loads(result.stdout)
    assert result.exit_code == 1
    assert (found["usable"], found["refused_count"]) == (2, 1)
    assert [row["patients"] for row in found["counts"]] == [0, 0]
    assert "A0001.mat" in found["refused"][0]


def test_check_counts_by_database_condition_and_origin_and_leaves_with_0(cohort):
    result = CliRunner().invoke(app, ["check"], env={"ECGNB_DATA": str(cohort)})
    assert result.exit_code == 0, result.output
    assert re.search(r"twadb +simulated +not stated +2 +2\n", result.output)
    assert re.search(r"ptbdb +simulated +myocarditis +2 +1\n", result.output)
    assert "18 records can be used, 0 cannot" in result.output


def test_check_gives_every_record_that_cannot_be_used_a_line_and_leaves_with_1(cohort, tmp_path):
    folder = Path(shutil.copytree(cohort, tmp_path / "mirror"))
    (folder / "twadb" / "twa01.dat").write_bytes(b"cut")
    (folder / "ptbdb" / "patient003" / "s0005_re.hea").write_text("")
    (folder / "elsewhere").mkdir()
    (folder / "elsewhere" / "mine.hea").write_text("mine 1 500 10\n")
    shutil.copy(folder / "twadb" / "twa02.hea", folder / "elsewhere")
    shutil.copy(folder / "twadb" / "twa02.dat", folder / "elsewhere")
    result = CliRunner().invoke(app, ["check", str(folder)])
    assert result.exit_code == 1
    lines = [line for line in result.output.splitlines() if line.startswith("cannot be used")]
    assert [line.split(":")[1].strip() for line in lines] == ["twa01", "s0005_re", "mine"]
    assert re.search(r"\(no database\) +simulated +not stated +1 +0\n", result.output)
    assert "17 records can be used, 3 cannot" in result.output


@pytest.mark.parametrize("depth", ["twadb/1.0.0", "twadb", "1.0.0", "."])
def test_a_mirror_may_have_version_folders_or_not(cohort, tmp_path, depth):
    shutil.copytree(cohort / "twadb", tmp_path / depth, dirs_exist_ok=True)
    assert [path.stem for path in find_records(tmp_path, "twadb")] == ["twa01", "twa02"]


def test_both_databases_in_version_folders_give_the_same_counts(cohort, tmp_path):
    for name in ("twadb", "ptbdb"):
        shutil.copytree(cohort / name, tmp_path / name / "1.0.0")
    assert check_folder(tmp_path).counts().equals(check_folder(cohort).counts())


def make_record(n_source):
    generator = np.random.default_rng(0)
    eight = generator.normal(size=(8, n_source)) @ generator.normal(size=(n_source, 4000))
    return Record("twa06", derive_leads(eight).astype(np.float32), 500.0)


@pytest.mark.parametrize(
    ("n_source", "counter", "in_doubt"),
    [(3, "", False), (8, "", True), (3, "1000", True), (8, "257", False)],
)
def test_an_origin_that_header_and_rank_disagree_on_is_said(n_source, counter, in_doubt):
    record = replace(make_record(n_source), counter_frequency=counter)
    notes = label_record(record, Path("twa06.hea"), "twadb").notes
    assert bool(notes) == in_doubt
    assert all("origin in doubt" in note for note in notes)


def test_an_unknown_counter_frequency_and_an_unknown_wording_are_listed(tmp_path):
    (tmp_path / "ptbdb" / "patient001").mkdir(parents=True)
    record = replace(make_record(8), name="s0001", comments=("Reason for admission: New thing",))
    write_record(record, tmp_path / "ptbdb" / "patient001")
    assert check_folder(tmp_path).unknown == {"unknown: new thing": 1}
    odd = replace(make_record(8), counter_frequency="360")
    origin = label_record(odd, Path("twa06.hea"), "twadb").origin
    assert origin == "unknown: counter frequency 360 Hz"


def test_missing_samples_do_not_hide_the_rank():
    signals = make_record(3).signals
    signals[4, 5:50] = np.nan
    signals[7, 90:95] = np.nan
    assert share_beyond_three(signals) < 1e-9
    assert np.isnan(share_beyond_three(signals * np.nan))


@pytest.mark.parametrize("database", DATABASES)
def test_every_real_record_is_usable_and_nothing_about_it_is_unknown(database):
    checked = check_folder(database_folder(real_data(database), database))
    assert len(checked.rows) == len(find_records(DATA, database))
    assert {row["database"] for row in checked.rows} == {database}
    assert not checked.refused
    assert not checked.unknown
    assert not [note for note in checked.notes if "in doubt" in note or "unknown" in note]
    if database == "ptbdb":
        assert len([note for note in checked.notes if "no Frank leads" in note]) == 2
