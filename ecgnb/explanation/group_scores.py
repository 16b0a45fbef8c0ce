"""How well the VAE of a group rebuilds people it has not seen, beside its baselines."""

import numpy as np
import pandas as pd

from ecgnb.explanation.attribution import declare_targets, grad_cam
from ecgnb.explanation.groups import GroupVae, relevance_maps
from ecgnb.explanation.shares import N_LEAST, PATH, lead_shares, waves_of
from ecgnb.explanation.vae import PcaModel, fit_pca, rebuild_windows
from ecgnb.explanation.windows import BeatWindows
from ecgnb.intervals import bootstrap_mean, correlation
from ecgnb.leads import LEADS

SCORE_KEYS = ["condition", "method"]


def summarise_scores(
    table: pd.DataFrame, *, by_lead: bool = False, n_bootstrap: int = 2000
) -> pd.DataFrame:
    """Return mean squared error and r of each condition and method with intervals over patients.

    Columns: `mse`, `mse_low`, `mse_high`, `mse_highest` (worst patient), `r`, `r_low`, `r_high`,
    `r_lowest`, `n_patient`; with `by_lead` a row for every lead. Of fewer than three
    patients there is no interval.
    """
    keys = [*SCORE_KEYS, "lead"] if by_lead else SCORE_KEYS
    rows = []
    for key, group in table.groupby(keys, sort=False):
        row = dict(zip(keys, key, strict=True))
        for score, worst in (("mse", "highest"), ("r", "lowest")):
            found = bootstrap_mean(group[score], groups=group["patient"], n_bootstrap=n_bootstrap)
            patients = group.groupby("patient")[score].mean()
            few = found.n < N_LEAST
            low, high = (np.nan, np.nan) if few else (found.low, found.high)
            row |= {score: found.value, f"{score}_low": low, f"{score}_high": high}
            row[f"{score}_{worst}"] = patients.max() if worst == "highest" else patients.min()
            row["n_patient"] = found.n
        rows.append(row)
    return pd.DataFrame(rows)


def compare_scores(
    table: pd.DataFrame, first: str = "VAE", second: str = "PCA", *, n_bootstrap: int = 2000
) -> pd.DataFrame:
    """Return how the error of one method relates to that of another, over the same patients.

    Columns: `ratio` of the mean errors with its interval over patients (of fewer than three there
    is none), `won` (share of patients
    on which the first is better), `n_patient`.
    """
    rows = []
    for condition, group in table.groupby("condition", sort=False):
        errors = group.groupby(["patient", "method"])["mse"].mean().unstack("method")
        pair = errors[[first, second]].dropna().to_numpy()
        draws = np.random.default_rng(0).integers(len(pair), size=(n_bootstrap, len(pair)))
        means = pair[draws].mean(axis=1)
        low, high = np.quantile(means[:, 0] / means[:, 1], [0.025, 0.975])
        if len(pair) < N_LEAST:
            low = high = np.nan
        ratio = pair[:, 0].mean() / pair[:, 1].mean()
        won = (pair[:, 0] < pair[:, 1]).mean()
        rows.append((condition, ratio, low, high, won, len(pair)))
    columns = ["condition", "ratio", "low", "high", "won", "n_patient"]
    return pd.DataFrame(rows, columns=columns)


