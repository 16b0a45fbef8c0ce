"""Every command: a good run, bad usage (2), bad data (1), and what all share."""

import hashlib
import http.server
import json
import shutil
import subprocess
import sys
import threading
from functools import partial

import numpy as np
import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

from ecgnb.book.claims import CLAIMS
from ecgnb.book.scorecard import verdict
from ecgnb.cli.commands import app
from ecgnb.leads import LEADS
from ecgnb.reconstruction.model_files import load_personal
from ecgnb.reconstruction.personal import reconstruct
from ecgnb.records.databases import find_records, load_database
from ecgnb.records.labels import condition_of
from ecgnb.records.recordings import read_recording
from ecgnb.records.wfdb_files import read_record, write_record
from ecgnb.simulation.cohort import write_cohort
from ecgnb.studies import multiverse

runner = CliRunner()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohort") / "c"
    return write_cohort(folder, n_twadb=2, n_patient=1, duration_s=40.0, ptbdb_duration_s=5.0)


@pytest.fixture(scope="module")
def files(cohort, tmp_path_factory):
    """A folder with a calibration, later recordings and a kept model of one person."""
    folder = tmp_path_factory.mktemp("files")
    calibration, rest = read_record(cohort / "twadb" / "twa01").split()
    lead = rest.only("V2")
    write_record(calibration, folder / "rec12")
    write_record(lead, folder / "rec1")
    table = pd.DataFrame(rest.signals.T, columns=list(LEADS))[["V2"]]
    table.to_csv(folder / "later.csv", index=False)
    (-table).to_csv(folder / "upside_down.csv", index=False)
    table[:500].to_csv(folder / "short.csv", index=False)
    done = run(f"fit {folder}/rec12/twa01 --lead v2 --method neighbours --out {folder}/model")
    assert done.exit_code == 0, done.output
    return folder


def run(line):
    """Run a line of the command line; words have no blanks."""
    return runner.invoke(app, line.split())


def commands():
    group = typer.main.get_command(app)
    for name, command in group.commands.items():
        yield from ((f"{name} {sub}", c) for sub, c in getattr(command, "commands", {}).items())
        if not hasattr(command, "commands"):
            yield name, command


BAD_USAGE = (
    "run conditions --out o",
    "fetch",
    "fetch nothing",
    "simulate",
    "simulate out --n-twadb -1",
    "check",
    "check one two",
    "example",
    "fit rec12 --lead V2",
    "fit rec12 --lead V9 --out m",
    "fit rec12 --lead V2 --out m --method magic",
    "reconstruct rec1 --out made",
    "reconstruct rec1 --out made --model m --calibration rec12",
    "reconstruct rec1 --out made --calibration rec12 --lead V2 --sampling-rate 3",
    "reconstruct rec1 --out ma$de --model {files}/model",
    "run reconstruction --data d",
    "run reconstruction --data d --out o --methods magic",
    "run reconstruction --data d --out o --jobs 0",
    "run multiverse --data d --out o",
    "run population --data d",
    "run heads --data d --out o --seeds 0",
    "run ceiling --data d",
    "run expectation --data d --out o --methods magic",
    "run placement --data d",
    "run frank --out o",
    "run describe --out o",
    "run power --data d",
    "run lead-sets --data d",
    "run measures --data d",
    "run diagnosis --data d",
    "run changes --data d",
    "run days --data d --out o --plan never",
    "run days --data d --out o --method nowhere:fit",
    "run prior --data d",
    "book --profile huge",
    "book --page 99_nothing",
    "nonsense",
)
BAD_DATA = (
    ("fetch twadb --base-url http://127.0.0.1:9 --retries 0 --folder {tmp}/f", "127.0.0.1"),
    ("simulate {files}", "not simulated"),
    ("check {tmp}", "no WFDB record below"),
    ("check {tmp}/absent", "is no folder"),
    ("example {files}/later.csv", "later.csv"),
    ("fit {files}/rec1/twa01 --lead V2 --out {tmp}/m", "no lead I"),
    ("fit {files}/later.csv --lead V2 --out {tmp}/m", "--sampling-rate"),
    ("reconstruct {files}/absent --model {files}/model --out {tmp}/x", "absent"),
    ("reconstruct {files}/rec1/twa01 --model {tmp}/no --out {tmp}/x", "no.json: it is absent"),
    ("reconstruct {files}/rec1/twa01 --model {files}/model --lead I --out {tmp}/x", "expects"),
    (
        "reconstruct {files}/upside_down.csv {at} --model {files}/model --out {tmp}/x",
        "V2 is upside down",
    ),
    (
        "reconstruct {files}/short.csv {at} --model {files}/model --out {tmp}/x",
        "at least 4 s",
    ),
    (
        "reconstruct {files}/later.csv {at} --channel W --model {files}/model --out x",
        "no lead V2; found: V2",
    ),
    ("run reconstruction --data {tmp} --out {tmp}/t.csv", "no WFDB header"),
    ("run reconstruction --data {cohort} --out {tmp}/t.csv --records twa99", "no record twa99"),
    ("run multiverse --data {tmp} --out {tmp}/t.csv --records twa01", "no record twa01"),
    ("run population --data {tmp} --out {tmp}/t.csv", "no WFDB header"),
    ("run heads --data {cohort} --out {tmp}/t.csv", "no record twa06"),
    ("run ceiling --data {tmp} --out {tmp}/t.csv", "no WFDB header"),
    ("run ceiling --data {cohort} --out {tmp}/t.csv --scores {tmp}/no.csv", "no.csv"),
    ("run expectation --data {tmp} --out {tmp}/t.csv", "no WFDB header"),
    ("run placement --data {tmp} --out {tmp}/t.csv", "no record of twadb or ptbdb"),
    ("run conditions --data {tmp} --out {tmp}/t", "no usable record of ptbdb"),
    ("run power --data {tmp} --out {tmp}/t.csv", "no usable record of ptbdb"),
    ("run frank --data {tmp} --out {tmp}/t.csv", "no record of ptbdb"),
    ("run describe --data {tmp} --out {tmp}", "no record of twadb or ptbdb"),
    ("run lead-sets --data {tmp} --out {tmp}/t", "no WFDB header"),
    ("run measures --data {tmp} --out {tmp}/t", "no task finished"),
    ("run diagnosis --data {tmp} --out {tmp}/t.csv", "no heart of ptbdb"),
    ("run changes --data {tmp} --out {tmp}/t.csv", "no task finished"),
    ("run days --data {tmp} --out {tmp}/t.csv", "no heart"),
    ("run prior --data {tmp} --out {tmp}/t.npz", "no recording of ptbdb"),
    ("book --data {tmp}/absent", "no folder"),
)


