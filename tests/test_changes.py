"""Memory or change: cases whose truth is known, twins, the run as tasks."""

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from ecgnb.cli.commands import app
from ecgnb.files import is_whole, read_table
from ecgnb.leads import derive_leads, independent_signals, lead_index
from ecgnb.reconstruction.prior import clean_record
from ecgnb.simulation.cohort import write_days
from ecgnb.simulation.synthesis import SimulationOptions, simulate_record, simulate_twins
from ecgnb.studies import changes

QUIET = {"wander_uv": 5.0, "noise_uv": 2.0, "mains_uv": 0.0, "nondipolar": 0.0}


def heart(seed, *, duration_s=20.0, **options):
    options = SimulationOptions(duration_s=duration_s, patient_seed=3, **(QUIET | options))
    return clean_record(simulate_record(options, seed=seed).record)


def knows_all(test):
    return changes.Fitted("knows all", (1,), lambda signals: test)


def table(rows):
    return pd.DataFrame(rows, columns=changes._COLUMNS)


def summary(rows):
    return changes._summarise_changes(table(rows)).iloc[0]


def raise_st(signals, uv):
    """Add a plateau to each ST segment, by so many microvolts in lead V3."""
    peaks = changes.find_peaks(signals, 250.0)
    added = np.zeros_like(signals)
    for peak in peaks:
        added[lead_index("V3"), peak + 18 : peak + 60] += uv / 1000
    return signals + added


def test_who_knows_all_shows_every_st_change_and_gives_no_false_alarm():
    then, today = heart(1), heart(2)
    found = summary(
        changes._st_cases([knows_all(raise_st(today, 300.0))], "a", then, raise_st(today, 300.0))
    )
    assert found["n_new"] >= 1
    assert (found["shown"], found["false"]) == (1.0, 0.0)
    rows = table(changes._st_cases([knows_all(today)], "a", then, raise_st(today, 300.0)))
    of_v3 = rows[rows["lead"] == "V3"].iloc[0]
    assert of_v3["true_uv"] == pytest.approx(300.0, abs=60)
    assert abs(of_v3["told_uv"]) < 60


def test_the_old_beat_tells_no_st_change_where_the_qrs_complex_has_grown_broader():
    then, today = heart(1), heart(2)
    broad = changes.Fitted("old beat", (1,), lambda signals: then_at(today))
    beat = changes.beat_at(then, changes.find_peaks(then, 250.0))

    def then_at(test):
        peaks = changes.find_peaks(test, 250.0)
        return changes.paste_beats(beat, peaks, test.shape[1], before=changes.BEFORE_R)

    rows = table(changes._st_cases([broad], "a", then, raise_st(today, 300.0)))
    assert rows["told_uv"].abs().max() < 1


def test_three_leads_tell_what_a_dipole_does_in_all_others():
    then, today = heart(1), heart(5, alternans_uv=0.0)
    visible = [lead_index(name) for name in ("I", "II", "V2")]
    predict = changes._fit_spatial(then[:, :2500], visible)
    turned = derive_leads(independent_signals(today) * 1.3)
    found = predict(turned[visible])
    error = np.abs(found - turned).max() / np.abs(turned).max()
    assert error < 0.05
    one = changes._fit_spatial(then[:, :2500], visible[1:2])(turned[visible[1:2]])
    assert np.abs(one - turned).max() > 2 * np.abs(found - turned).max()


def test_planted_alternans_is_of_the_size_that_is_said_and_told_by_who_knows_all():
    then, today = heart(1), heart(2)
    average = changes.beat_at(then, changes.find_peaks(then, 250.0))
    peaks = changes.find_peaks(today, 250.0)
    planted = changes._alternating(average, peaks, today.shape[1])
    apart = changes._difference_by_turns(planted, peaks)
    assert 1000 * np.abs(apart).max() == pytest.approx(changes.PLANTED_UV, rel=0.02)
    answers = iter((today, today + planted))
    fitted = changes.Fitted("knows all", (1,), lambda signals: next(answers))
    found = summary(changes._alternans_cases([fitted], "a", then, today))
    assert found["n_new"] >= 5
    assert (found["shown"], found["false"]) == (1.0, 0.0)


def test_a_stretch_without_unlike_beats_is_found_and_the_rest_holds_them():
    signals = heart(4, duration_s=60.0, ectopic_share=0.1)
    calibration, rest = changes._split_at_unlike(signals)
    assert calibration.shape[1] == 2500
    assert rest.shape[1] > 2500
    assert changes._split_at_unlike(heart(4, duration_s=60.0, ectopic_share=0.0)) is None


def test_ectopic_beats_are_new_in_most_leads_and_the_old_beat_does_not_show_them():
    signals = heart(4, duration_s=60.0, ectopic_share=0.1)
    calibration, rest = changes._split_at_unlike(signals)
    found = summary(changes._unlike_cases([knows_all(rest)], "a", calibration, rest))
    assert found["n_new"] > 20
    assert (found["shown"], found["false"]) == (1.0, 0.0)
    beat = changes.beat_at(calibration, changes.find_peaks(calibration, 250.0))
    peaks = changes.find_peaks(rest, 250.0)
    pasted = changes.paste_beats(beat, peaks, rest.shape[1], before=changes.BEFORE_R)
    assert (
        summary(changes._unlike_cases([knows_all(pasted)], "a", calibration, rest))["shown"] < 0.05
    )


def test_sensitivity_and_false_alarms_of_known_cases():
    rows = [("ST segment", "m", 1, heart_, "V1", true, told) for heart_, true, told in (
        ("a", 200.0, 120.0), ("a", -200.0, -50.0), ("b", 150.0, 150.0), ("b", 10.0, 130.0),
        ("b", 70.0, 130.0), ("a", 0.0, 10.0), ("a", np.nan, np.nan),
    )]  # fmt: skip
    found = summary(rows)
    assert (found["n_new"], found["n_quiet"], found["n_heart"]) == (3, 2, 2)
    assert found["shown"] == pytest.approx((0.5 + 1.0) / 2)
    assert found["false"] == pytest.approx((0.0 + 1.0) / 2)


def test_two_hearts_with_the_same_lead_differ_elsewhere_and_no_method_can_tell():
    one, other = simulate_twins(seed=2)
    assert np.abs(one.lead("II") - other.lead("II")).max() < 1e-9
    assert np.abs(one.lead("V3") - other.lead("V3")).max() > 0.2
    assert one.comments == ("Simulated by ecgnb",)


def test_hearts_that_are_nowhere_alike_have_no_twin():
    beats = {name: np.full((12, 9), float(n)) * np.arange(9) for n, name in enumerate("abc", 1)}
    assert changes._find_twins(beats) == ()
    assert len(changes._twin_table(beats)) == 0


def test_the_command_writes_summary_twins_and_manifest_and_goes_on(tmp_path):
    folder = write_days(tmp_path / "days", n_heart=2, n_day=2, duration_s=12.0)
    out = tmp_path / "changes.csv"
    words = f"run changes --data {folder} --out {out}".split()
    for _ in range(2):
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, done.output
        times = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.tasks/*.rows.csv")}
        assert len(times) == 4
    found = read_table(out)
    assert set(found["method"]) == {"spatial", *changes.SINGLE}
    assert set(found.loc[found["method"] == "spatial", "n_visible"]) == {1, 2, 3}
    assert all(is_whole(tmp_path / f"changes_{name}") for name in ("twins.csv", "manifest.json"))
