"""The VAE of a group of people: how its beats are scaled, varied, learned, kept and explained."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from ecgnb import files
from ecgnb.explanation.attribution import Target, attribute, declare_targets
from ecgnb.explanation.shares import ATTRIBUTIONS, share_rows, waves_of
from ecgnb.explanation.vae import (
    PcaModel,
    Vae,
    VaeOptions,
    count_in_use,
    fit_pca,
    fit_vae,
    latents_in_use,
    rebuild_windows,
)
from ecgnb.explanation.windows import (
    BEFORE,
    SAMPLING_RATE,
    BeatWindows,
    common_factor,
    lead_factor,
    vary_windows,
)
from ecgnb.leads import LEADS
from ecgnb.records.labels import condition_slug
from ecgnb.training import History

STRENGTHS = (0.0, 0.5, 1.0, 2.0)

_N_SEEN = 1000  # beats that a fit sees, original ones and variations

_N_EXPLAINED = 8  # beats of a patient that are explained

_N_COARSE = 64  # times of a map that is kept

_MAPPED = "latent_norm"


@dataclass(frozen=True)
class GroupVae:
    """A fitted VAE, its factor per lead `(lead, 1)` in mV, and what was chosen on the way.

    `strength` says how much the beats were varied, `linear` holds the principal components of
    the training windows as they are, `linear_varied` those of all windows that the VAE saw.
    """

    model: Vae
    factor: np.ndarray
    history: History
    strength: float
    linear: PcaModel
    linear_varied: PcaModel

    def guesses(self, windows: np.ndarray) -> dict[str, np.ndarray]:
        """Return reconstructions of scaled windows by the VAE and its baselines, scaled."""
        return {
            "VAE": rebuild_windows(self.model, windows),
            "PCA": self.linear.reconstruct(windows),
            "PCA, varied beats": self.linear_varied.reconstruct(windows),
            "mean beat": np.broadcast_to(
                self.linear.mean.reshape(windows.shape[1:]), windows.shape
            ),
        }


def fit_group(
    train: BeatWindows,
    validation: BeatWindows,
    *,
    options: VaeOptions | None = None,
    equal_leads: bool = True,
    seed: int = 0,
) -> GroupVae:
    """Return the VAE of the people in `train`; all choices are made on those in `validation`.

    Beats are varied (`windows.vary_windows`) as strongly as serves principal components of new
    people best. Without validation patients the training windows stand in.

    Parameters
    ----------
    train, validation
        Windows in mV, with no patient in both.
    options
        Of the network and its fit.
    equal_leads
        True scales every lead by its own size; False scales all by one.
    seed
        Of the variations and the fit.
    """
    options = options or VaeOptions()
    factor = (lead_factor if equal_leads else common_factor)(train.windows)
    own = train.scaled(factor)
    check = validation.scaled(factor) if len(validation.windows) else own
    seen, errors = {}, {}
    for strength in STRENGTHS:
        seen[strength] = _with_variations(train, factor, strength, seed)
        linear = fit_pca(seen[strength], options.n_latent)
        errors[strength] = float(np.square(linear.reconstruct(check) - check).mean())
    best = min(STRENGTHS, key=errors.__getitem__)
    model, history = fit_vae(seen[best], check, options=options, seed=seed)
    own_linear, varied = (fit_pca(each, options.n_latent) for each in (own, seen[best]))
    return GroupVae(model, factor, history, best, own_linear, varied)


def _with_variations(
    train: BeatWindows, factor: np.ndarray, strength: float, seed: int
) -> np.ndarray:
    """Return the training windows, scaled, followed by as many variations as make 1,000."""
    if strength == 0:
        return train.scaled(factor)
    generator = np.random.default_rng(seed)
    n_more = max(_N_SEEN - len(train.windows), len(train.windows) // 2)
    rows = generator.integers(len(train.windows), size=n_more)
    varied = vary_windows(train.windows[rows], strength=strength, generator=generator)
    windows = np.concatenate([train.windows, varied])
    return replace(train, windows=windows).scaled(factor)


def describe_fit(fitted: GroupVae, test: BeatWindows) -> dict[str, float]:
    """Return what was chosen in a fit and the divergence of each latent on new people, nats."""
    nats = latents_in_use(fitted.model, test.scaled(fitted.factor))
    return {
        "strength": fitted.strength,
        "share": fitted.history.step_taken,
        "best_step": fitted.history.best_step[0],
        "in_use": count_in_use(nats),
        **{f"nats_{number:02d}": float(value) for number, value in enumerate(nats)},
    }


def explain_group(fitted: GroupVae, group: BeatWindows) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the shares of every patient and the mean map over them, for all targets.

    Each patient's waves are found on the patient's own average beat; integrated gradients start
    at the mean beat of the training windows.
    """
    latent = int(latents_in_use(fitted.model, group.scaled(fitted.factor)).argmax())
    rows, maps = [], []
    for patient in np.unique(group.patients):
        beats = group.windows[group.patients == patient]
        beats = beats[np.linspace(0, len(beats) - 1, min(len(beats), _N_EXPLAINED)).astype(int)]
        masks = waves_of(beats)
        means = _mean_maps(fitted, beats, declare_targets(masks, latent=latent))
        rows += [
            share_rows(mean, beats, masks).assign(
                patient=patient, target=target, attribution=attribution
            )
            for (target, attribution), mean in means.items()
        ]
        mapped = {a: mean for (target, a), mean in means.items() if target == _MAPPED}
        maps.append(_coarse_map(mapped, np.median(beats, axis=0)))
    average = pd.concat(maps).groupby(["lead", "time_s"], sort=False, as_index=False).mean()
    return pd.concat(rows, ignore_index=True), average.assign(n_patient=len(maps))


