import json

import pandas as pd
import pytest

from ecgnb import experiments, runs
from ecgnb.simulate import write_cohort
from ecgnb.tasks import is_whole, read_table, write_table

METHODS = ("least_squares", "average_beat")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohort") / "c"
    return write_cohort(folder, n_twadb=3, n_patient=1, duration_s=30.0, ptbdb_duration_s=5.0)


def run(cohort, out, **options):
    settings = {"methods": METHODS, "progress": False} | options
    return runs.run_reconstruction(cohort, out, **settings)


def test_the_table_has_a_row_for_each_pair_and_method(cohort, tmp_path):
    table = run(cohort, tmp_path / "t.csv")
    assert len(table) == 3 * 132 * len(METHODS)
    assert set(table["origin"]) == {"simulated"}


def test_an_interrupted_run_ends_with_the_same_bytes(cohort, tmp_path):
    run(cohort, tmp_path / "whole.csv.gz")
    run(cohort, tmp_path / "cut.csv.gz", records=["twa02"], methods=METHODS[:1])
    damaged = tmp_path / "cut.csv.gz.tasks" / "twa02--least_squares--0.csv"
    damaged.write_bytes(damaged.read_bytes()[:-50])
    run(cohort, tmp_path / "cut.csv.gz")
    whole, cut = ((tmp_path / f"{name}.csv.gz").read_bytes() for name in ("whole", "cut"))
    assert pd.read_csv(tmp_path / "whole.csv.gz").equals(pd.read_csv(tmp_path / "cut.csv.gz"))
    assert whole == cut


def test_a_finished_task_is_not_computed_again(cohort, tmp_path, monkeypatch):
    first = run(cohort, tmp_path / "t.csv")
    monkeypatch.setattr(runs, "score_method", None)
    assert run(cohort, tmp_path / "t.csv").equals(first)


def test_a_task_that_fails_is_recorded_and_the_others_finish(cohort, tmp_path, monkeypatch):
    def broken(prepared, seed):
        raise RuntimeError("deliberately broken")

    method = experiments.Method("broken", "broken", broken)
    monkeypatch.setitem(experiments.METHODS, "broken", method)
    table = run(cohort, tmp_path / "t.csv", methods=("broken", "least_squares"))
    assert set(table["method"]) == {"least_squares"}
    errors = list((tmp_path / "t.csv.tasks").glob("*broken*.error.txt"))
    assert len(errors) == 3
    assert "deliberately broken" in errors[0].read_text()


def test_an_unreadable_record_costs_only_itself(tmp_path):
    folder = write_cohort(tmp_path / "c", n_twadb=2, n_patient=1, ptbdb_duration_s=5.0)
    samples = folder / "twadb" / "twa01.dat"
    samples.write_bytes(samples.read_bytes()[:-2])
    assert set(run(folder, tmp_path / "t.csv")["record"]) == {"twa02"}
    assert list((tmp_path / "t.csv.tasks").glob("twa01*.error.txt"))


def test_two_processes_give_the_table_of_one(cohort, tmp_path):
    one, two = (run(cohort, tmp_path / f"{jobs}.csv", jobs=jobs) for jobs in (1, 2))
    assert one.equals(two)


@pytest.mark.parametrize("options", [{"methods": ("magic",)}, {"records": ["twa99"]}])
def test_what_does_not_exist_is_refused(cohort, tmp_path, options):
    with pytest.raises((ValueError, FileNotFoundError), match="no "):
        run(cohort, tmp_path / "t.csv", **options)


def test_a_changed_file_is_noticed(tmp_path):
    path = write_table(tmp_path / "a.csv", pd.DataFrame({"x": [1.5]}))
    assert is_whole(path)
    path.write_text("x\n2.5\n")
    assert not is_whole(path)
    with pytest.raises(ValueError, match=r"a\.csv"):
        read_table(path)


def test_costs_have_a_row_for_each_input_lead_and_the_manifest_sums_them(cohort, tmp_path):
    run(cohort, tmp_path / "t.csv", methods=("least_squares", "line_through_origin"))
    run(cohort, tmp_path / "t.csv")
    costs = read_table(tmp_path / "t_cost.csv")
    assert len(costs) == 3 * 12 * len(METHODS)
    assert (costs[["cpu_s", "wall_s"]] >= 0).all(axis=None)
    manifest = json.loads((tmp_path / "t_manifest.json").read_text())
    for column in ("cpu_s", "wall_s"):
        spent = costs.groupby("method")[column].sum()
        assert manifest[column] == pytest.approx(spent.to_dict(), abs=0.06)
