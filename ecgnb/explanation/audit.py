"""Checks that a map must pass before it is believed (after Adebayo et al. 2018 and others)."""

import copy
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from scipy import stats
from torch import nn

from ecgnb.explanation.attribution import Target, attribute, declare_targets
from ecgnb.explanation.groups import GroupVae
from ecgnb.explanation.pointing import AUDITED, point_at_bump, point_at_wave
from ecgnb.explanation.shares import (
    LAYERS,
    NAMED_LEAD,
    PATH,
    TARGETS,
    lead_shares,
    waves_of,
)
from ecgnb.explanation.vae import Vae, latents_in_use
from ecgnb.explanation.windows import BeatWindows
from ecgnb.intervals import rank_correlation
from ecgnb.leads import LEADS
from ecgnb.paper import NEAR
from ecgnb.training import seeded


def _randomise_layers(model: Vae, *, seed: int = 0) -> list[tuple[str, Vae]]:
    """Return copies of a VAE with more and more layers of the encoder drawn anew, from the top."""
    copies, current = [], model
    with seeded(seed):
        for name in LAYERS:
            current = copy.deepcopy(current)
            layer: nn.Module = getattr(current, name)
            layer.reset_parameters()
            copies.append((name, current))
    return copies


def _randomisation_test(
    model: Vae, windows: np.ndarray, target: Target, *, seed: int = 0, **how: object
) -> dict[str, float]:
    """Return the rank correlation with the original mean map after each layer is randomised.

    `how` goes to `attribution.attribute`.
    """
    original = attribute(model, windows, target, **how).mean(axis=0)
    return {
        name: rank_correlation(original, attribute(other, windows, target, **how).mean(axis=0))
        for name, other in _randomise_layers(model, seed=seed)
    }


def _permuted_leads(
    model: Vae,
    windows: np.ndarray,
    target: Target,
    *,
    attribution: str = "Grad-CAM",
    baseline: np.ndarray | None = None,
    seed: int = 0,
) -> dict[str, float]:
    """Return how the lead shares follow when the leads of the input change places.

    `follows_lead`: rank correlation after the map's rows are put back in order; `stays_in_row`:
    without. A map of the signal follows the lead, a map of the row stays.
    """
    order = np.random.default_rng(seed).permutation(windows.shape[1])
    start = windows.mean(axis=0) if baseline is None else baseline
    plain, moved = (
        np.abs(attribute(model, each, target, attribution=attribution, baseline=begin)).sum(
            axis=(0, 2)
        )
        for each, begin in ((windows, start), (windows[:, order], start[order]))
    )
    back = np.empty_like(moved)
    back[order] = moved
    return {
        "follows_lead": rank_correlation(plain, back),
        "stays_in_row": rank_correlation(plain, moved),
    }


def _amplitude_agreement(maps: np.ndarray, windows: np.ndarray) -> float:
    """Return the rank correlation between lead relevance and plain lead amplitude."""
    relevance = np.abs(maps).sum(axis=(0, 2))
    return rank_correlation(relevance, np.abs(windows).sum(axis=(0, 2)))


def _equal_gains(windows: np.ndarray) -> np.ndarray:
    """Return gains `(lead, 1)` that bring all leads to the same mean absolute size."""
    size = np.abs(windows).mean(axis=(0, 2))[:, None]
    return (size.mean() / np.maximum(size, 1e-12)).astype(np.float32)


def _lead_ranks(maps: np.ndarray) -> dict[str, float]:
    """Return the mean rank of V2, V3, V4 and the rank of aVL; 1 is the most relevant of 12."""
    ranks = dict(zip(LEADS, stats.rankdata(-lead_shares(maps).mean(axis=0)), strict=True))
    return {"near": float(np.mean([ranks[lead] for lead in NEAR])), "aVL": float(ranks["aVL"])}


