import numpy as np
import pandas as pd
import pytest

from ecgnb.intervals import Estimate, bootstrap_mean, compare_means, correlation, paired_p
from ecgnb.leads import LEADS
from ecgnb.reconstruction.scores import (
    compare_leads,
    compare_methods,
    hearts_of,
    score_pairs,
    summarise,
)
from ecgnb.signals.preparation import Scaling

SCALING = Scaling(np.zeros((12, 1)), np.full((12, 1), 2.0))


@pytest.fixture
def truth():
    return np.random.default_rng(0).normal(size=(12, 400))


def broadcast(truth):
    return np.repeat(truth[None], 12, axis=0)


def test_a_lead_that_is_seen_scores_one(truth):
    scores = score_pairs(truth, broadcast(truth), SCALING)
    assert len(scores) == 132
    np.testing.assert_allclose(scores["r"], 1)
    np.testing.assert_allclose(scores["mse"], 0)


def test_a_pair_of_a_lead_with_itself_is_not_scored(truth):
    scores = score_pairs(truth, broadcast(truth), SCALING)
    assert (scores["input_lead"] != scores["output_lead"]).all()


def test_scrambled_truth_destroys_the_score(truth):
    scrambled = truth[:, np.random.default_rng(1).permutation(400)]
    scores = score_pairs(scrambled, broadcast(truth), SCALING)
    assert scores["r"].abs().mean() < 0.1


def test_a_flat_lead_is_undefined_and_counted(truth):
    truth[4] = 3.0
    scores = score_pairs(truth, broadcast(truth), SCALING).assign(
        record="a", origin="", method="m"
    )
    flat = scores[scores["output_lead"] == LEADS[4]]
    assert flat["r"].isna().all()
    assert summarise(scores)["n_undefined"].item() == 11


def test_r_is_that_of_numpy_wherever_it_is_defined(truth):
    guess = truth + np.random.default_rng(2).normal(size=truth.shape)
    for size in (1.0, 1e-4, 1e3):
        wanted = [np.corrcoef(*pair)[0, 1] for pair in zip(truth, guess, strict=True)]
        np.testing.assert_allclose(correlation(truth, size * guess), wanted, rtol=1e-12)


@pytest.mark.parametrize("flat", ["truth", "guess", "both"])
def test_a_flat_signal_has_no_r_on_either_side_and_no_warning(truth, flat):
    signals = {"truth": truth[0].copy(), "guess": truth[1].copy()}
    for name in signals if flat == "both" else [flat]:
        signals[name][:] = 1 / 3
    assert np.isnan(correlation(**signals))


def test_predictions_that_numpy_would_stretch_over_the_truth_are_refused(truth):
    whole = broadcast(truth)
    for wrong in (whole[:1], whole[..., :1], truth, whole[:, 0]):
        with pytest.raises(ValueError, match=r"predictions must be \(input, lead, time\)"):
            score_pairs(truth, wrong, SCALING)
        with pytest.raises(ValueError, match="average_beat must be"):
            score_pairs(truth, whole, SCALING, average_beat=wrong)


def test_slope_and_variance_ratio_see_what_r_cannot(truth):
    scores = score_pairs(truth, 0.5 * broadcast(truth), SCALING)
    np.testing.assert_allclose(scores["r"], 1)
    np.testing.assert_allclose(scores["slope"], 0.5)
    np.testing.assert_allclose(scores["variance_ratio"], 0.25)


def test_the_error_in_millivolts_uses_the_factor_of_the_lead(truth):
    scores = score_pairs(truth, broadcast(truth) + 0.1, SCALING)
    np.testing.assert_allclose(scores["rmse_mv"], 0.2)


def test_beyond_the_average_beat_is_the_share_of_its_error_removed(truth):
    beat = broadcast(truth) + 1.0
    scores = score_pairs(truth, broadcast(truth) + 0.5, SCALING, average_beat=beat)
    np.testing.assert_allclose(scores["r2_beyond_average_beat"], 0.75)


def test_the_interval_counts_groups_and_not_rows():
    values = np.repeat([0.0, 1.0], 500)
    estimate = bootstrap_mean(values, groups=np.repeat(["a", "b"], 500))
    assert estimate.n == 2
    assert (estimate.low, estimate.value, estimate.high) == (0.0, 0.5, 1.0)


def test_nothing_to_average_gives_nan_and_n_of_zero():
    estimate = bootstrap_mean([np.nan])
    assert estimate.n == 0
    assert np.isnan(estimate.value)


# Records a heart as in twadb: five synthetic hearts and a person in many copies, most hearts once.
COPIES = [6, 6, 5, 5, 4, 4, 2, 2, 2] + [1] * 24
SHAPES = {
    "normal": lambda generator, shape: generator.normal(size=shape),
    "skewed as r": lambda generator, shape: 0.5 / 8.5 - generator.beta(0.5, 8.0, size=shape),
}


def coverage(n_heart, shape, *, by, n_repeat=500):
    """Share of simulated repetitions whose interval holds the true mean, which is 0."""
    generator, held = np.random.default_rng(n_heart), 0
    hearts = np.repeat(np.arange(n_heart), COPIES[:n_heart])
    for _ in range(n_repeat):
        means = SHAPES[shape](generator, n_heart)
        values = means[hearts] + 0.01 * generator.normal(size=hearts.size)
        found = bootstrap_mean(values, groups=hearts if by == "heart" else None)
        held += found.low <= 0 <= found.high
    return held / n_repeat


