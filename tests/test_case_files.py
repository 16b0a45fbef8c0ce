"""Files as people have them, by the command line: the right answer or a refusal that says why.

The files lie outside the repository; each property is rebuilt from simulated data in
`test_tables.py` and `test_watches.py`.
"""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from ecgnb.cli.commands import app
from ecgnb.reconstruction.scores import score_leads
from ecgnb.records.recordings import read_recording
from ecgnb.records.wfdb_files import read_record

CASES = Path(__file__).resolve().parents[2] / "shared" / "cases"
if not CASES.is_dir():
    pytest.skip("no case files: ../shared/cases is absent", allow_module_level=True)

runner = CliRunner()


def run(*words):
    return runner.invoke(app, [str(word) for word in words])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a kept model of the calibration and what it makes of the sound recording."""
    folder = tmp_path_factory.mktemp("cases")
    calibration = CASES / "00_calibration" / "cal.hea"
    for lead in ("I", "V4"):
        words = ("fit", calibration, "--lead", lead, "--method", "average_beat_ridge")
        done = run(*words, "--out", folder / lead)
        assert done.exit_code == 0, done.output
    done = reconstruct(folder, "00_calibration/rest_I.csv", "sound", "--sampling-rate", 250)
    assert done.exit_code == 0, done.output
    return folder


def reconstruct(folder, case, name, *options, lead="I"):
    words = ("reconstruct", CASES / case, "--model", folder / lead, "--out", folder / name)
    return run(*words, *options)


AT_250 = ("--sampling-rate", 250)
SAME = (
    ("01_apple_watch_en/ecg.csv", ()),
    ("02_apple_watch_decimal_comma/ecg.csv", ()),
    (
        "05_channel_and_unit/rec.csv",
        ("--channel", "value", "--unit", "uV", "--sampling-rate", 250),
    ),
    ("05_channel_and_unit/rec.csv", ("--unit", "uV", "--sampling-rate", 250)),
    ("06_polar_sensor_logger/polar.csv", ()),
    ("06_polar_sensor_logger/polar.txt", ()),
    ("06_polar_sensor_logger/polar_commas.csv", ()),
    ("11_time_column_contradicts_rate/rec.csv", ()),
    ("25_latin1_and_utf16/latin1.csv", AT_250),
    ("25_latin1_and_utf16/utf16.csv", AT_250),
    ("26_semicolons/rec.csv", ()),
)


@pytest.mark.parametrize(("case", "options"), SAME)
def test_a_file_gives_the_twelve_leads_of_the_sound_recording(case, options, folder, tmp_path):
    done = reconstruct(folder, case, tmp_path / "made", *options)
    assert done.exit_code == 0, done.output
    made, sound = read_record(tmp_path / "made.hea"), read_record(folder / "sound.hea")
    assert abs(made.n_time - sound.n_time) <= 2
    n_time = min(made.n_time, sound.n_time)
    scores = score_leads(sound.signals[:, :n_time], made.signals[:, :n_time], "I")
    assert scores["r"].min() > 0.985
    assert np.ptp(made.lead("I")) == pytest.approx(np.ptp(sound.lead("I")), rel=0.02)


def test_the_numbers_of_the_watches_are_in_mv(folder):
    for case in ("01_apple_watch_en", "02_apple_watch_decimal_comma"):
        record = read_recording(CASES / case / "ecg.csv", leads=("I",))
        assert record.signals[0, 0] == pytest.approx(0.097755)
        assert record.sampling_rate == 512
    record = read_recording(CASES / "06_polar_sensor_logger" / "polar.txt", leads=("I",))
    assert (record.n_time, record.sampling_rate) == (1742, 130)
    done = reconstruct(folder, "05_channel_and_unit/rec.csv", "x", "--sampling-rate", 250)
    assert done.exit_code == 1
    assert "--unit" in done.stderr


def test_a_separator_at_the_end_of_rows_leaves_each_lead_its_name(folder):
    case = "04_trailing_comma/rec.csv"
    lines = (CASES / case).read_text().splitlines()[1:]
    record = read_recording(CASES / case, leads=("V4", "V5"), sampling_rate=250)
    columns = np.array([line.split(",")[:2] for line in lines], dtype=float)
    np.testing.assert_allclose(record.signals, columns.T, atol=1e-6)
    done = reconstruct(folder, case, "v4", "--sampling-rate", 250, lead="V4")
    assert done.exit_code == 0, done.output
    assert np.ptp(read_record(folder / "v4.hea").lead("V4")) > 1.5  # V5 has 0.9 mV


def test_lost_packets_are_counted_and_told(folder):
    case = "07_time_column_with_gaps/rec.csv"
    record = read_recording(CASES / case, leads=("I",))
    assert (record.n_time, int(np.isnan(record.signals).sum())) == (3350, 420)
    done = reconstruct(folder, case, "gaps")
    assert done.exit_code == 0, done.output
    assert "420 samples are missing in 3 gaps" in done.output


def test_a_contradicted_rate_is_refused(folder):
    case = "11_time_column_contradicts_rate/rec.csv"
    done = reconstruct(folder, case, "x", "--sampling-rate", 250)
    assert done.exit_code == 1
    assert "300 Hz, not 250 Hz" in done.stderr
    assert read_recording(CASES / case, leads=("I",)).sampling_rate == 300


def test_the_order_of_cabrera_is_read_and_its_sign_turned(folder):
    path = CASES / "23_cabrera" / "cal.csv"
    record = read_recording(path, sampling_rate=250)
    names = path.read_text().splitlines()[0].split(",")
    columns = np.loadtxt(path, delimiter=",", skiprows=1)
    turned = -columns[:, names.index("-aVR")]
    np.testing.assert_allclose(record.lead("aVR"), turned, atol=1e-6)
    done = run("fit", path, "--lead", "I", "--sampling-rate", 250, "--out", folder / "short")
    assert "aVR" not in done.stderr  # two seconds are too short for a fit, and only that is said
    assert done.exit_code == 1


def test_rate_and_gain_above_the_names_are_used():
    record = read_recording(CASES / "24_metadata_lines" / "cal.csv")
    assert (record.sampling_rate, record.n_time) == (500, 57)
    assert record.lead("I")[0] == pytest.approx(50 / 2048)
