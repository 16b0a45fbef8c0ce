"""Simulate 12-lead ECGs whose every wave, beat and abnormality is known.

The heart is a dipole that moves through a few Gaussian waves a beat (Sameni et al. 2007), turned
by respiration and seen through one person's lead vectors (Edenbrandt and Pahlm 1988); each wave
adds a little that no dipole can give. Nine electrodes add wander, muscle noise and mains hum.
Only 8 leads are computed: III, aVR, aVL and aVF follow, so that Einthoven's law holds.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.fft import irfft, next_fast_len, rfftfreq

from ecgnb.leads import DOWER_INVERSE, derive_leads, frank_from_leads, lead_index
from ecgnb.records.record import Record
from ecgnb.simulation.conditions import CONDITION_MODELS
from ecgnb.simulation.heart import (
    LEADS_FROM_ELECTRODES,
    RESPIRATION_HZ,
    BeatTimes,
    Day,
    Heart,
    Rhythm,
    View,
    change_day,
    draw_beats,
    draw_heart,
    draw_view,
    wave_bounds,
    wave_sources,
)


def _coloured_noise(
    n_row: int, n_time: int, shape: np.ndarray, generator: np.random.Generator
) -> np.ndarray:
    """Return noise `(n_row, n_time)` with an amplitude spectrum, root mean square 1 in each row.

    Parameters
    ----------
    n_row, n_time
        Size of the result.
    shape
        Amplitudes at `noise_frequencies(n_time, sampling_rate)`.
    generator
        Source of the random phases.
    """
    n_fast = next_fast_len(n_time, real=True)
    parts = generator.normal(size=(2, n_row, shape.size))
    noise = irfft(shape * (parts[0] + 1j * parts[1]), n=n_fast)[:, :n_time]
    return noise / np.sqrt(np.mean(np.square(noise), axis=-1, keepdims=True))


def _noise_frequencies(n_time: int, sampling_rate: float) -> np.ndarray:
    """Return the frequencies in Hz at which `coloured_noise` takes its spectrum."""
    return rfftfreq(next_fast_len(n_time, real=True), 1 / sampling_rate)


def _electrode_noise(
    sizes_uv: tuple[float, float, float],
    n_time: int,
    sampling_rate: float,
    generator: np.random.Generator,
) -> np.ndarray:
    """Return disturbances of the 8 independent leads `(8, time)` in mV.

    They arise at nine electrodes, so they obey Einthoven's law and reach several leads at once.
    How good each electrode's contact is varies from one to the next by a factor of about 1.6,
    and wander from one recording to the next by a factor of about 2.7.

    Parameters
    ----------
    sizes_uv
        Typical root mean square at an electrode of wander (below about 0.4 Hz), muscle noise
        (flat to 60 Hz, then falling) and 50 Hz hum, uV.
    n_time, sampling_rate
        Samples and Hz.
    generator
        Source of the draw.
    """
    frequencies = _noise_frequencies(n_time, sampling_rate)
    wander = np.exp(-0.5 * np.square(frequencies / 0.18)) * (frequencies > 0)
    wander /= np.hypot(frequencies, 0.03)
    muscle = (frequencies > 1) / np.sqrt(1 + np.square(frequencies / 60.0))
    contact = np.exp(0.5 * generator.normal(size=(2, 9, 1)))
    contact[0] *= np.exp(generator.normal())
    electrodes = sizes_uv[0] * contact[0] * _coloured_noise(9, n_time, wander, generator)
    electrodes += sizes_uv[1] * contact[1] * _coloured_noise(9, n_time, muscle, generator)
    hum = np.sqrt(2) * np.sin(2 * np.pi * 50.0 * np.arange(n_time) / sampling_rate)
    electrodes += sizes_uv[2] * generator.normal(size=(9, 1)) * hum
    return LEADS_FROM_ELECTRODES @ electrodes / 1000


def _fibrillation(
    size_mv: float, n_time: int, sampling_rate: float, generator: np.random.Generator
) -> np.ndarray:
    """Return the dipole `(3, time)` in mV of fibrillatory waves near 6 Hz, largest in V1."""
    frequencies = _noise_frequencies(n_time, sampling_rate)
    slow = _coloured_noise(2, n_time, (frequencies > 0) & (frequencies < 0.4), generator)
    phase = 2 * np.pi * np.cumsum(6 + 0.6 * slow[0]) / sampling_rate
    course = size_mv * (1 + 0.3 * slow[1]) * (np.sin(phase) + 0.35 * np.sin(2 * phase + 1))
    return np.outer([0.25, 0.5, -0.8], course)


WAVE_GROUPS = ("P", "QRS", "T")

_INFARCTION = "myocardial infarction"

STEP_MV = 0.001  # the independent leads lie on this grid, so files of 2000 units/mV are exact


@dataclass(frozen=True)
class SimulationOptions:
    """What to simulate; None means: drawn with the seed, or as the condition has it.

    Parameters
    ----------
    condition
        One of `conditions.CONDITION_MODELS`.
    severity
        Size of the condition's changes, 0 (none) to 1.
    duration_s, sampling_rate
        Length in s and rate in Hz.
    alternans_uv
        Largest difference over leads between the T waves of even and odd beats, uV.
    ectopic_share
        Probability that a beat starts in a ventricle.
    respiration_deg
        Angle by which respiration turns the heart to either side, degrees.
    nondipolar
        Size of what lies outside the dipole, as a share of each wave's dipole length.
    wander_uv, noise_uv, mains_uv
        Root mean square at an electrode of baseline wander, muscle noise and 50 Hz hum, uV.
    snr_db
        If given, wander, noise and hum together are scaled to this ratio of powers over all leads.
    patient_seed
        Seed of the person (heart, lead vectors, condition); two records of one person share it.
    day
        How this recording differs from others of the person, drawn with its seed; None: only by
        its beats and noise, with the electrodes where they were.
    """

    condition: str = "healthy control"
    severity: float | None = None
    duration_s: float = 60.0
    sampling_rate: float = 500.0
    alternans_uv: float = 0.0
    ectopic_share: float | None = None
    respiration_deg: float = 5.0
    nondipolar: float = 0.16
    wander_uv: float = 60.0
    noise_uv: float = 8.0
    mains_uv: float = 2.0
    snr_db: float | None = None
    patient_seed: int | None = None
    day: Day | None = None

    def __post_init__(self) -> None:
        if self.condition not in CONDITION_MODELS:
            known = ", ".join(CONDITION_MODELS)
            raise ValueError(f"condition must be one of {known}; got {self.condition!r}")
        if not 2 <= self.duration_s <= 86_400 or not 100 <= self.sampling_rate <= 5000:
            raise ValueError("duration_s must be 2-86400 s and sampling_rate 100-5000 Hz")
        for name in ("severity", "ectopic_share"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise ValueError(f"{name} must lie between 0 and 1, got {value}")
        if self.day and self.day.infarct_age is not None and self.condition != _INFARCTION:
            raise ValueError(f"only {_INFARCTION} has an infarct_age, not {self.condition}")
        sizes = (self.alternans_uv, self.nondipolar, self.wander_uv, self.noise_uv, self.mains_uv)
        if min(sizes) < 0:
            raise ValueError("alternans, non-dipolar part, wander, noise and hum are sizes >= 0")


@dataclass(frozen=True)
class Truth:
    """What was put into a simulated record.

    Attributes
    ----------
    r_peaks
        Samples `(beat,)` of the middle of the QRS complexes.
    ectopic
        Mask `(beat,)` of the beats that start in a ventricle.
    waves_s
        Onset and end in s `(beat, wave, 2)` of P, QRS, T; NaN where a beat has no such wave.
    alternans_uv
        What alternans adds to the T wave of each beat `(beat,)` in the lead that shows it most:
        half the chosen difference and its negative in turn, 0 in ectopic beats.
    clean
        Signals without wander, noise and hum `(lead, time)`, mV.
    abnormality
        `clean` less the same person's beats without the condition and without ectopic beats, at
        the same times `(lead, time)`, mV: where, when and by how much the condition shows.
    severity
        Of the condition, 0 to 1.
    sign
        The clinical sign that the condition imitates.
    """

    r_peaks: np.ndarray
    ectopic: np.ndarray
    waves_s: np.ndarray
    alternans_uv: np.ndarray
    clean: np.ndarray
    abnormality: np.ndarray
    severity: float
    sign: str


@dataclass(frozen=True)
class Simulated:
    """A simulated record and the truth about it."""

    record: Record
    truth: Truth


def _true_waves(heart: Heart, beats: BeatTimes) -> np.ndarray:
    """Return onset and end `(beat, wave, 2)` in s of P, QRS and T of every beat."""
    table = np.linspace(0.6, 1.3, 29)
    bounds = np.full((2, len(beats.times_s), len(WAVE_GROUPS), 2), np.nan)
    for kind, prefix in enumerate(("", "V")):
        if not kind:
            bounds[kind, :, 0] = wave_bounds(heart, ("P",))
        bounds[kind, :, 1] = wave_bounds(heart, (prefix + "QRS",))
        late = np.array([wave_bounds(heart, (prefix + "T",), stretch) for stretch in table])
        bounds[kind, :, 2, 0] = np.interp(beats.stretch, table, late[:, 0])
        bounds[kind, :, 2, 1] = np.interp(beats.stretch, table, late[:, 1])
    own = np.where(beats.ectopic[:, None, None], bounds[1], bounds[0])
    return own + beats.times_s[:, None, None]


@dataclass(frozen=True)
class _Person:
    """One person's heart before and after the condition, rhythm, view and severity."""

    healthy: Heart
    heart: Heart
    rhythm: Rhythm
    view: View
    severity: float


