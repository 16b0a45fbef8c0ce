"""Models that users saved with version 0.1.0 still load and still give what they gave."""

import json
from pathlib import Path

import numpy as np
import pytest

from ecgnb.reconstruction.model_files import load_personal, save_personal

SAVED = Path(__file__).resolve().parent / "saved_by_0_1_0"
# Closed forms are float64 throughout; the network is float32 and differs by processor.
TOLERANCES_MV = {"average_beat_ridge": 1e-6, "best": 1e-5}


@pytest.fixture(scope="module")
def wanted():
    with np.load(SAVED / "predictions.npz", allow_pickle=False) as arrays:
        return dict(arrays)


@pytest.mark.parametrize(("method", "tolerance_mv"), TOLERANCES_MV.items())
def test_a_model_saved_by_0_1_0_reconstructs_as_it_did(method, tolerance_mv, wanted):
    model = load_personal(SAVED / method)
    found = model.predict(wanted["input_mv"])
    np.testing.assert_allclose(found, wanted[method], rtol=0, atol=tolerance_mv)


def test_neighbours_saved_by_0_1_0_keep_the_slack_they_were_measured_with():
    model = load_personal(SAVED / "best").model
    assert [one.slack for one in model.neighbours] == [0.3]


@pytest.mark.parametrize("method", TOLERANCES_MV)
def test_a_model_is_written_today_as_version_0_1_0_wrote_it(method, tmp_path):
    save_personal(load_personal(SAVED / method), tmp_path / method)
    before, now = (json.loads((at / f"{method}.json").read_text()) for at in (SAVED, tmp_path))
    for own in ("versions", "card_sha256"):
        before.pop(own), now.pop(own)
    assert now == before
    names = [folder / f"{method}.safetensors" for folder in (SAVED, tmp_path)]
    assert names[0].read_bytes() == names[1].read_bytes()
