import numpy as np
import pytest
import torch

from ecgnb.explanation import vae
from ecgnb.explanation.vae import fit_pca
from ecgnb.explanation.windows import BEFORE, _beat_windows, lead_factor
from ecgnb.simulation.synthesis import SimulationOptions, simulate_record


@pytest.fixture(scope="module")
def windows():
    record = simulate_record(SimulationOptions(duration_s=20.0), seed=3).record
    found = _beat_windows(record)
    return (found / lead_factor(found)).astype(np.float32)


def small_model(**changes):
    torch.manual_seed(0)
    return vae.Vae(vae.VaeOptions(n_latent=4, n_hidden=16, **changes)).eval()


def test_the_kl_term_is_that_of_torch_distributions():
    mean, log_variance = torch.randn(2, 50, 7)
    ours = vae._kl_per_latent(mean, log_variance)
    posterior = torch.distributions.Normal(mean, (0.5 * log_variance).exp())
    theirs = torch.distributions.kl_divergence(posterior, torch.distributions.Normal(0.0, 1.0))
    torch.testing.assert_close(ours, theirs)


def test_the_reconstruction_term_is_a_gaussian_log_density_without_its_constant(windows):
    model, batch = small_model(), torch.from_numpy(windows[:3])
    terms = vae.elbo_terms(model, batch)
    density = torch.distributions.Normal(model(batch), model.options.noise).log_prob(batch)
    at_mean = torch.distributions.Normal(batch, model.options.noise).log_prob(batch)
    expected = (at_mean - density).sum(dim=(1, 2))
    torch.testing.assert_close(terms["reconstruction"], expected, rtol=1e-4, atol=1e-2)


def test_the_kl_term_agrees_with_monte_carlo(windows):
    model, batch = small_model(), torch.from_numpy(windows[:1])
    with torch.no_grad():
        mean, log_variance = model.encode(batch)
        posterior = torch.distributions.Normal(mean, (0.5 * log_variance).exp())
        draws = posterior.sample((40_000,))
        prior = torch.distributions.Normal(0.0, 1.0)
        ratio = (posterior.log_prob(draws) - prior.log_prob(draws)).sum(dim=2)
        exact = vae._kl_per_latent(mean, log_variance).sum()
    assert float(ratio.mean()) == pytest.approx(float(exact), abs=4 * float(ratio.std()) / 200)


def test_a_collapsed_vae_is_reported(windows):
    model = small_model()
    with torch.no_grad():
        model.to_latent.weight.zero_()
        model.to_latent.bias.zero_()
        model.encode_linear.weight.zero_()
        model.encode_linear.bias.zero_()
    assert vae.count_in_use(vae.latents_in_use(model, windows)) == 0


@pytest.mark.parametrize("shape", [(12, 253), (12, 255), (12, 512), (8, 256), (256,)])
def test_windows_of_another_shape_are_refused_and_not_read_as_if_they_fitted(shape):
    with pytest.raises(ValueError, match=r"do not fit a VAE of beats \(12, 256\)"):
        vae.latents_in_use(small_model(), np.zeros((2, *shape), dtype=np.float32))


def test_a_fit_leaves_pytorchs_own_generator_as_it_was(windows):
    torch.manual_seed(7)
    before = torch.get_rng_state()
    vae.fit_vae(windows, windows, options=vae.VaeOptions(n_latent=2, n_step=2))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_vae_can_learn_eight_windows_by_heart(windows):
    eight = windows[:8]
    options = vae.VaeOptions(n_latent=8, n_step=400, batch_size=8, noise=0.02)
    model, history = vae.fit_vae(eight, eight, options=options)
    assert set(history.terms[0]) == {"reconstruction", "kl"}
    error = np.square(vae.rebuild_windows(model, eight) - eight).mean()
    assert error < 0.2 * np.square(eight - eight.mean(axis=0)).mean()


