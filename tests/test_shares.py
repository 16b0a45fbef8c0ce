import numpy as np
import pandas as pd
import pytest
from scipy import stats

from ecgnb import intervals, leads
from ecgnb.explanation import comparisons, shares
from ecgnb.signals.beats import WAVES


@pytest.fixture(scope="module")
def windows():
    return np.random.default_rng(0).normal(size=(5, 12, 60)).astype(np.float32)


def masks_of(edges):
    masks = {wave: np.zeros(60, dtype=bool) for wave in WAVES}
    for wave, start, stop in zip(WAVES, edges[:-1], edges[1:], strict=True):
        masks[wave][start:stop] = True
    return masks


def test_shares_add_up_to_one(windows):
    masks = masks_of([0, 5, 12, 20, 33, 50, 60])
    np.testing.assert_allclose(shares.lead_shares(windows).sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(shares._wave_shares(windows, masks).sum(axis=1), 1, rtol=1e-5)


def test_a_map_of_zeros_has_no_shares_and_is_left_out_of_comparisons():
    assert np.isnan(shares.lead_shares(np.zeros((1, 12, 60)))).all()
    table = groups_table(0.0)
    nothing = (table["patient"] == "hypertrophy 3") & (table["target"] == "two")
    table.loc[nothing, "share"] = np.nan
    ill, healthy = (
        shares.widen(table[table["condition"] == name])
        for name in ("hypertrophy", "healthy control")
    )
    assert set(comparisons._compare_groups(ill, healthy)["target"]) == {"one"}


def test_density_per_ms_of_an_even_map_is_one_everywhere(windows):
    table = shares.share_rows(np.ones((12, 60)), windows, masks_of([0, 5, 12, 20, 33, 50, 60]))
    np.testing.assert_allclose(table["per_ms"], 1)


def test_density_per_mv_of_a_map_of_amplitude_is_one_everywhere(windows):
    amplitude = np.abs(windows).mean(axis=0)
    table = shares.share_rows(amplitude, windows, masks_of([0, 5, 12, 20, 33, 50, 60]))
    np.testing.assert_allclose(table["per_mv"], 1, rtol=1e-5)


def test_a_wave_that_is_absent_has_no_density(windows):
    table = shares.share_rows(np.ones((12, 60)), windows, masks_of([0, 0, 12, 20, 33, 50, 60]))
    absent = table.set_index("name").loc["P"]
    assert absent["share"] == 0
    assert np.isnan(absent["per_ms"])


def test_the_permutation_test_is_that_of_scipy_when_all_ways_are_tried():
    generator = np.random.default_rng(1)
    first, second = generator.normal(0.8, 1, (5, 3)), generator.normal(0, 1, (6, 3))
    expected = stats.permutation_test(
        (first, second),
        lambda a, b, axis: np.abs(a.mean(axis=axis) - b.mean(axis=axis)),
        vectorized=True,
        n_resamples=np.inf,
        axis=0,
        alternative="greater",
    ).pvalue
    np.testing.assert_allclose(intervals._permutation_p(first, second), expected, atol=1e-6)


def test_random_permutations_come_near_all_of_them():
    generator = np.random.default_rng(2)
    first, second = generator.normal(0.5, 1, (7, 4)), generator.normal(0, 1, (8, 4))
    exact = intervals._permutation_p(first, second)
    drawn = intervals._permutation_p(first, second, n_permutation=4000)
    np.testing.assert_allclose(drawn, exact, atol=0.03)


def test_a_permutation_test_of_one_group_with_itself_finds_nothing():
    same = np.random.default_rng(3).normal(size=(6, 20))
    assert intervals._permutation_p(same, same.copy()).min() == 1


def groups_table(shift):
    """Return shares of two groups of 8 patients; in the second V2 gains `shift` from V3."""
    generator, rows = np.random.default_rng(0), []
    for condition in ("healthy control", "hypertrophy"):
        for patient in range(8):
            size = generator.uniform(0.9, 1.1, 12)
            size /= size.sum()
            size[7] += shift * (condition == "hypertrophy")
            size[8] -= shift * (condition == "hypertrophy")
            for target in ("one", "two"):
                names = pd.DataFrame({"name": leads.LEADS, "share": size, "axis": "lead"})
                label = {"condition": condition, "patient": f"{condition} {patient}"}
                rows.append(names.assign(**label, target=target, attribution="Grad-CAM"))
    return pd.concat(rows).assign(per_ms=1.0, per_mv=1.0)


def test_a_difference_that_was_put_in_has_an_interval_without_zero():
    sides = (shares.widen(rows) for _, rows in groups_table(0.05).groupby("condition"))
    healthy, ill = sides
    found = comparisons._compare_groups(ill, healthy)
    clear = found[(found["low"] > 0) | (found["high"] < 0)]
    assert {"V2", "V3"} <= set(clear["name"])
    assert (found["n_patient"] == 8).all()


def test_agreeing_pairs_are_those_of_the_same_sign_without_zero_and_not_their_net_count():
    clear, against = (0.2, 0.1, 0.3), (-0.2, -0.3, -0.1)
    vague, vague_against = (0.1, -0.1, 0.3), (-0.1, -0.3, 0.1)
    found = {"V1": (clear, clear, against), "V2": (vague, clear, vague_against)}
    targets = ("one", "two", "three")
    rows = [
        (target, name, *numbers)
        for name, each in found.items()
        for target, numbers in zip(targets, each, strict=True)
    ]
    columns = ["target", "name", "difference", "low", "high"]
    table = pd.DataFrame(rows, columns=columns).assign(axis="lead", attribution="Grad-CAM")
    found = comparisons._count_agreeing(table).set_index(["name", "target"])
    assert found.loc["V1", "agrees"].to_dict() == {"one": 2, "two": 2, "three": 1}
    assert found.loc["V2", "agrees"].to_dict() == {"one": 1, "two": 1, "three": 0}
    assert (found["pairs"] == 3).all()


@pytest.mark.parametrize(("condition", "n_patient"), [("healthy control", 8), ("hypertrophy", 2)])
def test_nobody_is_compared_with_themselves_nor_a_group_below_three_patients(condition, n_patient):
    table = groups_table(0.05).assign(attribution=shares.PATH)
    healthy = table[table["condition"] == "healthy control"]
    asked = table[table["condition"] == condition]
    few = asked[asked["patient"].isin(asked["patient"].unique()[:n_patient])]
    assert len(comparisons.compare_with_healthy(few, healthy, n_bootstrap=20)) == 0
    ill = table[table["condition"] == "hypertrophy"]
    assert len(comparisons.compare_with_healthy(ill, healthy, n_bootstrap=20)) == 24


def test_below_three_patients_there_are_no_intervals():
    two = groups_table(0.0)
    two = two[two["patient"].isin(["hypertrophy 0", "hypertrophy 1"])]
    found = shares.summarise_shares(two, n_bootstrap=20)
    assert found["low"].isna().all()
    assert found["share"].notna().all()


def test_a_summary_counts_patients_and_its_interval_holds_the_mean():
    found = shares.summarise_shares(groups_table(0.0), n_bootstrap=200)
    assert (found["n_patient"] == 8).all()
    assert ((found["low"] <= found["share"]) & (found["share"] <= found["high"])).all()
