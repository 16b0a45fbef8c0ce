"""One fit of a heart condition's VAE: who is in its parts, and its scores, maps and audit."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ecgnb.explanation.audit import audit_maps
from ecgnb.explanation.group_scores import fit_pooled, score_group
from ecgnb.explanation.groups import describe_fit, explain_group, fit_group, part_of
from ecgnb.explanation.shares import N_LEAST
from ecgnb.explanation.vae import VaeOptions
from ecgnb.explanation.windows import BeatWindows
from ecgnb.records.labels import HEALTHY, condition_slug

N_FOLD = 5

KINDS = ("fits", "terms", "scores", "shares", "audit", "maps")

AUDIT = ["test", "target", "attribution", "number"]

_N_CASE = 60  # of a pointing test


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
    fold: Fold, groups: dict[str, BeatWindows], options: VaeOptions, seed: int
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
