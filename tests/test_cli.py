import pytest
from typer.testing import CliRunner

from ecgnb.claims import CLAIMS, verdict
from ecgnb.cli import app
from ecgnb.databases import condition_of, find_records, load_database
from ecgnb.simulate import write_cohort

runner = CliRunner()


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohort") / "c"
    return write_cohort(folder, n_twadb=2, n_patient=1, duration_s=30.0, ptbdb_duration_s=5.0)


def test_check_counts_what_can_be_used(cohort):
    result = runner.invoke(app, ["check", str(cohort)])
    assert result.exit_code == 0
    assert "myocarditis" in result.output
    assert "0 cannot" in result.output


def test_check_names_a_damaged_record_and_exits_1(cohort, tmp_path):
    write_cohort(tmp_path / "c", n_twadb=2, n_patient=1, duration_s=30.0, ptbdb_duration_s=5.0)
    samples = tmp_path / "c" / "twadb" / "twa01.dat"
    samples.write_bytes(samples.read_bytes()[:-4])
    result = runner.invoke(app, ["check", str(tmp_path / "c")])
    assert result.exit_code == 1
    assert "cannot be used: twa01" in result.output


def test_check_of_an_empty_folder_exits_1(tmp_path):
    assert runner.invoke(app, ["check", str(tmp_path)]).exit_code == 1


def test_an_unknown_method_is_bad_usage(cohort, tmp_path):
    command = ["run", "reconstruction", "--data", str(cohort), "--out", str(tmp_path / "t.csv")]
    result = runner.invoke(app, [*command, "--methods", "magic"])
    assert result.exit_code == 2
    assert "magic" in result.output


def test_an_unknown_database_is_bad_usage(tmp_path):
    assert runner.invoke(app, ["fetch", "nothing"]).exit_code == 2


def test_run_reconstruction_writes_the_table(cohort, tmp_path):
    out = tmp_path / "t.csv"
    command = ["run", "reconstruction", "--data", str(cohort), "--out", str(out)]
    result = runner.invoke(app, [*command, "--methods", "least_squares,average_beat"])
    assert result.exit_code == 0, result.output
    header = out.read_text().splitlines()[0]
    assert header.startswith("database,record,origin,input_lead,output_lead,method")


def test_simulate_refuses_a_folder_with_somebodys_files(tmp_path):
    (tmp_path / "mine.txt").write_text("precious")
    result = runner.invoke(app, ["simulate", str(tmp_path)])
    assert result.exit_code == 1
    assert (tmp_path / "mine.txt").read_text() == "precious"


def test_a_mirror_with_version_folders_is_understood(cohort, tmp_path):
    (tmp_path / "twadb").mkdir()
    (tmp_path / "twadb" / "1.0.0").symlink_to(cohort / "twadb")
    assert len(find_records(tmp_path, "twadb")) == 2


def test_simulated_records_say_that_they_are(cohort):
    for database in ("twadb", "ptbdb"):
        origins = {r.origin for r in load_database(cohort, database).records}
        assert origins == {"simulated"}


def test_an_unknown_wording_is_listed_and_not_dropped():
    assert condition_of(("Reason for admission: New thing",)) == "unknown: new thing"


def test_there_are_ten_claims_and_four_verdicts():
    assert len({claim.name for claim in CLAIMS}) == 10
    found = [verdict(share) for share in (1.0, 0.3, 0.0, float("nan"))]
    assert found == ["holds", "holds in part", "does not hold", "cannot be told"]
