import shutil
import time

import numpy as np
import pytest
from conftest import real_data
from test_formats import draw_samples, write_with_wfdb

from ecgnb.records.databases import find_records, load_database
from ecgnb.records.record import RecordError
from ecgnb.signals.preparation import PreprocessingOptions, prepare_record
from ecgnb.signals.prepared_files import _file_key, prepare_file
from ecgnb.simulation.cohort import write_cohort


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "cohort"
    return write_cohort(folder, n_twadb=2, n_patient=1, duration_s=12.0, ptbdb_duration_s=4.0)


def test_files_are_prepared_as_their_records_are(cohort, tmp_path):
    for _ in range(2):
        paths = find_records(cohort, "twadb")
        for path, record in zip(paths, load_database(cohort, "twadb").records, strict=True):
            prepared, expected = prepare_file(path, "twadb", tmp_path), prepare_record(record)
            assert prepared.record == expected.record
            np.testing.assert_array_equal(prepared.test, expected.test)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_record_too_short_for_its_parts_is_refused_with_its_name(cohort, tmp_path):
    path = find_records(cohort, "ptbdb")[0]
    with pytest.raises(RecordError, match=rf"{path.stem}: .* too short"):
        prepare_file(path, "ptbdb", tmp_path, PreprocessingOptions(gap_s=3.0))


def test_changed_samples_are_not_answered_from_the_cache(cohort, tmp_path):
    shutil.copytree(cohort / "twadb", tmp_path / "twadb")
    path = find_records(tmp_path, "twadb")[0]
    prepare_file(path, "twadb", tmp_path / "cache")
    samples = bytearray(path.with_suffix(".dat").read_bytes())
    samples[1000] ^= 1
    path.with_suffix(".dat").write_bytes(samples)
    with pytest.raises(RecordError, match="checksum"):
        prepare_file(path, "twadb", tmp_path / "cache")


def test_a_sample_file_of_any_name_is_part_of_the_key(tmp_path):
    samples = draw_samples("516", n_time=6000)
    path = write_with_wfdb(tmp_path, "516", samples)
    options = PreprocessingOptions()
    before = _file_key(path, "twadb", options)
    (tmp_path / "other").mkdir()
    write_with_wfdb(tmp_path / "other", "516", samples // 2)
    shutil.copy(tmp_path / "other" / "r1b.dat", tmp_path / "r1b.dat")
    assert _file_key(path, "twadb", options) != before


def test_the_second_load_of_all_real_records_is_much_faster(tmp_path):
    data = real_data("twadb", "ptbdb")
    paths = {name: find_records(data, name) for name in ("twadb", "ptbdb")}
    times = []
    for _ in range(4):
        start = time.process_time()
        for database, found in paths.items():
            for path in found:
                prepare_file(path, database, tmp_path)
        times.append(time.process_time() - start)
    print(f"first load {times[0]:.2f} s, second {min(times[1:]):.3f} s")
    assert times[0] / min(times[1:]) >= 15  # 20 and more where no other process disturbs
