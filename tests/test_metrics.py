import numpy as np
import pandas as pd
import pytest

from ecgnb.intervals import bootstrap_mean, correlation
from ecgnb.leads import LEADS
from ecgnb.reconstruction.scores import compare_by_origin, compare_methods, score_pairs, summarise
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
    scores = score_pairs(truth, broadcast(truth), SCALING).assign(record="a", method="m")
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


def test_methods_are_compared_on_the_same_records():
    table = pd.DataFrame(
        {
            "record": ["a", "a", "b", "b", "c"],
            "method": ["x", "y", "x", "y", "x"],
            "r": [0.9, 0.7, 0.8, 0.85, 0.1],
        }
    )
    found = compare_methods(table, "x", "y")
    assert found["difference"].n == 2
    assert found["difference"].value == pytest.approx(0.075)
    assert found["share_won"] == 0.5


def test_an_origin_is_compared_on_its_own_records():
    rows = [
        (record, origin, method, r, 1 - r)
        for record, origin, gain in (("a", "x", 0.1), ("b", "x", 0.3), ("c", "y", -0.2))
        for method, r in (("new", 0.5 + gain), ("old", 0.5))
    ]
    table = pd.DataFrame(rows, columns=["record", "origin", "method", "r", "mse"])
    found = compare_by_origin(table, "new", "old").set_index("origin")
    assert found["n_record"].to_dict() == {"all": 3, "x": 2, "y": 1}
    assert found.loc["x", "r"] == pytest.approx(0.2)
    assert found.loc["y", "mse"] == pytest.approx(0.2)
    assert found["mse_won"].to_dict() == pytest.approx({"all": 2 / 3, "x": 1.0, "y": 0.0})
