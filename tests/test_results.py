"""The tables recorded on real data are whole, meet what the book claims, and can be made again."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest
from conftest import DATA

from ecgnb.reconstruction.methods import CLOSED_FORMS, predict_test, score_method
from ecgnb.reconstruction.scores import compare_by_origin, compare_methods, summarise
from ecgnb.records.databases import find_records, load_record
from ecgnb.signals.preparation import PreprocessingOptions, prepare_record
from ecgnb.studies.multiverse import CHOICES, _family

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "results"
COLUMNS = "database record origin input_lead output_lead method seed mse r rmse_mv slope"
COLUMNS = [*COLUMNS.split(), "variance_ratio", "r2_beyond_average_beat"]


@pytest.fixture(scope="module")
def table():
    return pd.read_csv(RESULTS / "reconstruction.csv.gz")


@pytest.fixture(scope="module")
def summary(table):
    return summarise(table).set_index("method")


def test_the_main_table_has_every_pair_of_60_records_once(table):
    assert list(table.columns) == COLUMNS
    keys = ["record", "input_lead", "output_lead", "method"]
    assert not table.duplicated(keys).any()
    sizes = table.groupby("method").size()
    assert set(sizes) == {60 * 132}
    assert set(sizes.index) == {*CLOSED_FORMS, "best"}


def test_every_fit_has_its_cost_and_the_manifest_says_how_the_run_was_made(table):
    costs = pd.read_csv(RESULTS / "reconstruction_cost.csv.gz")
    assert not costs.duplicated(["record", "input_lead", "method"]).any()
    assert len(costs) == 12 * len(table) / 132
    manifest = json.loads((RESULTS / "reconstruction_manifest.json").read_text())
    assert set(manifest["records"]) == set(table["record"])
    assert {len(digest) for digest in manifest["records"].values()} == {64}
    assert manifest["options"]["low_hz"] == PreprocessingOptions().low_hz == 0.5
    assert manifest["seeds"] == [0]
    assert set(manifest["cpu_s"]) == set(manifest["wall_s"]) == set(manifest["methods"])
    assert {"numpy", "torch", "ecgnb"} <= set(manifest["versions"])


def test_recorded_tables_are_small():
    assert sum(path.stat().st_size for path in RESULTS.rglob("*.*")) < 5e6


def test_the_best_closed_form_reaches_its_target(summary):
    assert summary.loc["average_beat_ridge", "r_mean"] >= 0.955
    assert summary.loc["average_beat_ridge", "mse_mean"] <= 0.0070


def test_the_best_network_reaches_its_targets(table, summary):
    row = summary.loc["best"]
    assert row["r_mean"] >= 0.98
    assert row["mse_mean"] <= 0.003
    assert row["beyond_median"] >= 0.80
    assert row["beyond_above_0"] >= 0.97
    by_origin = table[table["method"] == "best"].groupby("origin")["r"].mean()
    assert by_origin["INCART"] >= 0.90
    gain = compare_methods(table, "best", "average_beat_ridge", score="mse")
    assert gain["share_won"] >= 0.95
    assert gain["difference"].high < 0


def test_only_the_record_whose_electrode_moves_has_an_r_below_zero(table):
    below = table[(table["method"] == "best") & (table["r"] < 0)]
    assert set(below["record"]) <= {"twa44"}
    assert set(below["output_lead"]) <= {"aVL"}
    ceiling = pd.read_csv(RESULTS / "ceiling.csv")
    there = ceiling[ceiling["record"] == "twa44"].set_index("output_lead")
    assert there.loc["aVL", "lowest_r_within"] > 0.2
    assert there.loc["aVL", "floor_r"] < 0.5


def test_both_readings_of_the_2_d_head_win_at_every_origin():
    heads = pd.read_csv(RESULTS / "heads.csv.gz")
    sizes = heads.groupby(["record", "method", "seed"]).size()
    assert len(sizes) == 12 * 3 * 5
    assert set(sizes) == {132}
    manifest = json.loads((RESULTS / "heads_manifest.json").read_text())
    assert set(manifest["records"]) == set(heads["record"])
    assert manifest["seeds"] == sorted(heads["seed"].unique())
    for reading in ("cnn_2d", "cnn_2d_separable"):
        assert (compare_by_origin(heads, reading, "cnn_1d")["r_low"] > 0).all()


def test_the_multiverse_holds_every_member_on_every_record():
    table = pd.read_csv(RESULTS / "multiverse.csv")
    assert set(table.groupby("record").size()) == {len(_family())}
    assert not table.duplicated(["record", *CHOICES]).any()


def test_the_present_code_gives_the_recorded_closed_forms(table):
    paths = [path for path in find_records(DATA, "twadb") if path.stem == "twa44"]
    if not paths:
        pytest.skip("no real recordings at hand")
    prepared = prepare_record(load_record(paths[0], "twadb"))
    beat = predict_test(prepared, "average_beat")
    for method in CLOSED_FORMS:
        found = score_method(prepared, method, average_beat=beat)
        kept = table[(table["record"] == "twa44") & (table["method"] == method)]
        merged = found.merge(kept, on=["input_lead", "output_lead"], suffixes=("", "_kept"))
        assert len(merged) == 132
        for score in ("mse", "r", "r2_beyond_average_beat"):
            assert merged[score].to_numpy() == pytest.approx(
                merged[f"{score}_kept"].to_numpy(), rel=1e-3, abs=1e-3, nan_ok=True
            )


README_ROWS = {
    "least squares with intercept": "least_squares",
    "lagged ridge, ±100 ms": "lagged_ridge",
    "lagged ridge fitted on *other* hearts": "population_ridge",
    "average beat pasted at the R peaks": "average_beat",
    "average beat + residual ridge": "average_beat_ridge",
    "nearest neighbours in lag space": "neighbours",
    "neighbours + small network": "best",
}


@pytest.mark.parametrize(("name", "method"), README_ROWS.items())
def test_the_readme_shows_the_recorded_figures(name, method, summary):
    rows = pd.concat(
        [summary, summarise(pd.read_csv(RESULTS / "population.csv.gz")).set_index("method")]
    )
    row = rows.loc[method]
    wanted = (
        f"| {name} | {row.r_mean:.3f} [{row.r_low:.3f}, {row.r_high:.3f}] "
        f"| {row.mse_mean:.4f} | {row.r_lowest:.2f} |"
    )
    assert wanted in (RESULTS.parent / "README.md").read_text().replace("**", "")


def test_the_readme_shows_the_recorded_figure_of_every_origin(table):
    r = table[table["method"] == "best"].groupby("origin")["r"].mean()
    wanted = (
        f"{r['synthetic']:.4f} on synthetic, {r['ptbdb']:.3f} on ptbdb-derived "
        f"and {r['INCART']:.3f} on INCART-derived"
    )
    assert wanted in re.sub(r"\s+", " ", (RESULTS.parent / "README.md").read_text())
