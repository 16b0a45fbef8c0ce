"""TODO."""

import numpy as np
import pandas as pd
from scipy import stats

from ecgnb.explanation.shares import KEYS, N_LEAST, PAIR, widen
from ecgnb.intervals import permutation_p, rank_alike
from ecgnb.records.labels import HEALTHY

ALIKE = 0.8  # rank correlation from which two maps count as similar


def alike_healthy(summary: pd.DataFrame, *, healthy: str = "healthy control") -> pd.DataFrame:
    """Return the rank correlation of each condition's shares with those of healthy people.

    Columns: condition, target, attribution, `lead`, `wave` and `n_patient`.
    """
    rows = []
    wide = summary.pivot_table(
        index=["condition", *PAIR], columns=["axis", "name"], values="share", sort=False
    )
    counts = summary.groupby("condition")["n_patient"].max()
    for (condition, *pair), row in wide.iterrows():
        if condition == healthy:
            continue
        other = wide.loc[(healthy, *pair)]
        found = {axis: rank_alike(row[axis], other[axis]) for axis in ("lead", "wave")}
        labels = {"condition": condition} | dict(zip(PAIR, pair, strict=True))
        rows.append(labels | found | {"n_patient": counts[condition]})
    return pd.DataFrame(rows, columns=["condition", *PAIR, "lead", "wave", "n_patient"])


def alike_ranges(table: pd.DataFrame) -> pd.DataFrame:
    """Return patients, lowest and median rank correlations of each condition over all pairs.

    Parameters
    ----------
    table
        From `alike_healthy`.
    """
    return table.groupby("condition", sort=False).agg(
        patients=("n_patient", "max"),
        lead_lowest=("lead", "min"),
        lead_median=("lead", "median"),
        wave_lowest=("wave", "min"),
        wave_median=("wave", "median"),
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


def recorded_shares(table: pd.DataFrame, *, draw: str = "all") -> pd.DataFrame:
    """Return the shares of the recorded run of whole groups, with the column `condition`."""
    chosen = table[(table["draw"] == draw) & (table["scaling"] == "lead")]
    return chosen.rename(columns={"trained_on": "condition"})


def compare_matched(table: pd.DataFrame) -> pd.DataFrame:
    """Return the differences of each condition from as many healthy people, corrected.

    The healthy people were drawn, fitted and explained anew at the condition's number of
    patients, so that neither the test nor the network has more to learn from.

    Parameters
    ----------
    table
        Shares of the recorded run, with `trained_on`, `draw` and `scaling`.
    """
    whole, found = recorded_shares(table), []
    for condition, rows in whole.groupby("condition", sort=False):
        count = rows["patient"].nunique()
        healthy = recorded_shares(table, draw=f"{count} drawn 0")
        if condition == HEALTHY or count < N_LEAST or not len(healthy):
            continue
        compared = compare_groups(widen(rows), widen(healthy))
        found.append(compared.assign(condition=condition))
    if not found:
        return compare_with_healthy(whole[whole["condition"] == HEALTHY])
    return correct(pd.concat(found, ignore_index=True))


def equal_numbers(shares: pd.DataFrame, *, seed: int = 0) -> pd.DataFrame:
    """Return the shares with every condition of 3 patients or more cut to the smallest."""
    counts = shares.groupby("condition")["patient"].nunique()
    counts = counts[counts >= N_LEAST]
    parts = []
    for condition in counts.index:
        rows = shares[shares["condition"] == condition]
        patients = sorted(rows["patient"].unique())
        kept = rows["patient"].isin(
            pd.Series(patients).sample(counts.min(), random_state=seed).tolist()
        )
        parts.append(rows[kept])
    return pd.concat(parts, ignore_index=True)


def count_survivors(runs: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Return for each comparison and axis how many differences survive, and how many agree.

    Parameters
    ----------
    runs
        Tables of `shares.compare_with_healthy` or `compare_matched` by name.
    """
    rows = {}
    for run, table in runs.items():
        for axis in ("lead", "wave"):
            part = table[table["axis"] == axis]
            once = part.drop_duplicates(["condition", "name"])
            pairs = part.groupby(["target", "attribution"])["survives"].sum()
            rows[run, axis] = {
                "differences": len(once),
                "fewest patients": once["n_patient"].min(),
                "survive, lowest of pairs": pairs.min(),
                "survive, highest of pairs": pairs.max(),
                "agree in all pairs": once["agrees"].sum(),
            }
    return pd.DataFrame(rows).T
