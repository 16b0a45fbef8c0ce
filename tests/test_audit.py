import numpy as np
import pytest
import torch

from ecgnb.explanation import attribution, audit, pointing, shares, vae
from ecgnb.leads import LEADS


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return vae.Vae(vae.VaeOptions(n_latent=4, n_hidden=16)).eval()


@pytest.fixture(scope="module")
def windows():
    return np.random.default_rng(0).normal(size=(5, 12, 256)).astype(np.float32)


@pytest.fixture(scope="module")
def masks():
    found = {wave: np.zeros(256, dtype=bool) for wave in ("P", "PR", "QRS", "ST", "T", "rest")}
    found["QRS"][84:108], found["T"][150:200] = True, True
    return found


def test_randomising_every_layer_changes_the_map(model, windows):
    found = audit._randomisation_test(model, windows, attribution._latent_norm)
    assert list(found) == list(shares.LAYERS)
    assert found["first"] < 0.9


def test_randomising_leaves_the_model_itself_alone(model, windows):
    before = [weights.clone() for weights in model.parameters()]
    audit._randomise_layers(model)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_randomising_leaves_pytorchs_own_generator_as_it_was(model):
    before = torch.get_rng_state()
    audit._randomise_layers(model, seed=3)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_map_of_amplitude_follows_its_lead(windows):
    class Amplitude(vae.Vae):
        def encode(self, windows):
            return windows.abs().sum(dim=2), torch.zeros(len(windows), 12)

    louder = windows * np.linspace(0.5, 3, 12, dtype=np.float32)[:, None]
    found = audit._permuted_leads(
        Amplitude(vae.VaeOptions()),
        louder,
        lambda model, x: model.encode(x)[0].sum(dim=1),
        attribution="integrated gradients",
        baseline=np.zeros((12, 256), dtype=np.float32),
    )
    assert found["follows_lead"] > 0.99
    assert found["stays_in_row"] < 0.9


def test_equal_gains_bring_every_lead_to_one_size(windows):
    louder = windows * np.linspace(0.5, 3, 12, dtype=np.float32)[:, None]
    size = np.abs(louder * audit._equal_gains(louder)).mean(axis=(0, 2))
    np.testing.assert_allclose(size, size[0], rtol=1e-4)


def test_the_largest_lead_has_rank_one():
    maps = np.ones((2, 12, 256))
    maps[:, LEADS.index("aVL")] = 5
    assert audit._lead_ranks(maps)["aVL"] == 1


def test_deleting_more_changes_more_and_inserting_more_leaves_less(model, windows):
    importance = np.random.default_rng(0).random((12, 256))
    taken = audit._exchange_curve(model, windows, importance)
    put = audit._exchange_curve(model, windows, importance, insert=True)
    assert taken[-1] > taken[0] > 0
    assert 0 < put[-1] < put[0]


def test_the_order_of_what_the_reconstruction_uses_beats_chance(model, windows):
    """Only lead 3 differs from the baseline, so a map that names it must win both ways."""
    still = np.zeros_like(windows)
    still[:, 3] = windows[:, 3]
    ratios = audit._exchange_ratios(
        model, still, still, baseline=np.zeros((12, 256), dtype=np.float32)
    )
    assert ratios["deletion against random"] > 1
    assert ratios["insertion against random"] > 1


def test_the_peak_of_a_map_is_found_where_it_is():
    maps, region = np.zeros((3, 12, 256)), np.zeros((3, 12, 256), dtype=bool)
    maps[0, 3, 100], maps[1, 4, 100], maps[2, 3, 126] = -2.0, 1.0, 1.0
    region[:, 3, 110] = True
    assert pointing._peak_inside(maps, region).tolist() == [True, False, False]


def test_a_bump_changes_one_lead_near_one_time(windows):
    change = pointing._inject_bump(windows, 5, 120) - windows
    assert np.abs(np.delete(change, 5, axis=1)).max() == 0
    assert change[0, 5].argmax() == 120


def test_every_case_of_a_pointing_test_has_its_own_region(model, windows, masks):
    """Integrated gradients of a reconstruction that is always zero point at what is asked."""

    class Silent(vae.Vae):
        def forward(self, windows):
            return 0 * super().forward(windows)

    silent = Silent(vae.VaeOptions(n_latent=2, n_hidden=4))
    found = pointing.point_at_wave(
        silent, windows, masks, baseline=np.zeros((12, 256), dtype=np.float32), n_case=20
    )
    share = found.set_index("attribution")["number"]
    assert share["integrated gradients"] == 1


def test_the_audit_has_a_number_for_every_test_and_target(model, windows, masks):
    targets = attribution.declare_targets(masks, latent=0)
    table = audit._audit_vae(model, windows, targets, masks, n_case=4)
    assert table["number"].notna().all()
    counts = table.groupby("test").size()
    assert counts["randomised down to first"] == 2 * len(shares.TARGETS)
    assert counts["points at a bump"] == 2 * (len(shares.TARGETS) + 1)
    assert counts["points at a wave"] == 2
