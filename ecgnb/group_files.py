"""Keep the VAEs of the conditions, and what they look at, as artifacts between chapters."""

from dataclasses import fields

import numpy as np
import pandas as pd
import torch

from ecgnb import tasks
from ecgnb.databases import CONDITIONS, condition_slug
from ecgnb.diagnoses import HEALTHY
from ecgnb.groups import GroupVae
from ecgnb.pca import PcaModel
from ecgnb.report import Chapter, MissingArtifactError
from ecgnb.training import History
from ecgnb.vae import Vae, VaeOptions

_CHAPTER = "06_vae"


def save_group(chapter: Chapter, condition: str, fitted: GroupVae) -> None:
    """Write the VAE of a condition with its factor and its linear baselines."""
    arrays = {f"model.{key}": value.numpy() for key, value in fitted.model.state_dict().items()}
    for name in ("linear", "linear_varied"):
        part = getattr(fitted, name)
        arrays |= {f"{name}.{field.name}": getattr(part, field.name) for field in fields(part)}
    choices = np.array([fitted.strength, fitted.history.step_taken])
    chapter.save_arrays(
        f"vae_{condition_slug(condition)}", factor=fitted.factor, choices=choices, **arrays
    )


def has_group(chapter: Chapter, condition: str) -> bool:
    """Return whether chapter 06 has trained a VAE of this condition in this run."""
    slug = condition_slug(condition)
    return tasks.is_whole(chapter.artifacts / _CHAPTER / f"vae_{slug}.npz")


def load_group(chapter: Chapter, condition: str) -> GroupVae:
    """Return the VAE of a condition from chapter 06, without the course of its fit."""
    arrays = chapter.read_arrays(_CHAPTER, f"vae_{condition_slug(condition)}")
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


def read_shares(chapter: Chapter) -> pd.DataFrame:
    """Return the shares that the pages of the conditions saved, one table with `condition`."""
    found = {}
    for condition in CONDITIONS:
        name = f"08_condition_{condition_slug(condition)}"
        if tasks.is_whole(chapter.artifacts / name / "shares.csv"):
            found[condition] = chapter.read_table(name, "shares")
    if HEALTHY not in found:
        raise MissingArtifactError("run 08_condition for healthy control first")
    return pd.concat([table.assign(condition=name) for name, table in found.items()])
