"""What goes out: never over an input or another recording's result, and nothing made up."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from ecgnb.cli.commands import app
from ecgnb.leads import LEADS
from ecgnb.reconstruction.personal import fit_personal, reconstruct
from ecgnb.records.wfdb_files import read_record, write_record
from ecgnb.signals.filters import _missing_stretches, describe_missing
from ecgnb.simulation.cohort import write_example
from ecgnb.simulation.synthesis import SimulationOptions, simulate_record

runner = CliRunner()
MODEL = "--method least_squares"


def simulate(seed, duration_s=30.0):
    options = SimulationOptions(duration_s=duration_s, patient_seed=5, sampling_rate=250.0)
    return replace(simulate_record(options, seed=seed, name="ecg").record, frank=None)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A calibration, its model, and recordings of lead I on two days under one name."""
    folder = tmp_path_factory.mktemp("source")
    write_record(replace(simulate(1), name="cal"), folder)
    for day in (1, 2):
        (folder / f"d{day}").mkdir()
        row = simulate(10 + day, 12.0).lead("I")
        pd.DataFrame({"I (mV)": row}).to_csv(folder / f"d{day}" / "ecg.csv", index=False)
    done = run(f"fit {folder}/cal --lead I {MODEL} --out {folder}/model")
    assert done.exit_code == 0, done.output
    return folder


@pytest.fixture
def files(source, tmp_path):
    return shutil.copytree(source, tmp_path / "files")


def run(line):
    return runner.invoke(app, line.split())


