import numpy as np
import pytest

from ecgnb.leads import LEADS, derive_leads
from ecgnb.signals.preparation import Prepared, PreprocessingOptions, RecordLabels, Scaling
from ecgnb.studies.ceiling import (
    DESCRIBED,
    _beyond_training,
    _describe_ceiling,
    _predict_from_others,
)


@pytest.fixture
def prepared():
    generator = np.random.default_rng(0)
    mixing = generator.normal(size=(8, 3))
    dipole = np.cumsum(generator.normal(size=(3, 4000)), axis=1)
    dipole -= dipole.mean(axis=1, keepdims=True)
    leads = derive_leads(mixing @ dipole)
    leads /= np.abs(leads[:, :2000]).max()
    parts = leads[:, :2000], leads[:, 2000:3000], leads[:, 3000:]
    parts = tuple(np.clip(part, -1.4, 1.4).astype(np.float32) for part in parts)
    scaling = Scaling(np.zeros((12, 1)), np.ones((12, 1)))
    return Prepared(RecordLabels("made"), *parts, scaling, 250.0, PreprocessingOptions())


def test_a_lead_of_a_rank_three_record_is_known_from_the_others(prepared):
    for lead in DESCRIBED:
        truth = prepared.test[LEADS.index(lead)]
        assert np.square(_predict_from_others(prepared, lead) - truth).mean() < 1e-4


def test_noise_of_one_electrode_is_the_floor(prepared):
    lead = LEADS.index("V3")
    noise = 0.2 * np.random.default_rng(1).normal(size=prepared.test.shape[1])
    prepared.test[lead] += noise.astype(np.float32)
    table = _describe_ceiling(prepared).set_index("output_lead")
    assert table.loc["V3", "floor_mse"] == pytest.approx(0.04, rel=0.2)


def test_a_sample_out_of_range_marks_half_a_second_around_it(prepared):
    prepared.test[2, 500] = 9.0
    marked = np.flatnonzero(_beyond_training(prepared))
    assert (marked.min(), marked.max()) == (375, 625)
