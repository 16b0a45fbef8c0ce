"""Files of watches and straps, rebuilt from a known signal, read without options."""

import json

import numpy as np
import pandas as pd
import pytest

from ecgnb.records.record import RecordError
from ecgnb.records.recordings import read_recording

SIGNAL = np.round(np.random.default_rng(4).normal(0, 0.3, 3000), 6)  # mV

# The words of a phone's language for what Apple writes above the numbers.
APPLE = {
    "English": "Name|Date of Birth|Recorded Date|Classification,Sinus Rhythm|Symptoms|"
    "Software Version|Device|Sample Rate,512 hertz|Lead,Lead I|Unit",
    "German": "Name|Geburtstag|Aufzeichnungsdatum|Klassifizierung,Sinusrhythmus|Symptome|"
    "Softwareversion|Gerät|Messrate,512 Hertz|Ableitung,Ableitung I|Einheit",
    "French": "Nom|Date de naissance|Date d'enregistrement|Classification,Rythme sinusal|"
    "Symptômes|Version du logiciel|Appareil|Fréquence d'échantillonnage,512 hertz|"
    "Dérivation,Dérivation I|Unité",
    "Japanese": "名前|生年月日|記録日|分類,洞調律|症状|ソフトウェアバージョン|デバイス|"
    "サンプルレート,512ヘルツ|誘導,第I誘導|単位",
    "Danish": "Navn|Fødselsdag|Dato|Klassificering,Sinusrytme|Symptomer|Softwareversion|Enhed|"
    "Samplingfrekvens,512 hertz|Afledning,Afledning I|Enhed",
}


def apple(path, language="English", decimal=".", rate="512", encoding="utf-8"):
    """Write what the export of Apple Health has below `electrocardiograms`."""
    head = []
    for word in APPLE[language].split("|"):
        name, _, value = word.partition(",")
        value = value.replace("512", rate)
        head.append(f'{name},"{value}"' if "," in value or not value else f"{name},{value}")
    head[-1] = head[-1].split(",")[0] + ",µV"
    head.insert(-2, "\n")
    numbers = [f"{1000 * value:.3f}".replace(".", decimal) for value in SIGNAL]
    path.write_bytes("\n".join([*head, "", *numbers, ""]).encode(encoding))
    return path


def assert_lead_one(record, rate=512.0, atol=1e-6):
    assert record.leads == ("I",)
    assert record.sampling_rate == pytest.approx(rate)
    np.testing.assert_allclose(record.signals[0], SIGNAL, atol=atol)


@pytest.mark.parametrize("language", APPLE)
@pytest.mark.parametrize("decimal", [".", ","])
def test_an_apple_watch_is_read_in_any_language(language, decimal, tmp_path):
    assert_lead_one(read_recording(apple(tmp_path / "ecg.csv", language, decimal), leads=("I",)))


@pytest.mark.parametrize(("rate", "hertz"), [("512.844", 512.844), ("511,9", 511.9)])
def test_the_rate_of_an_apple_watch_is_the_one_in_its_head(rate, hertz, tmp_path):
    path = apple(tmp_path / "ecg.csv", rate=rate)
    assert_lead_one(read_recording(path, leads=("I",)), hertz)
    with pytest.raises(RecordError, match="contradict"):
        read_recording(path, leads=("I",), sampling_rate=500)


def test_an_apple_file_saved_again_in_another_encoding_is_read(tmp_path):
    path = apple(tmp_path / "ecg.csv", "German", ",", encoding="utf-16")
    assert_lead_one(read_recording(path, leads=("I",)))
    path = apple(tmp_path / "ecg.txt", "German", ",", encoding="latin-1")
    assert_lead_one(read_recording(path, leads=("I",)))


def test_a_watch_is_lead_one_unless_the_caller_says_where_it_was_held(tmp_path):
    path = apple(tmp_path / "ecg.csv")
    with pytest.raises(RecordError, match="no lead V2; found: Lead I"):
        read_recording(path, leads=("V2",))
    record = read_recording(path, leads=("V2",), channel="Lead I")
    np.testing.assert_allclose(record.signals[0], SIGNAL, atol=1e-6)


def test_text_in_an_apple_file_is_refused_with_its_line(tmp_path):
    path = apple(tmp_path / "ecg.csv")
    lines = path.read_text(encoding="utf-8").splitlines()
    lines[900] = "oops"
    path.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(RecordError, match="line 901"):
        read_recording(path, leads=("I",))


def polar(path, samples=None, separator=";"):
    """Write what Polar Sensor Logger writes for an H10."""
    samples = np.arange(SIGNAL.size) if samples is None else samples
    start = pd.Timestamp("2026-07-26T23:59:55.765")
    stamps = start + pd.to_timedelta(samples / 130, unit="s")
    columns = {
        "Phone timestamp": [stamp.isoformat(timespec="milliseconds") for stamp in stamps],
        "sensor timestamp [ns]": 838432586543515816 + np.round(1e9 * samples / 130).astype(int),
        "timestamp [ms]": [f"{1000 * sample / 130:.6f}" for sample in samples],
        "ecg [uV]": np.round(1000 * SIGNAL[samples]).astype(int),
    }
    pd.DataFrame(columns).to_csv(path, index=False, sep=separator)
    return path


@pytest.mark.parametrize("name", ["a.txt", "a.csv"])
@pytest.mark.parametrize("separator", [";", ",", "\t"])
def test_a_polar_strap_is_read_with_its_rate(name, separator, tmp_path):
    record = read_recording(polar(tmp_path / name, separator=separator), leads=("I",))
    assert_lead_one(record, 130.0, atol=6e-4)