def digests(folder):
    return {
        path.relative_to(folder): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def make(files, out, day=1, options=""):
    recording = f"{files}/d{day}/ecg.csv --sampling-rate 250"
    return run(f"reconstruct {recording} --model {files}/model --out {out} {options}")


@pytest.mark.parametrize("spelling", ["cal", "cal.hea", "d1/../cal", "link", "hard"])
def test_out_is_never_the_calibration_however_it_is_spelt(spelling, files):
    (files / "link.hea").symlink_to(files / "cal.hea")
    os.link(files / "cal.dat", files / "hard.dat")
    before = digests(files)
    line = f"reconstruct {files}/d1/ecg.csv --sampling-rate 250 --lead I {MODEL}"
    result = run(f"{line} --calibration {files}/cal --out {files}/{spelling}")
    assert result.exit_code != 0
    assert "an input" in result.stderr or "not made of this recording" in result.stderr
    assert digests(files) == before


def test_out_is_never_the_recording(files):
    write_record(replace(simulate(20, 12.0), name="rest"), files)
    before = digests(files)
    for out in ("rest", "rest.hea", f"../{files.name}/rest"):
        result = run(f"reconstruct {files}/rest.dat --model {files}/model --out {files}/{out}")
        assert result.exit_code != 0
        assert digests(files) == before
    result = run(f"reconstruct {files}/rest --model {files}/model --out {files}/x --plot {files}/")
    assert result.exit_code == 2
    assert digests(files) == before


def test_a_picture_or_a_model_never_replaces_an_input(files):
    shutil.copy(files / "d1" / "ecg.csv", files / "ecg.png")
    (files / "cal.json").write_text("{}")
    before = digests(files)
    line = f"reconstruct {files}/ecg.png --sampling-rate 250 --model {files}/model"
    assert run(f"{line} --out {files}/x --plot {files}/ecg.png").exit_code == 2
    assert run(f"fit {files}/cal.json --lead I --out {files}/cal {MODEL}").exit_code == 2
    assert digests(files) == before


def test_another_recordings_result_is_never_replaced(files):
    assert make(files, f"{files}/made").exit_code == 0
    first = digests(files)
    result = make(files, f"{files}/made", day=2)
    assert result.exit_code == 1
    assert "was not made of this recording; nothing is replaced; choose another" in result.stderr
    assert digests(files) == first
    assert make(files, f"{files}/made").exit_code == 0
    assert digests(files) == first
    assert make(files, f"{files}/made", options="--seed 1").exit_code == 0


def test_results_in_a_folder_are_numbered_where_their_names_are_alike(files):
    out = files / "out"
    assert make(files, f"{out}/").exit_code == 0
    for _ in range(2):
        result = make(files, out, day=2)
        assert result.exit_code == 0, result.output
        assert "was made of another recording and stays" in result.stdout
    assert sorted(path.name for path in out.glob("*.hea")) == ["ecg_I_12.hea", "ecg_I_12_2.hea"]
    days = [read_record(out / name).lead("I") for name in ("ecg_I_12", "ecg_I_12_2")]
    assert not np.allclose(days[0][:1000], days[1][:1000])


def test_a_result_beside_its_table_under_the_same_stem_may_be_made_again(files):
    for _ in range(2):
        result = make(files, f"{files}/d1/ecg")
        assert result.exit_code == 0, result.output
    assert make(files, f"{files}/d1/ecg", day=2).exit_code == 1


def test_a_file_that_is_no_result_is_never_replaced(files):
    (files / "made.dat").write_bytes(b"mine")
    assert make(files, f"{files}/made").exit_code == 1
    assert (files / "made.dat").read_bytes() == b"mine"


def test_a_picture_of_another_recording_is_never_replaced(files):
    for ending in ("png", "pdf", "svg"):
        plot = files / "new" / f"a.{ending}"
        assert make(files, f"{files}/one", options=f"--plot {plot}").exit_code == 0
        before = plot.read_bytes()
        result = make(files, f"{files}/two", day=2, options=f"--plot {plot}")
        assert result.exit_code == 1
        assert "was not drawn of this recording" in result.stderr
        assert plot.read_bytes() == before
        assert make(files, f"{files}/one", options=f"--plot {plot}").exit_code == 0
    assert not (files / "two.hea").exists()


def test_a_model_of_another_calibration_is_never_replaced(files):
    write_record(replace(simulate(2), name="other"), files)
    before = digests(files)
    result = run(f"fit {files}/other --lead I {MODEL} --out {files}/model")
    assert result.exit_code == 1
    assert "is no model of this calibration" in result.stderr
    assert digests(files) == before
    assert run(f"fit {files}/cal --lead II {MODEL} --out {files}/model").exit_code == 0


@pytest.mark.parametrize("plot", ["a.jpeg", "a", "a.csv", "cal.hea/a.png", "made.dat"])
def test_endings_and_folders_are_checked_before_any_work(plot, files):
    result = make(files, f"{files}/made", options=f"--plot {files}/{plot}")
    assert result.exit_code == 2
    assert not (files / "made.hea").exists()


def test_folders_are_made_and_a_file_is_no_folder(files):
    assert make(files, f"{files}/new/deep/made").exit_code == 0
    assert (files / "new" / "deep" / "made.hea").is_file()
    result = make(files, f"{files}/cal.hea/made")
    assert result.exit_code == 2
    assert "is no folder" in result.stderr


def shut(folder, mode):
    """Take permissions away; skip where that changes nothing, as for root."""
    folder.chmod(mode)
    if os.access(folder, os.W_OK):
        pytest.skip("this user may do anything")
    return folder


def test_a_folder_without_permission_is_named_before_any_work(files):
    (files / "shut").mkdir()
    shut(files / "shut", 0o500)
    result = make(files, f"{files}/shut/made")
    assert "you may not write into" in result.stderr


@pytest.mark.parametrize("rate", [250.0, 360.0])
def test_what_is_missing_is_missing_in_all_leads_and_noted_with_place_and_length(rate, tmp_path):
    model = fit_personal(simulate(1), "I", method="least_squares")
    options = SimulationOptions(duration_s=12.0, patient_seed=5, sampling_rate=rate)
    record = simulate_record(options, seed=30).record
    signals = record.signals[:1].copy()
    for start_s, length_s in ((2.0, 1.5), (7.3, 0.2), (11.9, 0.1)):
        start = round(start_s * rate)
        signals[:, start : start + round(length_s * rate)] = np.nan
    made = reconstruct(replace(record, signals=signals, leads=("I",), name="r"), model)
    again = read_record(write_record(made, tmp_path))
    lost = np.isnan(again.signals)
    assert (lost == lost[0]).all()
    assert lost[0].mean() == pytest.approx(1.8 / 12, abs=0.002)
    times = np.arange(again.n_time) / again.sampling_rate
    assert lost[0][(times > 2.01) & (times < 3.49)].all()
    assert not lost[0][(times < 1.99) | (times > 11.0) & (times < 11.89)].any()
    said = "missing at 2.000 s for 1.500 s, 7.300 s for 0.200 s, 11.900 s for 0.100 s"
    assert any(note.startswith(said) for note in made.notes)
    assert any(comment.startswith(said) for comment in again.comments)


def test_a_whole_recording_has_no_note_of_missing_samples():
    assert describe_missing(np.zeros(10), 250.0) == ""
    assert _missing_stretches(np.full(4, np.nan)) == [(0, 4)]


def test_many_gaps_are_counted_not_listed():
    signal = np.zeros(400)
    signal[::10] = np.nan
    assert "and 28 more; 10.0 % of 1.6 s in all" in describe_missing(signal, 250.0)


def test_a_picture_is_drawn_where_the_recording_is_whole(files):
    table = pd.read_csv(files / "d1" / "ecg.csv")
    table.iloc[:250] = np.nan
    table.to_csv(files / "d1" / "ecg.csv", index=False)
    result = make(files, f"{files}/made", options=f"--plot {files}/a.png --json")
    assert result.exit_code == 0, result.output
    assert any("missing at 0.000 s for 1.000 s" in n for n in json.loads(result.stdout)["notes"])


def test_the_calibration_has_a_rate_and_a_unit_of_its_own(files, tmp_path):
    twelve = pd.DataFrame(1000 * simulate(1).signals.T, columns=list(LEADS))
    twelve.to_csv(files / "cal.csv", index=False)
    options = SimulationOptions(duration_s=12.0, patient_seed=5, sampling_rate=500.0)
    later = simulate_record(options, seed=11).record
    pd.DataFrame({"I": later.lead("I")}).to_csv(files / "later.csv", index=False)
    line = f"reconstruct {files}/later.csv --calibration {files}/cal.csv --lead I {MODEL}"
    own = "--sampling-rate 500 --unit mV --calibration-rate 250 --calibration-unit uV"
    result = run(f"{line} {own} --out {tmp_path}/a")
    assert result.exit_code == 0, result.output
    made = read_record(tmp_path / "a")
    assert np.corrcoef(made.lead("V5"), later.lead("V5")[::2])[0, 1] > 0.9
    result = run(f"{line} --sampling-rate 500 --unit mV --out {tmp_path}/b")
    assert result.exit_code == 1


def test_what_is_said_of_the_recording_holds_for_a_silent_calibration_too(files, tmp_path):
    twelve = pd.DataFrame(1000 * simulate(1).signals.T, columns=list(LEADS))
    twelve.to_csv(files / "cal.csv", index=False)
    row = 1000 * simulate(11, 12.0).lead("I")
    pd.DataFrame({"I": row}).to_csv(files / "later.csv", index=False)
    line = f"reconstruct {files}/later.csv --calibration {files}/cal.csv --lead I {MODEL}"
    result = run(f"{line} --sampling-rate 250 --unit uV --out {tmp_path}/a")
    assert result.exit_code == 0, result.output
    result = run(f"{line} --unit uV --out {tmp_path}/b")
    assert "--sampling-rate" in result.stderr


def test_a_calibration_is_asked_for_its_own_options(files, tmp_path):
    twelve = pd.DataFrame(simulate(1).signals.T, columns=list(LEADS))
    twelve.to_csv(files / "cal.csv", index=False)
    line = f"reconstruct {files}/cal --calibration {files}/cal.csv --lead I {MODEL}"
    result = run(f"{line} --out {tmp_path}/a")
    assert "--calibration-rate" in result.stderr


def test_check_names_what_it_could_not_read_and_prints_no_empty_table(files):
    (files / "gone").symlink_to(files / "nowhere")
    (files / "elsewhere").symlink_to(files.parent)
    result = run(f"check {files}")
    assert result.exit_code == 1
    assert "gone: a link that leads nowhere" in result.stdout
    assert "elsewhere is a link to a folder: not followed" in result.stdout
    for name in ("cal.dat", "gone"):
        (files / name).unlink()
    result = run(f"check {files}")
    assert "0 records can be used, 1 cannot" in result.stdout
    assert "Empty" not in result.stdout


def test_check_names_a_folder_without_permission(files):
    shut(files / "d1", 0)
    result = run(f"check {files}")
    (files / "d1").chmod(0o700)
    assert result.exit_code == 1
    assert "d1: Permission denied" in result.stdout


def test_an_example_is_a_pair_that_its_own_command_runs_on(tmp_path):
    result = run(f"example {tmp_path}/try --json")
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)
    for file in (Path(facts["calibration"]), Path(facts["recording"])):
        assert "Simulated by ecgnb" in file.read_text(encoding="utf-8")
    done = runner.invoke(app, facts["command"].split()[1:])
    assert done.exit_code == 0, done.output
    assert read_record(tmp_path / "try" / "twelve").duration_s == pytest.approx(30.0, abs=0.1)
    assert (tmp_path / "try" / "twelve.png").is_file()


def test_an_example_is_the_same_again_and_replaces_nothing_of_yours(tmp_path):
    first = write_example(tmp_path)
    content = digests(tmp_path)
    assert write_example(tmp_path) == first
    assert digests(tmp_path) == content
    first.recording.write_text("mine\n")
    result = run(f"example {tmp_path}")
    assert result.exit_code == 1
    assert "was not simulated" in result.stderr
    assert first.recording.read_text() == "mine\n"
