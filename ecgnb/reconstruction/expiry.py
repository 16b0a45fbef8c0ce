"""Tell from the visible lead alone how far today is from the calibration.

Signs of change, each larger the further away: the share of today's lead that the calibration's own
look-up of that lead misses; how far and how unlike the average beats are; how much larger or
smaller today's beat is. No sign has a scale of its own, so that each is ranked among those of
recordings whose errors are known, and the score is the mean rank.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, astuple, dataclass
from functools import cache
from importlib.metadata import version
from itertools import permutations
from pathlib import Path

import numpy as np
from scipy.stats import rankdata

from ecgnb.files import read_shipped, write_bytes
from ecgnb.leads import LEADS, lead_index, other_leads
from ecgnb.reconstruction.another_day import fit_another_day, see
from ecgnb.reconstruction.expectation import (
    SITUATIONS,
    ErrorCase,
    ErrorModel,
    Guess,
    PersonalDayModel,
    error_terms,
    fit_error_model,
    make_personal,
)
from ecgnb.reconstruction.neighbours import fit_neighbours
from ecgnb.reconstruction.prior import (
    DAY_RATE_HZ,
    FIRST_S,
    WINDOW,
    Prior,
    clean_record,
)
from ecgnb.reconstruction.scores import score_leads
from ecgnb.records.record import Record, RecordError

SIGNS = ("missed", "distance", "unlike", "size")

EXPIRY_SIGNS = ("worse", "distance", "unlike", "size", "disagreement")

_OFF_MV = 0.1

_LEAST_MISSED = 0.003

_RATE_APART = 1.2

_LONG_ENOUGH_S = 30.0

_EVERY = 20  # samples of a case that are kept: one in 80 ms

_TABLE = "expectation.json"


@dataclass(frozen=True)
class Signs:
    """How far one lead of today is from the calibration's; all 0 for the same signal."""

    missed: float
    distance: float
    unlike: float
    size: float

    def as_array(self) -> np.ndarray:
        """Return the signs `(sign,)` in the order of `SIGNS`."""
        return np.array(astuple(self))


def signs_of_change(calibration: np.ndarray, signal: np.ndarray) -> Signs:
    """Return the signs of one visible lead, calibration `(time,)` and today `(time,)`.

    Both in mV, filtered 0.5-40 Hz, at 250 Hz. Without whole beats in either the three signs that
    need them are infinite: nothing speaks for the calibration.
    """
    model = fit_neighbours(calibration, np.asarray(calibration)[None], DAY_RATE_HZ)
    found = model.predict(signal)[0]
    missed = float(np.square(signal - found).mean() / max(np.var(signal), 1e-12))
    return Signs(missed, *_signs_of_beats(see(calibration).beat, see(signal).beat))


def _signs_of_beats(then: np.ndarray | None, now: np.ndarray | None) -> tuple[float, float, float]:
    """Return distance, unlikeness and change of size of two average beats `(time,)`."""
    if then is None or now is None:
        return (np.inf,) * 3
    old, new = then[WINDOW] - then[WINDOW].mean(), now[WINDOW] - now[WINDOW].mean()
    sizes = np.maximum(np.array([np.linalg.norm(old), np.linalg.norm(new)]), 1e-9)
    distance = np.linalg.norm(new - old) / sizes[0]
    unlike = 1 - old @ new / sizes.prod()
    return float(distance), float(unlike), float(abs(np.log(sizes[1] / sizes[0])))


def signs_of_expiry(model: PersonalDayModel, guess: Guess) -> np.ndarray:
    """Return the signs `(sign,)` of `EXPIRY_SIGNS` of a reconstruction.

    How many times more of the visible lead is missed today than between blocks of the calibration;
    distance, unlikeness and change of size of its average beat, of the nearest calibration; and by
    how much look-up and reconstruction differ, mV RMS.
    """
    now, lead = see(guess.signal).beat, model.day.lead
    each = [_signs_of_beats(one.beat[lead], now) for one in model.day.calibrations]
    worse = (guess.missed + _LEAST_MISSED) / (model.missed + _LEAST_MISSED)
    differ = float(np.sqrt(np.square(guess.leads - guess.own).mean()))
    return np.array([worse, *np.min(each, axis=0), differ])


def note_rate(model: PersonalDayModel, guess: Guess) -> tuple[str, ...]:
    """Return a note if the heart beats over a fifth faster or slower than at any calibration."""
    today = see(guess.signal)
    known = [one.interval_s for one in model.day.calibrations]
    nearest = min(known, key=lambda interval_s: abs(np.log(interval_s / today.interval_s)))
    if today.beat is None or max(nearest, today.interval_s) < _RATE_APART * min(
        nearest, today.interval_s
    ):
        return ()
    return (
        f"a heart rate never seen: {60 / today.interval_s:.0f} a minute, {60 / nearest:.0f} when "
        "calibrated; T waves are moved as other people's are",
    )