@pytest.mark.parametrize("shape", SHAPES)
def test_the_interval_over_33_hearts_covers_the_true_mean_and_one_over_60_records_does_not(shape):
    assert (len(COPIES), sum(COPIES)) == (33, 60)
    by_heart, by_record = (coverage(33, shape, by=by) for by in ("heart", "record"))
    print(f"{shape}: by heart {by_heart:.3f}, by record {by_record:.3f}")
    assert by_heart >= 0.92
    assert by_record < 0.85


@pytest.mark.parametrize(
    ("n_heart", "shape", "least"),
    [
        (10, "normal", 0.92),
        (5, "normal", 0.88),
        (10, "skewed as r", 0.82),
        (5, "skewed as r", 0.75),
    ],
)
def test_few_hearts_are_covered_less_often_the_more_skewed_they_are(n_heart, shape, least):
    held = coverage(n_heart, shape, by="heart")
    print(f"{n_heart} hearts, {shape}: {held:.3f}")
    assert held >= least


def test_more_records_of_one_heart_neither_move_nor_narrow_the_interval():
    values, hearts = np.array([0.1, 0.5, 0.9]), np.array(["a", "b", "c"])
    once = bootstrap_mean(values, groups=hearts)
    again = bootstrap_mean([*values, 0.1, 0.1], groups=[*hearts, "a", "a"])
    assert again == once
    assert bootstrap_mean([*values, 0.1, 0.1]).value < once.value


def test_the_difference_of_two_groups_of_people_is_covered():
    generator, held = np.random.default_rng(0), 0
    for _ in range(300):
        first, second = generator.normal(size=9), 2 * generator.normal(size=14)
        found = compare_means(first, second, n_bootstrap=1000)
        held += found["low"] <= 0 <= found["high"]
    assert held / 300 >= 0.92


def test_turned_signs_give_the_probability_that_counting_gives():
    values = np.array([0.3, 0.1, -0.2, 0.4])
    turned = [abs(np.dot(1 - 2 * np.array(bits), values)) for bits in np.ndindex(2, 2, 2, 2)]
    counted = np.mean([total >= 0.6 - 1e-12 for total in turned])
    assert paired_p(values) == pytest.approx(counted)
    assert paired_p(np.arange(1.0, 30.0)) == pytest.approx(1e-4)


def test_the_word_for_an_estimate_follows_its_interval():
    words = ("gains", "loses", "no difference can be told")
    assert Estimate(0.1, 0.01, 0.2, 9).pick(*words) == "gains"
    assert Estimate(-0.1, -0.2, -0.01, 9).pick(*words) == "loses"
    assert Estimate(0.1, -0.01, 0.2, 9).pick(*words) == words[2]
    assert Estimate(0.1, 0.01, 0.2, 9).pick(*words, limit=0.05) == words[2]


def one_heart_in_copies():
    """Three records of one heart of twadb and one of another, two methods."""
    names = ["twa11", "twa19", "twa42", "twa90"]
    rows = [
        (name, "ptbdb", method, r, 1 - r)
        for name, gain in zip(names, (0.1, 0.1, 0.1, 0.3), strict=True)
        for method, r in (("new", 0.5 + gain), ("old", 0.5))
    ]
    return pd.DataFrame(rows, columns=["record", "origin", "method", "r", "mse"])


def test_scores_are_summarised_by_heart():
    table = one_heart_in_copies().assign(r2_beyond_average_beat=0.0, rmse_mv=0.1)
    table = table.assign(input_lead="I", output_lead="II")
    row = summarise(table).set_index("method").loc["new"]
    assert (row["n_record"], row["n_heart"]) == (4, 2)
    assert row["r_mean"] == pytest.approx(0.7)
    assert (row["r_low"], row["r_high"]) == pytest.approx((0.6, 0.8))


def test_methods_are_compared_by_heart():
    found = compare_methods(one_heart_in_copies(), "new", "old")
    assert found["difference"].n == 2
    assert found["difference"].value == pytest.approx(0.2)


def test_a_table_that_tells_no_hearts_is_refused():
    with pytest.raises(ValueError, match="hearts are told by a column `heart`, or by"):
        compare_methods(one_heart_in_copies().drop(columns="origin"), "new", "old")


def test_a_heart_that_is_told_counts_before_the_name_of_the_record():
    table = pd.DataFrame(
        {"record": ["x", "y", "twa11"], "heart": ["p", "p", None], "origin": ["", "", "ptbdb"]}
    )
    assert hearts_of(table).tolist() == ["p", "p", "patient049"]


def test_leads_are_compared_within_hearts():
    """II is better by 0.1 in each heart; the hearts differ so much that intervals overlap."""
    rows = [
        (heart, "", lead, "V1", level + gain)
        for heart, level in zip("abcdefgh", np.linspace(0.1, 0.8, 8), strict=True)
        for lead, gain in (("I", 0.0), ("II", 0.1))
    ]
    table = pd.DataFrame(rows, columns=["record", "origin", "input_lead", "output_lead", "r"])
    table = table.assign(mse=0.0, rmse_mv=0.0, r2_beyond_average_beat=0.0)
    found = compare_leads(table).iloc[0]
    assert (found["best_lead"], found["input_lead"]) == ("II", "I")
    assert found["low"] == pytest.approx(0.1)
    assert found["share_won"] == 1
    assert found["p"] == pytest.approx(2 / 2**8)


def test_methods_are_compared_on_the_same_records():
    table = pd.DataFrame(
        {
            "record": ["a", "a", "b", "b", "c"],
            "origin": "",
            "method": ["x", "y", "x", "y", "x"],
            "r": [0.9, 0.7, 0.8, 0.85, 0.1],
        }
    )
    found = compare_methods(table, "x", "y")
    assert found["difference"].n == 2
    assert found["difference"].value == pytest.approx(0.075)
    assert found["share_won"] == 0.5
