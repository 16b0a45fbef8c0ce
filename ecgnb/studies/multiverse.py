"""How far each choice that the paper leaves unstated moves its scores: a declared family.

Every member is one full experiment on one record: preprocessing, split, model and scores over all
pairs of leads. Two choices leak, shuffled windows and scaling each window by itself: they are here
because published work makes them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from ecgnb.files import code_digest
from ecgnb.paper import PAPER
from ecgnb.reconstruction.methods import ALL_INPUTS, METHODS
from ecgnb.reconstruction.scores import hearts_of, score_pairs
from ecgnb.signals.preparation import Prepared, PreprocessingOptions, make_windows
from ecgnb.signals.prepared_files import prepare_file
from ecgnb.studies.plan import Source, Task, key_of, list_sources
from ecgnb.studies.runner import Outcome, store_of, write_study

LINES, NETWORKS = ("line", "line_through_origin"), ("cnn_1d", "cnn_2d", "cnn_2d_separable")

MODELS = (*LINES, *NETWORKS)

_METHODS = {"line": "least_squares"}  # the recorded table has another word for this one

BANDS = {"0.5-40 Hz": (0.5, 40.0), "unfiltered": (None, None)}

FAMILY_SCALINGS = ("lead", "record", "window")

SPLITS = ("time", "shuffled")

WINDOWS_S = (0.512, 1.024, 2.048)

CHOICES = ("model", "band", "scaling", "split", "window_s")


@dataclass(frozen=True)
class Member:
    """One member of the family; the defaults are this book's own choices.

    Parameters
    ----------
    model
        One of `MODELS`.
    band
        One of `BANDS`.
    scaling
        What one pair of factors to [-1, 1] belongs to: `lead` or `record` (training part), or each
        `window` by itself, which leaks the amplitude.
    split
        Parts in `time` with gaps, or overlapping windows `shuffled` into the parts, which leaks.
    window_s
        Length of the windows, s.
    """

    model: str = "cnn_1d"
    band: str = "0.5-40 Hz"
    scaling: str = "lead"
    split: str = "time"
    window_s: float = 1.024

    def __post_init__(self) -> None:
        allowed = zip(
            fields(self), (MODELS, BANDS, FAMILY_SCALINGS, SPLITS, WINDOWS_S), strict=True
        )
        for field, values in allowed:
            if getattr(self, field.name) not in values:
                known = ", ".join(str(value) for value in values)
                raise ValueError(f"{field.name} must be one of {known}")

    @property
    def name(self) -> str:
        """The choices in one string, for file names."""
        band = self.band.replace(" ", "")
        return f"{self.model}--{band}--{self.scaling}--{self.split}--{self.window_s:g}s"


def _family() -> list[Member]:
    """Return the members: lines with every mix of choices, networks with one choice changed.

    Examples
    --------
    >>> len(_family())
    39
    """
    lines = [
        Member(model, band, scaling, split)
        for model, band, scaling, split in product(LINES, BANDS, FAMILY_SCALINGS, SPLITS)
    ]
    changes = [{}, {"band": "unfiltered"}, {"split": "shuffled"}]
    changes += [{"scaling": scaling} for scaling in FAMILY_SCALINGS[1:]]
    changes += [{"window_s": length} for length in WINDOWS_S[::2]]
    networks = [replace(Member(model), **change) for model in NETWORKS[:2] for change in changes]
    return [*lines, *networks, Member(NETWORKS[2])]


def _cut_windows(prepared: Prepared, member: Member, *, seed: int = 0) -> tuple[np.ndarray, ...]:
    """Return the windows `(window, lead, time)` of the training, validation and test part."""
    n_time = round(member.window_s * prepared.sampling_rate)
    parts = (prepared.train, prepared.validation, prepared.test)
    if member.split == "time":
        hops = (4, n_time // 4, n_time)
        cut = [make_windows(part, n_time, hop=hop) for part, hop in zip(parts, hops, strict=True)]
    else:
        windows = make_windows(np.concatenate(parts, axis=1), n_time, hop=n_time // 4)
        order = np.random.default_rng(seed).permutation(len(windows))
        edges = (0.6 * len(order), 0.8 * len(order))
        cut = [windows[rows] for rows in np.split(order, np.array(edges).astype(int))]
    return tuple(_scaled_alone(part) if member.scaling == "window" else part for part in cut)


def _scaled_alone(windows: np.ndarray) -> np.ndarray:
    """Return windows whose every lead is scaled to [-1, 1] by itself."""
    low, high = windows.min(axis=-1, keepdims=True), windows.max(axis=-1, keepdims=True)
    return ((2 * windows - high - low) / np.maximum(high - low, 1e-6)).astype(np.float32)


def _run_member(
    prepared: Prepared, member: Member, *, n_step: int = 400, seed: int = 0
) -> pd.DataFrame:
    """Return the scores of one member on one record, a row per pair of leads."""
    train, check, test = _cut_windows(prepared, member, seed=seed)
    method = METHODS[_METHODS.get(member.model, member.model)]
    if method.is_network:
        options = {"windows": (train, check), "n_time": train.shape[-1], "n_step": n_step}
        model = method.fit(prepared, ALL_INPUTS, seed=seed, **options)
        apart = np.moveaxis(model.predict_each(test), 0, 2)  # (input, lead, window, time)
        predictions = apart.reshape(*apart.shape[:2], -1)
    else:
        joined = replace(prepared, train=_joined(train), validation=_joined(check))
        predictions = method.fit(joined, ALL_INPUTS, seed=seed).predict(_joined(test))
    return score_pairs(_joined(test), predictions, prepared.scaling)


def _joined(windows: np.ndarray) -> np.ndarray:
    """Return windows `(window, lead, time)` end to end, `(lead, time)`."""
    return np.moveaxis(windows, 0, 1).reshape(windows.shape[1], -1)


def run_multiverse(
    folder: Path | str,
    out: Path | str,
    *,
    records: Sequence[str],
    members: Sequence[Member] | None = None,
    jobs: int = 1,
    n_step: int = 400,
    progress: bool = True,
) -> Outcome:
    """Return a row per member and record with mean MSE and r, also written to `out` (CSV).

    Each member of each record is a task whose result is kept in `<out>.tasks`.
    """
    sources, store = list_sources(folder, records, tell=progress), store_of(out).resolve()
    code = code_digest(__name__)
    tasks = [
        Task(
            f"{source.path.stem}--{member.name}",
            key_of(code, [source], member=member, n_step=n_step),
            partial(_score_member, source, member, store / "prepared", n_step),
            about=f"{source.name}, {member.name}",
            labels={"record": source.name},
        )
        for source in sources
        for member in members or _family()
    ]
    facts = {"options": {"n_step": n_step}, "code": code}
    how = {"jobs": jobs, "what": "members", "progress": progress}
    return write_study(tasks, out, sources, facts=facts, **how)


def _score_member(
    source: Source, member: Member, folder: Path, n_step: int
) -> dict[str, pd.DataFrame]:
    """Return the row of one member and record; prepared records are kept in a folder."""
    low_hz, high_hz = BANDS[member.band]
    scope = "record" if member.scaling == "record" else "lead"
    options = PreprocessingOptions(low_hz=low_hz, high_hz=high_hz, scaling=scope)
    prepared = prepare_file(source.path, source.database, folder, options)
    scores = _run_member(prepared, member, n_step=n_step)
    row = {"record": source.name, "origin": prepared.record.origin}
    row |= {field.name: getattr(member, field.name) for field in fields(member)}
    row |= {"mse": scores["mse"].mean(), "r": scores["r"].mean()}
    row |= {"lowest_r": scores["r"].min(), "highest_mse": scores["mse"].max()}
    return {"rows": pd.DataFrame([row])}


def summarise_members(table: pd.DataFrame) -> pd.DataFrame:
    """Return a row per member: mean `mse` and `r` over hearts, and its number `n_record`."""
    table = table.assign(heart=hearts_of(table))
    own = {"n_record": ("record", "nunique"), "mse": ("mse", "mean"), "r": ("r", "mean")}
    by_heart = table.groupby([*CHOICES, "heart"], as_index=False).agg(**own)
    mean = {"n_record": ("n_record", "sum"), "mse": ("mse", "mean"), "r": ("r", "mean")}
    return by_heart.groupby(list(CHOICES), as_index=False).agg(**mean)


def near_paper(members: pd.DataFrame) -> pd.DataFrame:
    """Return the members within 0.01 in mean squared error and 0.1 in r of the paper's scores."""
    is_network = members["model"].str.startswith("cnn").to_numpy()
    claimed = np.where(is_network[:, None], PAPER["cnn"], PAPER["line"])
    away = np.abs(members[["mse", "r"]].to_numpy() - claimed)
    return members[(away <= (0.01, 0.1)).all(axis=1)]
