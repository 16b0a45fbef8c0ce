"""A model of one person: fitted on 12-lead calibration recordings, applied to a single lead.

`another_day` takes one or several calibrations from 5 s on and looks each block of them up in the
others to say what can be expected. For the methods of `methods.METHODS` one calibration is cut in
time, with gaps: a training part, a validation part that chooses, and a held-back part on which
what can be expected is measured.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd

from ecgnb.leads import (
    LEADS,
    LEADS_FROM_INDEPENDENT,
    derive_leads,
    independent_signals,
    lead_index,
    other_leads,
    standard_name,
)
from ecgnb.reconstruction.another_day import LEAST_S, fit_another_day
from ecgnb.reconstruction.expectation import (
    SITUATIONS,
    PersonalDayModel,
    error_terms,
    expect,
    make_personal,
)
from ecgnb.reconstruction.expiry import load_expectation, note_rate, signs_of_expiry
from ecgnb.reconstruction.methods import METHODS, LeadModels, Model
from ecgnb.reconstruction.prior import clean_record
from ecgnb.reconstruction.scores import score_leads
from ecgnb.records.record import Record, RecordError
from ecgnb.signals.checks import (
    MIN_CALIBRATION_S,
    check_calibration,
    check_input,
    compare_with_calibration,
    signature,
)
from ecgnb.signals.filters import blank_missing, clean, describe_missing
from ecgnb.signals.placement import find_misplaced
from ecgnb.signals.preparation import Prepared, PreprocessingOptions, Scaling, prepare_record
from ecgnb.text import for_header

DEFAULT_METHOD = "another_day"

PERSONAL_METHODS = (DEFAULT_METHOD, *METHODS)

LONGEST_S = 600.0  # of each calibration that `another_day` looks up

_GUESS = "A reconstruction is a guess, not a recording: not for diagnosis."

CAUTION = f"The expectation holds for this person and these electrode positions. {_GUESS}"


@dataclass(frozen=True)
class PersonalModel:
    """A fitted model with all that is needed to use it and to know what to expect of it.

    `expected` has a row per reconstructed lead with `r` and `rmse_mv`, measured on `held_back_s`
    seconds of calibration that the model had not seen, or, where that is 0, on each block of the
    calibration looked up in the others; `known` is a slow copy of the calibration `(lead, time)`,
    mV, with which a recording is compared.
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

    @property
    def how_measured(self) -> str:
        """On what `expected` was measured."""
        if self.held_back_s:
            return f"measured on {self.held_back_s:.0f} s of the calibration that were held back"
        duration_s = self.training["duration_s"]
        return f"measured on each tenth of the calibration ({duration_s:.0f} s) by the others"

    def predict(self, signal: np.ndarray) -> np.ndarray:
        """Return all leads `(lead, time)` in mV from the filtered input `(time,)`, mV."""
        row = lead_index(self.lead)
        scaled = (signal - self.scaling.offset[row]) / self.scaling.factor[row]
        return self.scaling.to_mv(self.model.predict(scaled.astype(np.float32)[None])[0])


def fit_personal(
    record: Record | Sequence[Record],
    lead: str,
    *,
    method: str = DEFAULT_METHOD,
    seed: int = 0,
    options: PreprocessingOptions | None = None,
) -> PersonalModel:
    """Return the model of one person for one input lead.

    Parameters
    ----------
    record
        The calibration, in mV; for `another_day` one or several, of one day or of different days,
        of 5 s each at least. One of them must hold all 12 leads, each the input lead. Leads that
        one lacks are filled in from its own input lead by the model of the whole ones.
    lead
        The lead that will be given.
    method
        One of `PERSONAL_METHODS`. All but `another_day` need 20 s of one calibration.
    seed
        Of a network's fit.
    options
        Of the preprocessing; `another_day` has its own, 0.5-40 Hz at 250 Hz.

    Raises
    ------
    RecordError
        If a calibration cannot be used.
    ValueError
        For an unknown method, several calibrations or options that the method cannot take.
    """
    if method not in PERSONAL_METHODS:
        raise ValueError(f"no method {method!r}; choose from {', '.join(PERSONAL_METHODS)}")
    records = [record] if isinstance(record, Record) else list(record)
    lead = standard_name(lead)
    if method == DEFAULT_METHOD:
        _check_options(options)
        return _fit_days(records, lead)
    if len(records) != 1:
        raise ValueError(f"{method} takes one calibration, {len(records)} were given")
    return _fit_parts(records[0], lead, method=method, seed=seed, options=options)


def _check_options(options: PreprocessingOptions | None) -> None:
    wanted = PreprocessingOptions()
    names = ("sampling_rate", "low_hz", "high_hz")
    if options and any(getattr(options, one) != getattr(wanted, one) for one in names):
        raise ValueError(f"{DEFAULT_METHOD} works at 250 Hz and 0.5-40 Hz, as its prior does")


