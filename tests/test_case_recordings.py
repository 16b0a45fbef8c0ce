"""Files as people have them, by the command line: EDF, WFDB, hospitals, and what goes out."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from ecgnb.cli.commands import app
from ecgnb.leads import LEADS, limb_lead_error
from ecgnb.records.recordings import read_recording
from ecgnb.records.wfdb_files import read_record

CASES = Path(__file__).parents[2] / "shared" / "cases"
pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="the folder of cases is absent")
runner = CliRunner()


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    out = tmp_path_factory.mktemp("model") / "m"
    line = f"fit {CASES}/00_calibration/cal --lead I --method least_squares --out {out}"
    done = runner.invoke(app, line.split())
    assert done.exit_code == 0, done.output
    return out


@pytest.fixture(scope="module")
def sound(model, tmp_path_factory):
    """The 12 leads made of the sound recording."""
    out = tmp_path_factory.mktemp("sound") / "made"
    done = make("00_calibration/rest_I.csv --sampling-rate 250", model, out)
    assert done.exit_code == 0, done.output
    return read_record(out).signals


def make(recording, model, out):
    words = f"reconstruct {CASES}/{recording} --model {model} --out {out}"
    return runner.invoke(app, words.split())


@pytest.mark.parametrize(
    "recording",
    [
        "09_missing_samples/rec.csv --sampling-rate 250",
        "13_edf_without_unit/rec.edf --unit uV",
        "14_wfdb_lead_named_ecg_i/rec",
        "14_wfdb_lead_named_ecg_i/rec.dat",
        "16_wfdb_dates/date0",
        "16_wfdb_dates/date2.hea",
    ],
)
def test_a_case_gives_the_leads_of_the_sound_recording(recording, model, sound, tmp_path):
    done = make(recording, model, tmp_path / "made")
    assert done.exit_code == 0, done.output
    made = read_record(tmp_path / "made").signals
    n_time = min(made.shape[1], sound.shape[1])
    there = np.isfinite(made[0, :n_time])
    for row, known in zip(made[:, :n_time], sound[:, :n_time], strict=True):
        assert np.corrcoef(row[there], known[there])[0, 1] > 0.988
    lost = np.isnan(made).mean(axis=1)
    assert lost == pytest.approx(0.1493 if "09" in recording else 0.0, abs=0.001)
    assert ("missing at 1.600 s for 2.000 s; 14.9 %" in done.stdout) == ("09" in recording)


@pytest.mark.parametrize(
    ("recording", "said"),
    [
        ("12_edf_lead_twice/rec.edf", "lead I twice: 'I', 'ECG I'"),
        ("13_edf_without_unit/rec.edf", "has no unit"),
        ("28_hospital_formats/ecg.xml", "GE MUSE XML"),
        ("28_hospital_formats/ecg.dcm", "DICOM"),
        ("28_hospital_formats/ecg.scp", "SCP-ECG"),
        ("28_hospital_formats/ecg.ecg", "ISHNE"),
    ],
)
def test_a_case_is_refused_with_its_reason(recording, said, model, tmp_path):
    if "28" in recording:
        pytest.importorskip("ecgdatakit")
    done = make(recording, model, tmp_path / "made")
    assert done.exit_code == 1
    assert said in done.stderr
    assert "fetch" not in done.stderr
    assert not (tmp_path / "made.hea").exists()


@pytest.mark.parametrize(
    ("name", "rate", "unit_uv"), [("muse.xml", 500, 5), ("ecg12.dcm", 1000, 1)]
)
def test_real_hospital_files_have_twelve_leads_in_mv(name, rate, unit_uv):
    pytest.importorskip("ecgdatakit")
    record = read_recording(CASES / "28_hospital_formats" / name)
    assert (record.leads, record.sampling_rate, record.duration_s) == (LEADS, rate, 10.0)
    assert 1000 * limb_lead_error(record.signals).max() <= unit_uv
    assert 0.5 < np.ptp(record.lead("II")) < 3


@pytest.mark.parametrize(("name", "lead"), [("muse.xml", "I"), ("ecg12.dcm", "II")])
def test_real_hospital_files_of_ten_seconds_calibrate_a_model(name, lead, tmp_path):
    pytest.importorskip("ecgdatakit")
    file = CASES / "28_hospital_formats" / name
    done = runner.invoke(app, f"fit {file} --lead {lead} --out {tmp_path}/m --json".split())
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["method"] == "another_day"
    assert np.median([row["r"] for row in told["expected"]]) > 0.95


@pytest.mark.parametrize(
    ("path", "seconds", "options"),
    [
        ("23_cabrera/cal.csv", "2.0", "--sampling-rate 250"),
        ("24_metadata_lines/cal.csv", "0.1", ""),
    ],
)
def test_a_table_that_is_read_right_and_too_short_to_fit_is_refused(
    path, seconds, options, tmp_path
):
    done = runner.invoke(app, f"fit {CASES}/{path} --lead I --out {tmp_path}/m {options}".split())
    assert done.exit_code == 1
    assert f"lasts {seconds} s, at least 5 s are expected" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("out", ["cal", "cal.hea", "rest", "../copy/cal"])
def test_out_that_is_the_calibration_or_the_recording_is_refused(out, tmp_path):
    folder = shutil.copytree(CASES / "00_calibration", tmp_path / "copy")
    for file in ("hea", "dat"):
        shutil.copy(CASES / "14_wfdb_lead_named_ecg_i" / f"rec.{file}", folder / f"rest.{file}")
    (folder / "rest.hea").chmod(0o600)
    (folder / "rest.hea").write_text((folder / "rest.hea").read_text().replace("rec", "rest"))
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    line = f"reconstruct {folder}/rest --calibration {folder}/cal --lead I --out {folder}/{out}"
    done = runner.invoke(app, [*line.split(), "--method", "least_squares"])
    assert done.exit_code != 0
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_two_days_of_one_name_are_both_kept(model, tmp_path):
    for day in ("d1", "d2"):
        recording = f"22_two_days_one_name/{day}/ecg.csv --sampling-rate 250"
        assert make(recording, model, tmp_path).exit_code == 0
        result = make(recording, model, tmp_path / "one")
    assert result.exit_code == 1
    first, second = (read_record(tmp_path / name) for name in ("ecg_I_12", "ecg_I_12_2"))
    assert first.signals.shape != second.signals.shape or not np.allclose(
        first.signals, second.signals, equal_nan=True
    )
    assert np.array_equal(read_record(tmp_path / "one").signals, first.signals)
