"""The VAE of a group: how its beats are scaled, augmented, learned, kept and explained."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
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
    augment_windows,
    common_factor,
    join_windows,
    lead_factor,
)
from ecgnb.leads import LEADS
from ecgnb.records.labels import condition_slug
from ecgnb.training import History

STRENGTHS = (0.0, 0.5, 1.0, 2.0)

_N_SEEN = 1000  # beats that a fit sees, original and augmented ones

_N_EXPLAINED = 8  # beats of a patient that are explained

_N_COARSE = 64  # times of a map that is kept

_MAPPED = "latent_norm"

_LINEAR = ("linear", "linear_augmented", "linear_train")


@dataclass(frozen=True)
class GroupVae:
    """A fitted VAE, its factor per lead `(lead, 1)` in mV, and what was chosen on the way.

    `strength` says how much the beats were augmented. Three linear baselines of as many
    components stand beside it: `linear` of the beats of everybody that the fit has seen, to learn
    from or to choose by, `linear_augmented` of these and augmented ones, `linear_train` of the
    windows that the network learned from alone.
    """

    model: Vae
    factor: np.ndarray
    history: History
    strength: float
    linear: PcaModel
    linear_augmented: PcaModel
    linear_train: PcaModel

    def guesses(self, windows: np.ndarray) -> dict[str, np.ndarray]:
        """Return reconstructions of scaled windows by the VAE and its baselines, scaled."""
        return {"VAE": rebuild_windows(self.model, windows)} | self.linear_guesses(windows)

    def linear_guesses(self, windows: np.ndarray) -> dict[str, np.ndarray]:
        """Return reconstructions of scaled windows by the baselines, scaled."""
        mean = self.linear.mean.reshape(windows.shape[1:])
        return {
            "PCA": self.linear.reconstruct(windows),
            "PCA, augmented beats": self.linear_augmented.reconstruct(windows),
            "PCA, training people": self.linear_train.reconstruct(windows),
            "mean beat": np.broadcast_to(mean, windows.shape),
        }


def fit_group(
    train: BeatWindows,
    validation: BeatWindows,
    *,
    options: VaeOptions | None = None,
    equal_leads: bool = True,
    seed: int = 0,
) -> GroupVae:
    """Return the VAE of the people in `train`, all choices made on those in `validation`.

    Beats are augmented (`windows.augment_windows`) as strongly as serves principal components of
    new people best. The fit has seen the people of both parts, those of the second to choose by,
    so the baselines are principal components of both; beside them stand those of what the network
    learned from alone, which favour the network. Without validation patients the training windows
    stand in.

    Parameters
    ----------
    train, validation
        Windows in mV, with no patient in both.
    options
        Of the network and its fit.
    equal_leads
        True scales every lead by its own size; False scales all by one.
    seed
        Of the augmented beats and the fit.
    """
    options = options or VaeOptions()
    factor = (lead_factor if equal_leads else common_factor)(train.windows)
    check = (validation if len(validation.windows) else train).scaled(factor)
    strength = _choose_strength(train, factor, check, options.n_latent, seed)
    seen = _with_augmented(train, factor, strength, seed)
    model, history = fit_vae(seen, check, options=options, seed=seed)
    linear = _fit_linear(train, validation, factor, strength, options.n_latent, seed)
    return GroupVae(model, factor, history, strength, *linear)


def _fit_linear(
    train: BeatWindows,
    validation: BeatWindows,
    factor: np.ndarray,
    strength: float,
    n_latent: int,
    seed: int,
) -> list[PcaModel]:
    """Return components of everybody's beats, of these and augmented ones, and of `train`'s."""
    everybody = join_windows(train, validation)
    shown = (
        everybody.scaled(factor),
        _with_augmented(everybody, factor, strength, seed),
        _with_augmented(train, factor, strength, seed),
    )
    return [fit_pca(windows, n_latent) for windows in shown]


def _choose_strength(
    train: BeatWindows, factor: np.ndarray, check: np.ndarray, n_latent: int, seed: int
) -> float:
    """Return the strength with the least error of principal components on other people."""
    errors = {}
    for strength in STRENGTHS:
        linear = fit_pca(_with_augmented(train, factor, strength, seed), n_latent)
        errors[strength] = float(np.square(linear.reconstruct(check) - check).mean())
    return min(STRENGTHS, key=errors.__getitem__)


def _with_augmented(
    people: BeatWindows, factor: np.ndarray, strength: float, seed: int
) -> np.ndarray:
    """Return the people's windows, scaled, followed by as many augmented ones as make 1,000."""
    if strength == 0:
        return people.scaled(factor)
    generator = np.random.default_rng(seed)
    n_more = max(_N_SEEN - len(people.windows), len(people.windows) // 2)
    rows = generator.integers(len(people.windows), size=n_more)
    more = augment_windows(people.windows[rows], strength=strength, generator=generator)
    return BeatWindows(np.concatenate([people.windows, more]), people.patients).scaled(factor)


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
    at the mean beat of the people that were learned from.
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
    for name in _LINEAR:
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
    reach = state["second.weight"].shape[2] // 2
    n_latent = state["to_latent.weight"].shape[0] // 2
    model = Vae(VaeOptions(n_latent=n_latent, lead_reach=reach))
    model.load_state_dict(state)
    linear = [PcaModel(arrays[f"{name}.mean"], arrays[f"{name}.axes"]) for name in _LINEAR]
    strength, step_taken = arrays["choices"].tolist()
    history = History(step_taken=step_taken)
    return GroupVae(model.eval(), arrays["factor"], history, strength, *linear)
