import json
import os
import subprocess
import sys
from dataclasses import replace

import pandas as pd
import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from ecgnb import files
from ecgnb.files import is_whole, read_table, write_table
from ecgnb.reconstruction.methods import METHODS
from ecgnb.reconstruction.scores import summarise
from ecgnb.simulation.cohort import write_cohort
from ecgnb.studies import reconstruction

TWO_METHODS = ("least_squares", "average_beat")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohort") / "c"
    return write_cohort(folder, n_twadb=3, n_patient=1, duration_s=30.0, ptbdb_duration_s=5.0)


def run(cohort, out, **options):
    settings = {"methods": TWO_METHODS, "progress": False} | options
    return reconstruction.run_reconstruction(cohort, out, **settings)


def test_the_table_has_a_row_for_each_pair_and_method(cohort, tmp_path):
    summary = run(cohort, tmp_path / "t.csv")
    table = pd.read_csv(tmp_path / "t.csv")
    assert len(table) == 3 * 132 * len(TWO_METHODS)
    assert set(table["origin"]) == {"simulated"}
    means = table.groupby(["record", "method"], sort=False)["r"].mean()
    assert summary.means["r"].to_numpy() == pytest.approx(means.to_numpy(), abs=1e-5)


def test_costs_have_a_row_for_each_input_lead_and_the_manifest_sums_them(cohort, tmp_path):
    run(cohort, tmp_path / "t.csv", methods=("least_squares", "line_through_origin"))
    run(cohort, tmp_path / "t.csv")
    costs = read_table(tmp_path / "t_cost.csv")
    assert len(costs) == 3 * 12 * len(TWO_METHODS)
    assert (costs[["cpu_s", "wall_s"]] >= 0).all(axis=None)
    manifest = json.loads((tmp_path / "t_manifest.json").read_text())
    for column in ("cpu_s", "wall_s"):
        spent = costs.groupby("method")[column].sum()
        assert manifest[column] == pytest.approx(spent.to_dict(), abs=0.06)


def test_the_summary_is_that_of_the_whole_table(cohort, tmp_path):
    own = run(cohort, tmp_path / "t.csv").by_method()
    table = summarise(pd.read_csv(tmp_path / "t.csv"))[own.columns]
    pd.testing.assert_frame_equal(own, table, rtol=1e-4)


def test_results_are_readable_as_the_umask_says(tmp_path):
    before = os.umask(0o027)
    try:
        path = files.write_bytes(tmp_path / "table.csv", b"x\n")
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o640
    assert files.is_whole(path)
    assert not list(tmp_path.glob(".partial-*"))


def test_an_interrupted_run_ends_with_the_same_bytes(cohort, tmp_path):
    run(cohort, tmp_path / "whole.csv.gz")
    run(cohort, tmp_path / "cut.csv.gz", records=["twa02"], methods=TWO_METHODS[:1])
    store = tmp_path / "cut.csv.gz.tasks"
    (damaged,) = store.glob("twa02--least_squares--0--*.scores.csv")
    damaged.write_bytes(damaged.read_bytes()[:-50])
    run(cohort, tmp_path / "cut.csv.gz")
    whole, cut = ((tmp_path / f"{name}.csv.gz").read_bytes() for name in ("whole", "cut"))
    assert pd.read_csv(tmp_path / "whole.csv.gz").equals(pd.read_csv(tmp_path / "cut.csv.gz"))
    assert whole == cut


def test_a_finished_task_is_not_computed_again(cohort, tmp_path, monkeypatch):
    first = run(cohort, tmp_path / "t.csv").means
    monkeypatch.setattr(reconstruction, "score_and_time", None)
    assert run(cohort, tmp_path / "t.csv").means.equals(first)


def test_a_task_that_raises_costs_only_itself_and_is_made_by_the_next_run(
    cohort, tmp_path, monkeypatch
):
    sound = METHODS["mean"]

    def broken(prepared, inputs, **options):
        if prepared.record.name == "twa02":
            raise RuntimeError("deliberately broken")
        return sound.fit(prepared, inputs, **options)

    methods = ("mean", *TWO_METHODS)
    run(cohort, tmp_path / "whole.csv", methods=methods)
    with monkeypatch.context() as patch:
        patch.setitem(METHODS, "mean", replace(sound, fit=broken))
        done = run(cohort, tmp_path / "t.csv", methods=methods)
    assert done.failed == ("twa02: RuntimeError: deliberately broken",)
    assert len(pd.read_csv(tmp_path / "t.csv")) == (3 * len(methods) - 1) * 132
    assert run(cohort, tmp_path / "t.csv", methods=methods).failed == ()
    assert (tmp_path / "t.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert not list((tmp_path / "t.csv.tasks").glob("*.error.txt*"))


def test_a_task_has_one_thread_in_every_library(cohort, tmp_path, monkeypatch):
    seen = []

    def counting(prepared, inputs, **options):
        seen.extend(pool["num_threads"] for pool in threadpool_info())
        seen.append(torch.get_num_threads())
        return METHODS["mean"].fit(prepared, inputs, **options)

    method = replace(METHODS["mean"], fit=counting)
    monkeypatch.setitem(METHODS, "counting", method)
    with threadpool_limits(2):
        run(cohort, tmp_path / "t.csv", methods=("counting",), records=["twa01"])
    assert len(seen) >= 2
    assert set(seen) == {1}


def test_a_run_without_networks_does_not_load_pytorch_and_a_later_one_gives_it_one_thread():
    program = """
import sys, ecgnb.studies.runner, ecgnb.studies.reconstruction
assert "torch" not in sys.modules
ecgnb.studies.runner.one_thread()
import torch
assert torch.get_num_threads() == 1, torch.get_num_threads()
"""
    elsewhere = {name: value for name, value in os.environ.items() if "THREADS" not in name}
    subprocess.run([sys.executable, "-c", program], check=True, env=elsewhere)


def test_a_run_of_which_nothing_finishes_says_why(tmp_path):
    folder = write_cohort(tmp_path / "c", n_twadb=1, n_patient=1, ptbdb_duration_s=5.0)
    (folder / "twadb" / "twa01.dat").write_bytes(b"")
    with pytest.raises(RuntimeError, match=r"no task finished; .*twa01\.dat has 0 bytes"):
        run(folder, tmp_path / "t.csv")


def test_two_processes_give_the_table_of_one(cohort, tmp_path):
    for jobs in (1, 2):
        run(cohort, tmp_path / f"{jobs}.csv", jobs=jobs)
    assert (tmp_path / "1.csv").read_bytes() == (tmp_path / "2.csv").read_bytes()


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
