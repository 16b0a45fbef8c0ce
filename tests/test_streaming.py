"""Twelve leads as samples come: the same bits for any pieces, and as in blocks."""

import numpy as np
import pytest

import ecgnb
from ecgnb.intervals import correlation
from ecgnb.reconstruction.blocks import Work, reconstruct_blocks
from ecgnb.reconstruction.personal import fit_personal
from ecgnb.reconstruction.streaming import fit_for_stream
from ecgnb.records.long_files import LongLead
from ecgnb.signals.filters import clean
from ecgnb.simulation.synthesis import SimulationOptions, simulate_record


@pytest.fixture(scope="module")
def record():
    options = SimulationOptions(duration_s=70.0, sampling_rate=250.0, ectopic_share=0.05)
    return simulate_record(options, seed=4).record


@pytest.fixture(scope="module")
def model(record):
    return fit_personal(record.split(share=0.5)[0], "II", method="neighbours")


@pytest.fixture(scope="module")
def lead(record):
    signal = record.split(share=0.5)[1].lead("II").copy()
    signal[:3], signal[2000:2400] = np.nan, np.nan
    return signal


def pushed(model, lead, size):
    """All that comes back of a lead pushed in pieces, and the longest wait in samples."""
    coming, parts, wait, n_back = ecgnb.stream(model), [], 0, 0
    for start in range(0, lead.size, size):
        parts.append(coming.push(lead[start : start + size]))
        n_back += parts[-1].shape[1]
        wait = max(wait, min(start + size, lead.size) - n_back)
    return np.concatenate([*parts, coming.finish()], axis=1), wait


@pytest.fixture(scope="module")
def whole(model, lead):
    return pushed(model, lead, lead.size)[0]


@pytest.mark.parametrize("size", [1, 7, 250, 5000])
def test_the_pieces_do_not_change_a_bit(model, lead, whole, size):
    found, wait = pushed(model, lead, size)
    assert found.shape == (12, lead.size)
    assert np.array_equal(found, whole, equal_nan=True)
    if size == 1:
        assert wait / 250.0 <= ecgnb.stream(model).delay_s <= 0.5


def test_a_stream_is_the_block_result_with_its_filter_to_the_last_bit(
    model, lead, whole, monkeypatch
):
    monkeypatch.setattr("ecgnb.reconstruction.blocks.BLOCK_S", 6.0)
    monkeypatch.setattr("ecgnb.reconstruction.blocks.CONTEXT_S", 3.0)
    long = LongLead("x", "II", 250.0, lead.size, lambda a, b: lead[a:b])
    pieces = [*reconstruct_blocks(long, Work.of(model, causal=True))]
    assert len(pieces) == 6
    assert np.array_equal(np.concatenate(pieces, axis=1), whole, equal_nan=True)


def test_what_is_missing_is_missing_in_all_leads(lead, whole):
    assert (np.isnan(whole) == np.isnan(lead)).all()


def test_a_short_stream_gives_nothing_until_the_look_up_can_look(model):
    coming = ecgnb.stream(model)
    assert coming.push(np.zeros(40)).shape == (12, 0)
    assert coming.finish().shape == (12, 0)


def test_a_method_that_looks_further_is_refused(record):
    far = fit_personal(record.split(share=0.5)[0], "II", method="average_beat")
    with pytest.raises(ValueError, match="fit one of neighbours"):
        ecgnb.stream(far)


def test_a_look_up_fitted_for_the_stream_undoes_the_shift_of_its_filter(record, model, lead):
    truth = clean(record.split(share=0.5)[1].signals, 250.0, to_rate=250.0)
    good = np.isfinite(lead)

    def mean_r(model):
        made = pushed(model, lead, 5000)[0]
        return np.nanmean(correlation(truth[2:, good], made[2:, good]))

    fitted = mean_r(fit_for_stream(record.split(share=0.5)[0], model))
    assert fitted > mean_r(model) + 0.01
    assert fitted > 0.9
