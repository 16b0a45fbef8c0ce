import numpy as np
import pandas as pd
import pytest

from ecgnb.explanation import comparisons, group_scores, shares
from ecgnb.explanation.audit import judge_audit
from ecgnb.explanation.shares import TARGETS, ranking_agreement
from ecgnb.leads import LEADS
from ecgnb.signals.beats import WAVES
from ecgnb.studies import symptoms

METHODS = ("Grad-CAM", shares.PATH)
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


LOUD = {"size": 0.5, "size_uv": 100.0}


def refit_table(*, apart=0.0, planted=0.0, people="recorded", n_refit=12, spread=0.01, seed=0):
    """Return refits of healthy people and of a condition, whose V2 gains `apart` from V3.

    Beside them simulated ones, whose V2 gains `planted`.
    """
    generator, rows = np.random.default_rng(seed), []
    for who, gain in (("recorded", apart), ("simulated", planted)):
        for condition, parts in ((HEALTHY, "ab"), ("hypertrophy", "a")):
            for number in range(n_refit):
                for part in parts:
                    share = 1 / 12 + generator.normal(0, spread, 12)
                    share[7] += gain * (condition != HEALTHY)
                    share[8] -= gain * (condition != HEALTHY)
                    table = pd.DataFrame({"name": LEADS, "share": share, "axis": "lead"})
                    label = {"people": who, "condition": condition, "number": number}
                    label |= {"severity": 1.0, "part": part, "measure": "latent_norm"}
                    rows.append(table.assign(**label, **LOUD))
    return pd.concat(rows, ignore_index=True)


def judged(**how):
    table = comparisons.judge_refits(refit_table(**how), n_bootstrap=50)
    return table.set_index("people")


def test_a_large_planted_difference_is_found_and_none_is_found_as_often_as_chance_says():
    assert judged(planted=0.2).loc["simulated", "beyond"] == 1
    shares_beyond = [judged(seed=seed).loc["simulated", "beyond"] for seed in range(20)]
    assert 0.02 < np.mean(shares_beyond) < 0.1


def test_the_distance_of_groups_is_the_mean_absolute_difference_of_their_profiles():
    row = judged(apart=0.12, spread=1e-9).loc["recorded"]
    assert row["distance"] == pytest.approx(2 * 0.12 / 12, rel=1e-4)
    assert row["p"] == pytest.approx(1 / 13)
    assert (row["n_refit"], row["n_healthy"]) == (12, 24)


def test_more_refits_together_find_what_single_ones_do_not_and_real_people_have_none():
    table = refit_table(planted=0.02, n_refit=24)
    single, several = (
        comparisons.judge_refits(table, together=count, n_bootstrap=20) for count in (1, 8)
    )
    assert set(several["people"]) == {"simulated"}
    power = [each.set_index("people").loc["simulated", "beyond"] for each in (single, several)]
    assert power[0] < 0.5 < power[1]
    nothing = comparisons.judge_refits(refit_table(n_refit=24), together=8, n_bootstrap=20)
    assert nothing["beyond"].item() < 0.3


def test_real_people_without_a_difference_are_not_told_apart():
    assert judged().loc["recorded", "p"] > 0.1


def test_without_two_groups_of_healthy_people_nothing_is_judged():
    table = refit_table()
    one_group = table[(table["part"] == "a") & (table["people"] == "recorded")]
    assert len(comparisons.judge_refits(one_group)) == 0


def test_a_size_is_known_only_where_it_and_all_larger_ones_are_found():
    rows = [(0.1, 0.9), (0.2, 0.5), (0.3, 0.8), (0.4, 1.0)]
    table = pd.DataFrame(rows, columns=["size", "beyond"]).assign(
        people="simulated",
        measure="withheld",
        axis="lead",
        condition="hypertrophy",
        size_uv=1.0,
        together=1,
    )
    assert comparisons.smallest_found(table)["size"].tolist() == [0.3]
    weak = comparisons.smallest_found(table.assign(beyond=0.4))
    assert np.isnan(weak["size"].item())


def survived(table, audit, **refits):
    found = comparisons.judge_refits(refit_table(**refits), n_bootstrap=50)
    return comparisons.survive(table, audit, found, n_bootstrap=20).set_index("claim")


def test_claims_that_are_true_of_the_maps_survive():
    true = {"apart": 0.2, "planted": 0.2, "n_refit": 24}
    left = survived(share_table(waves=QRS_T, leads=FLAT), audit_rows(2.0, 12.0), **true)
    assert (left["share_of_tests"] == 1).all()


def test_claims_that_are_false_of_the_maps_fall():
    false = {"planted": 0.2}
    left = survived(share_table(waves=QRS_T[::-1], leads=FLAT), audit_rows(7.0, 1.0), **false)
    for claim in ("qrs-t-focus", "v2-v4-most", "avl-least", "leads-differ-by-condition"):
        assert left.loc[claim, "share_of_tests"] == 0, claim


def test_no_difference_is_claimed_where_a_planted_one_is_not_found_either():
    left = survived(share_table(waves=QRS_T, leads=FLAT), audit_rows(2.0, 12.0))
    assert np.isnan(left.loc["leads-differ-by-condition", "share_of_tests"])


def test_no_condition_with_three_patients_leaves_the_comparison_open():
    table = share_table(waves=QRS_T, leads=FLAT, conditions=(HEALTHY,))
    left = survived(table, audit_rows(2.0, 12.0))
    assert np.isnan(left.loc["conditions-alike", "share_of_tests"])


def test_what_is_lost_without_a_lead_has_a_say_in_the_claims_about_leads():
    lost = pd.DataFrame({"lead": LEADS, "r2_lost": np.arange(12.0)})
    assert comparisons.withheld_ranks(lost) == {"near": 4.0, "aVL": 8.0}
    found = comparisons.judge_refits(refit_table(), n_bootstrap=50)
    table, audit = share_table(waves=QRS_T, leads=FLAT), audit_rows(2.0, 12.0)
    left = comparisons.survive(table, audit, found, lost, n_bootstrap=20).set_index("claim")
    assert 0.8 < left.loc["avl-least", "share_of_tests"] < 1


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
    assert set(found["attribution"]) == {shares.PATH}
    assert shares.NAMED_LEAD not in set(found["target"])


@pytest.mark.parametrize(
    ("numbers", "verdict"),
    [((0.1, 0.2), "passes"), ((0.1, 0.9), "depends on the target"), ((0.8, 0.9), "fails")],
)
def test_the_verdict_of_an_audit_test_counts_targets(numbers, verdict):
    table = pd.DataFrame({"number": numbers, "target": ["latent_norm", "error_T"]})
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
    row = group_scores.compare_scores(scores(VAE=0.1, PCA=0.2)).iloc[0]
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
    found = symptoms.compare_foreign(whole.assign(trained_on=HEALTHY, scaling="lead"))
    assert found["low"] > 0
    assert found["symptoms"] == pytest.approx(0.48)