def _draw_person(options: SimulationOptions, seed: int) -> _Person:
    """Return the person of a seed, with the condition of the options."""
    generator = np.random.default_rng([seed, 1])
    healthy, rhythm = draw_heart(generator)
    view = draw_view(len(healthy.names), options.nondipolar, generator)
    drawn = float(generator.uniform(0.35, 1.0))
    severity = drawn if options.severity is None else options.severity
    change = CONDITION_MODELS[options.condition].change
    age = options.day.infarct_age if options.day else None
    known = {} if age is None else {"age": age}
    heart, rhythm = change(healthy, rhythm, severity, generator, **known)
    if options.ectopic_share is not None:
        rhythm = replace(rhythm, ectopic_share=options.ectopic_share)
    return _Person(healthy, heart, rhythm, view, severity)


def _alternans(heart: Heart, view: View, alternans_uv: float) -> float:
    """Return the relative change of the T wave whose largest lead changes by `alternans_uv`."""
    late = heart.group("T")
    times = np.arange(0.0, 0.6, 0.002)
    distance = (times - heart.centre_s[late, None]) / heart.width_s[late, None]
    length = np.linalg.norm(heart.dipole_mv[late], axis=1)
    per_wave = view.vectors @ heart.dipole_mv[late].T + view.nearby[:, late] * length
    top_uv = 1000 * np.abs(derive_leads(per_wave @ np.exp(-0.5 * np.square(distance)))).max()
    return alternans_uv / max(top_uv, 1.0)


