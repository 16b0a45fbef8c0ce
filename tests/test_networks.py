import copy

import numpy as np
import pytest
import torch

from ecgnb.reconstruction import cnn, corrector, methods
from ecgnb.reconstruction.scores import score_pairs
from ecgnb.signals.preparation import prepare_record
from ecgnb.simulation.synthesis import SimulationOptions, simulate_record
from ecgnb.training import FitOptions, count_weights, fit


@pytest.fixture(scope="module")
def prepared():
    return prepare_record(simulate_record(SimulationOptions(duration_s=30.0), seed=5).record)


def alone(stack, member):
    """Return one member of a stack as a stack of one."""
    single = cnn.StackedCnn(1, stack.head, stack.narrow.weight.shape[2]).double()
    with torch.no_grad():
        for mine, theirs in zip(single.parameters(), stack.parameters(), strict=True):
            mine.copy_(theirs[member : member + 1])
    return single


def train(model, windows, targets):
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(5):
        error = (model(windows) - targets).square().mean(dim=(0, 2, 3)).sum()
        optimiser.zero_grad()
        error.backward()
        optimiser.step()


@pytest.mark.parametrize("head", cnn.HEADS)
def test_stacked_training_equals_one_by_one(head):
    torch.manual_seed(0)
    stack = cnn.StackedCnn(3, head, 5).double()
    singles = [alone(stack, member) for member in range(3)]
    windows = torch.randn(4, 3, cnn.N_TIME, dtype=torch.float64)
    targets = torch.randn(4, 3, 12, cnn.N_TIME, dtype=torch.float64)
    train(stack, windows, targets)
    for member, single in enumerate(singles):
        train(single, windows[:, member : member + 1], targets[:, member : member + 1])
        for mine, theirs in zip(single.parameters(), stack.parameters(), strict=True):
            torch.testing.assert_close(mine[0], theirs[member], atol=1e-10, rtol=0)


def test_heads_are_matched_in_weights():
    sizes = [
        count_weights(cnn.StackedCnn(2, head, cnn.matched_width(head, 100_000)))
        for head in cnn.HEADS
    ]
    assert max(sizes) < 1.03 * min(sizes)


@pytest.mark.parametrize("head", cnn.HEADS)
def test_a_network_can_learn_eight_windows_by_heart(head):
    torch.manual_seed(0)
    model = cnn.StackedCnn(1, head, 64)
    time = torch.linspace(0, 12, cnn.N_TIME)
    windows = torch.sin(time + torch.arange(8.0)[:, None])[:, None]
    targets = torch.cos(time + torch.arange(8.0)[:, None])[:, None, None].expand(-1, 1, 12, -1)

    def loss(model, x, y):
        return {"reconstruction": (model(x) - y).square().mean()}

    fit(
        model,
        lambda generator: (windows, targets),
        loss,
        validate=lambda model: loss(model, windows, targets)["reconstruction"].reshape(1),
        options=FitOptions(300, 1e-2),
    )
    with torch.no_grad():
        assert float((model(windows) - targets).square().mean()) < 0.05


def test_no_sample_of_the_test_part_touches_the_training(prepared):
    options = cnn.CnnOptions("2d_shared", n_step=3)
    changed = copy.deepcopy(prepared)
    changed.test[:] = 1e3
    first, second = (cnn.fit_cnn(one, options=options) for one in (prepared, changed))
    for mine, theirs in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_predictions_cover_the_whole_part(prepared):
    model = cnn.StackedCnn(12, "2d_shared", 8)
    guess = cnn._predict_windows(model, prepared.test)
    assert guess.shape == (12, 12, prepared.test.shape[1])
    assert np.isfinite(guess).all()


@pytest.mark.parametrize("head", cnn.HEADS)
@pytest.mark.parametrize("n_time", [128, 512])
def test_a_network_of_another_window_length_predicts_with_its_own(head, n_time):
    """A signal that repeats every quarter window looks alike in all windows.

    Then the prediction is the Hann-weighted mean of the quarters of one window's.
    """
    torch.manual_seed(0)
    model, quarter = cnn.StackedCnn(12, head, 4, n_time=n_time), n_time // 4
    period = np.random.default_rng(0).normal(size=(12, quarter)).astype(np.float32)
    guess = cnn._predict_windows(model, np.tile(period, 12))
    with torch.no_grad():
        quarters = model(torch.from_numpy(np.tile(period, 4))[None])[0].unflatten(-1, (4, quarter))
    weights = torch.hann_window(n_time + 2, periodic=False)[1:-1].reshape(4, quarter)
    wanted = ((quarters * weights).sum(dim=2) / weights.sum(dim=0)).numpy()
    middle = guess[..., 4 * quarter : 5 * quarter]
    np.testing.assert_allclose(middle, wanted, atol=1e-5)


@pytest.mark.parametrize("head", cnn.HEADS)
@pytest.mark.parametrize("n_time", [253, 512, 128])
def test_windows_of_another_length_are_refused_with_both_lengths(head, n_time):
    model = cnn.StackedCnn(3, head, 8)
    with pytest.raises(ValueError, match=rf"\(3, {n_time}\) do not fit .*\(3, 256\)"):
        model(torch.zeros(2, 3, n_time))


