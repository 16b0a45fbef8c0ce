import json

import numpy as np
import pandas as pd
import pytest
import torch

from ecgnb.reconstruction.methods import METHODS
from ecgnb.records.databases import load_record
from ecgnb.signals.preparation import prepare_record
from ecgnb.simulation.cohort import write_cohort
from ecgnb.studies import heads
from ecgnb.studies.heads import HEAD_CELLS, HEAD_METHODS, HEAD_RECORDS, HeadCell, _fits, run_heads
from ecgnb.training import LEAST_GAIN, PATIENCE, FitOptions, fit

CELL = HeadCell(n_weight=20_000, n_time=128)


def fit_line(**options):
    """Return the history of a line through noisy points, and the points' own least error."""
    torch.manual_seed(0)
    inputs = torch.randn(200, 3)
    targets = inputs @ torch.tensor([[1.0], [-2.0], [0.5]]) + 0.1 * torch.randn(200, 1)
    model = torch.nn.Linear(3, 1)

    def error(model):
        return (model(inputs) - targets).square().mean()

    return fit(
        model,
        lambda generator: (torch.randint(0, 200, (16,), generator=generator),),
        lambda model, rows: {"error": (model(inputs[rows]) - targets[rows]).square().mean()},
        validate=lambda model: error(model).reshape(1),
        options=FitOptions(learning_rate=0.05, **options),
    )


def test_a_fit_to_its_plateau_goes_on_while_it_improves_and_ends_when_it_does_not():
    history = fit_line(n_step=20_000, to_plateau=True)
    errors = np.array(history.validation)[:, 0]
    assert 200 < history.step[-1] < 20_000
    assert errors.min() < 0.0115  # the noise has a variance of 0.01
    assert errors[-PATIENCE:].min() > (1 - LEAST_GAIN) * errors[:-PATIENCE].min()


def test_a_fit_that_meets_its_limit_first_ends_there():
    assert fit_line(n_step=150, to_plateau=True).step[-1] == 150


def test_every_cell_has_a_fit_and_the_middle_one_its_seeds_and_all_heads():
    fits = _fits(HEAD_CELLS, 3)
    assert len(HEAD_CELLS) == 5
    assert len(set(fits)) == len(fits)
    assert {cell for cell, _, _ in fits} == set(HEAD_CELLS)
    middle = [(head, seed) for cell, head, seed in fits if cell == HEAD_CELLS[0]]
    seeds = {head: [seed for name, seed in middle if name == head] for head in HEAD_METHODS}
    assert seeds == {"cnn_1d": [0, 1, 2], "cnn_2d": [0, 1, 2], "cnn_2d_separable": [0]}
    assert len(HEAD_RECORDS) == 10


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    folder = tmp_path_factory.mktemp("heads")
    data = write_cohort(folder / "cohort", n_twadb=1, n_patient=0, duration_s=20.0)
    names = [path.stem for path in (data / "twadb").rglob("*.hea")]
    how = {"records": names, "cells": (CELL,), "n_seed": 1, "most_steps": 60}
    return folder, run_heads(data, folder / "heads.csv.gz", **how)


def test_a_row_tells_cell_heart_and_leads(outcome):
    scores = outcome[1].tables["scores"]
    assert len(scores) == 3 * 3 * 11  # heads, inputs, hidden leads
    assert set(scores["method"]) == set(HEAD_METHODS)
    assert set(scores["n_weight"]) == {20_000}
    assert scores["heart"].notna().all()
    assert np.isfinite(scores["mse"]).all()


def test_curves_end_where_the_costs_say(outcome):
    tables = outcome[1].tables
    ends = tables["curves"].groupby("method")["step"].max()
    assert ends.to_dict() == tables["cost"].set_index("method")["n_step"].to_dict()


def test_the_manifest_names_cells_and_records(outcome):
    folder, done = outcome
    manifest = json.loads((folder / "heads_manifest.json").read_text())
    assert manifest["cells"] == [{"n_weight": 20_000, "n_time": 128}]
    assert set(manifest["records"]) == set(done.table["record"])
    assert len(pd.read_csv(folder / "heads_curves.csv.gz")) == len(done.tables["curves"])


def test_networks_of_which_one_jumped_are_made_again_at_a_lower_rate(tmp_path, monkeypatch):
    data = write_cohort(tmp_path / "cohort", n_twadb=1, n_patient=0, duration_s=20.0)
    (path,) = (data / "twadb").rglob("*.hea")
    prepared = prepare_record(load_record(path, "twadb"))
    how = {"n_step": 300, "to_plateau": True, "n_weight": 20_000, "n_time": 128, "seed": 0}
    cnn, most = METHODS["cnn_1d"], heads.LEARNING_RATES[0]
    errors = np.array(cnn.fit(prepared, [1], learning_rate=most, **how).history.validation)
    left = float((errors[-1] / errors.min(axis=0)).max())
    for limit, rate in ((1.001 * left, most), (0.999 * left, heads.LEARNING_RATES[-1])):
        monkeypatch.setattr(heads, "JUMP", limit)
        monkeypatch.setattr(heads, "LEARNING_RATES", (most, heads.LEARNING_RATES[-1]))
        assert heads._fit_steadily(cnn, prepared, [1], **how)[1] == rate


ORIGINS = {"twa11": "ptbdb", "twa18": "ptbdb", "twa44": "INCART", "twa06": "synthetic"}

CELL_ROWS = [
    (cell, record, head, r + gain * (head == "cnn_2d"))
    for cell, gain in zip(HEAD_CELLS, (0.1, -0.1, 0.3, 0.1, 0.1), strict=True)
    for record, r in (("twa11", 0.70), ("twa18", 0.72), ("twa44", 0.5), ("twa06", 0.9))
    for head in ("cnn_1d", "cnn_2d")
]


def test_the_cells_are_compared_on_recorded_hearts_and_told_in_numbers():
    scores = pd.DataFrame(
        {
            "record": record, "method": head, "n_weight": cell.n_weight, "n_time": cell.n_time,
            "seed": 0, "origin": ORIGINS[record], "input_lead": "I", "output_lead": "II",
            "r": r, "mse": 0.1, "rmse_mv": 0.1,
        }
        for cell, record, head, r in CELL_ROWS
    )  # fmt: skip
    cells = heads.compare_cells(scores)
    assert cells["window_s"].tolist() == pytest.approx([0.512, 1.024, 1.024, 1.024, 2.048])
    assert cells["n_weight"].tolist() == [200_000, 100_000, 200_000, 400_000, 200_000]
    assert cells["head_gain"].tolist() == pytest.approx([-0.1, 0.1, 0.1, 0.1, 0.3])
    assert set(cells["n_heart"]) == {3}  # twa06 is synthetic
    told = heads.describe_cells(scores)
    assert (told["n_heads_heart"], told["cells_ahead"], told["cells_behind"]) == (4, 4, 1)
    assert (told["gain_short"], told["gain_long"]) == pytest.approx((-0.1, 0.3))
    assert (told["gain_few"], told["gain_many"]) == pytest.approx((0.1, 0.1))
    assert len(heads.middle_cell(scores)) == 8