def whole_groups(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the recorded run whose VAEs had each lead scaled by its own size."""
    return table[table["scaling"] == "lead"]


BASELINES = ("PCA, augmented beats", "PCA, training people")


def real_ratios(scores: pd.DataFrame, fits: pd.DataFrame) -> pd.DataFrame:
    """Return for each condition of the recorded run the VAE's error over that of two baselines.

    Columns: `ratio`, `low`, `high`, `won` of `compare_scores` against principal components of the
    same people and beats as the fit has seen; `training_ratio`, `training_low`, `training_high`
    against those of the training people alone, which have not seen the people that the network
    was chosen by; `n_patient`, `seen` (most people of a fit) and `fewest latents in use`.
    """
    fits = whole_groups(fits).assign(seen=lambda t: t["n_train"] + t["n_validation"])
    by_group = fits.groupby("trained_on")
    own = whole_groups(scores)
    own = own[own["condition"] == own["trained_on"]]
    both = [compare_scores(own, second=name).set_index("condition") for name in BASELINES]
    training = both[1][["ratio", "low", "high"]].add_prefix("training_")
    counts = {"seen": by_group["seen"].max(), "fewest latents in use": by_group["in_use"].min()}
    return both[0].join(training).assign(**counts)


def fit_pooled(
    own: BeatWindows, condition: str, groups: dict[str, BeatWindows], factor: np.ndarray, n: int
) -> PcaModel:
    """Return principal components of a group's own windows and those of all other conditions."""
    others = [group.scaled(factor)[::2] for name, group in groups.items() if name != condition]
    return fit_pca(np.concatenate([own.scaled(factor), *others]), n)


def withheld_leads(fitted: GroupVae, group: BeatWindows) -> pd.DataFrame:
    """Return the R² that the other leads lose when one is withheld: rows of patient and lead.

    A lead is withheld by showing the network the mean beat in its place. R² is that of the 11
    other leads, against the mean beat of the people that were learned from, for all people
    together: the mean of `r2_lost` over patients is what it falls by. Unlike a share of relevance
    it can be small for a loud lead, if the others say the same, and below zero, if they are
    better off without it.
    """
    truth, rows = group.scaled(fitted.factor), []
    mean = fitted.linear.mean.reshape(truth.shape[1:])
    whole = _errors_of(fitted, truth, truth, group.patients)
    powers = np.square(truth - mean).sum(axis=2)
    powers = pd.DataFrame(powers).groupby(group.patients).sum()
    for lead, name in enumerate(LEADS):
        hidden = truth.copy()
        hidden[:, lead] = mean[lead]
        lost = (_errors_of(fitted, hidden, truth, group.patients) - whole).drop(columns=lead)
        power = powers.drop(columns=lead).to_numpy().sum() / len(powers)
        rows += [(patient, name, value / power) for patient, value in lost.sum(axis=1).items()]
    return pd.DataFrame(rows, columns=["patient", "lead", "r2_lost"])


def lead_rankings(fitted: GroupVae, mixing: GroupVae, group: BeatWindows) -> pd.DataFrame:
    """Return the rank of every lead `(lead, way)` by three ways that can rank, and by amplitude.

    1 is the first of 12. The ways are integrated gradients of the size of the latents, Grad-CAM
    of a layer that mixes leads, and the R² that the other leads lose when one is withheld.

    Parameters
    ----------
    fitted
        The VAE of the group.
    mixing
        Another one whose second layer sees neighbouring leads (`VaeOptions.lead_reach`).
    group
        Whose beats are explained.
    """
    windows = group.scaled(fitted.factor)
    target = declare_targets(waves_of(group.windows), latent=0)["latent_norm"]
    maps = {
        PATH: relevance_maps(fitted, group.windows, target, attribution=PATH),
        "Grad-CAM, layer that mixes leads": grad_cam(
            mixing.model, group.scaled(mixing.factor), target, layer="second"
        ),
        "amplitude": windows,
    }
    ranks = {name: lead_shares(each).mean(axis=0) for name, each in maps.items()}
    lost = withheld_leads(fitted, group).groupby("lead")["r2_lost"].mean()
    ranks["R² lost when withheld"] = lost.reindex(LEADS).to_numpy()
    return pd.DataFrame(ranks, index=LEADS).rank(ascending=False)


def _errors_of(
    fitted: GroupVae, shown: np.ndarray, truth: np.ndarray, patients: np.ndarray
) -> pd.DataFrame:
    """Return the squared error of each patient `(patient, lead)` when some windows are shown."""
    errors = np.square(rebuild_windows(fitted.model, shown) - truth).sum(axis=2)
    return pd.DataFrame(errors).groupby(patients).sum()


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
