"""The catalogue: conditions, people, origins and mirrors, and what `ecgnb check` says of them."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import DATA, real_data
from test_formats import draw_samples, write_mat
from typer.testing import CliRunner

from ecgnb.cli.commands import app
from ecgnb.leads import derive_leads, independent_signals
from ecgnb.records.catalogue import DATABASES
from ecgnb.records.databases import (
    OTHER_DATABASE,
    check_folder,
    database_folder,
    database_of,
    find_records,
    load_database,
    load_record,
    record_paths,
)
from ecgnb.records.download import _parse_sums
from ecgnb.records.labels import (
    ADMISSIONS,
    CONDITIONS,
    OTHER,
    _ludb_conditions,
    _share_beyond_three,
    _snomed_conditions,
    condition_of,
    label_record,
    labels_of,
)
from ecgnb.records.record import Record
from ecgnb.records.wfdb_files import _read_signals, read_header, write_record
from ecgnb.signals.beats import align_beats, average_beat, find_peaks
from ecgnb.signals.filters import filter_signals
from ecgnb.simulation.cohort import write_cohort
from ecgnb.studies.reconstruction import run_reconstruction


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
    table = _snomed_conditions()
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
    assert _share_beyond_three(signals) < 1e-9
    assert np.isnan(_share_beyond_three(signals * np.nan))


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


KNOWN = {"twadb": 60, "ptbdb": 66, "ludb": 140, "challenge-2021": 61}


def test_every_real_header_belongs_to_the_database_in_whose_folder_it_lies():
    for database in KNOWN:
        paths = find_records(real_data(database), database)
        assert {database_of(path) for path in paths} == {database}
        assert len(paths) >= KNOWN[database]


@pytest.fixture
def mixed(tmp_path):
    """A folder of somebody's own recordings, one of them a copy from twadb."""
    record = replace(make_record(8), counter_frequency="257")
    for name in ("twa06", "holter", "twaddle"):
        write_record(replace(record, name=name), tmp_path / "mine")
    finding = ("<diagnoses>:", "Rhythm: Sinus rhythm.")
    write_record(replace(record, name="3", comments=finding), tmp_path / "mine")
    return tmp_path / "mine"


def test_one_record_of_twadb_hides_nothing_and_makes_no_other_one_twadb(mixed):
    labels = {path.stem: database_of(path) for path in record_paths(mixed)}
    assert labels == {"twa06": "twadb", "holter": "", "twaddle": "", "3": ""}
    assert {load_record(path).origin for path in record_paths(mixed, ["holter", "3"])} == {""}


def test_runs_label_a_folder_of_other_records_as_check_does(mixed, tmp_path):
    run_reconstruction(mixed, tmp_path / "t.csv", methods=("mean",), progress=False)
    table = pd.read_csv(tmp_path / "t.csv", keep_default_na=False)
    checked = pd.DataFrame(check_folder(mixed).rows).replace(
        {OTHER_DATABASE: "", "not stated": ""}
    )
    for column in ("database", "origin"):
        said = table.groupby("record")[column].first().to_dict()
        assert said == checked.set_index("record")[column].to_dict()


def test_a_database_is_known_by_its_folder_where_the_header_says_too_little(cohort, tmp_path):
    header = cohort / "twadb" / "twa01.hea"
    assert database_of(header) == "twadb"
    shutil.copy(header, tmp_path)
    assert database_of(tmp_path / "twa01.hea") == ""  # simulated: of no database by itself
    (tmp_path / "twadb" / "1.0.0").mkdir(parents=True)
    damaged = tmp_path / "twadb" / "1.0.0" / "twa02.hea"
    damaged.write_text("")
    assert database_of(damaged) == "twadb"


def test_both_challenges_look_alike_but_for_the_name_of_their_folder(challenge):
    root = challenge / "challenge-2021" / "1.0.3"
    header = root / "training" / "ptb-xl" / "g1" / "A0001.hea"
    assert database_of(header) == "challenge-2021"
    shutil.move(root, challenge / "somewhere")
    assert database_of(challenge / "somewhere" / "training" / "ptb-xl" / "g1" / "A0001.hea") == ""