def _fit_days(records: Sequence[Record], lead: str) -> PersonalModel:
    """Return the model for another day, from one or several calibrations."""
    whole = [one for one in records if set(LEADS) <= set(one.leads)]
    _check_days(records, whole, lead)
    row = lead_index(lead)
    signals = [clean_record(one, first_s=LONGEST_S) for one in whole]
    (day,) = fit_another_day(signals, (row,)).models
    partial = [one for one in records if one not in whole]
    if partial:
        signals += [_filled_in(make_personal(day)[0], one, lead) for one in partial]
        (day,) = fit_another_day(signals, (row,)).models
    model, held = make_personal(day)
    nothing = Scaling(np.zeros((len(LEADS), 1)), np.ones((len(LEADS), 1)))
    warnings = [text for one in whole for text in find_misplaced(one)]
    return PersonalModel(
        lead=lead,
        method=DEFAULT_METHOD,
        model=LeadModels((model,)),
        scaling=nothing,
        options=PreprocessingOptions(),
        expected=score_leads(held.truth, held.guess, lead),
        known=np.concatenate([signature(one) for one in whole], axis=1),
        held_back_s=0.0,
        seed=0,
        training=_describe(*whole, *partial),
        warnings=tuple(dict.fromkeys(warnings)) + tuple(_lacking(one) for one in partial),
    )


def _check_days(records: Sequence[Record], whole: Sequence[Record], lead: str) -> None:
    if not records:
        raise ValueError("no calibration was given; at least one recording of 12 leads is needed")
    if not whole:
        raise RecordError(
            ", ".join(one.name for one in records),
            "no calibration holds all 12 leads",
            "one of them must: what another one lacks is filled in from it",
            "add a recording of 12 leads",
        )
    for one in records:
        if lead not in one.leads:
            raise RecordError(
                one.name,
                f"lead {lead} is not among {', '.join(one.leads)}",
                "it is what the recording to reconstruct holds, and every calibration must",
                f"leave this calibration out, or add its lead {lead}",
            )
        check_calibration(one, lead, least_s=LEAST_S)


def _filled_in(model: PersonalDayModel, record: Record, lead: str) -> np.ndarray:
    """Return 12 leads `(lead, time)` of a calibration that lacks some, those it has as recorded.

    The others come from its input lead, moved by the least that makes the recorded ones right.
    """
    recorded = clean_record(record, first_s=LONGEST_S)
    rows = LEADS_FROM_INDEPENDENT[[lead_index(name) for name in record.leads]]
    eight = independent_signals(model.predict(recorded[record.leads.index(lead)]))
    return derive_leads(eight + np.linalg.pinv(rows) @ (recorded - rows @ eight))


def _lacking(record: Record) -> str:
    lacking = ", ".join(name for name in LEADS if name not in record.leads)
    return f"calibration {record.name} lacks {lacking}: filled in from the other calibrations"


def _fit_parts(
    record: Record, lead: str, *, method: str, seed: int, options: PreprocessingOptions | None
) -> PersonalModel:
    """Return a model of the ladder.

    Closed forms are fitted twice: once to measure what to expect, then with the validation part
    added to the training part and the held-back part in its place. Networks are fitted once.
    """
    row = lead_index(lead)
    check_calibration(record, lead, least_s=MIN_CALIBRATION_S)
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


def expect_other_day(model: PersonalModel) -> pd.DataFrame | None:
    """Return what other people's other days let expect: `lead, r, r_low, r_high`, None if unknown.

    The median over hearts and their 10 and 90 % quantiles, recorded for the method `another_day`
    and some input leads, with 10 s of calibration. What the visible lead says of the day itself
    is known only when it is there: `reconstruct_with_bands`.
    """
    known = load_expectation().other_day.get(model.lead)
    if model.method != DEFAULT_METHOD or known is None:
        return None
    rows = [(name, *known[name]) for name in model.expected["lead"]]
    return pd.DataFrame(rows, columns=["lead", "r", "r_low", "r_high"])


def _with_all(prepared: Prepared) -> Prepared:
    train = np.concatenate([prepared.train, prepared.validation], axis=1)
    seams = (*prepared.seams, prepared.train.shape[1])
    return replace(prepared, train=train, validation=prepared.test, seams=seams)


def _describe(*records: Record) -> dict[str, Any]:
    return {
        "record": for_header("+".join(one.name for one in records)),
        "sampling_rate": float(records[0].sampling_rate),
        "duration_s": float(sum(one.duration_s for one in records)),
        "signals_sha256": signals_digest(*records),
    }


def signals_digest(*records: Record) -> str:
    """Return the SHA-256 of recordings' signals, by which a model knows its calibrations."""
    digest = hashlib.sha256()
    for record in records:
        digest.update(np.ascontiguousarray(record.signals).tobytes())
    return digest.hexdigest()


def clean_input(record: Record, lead: str, options: PreprocessingOptions) -> np.ndarray:
    """Return one lead `(time,)` in mV, filtered and at the model's rate."""
    how = {"low_hz": options.low_hz, "high_hz": options.high_hz, "to_rate": options.sampling_rate}
    return clean(record.lead(lead)[None], record.sampling_rate, **how)[0]


