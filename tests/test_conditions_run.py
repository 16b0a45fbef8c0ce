import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from ecgnb.cli.commands import app
from ecgnb.explanation import groups
from ecgnb.files import is_whole
from ecgnb.records.databases import find_records
from ecgnb.simulation.cohort import write_cohort
from ecgnb.simulation.synthesis import SimulationOptions, simulate_record
from ecgnb.studies import conditions, symptoms

plan_folds = conditions._plan_folds  # as it is before a fixture makes the plan short


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohort") / "c"
    return write_cohort(folder, n_twadb=1, n_patient=3, duration_s=10.0, ptbdb_duration_s=6.0)


@pytest.fixture(scope="module", autouse=True)
def few_folds():
    """Fit two conditions in one fold each, with few beats, and audit with few cases."""
    real = conditions._plan_folds

    def plan(patients, *, seed=0):
        wanted = ("healthy control", "hypertrophy")
        folds = real({name: patients[name] for name in wanted}, seed=seed)
        return [fold for fold in folds if fold.number == 0 and fold.scaling == "lead"]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conditions, "_plan_folds", plan)
        patch.setattr(groups, "_N_SEEN", 40)
        patch.setattr(conditions, "_N_CASE", 4)
        patch.setattr(groups, "_N_EXPLAINED", 3)
        patch.setattr(conditions, "_N_AUDITED", 4)
        yield


@pytest.fixture(scope="module")
def finished(cohort, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    return out, conditions.run_conditions(cohort, out, n_step=4, progress=False).tables


def test_a_run_writes_every_table_and_a_manifest(cohort, finished):
    out, tables = finished
    assert set(tables) == {"groups", *conditions.KINDS, "symptoms"}
    manifest = json.loads((out / "conditions_manifest.json").read_text())
    assert manifest["n_fit"] == len(tables["fits"]) == 2
    assert len(manifest["records"]) == len(find_records(cohort, "ptbdb"))
    assert manifest["cpu_s"] > 0
    assert all(
        is_whole(path) for path in out.glob("conditions_*.csv*") if path.suffix != ".sha256"
    )


def test_the_command_writes_the_same_tables_and_tells_the_counts(cohort, finished, tmp_path):
    words = ["run", "conditions", "--data", str(cohort), "--out", str(tmp_path), "--steps", "4"]
    result = CliRunner().invoke(app, [*words, "--json"])
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert [row["patients"] for row in told["groups"]] == [3] * 8
    assert told["failed"] == []
    for name in ("scores", "shares", "audit", "withheld", "maps"):
        path = f"conditions_{name}.csv.gz"
        assert (tmp_path / path).read_bytes() == (finished[0] / path).read_bytes(), name


def test_an_interrupted_run_goes_on_and_ends_with_the_same_tables(cohort, finished, monkeypatch):
    out, tables = finished
    store = out / "conditions.tasks"
    scores = (out / "conditions_scores.csv.gz").read_bytes()
    (damaged,) = store.glob("hypertrophy--lead--0--*.scores.csv")
    damaged.write_bytes(damaged.read_bytes()[:-40])
    fitted = []
    real = conditions._fold_tables
    monkeypatch.setattr(
        conditions, "_fold_tables", lambda fold, *rest: fitted.append(fold) or real(fold, *rest)
    )
    again = conditions.run_conditions(cohort, out, n_step=4, progress=False)
    assert [fold.condition for fold in fitted] == ["hypertrophy"]
    assert (out / "conditions_scores.csv.gz").read_bytes() == scores
    pd.testing.assert_frame_equal(again.tables["shares"], tables["shares"])


def test_a_fit_that_fails_is_told_and_the_others_finish(cohort, finished, tmp_path, monkeypatch):
    def broken(fold, *rest):
        if fold.condition == "hypertrophy":
            raise ValueError("deliberately broken")
        return {kind: finished[1][kind].head(1) for kind in conditions.KINDS}

    monkeypatch.setattr(conditions, "_fold_tables", broken)
    done = conditions.run_conditions(cohort, tmp_path, n_step=2, progress=False)
    assert done.failed == ("hypertrophy--lead--0: ValueError: deliberately broken",)
    assert set(done.tables["fits"]["trained_on"]) == {"healthy control"}


def test_every_condition_is_listed_with_its_number_of_patients(finished):
    counts = finished[1]["groups"].set_index("condition")
    assert len(counts) == 8
    assert (counts["patients"] == 3).all()
    assert (counts["use"] == "fitted").all()


def test_a_vae_never_explains_or_scores_a_patient_it_has_seen(cohort):
    folds = plan_folds({"healthy control": list("abcdefghijk")})
    for fold in folds:
        assert not set(fold.test) & {*fold.train, *fold.validation}
        assert not set(fold.train) & set(fold.validation)
    whole = [fold for fold in folds if fold.scaling == "lead"]
    assert sorted(name for fold in whole for name in fold.test) == list("abcdefghijk")


def test_a_condition_with_two_patients_is_not_fitted():
    assert plan_folds({"myocarditis": ["a", "b"]}) == []


def test_a_folder_without_ptbdb_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="no usable record"):
        conditions.run_conditions(tmp_path, tmp_path / "out", progress=False)


def labelled(name, condition, duration_s):
    record = simulate_record(SimulationOptions(duration_s=duration_s), seed=1).record
    return replace(record, name=name, patient=f"p{name}", condition=condition)


def test_everybody_with_a_long_record_is_asked_about_symptoms_once():
    records = [labelled(f"h{number}", "healthy control", 61.0) for number in range(3)]
    records += [labelled("a0", "hypertrophy", 61.0), labelled("m1", "hypertrophy", 10.0)]
    records += [replace(records[0], name="h9")]
    chosen = [record.name for record in symptoms.choose_records(records)]
    assert chosen == ["h0", "h1", "h2", "a0"]


def test_personal_scores_have_a_row_per_method():
    table = symptoms.personal_scores(labelled("h", "healthy control", 20.0), n_step=2)
    assert set(table["method"]) == {"average_beat", "average_beat_ridge", "cnn_2d"}
    assert table["r"].notna().all()


def test_a_difference_between_healthy_and_ill_is_found_with_its_sign():
    generator, rows = np.random.default_rng(0), []
    for number in range(12):
        ill = number % 2 == 0
        r = 0.9 - 0.2 * ill + 0.01 * generator.normal()
        condition = "hypertrophy" if ill else "healthy control"
        rows.append({"method": "cnn_2d", "condition": condition, "r": r, "mse": 1 - r})
    found = symptoms.compare_symptoms(pd.DataFrame(rows)).set_index("score")
    assert found.loc["r", "high"] < 0 < found.loc["mse", "low"]
    assert found.loc["r", "p"] < 0.05
