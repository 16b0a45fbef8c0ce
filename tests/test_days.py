"""The study of other days on a small simulated mirror: plans, protocol, what is refused."""

import json
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from ecgnb.cli.commands import app
from ecgnb.reconstruction.prior import (
    _read_prior,
    _share_of,
    clean_record,
    find_people,
    read_heart_shares,
)
from ecgnb.records.wfdb_files import read_record
from ecgnb.simulation.cohort import write_cohort
from ecgnb.studies import day_methods, days

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def mirror(tmp_path_factory):
    return write_cohort(tmp_path_factory.mktemp("mirror") / "days", n_twadb=1, n_patient=1)


@pytest.fixture(scope="module")
def sessions(mirror):
    return days._find_sessions(mirror)


HEARTS = ("ptbdb/patient001", "ptbdb/patient002")


class Twelve:
    """Every lead is the input: a model of anybody's."""

    def __init__(self, inputs, n_lead=12):
        self.n_lead = n_lead

    def predict(self, signals):
        return np.repeat(signals[:, None], self.n_lead, axis=1)


def copy_input(calibrations, inputs, *, seed):
    return Twelve(inputs)


def wrong_shape(calibrations, inputs, *, seed):
    return Twelve(inputs, n_lead=11)


def broken(calibrations, inputs, *, seed):
    raise RuntimeError("no network")


def test_pairs_are_all_ordered_pairs_of_one_heart(sessions):
    trials = days._plan_trials(sessions, "pairs")
    assert len(trials) == 16
    assert all(trial.calibrations[0].heart == trial.test.heart for trial in trials)
    assert all(trial.calibrations[0] is not trial.test for trial in trials)


def test_all_other_days_need_three_sessions(sessions):
    assert days._plan_trials(sessions, "others") == []
    third = days.Session(sessions[0].heart, "third", sessions[0].path, None)
    trials = days._plan_trials([*sessions[:2], third], "others")
    assert [len(trial.calibrations) for trial in trials] == [2, 2, 2]


def test_days_apart_are_those_to_the_nearest_calibration():
    first, second, third = (
        days.Session("a", str(number), Path(), date(1990, 10, number)) for number in (1, 17, 18)
    )
    assert days.Trial((first, second), third).days_apart == 1
    assert np.isnan(days.Trial((days.Session("a", "b", Path(), None),), third).days_apart)


def test_anybodys_method_is_scored_beside_our_own(mirror, tmp_path):
    methods = {"copy": copy_input, "neighbours": day_methods.DAY_METHODS["neighbours"]}
    done = days.run_days(
        mirror, tmp_path / "t.csv", methods=methods, inputs=("II",), hearts=HEARTS
    )
    assert done.failed == ()
    assert set(done.table["method"]) == {"copy", "neighbours"}
    assert len(done.table) == 4 * 2 * 11
    assert done.table["r"].between(-1, 1).all()
    assert done.table["expired"].between(0, 1).all()
    assert len(pd.read_csv(tmp_path / "t.csv")) == len(done.table)
    assert done.by_method().loc["neighbours", "II"] > done.by_method().loc["copy", "II"]


@pytest.mark.parametrize(
    ("fit", "what"),
    [(wrong_shape, r"shape \(1, 11, \d+\)"), (broken, "raised RuntimeError: no network")],
)
def test_a_wrong_method_is_named_and_the_others_keep_their_rows(mirror, tmp_path, fit, what):
    methods = {"theirs": fit, "copy": copy_input}
    done = days.run_days(
        mirror, tmp_path / "t.csv", methods=methods, inputs=("II",), hearts=HEARTS[:1]
    )
    assert set(done.table["method"]) == {"copy"}
    assert len(done.failed) == 2
    with pytest.raises(day_methods.MethodError, match=f"method theirs: .*{what}"):
        day_methods.predict_checked("theirs", fit, [], np.zeros((12, 500)), [1])


def test_numbers_that_are_not_finite_are_refused():
    with pytest.raises(day_methods.MethodError, match="not finite"):
        day_methods.predict_checked("copy", copy_input, [], np.full((12, 9), np.nan), [1])


def test_a_method_is_found_by_module_and_function():
    assert day_methods.load_method("neighbours")[1] is day_methods.DAY_METHODS["neighbours"]
    assert (
        day_methods.load_method("ecgnb.studies.day_methods:_fit_neighbours")[1]
        is day_methods.DAY_METHODS["neighbours"]
    )
    with pytest.raises(day_methods.MethodError, match="nobody:fit: not found"):
        day_methods.load_method("nobody:fit")


def test_what_is_learned_from_others_holds_no_share_of_the_heart_tested(mirror, sessions):
    shares = list(read_heart_shares(mirror))
    heart = sessions[0].heart
    with_it = days._without(
        "another_day", day_methods.DAY_METHODS["another_day"], shares, "nobody"
    )
    without = days._without("another_day", day_methods.DAY_METHODS["another_day"], shares, heart)
    pair = len(next(share.moves for share in shares if share.heart == heart))
    n_with, n_without = (len(fit.keywords["prior"].moves) for fit in (with_it, without))
    assert n_with - n_without == pair > 0


def test_the_method_reaches_its_score_on_real_other_days():
    data = ROOT.parent / "shared" / "data"
    if not (data / "ptbdb").is_dir():
        pytest.skip("needs ../shared/data/ptbdb")
    tested = "ptbdb/patient202"
    others = [f"ptbdb/patient{number}" for number in (201, 223, 229, 241, 245)]
    people = find_people(data)
    shares = [
        _share_of(heart, [clean_record(read_record(path)) for path in people[heart]])
        for heart in others
    ]
    trial = days._plan_trials(days._find_sessions(data, hearts=[tested]))[0]
    scores = {}
    for name in ("average_beat", "another_day"):
        fit = days._without(name, day_methods.DAY_METHODS[name], shares, tested)
        table = days._score_trial(trial, name, fit, inputs=("II",), first_s=10.0)
        scores[name] = table["r"].mean()
    # Another heart rate: 0.68 s and 0.95 s between beats.
    assert scores["another_day"] > scores["average_beat"] + 0.05


def test_the_command_scores_a_method_of_another_file(mirror, tmp_path, monkeypatch):
    (tmp_path / "theirs.py").write_text(
        "import numpy as np\n\n\n"
        "class Copy:\n"
        "    def predict(self, signals):\n"
        "        return np.repeat(signals[:, None], 12, axis=1)\n\n\n"
        "def fit(calibrations, inputs, *, seed):\n"
        "    return Copy()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    out = tmp_path / "days.csv"
    words = f"run days --data {mirror} --out {out} --method theirs:fit --inputs II".split()
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert set(pd.read_csv(out)["method"]) == {"theirs:fit"}


@pytest.mark.parametrize(
    "words", ["--plan tomorrow", "--method nobody:fit", "--method neighbours:"]
)
def test_a_plan_or_method_that_is_not_there_is_bad_usage(mirror, tmp_path, words):
    line = f"run days --data {mirror} --out {tmp_path / 't.csv'} {words}"
    assert CliRunner().invoke(app, line.split()).exit_code == 2


def test_the_command_remakes_a_prior_with_its_manifest(mirror, tmp_path):
    out = tmp_path / "prior.npz"
    done = CliRunner().invoke(app, f"run prior --data {mirror} --out {out}".split())
    assert done.exit_code == 0, done.output
    assert _read_prior(out).filters.shape == (12, 49, 8)
    assert len(json.loads(out.with_suffix(".json").read_text())["hearts"]) == 8