@dataclass(frozen=True)
class Reconstruction:
    """Twelve leads made of one, and what is to be thought of them.

    `expected` has a row per reconstructed lead: `r` and `rmse_mv`, for `another_day` with the
    interval `r_low` to `r_high` that holds four of five hearts. `bands` has the signals `I_low`
    ... `V6_low`, `I_high` ... `V6_high` in mV, None where the method gives none. `expired` is the
    score of `expiry`, 0 to 1, NaN where there is none.
    """

    record: Record
    expected: pd.DataFrame
    how_measured: str
    caution: str = CAUTION
    bands: Record | None = None
    expired: float = float("nan")


def reconstruct(record: Record, model: PersonalModel, *, name: str = "") -> Record:
    """Return 12 leads from a recording of one: the given lead filtered, 11 reconstructed.

    Its comments say which lead is which, by what and from what; its notes hold warnings. Where
    the recording is missing, all 12 leads are.

    Raises
    ------
    RecordError
        If the recording is too short, too noisy, flat, not the lead that was calibrated, or so
        unlike the calibration that it has expired.
    """
    return reconstruct_with_bands(record, model, name=name).record


def reconstruct_with_bands(
    record: Record,
    model: PersonalModel,
    *,
    name: str = "",
    same_session: bool = False,
    force: bool = False,
) -> Reconstruction:
    """Return what `reconstruct` does, with what to expect here and bands around the leads.

    Parameters
    ----------
    record
        Holds the model's lead.
    model
        From `fit_personal`.
    name
        Of the record that is made.
    same_session
        Whether the electrodes were left where they were at the calibration; else what is expected
        is that of another day.
    force
        Whether a calibration that has expired is used nevertheless, with a note.

    Raises
    ------
    RecordError
        As `reconstruct` does.
    """
    check_input(record, model.lead)
    signal = clean_input(record, model.lead, model.options)
    name = name or f"{record.name}_{model.lead}_12"
    if model.method != DEFAULT_METHOD:
        notes = compare_with_calibration(record, model.lead, model.known)
        made = _made(record, model, model.predict(signal), notes, name)
        expected = model.expected
        comments = (*made.comments, _scores(expected))
        return Reconstruction(replace(made, comments=comments), expected, model.how_measured)
    situation = SITUATIONS[0 if same_session else 1]
    return _reconstruct_day(record, model, signal, name=name, situation=situation, force=force)


def _reconstruct_day(
    record: Record,
    model: PersonalModel,
    signal: np.ndarray,
    *,
    name: str,
    situation: str,
    force: bool,
) -> Reconstruction:
    (day,) = model.model.models
    guess, known = day.guess(signal), load_expectation()
    terms = error_terms(day, guess)
    notes = compare_with_calibration(record, model.lead, model.known, least=-1.0)
    score = known.expiry.score(signs_of_expiry(day, guess))
    notes += known.expiry.judge(score, record.name, force=force) + note_rate(day, guess)
    made = _made(record, model, guess.leads, notes, name)
    expected = expect(day, guess, terms, known.errors, situation)
    how = f"{situation}, by the errors of {known.n_heart[situation]} other hearts"
    made = replace(made, comments=(*made.comments, f"expected, {how}:", _scores(expected)))
    half = known.errors.half_width(terms, situation)
    half[lead_index(model.lead)] = 0.0
    bands = np.concatenate([made.signals - half, made.signals + half]).astype(np.float32)
    caution = CAUTION if situation == SITUATIONS[0] else _GUESS
    comments = (f"90 % bands of {name}, {how}", _GUESS)
    names = tuple(f"{lead}_{end}" for end in ("low", "high") for lead in LEADS)
    around = Record(f"{name}_bands", bands, made.sampling_rate, names, comments=comments)
    return Reconstruction(made, expected, how, caution, around, score)


def _made(
    record: Record, model: PersonalModel, signals: np.ndarray, notes: tuple[str, ...], name: str
) -> Record:
    """Return the record of reconstructed leads `(lead, time)`, mV, with its comments and notes."""
    signals = np.array(signals)
    signals[lead_index(model.lead)] = clean_input(record, model.lead, model.options)
    given = record.lead(model.lead)
    blank_missing(signals, model.options.sampling_rate, given, record.sampling_rate)
    missing = [text] if (text := describe_missing(given, record.sampling_rate)) else []
    return Record(
        name=name,
        signals=signals.astype(np.float32),
        sampling_rate=model.options.sampling_rate,
        comments=(*_comments(record, model), *(f"{text}, in all 12 leads" for text in missing)),
        notes=(*record.notes, *missing, *model.warnings, *notes),
    )


def _comments(record: Record, model: PersonalModel) -> tuple[str, ...]:
    band = f"{model.options.low_hz:g}-{model.options.high_hz:g} Hz"
    source, training = for_header(record.name), for_header(model.training["record"])
    return (
        f"reconstructed leads: {', '.join(other_leads(model.lead))}",
        f"recorded lead: {model.lead} of {source}, filtered {band}",
        f"reconstructed by ecgnb {version('ecgnb')}, method {model.method}, calibrated on "
        f"{training}",
        _GUESS,
    )


def _scores(expected: pd.DataFrame) -> str:
    scores = ", ".join(f"{row.lead} {row.r:.3f}" for row in expected.itertuples())
    return f"expected r: {scores}"
