"""How large a difference between groups must be before maps of refitted networks show it.

The unit is a refit: people of one group are drawn, one small VAE is fitted to them alone, and what
it looks at is shared out over leads and waves. Refits of healthy people who share nobody say how
far two groups lie apart when there is nothing to find; refits of simulated people with a planted
difference of known size say from which size on it is found; refits of real people are held
against both.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from ecgnb.explanation.attribution import declare_targets, integrated_gradients
from ecgnb.explanation.group_scores import withheld_leads
from ecgnb.explanation.groups import GroupVae, part_of
from ecgnb.explanation.shares import share_rows, waves_of
from ecgnb.explanation.vae import VaeOptions, fit_pca, fit_vae
from ecgnb.explanation.windows import (
    BeatWindows,
    augment_windows,
    collect_windows,
    join_windows,
    lead_factor,
)
from ecgnb.files import code_digest
from ecgnb.records.databases import find_records
from ecgnb.records.labels import HEALTHY
from ecgnb.records.record import Record, RecordError
from ecgnb.simulation.synthesis import SimulationOptions, simulate_record
from ecgnb.studies.plan import Source, Task, key_of, sources_of
from ecgnb.studies.runner import Outcome, write_study

PLANTED = ("hypertrophy", "myocardial infarction")

SEVERITIES = (0.15, 0.3, 0.6, 1.0)

_EXPLAINED = ("latent_norm", "negative_elbo")  # targets that concern the whole beat

_IN_TASK = 8  # refits of a task


@dataclass(frozen=True)
class RefitOptions:
    """Size of one refit: people, beats of each, windows with augmented ones, and the network.

    `strength` is that of the augmented beats, `n_path` the steps of integrated gradients,
    `n_healthy` how many pairs of groups of healthy people are drawn, `n_other` how many groups of
    each other kind.
    """

    n_people: int = 8
    n_beat: int = 6
    n_window: int = 200
    strength: float = 1.0
    n_path: int = 8
    n_healthy: int = 32
    n_other: int = 12
    vae: VaeOptions = field(
        default_factory=lambda: VaeOptions(n_hidden=32, n_step=80, batch_size=32)
    )


@dataclass(frozen=True)
class _Group:
    """What groups are drawn: `simulated` or `recorded` people, of a condition and a severity."""

    people: str
    condition: str
    severity: float
    first: int
    last: int

    @property
    def name(self) -> str:
        """As it stands in file names."""
        return f"{self.people}-{self.condition}-{self.severity:g}-{self.first:02d}"


def run_power(
    folder: Path | str,
    out: Path | str,
    *,
    options: RefitOptions | None = None,
    jobs: int = 1,
    progress: bool = True,
) -> Outcome:
    """Return the table of all refits, also written to `out` (.csv.gz), with a manifest.

    A row is what one refit says of one lead or wave: `share`, the mean over its people of the
    share of relevance by integrated gradients of a target, or of the R² that the other leads lose
    when one is withheld (`measure`). `number` and `part` tell refits apart; parts a and b of one
    number share nobody. `size_uv` and `size` say how large the planted difference is: its root
    mean square over leads and time, in uV and as a share of that of the heartbeats.

    Parameters
    ----------
    folder
        ptbdb, or a mirror that holds it; a condition with fewer people than a refit has is left
        out.
    out
        The table. A task is up to eight refits; an interrupted run goes on where it stopped.
    options
        Sizes of the refits.
    jobs
        Local processes, one thread each.

    Raises
    ------
    FileNotFoundError
        If the folder holds no usable record of ptbdb.
    """
    options, code = options or RefitOptions(), code_digest(__name__)
    sources = sources_of(find_records(folder, "ptbdb"), "ptbdb")
    people = _people_of(sources, options)
    if HEALTHY not in people:
        raise FileNotFoundError(f"no usable record of ptbdb in {folder}")
    tasks = [
        Task(
            group.name,
            key_of(code, sources if group.people == "recorded" else [], refit=options, of=group),
            partial(_refit_all, group, people.get(group.condition), options),
        )
        for group in _plan(list(people), options)
    ]
    facts, how = {"options": options, "code": code}, {"jobs": jobs, "progress": progress}
    facts |= {"people": {name: group.n_patient for name, group in people.items()}}
    return write_study(tasks, out, sources, digits=5, facts=facts, **how)


def _plan(conditions: Sequence[str], options: RefitOptions) -> list[_Group]:
    """Return all groups in pieces of at most eight refits, those of healthy people first."""
    kinds = [("simulated", HEALTHY, 0.0, options.n_healthy)]
    kinds += [("recorded", HEALTHY, 0.0, options.n_healthy)]
    kinds += [
        ("recorded", name, np.nan, options.n_other) for name in conditions if name != HEALTHY
    ]
    kinds += [
        ("simulated", name, severity, options.n_other)
        for name in PLANTED
        for severity in SEVERITIES[::-1]
    ]
    return [
        _Group(people, name, severity, first, last)
        for people, name, severity, count in kinds
        for first, last in pairwise([*range(0, count, _IN_TASK), count])
    ]


def _people_of(sources: Sequence[Source], options: RefitOptions) -> dict[str, BeatWindows]:
    """Return the beats of real people by condition, if there are enough for a refit."""
    records: dict[str, list[Record]] = {}
    for source in sources:
        try:
            record = replace(source.read(), name=source.name)
        except RecordError:
            continue
        records.setdefault(record.condition, []).append(record)
    groups = {
        name: _few_beats(collect_windows(found, n_most=options.n_beat), options.n_beat)
        for name, found in records.items()
    }
    return {name: group for name, group in groups.items() if group.n_patient >= options.n_people}


def _few_beats(group: BeatWindows, n_beat: int) -> BeatWindows:
    """Return at most `n_beat` beats of each person, spread evenly over what there is."""
    chosen = []
    for patient in np.unique(group.patients):
        places = np.flatnonzero(group.patients == patient)
        spread = np.linspace(0, len(places) - 1, min(len(places), n_beat)).astype(int)
        chosen += places[spread].tolist()
    return BeatWindows(group.windows[chosen], group.patients[chosen])


def _refit_all(
    group: _Group, people: BeatWindows | None, options: RefitOptions
) -> dict[str, pd.DataFrame]:
    """Return the rows of the refits of one task."""
    rows = []
    for number in range(group.first, group.last):
        for part, beats, size in _draw(group, people, options, number):
            labels = {"people": group.people, "condition": group.condition, "part": part}
            labels |= {"severity": group.severity, "number": number, **size}
            rows.append(_refit(beats, options, seed=number).assign(**labels))
    return {"rows": pd.concat(rows, ignore_index=True)}


def _draw(
    group: _Group, people: BeatWindows | None, options: RefitOptions, number: int
) -> list[tuple[str, BeatWindows, dict[str, float]]]:
    """Return the groups of one number: two of healthy people who share nobody, else one."""
    parts, count = ("a", "b") if group.condition == HEALTHY else ("a",), options.n_people
    if group.people == "recorded":
        names = np.random.default_rng([number, 7]).permutation(np.unique(people.patients))
        nothing = {"size_uv": np.nan, "size": np.nan}
        if len(names) < 2 * count:  # of too few people for two groups one is drawn
            parts = parts[:1]
        chosen = [names[place * count : (place + 1) * count] for place in range(len(parts))]
        return [(part, part_of(people, few), nothing) for part, few in zip(parts, chosen)]  # noqa: B905
    return [
        (part, *_simulate_people(group, options, number, place))
        for place, part in enumerate(parts)
    ]


def _simulate_people(
    group: _Group, options: RefitOptions, number: int, place: int
) -> tuple[BeatWindows, dict[str, float]]:
    """Return beats of simulated people, and how large their planted difference is."""
    made = SimulationOptions(
        condition=group.condition, severity=group.severity, duration_s=10.0, sampling_rate=250.0
    )
    kind = [HEALTHY, *PLANTED].index(group.condition)
    seeds = np.random.SeedSequence([kind, round(100 * group.severity), number, place])
    beats, powers = BeatWindows(np.zeros((0, 12, 256), np.float32), np.array([])), []
    for seed in seeds.generate_state(options.n_people).tolist():
        simulated = simulate_record(made, seed=seed)
        record, truth = replace(simulated.record, patient=str(seed)), simulated.truth
        beats = join_windows(beats, collect_windows([record], n_most=options.n_beat))
        powers.append([np.square(part).mean() for part in (truth.abnormality, truth.clean)])
    planted, whole = np.sqrt(np.mean(powers, axis=0))
    return beats, {"size_uv": 1000 * planted, "size": planted / whole}


def _refit(beats: BeatWindows, options: RefitOptions, *, seed: int) -> pd.DataFrame:
    """Return what one network, fitted to some people, says of them: rows of leads and waves."""
    fitted = _fit(beats, options, seed)
    scaled = beats.scaled(fitted.factor)
    targets = declare_targets(waves_of(beats.windows), latent=0)
    start = fitted.linear.mean.reshape(scaled.shape[1:])
    rows = [
        withheld_leads(fitted, beats)
        .rename(columns={"lead": "name", "r2_lost": "share"})
        .assign(measure="withheld", axis="lead")
    ]
    for name in _EXPLAINED:
        maps = integrated_gradients(
            fitted.model, scaled, targets[name], baseline=start, n_step=options.n_path
        )
        for patient in np.unique(beats.patients):
            own = beats.patients == patient
            shares = share_rows(
                maps[own].mean(axis=0), beats.windows[own], waves_of(beats.windows[own])
            )
            rows.append(shares[["axis", "name", "share"]].assign(measure=name))
    keys = ["measure", "axis", "name"]
    means = pd.concat(rows).groupby(keys, sort=False)["share"].mean().reset_index()
    return means.assign(step_taken=fitted.history.step_taken)


def _fit(beats: BeatWindows, options: RefitOptions, seed: int) -> GroupVae:
    """Return a small VAE of some people, a quarter of whom say when to stop and how far to go."""
    generator = np.random.default_rng([seed, 11])
    names = generator.permutation(np.unique(beats.patients))
    n_check = max(len(names) // 4, 1)
    train, check = (part_of(beats, few) for few in (names[n_check:], names[:n_check]))
    factor, n_own = lead_factor(train.windows), len(train.windows)
    rows = generator.integers(n_own, size=max(options.n_window - n_own, 0))
    more = augment_windows(train.windows[rows], strength=options.strength, generator=generator)
    own = train.scaled(factor)
    seen = np.concatenate([own, (more / factor).astype(np.float32)])
    model, history = fit_vae(seen, check.scaled(factor), options=options.vae, seed=seed)
    linear = fit_pca(own, options.vae.n_latent)
    return GroupVae(model, factor, history, options.strength, linear, linear, linear)
