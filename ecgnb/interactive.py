"""Figures to explore: a still image with the data beside it, brought to life by one shared script.

Each function displays HTML that holds the still image (for print, for Jupyter and where no
JavaScript runs), controls that a keyboard reaches, and the numbers. The scripts lie once in the
site, under `vendor/`; a page that shows none of these figures loads neither.
"""

import base64
import html
import io
import json
from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import HTML, display
from matplotlib.figure import Figure

from ecgnb import plotting
from ecgnb.experiments import METHODS
from ecgnb.leads import LEADS, lead_index
from ecgnb.preprocessing import Prepared, prepare_record
from ecgnb.records import Record

_RATE = 125.0  # of the drawn pieces, Hz: enough for 0.5-40 Hz
_FULL = 32000  # of a 16-bit number
_DIVERGING = [[0.0, "#2166ac"], [0.5, "#f7f7f7"], [1.0, "#b2182b"]]


def show_score_map(
    scores: pd.DataFrame,
    records: Sequence[Record],
    *,
    method: str = "average_beat_ridge",
    duration_s: float = 3.0,
) -> None:
    """Display the map of mean r by pair of leads; choosing a pair shows its worst case.

    Parameters
    ----------
    scores
        One row per record and pair, as `metrics.score_pairs` gives them, of this method or more.
    records
        The records of these scores.
    method
        A key of `experiments.METHODS`; it is fitted again on the records that are drawn.
    duration_s
        Length of the piece that is drawn: the one with the largest squared error.
    """
    scores = scores[scores["method"] == method].dropna(subset=["r"]).reset_index(drop=True)
    worst = scores.loc[scores.groupby(["input_lead", "output_lead"])["r"].idxmin()]
    truth, guess = _worst_pieces(worst, records, method, duration_s)
    tables = {
        "r": plotting.pair_matrix(scores, "r"),
        "lowest": plotting.pair_matrix(worst, "r"),
        "record": worst.pivot(index="input_lead", columns="output_lead", values="record"),
    }
    lowest = worst.loc[worst["r"].idxmin()]
    start = [LEADS.index(lowest[name]) for name in ("input_lead", "output_lead")]
    data = {
        name: _cells(table.reindex(index=LEADS, columns=LEADS)) for name, table in tables.items()
    }
    data |= {"leads": LEADS, "start": start, "sampling_rate": _RATE, "n_time": truth.shape[-1]}
    data |= {"truth": _pack(1000 * truth), "guess": _pack(1000 * guess)}
    pair = f"from {lowest['input_lead']} to {lowest['output_lead']}"
    says = (
        f"Heat map of the mean correlation of 12 visible by 12 hidden leads, "
        f"{METHODS[method].title}. "
        f"Below it the worst case, {pair} in record {lowest['record']}, r {lowest['r']:.2f}."
    )
    still = _score_still(tables["r"], truth[*start], guess[*start], pair)
    controls = _choice("Visible lead", LEADS) + _choice("Hidden lead", LEADS)
    _show("score-map", still, says, controls, data)


def _worst_pieces(
    worst: pd.DataFrame, records: Sequence[Record], method: str, duration_s: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return truth and reconstruction `(input, lead, time)`, mV, of each pair's worst record."""
    n_time = round(duration_s * _RATE)
    truth = np.zeros((len(LEADS), len(LEADS), n_time))
    guess = np.zeros_like(truth)
    for name, rows in worst.groupby("record"):
        one = prepare_record(next(record for record in records if record.name == name))
        predictions = METHODS[method].fit_predict(one, 0)
        for visible, hidden in zip(rows["input_lead"], rows["output_lead"], strict=True):
            place = lead_index(visible), lead_index(hidden)
            truth[place], guess[place] = _worst_piece(one, predictions[place[0]], place[1], n_time)
    return truth, guess


def _worst_piece(
    one: Prepared, predictions: np.ndarray, lead: int, n_time: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the piece of one lead with the largest error: truth and reconstruction, mV."""
    step = round(one.sampling_rate / _RATE)
    truth, guess = (one.scaling.to_mv(part)[lead, ::step] for part in (one.test, predictions))
    sums = np.convolve(np.square(guess - truth), np.ones(n_time), mode="valid")
    piece = slice(int(sums.argmax()), int(sums.argmax()) + n_time)
    middle = np.median(truth)
    return truth[piece] - middle, guess[piece] - middle


def _score_still(matrix: pd.DataFrame, truth: np.ndarray, guess: np.ndarray, pair: str) -> Figure:
    figure, axes = plt.subplots(2, 1, figsize=(7.5, 8), layout="constrained", height_ratios=(2, 1))
    plotting.plot_matrix(axes[0], matrix, label="mean r")
    axes[0].set(xlabel="hidden lead", ylabel="visible lead")
    plotting.plot_ecg_paper(axes[1], truth[None], _RATE, leads=[pair], overlay=guess[None])
    return figure


def show_relevance(
    relevance: np.ndarray,
    beat: np.ndarray,
    *,
    sampling_rate: float,
    before: int,
    group: str,
    lead: str = "V2",
) -> None:
    """Display a map of relevance by lead and time; choosing a lead shows its beat under the map.

    Parameters
    ----------
    relevance
        `(lead, time)`, signed.
    beat
        The group's median beat `(lead, time)`, mV.
    sampling_rate
        Hz.
    before
        Samples before the R peak.
    group
        Whose map this is, for the words of the image.
    lead
        The lead that is drawn first.
    """
    limit = float(np.abs(relevance).max()) or 1.0
    peak = np.unravel_index(int(np.abs(relevance).argmax()), relevance.shape)
    moment_s = (peak[1] - before) / sampling_rate
    says = (
        f"Map of relevance by lead and time for {group}. Its largest value lies in lead "
        f"{LEADS[peak[0]]}, {moment_s:+.2f} s from the R peak."
    )
    data = {
        "leads": LEADS, "start": LEADS.index(lead), "n_time": relevance.shape[1],
        "sampling_rate": sampling_rate, "before": before, "limit": limit,
        "relevance": _pack(_FULL / limit * relevance), "beat": _pack(1000 * beat),
        "colours": _DIVERGING,
    }  # fmt: skip
    figure, axes = plt.subplots(
        2, 1, figsize=(8, 6.5), layout="constrained", height_ratios=(1, 2.5)
    )
    times = (np.arange(beat.shape[1]) - before) / sampling_rate
    axes[0].plot(times, beat[lead_index(lead)], color=plotting.TRUTH)
    axes[0].set(ylabel=f"{lead} / mV", xlim=(times[0], times[-1]))
    plotting.plot_map(axes[1], relevance, sampling_rate, before=before)
    slider = (
        f'<label>Time <input type="range" min="0" max="{relevance.shape[1] - 1}" '
        f'value="{before}"></label>'
    )
    _show("relevance-map", figure, says, _choice("Lead", LEADS) + slider, data)


def _choice(label: str, names: Sequence[str]) -> str:
    options = "".join(
        f'<option value="{place}">{name}</option>' for place, name in enumerate(names)
    )
    return f"<label>{label} <select>{options}</select></label>"


def _cells(table: pd.DataFrame) -> list[list]:
    """Return a table as rows for JSON: numbers to four digits, nothing where a pair is absent."""
    rows = table.astype(object).where(table.notna(), None).to_numpy().tolist()
    return [[round(c, 4) if isinstance(c, float) else c for c in row] for row in rows]


def _pack(values: np.ndarray) -> str:
    """Return numbers as 16-bit integers in base64, little end first."""
    whole = np.clip(np.rint(values), -_FULL, _FULL).astype("<i2")
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