def test_a_mirror_gives_an_experiment_twadb_and_what_is_in_no_database(cohort, tmp_path):
    folder = Path(shutil.copytree(cohort, tmp_path / "mirror"))
    (folder / "elsewhere").mkdir()
    write_record(replace(make_record(8), name="mine"), folder / "elsewhere")
    assert [path.stem for path in record_paths(folder)] == ["mine", "twa01", "twa02"]


@pytest.mark.parametrize(
    ("findings", "condition"),
    [
        (["Rhythm: Sinus rhythm.", "Electric axis of the heart: normal. "], "healthy control"),
        (["Rhythm: Sinus rhythm.", "Early repolarization syndrome. "], "other"),
        (["Rhythm: Sinus bradycardia.", "Left ventricular hypertrophy. "], "hypertrophy"),
        (["Incomplete right bundle branch block.", "STEMI: septal."], "bundle branch block"),
        (["Rhythm: Sinus rhythm.", "Something new."], "unknown: something new"),
        ([], "other"),
    ],
)
def test_the_findings_of_ludb_give_one_condition(findings, condition):
    assert condition_of(("<age>: 51", "<sex>: F", "<diagnoses>:", *findings)) == condition


def test_every_finding_of_ludb_has_a_condition_and_a_new_one_is_listed(tmp_path):
    assert set(_ludb_conditions().values()) <= {*CONDITIONS, OTHER}
    findings = ("<diagnoses>:", "Left atrial hypertrophy.", "Something new.")
    record = replace(make_record(8), name="1", comments=findings)
    write_record(record, tmp_path / "ludb" / "data")
    (row,), notes = (checked := check_folder(tmp_path)).rows, checked.notes
    assert (row["condition"], row["patient"]) == ("hypertrophy", "ludb1")
    assert notes == ["1: unknown finding something new"]


def test_every_wording_in_the_table_of_ludb_is_known():
    table = pd.read_csv(database_folder(real_data("ludb"), "ludb") / "ludb.csv").iloc[:, 3:]
    cells = table.fillna("").to_numpy().ravel()
    words = {line.strip().lower() for cell in cells for line in cell.splitlines()}
    known = _ludb_conditions().keys()
    assert {
        word for word in words if word not in known and f"rhythm: {word}" not in known
    } == set()


def test_the_files_of_ludb_are_fetched_with_their_marks_and_findings():
    sums = database_folder(real_data("ludb"), "ludb") / "SHA256SUMS.txt"
    wanted = [name for name in _parse_sums(sums.read_text())
              if re.fullmatch(DATABASES["ludb"].files, name)]  # fmt: skip
    assert len(wanted) == 200 * (2 + 12) + 1


def spread_over_kinds(labels, limit):
    """Return the names of at most `limit` records, in turn from every kind: the long way."""
    groups = {}
    for name, *kind in labels:
        groups.setdefault(tuple(kind), []).append(name)
    turns = max(len(group) for group in groups.values())
    taken = [g[turn] for turn in range(turns) for g in groups.values() if turn < len(g)]
    return sorted(taken[:limit])


@pytest.mark.parametrize("limit", [1, 2, 7, 11, 50])
@pytest.mark.parametrize("damaged", [(), ("s0001_re", "s0002_re", "s0009_re")])
def test_a_few_records_are_those_of_the_whole_database_in_turn(cohort, tmp_path, limit, damaged):
    folder = Path(shutil.copytree(cohort, tmp_path / "c"))
    for name in damaged:
        next(folder.rglob(f"{name}.dat")).write_bytes(b"")
    everything = [(r.name, r.origin, r.condition) for r in load_database(folder, "ptbdb").records]
    few = [record.name for record in load_database(folder, "ptbdb", limit=limit).records]
    assert few == spread_over_kinds(everything, limit)


