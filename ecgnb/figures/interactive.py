"""Figures to explore: a still image with the data beside it, brought to life by one shared script.

Each function displays HTML that holds the still image (for print, for Jupyter and where no
JavaScript runs), controls that a keyboard reaches, and the numbers. The scripts lie once in the
site, under `vendor/`; a page that shows none of these figures loads neither.
"""

import base64
import html
import io
import json
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import HTML, display
from matplotlib.figure import Figure

from ecgnb.explanation.shares import ATTRIBUTIONS
from ecgnb.figures import ecg, scores, style
from ecgnb.figures.maps import plot_map
from ecgnb.leads import LEADS
from ecgnb.reconstruction.methods import WorstCases

_FULL = 32000  # of a 16-bit number

_DIVERGING = [[0.0, "#2166ac"], [0.5, "#f7f7f7"], [1.0, "#b2182b"]]


def show_score_map(cases: WorstCases) -> None:
    """Display the map of mean r by pair of leads; choosing a pair shows its worst case.

    Parameters
    ----------
    cases
        From `methods.find_worst_cases`.
    """
    tables = {
        "r": scores.pair_matrix(cases.scores, "r"),
        "lowest": scores.pair_matrix(cases.worst, "r"),
        "record": cases.worst.pivot(index="input_lead", columns="output_lead", values="record"),
    }
    lowest = cases.worst.loc[cases.worst["r"].idxmin()]
    start = [LEADS.index(lowest[name]) for name in ("input_lead", "output_lead")]
    data = {
        name: _cells(table.reindex(index=LEADS, columns=LEADS)) for name, table in tables.items()
    }
    data |= {"leads": LEADS, "start": start, "sampling_rate": cases.sampling_rate}
    data |= {"n_time": cases.truth.shape[-1]}
    data |= {"truth": _pack(1000 * cases.truth), "guess": _pack(1000 * cases.guess)}
    pair = f"from {lowest['input_lead']} to {lowest['output_lead']}"
    says = (
        f"Heat map of the mean correlation of 12 visible by 12 hidden leads, {cases.title}. "
        f"Below it the worst case, {pair} in record {lowest['record']}, r {lowest['r']:.2f}."
    )
    still = _score_still(tables["r"], cases, start, pair)
    controls = _choice("Visible lead", LEADS) + _choice("Hidden lead", LEADS)
    _show("score-map", still, says, controls, data)


def _score_still(
    matrix: pd.DataFrame, cases: WorstCases, place: Sequence[int], pair: str
) -> Figure:
    figure, axes = plt.subplots(
        2, 1, figsize=(style.WIDTH_IN, 7), layout="constrained", height_ratios=(2, 1)
    )
    scores.plot_matrix(axes[0], matrix, label="mean r")
    axes[0].set(xlabel="hidden lead", ylabel="visible lead")
    truth, guess = (part[*place][None] for part in (cases.truth, cases.guess))
    ecg.plot_ecg(axes[1], truth, cases.sampling_rate, leads=[pair], overlay=guess)
    return figure


def show_relevance(groups: Mapping[str, pd.DataFrame], *, lead: str = "V2") -> None:
    """Display maps of relevance by lead and time; choosing a lead shows its beat under the map.

    Parameters
    ----------
    groups
        For each name of a group, rows of `lead` and `time_s` (0 is the R peak) with `beat_mv` and
        a column per method, as `groups.explain_group` gives them.
    lead
        The lead that is drawn first.
    """
    tables = {name: _tables(maps) for name, maps in groups.items()}
    first, *_ = tables.values()
    times = first["beat_mv"].columns.to_numpy()
    methods = [name for name in first if name != "beat_mv"]
    data = {
        "leads": LEADS, "start": LEADS.index(lead), "times": np.round(times, 4).tolist(),
        "beats": [_pack(1000 * found["beat_mv"]) for found in tables.values()],
        "maps": [[_scaled(found[name]) for name in methods] for found in tables.values()],
        "colours": _DIVERGING,
    }  # fmt: skip
    place = int(np.abs(times).argmin())
    slider = (
        f'<label>Time <input type="range" min="0" max="{len(times) - 1}" value="{place}"></label>'
    )
    choices = {"Group": tuple(groups), "Method": methods, "Lead": LEADS}
    controls = "".join(_choice(label, names) for label, names in choices.items()) + slider
    says = f"Maps of relevance by lead and time. First, {next(iter(groups))}: " + "; ".join(
        f"{name} is largest in {_where(first[name])}" for name in methods
    )
    _show("relevance-map", _relevance_still(first, lead), f"{says}.", controls, data)


