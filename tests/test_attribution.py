from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from ecgnb.explanation import attribution, group_scores, groups, shares, vae
from ecgnb.explanation.shares import waves_of
from ecgnb.explanation.windows import collect_windows
from ecgnb.leads import LEADS
from ecgnb.simulation.synthesis import SimulationOptions, simulate_record


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
    return (gradient.mean(dim=(2, 3), keepdim=True) * features).sum(dim=1).detach().numpy()


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
    found = attribution.grad_cam(model, windows, target)[:, :, ::4]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6 * np.abs(expected).max())


@pytest.mark.parametrize(("layer", "stride"), [("first", 4), ("second", 16)])
def test_a_map_lies_on_the_samples_that_its_layer_sees(layer, stride):
    """Kernels that pass their middle alone: the map of a spike is largest where the spike is."""
    model = vae.Vae(vae.VaeOptions(n_latent=2, n_hidden=4)).eval()
    with torch.no_grad():
        for each in (model.first, model.second):
            each.weight.zero_()
            each.bias.zero_()
            each.weight[0, 0, :, 4] = 1
    spike = np.zeros((1, 12, 256), dtype=np.float32)
    spike[0, 5, 96] = 3

    def height(model, windows):
        first = model.first(windows.unsqueeze(1))
        return (model.second(first) if layer == "second" else first)[:, 0].sum(dim=(1, 2))

    found = attribution.grad_cam(model, spike, height, layer=layer)[0]
    assert np.unravel_index(found.argmax(), found.shape) == (5, 96)
    np.testing.assert_allclose(found[5, 96 - stride : 97], found[5, 96 : 97 + stride][::-1])


def test_between_two_features_a_map_is_a_straight_line():
    found = attribution._on_samples(np.array([0.0, 4.0, 0.0, 2.0]), 16)
    assert found.tolist() == [0, 1, 2, 3, 4, 3, 2, 1, 0, 0.5, 1, 1.5, 2, 2, 2, 2]


@pytest.fixture(scope="module")
def healthy():
    """Return beats of four simulated people."""
    options = SimulationOptions(duration_s=8.0, sampling_rate=250.0)
    records = [simulate_record(options, seed=n, name=f"p{n}").record for n in range(4)]
    return collect_windows(records, n_most=6)


@pytest.fixture(scope="module", params=[0, 1], ids=["leads apart", "leads mixed"])
def fitted(request, healthy):
    options = vae.VaeOptions(n_latent=4, n_hidden=16, n_step=20, lead_reach=request.param)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(groups, "_N_SEEN", 60)
        train, check = (groups.part_of(healthy, few) for few in (["p0", "p1", "p2"], ["p3"]))
        return request.param, groups.fit_group(train, check, options=options)


@pytest.mark.parametrize("name", shares.TARGETS)
def test_grad_cam_is_one_filter_for_all_leads_where_they_share_the_kernels(fitted, healthy, name):
    """It cannot rank leads, then: each row is its own lead, filtered as every other one is."""
    reach, group = fitted
    beats = group_windows(group, healthy)
    target = attribution.declare_targets(waves_of(healthy.windows), latent=0)[name]
    assert attribution.filter_gap(group.model, beats, target) < 1e-6
    if reach:  # a layer that mixes leads is no filter of each lead alone
        assert attribution.filter_gap(group.model, beats, target, layer="second") > 0.05


@pytest.mark.parametrize("name", shares.TARGETS)
def test_the_filter_of_grad_cam_follows_from_the_weights(fitted, healthy, name):
    _, group = fitted
    beats = group_windows(group, healthy)
    target = attribution.declare_targets(waves_of(healthy.windows), latent=0)[name]
    taps, constants = attribution.shared_filter(group.model, beats, target)
    padded = np.pad(beats.astype(float), ((0, 0), (0, 0), (4, 4)))
    seen = np.lib.stride_tricks.sliding_window_view(padded, 9, axis=2)[:, :, ::4]
    expected = np.einsum("wlft,wt->wlf", seen, taps) + constants[:, None, None]
    found = attribution.grad_cam(group.model, beats, target)[:, :, ::4]
    spread = np.ptp(found, axis=(1, 2))[:, None, None]
    assert (np.abs(found - expected) / spread).max() < 1e-6


@pytest.mark.parametrize("layer", ["first", "second"])
def test_rows_of_a_map_change_places_with_their_leads_unless_leads_are_mixed(
    fitted, healthy, layer
):
    """With the weights of the channels held, a row of the map depends on its own lead alone."""
    reach, group = fitted
    beats = group_windows(group, healthy)
    order = np.random.default_rng(0).permutation(12)

    def rows(windows):
        first = group.model.first(torch.from_numpy(windows).unsqueeze(1))
        features = first if layer == "first" else group.model.second(functional.gelu(first))
        return features.sum(dim=1).detach().numpy()

    moved = np.abs(rows(beats[:, order]) - rows(beats)[:, order]).max() / np.ptp(rows(beats))
    assert (moved > 0.01) == bool(reach and layer == "second")


def group_windows(group, healthy):
    return healthy.scaled(group.factor)[::3].copy()


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


def test_leads_are_ranked_by_ways_that_can_and_beside_them_by_amplitude(healthy):
    options = vae.VaeOptions(n_latent=4, n_hidden=16, n_step=4)
    train, check = (groups.part_of(healthy, few) for few in (["p0", "p1"], ["p2"]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(groups, "_N_SEEN", 40)
        plain = groups.fit_group(train, check, options=options)
        mixing = groups.fit_group(train, check, options=replace(options, lead_reach=1))
    ranks = group_scores.lead_rankings(plain, mixing, healthy)
    assert list(ranks.index) == list(LEADS)
    assert (ranks.sum() == 78).all()
    louder = np.abs(healthy.scaled(plain.factor)).sum(axis=(0, 2))
    assert ranks["amplitude"].idxmin() == LEADS[louder.argmax()]