def _exchange_curve(
    model: Vae,
    windows: np.ndarray,
    target: Target,
    importance: np.ndarray,
    *,
    baseline: np.ndarray | None = None,
    n_step: int = 8,
    insert: bool = False,
) -> np.ndarray:
    """Return how far the target is from that of the beat `(step,)` as cells are exchanged.

    The mean over beats of the absolute difference from the target of the whole beat, as a share
    of that difference for the beat that has no cell of its own left. Deletion starts at the beat
    and takes the most important cells away, up to half of them, so a good order rises fast;
    insertion starts at the mean beat and puts them back, so a good order falls fast.

    Parameters
    ----------
    model, windows, target
        A fitted VAE, windows `(window, lead, time)`, scaled, and what is explained.
    importance
        Of each cell, of the shape of the windows or `(lead, time)`.
    baseline
        What cells become, `(lead, time)`; by default the mean of the windows.
    n_step
        Equal steps up to half of all cells.
    insert
        True for insertion.
    """
    flat = windows.reshape(len(windows), -1)
    gone = windows.mean(axis=0) if baseline is None else baseline
    mean = np.broadcast_to(gone.reshape(-1), flat.shape)
    order = np.broadcast_to(importance, windows.shape).reshape(flat.shape).argsort(axis=1)[:, ::-1]
    start, other = (mean, flat) if insert else (flat, mean)
    whole = _target_of(model, windows, target)
    empty = np.abs(_target_of(model, mean.reshape(windows.shape), target) - whole).mean()
    differences = []
    for step in range(1, n_step + 1):
        chosen = order[:, : int(flat.shape[1] * 0.5 * step / n_step)]
        changed = start.copy()
        np.put_along_axis(changed, chosen, np.take_along_axis(other, chosen, axis=1), axis=1)
        found = _target_of(model, changed.reshape(windows.shape), target)
        differences.append(np.abs(found - whole).mean() / empty)
    return np.array(differences)


def _target_of(model: Vae, windows: np.ndarray, target: Target) -> np.ndarray:
    """Return a target of windows `(window,)`."""
    with torch.no_grad():
        return target(model, torch.from_numpy(np.ascontiguousarray(windows))).numpy()


def exchange_curves(
    model: Vae,
    windows: np.ndarray,
    target: Target,
    *,
    baseline: np.ndarray,
    insert: bool = False,
) -> pd.DataFrame:
    """Return the curves of plain amplitude, chance and every audited attribution as columns.

    The index is the share of cells that were exchanged.
    """
    orders = _exchange_orders(windows, windows)
    del orders["map"]
    for name in AUDITED:
        maps = attribute(model, windows, target, attribution=name, baseline=baseline)
        orders[name] = np.abs(maps)
    curves = {
        name: _exchange_curve(model, windows, target, order, baseline=baseline, insert=insert)
        for name, order in orders.items()
    }
    return pd.DataFrame(curves, index=np.arange(1, 9) / 16)


def _exchange_orders(maps: np.ndarray, windows: np.ndarray, *, seed: int = 0) -> dict:
    """Return the orders that are compared: the map, plain amplitude, and at random."""
    random = np.random.default_rng(seed).random(windows.shape)
    return {"map": np.abs(maps), "amplitude": np.abs(windows), "random": random}


def _audit_map(
    model: Vae, windows: np.ndarray, target: Target, *, attribution: str, baseline: np.ndarray
) -> pd.DataFrame:
    """Return the rows `test`, `number` of all checks of one target and attribution.

    `deletion` is the area under the curve of the map over that of the other order, `insertion`
    the area of the other order over that of the map: above 1 the map is the better order.
    """
    how = {"attribution": attribution, "baseline": baseline}
    gains = _equal_gains(windows)
    maps = attribute(model, windows, target, **how)
    equal_how = how | {"baseline": baseline * gains}
    equal_maps = attribute(model, windows * gains, target, **equal_how)
    randomised = _randomisation_test(model, windows, target, **how)
    permuted = _permuted_leads(model, windows, target, **how)
    numbers = {f"randomised down to {name}": value for name, value in randomised.items()}
    numbers |= {f"permuted leads, {name}": value for name, value in permuted.items()}
    numbers["lead amplitude"] = _amplitude_agreement(maps, windows)
    for name, found in (("plain", maps), ("equal amplitude", equal_maps)):
        numbers |= {f"rank of {lead}, {name}": rank for lead, rank in _lead_ranks(found).items()}
    numbers |= _exchange_ratios(model, windows, target, maps, baseline=baseline)
    return pd.DataFrame(numbers.items(), columns=["test", "number"])


def _exchange_ratios(
    model: Vae, windows: np.ndarray, target: Target, maps: np.ndarray, *, baseline: np.ndarray
) -> dict[str, float]:
    """Return how much better than amplitude and chance the map orders deletion and insertion."""
    ratios = {}
    for insert in (False, True):
        areas = {
            name: _exchange_curve(
                model, windows, target, order, baseline=baseline, insert=insert
            ).sum()
            for name, order in _exchange_orders(maps, windows).items()
        }
        for other in ("random", "amplitude"):
            ratio = float(areas["map"] / areas[other])
            name = f"{'insertion' if insert else 'deletion'} against {other}"
            ratios[name] = 1 / ratio if insert else ratio
    return ratios


