"""A heart as a moving dipole: its waves, its rhythm and how 8 leads see it.

Every wave is a Gaussian in time times a dipole vector in Frank's axes (X to the left, Y to the
feet, Z to the back), as in Sameni et al. 2007. Wave sizes are textbook values, set by hand and
compared with healthy records of ptbdb in chapter 01.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial.transform import Rotation

from ecgnb.leads import DOWER_INVERSE

RESPIRATION_HZ = 0.25

# name, group, time after the R peak / ms, standard deviation / ms, X, Y, Z / mV
_WAVE_TABLE = (
    ("P1", "P", -150.0, 17.0, 0.05, 0.09, -0.03),
    ("P2", "P", -122.0, 17.0, 0.05, 0.05, 0.03),
    ("Q", "QRS", -22.0, 6.5, -0.10, -0.02, -0.42),
    ("R1", "QRS", -4.0, 8.5, 1.02, 0.45, -0.22),
    ("R2", "QRS", 9.0, 9.0, 0.40, 0.26, 0.80),
    ("S", "QRS", 26.0, 8.0, -0.18, -0.12, 0.30),
    ("ST", "ST", 120.0, 45.0, 0.02, 0.01, -0.03),
    ("T1", "T", 225.0, 46.0, 0.21, 0.07, -0.15),
    ("T2", "T", 272.0, 28.0, 0.26, 0.07, -0.18),
    # a beat that starts in a ventricle: no P wave, broad, with an opposite T wave
    ("VQ", "VQRS", -28.0, 20.0, 0.35, -0.55, -0.35),
    ("VR", "VQRS", 22.0, 27.0, -0.90, -0.70, 1.05),
    ("VT", "VT", 265.0, 50.0, 0.38, 0.40, -0.50),
)


@dataclass(frozen=True)
class Heart:
    """Waves of one heart.

    `names` and `groups` per wave; `centre_s` and `width_s` (standard deviation) `(wave,)` in s
    after the R peak at a heart rate of 67 beats a minute; `dipole_mv` `(wave, 3)` in mV.
    """

    names: tuple[str, ...]
    groups: tuple[str, ...]
    centre_s: np.ndarray
    width_s: np.ndarray
    dipole_mv: np.ndarray

    def group(self, *groups: str) -> np.ndarray:
        """Return the mask `(wave,)` of the waves of some groups."""
        return np.isin(self.groups, groups)

    def index(self, name: str) -> int:
        """Return the position of a wave."""
        return self.names.index(name)

    def moved(self, **changes: tuple[float, ...]) -> "Heart":
        """Return a heart with mV vectors added to the dipoles of the named waves."""
        dipole = self.dipole_mv.copy()
        for name, vector in changes.items():
            dipole[self.index(name)] += vector
        return replace(self, dipole_mv=dipole)

    def scaled(self, *groups: str, gain: float = 1.0, stretch: float = 1.0) -> "Heart":
        """Return a heart with the waves of some groups larger by `gain`, longer by `stretch`."""
        chosen = self.group(*groups)
        return replace(
            self,
            dipole_mv=np.where(chosen[:, None], gain, 1.0) * self.dipole_mv,
            centre_s=np.where(chosen, stretch, 1.0) * self.centre_s,
            width_s=np.where(chosen, stretch, 1.0) * self.width_s,
        )

    def timed(self, name: str, *, centre_s: float, width_s: float) -> "Heart":
        """Return a heart in which one wave has another time and standard deviation, s."""
        centre, width = self.centre_s.copy(), self.width_s.copy()
        centre[self.index(name)], width[self.index(name)] = centre_s, width_s
        return replace(self, centre_s=centre, width_s=width)


@dataclass(frozen=True)
class Rhythm:
    """When beats come: `rr_s` mean interval, shares of it that vary, and ectopic beats.

    `irregular` is the standard deviation of the logarithm of the interval, drawn anew each beat;
    `fibrillation_mv` is the size of fibrillatory waves that stand in for P waves.
    """

    rr_s: float = 0.9
    respiratory: float = 0.03
    slow: float = 0.02
    irregular: float = 0.006
    ectopic_share: float = 0.0
    fibrillation_mv: float = 0.0


def _textbook_heart() -> Heart:
    """Return the heart of the table, without any variation.

    Examples
    --------
    >>> _textbook_heart().dipole_mv.shape
    (12, 3)
    """
    names, groups, *numbers = zip(*_WAVE_TABLE, strict=True)
    centre, width, *axes = np.array(numbers)
    return Heart(names, groups, centre / 1000, width / 1000, np.stack(axes, axis=1))


def draw_heart(generator: np.random.Generator) -> tuple[Heart, Rhythm]:
    """Return a healthy person's heart and rhythm: the textbook's, varied.

    Sizes vary by 27 % in common and 14 % a wave, directions by 8 degrees a wave and group,
    the P wave's delay by 15 ms, the width of the QRS complex by 7 %, the T wave's time by 5 %.
    """
    heart = _textbook_heart()
    n_wave = len(heart.names)
    gain = np.exp(generator.normal(0, 0.27) + generator.normal(0, 0.14, n_wave))
    dipole = heart.dipole_mv * gain[:, None]
    dipole[heart.group("T", "VT", "ST")] *= np.exp(generator.normal(0, 0.2))
    dipole = Rotation.from_rotvec(generator.normal(0, 0.14, (n_wave, 3))).apply(dipole)
    t_turn = Rotation.from_rotvec(generator.normal(0, 0.14, 3))
    dipole[heart.group("T")] = t_turn.apply(dipole[heart.group("T")])
    centre, width = heart.centre_s.copy(), heart.width_s.copy()
    centre[heart.group("P")] += generator.normal(0, 0.015)
    stretch = np.exp(generator.normal(0, 0.07))
    centre[heart.group("QRS")] *= stretch
    width[heart.group("QRS")] *= stretch
    centre[heart.group("T")] *= np.exp(generator.normal(0, 0.05))
    rhythm = Rhythm(
        rr_s=float(np.clip(generator.normal(0.88, 0.13), 0.6, 1.2)),
        respiratory=float(generator.uniform(0.01, 0.05)),
        slow=float(generator.uniform(0.01, 0.03)),
        ectopic_share=float(generator.choice([0.0, 0.01], p=[0.8, 0.2])),
    )
    return replace(heart, centre_s=centre, width_s=width, dipole_mv=dipole), rhythm


@dataclass(frozen=True)
class View:
    """How one person's heart is seen.

    `vectors` `(8, 3)`: mV in leads I, II, V1 ... V6 per mV of dipole; `nearby` `(8, wave)`: what
    each wave adds beyond the dipole, per mV of the wave's dipole length; `axis` `(3,)`: the unit
    vector around which respiration turns the dipole.
    """

    vectors: np.ndarray
    nearby: np.ndarray
    axis: np.ndarray

    def turn(self, dipole: np.ndarray, angle: np.ndarray) -> np.ndarray:
        """Return a dipole `(3, time)` turned by `angle` `(time,)` in radians."""
        along = np.outer(self.axis, self.axis @ dipole)
        aside = np.cross(self.axis, dipole, axis=0)
        return along + np.cos(angle) * (dipole - along) + np.sin(angle) * aside


def draw_view(n_wave: int, nondipolar: float, generator: np.random.Generator) -> View:
    """Return one person's view of the heart.

    The lead vectors are the pseudo-inverse of the published inverse Dower matrix (Edenbrandt and
    Pahlm 1988), with the heart turned by about 8 degrees around each axis, the chest electrodes
    moved together by about a fifth of their distance, and every coefficient changed by about 6 %.
    A wave's sources are spread over the heart wall, so no dipole gives all of it: what is left
    is largest in the chest leads and alike in neighbours.

    Parameters
    ----------
    n_wave
        Waves of the heart.
    nondipolar
        Size of what a wave adds beyond the dipole, as a share of the wave's dipole length.
    generator
        Source of the draw.
    """
    forward = np.linalg.pinv(DOWER_INVERSE)
    chest, limbs = forward[:6], forward[6:]
    position = np.arange(6) + generator.normal(0, 0.2) + generator.normal(0, 0.08, 6)
    moved = [np.interp(position, np.arange(6), column) for column in chest.T]
    vectors = np.concatenate([limbs, np.stack(moved, axis=1)])
    vectors = vectors * np.exp(generator.normal(0, 0.06, vectors.shape))
    vectors = Rotation.from_rotvec(generator.normal(0, 0.14, 3)).apply(vectors)
    pattern = generator.normal(size=(8, n_wave))
    pattern[2:] += 0.6 * (np.roll(pattern[2:], 1, axis=0) + np.roll(pattern[2:], -1, axis=0))
    nearness = np.array([0.25, 0.25, 0.8, 1.0, 1.0, 1.0, 0.7, 0.5])
    axis = generator.normal(size=3) + np.array([0.0, 0.0, 2.0])  # mostly front to back
    return View(vectors, nondipolar * pattern * nearness[:, None], axis / np.linalg.norm(axis))


# Leads I, II, V1 ... V6 from the electrodes RA, LA, LL, V1 ... V6.
LEADS_FROM_ELECTRODES = np.zeros((8, 9))

LEADS_FROM_ELECTRODES[0, :2] = -1, 1

LEADS_FROM_ELECTRODES[1, [0, 2]] = -1, 1

LEADS_FROM_ELECTRODES[2:, :3] = -1 / 3

LEADS_FROM_ELECTRODES[2:, 3:] = np.eye(6)

# The potentials of the electrodes against the mean of the limb electrodes, from the 8 leads.
_ELECTRODES_FROM_LEADS = np.linalg.pinv(LEADS_FROM_ELECTRODES)

_SPACING_CM, _RADIUS_CM, _LIMB_CM = 4.5, 12.0, 40.0


@dataclass(frozen=True)
class Day:
    """How a person's days differ: standard deviations of what is drawn for each recording.

    Attributes
    ----------
    chest_cm
        By which each chest electrode is put elsewhere, along the row and up or down, cm.
    limb_cm
        By which each limb electrode is put elsewhere on its limb, cm.
    posture_deg
        By which the heart is turned around each axis, lying or sitting, degrees.
    rate
        Of the logarithm of the time between beats.
    infarct_age
        0 (hours) to 1 (months) of an infarct on this day; None: as drawn for the person.
    """

    chest_cm: float = 1.0
    limb_cm: float = 3.0
    posture_deg: float = 6.0
    rate: float = 0.1
    infarct_age: float | None = None

    def __post_init__(self) -> None:
        sizes = (self.chest_cm, self.limb_cm, self.posture_deg, self.rate)
        if min(sizes) < 0 or max(self.chest_cm, self.limb_cm) > 20:
            raise ValueError(f"a day's changes are sizes >= 0, up to 20 cm, got {sizes}")
        if self.infarct_age is not None and not 0 <= self.infarct_age <= 1:
            raise ValueError(f"infarct_age must lie between 0 and 1, got {self.infarct_age}")


def change_day(
    view: View, rhythm: Rhythm, day: Day, generator: np.random.Generator
) -> tuple[View, Rhythm]:
    """Return a person's view and rhythm on another day.

    A chest electrode that moves along the row, whose electrodes are 4.5 cm apart, sees what lies
    between it and its neighbour; one that moves up or down a chest of 12 cm radius, or along a
    limb of 40 cm, looks at the heart under another angle. A limb electrode reaches every lead:
    the chest leads are measured against the mean of the three.
    """
    along = np.arange(6) + generator.normal(0, day.chest_cm / _SPACING_CM, 6)
    mixing = np.stack([np.interp(along, np.arange(6), row) for row in np.eye(6)], axis=1)
    vectors, nearby = (_ELECTRODES_FROM_LEADS @ part for part in (view.vectors, view.nearby))
    vectors, nearby = vectors.copy(), nearby.copy()
    vectors[3:], nearby[3:] = mixing @ vectors[3:], mixing @ nearby[3:]
    tilt = generator.normal(0, day.chest_cm / _RADIUS_CM, 6)
    vectors[3:] = _tilted(vectors[3:], tilt)
    limbs = generator.normal(0, day.limb_cm / _LIMB_CM, (3, 3))
    vectors[:3] = Rotation.from_rotvec(limbs).apply(vectors[:3])
    posture = Rotation.from_rotvec(generator.normal(0, np.deg2rad(day.posture_deg), 3))
    rr_s = rhythm.rr_s * np.exp(generator.normal(0, day.rate))
    moved = LEADS_FROM_ELECTRODES @ posture.apply(vectors)
    view = replace(view, vectors=moved, nearby=LEADS_FROM_ELECTRODES @ nearby)
    return view, replace(rhythm, rr_s=float(np.clip(rr_s, 0.5, 1.5)))


def _tilted(vectors: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """Return vectors `(electrode, 3)` turned towards the feet by `angles`, in their own plane."""
    level = vectors * [1.0, 0.0, 1.0]
    axes = np.cross(level, [0.0, 1.0, 0.0])
    axes /= np.maximum(np.linalg.norm(axes, axis=1, keepdims=True), 1e-9)
    return Rotation.from_rotvec(axes * angles[:, None]).apply(vectors)


@dataclass(frozen=True)
class BeatTimes:
    """When beats come and how large: `times_s`, `rr_s` before it, `ectopic`, `gain` `(beat,)`."""

    times_s: np.ndarray
    rr_s: np.ndarray
    ectopic: np.ndarray
    gain: np.ndarray

    @property
    def stretch(self) -> np.ndarray:
        """By how much later the T wave comes `(beat,)`: the root of RR over 0.9 s, bounded."""
        return np.sqrt((self.rr_s / 0.9).clip(0.4, 1.6))

    @property
    def alternation(self) -> np.ndarray:
        """Share of the alternans that is in each T wave `(beat,)`: 1/2, -1/2, ...; ectopic 0."""
        sign = np.where(np.arange(len(self.gain)) % 2, -0.5, 0.5)
        return sign * ~self.ectopic


def draw_beats(rhythm: Rhythm, duration_s: float, generator: np.random.Generator) -> BeatTimes:
    """Return the beats from just before the beginning to just after the end of a record.

    Intervals follow respiration (0.25 Hz), a slow wave (0.1 Hz) and chance. An ectopic beat comes
    38 % of an interval early, and the next interval makes up for it. Sizes vary by 1.2 %.
    """
    n_beat = int(duration_s / rhythm.rr_s * 1.5) + 8
    about_s = np.arange(n_beat) * rhythm.rr_s
    phase = generator.uniform(0, 2 * np.pi, 2)
    waves = rhythm.respiratory * np.sin(2 * np.pi * RESPIRATION_HZ * about_s + phase[0])
    waves += rhythm.slow * np.sin(2 * np.pi * 0.1 * about_s + phase[1])
    chance = np.exp(rhythm.irregular * generator.normal(size=n_beat))
    rr = (rhythm.rr_s * (1 + waves) * chance).clip(0.36, 2.0)
    ectopic = generator.uniform(size=n_beat) < rhythm.ectopic_share
    ectopic[1:] &= ~ectopic[:-1]
    ectopic[[0, -1]] = False
    early = 0.38 * rr * ectopic
    rr = rr - early + np.roll(early, 1)
    times = np.cumsum(rr) - rr[0] - generator.uniform(0.1, 0.9) * rhythm.rr_s
    gain = np.exp(0.012 * generator.normal(size=n_beat))
    keep = times < duration_s + 1
    return BeatTimes(times[keep], rr[keep], ectopic[keep], gain[keep])


def wave_sources(
    heart: Heart, beats: BeatTimes, times_s: np.ndarray, alternans: float
) -> np.ndarray:
    """Return the time course `(wave, time)` of each wave, 1 at the top of an average beat.

    Each sample adds the beat it lies in, the one before and the one after. `alternans` is the
    relative difference between the T waves of even and odd beats.
    """
    late = heart.group("T", "ST", "VT")
    shift = beats.stretch - 1
    own = np.where(heart.group("VQRS", "VT"), beats.ectopic[:, None], ~beats.ectopic[:, None])
    gain = own * beats.gain[:, None]
    gain = gain * (1 + alternans * np.outer(beats.alternation, heart.group("T")))
    centre = beats.times_s[:, None] + heart.centre_s * (1 + np.outer(shift, late))
    nearest = np.searchsorted(beats.times_s, times_s - 0.1)
    total = np.zeros((len(heart.names), times_s.size))
    for step in (-1, 0, 1):
        beat = (nearest + step).clip(0, len(beats.gain) - 1)
        inside = (nearest + step >= 0) & (nearest + step < len(beats.gain))
        for wave in np.flatnonzero(np.any(gain != 0, axis=0)):
            distance = (times_s - centre[beat, wave]) / heart.width_s[wave]
            size = np.where(inside, gain[beat, wave], 0.0)
            total[wave] += size * np.exp(-0.5 * np.square(distance))
    return total


def wave_bounds(heart: Heart, groups: tuple[str, ...], stretch: float = 1.0) -> np.ndarray:
    """Return onset and end `(2,)` in s after the R peak, where a wave passes 5 % of its top.

    NaN if the heart has no such wave.
    """
    waves = heart.group(*groups)
    times = np.arange(-0.45, 0.75, 0.001)
    distance = (times - stretch * heart.centre_s[waves, None]) / heart.width_s[waves, None]
    size = np.linalg.norm(heart.dipole_mv[waves].T @ np.exp(-0.5 * np.square(distance)), axis=0)
    if size.max() < 1e-3:
        return np.full(2, np.nan)
    return times[np.flatnonzero(size > 0.05 * size.max())[[0, -1]]]