def relevance_maps(
    group: GroupVae,
    beats: BeatWindows | np.ndarray,
    target: Target | str = "latent_norm",
    *,
    attribution: str = "Grad-CAM",
) -> np.ndarray:
    """Return maps `(beat, lead, time)` of what in the beats raises a target of a group's VAE.

    Parameters
    ----------
    group
        From `fit_group`.
    beats
        Windows of one person `(beat, lead, time)`, mV.
    target
        One of `shares.TARGETS`, or a function of the VAE and scaled windows.
    attribution
        One of `shares.ATTRIBUTIONS`; integrated gradients start at the mean beat of the
        training windows.
    """
    beats = beats.windows if isinstance(beats, BeatWindows) else beats
    windows = (beats / group.factor).astype(np.float32)
    target = _named_targets(group, beats)[target] if isinstance(target, str) else target
    baseline = group.linear.mean.reshape(windows.shape[1:])
    return attribute(group.model, windows, target, attribution=attribution, baseline=baseline)


def _named_targets(group: GroupVae, beats: np.ndarray) -> dict[str, Target]:
    """Return the declared targets for beats `(beat, lead, time)` in mV of one person."""
    windows = (beats / group.factor).astype(np.float32)
    latent = int(latents_in_use(group.model, windows).argmax())
    return declare_targets(waves_of(beats), latent=latent)


def _mean_maps(
    fitted: GroupVae, beats: np.ndarray, targets: dict[str, Target]
) -> dict[tuple[str, str], np.ndarray]:
    """Return the mean map `(lead, time)` of beats in mV for each target and attribution."""
    return {
        (name, attribution): relevance_maps(fitted, beats, target, attribution=attribution).mean(
            axis=0
        )
        for name, target in targets.items()
        for attribution in ATTRIBUTIONS
    }


def _coarse_map(means: dict[str, np.ndarray], beat: np.ndarray) -> pd.DataFrame:
    """Return maps and beat with one value per 16 ms: rows of lead, time and their values."""
    times = (np.arange(beat.shape[1]) - BEFORE) / SAMPLING_RATE
    coarse = times.reshape(_N_COARSE, -1).mean(axis=1)
    index = pd.MultiIndex.from_product([LEADS, coarse], names=["lead", "time_s"])
    columns = {"beat_mv": beat} | means
    values = {
        name: value.reshape(len(LEADS), _N_COARSE, -1).mean(axis=2).ravel()
        for name, value in columns.items()
    }
    return pd.DataFrame(values, index=index).reset_index()


def part_of(group: BeatWindows, patients: Sequence[str]) -> BeatWindows:
    """Return the windows of some patients."""
    chosen = np.isin(group.patients, list(patients))
    return BeatWindows(group.windows[chosen], group.patients[chosen])


def save_group(folder: Path, condition: str, fitted: GroupVae) -> None:
    """Write the VAE of a condition with its factor and its linear baselines to a folder."""
    arrays = {f"model.{key}": value.numpy() for key, value in fitted.model.state_dict().items()}
    for name in ("linear", "linear_varied"):
        part = getattr(fitted, name)
        arrays |= {f"{name}.{field.name}": getattr(part, field.name) for field in fields(part)}
    choices = np.array([fitted.strength, fitted.history.step_taken])
    files.write_arrays(_path(folder, condition), factor=fitted.factor, choices=choices, **arrays)


def _path(folder: Path, condition: str) -> Path:
    return folder / f"vae_{condition_slug(condition)}.npz"


def has_group(folder: Path, condition: str) -> bool:
    """Return whether a folder holds the VAE of a condition, whole."""
    return files.is_whole(_path(folder, condition))


def load_group(folder: Path, condition: str) -> GroupVae:
    """Return the VAE of a condition that `save_group` wrote, without the course of its fit.

    Raises
    ------
    MissingArtifactError
        If the folder does not hold it.
    """
    arrays = files.read_arrays(_path(folder, condition))
    state = {
        name.removeprefix("model."): torch.from_numpy(value)
        for name, value in arrays.items()
        if name.startswith("model.")
    }
    model = Vae(VaeOptions(n_latent=state["to_latent.weight"].shape[0] // 2))
    model.load_state_dict(state)
    linear, varied = (
        PcaModel(arrays[f"{name}.mean"], arrays[f"{name}.axes"])
        for name in ("linear", "linear_varied")
    )
    strength, step_taken = arrays["choices"].tolist()
    history = History(step_taken=step_taken)
    return GroupVae(model.eval(), arrays["factor"], history, strength, linear, varied)
