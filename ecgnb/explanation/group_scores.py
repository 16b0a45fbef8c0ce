"""How well the VAE of a group rebuilds people it has not seen, beside its baselines."""

import numpy as np
import pandas as pd

from ecgnb.explanation.groups import GroupVae
from ecgnb.explanation.vae import PcaModel, fit_pca
from ecgnb.explanation.windows import BeatWindows
from ecgnb.intervals import bootstrap_mean, correlation
from ecgnb.leads import LEADS

SCORE_KEYS = ["condition", "method"]


def summarise_scores(
    table: pd.DataFrame, *, by_lead: bool = False, n_bootstrap: int = 2000
) -> pd.DataFrame:
    """Return mean squared error and r of each condition and method with intervals over patients.

    Columns: `mse`, `mse_low`, `mse_high`, `mse_highest` (worst patient), `r`, `r_low`, `r_high`,
    `r_lowest`, `n_patient`; with `by_lead` a row for every lead.
    """
    keys = [*SCORE_KEYS, "lead"] if by_lead else SCORE_KEYS
    rows = []
    for key, group in table.groupby(keys, sort=False):
        row = dict(zip(keys, key, strict=True))
        for score, worst in (("mse", "highest"), ("r", "lowest")):
            found = bootstrap_mean(group[score], groups=group["patient"], n_bootstrap=n_bootstrap)
            patients = group.groupby("patient")[score].mean()
            row |= {score: found.value, f"{score}_low": found.low, f"{score}_high": found.high}
            row[f"{score}_{worst}"] = patients.max() if worst == "highest" else patients.min()
            row["n_patient"] = found.n
        rows.append(row)
    return pd.DataFrame(rows)


def _compare_scores(
    table: pd.DataFrame, first: str = "VAE", second: str = "PCA", *, n_bootstrap: int = 2000
) -> pd.DataFrame:
    """Return how the error of one method relates to that of another, over the same patients.

    Columns: `ratio` of the mean errors with its interval over patients, `won` (share of patients
    on which the first is better), `n_patient`.
    """
    rows = []
    for condition, group in table.groupby("condition", sort=False):
        errors = group.groupby(["patient", "method"])["mse"].mean().unstack("method")
        pair = errors[[first, second]].dropna().to_numpy()
        draws = np.random.default_rng(0).integers(len(pair), size=(n_bootstrap, len(pair)))
        means = pair[draws].mean(axis=1)
        low, high = np.quantile(means[:, 0] / means[:, 1], [0.025, 0.975])
        ratio = pair[:, 0].mean() / pair[:, 1].mean()
        won = (pair[:, 0] < pair[:, 1]).mean()
        rows.append((condition, ratio, low, high, won, len(pair)))
    columns = ["condition", "ratio", "low", "high", "won", "n_patient"]
    return pd.DataFrame(rows, columns=columns)


def whole_groups(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the recorded run whose VAEs had whole groups, each lead by its size."""
    return table[(table["draw"] == "all") & (table["scaling"] == "lead")]


def real_ratios(scores: pd.DataFrame, fits: pd.DataFrame) -> pd.DataFrame:
    """Return for each condition of the recorded run the VAE's error over that of PCA.

    Columns: `ratio`, `low`, `high`, `won`, `n_patient` of `compare_scores`, `against PCA of
    varied beats` (the ratio to the stricter baseline), `trained on` (most patients of a fit) and
    `fewest latents in use`.
    """
    scores, by_group = whole_groups(scores), whole_groups(fits).groupby("trained_on")
    own = scores[scores["condition"] == scores["trained_on"]]
    strict = _compare_scores(own, second="PCA, varied beats").set_index("condition")["ratio"]
    return (
        _compare_scores(own)
        .set_index("condition")
        .assign(
            **{
                "against PCA of varied beats": strict,
                "trained on": by_group["n_train"].max(),
                "fewest latents in use": by_group["in_use"].min(),
            }
        )
    )


def fit_pooled(
    train: BeatWindows, condition: str, groups: dict[str, BeatWindows], factor: np.ndarray, n: int
) -> PcaModel:
    """Return principal components of the training windows and those of all other conditions."""
    others = [group.scaled(factor)[::2] for name, group in groups.items() if name != condition]
    return fit_pca(np.concatenate([train.scaled(factor), *others]), n)


def score_group(
    fitted: GroupVae, group: BeatWindows, *, pooled: PcaModel | None = None
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
