"""JSON files of watches and hand-held recorders, recognised by their keys.

KardiaMobile and the Kardia API: `data.raw.samples.leadI`, ... with `amplitudeResolution` in nV a
digit and `data.raw.frequency`. Withings (`heart v2 get`): `body.signal` or `signal` in uV with
`sampling_frequency`. Fitbit: `ecgReadings[0].waveformSamples` with `scalingFactor` in digits a mV
and `samplingFrequencyHz`. Health Auto Export: `voltageMeasurements` with `units` and
`samplingFrequency`.

Layouts as their makers publish them. A file of several recordings is refused: keep the one that is
wanted. Of Kardia's two signals the raw one is read, not the one that was smoothed for the eye.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ecgnb.records.formats.channels import Channels, Request, refuse
from ecgnb.records.formats.names import WATCH_LEAD, watch_channels
from ecgnb.records.wfdb_header import MAX_SAMPLES

MAX_JSON_BYTES = 100_000_000


def is_watch_json(path: Path, head: bytes) -> bool:
    """Return whether a file is JSON: by its first letter, or by its ending."""
    first = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    return first == b"{" or path.suffix.lower() == ".json"


def read_watch_json_file(path: Path, request: Request) -> Channels:
    """Return the leads of a watch's JSON file in mV."""
    if path.stat().st_size > MAX_JSON_BYTES:
        raise refuse(path, "the file is huge", "100 MB at most are read", "cut it into pieces")
    try:
        document = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise refuse(path, f"no JSON: {error}", "it is damaged", "export it again") from None
    for key, reader in _READERS.items():
        if found := _with_key(document, key):
            if len(found) > 1:
                raise refuse(
                    path,
                    f"{len(found)} recordings in one file",
                    "one is expected",
                    "keep the one that is wanted",
                )
            try:
                return reader(path, found[0], request)
            except (KeyError, TypeError, ValueError, OverflowError) as error:
                what = f"a recording without a sound {error}"
                raise refuse(path, what, "it is damaged", "export it again") from None
    raise refuse(
        path,
        "a JSON file of an unknown layout",
        "Kardia, Withings, Fitbit and Health Auto Export are known",
        "export it as a table with a row of lead names",
    )


def _with_key(document: Any, key: str, depth: int = 5) -> list[Mapping[str, Any]]:  # noqa: ANN401
    """Return the objects of a document that have a key, not those inside one of them."""
    if depth == 0:
        return []
    if isinstance(document, dict):
        if key in document:
            return [document]
        parts = list(document.values())
    else:
        parts = document if isinstance(document, list) else []
    parts = [part for part in parts[:1000] if isinstance(part, dict | list)]
    return [found for part in parts for found in _with_key(part, key, depth - 1)]


def _numbers(values: Sequence[Any]) -> np.ndarray:
    """Return a list of numbers, `null` as NaN."""
    if not isinstance(values, list) or not 0 < len(values) <= MAX_SAMPLES:
        raise ValueError("signal")
    sound = [
        (isinstance(each, int | float) and not isinstance(each, bool)) or each is None
        for each in values
    ]
    if not all(sound):
        raise ValueError("signal")
    return np.array([math.nan if each is None else float(each) for each in values])


def _positive(value: Any, what: str) -> float:  # noqa: ANN401
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise ValueError(what)
    return float(value)


def _read_kardia(path: Path, found: Mapping[str, Any], request: Request) -> Channels:
    raw = found["raw"]
    rate = _positive(raw["frequency"], "frequency")
    digit_mv = _positive(raw["amplitudeResolution"], "amplitudeResolution") * 1e-6
    if not isinstance(raw["samples"], dict):
        raise ValueError("samples")
    signals = {str(name): _numbers(row) * digit_mv for name, row in raw["samples"].items()}
    note = "the raw signal is read, not the enhanced one"
    notes = (note,) if "enhanced" in found else ()
    return watch_channels(path, signals, request, rate=rate, unit="mV", notes=notes)


def _read_withings(path: Path, found: Mapping[str, Any], request: Request) -> Channels:
    rate = _positive(found["sampling_frequency"], "sampling_frequency")
    signals = {WATCH_LEAD: _numbers(found["signal"])}
    return watch_channels(path, signals, request, rate=rate, unit="uV")


def _read_fitbit(path: Path, found: Mapping[str, Any], request: Request) -> Channels:
    rate = _positive(found["samplingFrequencyHz"], "samplingFrequencyHz")
    digits = _numbers(found["waveformSamples"])
    signals = {WATCH_LEAD: digits / _positive(found["scalingFactor"], "scalingFactor")}
    return watch_channels(path, signals, request, rate=rate, unit="mV")


def _read_health_export(path: Path, found: Mapping[str, Any], request: Request) -> Channels:
    rate = _positive(found["samplingFrequency"], "samplingFrequency")
    samples = found["voltageMeasurements"]
    signals = {WATCH_LEAD: _numbers([each["voltage"] for each in samples])}
    units = {str(each.get("units", "")) for each in samples}
    if len(units) > 1:
        raise ValueError("unit")
    return watch_channels(path, signals, request, rate=rate, unit=units.pop())


_READERS: dict[str, Callable[[Path, Mapping[str, Any], Request], Channels]] = {
    "raw": _read_kardia,
    "waveformSamples": _read_fitbit,
    "voltageMeasurements": _read_health_export,
    "signal": _read_withings,
}
