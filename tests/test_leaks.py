from dataclasses import replace

import numpy as np
import pytest

from ecgnb.signals.preparation import prepare_record
from ecgnb.simulation.synthesis import SimulationOptions, simulate_record
from ecgnb.studies.leaks import (
    _one_tap_prediction,
    band_scores,
    filter_leak,
    scaling_leak,
    window_leak,
)


@pytest.fixture(scope="module")
def records():
    return [
        replace(
            simulate_record(SimulationOptions(duration_s=25.0), seed=seed, name=f"r{seed}").record,
            patient=f"p{seed}",
        )
        for seed in range(6)
    ]


def test_one_tap_prediction_is_least_squares_with_an_intercept():
    train, test = np.random.default_rng(0).normal(size=(2, 4, 200))
    prediction = _one_tap_prediction(train, test, 2)
    design = np.stack([train[2], np.ones(200)], axis=1)
    weights = np.linalg.lstsq(design, train.T, rcond=None)[0]
    expected = (np.stack([test[2], np.ones(200)], axis=1) @ weights).T
    np.testing.assert_allclose(prediction, expected, atol=1e-12)
    np.testing.assert_allclose(prediction[2], test[2], atol=1e-12)


def test_filtering_first_leaks_and_filtering_inside_the_parts_does_not(records):
    table = filter_leak(records[:2])
    assert (table["inside"] == 0).all()
    assert (table["before"] > 1e-4).all()


def test_scaling_by_the_whole_lead_only_makes_the_error_look_smaller(records):
    later = records[0].signals.copy()
    later[:, -1500:] *= 2
    table = scaling_leak([*records[:2], replace(records[0], signals=later)])
    assert (table["whole"] <= table["training"]).all()
    assert table["whole"].iloc[2] < 0.7 * table["training"].iloc[2]


def test_a_model_that_remembers_does_better_on_a_patient_it_has_seen(records):
    table = window_leak(records)
    assert table["shuffled"].mean() < 0.95 * table["patients"].mean()
    assert table["blocks"].mean() < 0.98 * table["patients"].mean()


def test_records_of_one_patient_are_never_on_both_sides(records):
    """A copy under the same patient's name must not help, under another name it must."""
    same = [replace(record, name=record.name + "b") for record in records]
    other = [replace(record, patient=record.patient + "b") for record in same]
    honest = window_leak([*records, *same])["patients"]
    leaky = window_leak([*records, *other], seed=1)["patients"]
    assert honest.min() > 0.01
    assert leaky.min() < 1e-6


def test_band_scores_are_those_of_the_predictions_themselves(records):
    (row,) = band_scores(records[:1], {"0.5-40 Hz": (0.5, 40.0)}).itertuples()
    prepared = prepare_record(records[0])
    mses, rs = [], []
    for visible in range(12):
        prediction = _one_tap_prediction(prepared.train, prepared.test, visible)
        for lead in set(range(12)) - {visible}:
            mses.append(np.mean((prediction[lead] - prepared.test[lead]) ** 2))
            rs.append(np.corrcoef(prediction[lead], prepared.test[lead])[0, 1])
    assert row.mse == pytest.approx(np.mean(mses))
    assert row.r == pytest.approx(np.mean(rs), abs=1e-6)
