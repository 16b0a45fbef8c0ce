"""The live page: recordings and models packed for a browser, and the same numbers in Python.

A page has no Python. It gets stretches of calibration, the principal axes of the nearest-neighbour
look-up and a test stretch, all rounded to what is packed; `predict` computes from the same rounded
numbers, so that the page can be checked against it to the last digit.
"""

import base64
import html
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ecgnb.leads import LEADS
from ecgnb.reconstruction.average_beat import AFTER_S, BEFORE_S
from ecgnb.reconstruction.browser_model import _UNIT_MV, LiveRecording, find_axes
from ecgnb.reconstruction.neighbours import N_NEIGHBOUR

_WEB = Path(__file__).resolve().parent / "web"


def _pack_recording(recording: LiveRecording) -> dict:
    """Return a recording and its 12 models as JSON values; arrays are base64, little-endian.

    Signals are int16 microvolts; for each lead and reach follow `mean (lag,)` and
    `axes (lag, component)` as float32.
    """
    found = [find_axes(recording, lead) for lead in range(len(LEADS))]
    floats = [part.ravel() for each in found for one in each for part in (one.mean, one.axes)]
    embeddings = [
        {"reach": one.reach, "step": one.step, "nComponent": one.axes.shape[1]} for one in found[0]
    ]
    return {
        "name": recording.name,
        "origin": recording.origin,
        "rate": recording.sampling_rate,
        "library": _base64(np.round(recording.library / _UNIT_MV), "<i2"),
        "shown": _base64(np.round(recording.shown / _UNIT_MV), "<i2"),
        "peaks": [[part.tolist() for part in pair] for pair in recording.peaks],
        "embeddings": embeddings,
        "axes": _base64(np.concatenate(floats), "<f4"),
        "before": round(BEFORE_S * recording.sampling_rate),
        "after": round(AFTER_S * recording.sampling_rate),
    }


def _base64(array: np.ndarray, kind: str) -> str:
    return base64.b64encode(np.ascontiguousarray(array, dtype=kind).tobytes()).decode()


def page_html(recordings: Mapping[str, LiveRecording]) -> str:
    """Return the live page as one piece of HTML that needs no other file.

    Parameters
    ----------
    recordings
        By the title under which the page offers them. Titles and names are data, not markup: the
        script writes them as text.
    """
    data = {
        "leads": list(LEADS),
        "nNeighbour": N_NEIGHBOUR,
        "recordings": [{"title": title} | _pack_recording(r) for title, r in recordings.items()],
    }
    packed = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    options = "".join(f"<option>{html.escape(lead)}</option>" for lead in LEADS)
    body = (_WEB / "live.html").read_text(encoding="utf-8").replace("{leads}", options)
    scripts = [
        (_WEB / name).read_text(encoding="utf-8") for name in ("live_model.js", "live_page.js")
    ]
    return "\n".join(
        [
            f"<style>{(_WEB / 'live.css').read_text(encoding='utf-8')}</style>",
            body,
            f'<script type="application/json" id="ecg-live-data">{packed}</script>',
            *(f"<script>{script}</script>" for script in scripts),
        ]
    )
