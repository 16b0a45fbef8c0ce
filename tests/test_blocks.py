"""A recording in blocks is the recording at one go; no fault loses or doubles anything."""

import os
import random
import signal as signals
import subprocess
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from ecgnb.reconstruction import blocks
from ecgnb.reconstruction.blocks import Work, _cut_blocks, reconstruct_blocks, write_blocks
from ecgnb.reconstruction.personal import fit_personal, reconstruct
from ecgnb.records import long_files
from ecgnb.records.formats.channels import Request
from ecgnb.records.formats.edf import edf_header
from ecgnb.records.long_files import LongLead, LongWriter
from ecgnb.records.record import Record, RecordError
from ecgnb.records.recordings import open_lead, read_recording
from ecgnb.records.wfdb_files import as_samples, write_record
from ecgnb.records.wfdb_header import record_line, signal_line
from ecgnb.signals.beats import find_peaks
from ecgnb.simulation.synthesis import SimulationOptions, simulate_record

LEAD = Request(leads=("II",))
COPY = Work("II", lambda signal: np.tile(signal, (12, 1)), fade_s=0.0)


@pytest.fixture(scope="module")
def simulated():
    options = SimulationOptions(duration_s=110.0, ectopic_share=0.05)
    return simulate_record(options, seed=4)


@pytest.fixture(scope="module")
def recording(simulated):
    """One lead of 75 s at 500 Hz; missing at its beginning, for a moment, and for 9 s."""
    one = simulated.record.only("II")
    signal = one.signals[:, 17_500:].copy()
    signal[:, :100] = signal[:, 9000:9003] = signal[:, 20_000:24_500] = np.nan
    return replace(one, name="long", signals=signal)


@pytest.fixture(scope="module")
def calibration(simulated):
    return simulated.record.split(share=0.3)[0]


@pytest.fixture(scope="module")
def model(calibration):
    return fit_personal(calibration, "II", method="neighbours")


@pytest.fixture(scope="module")
def whole(recording, model):
    return reconstruct(recording, model)


