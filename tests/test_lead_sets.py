"""Sets of leads: how many differ, what a fit from them knows, what a lead is worth."""

import json
from itertools import permutations, product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ecgnb.leads import INDEPENDENT_LEADS, LEADS, LEADS_FROM_INDEPENDENT, derive_leads
from ecgnb.reconstruction.lead_sets import (
    NOW,
    SetTrial,
    _features_of,
    find_set,
    fit_set,
    known_by,
    lagged_leads,
    lead_moments,
    lead_sets,
    shapley_values,
    st_weights,
)
from ecgnb.reconstruction.set_scores import (
    _hidden_by,
    correlate_ranks,
    find_knee,
    keep_chosen,
    mean_of_sets,
    rank_leads,
    summarise_sets,
)
from ecgnb.simulation.cohort import write_cohort
from ecgnb.studies.lead_sets import USUAL_SETS, run_lead_sets

RESULTS = Path(__file__).resolve().parent.parent / "results"


@pytest.fixture(scope="module")
def signals():
    """Two stretches of twelve leads that obey the laws of the limb leads."""
    generator = np.random.default_rng(0)
    slow = np.cumsum(generator.normal(size=(2, 8, 900)), axis=-1)
    slow -= np.cumsum(np.pad(slow, [(0, 0), (0, 0), (25, 0)])[..., :-25], axis=-1) / 900
    mixed = np.einsum("ij,pjt->pit", generator.normal(size=(8, 8)), slow)
    return derive_leads(mixed + generator.normal(size=mixed.shape))


def test_4094_subsets_know_510_things_and_56_of_them_everything():
    """By ranks: a lead is known if its row adds nothing to the rank of the rows given."""
    subsets = np.array(list(product([False, True], repeat=12)))[1:-1]
    assert len(subsets) == 4094
    rows = LEADS_FROM_INDEPENDENT * subsets[:, :, None]
    rank = np.linalg.matrix_rank(rows)
    known = np.stack(
        [
            np.linalg.matrix_rank(np.concatenate([rows, np.broadcast_to(one, (4094, 1, 8))], 1))
            == rank
            for one in LEADS_FROM_INDEPENDENT
        ],
        axis=1,
    )
    assert (known == known_by(subsets)).all()
    assert known.all(axis=1).sum() == 56
    classes = {tuple(row) for row in known if not row.all()}
    assert len(classes) == 510 == len(lead_sets())
    assert sum(one.n_subset for one in lead_sets()) == 4094 - 56


def test_the_relations_between_the_twelve_leads_have_rank_8():
    relations = LEADS_FROM_INDEPENDENT @ np.linalg.pinv(LEADS_FROM_INDEPENDENT)
    assert relations.shape == (12, 12)
    assert np.linalg.matrix_rank(relations) == 8
    # No limb lead, one of six, or the plane of all; any of the six chest leads.
    assert (1 + 6 + 1) * 2**6 - 2 == 510


def test_a_set_is_found_by_any_leads_that_determine_it():
    limb = [find_set(pair) for pair in [("I", "II"), ("aVL", "aVF"), LEADS[:6]]]
    assert len(set(limb)) == 1
    assert limb[0].hidden == INDEPENDENT_LEADS[2:]
    assert find_set(["III"]).known == ("III",)
    for leads in ([], LEADS, ["aVR", "III", *LEADS[6:]]):
        with pytest.raises(ValueError, match="nothing to reconstruct"):
            find_set(leads)


def test_every_set_is_given_by_as_few_leads_as_its_rank():
    for one in lead_sets():
        rows = LEADS_FROM_INDEPENDENT[[LEADS.index(lead) for lead in one.known]]
        assert len(one.given) == np.linalg.matrix_rank(rows)
        assert len(one.hidden) == 8 - len(one.given) + (one.given[0] in LEADS[2:6])


def test_a_fit_is_least_squares_on_the_lagged_leads(signals):
    leads = find_set(["V1", "V5"])
    model = fit_set(leads, lead_moments(signals[0]), penalties=(1e-12,))
    lagged = lagged_leads(signals[0])[_features_of(leads.given)]
    wanted = np.linalg.lstsq(lagged.T, signals[0].T, rcond=None)[0]
    hidden = [LEADS.index(lead) for lead in leads.hidden]
    assert np.allclose(model.weights[:, hidden], wanted[:, hidden], atol=1e-5)


@pytest.mark.parametrize("given", [("I", "aVF", "V2"), ("III",), ("V4",), LEADS[:6]])
def test_known_leads_come_out_exactly(signals, given):
    leads = find_set(given)
    model = fit_set(leads, *map(lead_moments, signals))
    guess = model.predict(lagged_leads(signals[1]))
    known = [LEADS.index(lead) for lead in leads.known]
    assert np.allclose(guess[known], signals[1][known], atol=1e-9)


