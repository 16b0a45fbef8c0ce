"""Tables as programs and devices export them, rebuilt from known signals."""

import csv
import io

import numpy as np
import pandas as pd
import pytest

from ecgnb.leads import LEADS
from ecgnb.records.formats.names import known_leads, lead_of, parse_renamed, pick, signed_lead
from ecgnb.records.record import RecordError
from ecgnb.records.recordings import read_recording

RATE = 250
N_TIME = 500
SIGNALS = np.round(np.random.default_rng(3).normal(0, 0.5, (12, N_TIME)), 3)
TIMES = np.arange(N_TIME) / RATE


def read(path, leads=LEADS, **options):
    """Return the signals of a table, by the reader that everything goes through."""
    return read_recording(path, leads=leads, **options)


def save(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


def frame(names=LEADS, factor=1.0):
    return pd.DataFrame(SIGNALS[: len(names)].T * factor, columns=list(names))


def assert_signals(record, n_lead=12, atol=6e-4):
    assert record.sampling_rate == RATE
    np.testing.assert_allclose(record.signals, SIGNALS[:n_lead], atol=atol)


# --- exports that many people have --------------------------------------------------------------


def excel_german(path):
    table = frame([f"{lead} (µV)" for lead in LEADS], 1000.0)
    table.insert(0, "Zeit", TIMES)
    return save(path, table.to_csv(index=False, sep=";", decimal=",", lineterminator="\r\n"))


def excel_with_separator_line(path):
    table = frame()
    table.insert(0, "time [ms]", 1000 * TIMES)
    text = "sep=;\r\n" + table.to_csv(index=False, sep=";", lineterminator="\r\n")
    return save(path, text, "cp1252")


def excel_unicode_text(path):
    table = frame()
    table.insert(0, "t", TIMES)
    return save(path, table.to_csv(index=False, sep="\t", decimal=","), "utf-16")


def rows_in_quotes(path):
    table = frame()
    table.insert(0, "time", TIMES)
    lines = table.to_csv(index=False).splitlines()
    return save(path, "\r\n".join(f'"{line}"' for line in lines) + "\r\n")


def r_write_csv(path):
    table = frame().set_index(np.arange(1, N_TIME + 1).astype(str))
    table.insert(0, "time", TIMES)
    return save(path, table.to_csv(quoting=csv.QUOTE_NONNUMERIC, index_label=""))


def r_write_table(path):
    table = frame().set_index(np.arange(1, N_TIME + 1).astype(str))
    table.insert(0, "seconds", TIMES)
    text = table.to_csv(quoting=csv.QUOTE_NONNUMERIC, sep=" ", index_label="")
    return save(path, text.removeprefix('"" '))


def numpy_savetxt(path):
    header = ",".join(("time", *LEADS))
    np.savetxt(path, np.c_[TIMES, SIGNALS.T], delimiter=",", header=header)
    return path


def physionet_csv(path):
    names = ",".join(f"'{name}'" for name in ("sample interval", *LEADS))
    units = ",".join(f"'{unit}'" for unit in ("0.004 sec", *["mV"] * 12))
    rows = [",".join(f"{v:.3f}" for v in row) for row in SIGNALS.T]
    rows = [f"{at},{row}" for at, row in enumerate(rows)]
    return save(path, "\n".join([names, units, *rows]) + "\n")


def rdsamp_with_clock(path):
    names = ",".join(f"'{name}'" for name in ("Elapsed time", *LEADS))
    units = ",".join(f"'{unit}'" for unit in ("hh:mm:ss.mmm", *["mV"] * 12))
    rows = [",".join(f"{v:.3f}" for v in row) for row in SIGNALS.T]
    stamps = [f"'0:{time:06.3f}'" for time in TIMES]
    return save(path, "\n".join([names, units, *map(",".join, zip(stamps, rows, strict=True))]))


def rdsamp_in_columns(path):
    names = "".join(f"{name:>9}" for name in ("time", *LEADS))
    units = "".join(f"{unit:>9}" for unit in ("(sec)", *["(mV)"] * 12))
    rows = ["".join(f"{v:9.3f}" for v in row) for row in np.c_[TIMES, SIGNALS.T]]
    return save(path, "\n".join([names, units, *rows]) + "\n")


def holter_with_dates(path):
    stamps = pd.Timestamp("2024-02-29 23:59:59.5") + pd.to_timedelta(TIMES, unit="s")
    table = frame([f"ECG_{lead}" for lead in LEADS])
    table.insert(0, "Date/Time", stamps.strftime("%d/%m/%Y %H:%M:%S.%f").str[:-3])
    head = "Patient ID: 0\nDevice: X\nStart: 29/02/2024 23:59:59\nHeart rate: 60 bpm\n\n"
    return save(path, head + table.to_csv(index=False))


def holter_with_date_and_time(path):
    stamps = pd.Timestamp("2024-03-01 10:00:00") + pd.to_timedelta(TIMES, unit="s")
    table = frame()
    table.insert(0, "Time", stamps.strftime("%H:%M:%S.%f").str[:-3])
    table.insert(0, "Date", stamps.strftime("%Y-%m-%d"))
    return save(path, table.to_csv(index=False, sep="\t"))


def labchart_text(path):
    head = "Interval=\t0.004 s\nExcelDateTime=\t4,4e4\nTimeFormat=\tStartOfBlock\n"
    names = "\t".join(("ChannelTitle=", *LEADS)) + "\n" + "\t".join(("Range=", *["10 mV"] * 12))
    rows = ["\t".join(f"{v:.3f}" for v in row) for row in np.c_[TIMES, SIGNALS.T]]
    return save(path, "\r\n".join([head.rstrip(), names, *rows]))


def digits_with_gain(path):
    head = "Sampling Rate (Hz): 250\nGain (digit/millivolt): 1000\n"
    return save(path, head + (frame() * 1000).round().astype(int).to_csv(index=False))


def python_rows_on_windows(path):
    table = frame()
    table.insert(0, "timestamp", 1.7e9 + TIMES)
    return save(path, table.to_csv(index=False, lineterminator="\r\r\n"))


def matlab_timetable(path):
    table = frame()
    table.insert(0, "Time", [f"{time:g} sec" for time in TIMES])
    return save(path, table.to_csv(index=False))


EXPORTS = (
    *(excel_german, excel_with_separator_line, excel_unicode_text, rows_in_quotes),
    *(r_write_csv, r_write_table, numpy_savetxt, physionet_csv, rdsamp_with_clock),
    *(rdsamp_in_columns, holter_with_dates, holter_with_date_and_time, labchart_text),
    *(digits_with_gain, python_rows_on_windows, matlab_timetable),
)


@pytest.mark.parametrize("export", EXPORTS, ids=lambda export: export.__name__)
def test_an_export_is_read_without_options(export, tmp_path):
    assert_signals(read(export(tmp_path / "a.csv")))


@pytest.mark.parametrize("suffix", ["txt", "tsv", "asc", "log", ""])
def test_a_table_is_known_by_its_content_not_by_its_ending(suffix, tmp_path):
    assert_signals(read(excel_german(tmp_path / f"a.{suffix}")))


# --- encodings, separators, decimal signs: what is written comes back ---------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("separator", [",.", ";,", "\t,", "|.", ";."])
def test_every_dialect_comes_back_within_a_digital_unit(encoding, separator, tmp_path):
    text = frame([f"{lead} [uV]" for lead in LEADS], 1000.0).to_csv(
        index=False, sep=separator[0], decimal=separator[1]
    )
    record = read(save(tmp_path / "a.csv", text, encoding), sampling_rate=RATE)
    assert_signals(record, atol=1e-6)


def test_latin_1_names_its_micro_sign(tmp_path):
    text = frame(["I (µV)"], 1000.0).to_csv(index=False)
    record = read(save(tmp_path / "a.csv", text, "latin-1"), ("I",), sampling_rate=RATE)
    assert_signals(record, 1)


@pytest.mark.parametrize(
    "rows",
    [
        ["1.138", "945", "-2.301"],  # points may part thousands
        ["1,138", "945", "-2,301"],  # commas may
        ["1.234,5", "2.345,6", "0,1"],  # points do
        ["1.234.567", "2.345.678", "0"],
        ["0.5", "0,6", "0.7"],
    ],
)
def test_numbers_that_may_have_thousands_separators_are_refused(rows, tmp_path):
    path = save(tmp_path / "a.csv", "I;II\n" + "".join(f"{row};0\n" for row in rows * 9))
    with pytest.raises(RecordError, match=r"thousands|no number"):
        read(path, ("I",), sampling_rate=RATE, unit="uV")


def test_a_comma_that_may_separate_or_be_decimal_is_refused(tmp_path):
    rows = [f"{row + 1},{abs(row * 37) % 900 + 100}" for row in range(90)]
    path = save(tmp_path / "a.csv", "\n".join(["I", *rows]))
    with pytest.raises(RecordError, match="commas may separate"):
        read(path, ("I",), sampling_rate=RATE, unit="uV")


# --- fields of a row ----------------------------------------------------------------------------


@pytest.mark.parametrize("in_header", [False, True])
def test_a_separator_at_the_end_of_every_row_is_no_column(in_header, tmp_path):
    lines = frame(("V4", "V5", "V6")).to_csv(index=False).splitlines()
    lines = [line + "," if at or in_header else line for at, line in enumerate(lines)]
    record = read(save(tmp_path / "a.csv", "\n".join(lines)), ("V4",), sampling_rate=RATE)
    assert_signals(record, 1)


@pytest.mark.parametrize("change", ["one more", "one less", "empty end", "open quote"])
def test_a_row_with_another_number_of_fields_is_refused_with_its_line(change, tmp_path):
    lines = frame(("I", "II", "V2")).to_csv(index=False).splitlines()
    fields = lines[300].split(",")
    lines[300] = {
        "one more": ",".join(["0", *fields]),
        "one less": ",".join(fields[1:]),
        "empty end": ",".join([*fields, ""]),
        "open quote": '"' + lines[300],
    }[change]
    path = save(tmp_path / "a.csv", "\n".join([*lines, *lines[1:] * 40]))
    with pytest.raises(RecordError, match="line 301"):
        read(path, ("I",), sampling_rate=RATE)


def test_numbers_below_no_name_are_refused(tmp_path):
    lines = ["time,I,", *(f"{at},0,{abs(v) * 1000:03.0f}," for at, v in enumerate(SIGNALS[0]))]
    with pytest.raises(RecordError, match="fields"):
        read(save(tmp_path / "a.csv", "\n".join(lines)), ("I",), sampling_rate=RATE)


@pytest.mark.parametrize("text", ["abc", "0.5 mV", "12a", "0x10", "1_0", "1 000"])
def test_text_among_numbers_is_refused_with_its_line(text, tmp_path):
    lines = frame(("I",)).to_csv(index=False).splitlines()
    lines[300] = text
    with pytest.raises(RecordError, match="line 301"):
        read(save(tmp_path / "a.csv", "\n".join(lines)), ("I",), sampling_rate=RATE)


@pytest.mark.parametrize("mark", ["", "NaN", "NA", "null", "-", "#N/A", "#NV", "inf", "?"])
def test_a_mark_for_a_missing_sample_is_missing(mark, tmp_path):
    lines = frame(("I", "II")).to_csv(index=False).splitlines()
    lines[300] = f"{mark},0.5"
    record = read(save(tmp_path / "a.csv", "\n".join(lines)), ("I", "II"), sampling_rate=RATE)
    assert np.flatnonzero(np.isnan(record.signals[0])).tolist() == [299]
    assert record.signals[1, 299] == 0.5


def test_a_blank_line_is_a_missing_sample_and_joins_nothing(tmp_path):
    lines = frame(("I",)).to_csv(index=False).splitlines()
    lines[300:310] = [""] * 10
    record = read(save(tmp_path / "a.csv", "\n".join(lines) + "\n\n"), ("I",), sampling_rate=RATE)
    assert record.n_time == N_TIME
    assert np.flatnonzero(np.isnan(record.signals[0])).tolist() == list(range(299, 309))


@pytest.mark.parametrize("kind", ["before the first number", "every second line"])
def test_blank_lines_that_may_be_nothing_are_refused(kind, tmp_path):
    lines = frame(("I",)).to_csv(index=False).splitlines()
    text = "\n".join([lines[0], "", *lines[1:]]) if "first" in kind else "\n\n".join(lines)
    with pytest.raises(RecordError, match="blank lines"):
        read(save(tmp_path / "a.csv", text), ("I",), sampling_rate=RATE)


@pytest.mark.parametrize("mark", ["#", "%", "//"])
def test_comment_lines_are_no_samples(mark, tmp_path):
    lines = frame(("I", "II")).to_csv(index=False).splitlines()
    lines.insert(0, f"{mark} exported, by hand")
    lines.insert(300, f"{mark} I, II")
    record = read(save(tmp_path / "a.csv", "\n".join(lines)), ("I", "II"), sampling_rate=RATE)
    assert_signals(record, 2)


def test_two_tables_in_one_file_are_refused(tmp_path):
    text = frame(("I", "II")).to_csv(index=False)
    with pytest.raises(RecordError, match=r"joined|no number"):
        read(save(tmp_path / "a.csv", text + text), ("I", "II"), sampling_rate=RATE)
    short = "\n".join(text.splitlines()[:20]) + "\n"
    with pytest.raises(RecordError, match="joined"):
        read(save(tmp_path / "b.csv", short + short), ("I", "II"), sampling_rate=RATE)


def test_one_column_without_a_name_is_the_lead_the_caller_names(tmp_path):
    np.savetxt(tmp_path / "a.csv", SIGNALS[0], fmt="%.3f")
    record = read(tmp_path / "a.csv", ("V2",), sampling_rate=RATE)
    assert_signals(record, 1)
    assert "taken as lead V2" in record.notes[0]
    with pytest.raises(RecordError, match="first line of numbers"):
        read(tmp_path / "a.csv", ("I", "II"), sampling_rate=RATE)
    np.savetxt(tmp_path / "b.csv", SIGNALS[:2].T, fmt="%.3f", delimiter=",")
    with pytest.raises(RecordError, match="first line of numbers"):
        read(tmp_path / "b.csv", ("V2",), sampling_rate=RATE)


def test_a_table_lies_where_its_leads_are_rows(tmp_path):
    text = "\n".join(
        ",".join([lead, *map(str, row)]) for lead, row in zip(LEADS, SIGNALS, strict=True)
    )
    with pytest.raises(RecordError, match=r"columns|numbers"):
        read(save(tmp_path / "a.csv", text), sampling_rate=RATE)


# --- units --------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", ["name", "row", "row above", "head", "option", "tail"])
@pytest.mark.parametrize(("unit", "factor"), [("uV", 1e3), ("μV", 1e3), ("V", 1e-3), ("MV", 1.0)])
def test_a_unit_is_taken_from_where_it_stands(at, unit, factor, tmp_path):
    if (at, unit) == ("tail", "V"):
        pytest.skip("I_V is no name with a unit: it may as well be a name")
    styles = {"name": f"I ({unit})", "tail": f"I_{unit}"}
    lines = frame([styles.get(at, "I")], factor).to_csv(index=False).splitlines()
    if at in {"row", "row above"}:
        lines.insert(1 if at == "row" else 0, unit)
    if at == "head":
        lines.insert(0, f"Unit: {unit}")
    options = {"unit": unit} if at == "option" else {}
    path = save(tmp_path / "a.csv", "\n".join(lines))
    record = read(path, ("I",), sampling_rate=RATE, **options)
    assert_signals(record, 1)


def test_a_unit_holds_for_a_channel_too(tmp_path):
    table = pd.DataFrame({"point": np.arange(1, N_TIME + 1), "value": 1000 * SIGNALS[0]})
    path = save(tmp_path / "a.csv", table.to_csv(index=False))
    record = read(path, ("V2",), sampling_rate=RATE, channel="value", unit="uV")
    assert_signals(record, 1)


def test_where_file_and_caller_differ_in_the_unit_the_file_wins_and_says_so(tmp_path):
    path = save(tmp_path / "a.csv", frame(["I (uV)"], 1000.0).to_csv(index=False))
    record = read(path, ("I",), sampling_rate=RATE, unit="mV")
    assert_signals(record, 1)
    assert record.notes == ("the file says uV: --unit mV is not used",)


def test_numbers_without_a_unit_are_mv_if_they_can_be_and_refused_if_not(tmp_path):
    path = save(tmp_path / "a.csv", frame(["I"]).to_csv(index=False))
    record = read(path, ("I",), sampling_rate=RATE)
    assert "taken as mV" in record.notes[0]
    for factor in (1000.0, 1e-3):
        path = save(tmp_path / "b.csv", frame(["I"], factor).to_csv(index=False))
        with pytest.raises(RecordError, match="--unit"):
            read(path, ("I",), sampling_rate=RATE)


def test_digits_without_a_clear_gain_are_refused(tmp_path):
    lines = frame(["I"], 1.0).to_csv(index=False)
    with pytest.raises(RecordError, match="unknown"):
        read(save(tmp_path / "a.csv", "Gain: 200\n" + lines), ("I",), sampling_rate=RATE)
    path = save(tmp_path / "b.csv", lines.replace("I\n", "I (adu)\n", 1))
    with pytest.raises(RecordError, match="adu"):
        read(path, ("I",), sampling_rate=RATE)


# --- times --------------------------------------------------------------------------------------

STAMPS = {
    "time [s]": lambda s: f"{s:.6f}",
    "t_ms": lambda s: f"{1000 * s:.3f}",
    "Time (us)": lambda s: f"{1e6 * s:.0f}",
    "time": lambda s: f"{s + 7:.6f}",
    "timestamp": lambda s: f"{1.7e12 + 1000 * s:.0f}",
    "sensor timestamp [ns]": lambda s: f"{838432586543515816 + round(1e9 * s)}",
    "Uhrzeit": lambda s: f"23:59:{59 + s:06.3f}" if s < 1 else f"00:00:{s - 1:06.3f}",
    "Elapsed time": lambda s: f"0:{s:06.3f}",
    "iso time": None,
}


def timed(name, samples, rate=RATE):
    if name == "iso time":
        stamps = pd.Timestamp("2024-02-29T10:00:00") + pd.to_timedelta(samples / rate, unit="s")
        return "timestamp", [f"{stamp.isoformat(timespec='microseconds')}Z" for stamp in stamps]
    return name, [STAMPS[name](sample / rate) for sample in samples]


def write_timed(path, name, samples, rows, rate=RATE):
    title, stamps = timed(name, samples, rate)
    table = pd.DataFrame({title: stamps, "I": rows})
    return save(path, table.to_csv(index=False))


@pytest.mark.parametrize("name", STAMPS)
def test_a_time_column_gives_the_rate(name, tmp_path):
    path = write_timed(tmp_path / "a.csv", name, np.arange(N_TIME), SIGNALS[0])
    assert_signals(read(path, ("I",)), 1)


@pytest.mark.parametrize("name", STAMPS)
def test_gaps_in_a_time_column_are_missing_samples_and_noted(name, tmp_path):
    samples = np.r_[0:100, 240:500]
    path = write_timed(tmp_path / "a.csv", name, samples, SIGNALS[0, samples])
    record = read(path, ("I",))
    assert record.n_time == N_TIME
    np.testing.assert_allclose(record.signals[0, samples], SIGNALS[0, samples], atol=1e-6)
    assert np.isnan(record.signals[0, 100:240]).all()
    assert record.notes[-1] == "140 samples are missing in 1 gap: 0.56 s at 0.4 s"


@pytest.mark.parametrize("rate", [128, 130, 256, 300, 360, 512, 960, 1024])
def test_stamps_in_whole_milliseconds_give_the_rate(rate, tmp_path):
    times = np.arange(5000) / rate
    table = pd.DataFrame({"ms": np.floor(1000 * times).astype(int), "I": np.tile(SIGNALS[0], 10)})
    record = read(save(tmp_path / "a.csv", table.to_csv(index=False)), ("I",))
    assert record.sampling_rate == pytest.approx(rate, rel=5e-4)
    assert record.n_time == 5000
    assert not np.isnan(record.signals).any()


@pytest.mark.parametrize("rate", [128, 130, 256, 300, 360, 512])
def test_a_lost_second_is_found_among_stamps_in_whole_milliseconds(rate, tmp_path):
    samples = np.r_[0:1500, 1500 + rate : 5000]
    table = pd.DataFrame({"ms": np.floor(1000 * samples / rate).astype(int)})
    table["I"] = np.tile(SIGNALS[0], 10)[samples]
    record = read(save(tmp_path / "a.csv", table.to_csv(index=False)), ("I",))
    assert record.n_time == 5000
    assert np.flatnonzero(np.isnan(record.signals[0])).tolist() == list(range(1500, 1500 + rate))


def test_stamps_of_whole_seconds_give_the_rate(tmp_path):
    stamps = [f"10:00:{row // RATE + 7:02d}" for row in range(100, 100 + 10 * RATE)]
    table = pd.DataFrame({"time": stamps, "I": np.tile(SIGNALS[0], 5)})
    record = read(save(tmp_path / "a.csv", table.to_csv(index=False)), ("I",))
    assert record.sampling_rate == RATE


@pytest.mark.parametrize("change", ["swapped", "twice", "starts again", "jitters"])
def test_times_that_leave_the_order_open_are_refused(change, tmp_path):
    samples = np.arange(N_TIME).astype(float)
    samples[200:202] = {"swapped": samples[[201, 200]], "twice": samples[[200, 200]]}.get(
        change, samples[200:202]
    )
    if change == "starts again":
        samples[300:] -= 300
    if change == "jitters":
        samples += np.random.default_rng(0).uniform(0, 5, N_TIME)
        samples.sort()
    path = write_timed(tmp_path / "a.csv", "time [s]", samples, SIGNALS[0])
    with pytest.raises(RecordError, match="time column"):
        read(path, ("I",))


def test_a_little_jitter_of_stamps_moves_nothing(tmp_path):
    samples = np.arange(N_TIME) + np.random.default_rng(0).uniform(-0.2, 0.2, N_TIME)
    path = write_timed(tmp_path / "a.csv", "time [s]", samples, SIGNALS[0])
    record = read(path, ("I",))
    assert record.sampling_rate == pytest.approx(RATE, rel=2e-3)
    np.testing.assert_allclose(record.signals[0], SIGNALS[0], atol=1e-6)


@pytest.mark.parametrize("off", [3e-5, -5e-5])
def test_a_clock_that_is_a_little_off_loses_no_sample(off, tmp_path):
    times = np.arange(50_000) / 130 * (1 + off)
    table = pd.DataFrame({"t_ms": np.round(1000 * times, 6), "I": np.tile(SIGNALS[0], 100)})
    record = read(save(tmp_path / "a.csv", table.to_csv(index=False)), ("I",))
    assert (record.sampling_rate, record.n_time) == (130, 50_000)
    assert not np.isnan(record.signals).any()


def test_a_rate_that_contradicts_the_times_or_the_head_is_refused(tmp_path):
    path = write_timed(tmp_path / "a.csv", "time", np.arange(N_TIME), SIGNALS[0], rate=300)
    with pytest.raises(RecordError, match="says 300 Hz, not 250 Hz"):
        read(path, ("I",), sampling_rate=250)
    assert read(path, ("I",)).sampling_rate == 300
    text = "Sampling rate: 500 Hz\n" + frame(["I"]).to_csv(index=False)
    with pytest.raises(RecordError, match="contradict"):
        read(save(tmp_path / "b.csv", text), ("I",), sampling_rate=250)
    text = "Sampling rate: 500 Hz\n" + path.read_text()
    with pytest.raises(RecordError, match="contradict"):
        read(save(tmp_path / "c.csv", text), ("I",))


def test_a_time_column_in_steps_of_one_needs_the_rate(tmp_path):
    table = pd.DataFrame({"time": np.arange(N_TIME), "I": SIGNALS[0]})
    path = save(tmp_path / "a.csv", table.to_csv(index=False))
    with pytest.raises(RecordError, match="count samples or milliseconds"):
        read(path, ("I",))
    assert_signals(read(path, ("I",), sampling_rate=RATE), 1)


def test_gaps_in_a_count_of_samples_are_missing_samples(tmp_path):
    samples = np.r_[0:100, 240:500]
    table = frame(["I"]).loc[samples]
    record = read(save(tmp_path / "a.csv", table.to_csv()), ("I",), sampling_rate=RATE)
    assert record.n_time == N_TIME
    assert np.isnan(record.signals[0, 100:240]).all()


def test_a_short_counter_that_starts_again_moves_nothing(tmp_path):
    table = frame(["I"])
    table.insert(0, "Sample Index", np.arange(N_TIME) % 256)
    assert_signals(
        read(save(tmp_path / "a.csv", table.to_csv(index=False)), ("I",), sampling_rate=RATE), 1
    )


# --- names --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lead", "names"),
    [
        ("I", "i|DI|D1|Lead I|ECG I|MDC_ECG_LEAD_I|I-Ref|LEAD_I|Ableitung I|\u2160|EKG:I|leadI"),
        ("II", "DII|d ii|Derivación II|MDC_ECG_LEAD_II|'II'|ECG LEAD II"),
        ("aVR", "avr|AVR|a V R|MDC_ECG_LEAD_AVR|aVR-Ref"),
        ("III", "DIII|LL-LA|ECG LL-LA"),
        ("V1", "C1|v1|V-1|ECG V1|MDC_ECG_LEAD_V1|V 1"),
        ("", "Lead 1|ch1|MLII|I-II|V7|VR|EEG C3|X|CM5|1|ECG|Ion|Iv"),
    ],
)
def test_one_table_of_names_serves_every_format(lead, names):
    assert {lead_of(name) for name in names.split("|")} == {lead}


