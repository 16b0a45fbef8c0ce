"""The study of other days on a small simulated mirror: plans, protocol, what is refused."""

import json
import shutil
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import real_data
from typer.testing import CliRunner

from ecgnb.cli.commands import app
from ecgnb.files import is_whole, read_table
from ecgnb.reconstruction.prior import _read_prior
from ecgnb.simulation.cohort import write_cohort
from ecgnb.studies import day_methods, day_scores, day_trials, days
from ecgnb.studies.day_methods import DAY_METHODS, DayMethod

TESTS = Path(__file__).parent
HEARTS = ("ptbdb/patient001", "ptbdb/patient002")
QUICK = ("average_beat", "neighbours")


@pytest.fixture(scope="module")
def mirror(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mirror") / "days"
    return write_cohort(folder, n_twadb=1, n_patient=1, ptbdb_duration_s=12.0)


@pytest.fixture(scope="module")
def sessions(mirror):
    return day_trials.find_sessions(mirror)


@pytest.fixture(scope="module")
def learned(sessions, tmp_path_factory):
    return days._learn_from(sessions, tmp_path_factory.mktemp("learned"), progress=False)[0]


class Twelve:
    """Every lead is the input: a model of anybody's."""

    def __init__(self, n_lead=12, value=1.0):
        self.n_lead, self.value = n_lead, value

    def predict(self, signals):
        return self.value * np.repeat(signals[:, None], self.n_lead, axis=1)


def copy_input(calibrations, inputs, *, seed):
    return Twelve()


def wrong_shape(calibrations, inputs, *, seed):
    return Twelve(n_lead=11)


def not_finite(calibrations, inputs, *, seed):
    return Twelve(value=np.nan)


def broken(calibrations, inputs, *, seed):
    raise RuntimeError("no network\nfound")


def run(mirror, out, *methods, **options):
    settings = {"inputs": ("II",), "hearts": HEARTS, "progress": False} | options
    return days.run_days(mirror, out, methods=methods, **settings)


def named(*names):
    return [DAY_METHODS[name] for name in names]


def test_hearts_are_those_of_the_labels(sessions):
    assert {one.heart for one in sessions} == {f"ptbdb/patient00{n}" for n in range(1, 9)}
    assert len({one.name for one in sessions}) == len(sessions) == 16


def test_recordings_that_hold_ptbdb_again_are_left_out():
    data = real_data("ptbdb", "ludb", "challenge-2021")
    found = day_trials.find_sessions(data)
    assert not {one.source.path.parts[-3] for one in found} & {"ptb", "st_petersburg_incart"}
    assert {"ptbdb/patient001", "ludb/1"} < {one.heart for one in found}


def test_pairs_are_all_ordered_pairs_of_one_heart(sessions):
    trials = day_trials.plan_trials(sessions, "pairs")
    assert len(trials) == 16
    assert all(trial.calibrations[0].heart == trial.test.heart for trial in trials)
    assert all(trial.calibrations[0] is not trial.test for trial in trials)


def three_of(sessions):
    source = sessions[0].source
    return [day_trials.Session("one", source, date(1990, 10, day)) for day in (1, 17, 18)]


def test_all_other_days_need_three_sessions(sessions):
    assert day_trials.plan_trials(sessions, "others") == []
    trials = day_trials.plan_trials(three_of(sessions), "others")
    assert [len(trial.calibrations) for trial in trials] == [2, 2, 2]


def test_the_curve_goes_from_nothing_to_several_days(sessions):
    trials = day_trials.plan_trials(three_of(sessions), "curve")
    points = pd.Series([(len(one.calibrations), one.first_s) for one in trials]).value_counts()
    assert dict(points) == {(0, 0.0): 3, (1, 2.0): 6, (1, 5.0): 6, (1, 10.0): 6, (2, 10.0): 3}


def test_days_apart_are_those_to_the_nearest_calibration(sessions):
    first, second, third = three_of(sessions)
    assert day_trials.Trial((first, second), third, 10.0).days_apart == 1
    undated = day_trials.Session("one", third.source, None)
    assert np.isnan(day_trials.Trial((undated,), third, 10.0).days_apart)
    assert np.isnan(day_trials.Trial((), third, 0.0).days_apart)


def test_anybodys_method_is_scored_beside_our_own(mirror, tmp_path):
    copy = DayMethod("copy", copy_input)
    done = run(mirror, tmp_path / "t.csv", copy, DAY_METHODS["neighbours"])
    assert done.failed == ()
    assert set(done.table["method"]) == {"copy", *QUICK}
    assert len(done.table) == 4 * 3 * 11
    assert done.table["r"].between(-1, 1).all()
    assert done.table["expired"].between(0, 1).all()
    assert len(read_table(tmp_path / "t.csv")) == len(done.table)
    assert done.by_method().loc["neighbours", "II"] > done.by_method().loc["copy", "II"]


def test_a_row_for_each_method_and_a_manifest_are_written_beside(mirror, tmp_path):
    run(mirror, tmp_path / "t.csv", DAY_METHODS["neighbours"])
    rows = read_table(tmp_path / "t_rows.csv").set_index("method")
    assert set(rows.index) == set(QUICK)
    assert (rows["n_heart"] == 2).all()
    manifest = json.loads((tmp_path / "t_manifest.json").read_text())
    assert manifest["hearts"] == list(HEARTS)
    assert len(manifest["records"]) == 4
    assert set(manifest["methods"]) == set(manifest["cpu_s_of_a_lead"]) == set(QUICK)
    assert manifest["yardstick"]["r"] == pytest.approx(
        read_table(tmp_path / "t.csv").query("method == 'average_beat'")["r"].mean(), abs=1e-4
    )


def test_a_run_goes_on_where_it_stopped_and_ends_with_the_same_table(mirror, tmp_path):
    whole = run(mirror, tmp_path / "a.csv", *named(*QUICK))
    store = tmp_path / "a.csv.tasks"
    times = {path: path.stat().st_mtime_ns for path in store.glob("*.rows.csv")}
    lost = sorted(times)[0]
    lost.unlink()
    again = run(mirror, tmp_path / "a.csv", *named(*QUICK))
    kept = {path: path.stat().st_mtime_ns for path in store.glob("*.rows.csv")}
    assert {path for path in times if kept[path] != times[path]} == {lost}
    columns = [name for name in whole.table if name != "cpu_s"]
    pd.testing.assert_frame_equal(whole.table[columns], again.table[columns])


def test_two_processes_give_the_table_of_one(mirror, tmp_path):
    one, two = (
        run(mirror, tmp_path / f"{jobs}.csv", *named(*QUICK), jobs=jobs).table for jobs in (1, 2)
    )
    columns = [name for name in one if name != "cpu_s"]
    pd.testing.assert_frame_equal(one[columns], two[columns])


@pytest.mark.parametrize(
    ("fit", "what"),
    [
        (wrong_shape, r"shape \(1, 11, \d+\), \(input, lead, time\) \(1, 12, \d+\) was asked"),
        (not_finite, r"(\d+) of \1 numbers are not finite"),
        (broken, "raised RuntimeError: no network"),
    ],
)
def test_a_wrong_method_is_named_and_the_others_keep_their_rows(mirror, tmp_path, fit, what):
    theirs = DayMethod("theirs:fit", fit)
    done = run(mirror, tmp_path / "t.csv", theirs, *named(*QUICK), hearts=HEARTS[:1])
    assert done.table.groupby("method").size().to_dict() == dict.fromkeys(QUICK, 22)
    assert set(read_table(tmp_path / "t_rows.csv")["method"]) == set(QUICK)
    assert len(done.failed) == 2
    assert all(line.startswith("theirs:fit on s000") for line in done.failed)
    with pytest.raises(day_methods.MethodError, match=f"^method theirs:fit: .*{what}$"):
        day_methods.predict_checked(theirs, [], np.zeros((12, 500)), [1])


def test_a_method_is_refused_what_it_learned_from_the_heart_that_is_tested():
    method = DAY_METHODS["another_day"]
    with pytest.raises(day_methods.MethodError, match="another_day: learns from other hearts"):
        day_methods.predict_checked(
            method, [np.zeros((12, 2500))], np.zeros((12, 500)), [1], prior=None
        )


def test_a_method_is_known_by_its_code_so_that_no_old_score_answers_for_it(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    codes = []
    for number in range(2):
        path = tmp_path / f"known{number}.py"
        path.write_text(f"def fit(calibrations, inputs, *, seed):\n    return {number}\n")
        codes.append(day_methods.load_method(f"known{number}:fit").code)
    assert codes[0] != codes[1]
    assert codes[0] == day_methods.load_method("known0:fit").code


def test_a_method_is_found_by_name_or_by_module_and_function():
    assert day_methods.load_method("neighbours") is DAY_METHODS["neighbours"]
    found = day_methods.load_method("ecgnb.studies.day_methods:_fit_neighbours")
    assert found.fit is DAY_METHODS["neighbours"].fit
    with pytest.raises(day_methods.MethodError, match="nobody:fit: not found"):
        day_methods.load_method("nobody:fit")


def test_a_method_is_found_as_an_entry_point_of_an_installed_package(tmp_path, monkeypatch):
    facts = tmp_path / "theirs-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text("[ecgnb.methods]\ntheirs = their_package:fit\n")
    (tmp_path / "their_package.py").write_text(
        "def fit(calibrations, inputs, *, seed): ...\n\n\nfit.least_s = 2\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    found = day_methods.load_method("theirs")
    assert (found.name, found.least_s, found.learns) == ("theirs", 2.0, ())


def test_what_is_learned_from_others_holds_no_share_of_the_heart_tested(learned, sessions):
    heart = sessions[0].heart
    everybody, without = learned.without("nobody"), learned.without(heart)
    own = len(learned.shares[heart].moves)
    assert len(everybody["prior"].moves) - len(without["prior"].moves) == own > 0
    fewer = day_trials.Others(
        {name: one for name, one in learned.shares.items() if name != heart},
        {name: one for name, one in learned.moments.items() if name != heart},
    ).without("nobody")
    for name in ("moves", "people", "filters"):
        np.testing.assert_array_equal(
            getattr(without["prior"], name), getattr(fewer["prior"], name)
        )
    for one, other in zip(without["population"], fewer["population"], strict=True):
        np.testing.assert_array_equal(one.weights, other.weights)


def test_what_a_heart_adds_is_kept_to_the_last_bit(learned, sessions, tmp_path):
    again, _ = days._learn_from(sessions[:2], tmp_path, progress=False)
    heart = sessions[0].heart
    np.testing.assert_array_equal(again.shares[heart].within, learned.shares[heart].within)
    np.testing.assert_array_equal(again.moments[heart][3].gram, learned.moments[heart][3].gram)


def test_a_heart_of_one_recording_adds_no_move(learned, sessions, tmp_path):
    alone, _ = days._learn_from(sessions[:1], tmp_path, progress=False)
    share = alone.shares[sessions[0].heart]
    assert share.moves.shape == (0, 8, 8)
    assert share.between is None
    assert alone.without("nobody")["prior"] is None


@pytest.mark.parametrize("name", ["population", "average_beat", "average_beat_ridge"])
def test_methods_of_few_seconds_answer(learned, sessions, name):
    trial = day_trials.Trial((sessions[0],), sessions[1], 2.0)
    calibrations, test = day_trials.read_trial(trial)
    method = DAY_METHODS[name]
    taught = {key: learned.without(sessions[0].heart)[key] for key in method.learns}
    given = [] if method.least_s == 0 else calibrations
    found = day_methods.predict_checked(method, given, test, [1], **taught)
    assert np.corrcoef(found[0, 0], test[0])[0, 1] > 0.3


def test_the_ridge_is_that_of_other_people_where_the_calibration_says_nothing(learned):
    of_others = learned.without("nobody")["population"][1]
    signals = np.zeros((12, 500))
    beat = np.zeros((12, 300))
    model = day_methods.BeatModel(beat, 112, 250.0, 1)
    ridge = day_methods._add_ridge(model, [signals], of_others).residual
    np.testing.assert_allclose(ridge.weights, of_others.weights)


def test_the_method_reaches_its_score_on_real_other_days(tmp_path):
    data = real_data("ptbdb")
    small = tmp_path / "mirror" / "ptbdb"
    for number in (201, 202, 223, 229, 241, 245):
        shutil.copytree(data / "ptbdb" / f"patient{number}", small / f"patient{number}")
    done = run(
        tmp_path / "mirror",
        tmp_path / "t.csv",
        DAY_METHODS["another_day"],
        hearts=["ptbdb/patient202"],
    )
    scores = done.by_method()["II"]
    # Another heart rate: 0.68 s and 0.95 s between beats.
    assert scores["another_day"] > scores["average_beat"] + 0.05


def test_the_command_scores_a_network_of_another_file(mirror, tmp_path, monkeypatch):
    shutil.copy(TESTS / "their_network.py", tmp_path)
    monkeypatch.chdir(tmp_path)
    words = f"run days --data {mirror} --out days.csv --method their_network:fit --inputs II"
    done = CliRunner().invoke(app, [*words.split(), "--hearts", HEARTS[0]])
    assert done.exit_code == 0, done.output
    rows = read_table(tmp_path / "days_rows.csv").set_index("method")
    assert 0.3 < rows.loc["their_network:fit", "r_mean"] < 1
    assert is_whole(tmp_path / "days_manifest.json")


def test_the_example_of_a_method_is_short():
    lines = (TESTS / "their_network.py").read_text().split("import torch\n")[1].splitlines()
    assert sum(bool(line.strip()) for line in lines) <= 25


@pytest.mark.parametrize(
    "words", ["--plan tomorrow", "--method nobody:fit", "--method neighbours:", "--inputs V7"]
)
def test_a_plan_method_or_lead_that_is_not_there_is_bad_usage(mirror, tmp_path, words):
    line = f"run days --data {mirror} --out {tmp_path / 't.csv'} {words}"
    assert CliRunner().invoke(app, line.split()).exit_code == 2


def test_the_command_remakes_a_prior_with_its_manifest(mirror, tmp_path):
    out = tmp_path / "prior.npz"
    done = CliRunner().invoke(app, f"run prior --data {mirror} --out {out}".split())
    assert done.exit_code == 0, done.output
    assert _read_prior(out.read_bytes()).filters.shape == (12, 49, 8)
    manifest = json.loads(out.with_suffix(".json").read_text())
    assert len(manifest["hearts"]) == 8
    assert len(manifest["records"]) == 16
    assert manifest["cpu_s"] > 0


@pytest.fixture(scope="module")
def rows_folder(mirror, tmp_path_factory):
    folder = tmp_path_factory.mktemp("rows")
    run(mirror, folder / "ours.csv", *named(*QUICK), hearts=HEARTS[:1])
    run(mirror, folder / "theirs.csv", DayMethod("copy", copy_input), hearts=HEARTS[:1])
    return folder


def test_rows_of_the_same_test_can_be_compared(rows_folder):
    rows = day_scores.read_day_rows(rows_folder).set_index("method")
    assert set(rows.index) == {"copy", *QUICK}
    assert rows["comparable"].all()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"hearts": ["a", "b"]}, "2 hearts, not the 1"),
        ({"records": {"s0001_re": "0"}}, "other recordings under the same names"),
        ({"n_trial": 9}, "9 trials, not 2"),
        ({"yardstick": {"r": 0.1}}, "the average beat scores differently"),
    ],
)
def test_a_row_of_another_test_says_why_it_cannot_be_compared(rows_folder, tmp_path, change, why):
    folder = shutil.copytree(rows_folder, tmp_path / "rows")
    path = folder / "theirs_manifest.json"
    manifest = json.loads(path.read_text()) | change
    days.write_manifest(path, manifest)
    rows = day_scores.read_day_rows(folder).set_index("method")
    assert not rows.loc["copy", "comparable"]
    assert why in rows.loc["copy", "why_not"]
    path.write_text(json.dumps(manifest))
    with pytest.raises(ValueError, match=r"theirs_manifest\.json is absent, cut or changed"):
        day_scores.read_day_rows(folder)