def _audit_vae(
    model: Vae,
    windows: np.ndarray,
    targets: dict[str, Target],
    masks: dict[str, np.ndarray],
    *,
    baseline: np.ndarray | None = None,
    n_case: int = 100,
    seed: int = 0,
) -> pd.DataFrame:
    """Return all checks of a VAE: a row per test, target and attribution with its number.

    Parameters
    ----------
    model
        A fitted VAE.
    windows
        `(window, lead, time)`, scaled; better those of people the VAE has not seen.
    targets
        From `attribution.declare_targets`.
    masks
        Where the waves lie.
    baseline
        The beat `(lead, time)` that integrated gradients start from and deleted cells become; by
        default the mean of the windows.
    n_case
        Cases of each pointing test.
    """
    start = windows.mean(axis=0) if baseline is None else baseline
    tables = [
        _audit_map(model, windows, target, attribution=attribution, baseline=start).assign(
            target=name, attribution=attribution
        )
        for name, target in targets.items()
        for attribution in AUDITED
    ]
    bump = point_at_bump(model, windows, targets, baseline=start, n_case=n_case, seed=seed)
    wave = point_at_wave(model, windows, masks, baseline=start, n_case=n_case, seed=seed)
    tables += [bump.assign(test="points at a bump"), wave.assign(test="points at a wave")]
    table = pd.concat(tables, ignore_index=True)
    return table[["test", "target", "attribution", "number"]]


def audit_maps(
    group: GroupVae, beats: BeatWindows, *, n_beat: int = 24, n_case: int = 100, seed: int = 0
) -> pd.DataFrame:
    """Return all checks of what a group's VAE looks at: see `audit_vae`.

    Parameters
    ----------
    group
        From `groups.fit_group`.
    beats
        Better of people that the VAE has not seen, mV.
    n_beat
        Beats that are explained, spread evenly.
    n_case
        Cases of each pointing test.
    seed
        Of the draws.
    """
    windows = beats.scaled(group.factor)
    chosen = np.linspace(0, len(windows) - 1, min(len(windows), n_beat)).astype(int)
    masks = waves_of(beats.windows)
    latent = int(latents_in_use(group.model, windows).argmax())
    targets = declare_targets(masks, latent=latent)
    baseline = group.linear.mean.reshape(windows.shape[1:])
    how = {"baseline": baseline, "n_case": n_case, "seed": seed}
    return _audit_vae(group.model, windows[chosen], targets, masks, **how)


RULES_FIXED = "2026-11-26"

_OF_ALL_LEADS = tuple(name for name in TARGETS if name != NAMED_LEAD)

_PATH = (PATH,)


@dataclass(frozen=True)
class AuditRule:
    """What a number must be for a map to pass a test, and of which maps that can be asked.

    `side` and `limit` say when it passes (≥ or ≤), `targets` and `attributions` whom the test
    judges, `why` what the test asks and why nobody else is asked.
    """

    side: str
    limit: float
    targets: tuple[str, ...]
    attributions: tuple[str, ...]
    why: str

    def passes(self, numbers: pd.Series) -> pd.Series:
        """Return which numbers pass."""
        return numbers >= self.limit if self.side == "≥" else numbers <= self.limit


_NO_RANK = "Grad-CAM of the first layer cannot rank leads"
_ONE_LEAD = "the error of V2 names a lead itself"
_EXCHANGE = "the target must move further than by the other order; every map is asked"

# The rules of the audit, fixed on `RULES_FIXED`; audits before that date had others.
RULES: dict[str, AuditRule] = {
    "randomised down to first": AuditRule(
        "≤", 0.5, TARGETS, AUDITED, "a map of what was learned must not outlive it; all are asked"
    ),
    "permuted leads, follows_lead": AuditRule(
        "≥", 0.7, _OF_ALL_LEADS, _PATH, f"a map of the signal follows it; {_NO_RANK}; {_ONE_LEAD}"
    ),
    "permuted leads, stays_in_row": AuditRule(
        "≤", 0.7, _OF_ALL_LEADS, _PATH, f"a map of the signal leaves its row; {_NO_RANK}; "
        f"{_ONE_LEAD}",
    ),
    "lead amplitude": AuditRule(
        "≤", 0.7, _OF_ALL_LEADS, _PATH, f"a map must tell more than size; {_NO_RANK}; {_ONE_LEAD}"
    ),
    **{
        f"{way} against {other}": AuditRule("≥", 1.0, TARGETS, AUDITED, _EXCHANGE)
        for way in ("deletion", "insertion")
        for other in ("random", "amplitude")
    },
    "points at a bump": AuditRule(
        "≥", 0.9, ("negative_elbo", "error_of_lead"), AUDITED,
        "the bump raises the error where it is; latents need not hold it, and the errors of V2 "
        "and of the T wave lie elsewhere",
    ),
    "points at a wave": AuditRule(
        "≥", 0.9, ("error_of_wave",), AUDITED, "the target is the error in one wave of one lead"
    ),
    "agrees with reconstruction": AuditRule(
        "≥", 0.5, ("latent_norm", "negative_elbo"), _PATH,
        f"a lead that holds much of the others should matter to the whole beat; {_NO_RANK}; one "
        "latent, one lead and one wave are not the whole beat",
    ),
}  # fmt: skip