def _tables(maps: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the beat and each map as a table lead x time."""
    named = [name for name in maps if name == "beat_mv" or name in ATTRIBUTIONS]
    return {
        name: maps.pivot(index="lead", columns="time_s", values=name).reindex(LEADS)
        for name in named
    }


def _scaled(table: pd.DataFrame) -> dict[str, str | float]:
    limit = float(np.abs(table).to_numpy().max()) or 1.0
    return {"limit": limit, "values": _pack(_FULL / limit * table)}


def _where(table: pd.DataFrame) -> str:
    """Return the words for the place of the largest absolute value of a map."""
    row, column = np.unravel_index(int(np.abs(table.to_numpy()).argmax()), table.shape)
    return f"lead {table.index[row]} at {table.columns[column]:+.2f} s"


def _relevance_still(tables: dict[str, pd.DataFrame], lead: str) -> Figure:
    beat = tables["beat_mv"]
    methods = [name for name in tables if name != "beat_mv"]
    size = style.WIDTH_IN, 2 + 3.5 * len(methods)
    figure, axes = plt.subplots(
        1 + len(methods), 1, figsize=size, layout="constrained",
        height_ratios=(1, *[2.5] * len(methods)),
    )  # fmt: skip
    axes[0].plot(beat.columns, beat.loc[lead], color=style.TRUTH)
    axes[0].set(ylabel=f"{lead} / mV", xlim=(beat.columns[0], beat.columns[-1]))
    rate = 1 / (beat.columns[1] - beat.columns[0])
    for axis, name in zip(axes[1:], methods, strict=True):
        before = -beat.columns[0] * rate
        plot_map(axis, tables[name].to_numpy(), rate, before=before)
        axis.set_title(name)
    return figure


def _choice(label: str, names: Sequence[str]) -> str:
    options = "".join(
        f'<option value="{place}">{name}</option>' for place, name in enumerate(names)
    )
    return f"<label>{label} <select>{options}</select></label>"


def _cells(table: pd.DataFrame) -> list[list]:
    """Return a table as rows for JSON: numbers to four digits, nothing where a pair is absent."""
    rows = table.astype(object).where(table.notna(), None).to_numpy().tolist()
    return [[round(c, 4) if isinstance(c, float) else c for c in row] for row in rows]


def _pack(values: np.ndarray | pd.DataFrame) -> str:
    """Return numbers as 16-bit integers in base64, little end first."""
    whole = np.clip(np.rint(np.asarray(values)), -_FULL, _FULL).astype("<i2")
    return base64.b64encode(whole.tobytes()).decode()


def _png(figure: Figure) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", bbox_inches="tight")
    plt.close(figure)
    return base64.b64encode(buffer.getvalue()).decode()


def _show(kind: str, still: Figure, says: str, controls: str, data: dict) -> None:
    """Display one figure: still image, controls, places for the script to draw, data."""
    said = html.escape(says)
    content = json.dumps(data, separators=(",", ":")).replace("</", "<\\/")
    display(
        HTML(
            f'<div class="ecgnb-figure" data-kind="{kind}">'
            f'<img class="ecgnb-still" alt="{said}" src="data:image/png;base64,{_png(still)}">'
            f'<div class="ecgnb-live"><div class="ecgnb-controls">{controls}</div>'
            '<p class="ecgnb-readout" aria-live="polite"></p>'
            f'<div class="ecgnb-map" role="img" aria-label="{said}"></div>'
            '<div class="ecgnb-trace" role="img"></div></div>'
            f'<script type="application/json">{content}</script></div>'
            '<script src="vendor/figures.js"></script>'
        )
    )
