"""Measure what a score gains when a step of the preprocessing lets the test part leak.

Each experiment scores the same data twice, once with the step done right and once wrong.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from ecgnb.leads import LEADS, lead_index, other_leads
from ecgnb.records.record import Record
from ecgnb.signals.filters import clean
from ecgnb.signals.preparation import (
    PreprocessingOptions,
    clean_parts,
    fit_scaling,
    make_windows,
    prepare_record,
)


def filter_leak(
    records: Sequence[Record], options: PreprocessingOptions | None = None
) -> pd.DataFrame:
    """Return how far the later parts reach into the training part, mV, one row a record.

    Everything after the training part is replaced by its own mean. Columns `inside` and `before`:
    the root mean square of the change in the last 2 s of the training part, over all leads, when
    parts are filtered one by one and when the whole record is filtered first. Columns
    `mse_inside` and `mse_before`, mV^2: the error of least squares from lead II in the test part.

    Parameters
    ----------
    records
        Any records.
    options
        Preprocessing; the order of filter and split is set here.
    """
    options = options or PreprocessingOptions()
    rows = []
    for record in records:
        first = round(options.train * record.signals.shape[-1])
        changed = record.signals.copy()
        changed[:, first:] = np.nanmean(changed[:, first:], axis=-1, keepdims=True)
        row: dict[str, object] = {"record": record.name}
        for name, wrong in (("inside", False), ("before", True)):
            chosen = replace(options, filter_before_split=wrong)
            train, _, test = clean_parts(record, chosen)
            other = clean_parts(replace(record, signals=changed), chosen)[0]
            last = round(2 * options.sampling_rate)
            row[name] = float(np.sqrt(np.mean(np.square((train - other)[:, -last:]))))
            error = _one_tap_prediction(train, test, lead_index("II")) - test
            row[f"mse_{name}"] = float(np.mean(np.square(error)))
        rows.append(row)
    return pd.DataFrame(rows)


def _one_tap_prediction(train: np.ndarray, test: np.ndarray, visible: int) -> np.ndarray:
    """Return all leads of `test` `(lead, time)` as weight times visible lead plus offset.

    Weights and offsets are the least-squares ones of `train` `(lead, time)`.
    """
    centre = train.mean(axis=-1, keepdims=True)
    course = train[visible] - centre[visible]
    weights = (train - centre) @ course / max(course @ course, np.finfo(float).tiny)
    return np.outer(weights, test[visible] - centre[visible]) + centre


def band_scores(
    records: Sequence[Record], bands: Mapping[str, tuple[float | None, float | None]]
) -> pd.DataFrame:
    """Return the scores of least squares in several pass bands, one row a record and band.

    One weight and one offset for each pair of leads are fitted on the training part. Columns
    `record`, `band`, `mse` (units of [-1, 1]) and `r`, both means over all 12 input and 11 output
    leads of the test part.

    Parameters
    ----------
    records
        Any records.
    bands
        Lower and upper corner in Hz under the words that name them; None leaves a side open.
    """
    rows = []
    others = ~np.eye(len(LEADS), dtype=bool)
    for record in records:
        for band, (low_hz, high_hz) in bands.items():
            options = PreprocessingOptions(low_hz=low_hz, high_hz=high_hz)
            prepared = prepare_record(record, options)
            errors = [
                _one_tap_prediction(prepared.train, prepared.test, visible) - prepared.test
                for visible in range(len(LEADS))
            ]
            mse = np.square(errors).mean(axis=-1)[others].mean()
            # One weight changes no shape: r of a prediction is r of its input, with the sign.
            sign = np.sign(np.corrcoef(prepared.train))
            r = (sign * np.corrcoef(prepared.test))[others].mean()
            rows.append((record.name, band, float(mse), float(r)))
    return pd.DataFrame(rows, columns=["record", "band", "mse", "r"])


def scaling_leak(
    records: Sequence[Record],
    *,
    input_lead: str = "II",
    options: PreprocessingOptions | None = None,
) -> pd.DataFrame:
    """Return the error of one and the same prediction in two scales, one row a record.

    Least squares with one weight a lead predicts the 11 hidden leads of the test part, in mV.
    Column `training`: mean squared error after scaling to [-1, 1] by the range of the training
    part. Column `whole`: by the range of the whole hidden lead, test part included. That range is
    never smaller, so this error is never larger: nothing was predicted better.

    Parameters
    ----------
    records
        Any records.
    input_lead
        The lead that is visible.
    options
        Preprocessing.
    """
    options = options or PreprocessingOptions()
    visible = lead_index(input_lead)
    hidden = [lead_index(lead) for lead in other_leads(input_lead)]
    rows = []
    for record in records:
        parts = clean_parts(record, options)
        difference = (_one_tap_prediction(parts[0], parts[2], visible) - parts[2])[hidden]
        row: dict[str, object] = {"record": record.name}
        for name, known in (("training", parts[0]), ("whole", np.concatenate(parts, axis=-1))):
            factor = fit_scaling(known).factor[hidden]
            row[name] = float(np.mean(np.square(difference / factor)))
        rows.append(row)
    return pd.DataFrame(rows)


def window_leak(
    records: Sequence[Record],
    *,
    input_lead: str = "II",
    piece_s: float = 10.0,
    hop_s: float = 0.1,
    seed: int = 0,
) -> pd.DataFrame:
    """Return the error of a model that only remembers, under three ways to deal out windows.

    The model answers with the hidden leads of the known window (1 s) whose visible lead is
    nearest. Every window is asked once, in four folds; a row for each record holds the root mean
    square error in mV over the 11 hidden leads:

    * `patients`: no window of the patient is known, as for a new patient;
    * `blocks`: the patient is known, at another time: nothing within 1 s of the window;
    * `shuffled`: overlapping windows are dealt out at random, so almost the same one is known.

    Parameters
    ----------
    records
        Of several patients.
    input_lead
        The lead that is visible.
    piece_s, hop_s
        Signal used of each record, from its beginning, and time between windows, s.
    seed
        Of the folds.
    """
    rate = PreprocessingOptions().sampling_rate
    n_time, hop = round(rate), round(hop_s * rate)
    pieces = [_clean_piece(record, piece_s, rate) for record in records]
    windows = [make_windows(piece, n_time, hop=hop) for piece in pieces]
    counts = [len(piece) for piece in windows]
    record_of = np.repeat(np.arange(len(records)), counts)
    place = np.concatenate([np.arange(count) for count in counts])
    folds = _deal_out(records, record_of, place, np.random.default_rng(seed))
    known = np.concatenate(windows)
    hidden = [lead_index(lead) for lead in other_leads(input_lead)]
    errors = {name: np.zeros(len(records)) for name in folds}
    for number in range(len(records)):
        asked = np.flatnonzero(record_of == number)
        distance = _distances(known[:, lead_index(input_lead)], asked)
        near = (record_of == number) & (np.abs(place[asked, None] - place) * hop < n_time + rate)
        for name, fold in folds.items():
            unknown = (fold[asked, None] == fold) | (near & (name == "blocks"))
            nearest = np.where(unknown, np.inf, distance).argmin(axis=1)
            difference = known[nearest][:, hidden] - known[asked][:, hidden]
            errors[name][number] = np.sqrt(np.mean(np.square(difference)))
    return pd.DataFrame({"record": [record.name for record in records], **errors})


def _deal_out(
    records: Sequence[Record],
    record_of: np.ndarray,
    place: np.ndarray,
    generator: np.random.Generator,
) -> dict[str, np.ndarray]:
    """Return the fold `(window,)`, 0 to 3, of every window by person, by time and at random."""
    names = [record.patient or record.name for record in records]
    patients, patient_of = np.unique(names, return_inverse=True)
    patient_fold = generator.permutation(np.arange(len(patients)) % 4)
    block = place * 4 // np.bincount(record_of)[record_of]
    return {
        "patients": patient_fold[patient_of[record_of]],
        "blocks": block,
        "shuffled": generator.permutation(block),
    }


def _distances(known: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Return distances `(asked, known)`, squared and up to a constant a row, of windows."""
    return np.square(known).sum(axis=-1) - 2 * known[asked] @ known.T


def _clean_piece(record: Record, piece_s: float, rate: float) -> np.ndarray:
    """Return the beginning of a record `(lead, time)`, filtered and resampled, mV, float32."""
    piece = record.signals[:, : round(piece_s * record.sampling_rate)]
    return clean(piece, record.sampling_rate, to_rate=rate).astype(np.float32)
