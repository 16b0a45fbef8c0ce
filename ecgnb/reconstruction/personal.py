"""A model of one person: fitted on a 12-lead calibration recording, applied to a single lead.

The calibration is cut in time, with gaps: a training part, a validation part that chooses, and a
held-back part on which what can be expected is measured.
"""

import hashlib
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd

from ecgnb.leads import lead_index, other_leads, standard_name
from ecgnb.reconstruction.methods import METHODS, Model
from ecgnb.reconstruction.scores import score_leads
from ecgnb.records.record import Record
from ecgnb.signals.checks import (
    check_calibration,
    check_input,
    compare_with_calibration,
    signature,
)
from ecgnb.signals.filters import blank_missing, clean, describe_missing
from ecgnb.signals.placement import find_misplaced
from ecgnb.signals.preparation import Prepared, PreprocessingOptions, Scaling, prepare_record
from ecgnb.text import for_header

CAUTION = (
    "The expectation holds for this person and these electrode positions. "
    "A reconstruction is a guess, not a recording: not for diagnosis."
)


@dataclass(frozen=True)
class PersonalModel:
    """A fitted model with all that is needed to use it and to know what to expect of it.

    `expected` has a row per reconstructed lead with `r` and `rmse_mv`, measured on `held_back_s`
    seconds of calibration; `known` is a slow copy of the calibration `(lead, time)`, mV,
    with which a recording is compared.
    """

    lead: str
    method: str
    model: Model
    scaling: Scaling
    options: PreprocessingOptions
    expected: pd.DataFrame
    known: np.ndarray
    held_back_s: float
    seed: int
    training: dict[str, Any]
    warnings: tuple[str, ...] = ()

    def predict(self, signal: np.ndarray) -> np.ndarray:
        """Return all leads `(lead, time)` in mV from the filtered input `(time,)`, mV."""
        row = lead_index(self.lead)
        scaled = (signal - self.scaling.offset[row]) / self.scaling.factor[row]
        return self.scaling.to_mv(self.model.predict(scaled.astype(np.float32)[None])[0])


def fit_personal(
    record: Record,
    lead: str,
    *,
    method: str = "best",
    seed: int = 0,
    options: PreprocessingOptions | None = None,
) -> PersonalModel:
    """Return the model of one person for one input lead.

    Closed forms are fitted twice: once to measure what to expect, then with the validation part
    added to the training part and the held-back part in its place. Networks are fitted once.

    Parameters
    ----------
    record
        The calibration: 12 leads, mV.
    lead
        The lead that will be given.
    method
        A key of `methods.METHODS`.
    seed
        Of the network's fit.

    Raises
    ------
    RecordError
        If the calibration cannot be used.
    ValueError
        For an unknown method.
    """
    if method not in METHODS:
        raise ValueError(f"no method {method!r}; choose from {', '.join(METHODS)}")
    lead, row = standard_name(lead), lead_index(lead)
    check_calibration(record, lead)
    prepared = prepare_record(record, options)
    chosen = METHODS[method]
    model = chosen.fit(prepared, (row,), seed=seed)
    (guess,) = model.predict(prepared.test[[row]])
    expected = score_leads(
        prepared.scaling.to_mv(prepared.test), prepared.scaling.to_mv(guess), lead
    )
    if not chosen.is_network:
        model = chosen.fit(_with_all(prepared), (row,), seed=seed)
    return PersonalModel(
        lead=lead,
        method=method,
        model=model,
        scaling=prepared.scaling,
        options=prepared.options,
        expected=expected,
        known=signature(record),
        held_back_s=prepared.test.shape[-1] / prepared.sampling_rate,
        seed=seed,
        training=_describe(record),
        warnings=find_misplaced(record),
    )


def _with_all(prepared: Prepared) -> Prepared:
    train = np.concatenate([prepared.train, prepared.validation], axis=1)
    seams = (*prepared.seams, prepared.train.shape[1])
    return replace(prepared, train=train, validation=prepared.test, seams=seams)


def _describe(record: Record) -> dict[str, Any]:
    return {
        "record": for_header(record.name),
        "sampling_rate": float(record.sampling_rate),
        "duration_s": float(record.duration_s),
        "signals_sha256": signals_digest(record),
    }


def signals_digest(record: Record) -> str:
    """Return the SHA-256 of a recording's signals, by which a model knows its calibration."""
    return hashlib.sha256(np.ascontiguousarray(record.signals).tobytes()).hexdigest()


def clean_input(record: Record, lead: str, options: PreprocessingOptions) -> np.ndarray:
    """Return one lead `(time,)` in mV, filtered and at the model's rate."""
    how = {"low_hz": options.low_hz, "high_hz": options.high_hz, "to_rate": options.sampling_rate}
    return clean(record.lead(lead)[None], record.sampling_rate, **how)[0]


def reconstruct(record: Record, model: PersonalModel, *, name: str = "") -> Record:
    """Return 12 leads from a recording of one: the given lead filtered, 11 reconstructed.

    Its comments say which lead is which, by what and from what; its notes hold warnings. Where
    the recording is missing, all 12 leads are.

    Raises
    ------
    RecordError
        If the recording is too short, too noisy, flat, or not the lead that was calibrated.
    """
    check_input(record, model.lead)
    notes = compare_with_calibration(record, model.lead, model.known)
    signal = clean_input(record, model.lead, model.options)
    signals = model.predict(signal)
    signals[lead_index(model.lead)] = signal
    given = record.lead(model.lead)
    blank_missing(signals, model.options.sampling_rate, given, record.sampling_rate)
    missing = [text] if (text := describe_missing(given, record.sampling_rate)) else []
    return Record(
        name=name or f"{record.name}_{model.lead}_12",
        signals=signals.astype(np.float32),
        sampling_rate=model.options.sampling_rate,
        comments=(*_comments(record, model), *(f"{text}, in all 12 leads" for text in missing)),
        notes=(*record.notes, *missing, *model.warnings, *notes),
    )


def _comments(record: Record, model: PersonalModel) -> tuple[str, ...]:
    band = f"{model.options.low_hz:g}-{model.options.high_hz:g} Hz"
    scores = ", ".join(f"{row.lead} {row.r:.3f}" for row in model.expected.itertuples())
    source, training = for_header(record.name), for_header(model.training["record"])
    return (
        f"reconstructed leads: {', '.join(other_leads(model.lead))}",
        f"recorded lead: {model.lead} of {source}, filtered {band}",
        f"reconstructed by ecgnb {version('ecgnb')}, method {model.method}, calibrated on "
        f"{training}",
        f"expected r: {scores}",
        CAUTION,
    )