def rule_table() -> pd.DataFrame:
    """Return the rules of the audit as a table: test, rule, targets, attributions and why.

    Examples
    --------
    >>> rule_table().set_index("test").loc["lead amplitude", ["maps", "targets"]].tolist()
    ['integrated gradients alone', 'all but the error of V2']
    """
    many = {TARGETS: "all five targets", _OF_ALL_LEADS: "all but the error of V2"}
    maps = {AUDITED: "both maps", _PATH: f"{PATH} alone"}
    rows = [
        (test, f"{rule.side}\u00a0{rule.limit:g}",
         many.get(rule.targets, ", ".join(rule.targets)), maps[rule.attributions], rule.why)
        for test, rule in RULES.items()
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["test", "rule", "targets", "maps", "why"])


def judge_audit(audit: pd.DataFrame) -> pd.DataFrame:
    """Return the verdict of each audit test and attribution over the targets that it judges.

    Columns: the rule, `lowest` and `highest` number over targets (each the mean over fits),
    `best` (the target that does best), `passed` of `targets`, and the `verdict`. Maps that the
    rule does not judge are left out.
    """
    rows = []
    for test, rule in RULES.items():
        asked = audit["target"].isin(rule.targets) & audit["attribution"].isin(rule.attributions)
        found = audit[(audit["test"] == test) & asked]
        for attribution, group in found.groupby("attribution", sort=False):
            numbers = group.groupby("target", sort=False)["number"].mean()
            passed = int(rule.passes(numbers).sum())
            best = numbers.idxmax() if rule.side == "≥" else numbers.idxmin()
            verdict = {0: "fails", len(numbers): "passes"}.get(passed, "depends on the target")
            told = f"{rule.side}\u00a0{rule.limit:g}"
            row = (test, attribution, told, numbers.min(), numbers.max(), best)
            rows.append((*row, passed, len(numbers), verdict))
    columns = ["test", "attribution", "rule", "lowest", "highest", "best", "passed", "targets"]
    return pd.DataFrame(rows, columns=[*columns, "verdict"])


USES = {
    "which leads matter": (
        "lead amplitude",
        "permuted leads, follows_lead",
        "permuted leads, stays_in_row",
        "agrees with reconstruction",
    ),
    "which moments the target rests on": (
        "deletion against random",
        "deletion against amplitude",
        "insertion against random",
        "insertion against amplitude",
    ),
    "what the network has learned": ("randomised down to first",),
    "where something abnormal lies": ("points at a bump", "points at a wave"),
}


def believe(verdicts: pd.DataFrame) -> pd.DataFrame:
    """Return for each use of a map and each kind of map whether it can be believed: yes or no.

    Yes only if every test of the use was put to that map and passed for all targets that the rule
    judges. Columns: `use`, `map`, `answer`, `passed`, `of` (tests of the use), `failed` (which).

    Parameters
    ----------
    verdicts
        From `judge_audit`.
    """
    passes = verdicts.set_index(["test", "attribution"])["verdict"] == "passes"
    rows = []
    for use, tests in USES.items():
        for attribution in AUDITED:
            found = {test: bool(passes.get((test, attribution), False)) for test in tests}
            failed = ", ".join(test for test, good in found.items() if not good)
            if not any((test, attribution) in passes.index for test in tests):
                failed = "cannot be asked: this map cannot rank leads"
            answer = "yes" if all(found.values()) else "no"
            rows.append((use, attribution, answer, sum(found.values()), len(tests), failed))
    return pd.DataFrame(rows, columns=["use", "map", "answer", "passed", "of", "failed"])