def test_lost_packets_of_a_polar_strap_are_missing_samples(tmp_path):
    samples = np.r_[0:730, 803:3000]
    record = read_recording(polar(tmp_path / "a.txt", samples), leads=("I",))
    assert record.n_time == 3000
    assert np.flatnonzero(np.isnan(record.signals[0])).tolist() == list(range(730, 803))
    assert "73 samples are missing in 1 gap" in record.notes[-1]


def test_a_polar_strap_elsewhere_is_named_by_its_channel(tmp_path):
    path = polar(tmp_path / "a.txt")
    with pytest.raises(RecordError, match="lead I, not V2"):
        read_recording(path, leads=("V2",))
    record = read_recording(path, leads=("V2",), channel="ecg")
    np.testing.assert_allclose(record.signals[0], SIGNAL, atol=6e-4)


def test_a_column_of_points_needs_a_rate_and_says_so(tmp_path):
    table = pd.DataFrame({"point": np.arange(1, 3001), "value": SIGNAL})
    table.to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(RecordError, match="--sampling-rate"):
        read_recording(tmp_path / "a.csv", leads=("I",))
    record = read_recording(tmp_path / "a.csv", leads=("I",), sampling_rate=250)
    assert_lead_one(record, 250.0)


def save_json(path, document):
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def kardia(**changes):
    digits = np.round(SIGNAL * 2000).astype(int).tolist()
    samples = {"leadI": digits, "leadII": digits[::-1], "AVR": digits}
    raw = {"frequency": 300, "mainsFrequency": 50, "samples": samples, "amplitudeResolution": 500}
    enhanced = raw | {"samples": {"leadI": [0] * 3000}}
    return {"id": "x", "duration": 10000, "data": {"raw": raw | changes, "enhanced": enhanced}}


def test_a_kardia_file_is_read_raw_in_its_own_resolution(tmp_path):
    path = save_json(tmp_path / "a.json", kardia())
    assert_lead_one(read_recording(path, leads=("I",)), 300.0, atol=3e-4)
    two = read_recording(path, leads=("I", "II"))
    np.testing.assert_array_equal(two.signals[1], two.signals[0, ::-1])
    assert "raw" in two.notes[0]


@pytest.mark.parametrize(
    "changes",
    [
        {"frequency": 0},
        {"frequency": "300"},
        {"amplitudeResolution": None},
        {"samples": {"leadI": [1, "2"]}},
        {"samples": {"leadI": []}},
        {"samples": []},
    ],
)
def test_a_damaged_kardia_file_is_refused(changes, tmp_path):
    with pytest.raises(RecordError, match=r"without a sound|no lead"):
        read_recording(save_json(tmp_path / "a.json", kardia(**changes)), leads=("I",))


def withings_json():
    signal = np.round(1000 * SIGNAL).astype(int).tolist()
    return {"status": 0, "body": {"signal": signal, "sampling_frequency": 500, "wearposition": 1}}


def fitbit_json():
    samples = np.round(10922 * SIGNAL).astype(int).tolist()
    reading = {"waveformSamples": samples, "samplingFrequencyHz": 250, "scalingFactor": 10922}
    return {"ecgReadings": [reading | {"leadNumber": 1}]}


def health_export_json():
    samples = [{"voltage": 1000 * value, "units": "mcV", "date": 1.0} for value in SIGNAL]
    return {"data": {"ecg": [{"voltageMeasurements": samples, "samplingFrequency": 512.617}]}}


@pytest.mark.parametrize(
    ("write", "rate"), [(withings_json, 500), (fitbit_json, 250), (health_export_json, 512.617)]
)
def test_the_json_of_other_watches_is_read(write, rate, tmp_path):
    path = save_json(tmp_path / "a.json", write())
    assert_lead_one(read_recording(path, leads=("I",)), rate, atol=6e-4)


def test_a_json_file_of_several_recordings_or_of_none_is_refused(tmp_path):
    readings = fitbit_json()["ecgReadings"]
    path = save_json(tmp_path / "a.json", {"ecgReadings": readings * 2})
    with pytest.raises(RecordError, match="2 recordings"):
        read_recording(path, leads=("I",))
    with pytest.raises(RecordError, match="unknown layout"):
        read_recording(save_json(tmp_path / "b.json", {"a": [1, 2]}), leads=("I",))
    (tmp_path / "c.json").write_text('{"a": [')
    with pytest.raises(RecordError, match="no JSON"):
        read_recording(tmp_path / "c.json", leads=("I",))
    (tmp_path / "d.json").write_text("[" * 100_000)
    with pytest.raises(RecordError, match="no JSON"):
        read_recording(tmp_path / "d.json", leads=("I",))


@pytest.mark.parametrize(("worn", "factor"), [(1, 1000), (3, 1)])
def test_the_signal_csv_of_withings_is_in_the_unit_of_its_device(worn, factor, tmp_path):
    values = [round(factor * value, 3) for value in SIGNAL.tolist()]
    row = f'2024-01-01T10:00:00+01:00,500,6,{worn},"{json.dumps(values)}"\n'
    names = "date,frequency,duration,wear position,signal\n"
    (tmp_path / "signal.csv").write_text(names + row)
    record = read_recording(tmp_path / "signal.csv", leads=("I",))
    assert_lead_one(record, 500, atol=6e-4)
    (tmp_path / "signal.csv").write_text(names + row + row)
    with pytest.raises(RecordError, match="2 recordings"):
        read_recording(tmp_path / "signal.csv", leads=("I",))


def test_a_null_in_a_json_file_is_a_missing_sample(tmp_path):
    document = withings_json()
    document["body"]["signal"][7] = None
    record = read_recording(save_json(tmp_path / "a.json", document), leads=("I",))
    assert np.flatnonzero(np.isnan(record.signals[0])).tolist() == [7]