def test_the_penalty_serves_the_validation_part_best(signals):
    leads, (train, validation) = find_set(["II"]), map(lead_moments, signals)
    chosen = fit_set(leads, train, validation)
    errors = [
        fit_set(leads, train, penalties=(penalty,)).squared_error(validation).sum()
        for penalty in (1e-6, 1e-3, 1.0)
    ]
    assert chosen.squared_error(validation).sum() <= min(errors) * (1 + 1e-9)


def test_scores_from_sums_are_those_of_the_prediction(signals):
    leads = find_set(["I", "V3"])
    truth = signals[1] - signals[1].mean(axis=1, keepdims=True)
    base = 0.3 * truth + 0.1 * np.roll(truth, 9, axis=1)
    base -= base.mean(axis=1, keepdims=True)
    model = fit_set(leads, lead_moments(signals[0]))
    guess = base + model.predict(lagged_leads(truth - base))
    at = np.zeros(truth.shape[1])
    at[[100, 500]], at[[80, 480]] = 0.5, -0.5
    found = SetTrial.of(truth, base, at).score(model)
    hidden = [LEADS.index(lead) for lead in leads.hidden]
    r = [np.corrcoef(truth[lead], guess[lead])[0, 1] for lead in hidden]
    assert found["r"] == pytest.approx(np.mean(r), abs=1e-3)  # guesses are not centred again
    rmse = 1000 * np.sqrt(np.square(guess - truth).mean())
    assert found["rmse_uv"] == pytest.approx(rmse, rel=1e-6)
    wanted = 1000 * ((guess - truth) @ at)
    for lead in INDEPENDENT_LEADS:
        assert found[f"st_{lead}"] == pytest.approx(wanted[LEADS.index(lead)], abs=1e-6)


def test_the_leads_themselves_are_among_the_features(signals):
    assert np.array_equal(lagged_leads(signals[0])[NOW], signals[0])


def test_shapley_values_are_the_mean_over_all_orders():
    worth = np.random.default_rng(0).normal(size=2**4)
    worth[0] = 0.0
    gains = np.zeros(4)
    for order in permutations(range(4)):
        coalition = 0
        for player in order:
            gains[player] += worth[coalition | 1 << player] - worth[coalition]
            coalition |= 1 << player
    values = shapley_values(worth)
    assert np.allclose(values, gains / 24)
    assert values.sum() == pytest.approx(worth[-1])


def test_a_player_who_adds_nothing_is_worth_nothing():
    numbers = np.arange(8)
    worth = (numbers & 1) + 2.0 * (numbers >> 1 & 1)  # player 2 never changes anything
    assert shapley_values(worth).tolist() == [1.0, 2.0, 0.0]


def test_st_weights_read_the_level_after_the_j_point():
    rate, beats = 125.0, np.arange(60, 1200, 100)
    times = np.arange(1250)
    qrs = sum(np.exp(-(((times - beat) / 2.0) ** 2)) for beat in beats)
    raised = sum((times > beat + 5) & (times < beat + 40) for beat in beats)
    leads = np.stack([qrs + 0.2 * raised] * 12)
    weights = st_weights(leads, rate)
    assert weights.sum() == pytest.approx(0.0, abs=1e-12)
    assert (leads @ weights)[0] == pytest.approx(0.2, abs=0.02)
    assert not st_weights(np.zeros((12, 500)), rate).any()


def test_the_best_set_is_chosen_where_it_is_not_scored():
    rng = np.random.default_rng(0)
    rows = [
        {"heart": heart, "set": one, "r": 0.5, "rmse_uv": 90.0 if one == "I" else 10.0}
        | {"validation_uv": 1.0 if one == "I" else 50.0}
        | {f"st_{lead}": rng.normal() for lead in INDEPENDENT_LEADS}
        for heart in "abc"
        for one in ("I", "II")
    ]
    best = summarise_sets(pd.DataFrame(rows), {}).iloc[0]
    assert (best["set"], best["rmse_uv"]) == ("I", 90.0)


def test_a_choice_by_other_hearts_never_sees_the_heart():
    errors = {"a": (1.0, 50.0), "b": (60.0, 50.0), "c": (60.0, 50.0)}
    rows = [
        {"heart": heart, "set": one, "r": 0.5, "rmse_uv": value}
        | {f"st_{lead}": 1.0 for lead in INDEPENDENT_LEADS}
        for heart, both in errors.items()
        for one, value in zip(("I", "II"), both, strict=True)
    ]
    best = summarise_sets(pd.DataFrame(rows), {}).iloc[0]
    # Seen by b and c, whose others are a and c or a and b, lead I is best; by a, lead II.
    assert best["rmse_uv"] == pytest.approx((50.0 + 60.0 + 60.0) / 3)


