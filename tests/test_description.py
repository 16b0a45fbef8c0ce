from dataclasses import replace
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pandas as pd
import pytest
from conftest import real_data
from matplotlib.figure import Figure

from ecgnb.figures import recordings
from ecgnb.leads import derive_leads
from ecgnb.records.databases import load_database
from ecgnb.records.labels import TWADB_FROM_PTBDB
from ecgnb.records.wfdb_files import read_record, write_record
from ecgnb.signals.description import (
    _band_powers,
    _beat_figures,
    _singular_shares,
    compare_descriptions,
    describe_record,
    describe_records,
    list_quality,
    list_records,
    match_records,
    name_known,
    summarise_origins,
)
from ecgnb.signals.filters import resample_signals
from ecgnb.signals.preparation import prepare_record
from ecgnb.simulation.cohort import write_cohort
from ecgnb.simulation.synthesis import SimulationOptions, simulate_record
from ecgnb.studies.inventory import run_description


@pytest.fixture(scope="module")
def healthy():
    return simulate_record(SimulationOptions(duration_s=40.0, ectopic_share=0), seed=3)


@pytest.fixture(scope="module")
def table(healthy):
    return describe_records([healthy.record, replace(healthy.record, name="again")])


def test_three_sources_fill_three_singular_directions():
    generator = np.random.default_rng(0)
    signals = derive_leads(generator.normal(size=(8, 3)) @ generator.normal(size=(3, 400)))
    shares = _singular_shares(signals)
    assert shares.sum() == pytest.approx(1)
    assert shares[3:].sum() < 1e-12
    assert np.all(np.diff(shares) <= 1e-15)


def test_band_powers_find_a_sinusoid_and_keep_its_power():
    times = np.arange(0, 60, 1 / 500)
    signals = np.tile(0.1 * np.sin(2 * np.pi * 12 * times), (12, 1))
    powers = _band_powers(signals, 500.0)
    assert powers.argmax() == 6  # 10-14 Hz
    assert powers[6] * 4 == pytest.approx(100**2 / 2, rel=0.1)


def test_a_description_has_one_row_a_record_with_its_intervals(healthy, table):
    assert list(table["record"]) == ["simulated", "again"]
    truth = healthy.truth
    assert table["rr_ms"].iloc[0] == pytest.approx(2 * np.median(np.diff(truth.r_peaks)), abs=8)
    qt_ms = 1000 * np.median(truth.waves_s[:, 2, 1] - truth.waves_s[:, 1, 0])
    assert table["qt_ms"].iloc[0] == pytest.approx(qt_ms, abs=45)
    shares = table[[f"share_{rank}" for rank in range(4, 9)]].sum(axis=1)
    assert shares.iloc[0] == pytest.approx(table["share_beyond_3"].iloc[0])
    pr_ms = 1000 * np.median(truth.waves_s[:, 1, 0] - truth.waves_s[:, 0, 0])
    assert table["pr_ms"].iloc[0] == pytest.approx(pr_ms, abs=45)


def test_both_tables_on_a_mirror_are_written(tmp_path):
    data = write_cohort(tmp_path / "c", n_twadb=2, n_patient=1, duration_s=15, ptbdb_duration_s=12)
    run_description(data, tmp_path / "out", progress=False)
    described, shared = (
        pd.read_csv(tmp_path / "out" / f"{name}.csv")
        for name in ("real_description", "shared_recordings")
    )
    assert len(described) == 18
    assert list(shared["record"].sort_values()) == ["twa01", "twa02"]


def test_a_record_without_beats_is_described_without_beat_figures():
    assert _beat_figures(np.zeros((12, 5000)), 500.0) == {}


def test_a_resampled_copy_is_matched_and_another_record_of_the_person_is_not():
    options = SimulationOptions(duration_s=40.0, sampling_rate=1000.0, patient_seed=8)
    first, second = (
        simulate_record(options, seed=seed, name=f"s{seed}").record for seed in (1, 2)
    )
    copy = replace(
        first,
        name="copy",
        signals=resample_signals(first.signals[:, 3000:], 1000.0, 500.0),
        sampling_rate=500.0,
    )
    (match,) = match_records([copy], [second, first]).itertuples()
    assert match.other == "s1"
    assert match.correlation > 0.99
    assert match.shift_s == pytest.approx(3 + (37 - 10) / 2, abs=0.02)
    assert match_records([copy], [second])["correlation"].iloc[0] < 0.95


def test_the_pairs_that_the_labels_know_are_named_and_the_best_come_first():
    matches = pd.DataFrame({"record": ["twa06", "twa11"], "correlation": [0.2, 0.98]})
    assert list(name_known(matches)["known"]) == ["s0178lre", ""]


def test_without_a_long_enough_record_nothing_is_matched(healthy):
    short = replace(healthy.record, signals=healthy.record.signals[:, :1000])
    assert np.isnan(match_records([healthy.record], [short])["correlation"].iloc[0])