def test_the_elbo_is_a_lower_bound_of_the_likelihood_and_tight_for_a_linear_decoder(windows):
    """For a linear decoder the likelihood is Gaussian: importance samples must agree with it."""
    torch.manual_seed(0)
    model = vae.Vae(vae.VaeOptions(n_latent=2, noise=0.5)).double().eval()
    with torch.no_grad():
        model.decode_nonlinear.weight.zero_()
        model.decode_nonlinear.bias.zero_()
    batch = torch.from_numpy(windows[:1]).double()
    columns, noise = model.decode_linear.weight, model.options.noise
    marginal = torch.distributions.LowRankMultivariateNormal(
        model.decode_linear.bias, columns, noise**2 * torch.ones(len(columns))
    )
    constant = batch.numel() * (np.log(noise) + 0.5 * np.log(2 * np.pi))
    with torch.no_grad():
        exact = marginal.log_prob(batch.flatten(1)) + constant
        noise = torch.Generator().manual_seed(0)
        terms = [vae.elbo_terms(model, batch, generator=noise) for _ in range(100)]
        draws = [sum(each.values()) for each in terms]
        terms = torch.stack(draws)
    standard_error = float(terms.std()) / 10
    assert float(-terms.mean()) < float(exact) + 4 * standard_error


def test_the_elbo_agrees_with_monte_carlo(windows):
    model, batch = small_model(), torch.from_numpy(windows[:1])
    with torch.no_grad():
        mean, log_variance = model.encode(batch)
        posterior = torch.distributions.Normal(mean, (0.5 * log_variance).exp())
        latents = posterior.sample((500,))[:, 0]
        likelihood = torch.distributions.Normal(model.decode(latents), model.options.noise)
        at_mean = torch.distributions.Normal(batch, model.options.noise).log_prob(batch)
        prior = torch.distributions.Normal(0.0, 1.0).log_prob(latents)
        error = (at_mean - likelihood.log_prob(batch)).sum(dim=(1, 2))
        direct = error + (posterior.log_prob(latents) - prior).sum(dim=1)
        noise = torch.Generator().manual_seed(1)
        terms = [vae.elbo_terms(model, batch, generator=noise) for _ in range(500)]
        ours = torch.cat([sum(each.values()) for each in terms])
    spread = (float(direct.var()) + float(ours.var())) / 500
    assert float(ours.mean()) == pytest.approx(float(direct.mean()), abs=4 * spread**0.5)


def test_pca_with_all_components_rebuilds_its_training_windows(windows):
    model = fit_pca(windows, len(windows))
    np.testing.assert_allclose(model.reconstruct(windows), windows, atol=1e-4)


def test_pca_is_that_of_a_singular_value_decomposition(windows):
    flat = windows.reshape(len(windows), -1)
    axes = np.linalg.svd(flat - flat.mean(axis=0), full_matrices=False)[2][:3]
    found = fit_pca(windows, 3).axes
    np.testing.assert_allclose(np.abs(axes @ found.T), np.eye(3), atol=1e-3)


def test_components_that_the_windows_do_not_span_are_zero(windows):
    assert np.abs(fit_pca(windows[:3], 3).axes[2]).max() == 0


def test_the_r_peak_of_a_window_is_where_it_is_said_to_be(windows):
    size = np.abs(np.gradient(windows, axis=2)).mean(axis=(0, 1))
    assert abs(int(size.argmax()) - BEFORE) <= 10


def test_leads_share_the_encoders_kernels(windows):
    model = small_model()
    batch = torch.from_numpy(windows[:1])
    order = torch.randperm(12)
    features = model.first(batch.unsqueeze(1))
    torch.testing.assert_close(model.first(batch[:, order].unsqueeze(1)), features[:, :, order])


def test_before_training_a_vae_is_its_principal_components(windows):
    torch.manual_seed(0)
    model = vae.Vae(vae.VaeOptions(n_latent=4)).eval()
    vae._start_from_pca(model, windows)
    linear = fit_pca(windows, 4).reconstruct(windows)
    difference = np.square(vae.rebuild_windows(model, windows) - linear).mean()
    assert difference < 0.02 * np.square(windows - linear).mean()


def test_a_fit_that_helps_nobody_new_is_not_used(windows):
    torch.manual_seed(0)
    model = vae.Vae(vae.VaeOptions(n_latent=4))
    vae._start_from_pca(model, windows)
    start = [weights.detach().clone() for weights in model.parameters()]
    with torch.no_grad():
        for weights in model.parameters():
            weights.add_(torch.randn_like(weights))
    assert vae._choose_step(model, start, windows) == 0
    for weights, first in zip(model.parameters(), start, strict=True):
        assert torch.equal(weights, first)