@pytest.mark.parametrize("line", BAD_USAGE)
def test_bad_usage_exits_2(line, files):
    result = run(line.format(files=files))
    assert result.exit_code == 2
    assert "Traceback" not in result.output


@pytest.mark.parametrize(("line", "said"), BAD_DATA)
def test_a_problem_with_data_exits_1_and_is_named(line, said, files, cohort, tmp_path):
    result = run(line.format(files=files, cohort=cohort, tmp=tmp_path, at="--sampling-rate 500"))
    assert result.exit_code == 1
    assert said in result.stderr
    assert "Traceback" not in result.output
    assert result.stderr.splitlines()[-1].startswith("ecgnb: ")


def test_every_command_has_an_example_and_is_tested_with_bad_usage_and_bad_data():
    bad_data = [line for line, _ in BAD_DATA]
    for name, command in commands():
        assert any(line.startswith(name) for line in BAD_USAGE), name
        assert any(line.startswith(name) for line in bad_data), name
        assert f"Example: ecgnb {name}" in command.help.replace("\n", " "), name


def test_debug_shows_where_an_error_arose_wherever_it_stands(tmp_path):
    for line in ("--debug check {}", "check {} --debug"):
        result = run(line.replace("check {}", f"run frank --data {tmp_path} --out {tmp_path}/t"))
        assert isinstance(result.exception, FileNotFoundError)


