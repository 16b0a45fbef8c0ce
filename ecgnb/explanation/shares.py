"""How relevance is shared out over leads and waves, per patient, and whether groups differ."""

import numpy as np
import pandas as pd

from ecgnb.explanation.windows import BEFORE, SAMPLING_RATE
from ecgnb.intervals import bootstrap_mean, rank_alike
from ecgnb.leads import LEADS
from ecgnb.paper import NEAR
from ecgnb.signals.beats import WAVES, wave_masks

AXES = {"lead": LEADS, "wave": WAVES}

KEYS = ["condition", "target", "attribution", "axis", "name"]

N_LEAST = 3  # patients of a group that is compared

ENOUGH_POWER = 0.8  # only what would be found this often is ever said to be absent

LEVEL = 0.05  # how often a test finds a difference where there is none


def lead_shares(maps: np.ndarray) -> np.ndarray:
    """Return the share of the absolute relevance in each lead `(patient, lead)`.

    A map that is zero everywhere has no shares: NaN.
    """
    return _of_total(np.abs(maps).sum(axis=2))


def _wave_shares(maps: np.ndarray, masks: dict[str, np.ndarray]) -> np.ndarray:
    """Return the share of the absolute relevance in each wave `(patient, wave)`, or NaN."""
    sizes = [np.abs(maps[..., masks[wave]]).sum(axis=(1, 2)) for wave in WAVES]
    return _of_total(np.stack(sizes, axis=1))


def _of_total(sizes: np.ndarray) -> np.ndarray:
    """Return sizes `(patient, name)` over their sum, NaN where that is zero."""
    total = sizes.sum(axis=1, keepdims=True)
    nothing = np.full(sizes.shape, np.nan)
    return np.divide(sizes, total, out=nothing, where=total > 0)


def waves_of(windows: np.ndarray) -> dict[str, np.ndarray]:
    """Return the masks of the waves on the median of windows `(window, lead, time)`."""
    return wave_masks(np.median(windows, axis=0), SAMPLING_RATE, BEFORE)


def share_rows(
    maps: np.ndarray, windows: np.ndarray, masks: dict[str, np.ndarray]
) -> pd.DataFrame:
    """Return the shares of one patient: rows of axis, name, `share`, `per_ms` and `per_mv`.

    `per_ms` is the share over the share of the time, `per_mv` the share over the share of the
    absolute voltage; 1 is what an even map, or one that follows amplitude, would give. A wave
    that is absent has no density.

    Parameters
    ----------
    maps
        Mean map of the patient `(lead, time)`.
    windows
        Beats of the patient `(window, lead, time)`, mV.
    masks
        Where the waves of this patient lie.
    """
    size = np.abs(windows).mean(axis=0)[None]
    columns = []
    for values in (maps[None], np.ones_like(maps)[None], size):
        columns.append(np.concatenate([lead_shares(values)[0], _wave_shares(values, masks)[0]]))
    share, time, voltage = columns
    names = [(axis, name) for axis, entries in AXES.items() for name in entries]
    table = pd.DataFrame(names, columns=["axis", "name"])
    with np.errstate(divide="ignore", invalid="ignore"):
        densities = {"per_ms": share / time, "per_mv": share / voltage}
    finite = {key: np.where(time > 0, value, np.nan) for key, value in densities.items()}
    return table.assign(share=share, **finite)


def summarise_shares(table: pd.DataFrame, *, n_bootstrap: int = 2000) -> pd.DataFrame:
    """Return a row per condition, target, attribution and name: mean share with its interval.

    Intervals resample patients; of fewer than three there is none. Beside them stand the mean
    densities and the number of patients.

    Parameters
    ----------
    table
        Rows of `share_rows` with the columns `condition`, `patient`, `target`, `attribution`.
    """
    rows = []
    for key, group in table.groupby(KEYS, sort=False):
        found = bootstrap_mean(group["share"], groups=group["patient"], n_bootstrap=n_bootstrap)
        few = found.n < N_LEAST
        low, high = (np.nan, np.nan) if few else (found.low, found.high)
        rows.append(
            dict(zip(KEYS, key, strict=True))
            | {"share": found.value, "low": low, "high": high}
            | {"per_ms": group["per_ms"].mean(), "per_mv": group["per_mv"].mean()}
            | {"n_patient": found.n}
        )
    return pd.DataFrame(rows)


def widen(table: pd.DataFrame) -> pd.DataFrame:
    """Return shares with a row per patient and a column per target, attribution, axis, name."""
    return table.pivot_table(
        index="patient", columns=["target", "attribution", "axis", "name"], values="share"
    )


