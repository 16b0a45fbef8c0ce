import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from test_formats import draw_samples, write_with_wfdb

from ecgnb.cache import file_key, prepare_database, prepare_file
from ecgnb.databases import find_records, load_database
from ecgnb.preprocessing import PreprocessingOptions, prepare_record
from ecgnb.records import RecordError
from ecgnb.simulate import write_cohort


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "cohort"
    return write_cohort(folder, n_twadb=2, n_patient=1, duration_s=12.0, ptbdb_duration_s=4.0)


def test_a_database_is_prepared_as_its_records_are(cohort, tmp_path):
    for _ in range(2):
        prepared = prepare_database(cohort, "twadb", tmp_path)
        expected = [prepare_record(record) for record in load_database(cohort, "twadb").records]
        assert [one.record for one in prepared.records] == [one.record for one in expected]
        for one, other in zip(prepared.records, expected, strict=True):
            np.testing.assert_array_equal(one.test, other.test)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_record_too_short_for_its_parts_is_refused_with_its_name(cohort, tmp_path):
    options = PreprocessingOptions(gap_s=3.0)
    prepared = prepare_database(cohort, "ptbdb", tmp_path, options)
    assert not prepared.records
    assert len(prepared.refused) == 16
    assert "too short" in str(prepared.refused[0])


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
    before = file_key(path, "twadb", options)
    (tmp_path / "other").mkdir()
    write_with_wfdb(tmp_path / "other", "516", samples // 2)
    shutil.copy(tmp_path / "other" / "r1b.dat", tmp_path / "r1b.dat")
    assert file_key(path, "twadb", options) != before


def test_the_second_load_of_all_real_records_is_much_faster(tmp_path):
    root = Path(__file__).resolve().parents[1]
    data = Path(os.environ.get("ECGNB_DATA") or root.parent / "shared" / "data")
    if not find_records(data, "twadb"):
        pytest.skip("no real recordings: set ECGNB_DATA to a folder with twadb and ptbdb")
    times = []
    for _ in range(4):
        start = time.process_time()
        for database in ("twadb", "ptbdb"):
            prepared = prepare_database(data, database, tmp_path)
            assert prepared.records
        times.append(time.process_time() - start)
    print(f"first load {times[0]:.2f} s, second {min(times[1:]):.3f} s")
    assert times[0] / min(times[1:]) >= 15  # 20 and more where no other process disturbs