def test_the_program_writes_json_to_stdout_and_progress_to_stderr(cohort, tmp_path):
    words = f"run reconstruction --data {cohort} --out {tmp_path}/t.csv --methods mean --json"
    program = [sys.executable, "-c", "from ecgnb.cli import main; main()", *words.split()]
    done = subprocess.run(program, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["methods"][0]["n_record"] == 2
    assert "records: 2 of 2 after" in done.stderr
    assert "\r" not in done.stderr


def test_completion_is_offered():
    done = subprocess.run(
        [sys.executable, "-c", "from ecgnb.cli import app; app(prog_name='ecgnb')"],
        capture_output=True,
        text=True,
        check=False,
        env={"_ECGNB_COMPLETE": "complete_bash", "COMP_WORDS": "ecgnb re", "COMP_CWORD": "1"},
    )
    assert done.stdout.split() == ["reconstruct"]


def test_fit_keeps_a_model_and_says_what_to_expect(files):
    line = f"fit {files}/rec12/twa01 --lead V2 --method least_squares --out {files}/other --json"
    facts = json.loads(run(line).stdout)
    assert [row["lead"] for row in facts["expected"]] == [lead for lead in LEADS if lead != "V2"]
    assert facts["model"] == f"{files}/other.json"
    assert "these electrode positions" in facts["caution"]


def test_reconstruct_writes_a_record_and_a_picture(files, tmp_path):
    line = f"reconstruct --calibration {files}/rec12/twa01 --lead V2 {files}/rec1/twa01"
    line += f" --out {tmp_path}/made --method neighbours --plot {tmp_path}/made.png"
    result = run(line)
    assert result.exit_code == 0, result.output
    assert "not for diagnosis" in result.stdout
    made = read_record(tmp_path / "made")
    assert made.comments[0].startswith("reconstructed leads: I, II, III")
    assert (tmp_path / "made.png").read_bytes().startswith(b"\x89PNG")


def test_reconstruct_with_a_kept_model_gives_the_same_from_a_csv_file(files, tmp_path):
    for out, recording in (
        ("a", f"{files}/later.csv --sampling-rate 500 --json"),
        ("b", f"{files}/rec1/twa01"),
    ):
        result = run(f"reconstruct --model {files}/model {recording} --out {tmp_path}/{out}")
        assert result.exit_code == 0, result.output
    first, second = (read_record(tmp_path / out) for out in ("a", "b"))
    assert np.abs(first.signals - second.signals).max() < 0.01


def test_calibrations_of_several_days_and_leads_make_one_model(files, tmp_path):
    whole = read_record(files / "rec12" / "twa01")
    names = ["I", "II", "V2", "V3"]
    rows = [whole.lead(name)[:4000] for name in names]
    table = pd.DataFrame(np.transpose(rows), columns=names)
    table.to_csv(tmp_path / "four.csv", index=False)
    line = f"reconstruct --calibration {files}/rec12/twa01 --calibration {tmp_path}/four.csv"
    line += f" --calibration-rate {whole.sampling_rate:g} --lead V2 {files}/rec1/twa01"
    result = run(f"{line} --out {tmp_path}/m/rec1 --json")
    assert result.exit_code == 0, result.output
    made = read_record(tmp_path / "m" / "rec1")
    assert any("calibrated on twa01+four" in text for text in made.comments)
    told = json.loads(result.stdout)
    assert any("four lacks III" in note for note in told["notes"])
    result = run(f"{line} --out {tmp_path}/m/other --method neighbours")
    assert result.exit_code == 2
    assert "neighbours takes one calibration, 2 were given" in result.stderr


def test_reconstruct_into_a_folder_names_the_record_by_its_source(files, tmp_path):
    result = run(f"reconstruct --model {files}/model {files}/rec1/twa01 --out {tmp_path}")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "twa01_V2_12.hea").is_file()


def test_fetch_takes_a_mirror(cohort, tmp_path):
    root = tmp_path / "mirror" / "twadb" / "1.0.0"
    shutil.copytree(cohort / "twadb", root)
    sums = [f"{hashlib.sha256(p.read_bytes()).hexdigest()} {p.name}\n" for p in root.iterdir()]
    (root / "SHA256SUMS.txt").write_text("".join(sums))
    handler = partial(Quiet, directory=tmp_path / "mirror")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        line = f"fetch twadb --folder {tmp_path}/own --json"
        result = run(f"{line} --base-url http://127.0.0.1:{server.server_port}")
        server.shutdown()
    assert result.exit_code == 0, result.output
    folder = json.loads(result.stdout)["folders"]["twadb"]
    assert len(find_records(folder, "twadb")) == 2


def test_simulate_writes_a_cohort(tmp_path):
    result = run(f"simulate {tmp_path}/c --n-twadb 1 --n-patient 0 --duration 10 --json")
    assert json.loads(result.stdout) == {"folder": f"{tmp_path}/c"}
    assert read_record(tmp_path / "c" / "twadb" / "twa01").duration_s == 10


def test_a_dry_run_tells_the_cost_and_writes_nothing(cohort, tmp_path):
    line = f"run reconstruction --data {cohort} --out {tmp_path}/t.csv --dry-run"
    facts = json.loads(run(f"{line} --methods closed_forms --json").stdout)
    assert facts["n_task"] == 14
    assert 0 < facts["cpu_h"] < 0.01
    assert "CPU time" in run(line).stdout
    assert list(tmp_path.iterdir()) == []


def test_run_multiverse_scores_each_member(cohort, tmp_path, monkeypatch):
    members = [multiverse.Member(model="line"), multiverse.Member(model="line", band="unfiltered")]
    monkeypatch.setattr(multiverse, "_family", lambda: members)
    result = run(f"run multiverse --data {cohort} --out {tmp_path}/m.csv --records twa01 --json")
    assert [row["band"] for row in json.loads(result.stdout)["members"]] == [
        "0.5-40 Hz",
        "unfiltered",
    ]


