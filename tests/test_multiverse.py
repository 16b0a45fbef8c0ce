import numpy as np
import pandas as pd
import pytest

from ecgnb.signals.preparation import prepare_record
from ecgnb.simulation.cohort import plan_cohort, write_cohort
from ecgnb.studies.multiverse import (
    CHOICES,
    Member,
    _cut_windows,
    _family,
    _run_member,
    run_multiverse,
    summarise_members,
)


@pytest.fixture(scope="module")
def prepared():
    return prepare_record(
        plan_cohort(n_twadb=1, n_patient=0, duration_s=40.0)[0].simulate().record
    )


def test_the_family_holds_no_member_twice():
    members = _family()
    assert len({member.name for member in members}) == len(members)


def test_a_misspelt_choice_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="scaling must be one of lead, record, window"):
        Member(scaling="lead by lead")


def test_windows_in_time_share_no_sample_with_the_test_part(prepared):
    train, check, test = _cut_windows(prepared, Member())
    assert np.isin(train[0, 0], prepared.train[0]).all()
    for windows, part in ((train, "train"), (check, "validation"), (test, "test")):
        signals = getattr(prepared, part)
        np.testing.assert_array_equal(windows[0], signals[:, : windows.shape[-1]])


def test_shuffled_windows_overlap_those_of_training(prepared):
    train, _, test = _cut_windows(prepared, Member(split="shuffled"))
    assert np.isin(test[:, 1], train[:, 1]).any()


def test_windows_scaled_alone_span_minus_one_to_one(prepared):
    for windows in _cut_windows(prepared, Member(scaling="window")):
        np.testing.assert_allclose(windows.max(axis=-1), 1, atol=1e-5)
        np.testing.assert_allclose(windows.min(axis=-1), -1, atol=1e-5)


@pytest.mark.parametrize("model", ["line", "cnn_1d", "cnn_2d_separable"])
def test_every_kind_of_model_scores_all_pairs(prepared, model):
    scores = _run_member(prepared, Member(model, window_s=0.512), n_step=3)
    assert len(scores) == 132
    assert scores["mse"].notna().all()


def test_a_run_resumes_with_the_same_table(tmp_path):
    folder = write_cohort(tmp_path / "cohort", n_twadb=1, n_patient=0, duration_s=20.0)
    members = [Member("line"), Member("line_through_origin", scaling="window")]
    names = [path.stem for path in (folder / "twadb").rglob("*.hea")]
    first = run_multiverse(folder, tmp_path / "m.csv", records=names, members=members).table
    stored = {p: p.stat().st_mtime_ns for p in (tmp_path / "m.csv.tasks").glob("*.csv")}
    second = run_multiverse(folder, tmp_path / "m.csv", records=names, members=members).table
    assert first.equals(second)
    assert stored == {p: p.stat().st_mtime_ns for p in (tmp_path / "m.csv.tasks").glob("*.csv")}


def test_two_records_of_one_heart_count_once_in_a_member():
    choices = dict.fromkeys(CHOICES, "any")
    rows = [("a", "one", 0.9), ("b", "one", 0.7), ("c", "other", 0.2)]
    table = pd.DataFrame(
        [{"record": one, "heart": heart, "mse": 0.1, "r": r} | choices for one, heart, r in rows]
    )
    (member,) = summarise_members(table).to_dict("records")
    assert member["r"] == pytest.approx((0.8 + 0.2) / 2)
    assert member["n_record"] == 3
