import numpy as np
import pandas as pd
import pytest

from ecgnb.explanation import comparisons, group_scores, shares
from ecgnb.explanation.audit import judge_audit, ranking_agreement
from ecgnb.explanation.shares import TARGETS
from ecgnb.leads import LEADS
from ecgnb.signals.beats import WAVES
from ecgnb.studies import symptoms

METHODS = ("Grad-CAM", "integrated gradients")
HEALTHY = "healthy control"


def share_table(*, waves, leads, conditions=(HEALTHY, "hypertrophy"), n_patient=4):
    """Return shares of patients who are all alike, but for a little noise."""
    generator, rows = np.random.default_rng(0), []
    for condition in conditions:
        for patient in range(n_patient):
            for target in TARGETS:
                for method in METHODS:
                    for axis, sizes in (("wave", waves), ("lead", leads)):
                        noisy = np.array(sizes) * generator.uniform(0.999, 1.001, len(sizes))
                        table = pd.DataFrame({"name": shares.AXES[axis], "per_ms": noisy})
                        rows.append(
                            table.assign(
                                share=noisy / noisy.sum(),
                                per_mv=noisy,
                                axis=axis,
                                target=target,
                                attribution=method,
                                condition=condition,
                                patient=f"{condition} {patient}",
                            )
                        )
    return pd.concat(rows, ignore_index=True)


QRS_T = [1, 1.1, 6, 1.2, 5, 1.3]
FLAT = np.linspace(1, 1.1, len(LEADS))


def audit_rows(near, avl):
    tests = {
        "rank of near, plain": near,
        "rank of near, equal amplitude": near,
        "rank of aVL, plain": avl,
        "rank of aVL, equal amplitude": avl,
    }
    return pd.DataFrame(
        [
            {"test": test, "number": number, "target": target, "attribution": method}
            for test, number in tests.items()
            for target in TARGETS
            for method in METHODS
        ]
    )


def survived(table, audit):
    compared = comparisons.compare_with_healthy(table, n_bootstrap=20)
    equal = comparisons.compare_with_healthy(comparisons.equal_numbers(table), n_bootstrap=20)
    left = comparisons.survive(table, audit, compared, equal, n_bootstrap=20)
    return left.set_index("claim")


def test_claims_that_are_true_of_the_maps_survive():
    left = survived(share_table(waves=QRS_T, leads=FLAT), audit_rows(2.0, 12.0))
    for claim in ("qrs-t-focus", "v2-v4-most", "avl-least", "conditions-alike"):
        assert left.loc[claim, "share_of_tests"] == 1, claim
    assert left.loc["leads-differ-by-condition", "share_of_tests"] == 0


def test_claims_that_are_false_of_the_maps_fall():
    left = survived(share_table(waves=QRS_T[::-1], leads=FLAT), audit_rows(7.0, 1.0))
    for claim in ("qrs-t-focus", "v2-v4-most", "avl-least"):
        assert left.loc[claim, "share_of_tests"] == 0, claim


def test_no_condition_with_three_patients_leaves_the_comparison_open():
    table = share_table(waves=QRS_T, leads=FLAT, conditions=(HEALTHY,))
    left = survived(table, audit_rows(2.0, 12.0))
    assert np.isnan(left.loc["conditions-alike", "share_of_tests"])
    assert np.isnan(left.loc["leads-differ-by-condition", "share_of_tests"])


def test_equal_numbers_cut_every_group_to_the_smallest_of_three_or_more():
    tables = [
        share_table(waves=QRS_T, leads=FLAT, conditions=(name,), n_patient=count)
        for name, count in ((HEALTHY, 6), ("hypertrophy", 3), ("myocarditis", 2))
    ]
    cut = comparisons.equal_numbers(pd.concat(tables))
    counts = cut.groupby("condition")["patient"].nunique()
    assert counts.to_dict() == {HEALTHY: 3, "hypertrophy": 3}