def test_the_recorded_rows_say_the_same_as_all_rows():
    rng = np.random.default_rng(1)
    rows = [
        {"heart": heart, "fold": heart % 3, "set": one, "r": rng.random(), "rmse_uv": rng.random()}
        | {f"st_{lead}": rng.normal() for lead in INDEPENDENT_LEADS}
        for heart in range(9)
        for one in ("I", "II", "III", "V4", "I+II", "II+V1", "V2+V5")
    ]
    table = pd.DataFrame(rows)
    kept = keep_chosen(table, ["II+V1"])
    assert len(kept) < len(table)
    both = [summarise_sets(one, {"usual": "II+V1"}) for one in (table, kept)]
    pd.testing.assert_frame_equal(*both)
    assert mean_of_sets(table)["n_heart"].tolist() == [9] * 7


def test_the_scores_know_what_a_set_hides():
    assert all(tuple(_hidden_by(one.name)) == one.hidden for one in lead_sets())
    assert {find_set(LEADS[:6]).name, find_set(["II", "V1"]).name} < set(USUAL_SETS.values())
    assert set(USUAL_SETS.values()) <= {one.name for one in lead_sets()}


def test_the_knee_is_the_first_number_of_leads_below_the_band():
    table = pd.DataFrame({"what": ["best of 1", "best of 2", "best of 3", "I"]})
    table = table.assign(n_lead=[1, 2, 3, 1], st_band_uv=[160.0, 90.0, 95.0, 20.0])
    assert find_knee(table) == 2
    assert find_knee(table, band_uv=10.0) is None
    assert find_knee(table.assign(st_band_uv_high=[200, 120, 99, 30]), certain=True) == 3


def test_ranks_of_leads_have_intervals_over_hearts():
    hearts, leads = np.arange(30), list(LEADS)
    table = pd.DataFrame(
        [(h, lead, n + h % 3, -n) for h in hearts for n, lead in enumerate(leads)]
    )
    table.columns = ["heart", "lead", "value", "other"]
    ranked = rank_leads(table.pivot(index="heart", columns="lead", values="value"))
    assert ranked["lead"].tolist() == leads[::-1]
    assert (ranked["rank_low"] == ranked["rank"]).all()
    wide = [table.pivot(index="heart", columns="lead", values=one) for one in ("value", "other")]
    found = correlate_ranks(*wide)
    assert (found.value, found.high, found.n) == (-1.0, -1.0, 30)
    assert correlate_ranks(wide[0], wide[0].iloc[:7].drop(columns="aVL")).value == 1.0


def test_a_run_writes_every_set_and_goes_on_where_it_stopped(tmp_path):
    data = write_cohort(tmp_path / "data", n_twadb=1, n_patient=2, duration_s=20)
    done = run_lead_sets(data, tmp_path / "out", parts=("personal", "people"), progress=False)
    assert not done.failed
    personal, values = done.tables["personal"], done.tables["values"]
    assert len(personal) == 510
    assert personal["r"].between(-1, 1).all()
    assert len(done.tables["people"]) == 510 * values["heart"].nunique()
    # What all leads are worth together is the power of the heart's leads, as others have it.
    assert np.isfinite(values["others_12"]).all()
    assert values.groupby("heart")["all_8"].sum().min() > 0
    task = next((tmp_path / "out" / "lead_sets_personal.csv.gz.tasks").glob("twa*.rows.csv"))
    before = task.stat().st_mtime_ns
    again = run_lead_sets(data, tmp_path / "out", parts=("personal",), progress=False)
    assert task.stat().st_mtime_ns == before
    pd.testing.assert_frame_equal(again.tables["personal"], personal)


@pytest.mark.parametrize(("part", "n_heart"), [("personal", 33), ("people", 250), ("days", 11)])
def test_every_set_is_recorded(part, n_heart):
    means = pd.read_csv(RESULTS / f"lead_sets_{part}_means.csv")
    for _, own in means.groupby("plan", dropna=False):
        assert set(own["set"]) == {one.name for one in lead_sets()}
    assert means["n_heart"].max() == n_heart
    manifest = json.loads((RESULTS / f"lead_sets_{part}_manifest.json").read_text())
    assert not manifest["failed"]
    assert manifest["cpu_s"] < 2 * 15 * 60
