"""What a card computes is what the processor does; without a card, the same code runs here."""

import numpy as np
import pytest
import torch

from ecgnb.reconstruction import card, corrector
from ecgnb.reconstruction.neighbours import fit_on_training, predict_held_out
from ecgnb.signals.preparation import prepare_record
from ecgnb.simulation.synthesis import SimulationOptions, simulate_record
from ecgnb.training import Stack


@pytest.fixture(scope="module")
def several():
    records = [
        simulate_record(SimulationOptions(duration_s=duration_s, patient_seed=seed), seed=seed)
        for seed, duration_s in ((0, 40.0), (1, 36.0))
    ]
    return [prepare_record(one.record) for one in records]


def test_the_card_finds_the_neighbours_of_the_processor(several):
    prepared = several[0]
    model = fit_on_training(prepared, 1)
    there = card.on_card(model)
    pairs = (
        (model.predict_each(prepared.test[1]), there.predict_each(prepared.test[1])),
        (predict_held_out(model, prepared.train[1]), predict_held_out(there, prepared.train[1])),
    )
    for here, found in pairs:
        np.testing.assert_allclose(found, here, atol=1e-6, rtol=0)


def test_a_short_signal_is_read_off_to_both_its_ends(several):
    model = fit_on_training(several[0], 1)
    signal = several[0].test[1, :120]
    expected = model.predict_each(signal)
    assert expected.shape == (2, 12, 120)
    np.testing.assert_allclose(card.on_card(model).predict_each(signal), expected, atol=1e-9)


def test_the_card_knows_no_slack(several):
    model = card.on_card(fit_on_training(several[0], 1))
    with pytest.raises(ValueError, match="without slack"):
        model.predict_each(several[0].test[1], settled=False)


def test_networks_trained_at_once_are_those_of_each_record_alone(several):
    options = corrector.BestOptions(width=8, n_step=6, n_time=256)
    together = corrector.fit_best_each(several, (1, 7), options=options)
    for prepared, model in zip(several, together, strict=True):
        alone = corrector.fit_best(prepared, (1, 7), options=options)
        signals = prepared.test[[1, 7]]
        np.testing.assert_allclose(model.predict(signals), alone.predict(signals), atol=2e-5)
        assert not np.array_equal(model.predict(signals), corrector_free(model, signals))


def corrector_free(model, signals):
    """Return what the look-ups alone say."""
    channels = corrector.closed_forms(model.neighbours, model.ridges, signals)
    return corrector.start_of(torch.from_numpy(channels)).numpy()


def test_a_stack_of_networks_is_each_network():
    torch.manual_seed(0)
    members = [corrector.Corrector(37, 4) for _ in range(3)]
    for member in members:
        torch.nn.init.normal_(member.leave.weight)
    channels, given = torch.randn(3, 5, 37, 60), torch.eye(12)[:5].expand(3, -1, -1)
    found = Stack(members)(channels, given)
    for number, member in enumerate(members):
        torch.testing.assert_close(found[number], member(channels[number], given[number]))
        torch.testing.assert_close(
            Stack(members).member(number)(channels[number], given[number]), found[number]
        )