TARGETS = ("latent_norm", "top_latent", "negative_elbo", "error_V2", "error_T")

PATH = "integrated gradients"

ATTRIBUTIONS = ("Grad-CAM", "Grad-CAM rectified", PATH)

# The error of V2 puts V2 first, that of the T wave the T wave, whatever the network has learned.
NAMED_LEAD, NAMED_WAVE = "error_V2", "error_T"

LAYERS = ("to_latent", "encode_linear", "hidden", "second", "first")

PAIR = ["target", "attribution"]


def densest_waves(summary: pd.DataFrame, *, density: str = "per_ms") -> pd.DataFrame:
    """Return for each condition, target and attribution the two waves of largest density.

    `qrs_t` says whether they are the QRS complex and the T wave. The target that is the error of
    the T wave is left out: it names the wave itself.

    Parameters
    ----------
    summary
        From `shares.summarise_shares`.
    density
        `per_ms` or `per_mv`.
    """
    rows = []
    waves = summary[(summary["axis"] == "wave") & (summary["target"] != NAMED_WAVE)]
    for key, group in waves.groupby(["condition", *PAIR], sort=False):
        first, second = group.sort_values(density, ascending=False)["name"].iloc[:2]
        rows.append(
            (*key, first, second, {first, second} == {"QRS", "T"}, group["n_patient"].max())
        )
    columns = ["condition", *PAIR, "first", "second", "qrs_t", "n_patient"]
    return pd.DataFrame(rows, columns=columns)


def ranking_leads(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows whose maps can rank leads: integrated gradients, no target of one lead.

    Grad-CAM of a layer that all leads share is one filter of every lead (see
    `attribution.filter_gap`): it ranks leads by their own size, whatever the network.

    Examples
    --------
    >>> rows = [("latent_norm", "Grad-CAM"), ("error_V2", PATH), ("latent_norm", PATH)]
    >>> ranking_leads(pd.DataFrame(rows, columns=PAIR))["attribution"].tolist()
    ['integrated gradients']
    """
    return table[(table["attribution"] == PATH) & (table["target"] != NAMED_LEAD)]


def lead_ranks_of(shares: pd.DataFrame, *, n_bootstrap: int = 2000) -> pd.DataFrame:
    """Return the mean rank of V2-V4 and of aVL for each map that can rank leads, over patients.

    Rank 1 is the largest share of 12; see `ranking_leads`. Columns `near`, `near_low`,
    `near_high`, `avl`, `avl_low`, `avl_high`, `n_patient`.
    """
    rows = []
    leads = ranking_leads(shares[shares["axis"] == "lead"])
    for key, group in leads.groupby(PAIR, sort=False):
        wide = group.pivot_table(index="patient", columns="name", values="share")
        ranks = wide.rank(axis=1, ascending=False)
        row = dict(zip(PAIR, key, strict=True))
        for name, values in (("near", ranks[list(NEAR)].mean(axis=1)), ("avl", ranks["aVL"])):
            found = bootstrap_mean(values.to_numpy(), n_bootstrap=n_bootstrap)
            row |= {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}
            row["n_patient"] = found.n
        rows.append(row)
    return pd.DataFrame(rows)


def ranking_agreement(summary: pd.DataFrame, usefulness: pd.Series) -> pd.DataFrame:
    """Return rows of the audit: rank correlation of lead shares with an independent ranking.

    Of the maps that can rank leads.
    """
    rows = []
    leads = ranking_leads(summary[summary["axis"] == "lead"])
    for key, group in leads.groupby(PAIR, sort=False):
        shares = group.set_index("name")["share"].reindex(LEADS)
        rows.append(("agrees with reconstruction", *key, rank_alike(shares, usefulness)))
    return pd.DataFrame(rows, columns=["test", *PAIR, "number"])


def rank_tests(audit: pd.DataFrame, lead: str) -> pd.DataFrame:
    """Return the mean rank of a lead (or `near`: V2-V4) for each form and map that can rank.

    Parameters
    ----------
    audit
        Rows of `audit._audit_vae`, several fits together.
    lead
        `near` or `aVL`.
    """
    names = {f"rank of {lead}, {form}": form for form in ("plain", "equal amplitude")}
    found = ranking_leads(audit[audit["test"].isin(names)])
    found = found.assign(form=found["test"].map(names))
    keys = [key for key in ("scaling", "form") if key in found] + PAIR
    return found.groupby(keys, sort=False)["number"].mean().rename("rank").reset_index()
