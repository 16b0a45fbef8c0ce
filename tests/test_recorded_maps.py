"""What the recorded run says of VAEs and their maps, beside figures of an independent audit."""

import json
from pathlib import Path

import pandas as pd
import pytest

from ecgnb.explanation import audit, comparisons, group_scores, shares
from ecgnb.explanation.shares import TARGETS
from ecgnb.leads import LEADS

RESULTS = Path(__file__).resolve().parent.parent / "results"
HEALTHY = "healthy control"
# VAE over principal components of the same people and augmented beats, found independently.
AUDITED = {
    HEALTHY: 0.87,
    "myocardial infarction": 0.98,
    "bundle branch block": 1.12,
    "hypertrophy": 1.61,
    "cardiomyopathy": 1.67,
}


def recorded(name):
    (path,) = (p for p in RESULTS.glob(f"{name}.csv*") if p.suffix != ".sha256")
    return pd.read_csv(path)


@pytest.fixture(scope="module")
def ratios():
    return group_scores.real_ratios(recorded("conditions_scores"), recorded("conditions_fits"))


@pytest.mark.parametrize("condition", AUDITED)
def test_the_ratio_of_vae_and_pca_is_that_of_the_independent_audit(ratios, condition):
    assert ratios.loc[condition, "ratio"] == pytest.approx(AUDITED[condition], abs=0.02)


def test_no_vae_is_shown_to_beat_pca_of_the_same_people_and_beats(ratios):
    assert (ratios["high"] > 1).all()
    assert (ratios["ratio"] > 1).sum() == 3


def test_against_pca_of_the_training_people_alone_the_vae_of_healthy_people_gains(ratios):
    assert ratios.loc[HEALTHY, "training_high"] < 1


def test_the_tables_hold_each_patient_once_and_whole_groups_only():
    table = group_scores.whole_groups(recorded("conditions_scores"))
    own = table[table["condition"] == table["trained_on"]]
    assert not own.duplicated(["patient", "method", "lead"]).any()
    assert own[own["condition"] == HEALTHY]["patient"].nunique() == 19
    found = recorded("conditions_withheld")
    assert found.groupby("patient")["lead"].apply(list).map(set(LEADS).issuperset).all()
    assert found["patient"].nunique() == 19


def test_every_test_of_the_rules_was_put_to_the_maps_of_real_people():
    table = recorded("conditions_audit")
    judged = audit.judge_audit(table[table["scaling"] == "lead"])
    asked = {(test, how) for test, rule in audit.RULES.items() for how in rule.attributions}
    asked -= {(test, how) for test, how in asked if test == "agrees with reconstruction"}
    assert set(zip(judged["test"], judged["attribution"], strict=True)) == asked
    every = judged[judged["test"] == "deletion against random"]
    assert (every["targets"] == len(TARGETS)).all()


def test_the_manifest_says_which_rules_judge_and_which_part_is_of_which_day():
    manifest = json.loads((RESULTS / "conditions_manifest.json").read_text())
    assert manifest["rules_fixed"] == audit.RULES_FIXED
    assert set(manifest["rules"]) == set(audit.RULES)
    assert {"2026-11-25", "2026-11-26"} == set(manifest["recorded"])


@pytest.fixture(scope="module")
def refits():
    return comparisons.judge_refits(recorded("power"), n_bootstrap=200)


def test_each_refit_of_the_power_study_is_there_once():
    table = recorded("power")
    keys = ["people", "condition", "severity", "number", "part", "measure", "axis", "name"]
    assert not table.duplicated(keys).any()
    counts = table[keys[:5]].drop_duplicates().groupby(["people", "condition"]).size()
    assert counts["simulated"].to_dict() == {
        HEALTHY: 64, "hypertrophy": 48, "myocardial infarction": 48
    }  # fmt: skip
    assert counts["recorded"].to_dict() == {
        HEALTHY: 64, "bundle branch block": 12, "myocardial infarction": 12
    }  # fmt: skip
    manifest = json.loads((RESULTS / "power_manifest.json").read_text())
    assert manifest["options"]["n_people"] == 8
    assert manifest["people"][HEALTHY] == 19


def test_larger_planted_differences_are_found_more_often_in_waves(refits):
    planted = refits[(refits["people"] == "simulated") & (refits["axis"] == "wave")]
    for _, rows in planted.groupby(["measure", "condition"]):
        rows = rows.sort_values("size")
        assert rows["beyond"].iloc[-1] > rows["beyond"].iloc[0]


def test_with_six_refits_the_positive_control_is_found_in_waves_and_not_in_leads():
    several = comparisons.judge_refits(recorded("power"), together=6, n_bootstrap=2)
    most = several.groupby("axis")["beyond"].max()
    assert most["wave"] > 0.9
    assert most["lead"] < 0.3


def test_no_condition_is_told_from_health_and_none_can_be_called_alike(refits):
    """With eight people a refit there is no power: differences cannot be told either way."""
    real = refits[(refits["people"] == "recorded") & (refits["axis"] == "lead")]
    assert len(real) == 6
    assert (real["p"] > shares.LEVEL).all()
    planted = refits[(refits["people"] == "simulated") & (refits["axis"] == "lead")]
    assert planted["beyond"].max() < 0.1
    table = comparisons.recorded_shares(recorded("conditions_shares"))
    found = recorded("conditions_audit")
    left = comparisons.survive(table, found, refits, n_bootstrap=20).set_index("claim")
    assert pd.isna(left.loc["leads-differ-by-condition", "share_of_tests"])


def test_nothing_is_called_absent_without_power(refits):
    known = comparisons.smallest_found(refits)
    for _, row in known.iterrows():
        chosen = refits[refits["people"] == "simulated"]
        for key in ("measure", "axis", "condition"):
            chosen = chosen[chosen[key] == row[key]]
        at_least = chosen[chosen["size"] >= row["size"]]
        assert (at_least["beyond"] >= shares.ENOUGH_POWER).all()
