"""What a run of the second-day study says: means over hearts, and rows that can be compared.

A heart counts once, however many trials it has; intervals are over hearts.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ecgnb.files import is_whole, read_table
from ecgnb.intervals import bootstrap_mean
from ecgnb.reconstruction.expiry import auroc
from ecgnb.studies.day_methods import DayMethod

CASE = ["heart", "calibration", "test", "input_lead"]

OFF_UV = 100.0

_SAME = 1e-3  # by how much r of the yardstick may differ between processors


@dataclass(frozen=True)
class DaysResult:
    """The table of scores, and a line for each time a method broke the protocol."""

    table: pd.DataFrame
    failed: tuple[str, ...] = ()

    def by_method(self) -> pd.DataFrame:
        """Return mean r over hearts by method and input lead (columns), each heart once."""
        keys = ["method", "heart", "input_lead"]
        hearts = self.table.groupby(keys)["r"].mean().reset_index()
        found = hearts.groupby(["method", "input_lead"])["r"].mean().unstack()
        return found.assign(mean=found.mean(axis=1))

    def by_heart(self) -> pd.DataFrame:
        """Return mean r by heart and method (columns)."""
        return self.table.groupby(["heart", "method"])["r"].mean().unstack()

    def expiry(self, method: str) -> float:
        """Return how well `expired` tells the inputs of which a hidden lead is off by 0.1 mV.

        As AUROC over trials and inputs, NaN if all are or none is.
        """
        own = self.table[self.table["method"] == method]
        cases = own.groupby(CASE).agg(expired=("expired", "first"), rmse_uv=("rmse_uv", "max"))
        return auroc(cases["expired"].to_numpy(), cases["rmse_uv"].to_numpy() > OFF_UV)


def summarise_days(table: pd.DataFrame, *, by: Sequence[str] = ("method",)) -> pd.DataFrame:
    """Return a row per group: mean r with its 95 % interval over hearts, and the spread behind.

    Columns: `n_heart`, `n_trial`, `r_mean`, `r_low`, `r_high`, `r_worst_decile` (a tenth of all
    pairs of leads fall below), `r_lowest` and `lowest` (the heart with the lowest mean),
    `rmse_uv` and `error90_uv` (means over hearts of the RMSE and of the size that 90 % of the
    errors of a lead stay below), `cpu_s` (median, a visible lead: to fit and to predict).

    Parameters
    ----------
    table
        Of `run_days`.
    by
        Columns that make the groups.
    """
    rows = []
    for key, group in table.groupby(list(by), sort=False):
        hearts = group.groupby("heart")[["r", "rmse_uv", "error90_uv"]].mean()
        r = bootstrap_mean(hearts["r"].to_numpy())
        rows.append(
            dict(zip(by, key, strict=True))
            | {
                "n_heart": len(hearts),
                "n_trial": len(group[["calibration", "test", "calibration_s"]].drop_duplicates()),
                "r_mean": r.value,
                "r_low": r.low,
                "r_high": r.high,
                "r_worst_decile": group["r"].quantile(0.1),
                "r_lowest": hearts["r"].min(),
                "lowest": hearts["r"].idxmin(),
                "rmse_uv": hearts["rmse_uv"].mean(),
                "error90_uv": hearts["error90_uv"].mean(),
                "cpu_s": group["cpu_s"].median(),
            }
        )
    return pd.DataFrame(rows)


def compare_days(table: pd.DataFrame, first: str, second: str) -> dict[str, object]:
    """Return the paired difference `first - second` of r, each heart once.

    Keys: `difference` (an `Estimate`, over hearts) and `share_won`, of the hearts.
    """
    hearts = table.groupby(["heart", "method"])["r"].mean().unstack()
    difference = (hearts[first] - hearts[second]).dropna()
    return {
        "difference": bootstrap_mean(difference.to_numpy()),
        "share_won": float((difference > 0).mean()),
    }


def describe_run(
    table: pd.DataFrame, methods: Sequence[DayMethod], *, yardstick: str
) -> dict[str, object]:
    """Return what a manifest says of whom was tested, by what, and how to tell the same test.

    The yardstick is a method that every run scores: two runs on the same recordings in which it
    reaches another r did not score by the same rules.
    """
    own = table[table["method"] == yardstick]
    return {
        "hearts": sorted(table["heart"].unique()),
        "n_trial": len(table[["calibration", "test", "calibration_s"]].drop_duplicates()),
        "methods": {method.name: method.code for method in methods},
        "yardstick": {"method": yardstick, "r": round(float(own["r"].mean()), 6)},
    }


def count_cost(table: pd.DataFrame) -> dict[str, object]:
    """Return the CPU seconds of a visible lead by method, to fit and predict: median and bounds.

    The bounds enclose 90 % of the fits.
    """
    fits = table.drop_duplicates([*CASE, "method", "calibration_s"]).groupby("method")["cpu_s"]
    shares = fits.quantile([0.05, 0.5, 0.95]).unstack().round(3)
    return {"cpu_s_of_a_lead": {name: row.tolist() for name, row in shares.iterrows()}}


def read_day_rows(folder: Path | str) -> pd.DataFrame:
    """Return the rows of all runs in a folder, and whether each can be compared with ours.

    Ours is the run of the plan that scored the most methods of the package. A row can be compared
    if it was made on the same recordings, to the last byte, with the same plan, seconds and
    inputs, and if the average beat, which every run scores, reaches the same r there; `why_not`
    says what differs.

    Parameters
    ----------
    folder
        Of files `NAME_rows.csv` with `NAME_manifest.json` beside, as `run_days` writes them.
    """
    runs = [_read_run(path) for path in sorted(Path(folder).glob("*_rows.csv"))]
    rows = []
    for rules, manifest, table in runs:
        alike = [one for one in runs if one[0] == rules]
        ours = max(alike, key=lambda one: len(one[2]))[1]
        why_not = _difference(manifest, ours)
        about = {"plan": manifest["plan"], "first_s": manifest["first_s"]}
        rows.append(table.assign(**about, comparable=not why_not, why_not=why_not))
    if not rows:
        return pd.DataFrame(columns=["method", "plan", "first_s", "comparable", "why_not"])
    found = pd.concat(rows, ignore_index=True)
    return found.drop_duplicates(["method", "plan", "first_s", "why_not"])


def _read_run(path: Path) -> tuple[str, dict[str, object], pd.DataFrame]:
    """Return the rules of a run, its manifest and its rows.

    Raises
    ------
    ValueError
        If one of the two files was changed.
    """
    manifest_path = path.with_name(path.name.replace("_rows.csv", "_manifest.json"))
    if not is_whole(manifest_path):
        raise ValueError(f"{manifest_path.name} is absent, cut or changed; run again")
    manifest = json.loads(manifest_path.read_text(encoding="utf-8"))
    rules = json.dumps([manifest[name] for name in ("plan", "first_s", "test_s", "inputs")])
    return rules, manifest, read_table(path)


def _difference(manifest: dict, ours: dict) -> str:
    """Return why two runs cannot be compared, "" if they can."""
    if manifest["hearts"] != ours["hearts"]:
        return f"{len(manifest['hearts'])} hearts, not the {len(ours['hearts'])}"
    if any(ours["records"].get(n, d) != d for n, d in manifest["records"].items()):
        return "other recordings under the same names"
    if manifest["n_trial"] != ours["n_trial"]:
        return f"{manifest['n_trial']} trials, not {ours['n_trial']}"
    if not np.isclose(manifest["yardstick"]["r"], ours["yardstick"]["r"], rtol=0, atol=_SAME):
        return "the average beat scores differently: not the same rules"
    return ""