@pytest.mark.parametrize(
    "name",
    [
        "plot_amplitudes",
        "plot_t_waves",
        "plot_wave_intervals",
        "plot_singular_shares",
        "plot_powers",
    ],
)
def test_a_comparison_has_a_legend_entry_for_each_group_and_labelled_axes(name, table):
    axes = getattr(recordings, name)(Figure().subplots(), {"one": table, "two": table})
    assert axes.get_legend_handles_labels()[1] == ["one", "two"]
    assert axes.get_ylabel()


def test_origins_are_counted_and_one_that_its_rank_contradicts_is_in_doubt(table):
    rows = pd.concat([table, table, table[:1]]).assign(origin=["a"] * 3 + ["synthetic"] * 2)
    rows["share_beyond_3"] = [0.01, 0.02, 1e-7, 1e-7, 0.03]
    summary = summarise_origins(rows)
    assert list(summary.index) == ["a", "synthetic"]
    assert list(summary["records"]) == [3, 2]
    assert list(summary["share"]) == [0.6, 0.4]
    assert list(summary["of_rank_3"]) == [1, 1]
    assert list(summary["in_doubt"]) == [1, 1]


def test_the_rank_figure_has_a_row_for_each_origin(table):
    axes = recordings.plot_rank(Figure().subplots(), table.assign(origin=["a", "b"]))
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]


def test_the_parts_are_drawn_one_after_the_other(healthy):
    prepared = prepare_record(healthy.record)
    every = recordings.plot_parts(Figure().subplots(), prepared).get_lines()
    lines = [line for line in every if len(line.get_xdata())]  # the others are for the legend
    ends = [(line.get_xdata()[0], line.get_xdata()[-1]) for line in lines]
    assert len(lines) == 3
    assert ends[1][0] - ends[0][1] == pytest.approx(1.0)
    assert ends[2][1] == pytest.approx(40.0, abs=0.05)


def test_pairs_are_drawn_with_their_median():
    table = pd.DataFrame({"one": [1.0, 2, 3], "two": [2.0, 4, 6]})
    axes = recordings.plot_pairs(Figure().subplots(), table, ["one", "two"])
    assert len(axes.get_lines()) == 4
    assert list(axes.get_lines()[-1].get_ydata()) == [2, 4]


def test_records_and_their_quality_are_listed(tmp_path):
    record = simulate_record(SimulationOptions(duration_s=4.0), seed=1, name="one").record
    flat = replace(record, signals=record.signals * (np.arange(12) != 3)[:, None])
    read = read_record(write_record(flat, tmp_path))
    (row,) = list_records([read]).itertuples()
    assert (row.record, row.condition, row.duration_s) == ("one", "not stated", 4.0)
    quality = list_quality([read]).set_index("lead")
    assert quality.loc["aVR", "flat"] == 1.0
    assert quality.drop("aVR")["flat"].max() < 0.1


def test_a_table_compared_with_itself_lies_inside_and_a_doubled_one_does_not(table):
    spread = pd.concat([table, table.assign(rr_ms=table["rr_ms"] * 1.1)])
    same = compare_descriptions(spread, spread).set_index("figure")
    assert same["inside"].all()
    assert np.allclose(same["spread"].dropna(), 1.0)
    assert "duration_s" not in same.index
    doubled = spread.assign(rr_ms=2 * spread["rr_ms"])
    assert not compare_descriptions(spread, doubled).set_index("figure").loc["rr_ms", "inside"]


def test_conditions_are_rows_and_a_missing_one_stays_empty():
    names = ["healthy control", "healthy control", "hypertrophy"]
    one = pd.DataFrame({"condition": names, "qrs_ms": [80.0, 90.0, 120.0]})
    groups = {"simulated": one, "recorded": one[:2]}
    axes = recordings.plot_by_condition(Figure().subplots(), groups, "qrs_ms")
    assert [label.get_text() for label in axes.get_yticklabels()] == names[1:]
    first, second = (line.get_xdata() for line in axes.get_lines())
    assert list(first) == [85.0, 120.0]
    assert second[0] == 85.0
    assert np.isnan(second[1])


def test_the_recorded_descriptions_are_those_of_the_real_files():
    root = Path(__file__).resolve().parents[1]
    data = real_data("twadb", "ptbdb")
    recorded = pd.read_csv(root / "results" / "real_description.csv").set_index("record")
    for database in ("twadb", "ptbdb"):
        for record in load_database(data, database, limit=3).records:
            row = describe_record(record)
            for name in ("rr_ms", "pr_ms", "qrs_mv_V2", "share_4", "power_5_hz", "limb_error_uv"):
                assert row[name] == pytest.approx(
                    recorded.loc[record.name, name], rel=2e-3, nan_ok=True
                )


def test_what_both_databases_hold_is_what_the_labels_know():
    root = Path(__file__).resolve().parents[1]
    shared = pd.read_csv(root / "results" / "shared_recordings.csv")
    found = shared[shared["correlation"] > 0.9]
    assert len(found) >= 6
    assert (found["record"].map(TWADB_FROM_PTBDB) == found["other"]).all()
    assert shared["correlation"].sort_values().diff().idxmax() == found.index.min()