@pytest.mark.parametrize("name", ["-aVR", "\u2212aVR", "aVR-", "inverted aVR", "-LEAD_AVR"])
def test_a_turned_lead_is_turned_back(name, tmp_path):
    table = pd.DataFrame({name: -SIGNALS[0], "II": SIGNALS[1]})
    assert signed_lead(name) == ("aVR", -1) or name == "-MDC_ECG_LEAD_AVR"
    record = read(
        save(tmp_path / "a.csv", table.to_csv(index=False)), ("aVR",), sampling_rate=RATE
    )
    assert_signals(record, 1)


def test_electrodes_of_an_eeg_are_no_chest_leads():
    assert [lead for lead, _ in known_leads(["C3", "C4", "O1", "ECG I"])] == ["", "", "", "I"]
    assert [lead for lead, _ in known_leads(["C3", "C4", "ECG"])] == ["", "", ""]
    assert [lead for lead, _ in known_leads(["I", "C1", "C2", "C3"])] == ["I", "V1", "V2", "V3"]


def test_a_lead_in_brackets_is_the_lead_of_a_channel_and_no_unit(tmp_path):
    names = [f"Channel {number} ({lead})" for number, lead in enumerate(LEADS, 1)]
    path = save(tmp_path / "a.csv", frame(names).to_csv(index=False))
    assert_signals(read(path, sampling_rate=RATE))


