"""Which leads, and how many: every set that knows something different, three times over.

`personal`: fitted on the first part of a recording of twadb, tested on its last. `people`: fitted
on other people of PTB, LUDB and the challenge, tested on people not seen. `days`: the average beat
of the first 10 s of one recording, tested on another recording of the same heart, or (`inside`)
on the last fifth of the same one. All in mV; no hidden lead is scaled by itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ecgnb.files import code_digest, file_beside, write_manifest, write_table
from ecgnb.leads import INDEPENDENT_LEADS, LEADS
from ecgnb.reconstruction.average_beat import AFTER_S, BEFORE_S, paste_beats
from ecgnb.reconstruction.lead_sets import (
    SET_RATE_HZ,
    SetModel,
    SetTrial,
    fit_set,
    known_by,
    lead_moments,
    lead_sets,
    shapley_values,
    st_weights,
)
from ecgnb.reconstruction.pace import beat_at, find_stretch, paste_paced
from ecgnb.reconstruction.prior import DAY_RATE_HZ, FIRST_S, clean_record
from ecgnb.reconstruction.set_scores import keep_chosen, mean_of_sets
from ecgnb.records.record import RecordError
from ecgnb.signals.beats import align_beats, average_beat, find_peaks
from ecgnb.signals.preparation import PreprocessingOptions, clean_parts
from ecgnb.studies.day_trials import sources_by_heart
from ecgnb.studies.plan import Source, Task, key_of, list_sources
from ecgnb.studies.runner import Outcome, Results, finished, store_of

SET_PARTS = ("personal", "people", "days")

USUAL_SETS = {
    "I": "I",
    "II": "II",
    "I, II": "I+II",
    "six limb leads": "I+II",
    "V1, II": "II+V1",
    "I, II, V2": "I+II+V2",
    "three axes (aVF, V2, V6), as EASI": "aVF+V2+V6",
}

_N_FOLD, _STEP, _HELD_BACK = 10, 2, 0.2

_ST = [f"st_{lead}" for lead in INDEPENDENT_LEADS]


def run_lead_sets(
    folder: Path | str,
    out: Path | str,
    *,
    parts: Sequence[str] = SET_PARTS,
    limit: int | None = None,
    jobs: int = 1,
    progress: bool = True,
) -> Outcome:
    """Return the tables of all parts, also written to the folder `out`. It resumes.

    Parameters
    ----------
    folder
        A mirror with twadb (`personal`), and ptbdb, LUDB and the challenge of 2021 (the others).
    out
        Gets `lead_sets_<part>.csv.gz`, `lead_sets_<part>_means.csv` and, of other people,
        `lead_values.csv.gz`.
    parts
        Of `SET_PARTS`.
    limit
        At most so many recordings of `personal`, the first by name; all by default.
    jobs
        Local processes, one thread each.
    """
    out, failed, tables = Path(out), [], {}
    for part in parts:
        tasks, sources = _PLANS[part](folder, jobs if part != "personal" else limit)
        file = out / f"lead_sets_{part}.csv.gz"
        with finished(
            tasks, store_of(file), jobs=jobs, what=f"tasks of {part}", progress=progress
        ) as results:
            tables |= _write(results, file, part, sources)
            failed += results.failed
    return Outcome(tables, tuple(failed))


def _write(
    results: Results, file: Path, part: str, sources: Sequence[Source]
) -> dict[str, pd.DataFrame]:
    """Write the tables of a part, its manifest beside, and return them whole.

    Of every set its means are written; recording by recording those that are best or usual.
    """
    tables = {part: results.table()}
    write_table(file, keep_chosen(tables[part], USUAL_SETS.values()), digits=4)
    means = [
        mean_of_sets(own).assign(plan=plan)
        for plan, own in tables[part].groupby(_plan_of(tables[part]))
    ]
    write_table(file_beside(file, "_means.csv"), pd.concat(means), digits=4)
    if part == "people":
        tables["values"] = results.table("values")
        write_table(file.with_name("lead_values.csv.gz"), tables["values"], digits=4)
    facts = results.facts(sources, part=part, code=code_digest(__name__)) | results.costs()
    write_manifest(file_beside(file, "_manifest.json"), facts)
    return tables


def _plan_of(table: pd.DataFrame) -> pd.Series:
    """Return the plan of each row; a part with one plan has none."""
    return table["plan"] if "plan" in table else pd.Series("", index=table.index)


def _plan_personal(folder: Path | str, limit: int | None) -> tuple[list[Task], list[Source]]:
    sources, code = list_sources(folder)[:limit], code_digest(__name__)
    tasks = [
        Task(s.path.stem, key_of(code, [s]), partial(_score_personal, s), about=s.name)
        for s in sources
    ]
    return tasks, sources


def _plan_people(folder: Path | str, jobs: int) -> tuple[list[Task], list[Source]]:
    first = {heart: own[0] for heart, own in sources_by_heart(folder).items()}
    sources, code = list(first.values()), code_digest(__name__)
    needs = [partial(_read_people, first, residual=False) for _ in range(jobs)]
    key = key_of(code, sources, folds=_N_FOLD)
    tasks = [
        Task(
            f"fold {fold}",
            f"{key[:16]}{fold:04d}",
            partial(_score_fold, fold),
            kinds=("rows", "values"),
            needs=needs[fold % jobs],
        )
        for fold in range(_N_FOLD)
    ]
    return tasks, sources


def _plan_days(folder: Path | str, jobs: int) -> tuple[list[Task], list[Source]]:
    people = sources_by_heart(folder)
    first = {heart: own[0] for heart, own in people.items()}
    several = {heart: own for heart, own in people.items() if len(own) > 1}
    sources = [source for own in people.values() for source in own]
    key = key_of(code_digest(__name__), sources, hearts=sorted(several))
    needs = [partial(_read_days, first, several) for _ in range(jobs)]
    tasks = [
        Task(heart, f"{key[:16]}{n:04d}", partial(_score_days, heart), needs=needs[n % jobs])
        for n, heart in enumerate(several)
    ]
    return tasks, sources


_PLANS = {"personal": _plan_personal, "people": _plan_people, "days": _plan_days}


def _score_personal(source: Source) -> dict[str, pd.DataFrame]:
    """Return the scores of all sets on one recording: the average beat and a filter of its rest.

    The peaks are those of the known lead with the largest power in the training part.
    """
    record = source.read()
    options = PreprocessingOptions(sampling_rate=SET_RATE_HZ)
    parts = clean_parts(record, options)
    st = st_weights(parts[2], SET_RATE_HZ)
    loudest = np.square(parts[0]).mean(axis=1)
    known, rows = {}, []
    for leads in lead_sets():
        anchor = max(leads.known, key=lambda lead: loudest[LEADS.index(lead)])
        if anchor not in known:
            known[anchor] = _sums_of_parts(parts, LEADS.index(anchor), st)
        train, validation, trial = known[anchor]
        model = fit_set(leads, train, validation.moments)
        error = model.squared_error(validation.moments).mean() / validation.n_time
        row = {"set": leads.name, "validation_uv": 1000 * np.sqrt(error)}
        rows.append(row | trial.score(model))
    labels = {"record": source.name, "origin": record.origin, "heart": record.heart}
    return {"rows": _labelled(rows, labels)}


def _sums_of_parts(
    parts: Sequence[np.ndarray], lead: int, st: np.ndarray
) -> tuple[np.ndarray, SetTrial, SetTrial]:
    """Return the moments of the training rest, and the trials of validation and test part."""
    before, after = round(BEFORE_S * SET_RATE_HZ), round(AFTER_S * SET_RATE_HZ)
    peaks = [find_peaks(part[lead], SET_RATE_HZ) for part in parts]
    beats = align_beats(parts[0], peaks[0], before=before, after=after)
    if not len(beats):
        raise ValueError(f"no whole heartbeat in {LEADS[lead]} of the training part")
    beat = average_beat(beats)
    pasted = [
        paste_beats(beat, own, part.shape[-1], before=before)
        for own, part in zip(peaks, parts, strict=True)
    ]
    trials = (SetTrial.of(parts[1], pasted[1]), SetTrial.of(parts[2], pasted[2], st))
    return lead_moments(parts[0] - pasted[0]), *trials


def _labelled(rows: list[dict[str, Any]], labels: dict[str, object]) -> pd.DataFrame:
    table = pd.DataFrame(rows).assign(**labels)
    table[_ST] = table[_ST].round().astype(int)
    numbers = [name for name in table if name not in {*labels, *_ST, "set"}]
    table[numbers] = table[numbers].round(4)
    return table[[*labels, *[name for name in table if name not in labels]]]


@dataclass(frozen=True)
class _People:
    """Trials of one stretch of each heart, of power 1 over all leads and samples, by heart."""

    trials: dict[str, SetTrial]
    scale: dict[str, float]

    def fold_of(self, heart: str) -> int:
        return sorted(self.trials).index(heart) % _N_FOLD

    def total(self, hearts: Sequence[str]) -> np.ndarray:
        """Return the sums over hearts, each of which weighs the same."""
        return sum(self.scale[heart] * self.trials[heart].moments for heart in hearts)


def _read_people(first: dict[str, Source], *, residual: bool) -> _People:
    """Return the people of a mirror, the first 10 s of each; hearts without a beat are left out.

    With `residual` the filter's input is what a recording shows beyond its own average beat.
    """
    trials = {}
    for heart, source in first.items():
        signals = _read_signals(source, first_s=FIRST_S)
        if signals is None:
            continue
        peaks = find_peaks(signals, DAY_RATE_HZ)
        beat = beat_at(signals, peaks)
        if beat is None or len(peaks) < 4:
            continue
        base = np.zeros_like(signals)
        if residual:
            interval_s = float(np.median(np.diff(peaks))) / DAY_RATE_HZ
            base = paste_paced(beat, peaks, base.shape[-1], stretch=1.0, interval_s=interval_s)
        trials[heart] = _trial_at(signals, base)
    powers = {h: max(np.trace(t.moments), 1e-9) / len(t.moments) for h, t in trials.items()}
    return _People(trials, {heart: 1 / power for heart, power in powers.items()})


def _read_signals(source: Source, *, first_s: float | None = None) -> np.ndarray | None:
    try:
        return clean_record(source.read(), first_s=first_s)
    except RecordError:
        return None


def _trial_at(signals: np.ndarray, base: np.ndarray) -> SetTrial:
    """Return the trial of signals and base at 250 Hz, of which every other sample is taken."""
    truth = signals[:, ::_STEP]
    return SetTrial.of(truth, base[:, ::_STEP], st_weights(truth, SET_RATE_HZ))


def _score_fold(fold: int, people: _People) -> dict[str, pd.DataFrame]:
    """Return the scores of all sets on the hearts of a fold, and the values of their leads."""
    hearts: dict[int, list[str]] = {number: [] for number in range(_N_FOLD)}
    for heart in people.trials:
        hearts[people.fold_of(heart)].append(heart)
    tuned = (fold + 1) % _N_FOLD
    fitted = [one for n, own in hearts.items() if n not in (fold, tuned) for one in own]
    train, validation = people.total(fitted), people.total(hearts[tuned])
    models = [fit_set(leads, train, validation) for leads in lead_sets()]
    usual = np.mean([people.scale[h] * people.trials[h].truth_power for h in fitted], axis=0)
    rows, values = [], []
    for heart in hearts[fold]:
        trial, labels = people.trials[heart], {"heart": heart, "fold": fold}
        rows.append(_labelled([{"set": m.leads.name} | trial.score(m) for m in models], labels))
        share = people.scale[heart] / usual
        values.append(_lead_values(models, trial, share).assign(**labels))
    return {"rows": pd.concat(rows), "values": pd.concat(values)}


def _lead_values(models: Sequence[SetModel], trial: SetTrial, share: np.ndarray) -> pd.DataFrame:
    """Return what each lead is worth on one heart, a row per lead.

    The worth of some leads is the share of the power of a lead that a fit from them explains,
    the power being that of the lead among other people, mean over leads. `all_<n>` are Shapley
    values among n = 12 or 8 (independent) leads, the lead itself among those to be explained;
    `others_<n>` only what the lead explains of others, each explained from all but itself.
    `alone` is what the lead explains of the others by itself. `power_uv` is its amplitude.
    """
    removed = [trial.truth_power - one.squared_error(trial.moments) for one in models]
    removed = np.stack([0 * trial.truth_power, *removed, trial.truth_power]) * share
    table = pd.DataFrame({"lead": LEADS})
    table["power_uv"] = 1000 * np.sqrt(trial.truth_power / trial.n_time)
    for players in (LEADS, INDEPENDENT_LEADS):
        worth, n = removed[_coalitions(players)], len(players)
        targets = [LEADS.index(lead) for lead in players]
        table[f"all_{n}"] = _on_leads(shapley_values(worth)[:, targets].mean(axis=1), players)
        table[f"others_{n}"] = _on_leads(_values_for_others(worth, players), players)
        alone = worth[2 ** np.arange(n)][:, targets]
        table[f"alone_{n}"] = _on_leads((alone.sum(axis=1) - np.diag(alone)) / (n - 1), players)
    return table


@cache
def _coalitions(players: tuple[str, ...]) -> np.ndarray:
    """Return what every coalition of leads knows: 0 nothing, the place of a set from 1 on, or all.

    Coalition number `n` has the player `i` if bit `i` of `n` is set.
    """
    numbers = np.arange(2 ** len(players))
    subsets = np.zeros((len(numbers), len(LEADS)), dtype=bool)
    taken = (numbers[:, None] >> np.arange(len(players))) % 2 == 1
    subsets[:, [LEADS.index(lead) for lead in players]] = taken
    sets = [one.known for one in lead_sets()]
    places = {names: place for place, names in enumerate([(), *sets, LEADS])}
    named = [tuple(np.array(LEADS)[known].tolist()) for known in known_by(subsets)]
    return np.array([places[names] for names in named])


def _values_for_others(worth: np.ndarray, players: Sequence[str]) -> np.ndarray:
    """Return the mean Shapley value of each player for leads that are not itself `(player,)`."""
    n_player, total = len(players), np.zeros(len(players))
    numbers = np.arange(2**n_player)
    for place, target in enumerate(players):
        without = (numbers >> place) % 2 == 0
        values = shapley_values(worth[without][:, LEADS.index(target)])
        total[np.delete(np.arange(n_player), place)] += values
    return total / (n_player - 1)


def _on_leads(values: np.ndarray, players: Sequence[str]) -> np.ndarray:
    found = np.full(len(LEADS), np.nan)
    found[[LEADS.index(lead) for lead in players]] = values
    return found


def _read_days(
    first: dict[str, Source], several: dict[str, list[Source]]
) -> tuple[_People, dict[str, list[np.ndarray]]]:
    """Return what people's rests tell, and the recordings of those who have several."""
    recordings = {
        heart: [one for one in map(_read_signals, own) if one is not None]
        for heart, own in several.items()
    }
    return _read_people(first, residual=True), recordings