@pytest.mark.parametrize(
    ("study", "column"),
    [
        ("population", "r_mean"),
        ("frank", "rmse_mv"),
        ("ceiling", "floor_r"),
        ("expectation --methods least_squares", "r_expected"),
        ("placement", "noticed"),
    ],
)
def test_a_study_writes_its_table_and_manifest_and_tells_its_means(
    study, column, cohort, tmp_path
):
    result = run(f"run {study} --data {cohort} --out {tmp_path}/t.csv --json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["failed"] == []
    (rows,) = (value for name, value in told.items() if name not in ("table", "failed"))
    assert column in rows[0]
    assert len(pd.read_csv(tmp_path / "t.csv"))
    manifest = json.loads((tmp_path / "t_manifest.json").read_text())
    assert {"records", "code", "cpu_s", "versions"} <= set(manifest)


def test_run_describe_writes_both_tables(cohort, tmp_path):
    result = run(f"run describe --data {cohort} --out {tmp_path} --json")
    assert result.exit_code == 0, result.output
    described = json.loads(result.stdout)["tables"][0]
    assert len(pd.read_csv(described)) == 18


def test_book_runs_a_page(tmp_path):
    result = run("book --profile smoke --page 02_preprocessing --jobs 1")
    assert result.exit_code == 0


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


def test_run_reconstruction_writes_the_table(cohort, tmp_path):
    out = tmp_path / "t.csv"
    command = ["run", "reconstruction", "--data", str(cohort), "--out", str(out)]
    result = runner.invoke(app, [*command, "--methods", "least_squares,average_beat"])
    assert result.exit_code == 0, result.output
    header = out.read_text().splitlines()[0]
    assert header.startswith("database,record,heart,origin,input_lead,output_lead,method")


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


def test_the_version_is_told_by_the_command_and_by_the_module():
    import ecgnb

    assert run("--version").stdout == f"ecgnb {ecgnb.__version__}\n"
    line = [sys.executable, "-m", "ecgnb", "--version"]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    assert done.stdout == f"ecgnb {ecgnb.__version__}\n"


@pytest.fixture
def long_recording(files, monkeypatch):
    """The lead as a recording that counts as one of hours, and must go in blocks of 10 s."""
    for name, value in {"BLOCK_S": 10.0, "CONTEXT_S": 4.0, "_LOOKED_AT_S": 10.0}.items():
        monkeypatch.setattr(f"ecgnb.reconstruction.blocks.{name}", value)
    monkeypatch.setattr("ecgnb.records.recordings._LONG_S", 10.0)
    return files / "rec1" / "twa01"


@pytest.mark.parametrize("ending", ["", ".edf"])
def test_a_recording_of_hours_goes_through_the_command_in_blocks(
    long_recording, files, tmp_path, ending
):
    done = run(f"reconstruct {long_recording} --model {files}/model --out {tmp_path}/long{ending}")
    assert done.exit_code == 0, done.output
    assert "blocks of 5 min" in done.output
    (written,) = [*tmp_path.rglob("*.edf"), *tmp_path.rglob("*.hea")]
    assert f"the 12 leads are in {written}" in " ".join(done.output.split())
    found = read_recording(written).signals
    given = read_recording(long_recording, leads=("V2",))
    whole = reconstruct(given, load_personal(files / "model")).signals
    apart = np.abs(found[:, : whole.shape[1]] - whole)
    assert np.nanmax(apart) < 0.002  # mV: a step of what was written


@pytest.mark.parametrize("option", ["--bands", "--plot x.png", "--same-session"])
def test_what_blocks_cannot_do_is_said_before_work_begins(long_recording, files, tmp_path, option):
    words = f"reconstruct {long_recording} --model {files}/model --out {tmp_path}/long {option}"
    done = run(words)
    assert done.exit_code == 2
    assert "are for recordings up to half an hour" in " ".join(done.output.split())
    assert [*tmp_path.iterdir()] == []


def test_a_dry_run_of_hours_tells_the_cost_and_writes_nothing(long_recording, files, tmp_path):
    line = f"reconstruct {long_recording} --out {tmp_path}/long --dry-run"
    done = run(f"{line} --model {files}/model --json")
    assert done.exit_code == 0, done.output
    cost = json.loads(done.stdout)
    lasts_s = read_recording(long_recording, leads=("V2",)).duration_s
    assert cost["signal_h"] == pytest.approx(lasts_s / 3600)
    assert 0 < cost["cpu_h"] < 0.01
    assert cost["not_measured"] == []
    other = run(f"{line} --calibration {files}/rec12/twa01 --lead V2 --method best")
    assert "never measured, not counted: best" in other.output
    assert [*tmp_path.iterdir()] == []
