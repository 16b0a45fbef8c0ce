from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from ecgnb.explanation import attribution, shares, vae


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


@pytest.fixture(scope="module")
def targets():
    masks = {wave: np.zeros(256, dtype=bool) for wave in ("QRS", "T")}
    masks["T"][150:200] = True
    return attribution.declare_targets(masks, latent=0)


@pytest.mark.parametrize("name", shares.TARGETS)
def test_grad_cam_equals_our_own_nine_lines(model, windows, targets, name):
    target = targets[name]
    expected = own_grad_cam(model, windows, target)
    found = attribution.grad_cam(model, windows, target)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6 * np.abs(expected).max())


@pytest.mark.parametrize("name", shares.TARGETS)
@pytest.mark.parametrize("how", shares.ATTRIBUTIONS)
def test_a_map_does_not_depend_on_its_place_in_the_batch(model, windows, targets, name, how):
    def maps_of(batch):
        return attribution.attribute(model, batch, targets[name], attribution=how)

    forward, backward = maps_of(windows), maps_of(windows[::-1].copy())[::-1]
    np.testing.assert_allclose(forward, backward, rtol=1e-3, atol=1e-4 * np.abs(forward).max())


def test_integrated_gradients_add_up_to_the_change_of_the_target(model, windows, targets):
    target = targets["top_latent"]
    baseline = np.zeros((12, 256), dtype=np.float32)
    maps = attribution.integrated_gradients(model, windows, target, baseline=baseline, n_step=64)
    with torch.no_grad():
        ends = target(model, torch.from_numpy(windows)).numpy()
        start = target(model, torch.from_numpy(baseline[None])).numpy()
    np.testing.assert_allclose(maps.sum(axis=(1, 2)), ends - start, atol=2e-3)


def test_the_rectified_map_is_the_positive_part_of_the_signed_one(model, windows, targets):
    signed, rectified = (
        attribution.attribute(model, windows, targets["latent_norm"], attribution=how)
        for how in ("Grad-CAM", "Grad-CAM rectified")
    )
    np.testing.assert_array_equal(rectified, np.maximum(signed, 0))


def test_the_error_of_a_lead_ignores_the_other_leads_of_the_target(model, windows):
    error = partial(attribution._lead_error, lead=7)
    whole = torch.from_numpy(windows)
    expected = (model(whole) - whole)[:, 7].square().sum(dim=1)
    torch.testing.assert_close(error(model, whole), expected)


def test_the_error_under_a_mask_is_that_of_its_lead_and_time(model, windows):
    mask = np.zeros((12, 256), dtype=bool)
    mask[7, 20:40] = True
    whole = torch.from_numpy(windows)
    expected = attribution._lead_error(model, whole, lead=7, place=slice(20, 40))
    torch.testing.assert_close(attribution.masked_error(model, whole, mask=mask), expected)


def test_a_beat_without_a_t_wave_gets_the_error_of_its_qrs_complex(model, windows):
    masks = {"QRS": np.arange(256) < 20, "T": np.zeros(256, dtype=bool)}
    target = attribution.declare_targets(masks, latent=0)["error_T"]
    whole = torch.from_numpy(windows)
    expected = attribution.masked_error(model, whole, mask=masks["QRS"])
    torch.testing.assert_close(target(model, whole), expected)