@pytest.mark.parametrize("shape", [(4, 2, 20), (4, 2, 5), (4, 4, 10), (4, 1, 7, 20)])
def test_a_dense_layer_refuses_features_it_would_otherwise_fold_into_its_own(shape):
    """Each shape holds a multiple of 2 members x 10 features, so that a reshape goes through."""
    with pytest.raises(ValueError, match="do not fit a layer of 2 members with width 10"):
        cnn.StackedDense(2, 10, 3)(torch.zeros(shape))


def test_the_order_of_the_inputs_is_that_of_the_predictions(prepared):
    options = cnn.CnnOptions("2d_shared", n_step=3)
    model = cnn.fit_cnn(prepared, (7, 0), options=options)
    there, back = model.predict(prepared.test[[7, 0]]), model.predict(prepared.test[[0, 7]])
    assert there.shape == (2, *prepared.test.shape)
    assert not np.allclose(there, back)


def test_a_fit_leaves_pytorchs_own_generator_as_it_was(prepared):
    torch.manual_seed(7)
    before = torch.get_rng_state()
    cnn.fit_cnn(prepared, options=cnn.CnnOptions(n_step=2))
    corrector.fit_best(prepared, (7,), options=corrector.BestOptions(n_step=2, n_time=128))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_validation_that_does_not_tell_members_apart_is_refused():
    model = cnn.StackedCnn(2, "1d", 4)
    with pytest.raises(ValueError, match=r"2 members gave \(1,\) errors"):
        fit(
            model,
            lambda generator: (),
            lambda model: {"size": model.narrow.weight.square().sum()},
            validate=lambda model: model.narrow.weight.square().sum(),
            options=FitOptions(1),
        )


def test_each_member_keeps_its_own_best_state():
    class Pair(torch.nn.Module):
        n_member = 2

        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(2, 1))

    model, seen = Pair(), []

    def validate(model):
        seen.append(model.weight.detach().clone())
        return torch.tensor([float(len(seen)), -float(len(seen))])

    fit(
        model,
        lambda generator: (),
        lambda model: {"up": -model.weight.sum()},
        validate=validate,
        options=FitOptions(4, 0.1, check_every=1),
    )
    assert model.weight[0] == seen[0][0]
    assert model.weight[1] == seen[-1][1]


def test_the_corrector_adds_nothing_before_training():
    channels = torch.randn(12, 37, 100)
    corrections = corrector.correction(corrector.Corrector(37, 8), channels, torch.eye(12))
    assert torch.equal(corrections, torch.zeros(12, 12, 100))


def test_the_corrector_starts_from_the_mean_of_both_neighbours(prepared):
    neighbours, ridges = corrector.fit_closed_forms(prepared)
    channels = corrector.closed_forms(neighbours, ridges, prepared.test)
    start = corrector.start_of(torch.from_numpy(channels)).numpy()
    expected = np.stack([m.predict(x) for m, x in zip(neighbours, prepared.test, strict=True)])
    np.testing.assert_allclose(start, expected, atol=1e-5)


def test_a_network_for_one_lead_needs_no_other_lead(prepared):
    options = corrector.BestOptions(n_step=4, n_time=128)
    model = corrector.fit_best(prepared, (7,), options=options)
    assert model.predict(prepared.test[[7]]).shape == (1, *prepared.test.shape)


@pytest.mark.parametrize("head", cnn.HEADS)
def test_stacked_gradients_are_those_of_vmap(head):
    torch.manual_seed(0)
    stack = cnn.StackedCnn(3, head, 5).double()
    one = alone(stack, 0)
    windows = torch.randn(4, 3, cnn.N_TIME, dtype=torch.float64)
    targets = torch.randn(4, 3, 12, cnn.N_TIME, dtype=torch.float64)
    (stack(windows) - targets).square().mean(dim=(0, 2, 3)).sum().backward()

    def loss(weights, inputs, wanted):
        found = torch.func.functional_call(one, weights, (inputs[:, None],))
        return (found[:, 0] - wanted).square().mean()

    weights = {name: p.detach().unsqueeze(1) for name, p in stack.named_parameters()}
    gradients = torch.func.vmap(torch.func.grad(loss), in_dims=(0, 1, 1))(
        weights, windows, targets
    )
    for name, p in stack.named_parameters():
        torch.testing.assert_close(p.grad, gradients[name][:, 0], atol=1e-10, rtol=0)


def test_scrambled_labels_of_the_test_part_destroy_the_score(prepared):
    guess = methods.predict_test(prepared, "average_beat_ridge")
    order = np.random.default_rng(0).permutation(prepared.test.shape[1])
    right, wrong = (
        score_pairs(truth, guess, prepared.scaling)["r"].abs()
        for truth in (prepared.test, prepared.test[:, order])
    )
    assert right.mean() > 0.8
    assert wrong.max() < 0.1