def test_a_lead_that_is_there_twice_is_refused_unless_nobody_wants_it(tmp_path):
    table = pd.DataFrame({"I": SIGNALS[0], "ECG I": SIGNALS[0] / 2, "II": SIGNALS[1]})
    path = save(tmp_path / "a.csv", table.to_csv(index=False))
    with pytest.raises(RecordError, match="lead I twice: 'I', 'ECG I'"):
        read(path, ("I",), sampling_rate=RATE)
    assert read(path, ("II",), sampling_rate=RATE).n_time == N_TIME
    assert_signals(read(path, ("I",), sampling_rate=RATE, channel="I"), 1)


def test_unknown_names_are_mapped_by_the_caller(tmp_path):
    names = [f"ch{number}" for number in range(1, 13)]
    path = save(tmp_path / "a.csv", frame(names).to_csv(index=False))
    renamed = parse_renamed(", ".join(map("=".join, zip(names, LEADS, strict=True))))
    assert_signals(read(path, sampling_rate=RATE, renamed=renamed))
    turned = parse_renamed("ch1=-I")
    record = read(path, ("I",), sampling_rate=RATE, renamed=turned)
    np.testing.assert_allclose(record.signals[0], -SIGNALS[0], atol=1e-6)
    with pytest.raises(RecordError, match="twice"):
        read(path, ("I",), sampling_rate=RATE, renamed=parse_renamed("ch1=I,ch2=I"))
    with pytest.raises(RecordError, match="no lead II"):
        read(path, ("I", "II"), sampling_rate=RATE, renamed=parse_renamed("ch1=I,chl2=II"))


