from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from ecgnb import attribution, audit, vae


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return vae.Vae(vae.VaeOptions(n_latent=4, n_hidden=16)).eval()


@pytest.fixture(scope="module")
def windows():
    return np.random.default_rng(0).normal(size=(5, 12, 256)).astype(np.float32)


class Averager(nn.Module):
    """A network whose first layer copies the input and whose output is its mean."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(1, 1, 1, bias=False)
        nn.init.ones_(self.first.weight)

    def forward(self, windows):
        return self.first(windows.unsqueeze(1)).mean(dim=(1, 2, 3))


def own_grad_cam(model, windows, target):
    kept = {}
    hook = model.first.register_forward_hook(lambda _, __, out: kept.update(features=out))
    value = target(model, torch.from_numpy(windows)).sum()
    hook.remove()
    features = kept["features"]
    gradient = torch.autograd.grad(value, features)[0]
    maps = (gradient.mean(dim=(2, 3), keepdim=True) * features).sum(dim=1, keepdim=True)
    return functional.interpolate(maps, (12, 256), mode="bilinear")[:, 0].detach().numpy()


def test_grad_cam_of_an_averager_is_the_input_over_its_size(windows):
    maps = attribution.grad_cam(Averager(), windows, lambda model, x: model(x))
    np.testing.assert_allclose(maps, windows / windows[0].size, rtol=1e-5)


@pytest.mark.parametrize("name", attribution.TARGETS)
def test_grad_cam_equals_our_own_nine_lines(model, windows, name):
    target = attribution.TARGETS[name]
    expected = own_grad_cam(model, windows, target)
    found = attribution.grad_cam(model, windows, target)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6 * np.abs(expected).max())


def test_a_map_does_not_depend_on_its_place_in_the_batch(model, windows):
    target = attribution.TARGETS["negative_elbo"]
    forward = attribution.grad_cam(model, windows, target)
    backward = attribution.grad_cam(model, windows[::-1].copy(), target)[::-1]
    np.testing.assert_allclose(forward, backward, rtol=1e-4, atol=1e-5 * np.abs(forward).max())


def test_integrated_gradients_add_up_to_the_change_of_the_target(model, windows):
    target = attribution.TARGETS["first_latent"]
    baseline = np.zeros((12, 256), dtype=np.float32)
    maps = attribution.integrated_gradients(model, windows, target, baseline=baseline, n_step=64)
    with torch.no_grad():
        ends = target(model, torch.from_numpy(windows)).numpy()
        start = target(model, torch.from_numpy(baseline[None])).numpy()
    np.testing.assert_allclose(maps.sum(axis=(1, 2)), ends - start, atol=2e-3)


def test_shares_add_up_to_one(windows):
    masks = {wave: np.zeros(256, dtype=bool) for wave in attribution.WAVES}
    for place, wave in enumerate(attribution.WAVES):
        masks[wave][place::6] = True
    np.testing.assert_allclose(attribution.lead_shares(windows).sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(attribution.wave_shares(windows, masks).sum(axis=1), 1, rtol=1e-5)


def test_density_of_an_even_map_is_one_in_every_wave():
    masks = {wave: np.zeros(60, dtype=bool) for wave in attribution.WAVES}
    edges = [0, 5, 12, 20, 33, 50, 60]
    for wave, start, stop in zip(attribution.WAVES, edges[:-1], edges[1:], strict=True):
        masks[wave][start:stop] = True
    shares = attribution.wave_shares(np.ones((1, 12, 60)), masks)
    np.testing.assert_allclose(attribution.wave_density(shares, masks), 1)


def test_the_error_of_a_lead_ignores_the_other_leads_of_the_target(model, windows):
    error = partial(attribution.lead_error, lead=7)
    whole = torch.from_numpy(windows)
    expected = (model(whole) - whole)[:, 7].square().sum(dim=1)
    torch.testing.assert_close(error(model, whole), expected)


def test_randomising_every_layer_changes_the_map(model, windows):
    found = audit.randomisation_test(model, windows, attribution.TARGETS["latent_norm"])
    assert list(found) == list(audit.LAYERS)
    assert found["first"] < 0.9


def test_the_peak_of_a_map_is_found_where_it_is():
    maps = np.zeros((2, 12, 256))
    maps[0, 3, 100], maps[1, 4, 100] = -2.0, 1.0
    assert audit.peak_inside(maps, 3, 110).tolist() == [True, False]


def test_a_bump_changes_one_lead_near_one_time(windows):
    change = audit.inject_bump(windows, 5, 120) - windows
    assert np.abs(np.delete(change, 5, axis=1)).max() == 0
    assert change[0, 5].argmax() == 120


def test_deleting_more_changes_more(model, windows):
    curve = audit.deletion_curve(model, windows, np.random.default_rng(0).random((12, 256)))
    assert curve[-1] > curve[0] > 0