@pytest.fixture
def short_blocks(monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK_S", 10.0)
    monkeypatch.setattr(blocks, "CONTEXT_S", 15.0)


def in_memory(signal, rate=250.0):
    return LongLead("x", "II", rate, signal.size, lambda a, b: signal[a:b])


def made_in_blocks(recording, model):
    long = in_memory(recording.signals[0], recording.sampling_rate)
    return np.concatenate([*reconstruct_blocks(long, Work.of(model))], axis=1)


def r_peak_s(recording):
    return find_peaks(np.nan_to_num(recording.signals), 500.0)[20] / 500.0


@pytest.mark.parametrize(
    "border_s",
    [r_peak_s, lambda _: 12.01, lambda _: 44.0, lambda _: 40.0, lambda _: 49.0],
    ids=["in an R peak", "in a beat", "in a gap", "where a gap begins", "where it ends"],
)
def test_blocks_give_the_samples_of_the_whole(recording, model, whole, border_s, monkeypatch):
    monkeypatch.setattr(blocks, "CONTEXT_S", 15.0)
    monkeypatch.setattr(blocks, "BLOCK_S", border_s(recording))
    assert len(_cut_blocks(recording.n_time, 500.0, 250.0)) > 1
    found = made_in_blocks(recording, model)
    assert found.shape == whole.signals.shape
    assert np.array_equal(as_samples(found, 2000.0), as_samples(whole.signals, 2000.0))


@pytest.mark.parametrize("method", ["lagged_ridge", "average_beat_ridge"])
def test_other_methods_lose_and_double_no_beat(recording, calibration, method, short_blocks):
    model = fit_personal(calibration, "II", method=method)
    expected, found = reconstruct(recording, model).signals, made_in_blocks(recording, model)
    assert (np.isnan(found) == np.isnan(expected)).all()
    if method == "lagged_ridge":
        np.testing.assert_allclose(found, expected, atol=1e-4)  # 0.1 uV
        return
    peaks = [find_peaks(np.nan_to_num(each[7:]), 250.0) for each in (found, expected)]
    assert len(peaks[0]) == len(peaks[1])
    assert np.abs(peaks[0] - peaks[1]).max() <= 5  # 20 ms


def test_two_blocks_of_a_method_that_looks_at_today_are_joined_without_a_step(short_blocks):
    work = replace(COPY, predict=lambda s: np.full((12, s.size), s.size / 1000), fade_s=2.0)
    made = np.concatenate([*reconstruct_blocks(in_memory(np.zeros(10_000)), work)], axis=1)
    assert made.shape == (12, 10_000)
    assert np.ptp(made[0]) > 1
    assert np.abs(np.diff(made[0])).max() < 0.01


def test_nothing_is_looked_up_deep_in_a_gap():
    seen, signal = [], np.random.default_rng(0).normal(size=20_000)
    signal[5000:15_000] = np.nan

    def predict(given):
        seen.append(given.size)
        return np.tile(given, (12, 1))

    made = np.concatenate(
        [*reconstruct_blocks(in_memory(signal), Work("II", predict, fade_s=0))], 1
    )
    assert seen == [5500, 5500]  # 2 s on either side of the gap
    assert np.array_equal(np.isnan(made[3]), np.isnan(signal))
    expected = np.concatenate([*reconstruct_blocks(in_memory(signal), COPY)], axis=1)
    np.testing.assert_array_equal(made, expected)
    whole = Work("II", predict, fade_s=2.0)
    np.concatenate([*reconstruct_blocks(in_memory(signal), whole)], axis=1)
    assert seen[2:] == [20_000]


def test_a_recording_without_a_sample_is_missing_throughout():
    made = np.concatenate([*reconstruct_blocks(in_memory(np.full(900, np.nan)), COPY)], axis=1)
    assert made.shape == (12, 900)
    assert np.isnan(made).all()


def test_no_block_but_the_only_one_is_shorter_than_the_context():
    for n_time in range(1, 200_000, 3_333):
        found = _cut_blocks(n_time, 257.0, 250.0)
        assert [(a.stop, b.start) for a, b in pairwise(found)] == [
            (a.stop, a.stop) for a in found[:-1]
        ]
        assert (found[0].start, found[-1].stop) == (0, n_time)
        assert len(found) == 1 or min(b.stop - b.start for b in found) >= 30 * 256


def written(recording, folder, ending):
    """The recording as a file of one of the formats that are read in pieces."""
    if ending == "hea":
        return write_record(recording, folder)
    path = folder / f"long.{ending}"
    if ending == "csv":
        values = ["" if np.isnan(v) else f"{v:.4f}" for v in recording.signals[0]]
        rows = [f"{at / 500:.3f},{value}" for at, value in enumerate(values) if value]
        path.write_text("\n".join(["time,II (mV)", *rows]))
        os.utime(path, (0, 0))
        return path
    samples = as_samples(recording.signals, 2000.0)
    content = edf_header([("II", "")], samples.size // 500, 500, 2000.0) + samples.tobytes()
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("ending", ["hea", "edf", "csv"])
def test_a_lead_read_in_pieces_is_the_lead_read_at_once(recording, tmp_path, monkeypatch, ending):
    monkeypatch.setattr(long_files, "_TABLE_BYTES", 50_000)
    path = written(recording, tmp_path, ending)
    expected = read_recording(path, leads=("II",)).signals[0]
    with open_lead(path, LEAD) as long:
        steps = [*range(0, long.n_time, 4_321), long.n_time]
        parts = [long.read(a, b) for a, b in pairwise(steps)]
        assert long.sampling_rate == 500.0
    np.testing.assert_array_equal(np.concatenate(parts), expected)
    assert np.isnan(expected).sum() > 4000


@pytest.mark.parametrize("ending", ["hea", "edf"])
def test_twelve_leads_are_written_as_they_are_at_one_go(
    recording, model, whole, ending, tmp_path, short_blocks
):
    path = write_record(recording, tmp_path)
    target = tmp_path / f"twelve.{ending}"
    with open_lead(path, LEAD) as long:
        notes = blocks.reconstruct_file(long, model, target)
    assert any(note.startswith("missing at 0.000 s for 0.200 s, 18.000 s") for note in notes)
    found = read_recording(target)
    expected = as_samples(whole.signals, 2000.0) / np.float32(2000.0)
    expected[np.isnan(whole.signals)] = np.nan
    n_time = whole.n_time
    np.testing.assert_allclose(found.signals[:, :n_time], expected, atol=1e-5)
    assert np.isnan(found.signals[:, n_time:]).all()
    assert found.n_time - n_time < 250
    if ending == "hea":
        assert sorted(found.comments) == sorted(whole.comments)
        same = write_record(replace(whole, name="same"), tmp_path).with_suffix(".dat")
        assert target.with_suffix(".dat").read_bytes() == same.read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir() if p.name.startswith(".")) == []


def test_an_artefact_beyond_16_bits_makes_the_steps_coarser(tmp_path, short_blocks):
    signal = np.zeros(10_000, dtype=np.float32)
    signal[9_000:9_010] = 150.0
    target = write_blocks(in_memory(signal), replace(COPY, low_hz=None), tmp_path / "a.hea")
    made = read_recording(target)
    assert np.nanmax(made.signals) > 100
    assert made.n_time == 10_000


def test_a_week_of_edf_opens_by_its_header_alone(tmp_path):
    path, n_second = tmp_path / "week.edf", 7 * 86_400
    path.write_bytes(edf_header([("II", "")], n_second, 250, 2000.0))
    os.truncate(path, 512 + 2 * 250 * n_second)
    with open_lead(path, LEAD) as long:
        assert long.duration_s == n_second
        assert np.abs(long.read(long.n_time - 500, long.n_time)).max() < 1e-9


@pytest.mark.parametrize("level", [30_000, -30_000])
def test_a_day_whose_samples_add_up_to_more_than_32_bits_opens(tmp_path, level):
    n_time = 100_000
    np.full(n_time, level, dtype="<i2").tofile(tmp_path / "day.dat")
    line = signal_line("day.dat", "II", 2000.0, first=level, total=level * n_time)
    (tmp_path / "day.hea").write_text(f"{record_line('day', 1, 250.0, n_time)}\n{line}\n")
    with open_lead(tmp_path / "day.hea", LEAD) as long:
        assert long.read(n_time - 2, n_time).tolist() == [level / 2000, level / 2000]
    wrong = line.replace(f" {level * n_time % 65536} ", f" {(level * n_time + 1) % 65536} ")
    (tmp_path / "day.hea").write_text(f"{record_line('day', 1, 250.0, n_time)}\n{wrong}\n")
    with pytest.raises(RecordError, match="checksum"), open_lead(tmp_path / "day.hea", LEAD):
        pass


def test_a_table_that_grows_is_read_as_far_as_it_was_whole(tmp_path, short_blocks, recording):
    path = tmp_path / "grows.csv"
    rows = [f"{0.1 * np.sin(at / 9):.4f}" for at in range(9000)]
    path.write_text("\n".join(["II (mV)", *rows]) + "\n0.0")  # its last row is not ended yet
    with open_lead(path, replace(LEAD, sampling_rate=250.0)) as long:
        with path.open("a") as file:
            file.write("512\n" + "\n".join(rows))
        target = write_blocks(long, COPY, tmp_path / "made.hea")
    made = read_recording(target)
    assert made.n_time == 9000
    assert any(comment.startswith("the recording grew: ") for comment in made.comments)


def test_a_recording_that_changes_while_it_is_read_gives_no_result(tmp_path, short_blocks):
    path = write_record(Record("a", np.zeros((1, 9000), np.float32), 250.0, ("II",)), tmp_path)

    def changed(signal):
        path.with_suffix(".dat").write_bytes(bytes(range(200)) * 90)
        return np.tile(signal, (12, 1))

    with open_lead(path, LEAD) as long:
        work = replace(COPY, predict=changed)
        with pytest.raises(RecordError, match="changed while it was read"):
            write_blocks(long, work, tmp_path / "made.hea")
    assert not (tmp_path / "made.hea").exists()


def test_ctrl_c_leaves_no_result_and_a_second_run_goes_on(tmp_path, short_blocks):
    signal, calls = np.random.default_rng(0).normal(size=20_000).astype(np.float32), []

    def interrupted(piece):
        calls.append(piece.size)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return np.tile(piece, (12, 1))

    expected = write_blocks(in_memory(signal), COPY, tmp_path / "whole.hea")
    with pytest.raises(KeyboardInterrupt):
        write_blocks(in_memory(signal), replace(COPY, predict=interrupted), tmp_path / "a.hea")
    assert not (tmp_path / "a.hea").exists()
    made = write_blocks(in_memory(signal), replace(COPY, predict=interrupted), tmp_path / "a.hea")
    assert len(calls) == len(_cut_blocks(20_000, 250.0, 250.0)) + 1  # only the fourth one twice
    contents = [path.with_suffix(".dat").read_bytes() for path in (made, expected)]
    assert contents[0] == contents[1]


def test_a_result_that_was_begun_of_another_recording_is_begun_anew(tmp_path, short_blocks):
    first = LongWriter(tmp_path / "a.hea", 250.0, key="another")
    first.append(np.ones((12, 2500)))
    made = write_blocks(in_memory(np.zeros(9_000, np.float32)), COPY, tmp_path / "a.hea")
    assert read_recording(made).n_time == 9_000


def die_at(step):
    """Make this process kill itself at one step of its writes: halfway through one, or between."""
    left = [step]
    laid_out, replaced, synced = LongWriter._laid_out, Path.replace, os.fsync

    def count():
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signals.SIGKILL)

    def halved(writer, samples):
        content = laid_out(writer, samples)
        if left[0] == 1:
            with writer.samples.open("ab") as file:
                file.write(content[: len(content) // 3])
        count()
        return content

    def counted(work):
        def call(*arguments):
            count()
            work(*arguments)
            count()

        return call

    LongWriter._laid_out = halved
    Path.replace, os.fsync = counted(replaced), counted(synced)


def test_twenty_kills_at_random_points_of_two_hours_lose_and_double_nothing(tmp_path):
    generator = np.random.default_rng(0)
    signal = generator.normal(size=2 * 3600 * 100).astype(np.float32)
    signal[50_000:90_000] = np.nan
    work = replace(COPY, sampling_rate=100.0, high_hz=20.0)
    expected = write_blocks(in_memory(signal, 100.0), work, tmp_path / "whole.hea")
    choose, n_kill, target = random.Random(), 0, tmp_path / "a.hea"
    while n_kill < 20:
        child = os.fork()
        if child == 0:
            die_at(choose.randrange(1, 9))
            write_blocks(in_memory(signal, 100.0), work, target)
            os._exit(0)
        if os.WIFSIGNALED(os.waitpid(child, 0)[1]):
            n_kill += 1
            assert not target.exists() or read_recording(target).n_time == signal.size
        else:
            target.unlink()
    made = write_blocks(in_memory(signal, 100.0), work, target)
    for ending in (".dat", ".hea"):
        contents = [path.with_suffix(ending).read_bytes() for path in (made, expected)]
        assert (
            contents[0].replace(b"a.dat", b"whole.dat").replace(b"a 12", b"whole 12")
            == (contents[1])
        )


def test_a_full_disk_is_named_and_costs_no_block(tmp_path, short_blocks):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=160k", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small disk can be mounted by root only")
    signal = np.random.default_rng(0).normal(size=20_000).astype(np.float32)
    expected = write_blocks(in_memory(signal), COPY, tmp_path / "whole.hea")
    try:
        with pytest.raises(OSError, match="No space left"):
            write_blocks(in_memory(signal), COPY, disk / "a.hea")
        assert not (disk / "a.hea").exists()
        subprocess.run([*mount[:4], "remount,size=64m", *mount[5:]], check=True)
        made = write_blocks(in_memory(signal), COPY, disk / "a.hea")
        contents = [path.with_suffix(".dat").read_bytes() for path in (made, expected)]
        assert contents[0] == contents[1]
    finally:
        subprocess.run(["umount", str(disk)], check=True)