@pytest.mark.parametrize("text", ["ch1", "ch1=V9", "=I", "ch1=I,ch1=II", "ch1=vx"])
def test_a_mapping_that_says_nothing_clear_is_refused(text):
    with pytest.raises(ValueError, match="--leads"):
        parse_renamed(text)


def test_a_column_that_only_says_signal_is_the_one_lead_wanted(tmp_path):
    table = pd.DataFrame({"time": TIMES, "ecg": SIGNALS[0]})
    path = save(tmp_path / "a.csv", table.to_csv(index=False))
    record = read(path, ("V2",))
    assert_signals(record, 1)
    assert "the column 'ecg' is taken as lead V2" in record.notes
    table["hr"] = 60
    assert_signals(read(save(tmp_path / "b.csv", table.to_csv(index=False)), ("V2",)), 1)
    table = table.rename(columns={"ecg": "value"})
    with pytest.raises(RecordError, match="no lead V2; found: time, value, hr"):
        read(save(tmp_path / "c.csv", table.to_csv(index=False)), ("V2",))


def test_a_lead_named_above_the_table_is_the_lead_of_its_only_signal(tmp_path):
    table = pd.DataFrame({"time": TIMES, "value": SIGNALS[0]})
    path = save(tmp_path / "a.csv", "Lead,V2\nSampling,250 Hz\n" + table.to_csv(index=False))
    assert_signals(read(path, ("V2",)), 1)
    with pytest.raises(RecordError, match="lead V2, not I"):
        read(path, ("I",))


