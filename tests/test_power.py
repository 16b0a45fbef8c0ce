"""Refits of drawn people: who is drawn, what is planted, and that nothing else differs."""

import numpy as np
import pandas as pd
import pytest

from ecgnb.explanation.vae import VaeOptions
from ecgnb.explanation.windows import BeatWindows
from ecgnb.files import is_whole
from ecgnb.leads import LEADS
from ecgnb.simulation.cohort import write_cohort
from ecgnb.studies import power

HEALTHY = "healthy control"
SMALL = power.RefitOptions(
    n_people=3, n_beat=2, n_window=20, n_path=2, n_healthy=2, n_other=1,
    vae=VaeOptions(n_latent=3, n_hidden=4, n_step=2, batch_size=4),
)  # fmt: skip


def people(count):
    names = np.array([f"p{number:02d}" for number in range(count)])
    windows = np.random.default_rng(0).normal(size=(2 * count, 12, 256)).astype(np.float32)
    return BeatWindows(windows, names.repeat(2))


def test_two_groups_of_real_healthy_people_share_nobody():
    group = power._Group("recorded", HEALTHY, 0.0, 0, 1)
    (_, first, _), (_, second, _) = power._draw(group, people(7), SMALL, 0)
    assert first.n_patient == second.n_patient == 3
    assert not set(first.patients) & set(second.patients)


def test_a_condition_is_drawn_once_and_another_number_draws_others():
    group = power._Group("recorded", "hypertrophy", np.nan, 0, 2)
    ((_, one, _),) = power._draw(group, people(30), SMALL, 0)
    ((_, other, _),) = power._draw(group, people(30), SMALL, 1)
    assert set(one.patients) != set(other.patients)


def test_simulated_people_are_new_in_every_group_and_the_same_for_the_same_number():
    group = power._Group("simulated", HEALTHY, 0.0, 0, 1)
    (_, first, _), (_, second, _) = power._draw(group, None, SMALL, 0)
    again = power._draw(group, None, SMALL, 0)[0][1]
    assert not set(first.patients) & set(second.patients)
    np.testing.assert_array_equal(first.windows, again.windows)


def test_what_is_planted_grows_with_the_severity_and_is_nothing_in_healthy_people():
    sizes = {
        severity: power._simulate_people(
            power._Group("simulated", "hypertrophy", severity, 0, 1), SMALL, 0, 0
        )[1]["size_uv"]
        for severity in (0.15, 1.0)
    }
    healthy = power._simulate_people(power._Group("simulated", HEALTHY, 0.0, 0, 1), SMALL, 0, 0)[
        1
    ]["size_uv"]
    assert healthy < 5 < sizes[0.15] < sizes[1.0]


def test_a_refit_has_a_share_for_every_lead_and_wave():
    rows = power._refit(people(4), SMALL, seed=0)
    leads = rows[rows["axis"] == "lead"]
    assert set(leads["measure"]) == {"withheld", "latent_norm", "negative_elbo"}
    assert leads.groupby("measure")["name"].apply(set).map(set(LEADS).__eq__).all()
    shares = rows[rows["measure"] != "withheld"].groupby(["measure", "axis"])["share"].sum()
    np.testing.assert_allclose(shares, 1, rtol=1e-5)


def test_a_persons_beats_are_few_and_spread():
    found = power._few_beats(people(3), 1)
    assert len(found.windows) == found.n_patient == 3


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohort") / "c"
    return write_cohort(folder, n_twadb=0, n_patient=3, ptbdb_duration_s=6.0)


def test_a_run_writes_every_refit_once_and_goes_on_where_it_stopped(cohort, tmp_path, monkeypatch):
    monkeypatch.setattr(power, "SEVERITIES", (1.0,))
    out = tmp_path / "power.csv.gz"
    done = power.run_power(cohort, out, options=SMALL, progress=False)
    assert done.failed == ()
    keys = ["people", "condition", "severity", "number", "part", "measure", "axis", "name"]
    assert not done.table.duplicated(keys).any()
    refits = done.table.groupby(["people", "condition"])[["number", "part"]].apply(
        lambda rows: len(rows.drop_duplicates())
    )
    planted = dict.fromkeys(power.PLANTED, 1)
    assert refits["simulated"].to_dict() == {HEALTHY: 4, **planted}
    assert refits["recorded"][HEALTHY] == 2  # three people make no two groups of three
    assert is_whole(out)
    monkeypatch.setattr(power, "_refit", None)  # whatever is fitted again now fails
    again = power.run_power(cohort, out, options=SMALL, progress=False)
    pd.testing.assert_frame_equal(again.table, done.table)