def mean_rank(signs: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Return the score `(case,)`: the mean over signs of the share of the reference below.

    Parameters
    ----------
    signs, reference
        `(case, sign)`; of whom to judge, and of other people.

    Examples
    --------
    >>> reference = np.arange(10.0)[:, None].repeat(4, axis=1)
    >>> mean_rank(np.array([[-1.0] * 4, [4.5] * 4, [99.0] * 4]), reference).tolist()
    [0.0, 0.5, 1.0]
    """
    ordered = np.sort(reference, axis=0)
    shares = [
        np.searchsorted(ordered[:, column], signs[:, column]) / len(ordered)
        for column in range(signs.shape[1])
    ]
    return np.mean(shares, axis=0)


def auroc(scores: np.ndarray, is_so: np.ndarray) -> float:
    """Return the probability that a case that is so scores above one that is not.

    Ties count half; NaN if all are or none is.

    Examples
    --------
    >>> auroc(np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True]))
    0.75
    """
    is_so = np.asarray(is_so, dtype=bool)
    n_so, n_not = int(is_so.sum()), int((~is_so).sum())
    if not n_so or not n_not:
        return float("nan")
    ranks = rankdata(scores)
    return float((ranks[is_so].sum() - n_so * (n_so + 1) / 2) / (n_so * n_not))


@dataclass(frozen=True)
class ExpiryRule:
    """When a calibration has expired: the score is `mean_rank` of the signs in `reference`.

    `reference (case, sign)` holds recordings of other people on another day. Above `note` it is
    said, above `refuse` nothing is reconstructed unless it is asked for.
    """

    reference: np.ndarray
    note: float
    refuse: float

    def score(self, signs: np.ndarray) -> float:
        """Return how far today is from the calibration, 0 (as calibrated) to 1."""
        return float(mean_rank(signs[None], self.reference)[0])

    def judge(self, score: float, record: str, *, force: bool = False) -> tuple[str, ...]:
        """Return the notes on a recording with this score.

        Raises
        ------
        RecordError
            Above `refuse`, unless `force` is set.
        """
        far = f"expired {score:.2f} of 1: the visible lead is far from the calibration"
        if score > self.refuse and not force:
            raise RecordError(
                record,
                far,
                f"over {self.refuse:.2f} it is further than nearly everybody's other days: as far "
                "as another person's or another lead's",
                "record a new calibration of 12 leads; check lead, electrode and person; "
                "--force reconstructs nevertheless",
            )
        if score > self.note:
            return (f"{far}; a new calibration of 12 leads is needed to rely on the other leads",)
        return ()


@dataclass(frozen=True)
class Expectation:
    """What is known from other people: of errors, of expiry, and r by lead on another day.

    `other_day[input lead][output lead]` is the median r over hearts and its 10 and 90 % quantile.
    """

    errors: ErrorModel
    expiry: ExpiryRule
    other_day: dict[str, dict[str, tuple[float, float, float]]]
    n_heart: dict[str, int]


@dataclass(frozen=True)
class RecordedCase:
    """A reconstruction with known truth: errors, signs, r and power `(lead,)` of hidden leads.

    The power is that of the reconstruction around its mean, mV^2.
    """

    error: ErrorCase
    lead: str
    signs: np.ndarray
    r: np.ndarray
    power: np.ndarray


def _make_expectation(cases: Sequence[RecordedCase]) -> Expectation:
    """Return what recorded cases say; every heart counts the same.

    Each case of another day is scored among those of other hearts. The note's point parts best the
    cases of which a hidden lead is off by over 0.1 mV RMS from the others (the largest sum of the
    shares told right), and lies above 95 % of the same-session cases. The refusal's point lies
    above 95 % of the cases of another day: what happens to nearly nobody's own recording.
    """
    within, between = (
        [case for case in cases if case.error.situation == situation] for situation in SITUATIONS
    )
    reference = np.array([case.signs for case in between])
    hearts = np.array([case.error.heart for case in between])
    scores = [mean_rank(c.signs[None], reference[hearts != c.error.heart])[0] for c in between]
    off = [np.sqrt(np.square(c.error.error).mean(axis=-1)).max() > _OFF_MV for c in between]
    same = mean_rank(np.array([case.signs for case in within]), reference)
    usual = _quantile_by_heart(same, [case.error.heart for case in within], 0.95)
    note = max(usual, _best_parting(np.array(scores), np.array(off), list(hearts)))
    return Expectation(
        errors=fit_error_model([case.error for case in cases]),
        expiry=ExpiryRule(
            reference, note, _quantile_by_heart(np.array(scores), list(hearts), 0.95)
        ),
        other_day={
            lead: _by_lead(between, lead) for lead in dict.fromkeys(c.lead for c in between)
        },
        n_heart={
            situation: len({case.error.heart for case in own})
            for situation, own in zip(SITUATIONS, (within, between), strict=True)
        },
    )


def _best_parting(scores: np.ndarray, is_off: np.ndarray, hearts: Sequence[str]) -> float:
    """Return the point above which the most of those that are off, and the fewest others, lie."""
    if is_off.all() or not is_off.any():
        raise ValueError("recordings of other days must hold both: a lead that is off, and none")
    weights = np.array([1 / hearts.count(heart) for heart in hearts])
    points = np.unique(scores)
    gains = [
        (weights * is_off * (scores > point)).sum() / (weights * is_off).sum()
        - (weights * ~is_off * (scores > point)).sum() / (weights * ~is_off).sum()
        for point in points
    ]
    return float(points[int(np.argmax(gains))])


def _quantile_by_heart(scores: np.ndarray, hearts: Sequence[str], share: float) -> float:
    """Return the quantile of scores, all hearts weighing the same."""
    weights = np.array([1 / hearts.count(heart) for heart in hearts])
    order = np.argsort(scores)
    place = np.searchsorted(np.cumsum(weights[order]), share * weights.sum())
    return float(scores[order][min(place, len(scores) - 1)])


def _by_lead(cases: Sequence[RecordedCase], lead: str) -> dict[str, tuple[float, float, float]]:
    own = [case for case in cases if case.lead == lead]
    hearts = dict.fromkeys(case.error.heart for case in own)
    means = [np.mean([c.r for c in own if c.error.heart == heart], axis=0) for heart in hearts]
    quantiles = np.nanquantile(means, (0.5, 0.1, 0.9), axis=0).T
    return {
        name: tuple(round(float(value), 4) for value in row)
        for name, row in zip(other_leads(lead), quantiles, strict=True)
    }


def heart_cases(
    heart: str, records: Sequence[Record], prior: Prior, *, inputs: Sequence[str] = LEADS
) -> Iterator[RecordedCase]:
    """Yield the cases of one heart: 10 s of calibration, tested later or on another day.

    Parameters
    ----------
    heart
        Its name.
    records
        Its recordings of 12 leads. `same session` is the last fifth of those of 30 s or more,
        `another day` each ordered pair.
    prior
        Without this heart.
    inputs
        Names of the visible leads.
    """
    for one in records:
        rest = one.split(share=0.8, gap_s=0.0)[1]
        if one.duration_s >= _LONG_ENOUGH_S:
            yield from _cases(heart, SITUATIONS[0], (one, rest), prior, inputs)
    for pair in permutations(records, 2):
        yield from _cases(heart, SITUATIONS[1], pair, prior, inputs)


def _cases(
    heart: str,
    situation: str,
    pair: tuple[Record, Record],
    prior: Prior,
    inputs: Sequence[str],
) -> Iterator[RecordedCase]:
    """Yield the cases of one pair, a case per input lead; the first 12 s of the test."""
    calibration, truth = clean_record(pair[0], first_s=FIRST_S), clean_record(pair[1], first_s=12)
    for lead in inputs:
        row = lead_index(lead)
        try:
            (day,) = fit_another_day([calibration], (row,), prior=prior).models
        except ValueError:
            continue
        model, _ = make_personal(day)
        guess = model.guess(truth[row])
        hidden = [number for number in range(len(LEADS)) if number != row]
        thin = (slice(None), hidden, slice(None, None, _EVERY))
        terms = error_terms(model, guess)[thin]
        error = ErrorCase(heart, situation, terms, (truth - guess.leads)[hidden][:, ::_EVERY])
        r = score_leads(truth, guess.leads, lead)["r"].to_numpy()
        power = np.var(guess.leads[hidden], axis=-1)
        yield RecordedCase(error, lead, signs_of_expiry(model, guess), r, power)


def write_expectation(cases: Iterable[RecordedCase], out: Path | str) -> Path:
    """Return the path of what cases say of errors and expiry: JSON that names the hearts."""
    cases = list(cases)
    found = asdict(_make_expectation(cases))
    found["errors"]["weights"] = [float(f"{one:.5g}") for one in found["errors"]["weights"]]
    reference = found["expiry"]["reference"]
    found["expiry"]["reference"] = [[float(f"{one:.5g}") for one in row] for row in reference]
    found["hearts"] = sorted({case.error.heart for case in cases})
    found["ecgnb"] = version("ecgnb")
    return write_bytes(Path(out), json.dumps(found).encode() + b"\n")


@cache
def load_expectation() -> Expectation:
    """Return what the shipped table says.

    Raises
    ------
    ValueError
        If the file is not the one its checksum names.
    """
    facts = json.loads(read_shipped(_TABLE))
    errors, rule = facts["errors"], facts["expiry"]
    return Expectation(
        ErrorModel(np.array(errors["weights"]), errors["factors"], errors["ratios"]),
        ExpiryRule(np.array(rule["reference"]), rule["note"], rule["refuse"]),
        facts["other_day"],
        facts["n_heart"],
    )
