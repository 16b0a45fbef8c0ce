from dataclasses import replace

import numpy as np
import pytest

from ecgnb.reconstruction.linear import fit_least_squares, solve_ridge
from ecgnb.signals.preparation import prepare_record
from ecgnb.simulation.cohort import plan_cohort
from ecgnb.studies import population
from ecgnb.studies.inventory import _score_frank


@pytest.fixture(scope="module")
def simulated():
    plan = plan_cohort(n_twadb=3, n_patient=0, duration_s=20.0)
    return [planned.simulate().record for planned in plan]


@pytest.fixture(scope="module")
def prepared(simulated):
    return [prepare_record(record) for record in simulated]


def score_all(prepared):
    people = population.Population.of(prepared)
    return [population._score_left_out(people, number) for number in range(len(prepared))]


def test_a_person_is_predicted_without_their_own_training_part(prepared):
    before = score_all(prepared)
    prepared[0].train[:] = np.random.default_rng(0).normal(size=prepared[0].train.shape)
    after = score_all(prepared)
    columns = ["input_lead", "output_lead", "mse", "r"]
    assert before[0][columns].equals(after[0][columns])
    assert not before[1]["r"].equals(after[1]["r"])


def test_a_model_of_others_does_not_know_how_large_a_hidden_lead_is(prepared):
    """Another scale of its own training part changes no reconstruction in mV, only its unit."""
    one, halved = prepared[0], prepared[0].scaling
    halved = replace(halved, factor=halved.factor / 2)
    parts = {n: halved.apply(one.scaling.to_mv(getattr(one, n))) for n in ("train", "validation")}
    test = halved.apply(one.scaling.to_mv(one.test))
    other = replace(one, scaling=halved, test=test, **parts)
    tables = [score_all([first, *prepared[1:]])[0] for first in (one, other)]
    in_mv = tables[0]["method"].str.endswith("_mv")
    assert in_mv.sum() == 264
    for score in ("r", "rmse_mv", "slope"):
        np.testing.assert_allclose(*(table.loc[in_mv, score] for table in tables), rtol=1e-4)
    quarter = tables[1].loc[in_mv, "mse"] / 4
    np.testing.assert_allclose(quarter, tables[0].loc[in_mv, "mse"], rtol=1e-4)
    assert tables[0].loc[~in_mv, "mse"].isna().all()
    assert tables[0].loc[~in_mv, "r"].notna().all()


def test_records_of_one_heart_are_never_on_both_sides(prepared):
    labels = [replace(one.record, heart=heart) for one, heart in zip(prepared, "aab", strict=True)]
    shown = [replace(one, record=label) for one, label in zip(prepared, labels, strict=True)]
    people = population.Population.of(shown)
    assert [people.others(number) for number in range(3)] == [[2], [2], [0, 1]]


def test_the_line_of_others_is_least_squares_on_all_their_samples(prepared):
    fit = population.POPULATION_FITS["population_line"]
    others = population.total([population._part_moments(one, fit) for one in prepared[1:]])
    predicted = solve_ridge(others[7][0], None).predict(prepared[0].test[7])
    joined = np.concatenate([one.train for one in prepared[1:]], axis=1)
    line = fit_least_squares(joined[7], joined)
    np.testing.assert_allclose(predicted, line.predict(prepared[0].test[7]), atol=1e-4)


def test_published_matrices_give_frank_leads_of_a_dipole(simulated):
    table = _score_frank(simulated[0])
    assert list(table["lead"]) == list("XYZXYZ")
    assert (table.loc[table["method"] == "inverse Dower", "r"] > 0.9).all()