def test_a_pick_says_where_a_lead_is(tmp_path):
    from ecgnb.records.formats.channels import Request

    found = pick(tmp_path / "a", ["ABP", "-aVR", "II"], Request(("II", "aVR")))
    assert [(each.lead, each.position, each.sign) for each in found] == [
        ("aVR", 1, -1),
        ("II", 2, 1),
    ]


def test_a_large_table_is_read_in_seconds_and_little_memory(tmp_path):
    import time
    import tracemalloc

    n_time = 100_000
    signals = np.round(np.random.default_rng(0).normal(0, 0.5, (n_time, 12)), 3)
    buffer = io.StringIO()
    np.savetxt(buffer, signals, fmt="%.3f", delimiter=",", header=",".join(LEADS), comments="")
    path = save(tmp_path / "a.csv", buffer.getvalue())
    start = time.process_time()
    record = read(path, sampling_rate=RATE)
    seconds = time.process_time() - start
    np.testing.assert_allclose(record.signals.T, signals, atol=1e-6)
    tracemalloc.start()
    read(path, sampling_rate=RATE)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    print(f"1.2 million numbers: {seconds:.2f} s of the processor, {peak / 1e6:.0f} MB")
    assert seconds < 4
    assert peak < 200e6


@pytest.mark.parametrize("gaps", [{3: 1, 4: 1}, {3: 1, 5: 1}, {3: 1, 4: 2}, {2: 1, 8: 1}])
def test_lost_samples_in_a_short_table_are_not_taken_for_a_slower_clock(gaps, tmp_path):
    """Every 10 ms with two samples lost is no even clock of 83 Hz that was rounded."""
    sample, lines = 0, ["time [s],I (mV)"]
    for row in range(12):
        sample += gaps.get(row, 0)
        lines.append(f"{sample / 100:.6f},{0.1 * row:.3f}")
        sample += 1
    path = tmp_path / "short.csv"
    path.write_text("\n".join(lines) + "\n")
    try:
        record = read_recording(path, leads=("I",))
    except RecordError:
        return
    assert record.sampling_rate == 100
    assert np.isnan(record.signals).sum() == sum(gaps.values())


def test_a_stray_text_after_the_last_separator_does_not_shift_the_leads(tmp_path):
    """Rows that end with a separator and count their samples are no rows with names."""
    rows = [f"{at};{0.1 * at:.3f};{-0.2 * at:.3f};{at % 5};" for at in range(1, 13)]
    rows[4] += "abc"
    path = tmp_path / "stray.csv"
    path.write_text("\n".join(["sample #;I (mV);V2 (mV);Marker", *rows]) + "\n")
    with pytest.raises(RecordError, match="line"):
        read_recording(path, leads=("I", "V2"), sampling_rate=100)