@pytest.mark.parametrize(("database", "limit"), [("twadb", 5), ("ptbdb", 12)])
def test_real_records_are_chosen_in_turn_from_every_kind(database, limit):
    data = real_data(database)
    labels = []
    for path in find_records(data, database):
        said = labels_of(header := read_header(path), path, database)
        labels.append((header.name, said["origin"], said["condition"]))
    few = [record.name for record in load_database(data, database, limit=limit).records]
    assert few == spread_over_kinds(labels, limit)


def test_no_sample_of_a_record_that_is_not_wanted_is_read(cohort, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "ecgnb.records.wfdb_files._read_signals",
        lambda path, *rest: seen.append(path) or _read_signals(path, *rest),
    )
    records = load_database(cohort, "ptbdb", condition="myocarditis", limit=1).records
    assert {path.stem for path in seen} == {record.name for record in records}
    assert len(records) == 1


def test_the_60_real_records_of_twadb_show_33_hearts_and_those_of_ptbdb_49():
    data = real_data("twadb", "ptbdb")
    hearts = {
        name: {
            labels_of(read_header(path), path, name)["heart"] for path in find_records(data, name)
        }
        for name in ("twadb", "ptbdb")
    }
    assert (len(hearts["twadb"]), len(hearts["ptbdb"])) == (33, 49)
    assert hearts["twadb"] & hearts["ptbdb"] == {
        "patient049", "patient239", "patient243", "patient255"
    }  # fmt: skip


def test_a_simulated_record_of_the_same_name_shows_its_own_heart(cohort):
    header = read_header(cohort / "twadb" / "twa01.hea")
    names = [replace(header, name=name) for name in ("twa09", "twa06", "twa42", "twa11")]
    labels = [labels_of(one, cohort / "twadb" / "x.hea", "twadb") for one in names]
    assert [one["heart"] for one in labels] == ["twa09", "twa06", "twa42", "twa11"]


def average_beat_of(record, share=0.2):
    """Return the average beat of the independent leads `(sample,)`, centred and of length 1.

    It is taken at the beginning of the record: later many of these records change.
    """
    signals = filter_signals(record.signals[:, : int(share * record.n_time)], 500.0)
    beats = align_beats(signals, find_peaks(signals, 500.0), before=100, after=200)
    beat = independent_signals(average_beat(beats))
    beat = (beat - beat.mean(axis=1, keepdims=True)).ravel()
    return beat / np.linalg.norm(beat)


@pytest.fixture(scope="module")
def synthetic():
    paths = find_records(real_data("twadb"), "twadb")
    records = [load_record(path, "twadb") for path in paths if is_synthetic(path)]
    return {record.name: record for record in records}


def is_synthetic(path):
    return labels_of(read_header(path), path, "twadb")["origin"] == "synthetic"


def test_the_hearts_of_the_synthetic_records_are_found_again_in_their_average_beats(synthetic):
    beats = np.stack([average_beat_of(record) for record in synthetic.values()])
    hearts = np.array([record.heart for record in synthetic.values()])
    alike, same = beats @ beats.T, hearts[:, None] == hearts
    known = {"twa50", "twa52"}  # alike as well, see below
    apart = ~same & ~np.array([[{one, other} == known for one in hearts] for other in hearts])
    print("inside", alike[same].min(), "between", alike[apart].min(), alike[apart].max())
    assert len(synthetic) == 27
    assert len(set(hearts)) == 6
    assert alike[same].min() > 0.99
    assert alike[apart].max() < 0.9


def test_twa52_begins_as_the_records_of_twa50_and_is_another_one_on_the_whole(synthetic):
    for share, low, high in ((0.2, 0.99, 1.0), (1.0, 0.85, 0.95)):
        one, other = (average_beat_of(synthetic[name], share) for name in ("twa52", "twa50"))
        assert low < one @ other < high
