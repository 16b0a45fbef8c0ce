"""How relevance is shared out over leads and waves, per patient, and whether groups differ."""

import numpy as np
import pandas as pd
from scipy import stats

from ecgnb.intervals import bootstrap_mean, permutation_p
from ecgnb.leads import LEADS
from ecgnb.records.labels import HEALTHY
from ecgnb.signals.beats import WAVES, wave_masks
from ecgnb.windows import BEFORE, SAMPLING_RATE

AXES = {"lead": LEADS, "wave": WAVES}

KEYS = ["condition", "target", "attribution", "axis", "name"]

N_LEAST = 3  # patients of a group that is compared


def lead_shares(maps: np.ndarray) -> np.ndarray:
    """Return the share of the absolute relevance in each lead `(patient, lead)`.

    A map that is zero everywhere has no shares: NaN.
    """
    return _of_total(np.abs(maps).sum(axis=2))


def wave_shares(maps: np.ndarray, masks: dict[str, np.ndarray]) -> np.ndarray:
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
        columns.append(np.concatenate([lead_shares(values)[0], wave_shares(values, masks)[0]]))
    share, time, voltage = columns
    names = [(axis, name) for axis, entries in AXES.items() for name in entries]
    table = pd.DataFrame(names, columns=["axis", "name"])
    with np.errstate(divide="ignore", invalid="ignore"):
        densities = {"per_ms": share / time, "per_mv": share / voltage}
    finite = {key: np.where(time > 0, value, np.nan) for key, value in densities.items()}
    return table.assign(share=share, **finite)


def summarise_shares(table: pd.DataFrame, *, n_bootstrap: int = 2000) -> pd.DataFrame:
    """Return a row per condition, target, attribution and name: mean share with its interval.

    Intervals resample patients. Beside them stand the mean densities and the number of patients.

    Parameters
    ----------
    table
        Rows of `share_rows` with the columns `condition`, `patient`, `target`, `attribution`.
    """
    rows = []
    for key, group in table.groupby(KEYS, sort=False):
        found = bootstrap_mean(group["share"], groups=group["patient"], n_bootstrap=n_bootstrap)
        rows.append(
            dict(zip(KEYS, key, strict=True))
            | {"share": found.value, "low": found.low, "high": found.high}
            | {"per_ms": group["per_ms"].mean(), "per_mv": group["per_mv"].mean()}
            | {"n_patient": found.n}
        )
    return pd.DataFrame(rows)


def widen(table: pd.DataFrame) -> pd.DataFrame:
    """Return shares with a row per patient and a column per target, attribution, axis, name."""
    return table.pivot_table(
        index="patient", columns=["target", "attribution", "axis", "name"], values="share"
    )


def compare_groups(
    group: pd.DataFrame, other: pd.DataFrame, *, n_bootstrap: int = 2000
) -> pd.DataFrame:
    """Return the differences of mean shares of two groups, with intervals and probabilities.

    A target and attribution without shares for every patient (a map that is zero) is left out.

    Parameters
    ----------
    group, other
        From `widen`.
    """
    known = [table.dropna(axis=1).columns for table in (group, other)]
    columns = known[0].intersection(known[1], sort=False)
    first, second = group[columns].to_numpy(), other[columns].to_numpy()
    generator = np.random.default_rng(0)
    draws = [
        part[generator.integers(len(part), size=(n_bootstrap, len(part)))].mean(axis=1)
        for part in (first, second)
    ]
    low, high = np.quantile(draws[0] - draws[1], [0.025, 0.975], axis=0)
    table = columns.to_frame(index=False)
    return table.assign(
        difference=first.mean(axis=0) - second.mean(axis=0),
        low=low,
        high=high,
        p=permutation_p(first, second),
        n_patient=len(first),
        n_other=len(second),
    )


def correct(table: pd.DataFrame, *, level: float = 0.05) -> pd.DataFrame:
    """Return comparisons with `p_corrected` for their number, `survives` and `agrees`.

    Benjamini and Hochberg (1995), over all rows of one target and attribution. A difference
    `agrees` where it survives with the same sign under every target and attribution.
    """
    table = table.copy()
    for _, rows in table.groupby(["target", "attribution"]).groups.items():
        table.loc[rows, "p_corrected"] = stats.false_discovery_control(table.loc[rows, "p"])
    table["survives"] = table["p_corrected"] < level
    table["sign"] = np.sign(table["difference"]) * table["survives"]
    together = table.groupby(["condition", "axis", "name"])["sign"]
    table["agrees"] = together.transform("sum").abs() == together.transform("count")
    return table.drop(columns="sign")


def compare_with_healthy(table: pd.DataFrame, *, n_bootstrap: int = 2000) -> pd.DataFrame:
    """Return `compare_groups` of each condition with healthy controls, corrected.

    Conditions with fewer than three patients are left out.

    Parameters
    ----------
    table
        Rows of `share_rows` with the columns `condition`, `patient`, `target`, `attribution`.
    """
    wide = {name: widen(rows) for name, rows in table.groupby("condition", sort=False)}
    healthy = wide[HEALTHY]
    found = [
        compare_groups(group, healthy, n_bootstrap=n_bootstrap).assign(condition=name)
        for name, group in wide.items()
        if name != HEALTHY and min(len(group), len(healthy)) >= N_LEAST
    ]
    columns = [*KEYS, "difference", "low", "high", "p", "n_patient", "n_other"]
    if not found:
        return pd.DataFrame(columns=[*columns, "p_corrected", "survives", "agrees"])
    return correct(pd.concat(found, ignore_index=True)[columns])