def _score_days(
    heart: str, given: tuple[_People, dict[str, list[np.ndarray]]]
) -> dict[str, pd.DataFrame]:
    """Return the scores of all sets on the recordings of a heart.

    A pasted beat of the calibration at the other recording's rate, and a filter of other people
    from what the visible leads show beyond it. Its penalty is the one that serves best from one
    recording to another of the other hearts with several.
    """
    people, recordings = given
    others = [one for one in people.trials if one != heart]
    train = people.total(others)
    validation = sum(_moved(recordings[one]) for one in recordings if one != heart)
    models = [fit_set(leads, train, validation) for leads in lead_sets()]
    own, rows = recordings[heart], []
    for old, new in [*permutations(range(len(own)), 2), *((n, n) for n in range(len(own)))]:
        test = own[new] if old != new else own[new][:, -round(_HELD_BACK * own[new].shape[-1]) :]
        if old == new and own[new].shape[-1] < 2 * FIRST_S * DAY_RATE_HZ:
            continue
        labels = {"heart": heart, "plan": "inside" if old == new else "pairs"}
        labels |= {"calibration": old, "test": new}
        rows.append(_score_pair(own[old][:, : round(FIRST_S * DAY_RATE_HZ)], test, models, labels))
    return {"rows": pd.concat(rows)}