def _seen(
    heart: Heart, view: View, sources: np.ndarray, extra: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the 8 independent leads `(8, time)` and the turned dipole `(3, time)`, mV.

    `extra` `(4, time)` holds a dipole to add and the angle of respiration in radians.
    """
    dipole = view.turn(heart.dipole_mv.T @ sources + extra[:3], extra[3])
    length = np.linalg.norm(heart.dipole_mv, axis=1)
    return view.vectors @ dipole + (view.nearby * length) @ sources, dipole


def _heart_signals(
    person: _Person, beats: BeatTimes, options: SimulationOptions, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the 8 leads with and without the condition `(8, time)` and the dipole, mV."""
    n_time = round(options.duration_s * options.sampling_rate)
    times = np.arange(n_time) / options.sampling_rate
    phase = 2 * np.pi * (RESPIRATION_HZ * times + generator.uniform())
    extra = np.zeros((4, n_time))
    extra[3] = np.deg2rad(options.respiration_deg) * np.sin(phase)
    share = _alternans(person.healthy, person.view, options.alternans_uv)
    plain = replace(beats, ectopic=np.zeros_like(beats.ectopic))
    sources = wave_sources(person.healthy, plain, times, share)
    usual, _ = _seen(person.healthy, person.view, sources, extra)
    size_mv = person.rhythm.fibrillation_mv
    if size_mv:
        extra[:3] = _fibrillation(size_mv, n_time, options.sampling_rate, generator)
    share = _alternans(person.heart, person.view, options.alternans_uv)
    sources = wave_sources(person.heart, beats, times, share)
    clean, dipole = _seen(person.heart, person.view, sources, extra)
    return clean, usual, dipole


def _disturbances(
    clean: np.ndarray, options: SimulationOptions, generator: np.random.Generator
) -> np.ndarray:
    """Return wander, noise and hum `(8, time)` in mV, scaled to `snr_db` if that is given."""
    sizes = (options.wander_uv, options.noise_uv, options.mains_uv)
    noise = _electrode_noise(sizes, clean.shape[-1], options.sampling_rate, generator)
    if options.snr_db is None:
        return noise
    wanted = np.mean(np.square(derive_leads(clean))) / 10 ** (options.snr_db / 10)
    return noise * np.sqrt(wanted / np.mean(np.square(derive_leads(noise))))


def _on_grid(signals_mv: np.ndarray) -> np.ndarray:
    """Return signals rounded to `STEP_MV`, mV."""
    return np.round(signals_mv / STEP_MV) * STEP_MV


def simulate_record(
    options: SimulationOptions | None = None, *, seed: int, name: str = "simulated"
) -> Simulated:
    """Return a simulated record and the truth about it; the same seed gives the same bits.

    Parameters
    ----------
    options
        Defaults to a healthy person of 60 s at 500 Hz.
    seed
        Not negative.
    name
        Of the record.

    Examples
    --------
    >>> simulated = simulate_record(SimulationOptions(duration_s=10.0), seed=0)
    >>> simulated.record.signals.shape, len(simulated.truth.r_peaks) > 7
    ((12, 5000), True)
    """
    options = options or SimulationOptions()
    patient_seed = seed if options.patient_seed is None else options.patient_seed
    person = _draw_person(options, patient_seed)
    if options.day:
        chance = np.random.default_rng([seed, 3])
        view, rhythm = change_day(person.view, person.rhythm, options.day, chance)
        person = replace(person, view=view, rhythm=rhythm)
    generator = np.random.default_rng([seed, 2])
    beats = draw_beats(person.rhythm, options.duration_s, generator)
    clean, usual, dipole = _heart_signals(person, beats, options, generator)
    noise = _disturbances(clean, options, generator)
    frank = dipole + frank_from_leads(derive_leads(noise), DOWER_INVERSE)
    record = Record(
        name=name,
        signals=derive_leads(_on_grid(clean + noise)).astype(np.float32),
        sampling_rate=options.sampling_rate,
        condition=options.condition,
        origin="simulated",
        comments=("Simulated by ecgnb",),
        frank=_on_grid(frank).astype(np.float32),
    )
    return Simulated(record, _truth(person, beats, (clean, usual), options))


def _truth(
    person: _Person,
    beats: BeatTimes,
    signals: tuple[np.ndarray, np.ndarray],
    options: SimulationOptions,
) -> Truth:
    """Return the truth about the beats that lie inside the record."""
    rate = options.sampling_rate
    inside = (beats.times_s >= 0) & (beats.times_s < options.duration_s - 0.5 / rate)
    return Truth(
        r_peaks=np.round(beats.times_s[inside] * rate).astype(int),
        ectopic=beats.ectopic[inside],
        waves_s=_true_waves(person.heart, beats)[inside],
        alternans_uv=options.alternans_uv * beats.alternation[inside],
        clean=derive_leads(signals[0]),
        abnormality=derive_leads(signals[0] - signals[1]),
        severity=person.severity,
        sign=CONDITION_MODELS[options.condition].sign,
    )


def simulate_twins(
    *, seed: int, lead: str = "II", hidden: str = "V3", duration_s: float = 10.0
) -> tuple[Record, Record]:
    """Return recordings of two hearts whose `lead` is the same, to rounding, and `hidden` is not.

    The second heart has a dipole added to its T waves and ST segment that is perpendicular to the
    vector of `lead`: that lead cannot see it, however it is analysed. Both beat alike, without
    noise, respiration or anything that no dipole gives.

    Examples
    --------
    >>> one, other = simulate_twins(seed=0)
    >>> bool(np.abs(one.lead("II") - other.lead("II")).max() < 1e-6)
    True
    >>> bool(np.abs(one.lead("V3") - other.lead("V3")).max() > 0.2)
    True
    """
    options = SimulationOptions(duration_s=duration_s, nondipolar=0.0)
    person = _draw_person(options, seed)
    vectors = derive_leads(person.view.vectors)
    seen, wanted = vectors[lead_index(lead)], vectors[lead_index(hidden)]
    unseen = wanted - seen * (wanted @ seen) / (seen @ seen)
    late = person.heart.group("ST", "T")
    added = 0.25 * np.outer(late, unseen / np.linalg.norm(unseen))
    other = replace(person.heart, dipole_mv=person.heart.dipole_mv + added)
    beats = draw_beats(person.rhythm, duration_s, np.random.default_rng([seed, 2]))
    times = np.arange(round(duration_s * options.sampling_rate)) / options.sampling_rate
    sources = wave_sources(person.heart, beats, times, 0.0)
    signals = (vectors @ heart.dipole_mv.T @ sources for heart in (person.heart, other))
    return tuple(
        Record(
            name, each, options.sampling_rate, origin="simulated", comments=("Simulated by ecgnb",)
        )
        for name, each in zip(("one", "other"), signals, strict=True)
    )
