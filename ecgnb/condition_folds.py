"""One fit of a heart condition's VAE: who is in its parts, and its scores, maps and audit."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ecgnb.attribution import ATTRIBUTIONS, Target, declare_targets, explain
from ecgnb.audit import audit_maps
from ecgnb.groups import GroupVae, fit_group
from ecgnb.intervals import correlation
from ecgnb.leads import LEADS
from ecgnb.pca import PcaModel, fit_pca
from ecgnb.records.labels import HEALTHY, condition_slug
from ecgnb.shares import N_LEAST, share_rows, waves_of
from ecgnb.vae import VaeOptions, count_in_use, latents_in_use
from ecgnb.windows import BEFORE, SAMPLING_RATE, WindowSet

N_FOLD = 5
KINDS = ("fits", "terms", "scores", "shares", "audit", "maps")
AUDIT = ["test", "target", "attribution", "number"]
_N_EXPLAINED = 8  # beats of a patient that are explained
_N_CASE = 60  # of a pointing test
_N_COARSE = 64  # times of a map that is kept
_MAPPED = "latent_norm"


@dataclass(frozen=True)
class Fold:
    """One fit: the group it belongs to and the patients of its three parts.

    `draw` is `all`, or says which part of the group was drawn to have as many patients as
    another condition; `scaling` is `lead` (each lead by its own size) or `common`.
    """

    condition: str
    draw: str
    scaling: str
    number: int
    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]

    @property
    def name(self) -> str:
        """As it stands in file names."""
        draw = self.draw.replace(" ", "-")
        return f"{condition_slug(self.condition)}--{draw}--{self.scaling}--{self.number}"


def plan_folds(patients: dict[str, Sequence[str]], *, seed: int = 0) -> list[Fold]:
    """Return the fits for the patients of each condition with at least 3.

    Every condition is cut into 5 folds by patient (as many as patients if fewer); a fifth of all,
    at least one, of the others validates. Healthy controls are fitted again with one factor for
    all leads, and in draws of as many patients as each other condition has.

    Examples
    --------
    >>> folds = plan_folds({"healthy control": list("abcdef"), "myocarditis": ["x", "y"]})
    >>> len(folds), sorted(name for fold in folds[:5] for name in fold.test)
    (10, ['a', 'b', 'c', 'd', 'e', 'f'])
    """
    enough = {name: sorted(found) for name, found in patients.items() if len(found) >= N_LEAST}
    folds = [
        fold for name, found in enough.items() for fold in _deal(name, found, "all", seed=seed)
    ]
    healthy = enough.get(HEALTHY, [])
    if healthy:
        folds += _deal(HEALTHY, healthy, "all", seed=seed, scaling="common")
    counts = sorted({len(found) for found in enough.values()} - {len(healthy)})
    for count in counts:
        for draw in range(2 if count < N_FOLD else 1):
            if count < len(healthy):
                chosen = np.random.default_rng([seed, count, draw]).permutation(healthy)[:count]
                folds += _deal(HEALTHY, sorted(chosen), f"{count} drawn {draw}", seed=seed)
    return folds


def _deal(
    condition: str, patients: Sequence[str], draw: str, *, seed: int, scaling: str = "lead"
) -> Iterator[Fold]:
    """Yield the folds of one group."""
    names = np.random.default_rng(seed).permutation(list(patients)).tolist()
    parts = [tuple(part.tolist()) for part in np.array_split(names, min(N_FOLD, len(names)))]
    n_validation = max(round(0.2 * len(names)), 1)
    for number, test in enumerate(parts):
        after = [*parts[number + 1 :], *parts[:number]]
        rest = [name for part in after for name in part]
        train, validation = tuple(rest[n_validation:]), tuple(rest[:n_validation])
        yield Fold(condition, draw, scaling, number, train, validation, test)


def fold_tables(
    fold: Fold, groups: dict[str, WindowSet], options: VaeOptions, seed: int
) -> dict[str, pd.DataFrame]:
    """Return the tables `KINDS` of one fit.

    The VAE of healthy people is also scored on everybody with a condition. Only whole groups are
    audited.
    """
    started, wall = time.process_time(), time.monotonic()
    own = groups[fold.condition]
    train, check, test = (part_of(own, part) for part in (fold.train, fold.validation, fold.test))
    equal = fold.scaling == "lead"
    fitted = fit_group(train, check, options=options, equal_leads=equal, seed=seed)
    asked = {fold.condition: test}
    if fold.condition == HEALTHY and fold.draw == "all" and equal:
        asked = {n: g for n, g in groups.items() if n != HEALTHY and len(g.windows)} | asked
    pooled = fit_pooled(train, fold.condition, groups, fitted.factor, options.n_latent)
    scores = [
        score_group(fitted, group, pooled=pooled if condition == fold.condition else None).assign(
            condition=condition
        )
        for condition, group in asked.items()
    ]
    shares, maps = explain_group(fitted, test)
    audit = (
        audit_maps(fitted, test, n_case=_N_CASE, seed=seed)
        if fold.draw == "all"
        else pd.DataFrame(columns=AUDIT)
    )
    terms = pd.DataFrame(fitted.history.terms).assign(
        step=fitted.history.step, validation=[errors[0] for errors in fitted.history.validation]
    )
    facts = {"n_train": train.n_patient, "n_validation": check.n_patient}
    facts |= {"n_test": test.n_patient} | describe_fit(fitted, test)
    facts |= {"cpu_s": time.process_time() - started, "wall_s": time.monotonic() - wall}
    tables = (pd.DataFrame([facts]), terms, pd.concat(scores), shares, audit, maps)
    return dict(zip(KINDS, tables, strict=True))


def fit_pooled(
    train: WindowSet, condition: str, groups: dict[str, WindowSet], factor: np.ndarray, n: int
) -> PcaModel:
    """Return principal components of the training windows and those of all other conditions."""
    others = [group.scaled(factor)[::2] for name, group in groups.items() if name != condition]
    return fit_pca(np.concatenate([train.scaled(factor), *others]), n)


def describe_fit(fitted: GroupVae, test: WindowSet) -> dict[str, float]:
    """Return what was chosen in a fit and the divergence of each latent on new people, nats."""
    nats = latents_in_use(fitted.model, test.scaled(fitted.factor))
    return {
        "strength": fitted.strength,
        "share": fitted.history.step_taken,
        "best_step": fitted.history.best_step[0],
        "in_use": count_in_use(nats),
        **{f"nats_{number:02d}": float(value) for number, value in enumerate(nats)},
    }


def score_group(
    fitted: GroupVae, group: WindowSet, *, pooled: PcaModel | None = None
) -> pd.DataFrame:
    """Return scores per patient, method and lead: `mse` (scaled units²), `r`, `rmse_uv`."""
    truth, rows = group.scaled(fitted.factor), []
    guesses = fitted.guesses(truth)
    if pooled is not None:
        guesses["PCA, all conditions"] = pooled.reconstruct(truth)
    for method, guess in guesses.items():
        for patient in np.unique(group.patients):
            chosen = group.patients == patient
            for lead, name in enumerate(LEADS):
                asked, given = truth[chosen, lead].ravel(), guess[chosen, lead].ravel()
                mse = float(np.square(given - asked).mean())
                r = float(correlation(asked, given))
                uv = 1000 * np.sqrt(mse) * float(fitted.factor[lead, 0])
                rows.append((patient, method, name, mse, r, uv))
    return pd.DataFrame(rows, columns=["patient", "method", "lead", "mse", "r", "rmse_uv"])


def explain_group(fitted: GroupVae, group: WindowSet) -> tuple[pd.DataFrame, pd.DataFrame]:
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
        means = mean_maps(fitted, beats, declare_targets(masks, latent=latent))
        rows += [
            share_rows(mean, beats, masks).assign(
                patient=patient, target=target, attribution=attribution
            )
            for (target, attribution), mean in means.items()
        ]
        mapped = {a: mean for (target, a), mean in means.items() if target == _MAPPED}
        maps.append(coarse_map(mapped, np.median(beats, axis=0)))
    average = pd.concat(maps).groupby(["lead", "time_s"], sort=False, as_index=False).mean()
    return pd.concat(rows, ignore_index=True), average.assign(n_patient=len(maps))


def relevance_maps(
    group: GroupVae,
    beats: WindowSet | np.ndarray,
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
        One of `attribution.TARGETS`, or a function of the VAE and scaled windows.
    attribution
        One of `attribution.ATTRIBUTIONS`; integrated gradients start at the mean beat of the
        training windows.
    """
    beats = beats.windows if isinstance(beats, WindowSet) else beats
    windows = (beats / group.factor).astype(np.float32)
    target = named_targets(group, beats)[target] if isinstance(target, str) else target
    baseline = group.linear.mean.reshape(windows.shape[1:])
    return explain(group.model, windows, target, attribution=attribution, baseline=baseline)


def named_targets(group: GroupVae, beats: np.ndarray) -> dict[str, Target]:
    """Return the declared targets for beats `(beat, lead, time)` in mV of one person."""
    windows = (beats / group.factor).astype(np.float32)
    latent = int(latents_in_use(group.model, windows).argmax())
    return declare_targets(waves_of(beats), latent=latent)


def mean_maps(
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


def coarse_map(means: dict[str, np.ndarray], beat: np.ndarray) -> pd.DataFrame:
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


def part_of(group: WindowSet, patients: Sequence[str]) -> WindowSet:
    """Return the windows of some patients."""
    chosen = np.isin(group.patients, list(patients))
    return WindowSet(group.windows[chosen], group.patients[chosen])