def test_each_condition_is_compared_with_healthy_people_drawn_to_its_number():
    whole = share_table(waves=QRS_T, leads=FLAT, n_patient=4).assign(draw="all")
    drawn = share_table(waves=QRS_T, leads=FLAT, conditions=(HEALTHY,), n_patient=4)
    table = pd.concat([whole, drawn.assign(draw="4 drawn 0")]).assign(scaling="lead")
    found = comparisons.compare_matched(table.rename(columns={"condition": "trained_on"}))
    assert set(found["condition"]) == {"hypertrophy"}
    assert (found["n_other"] == 4).all()


def test_the_densest_waves_are_found():
    summary = shares.summarise_shares(share_table(waves=QRS_T, leads=FLAT), n_bootstrap=10)
    found = shares.densest_waves(summary)
    assert set(found["first"]) == {"QRS"}
    assert set(found["second"]) == {"T"}
    assert list(WAVES)[2] == "QRS"


def test_the_lead_with_the_largest_share_has_rank_one():
    leads = np.ones(12)
    leads[LEADS.index("aVL")] = 3
    found = shares.lead_ranks_of(share_table(waves=QRS_T, leads=leads), n_bootstrap=10)
    assert (found["avl"] == 1).all()
    assert ((found["avl_low"] <= found["avl"]) & (found["avl"] <= found["avl_high"])).all()


def test_a_ranking_agrees_with_itself():
    summary = shares.summarise_shares(
        share_table(waves=QRS_T, leads=np.arange(1, 13), conditions=(HEALTHY,)), n_bootstrap=10
    )
    found = ranking_agreement(summary, pd.Series(np.arange(12.0), index=LEADS))
    np.testing.assert_allclose(found["number"], 1)


@pytest.mark.parametrize(
    ("numbers", "verdict"),
    [((0.1, 0.2), "passes"), ((0.1, 0.9), "depends on the target"), ((0.8, 0.9), "fails")],
)
def test_the_verdict_of_an_audit_test_counts_targets(numbers, verdict):
    table = pd.DataFrame({"number": numbers, "target": ["one", "two"]})
    table = table.assign(test="randomised down to first", attribution="Grad-CAM")
    assert judge_audit(table)["verdict"].tolist() == [verdict]


def scores(**errors):
    rows = []
    for method, error in errors.items():
        for patient in range(5):
            size = error * (1 + 0.1 * patient)
            rows += [(HEALTHY, f"p{patient}", method, lead, size, 0.9) for lead in LEADS[:2]]
    columns = ["condition", "patient", "method", "lead", "mse", "r"]
    return pd.DataFrame(rows, columns=columns)


def test_half_the_error_for_every_patient_is_a_ratio_of_a_half_without_spread():
    row = group_scores._compare_scores(scores(VAE=0.1, PCA=0.2)).iloc[0]
    assert row[["ratio", "low", "high"]].tolist() == pytest.approx([0.5, 0.5, 0.5])
    assert (row["won"], row["n_patient"]) == (1, 5)


def test_scores_are_summarised_over_patients_with_the_worst_one():
    row = group_scores.summarise_scores(scores(VAE=0.1), n_bootstrap=50).iloc[0]
    assert row["mse"] == pytest.approx(0.12)
    assert row["mse_highest"] == pytest.approx(0.14)
    assert row["n_patient"] == 5
    assert len(group_scores.summarise_scores(scores(VAE=0.1), by_lead=True, n_bootstrap=50)) == 2


def test_a_model_of_healthy_people_that_fails_on_others_is_told():
    whole = pd.concat(
        [scores(VAE=0.1), scores(VAE=0.4).assign(condition="hypertrophy")], ignore_index=True
    )
    found = symptoms.compare_foreign(whole.assign(trained_on=HEALTHY, draw="all", scaling="lead"))
    assert found["low"] > 0
    assert found["symptoms"] == pytest.approx(0.48)