def _moved(recordings: Sequence[np.ndarray]) -> np.ndarray:
    """Return the moments of what recordings show beyond the beat of another one, size 1."""
    lead = LEADS.index("II")
    pairs = [
        _trial_at(new, _carry(old[:, : round(FIRST_S * DAY_RATE_HZ)], new, lead)).moments
        for old, new in permutations(recordings, 2)
    ]
    total = sum(pairs)
    return total * len(total) / max(np.trace(total), 1e-9)


def _carry(old: np.ndarray, new: np.ndarray, lead: int) -> np.ndarray:
    """Return the beat of a calibration pasted over another recording, seen from one lead."""
    peaks = [find_peaks(signals[lead], DAY_RATE_HZ) for signals in (old, new)]
    beats = [beat_at(old, peaks[0]), beat_at(new[lead : lead + 1], peaks[1])]
    if beats[0] is None or beats[1] is None:
        raise ValueError(f"no whole heartbeat in {LEADS[lead]}")
    intervals = [float(np.median(np.diff(own))) / DAY_RATE_HZ for own in peaks]
    stretch = find_stretch(beats[0][lead], beats[1][0], (intervals[0], intervals[1]))
    n_time = new.shape[-1]
    return paste_paced(beats[0], peaks[1], n_time, stretch=stretch, interval_s=intervals[0])


def _score_pair(
    old: np.ndarray, new: np.ndarray, models: Sequence[SetModel], labels: dict[str, object]
) -> pd.DataFrame:
    """Return the scores of all sets from one recording `(lead, time)` to another, 250 Hz."""
    loudest, trials, rows = np.square(old).mean(axis=1), {}, []
    for model in models:
        anchor = max(model.leads.known, key=lambda lead: loudest[LEADS.index(lead)])
        if anchor not in trials:
            trials[anchor] = _trial_at(new, _carry(old, new, LEADS.index(anchor)))
        rows.append({"set": model.leads.name} | trials[anchor].score(model))
    return _labelled(rows, labels)
