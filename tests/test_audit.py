import numpy as np
import pandas as pd
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


def lead_power(lead):
    """Return a target that is the power of one lead and knows nothing of the others."""
    return lambda model, windows: windows[:, lead].square().sum(dim=1)


NOTHING = np.zeros((12, 256), dtype=np.float32)


def test_deletion_and_insertion_measure_the_target_that_is_explained(model, windows):
    """Cells of another lead move the reconstruction, and leave this target where it is."""
    own, other = np.zeros((12, 256)), np.zeros((12, 256))
    own[3], other[4] = 1, 1
    how = {"baseline": NOTHING, "n_step": 6}
    target = lead_power(3)
    taken = audit._exchange_curve(model, windows, target, own, **how)
    assert taken[0] == pytest.approx(1)  # a twelfth of all cells: all of the lead
    missed = audit._exchange_curve(model, windows, target, other, **how)
    assert missed[0] == 0
    put = audit._exchange_curve(model, windows, target, own, insert=True, **how)
    assert put[0] == pytest.approx(0)
    assert audit._exchange_curve(model, windows, target, other, insert=True, **how)[0] == 1


def test_the_order_that_names_the_target_beats_chance_and_amplitude(model, windows):
    quiet = windows.copy()
    quiet[:, 3] *= 0.1
    marks = np.zeros_like(quiet)
    marks[:, 3] = 1

    def mostly_lead_3(model, windows):
        return lead_power(3)(model, windows) + 1e-4 * windows.square().sum(dim=(1, 2))

    ratios = audit._exchange_ratios(model, quiet, mostly_lead_3, marks, baseline=NOTHING)
    assert min(ratios.values()) > 1


def test_the_peak_of_a_map_is_found_where_it_is():
    maps, region = np.zeros((3, 12, 256)), np.zeros((3, 12, 256), dtype=bool)
    maps[0, 3, 100], maps[1, 4, 100], maps[2, 3, 126] = -2.0, 1.0, 1.0
    region[:, 3, 110] = True
    assert pointing._peak_inside(maps, region).tolist() == [True, False, False]


def test_a_bump_changes_one_lead_near_one_time(windows):
    change = pointing._inject_bump(windows, 5, 120) - windows
    assert np.abs(np.delete(change, 5, axis=1)).max() == 0
    assert change[0, 5].argmax() == 120


def test_the_bump_test_can_be_failed_by_integrated_gradients(windows):
    """A network that hears one lead only does not point at bumps in the others."""

    class OneLead(vae.Vae):
        def encode(self, windows):
            heard = self.first(windows.unsqueeze(1))[:, :2, 6].square().mean(dim=2)
            return heard, torch.zeros_like(heard)

    found = pointing.point_at_bump(
        OneLead(vae.VaeOptions(n_latent=2, n_hidden=4)),
        windows,
        {"latent_norm": lambda model, x: model.encode(x)[0].square().sum(dim=1)},
        n_case=24,
    ).set_index(["target", "attribution"])["number"]
    assert 0 < found["latent_norm", "integrated gradients"] < 0.4


def test_a_target_is_judged_by_the_tests_that_make_sense_for_it():
    targets = [*shares.TARGETS, "error_of_lead", "error_of_wave"]
    rows = [
        (test, target, attribution, 0.0)
        for test in audit.RULES
        for target in targets
        for attribution in pointing.AUDITED
    ]
    table = pd.DataFrame(rows, columns=["test", "target", "attribution", "number"])
    judged = audit.judge_audit(table).set_index(["test", "attribution"])["targets"]
    assert judged["randomised down to first", "Grad-CAM"] == len(shares.TARGETS)
    assert judged["points at a bump", "Grad-CAM"] == 2
    for test in ("lead amplitude", "agrees with reconstruction", "permuted leads, follows_lead"):
        assert (test, "Grad-CAM") not in judged
    assert judged["lead amplitude", "integrated gradients"] == len(shares.TARGETS) - 1


def test_the_rules_are_written_down_with_the_day_from_which_they_are_fixed():
    table = audit.rule_table().set_index("test")
    assert set(table.index) == set(audit.RULES)
    assert (table["why"].str.len() > 20).all()
    assert table.loc["deletion against random", "rule"] == "≥\u00a01"
    assert audit.RULES_FIXED == "2026-11-26"


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


def verdict_rows(**answers):
    """Return verdicts as `judge_audit` gives them: passes where nothing else is said."""
    rows = []
    for test, rule in audit.RULES.items():
        for how in rule.attributions:
            rows.append((test, how, answers.get(test.replace(" ", "_"), "passes")))
    return pd.DataFrame(rows, columns=["test", "attribution", "verdict"])


def test_a_map_is_believed_for_a_use_only_if_it_passes_all_of_its_tests():
    answers = audit.believe(verdict_rows()).set_index(["use", "map"])["answer"]
    assert (answers.drop(("which leads matter", "Grad-CAM")) == "yes").all()
    table = verdict_rows(deletion_against_amplitude="depends on the target")
    found = audit.believe(table).set_index(["use", "map"])
    moments = found.loc["which moments the target rests on"]
    assert set(moments["answer"]) == {"no"}
    assert set(moments["failed"]) == {"deletion against amplitude"}
    assert found.loc[("what the network has learned", "Grad-CAM"), "answer"] == "yes"


def test_grad_cam_is_never_believed_about_leads():
    found = audit.believe(verdict_rows()).set_index(["use", "map"])
    row = found.loc[("which leads matter", "Grad-CAM")]
    assert row["answer"] == "no"
    assert row["failed"].startswith("cannot be asked")


def test_every_rule_belongs_to_a_use():
    assert {test for tests in audit.USES.values() for test in tests} == set(audit.RULES)
