"""Keep the VAEs of the conditions, and what they look at, as artifacts between chapters."""

from dataclasses import fields
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from ecgnb import files
from ecgnb.groups import GroupVae
from ecgnb.pca import PcaModel
from ecgnb.records.labels import CONDITIONS, HEALTHY, condition_slug
from ecgnb.report import Chapter
from ecgnb.training import History
from ecgnb.vae import Vae, VaeOptions


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


def read_shares(chapter: Chapter) -> pd.DataFrame:
    """Return the shares that the pages of the conditions saved, one table with `condition`."""
    found = {}
    for condition in CONDITIONS:
        name = f"08_condition_{condition_slug(condition)}"
        if files.is_whole(chapter.artifacts / name / "shares.csv"):
            found[condition] = chapter.read_table(name, "shares")
    if HEALTHY not in found:
        raise files.MissingArtifactError("run 08_condition for healthy control first")
    return pd.concat([table.assign(condition=name) for name, table in found.items()])
