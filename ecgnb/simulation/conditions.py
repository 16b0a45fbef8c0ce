"""What the eight conditions of the book change in a simulated heart, and the sign each imitates.

Each change takes a person's own heart and rhythm, a severity from 0 to 1 and a generator for the
variety within the condition. Sizes are set by hand after the textbook criteria that are named in
`CONDITION_MODELS`; they imitate signs and are no model of a disease.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from ecgnb.simulation.heart import Heart, Rhythm


def _no_change(
    heart: Heart, rhythm: Rhythm, severity: float, generator: np.random.Generator
) -> tuple[Heart, Rhythm]:
    """Return heart and rhythm as they are."""
    return heart, rhythm


def _infarction(
    heart: Heart,
    rhythm: Rhythm,
    severity: float,
    generator: np.random.Generator,
    age: float | None = None,
) -> tuple[Heart, Rhythm]:
    """Return a heart whose first QRS forces and T wave point away from a wall, ST towards it.

    `age` is 0 hours after, with ST up, and 1 months after, with ST level; None: drawn.
    """
    walls = np.array([[0.25, 0.0, -0.95], [0.1, 0.95, 0.15], [0.9, 0.3, 0.0]])
    wall = generator.choice(walls, p=[0.45, 0.4, 0.15]) + generator.normal(0, 0.12, 3)
    drawn = generator.uniform(0, 1)
    age = drawn if age is None else age
    heart = heart.moved(
        Q=-severity * 0.42 * wall,
        R1=-severity * 0.22 * wall,
        ST=severity * (1 - age) * 0.28 * wall,
        T1=severity * (0.12 * (1 - age) - 0.2) * wall,
        T2=-severity * 0.6 * wall,
    )
    broad = 0.007 * (1 + 0.6 * severity)
    heart = heart.timed("Q", centre_s=heart.centre_s[heart.index("Q")], width_s=broad)
    return heart, replace(rhythm, rr_s=rhythm.rr_s * 0.95, respiratory=0.4 * rhythm.respiratory)


def _cardiomyopathy(
    heart: Heart, rhythm: Rhythm, severity: float, generator: np.random.Generator
) -> tuple[Heart, Rhythm]:
    """Return a heart with a small, slightly broad QRS complex and a flat or turned T wave."""
    heart = heart.scaled("QRS", gain=1 - 0.35 * severity, stretch=1 + 0.22 * severity)
    heart = heart.scaled("T", gain=1 - severity * generator.uniform(0.7, 1.7))
    heart = heart.moved(Q=(0.0, 0.0, 0.2 * severity), P2=(0.02 * severity, 0, 0.05 * severity))
    share = severity * generator.uniform(0.0, 0.06)
    rhythm = replace(rhythm, rr_s=rhythm.rr_s * 0.9, respiratory=0.3 * rhythm.respiratory)
    return heart, replace(rhythm, ectopic_share=share)


def _bundle_branch_block(
    heart: Heart, rhythm: Rhythm, severity: float, generator: np.random.Generator
) -> tuple[Heart, Rhythm]:
    """Return a heart in which one ventricle follows the other: late, broad forces, T opposite."""
    stretch = 0.6 + 0.4 * severity
    if generator.uniform() < 0.55:  # left
        heart = heart.scaled("QRS", gain=0.8, stretch=1 + 0.35 * stretch)
        late = stretch * np.array([0.42, 0.05, 0.75])
        heart = heart.moved(Q=(0.15, 0.05, 0.25), S=late, ST=-0.22 * late, T2=-0.6 * late)
    else:  # right
        late = stretch * np.array([-0.55, 0.0, -0.75])
        heart = heart.moved(S=late, ST=-0.08 * late, T2=-0.25 * late)
    when, width = 0.042 + 0.016 * severity, 0.011 + 0.005 * severity
    return heart.timed("S", centre_s=when, width_s=width), rhythm


def _dysrhythmia(
    heart: Heart, rhythm: Rhythm, severity: float, generator: np.random.Generator
) -> tuple[Heart, Rhythm]:
    """Return atrial fibrillation (no P wave, irregular intervals) or frequent ectopic beats."""
    if generator.uniform() < 0.6:
        heart = heart.scaled("P", gain=0.0)
        size = generator.uniform(0.03, 0.08)
        rhythm = replace(rhythm, irregular=0.12 + 0.12 * severity, fibrillation_mv=size)
        return heart, replace(rhythm, rr_s=rhythm.rr_s * 0.85, respiratory=0.0, slow=0.0)
    return heart, replace(rhythm, ectopic_share=0.06 + 0.12 * severity)


def _hypertrophy(
    heart: Heart, rhythm: Rhythm, severity: float, generator: np.random.Generator
) -> tuple[Heart, Rhythm]:
    """Return a heart with large left and posterior QRS forces and strain in the lateral leads."""
    heart = heart.scaled("QRS", gain=1 + 0.45 * severity, stretch=1 + 0.1 * severity)
    heart = heart.moved(
        R2=(0.2 * severity, -0.15 * severity, 0.45 * severity),
        ST=(-0.1 * severity, -0.03 * severity, 0.03 * severity),
        T2=(-0.42 * severity, -0.12 * severity, 0.05 * severity),
    )
    return heart, replace(rhythm, respiratory=0.5 * rhythm.respiratory)


def _valve_disease(
    heart: Heart, rhythm: Rhythm, severity: float, generator: np.random.Generator
) -> tuple[Heart, Rhythm]:
    """Return a heart with a broad, two-humped P wave and a strained left or right ventricle."""
    heart = heart.moved(P2=(0.07 * severity, 0.03 * severity, 0.11 * severity))
    earlier = heart.centre_s[heart.index("P1")] - 0.028 * severity
    heart = heart.timed("P1", centre_s=earlier, width_s=0.017)
    if generator.uniform() < 0.5:  # left: regurgitation or a tight aortic valve
        return _hypertrophy(heart, rhythm, 0.6 * severity, generator)
    right = severity * np.array([-0.3, 0.1, -0.22])
    return heart.moved(R2=0.6 * right, S=right, T2=-0.35 * right), rhythm


def _myocarditis(
    heart: Heart, rhythm: Rhythm, severity: float, generator: np.random.Generator
) -> tuple[Heart, Rhythm]:
    """Return a fast heart with ST raised along its axis (PR level down), small QRS, T turned."""
    axis = np.array([0.5, 0.5, -0.35])
    heart = heart.scaled("QRS", gain=1 - 0.25 * severity)
    late = generator.uniform(-0.2, 0.6)  # the T wave turns weeks after the ST segment rose
    heart = heart.moved(
        ST=0.26 * severity * axis,
        P2=-0.05 * severity * axis,
        T1=-0.1 * severity * late * axis,
        T2=-0.55 * severity * late * axis,
    )
    return heart, replace(rhythm, rr_s=rhythm.rr_s * (1 - 0.22 * severity), respiratory=0.01)


@dataclass(frozen=True)
class ConditionModel:
    """A condition: the sign it imitates and the function that changes heart and rhythm."""

    sign: str
    change: Callable[[Heart, Rhythm, float, np.random.Generator], tuple[Heart, Rhythm]]


CONDITION_MODELS = {
    "healthy control": ConditionModel("normal sinus rhythm", _no_change),
    "myocardial infarction": ConditionModel(
        "broad Q waves, raised ST segment and inverted T waves over an anterior, inferior or "
        "lateral wall",
        _infarction,
    ),
    "cardiomyopathy": ConditionModel(
        "small and slightly broad QRS complexes, small R waves in V1-V3, flat or inverted T "
        "waves, some ventricular ectopic beats",
        _cardiomyopathy,
    ),
    "bundle branch block": ConditionModel(
        "QRS complex of 120 ms and more, late forces to the left (broad R in I and V6) or to the "
        "right (second R in V1), T wave opposite to them",
        _bundle_branch_block,
    ),
    "dysrhythmia": ConditionModel(
        "irregular RR intervals without P waves and with fibrillatory waves, or frequent "
        "ventricular ectopic beats",
        _dysrhythmia,
    ),
    "hypertrophy": ConditionModel(
        "high voltage (S in V1 + R in V5), axis to the left, ST depression and inverted T waves "
        "in I, aVL, V5, V6",
        _hypertrophy,
    ),
    "valvular heart disease": ConditionModel(
        "broad two-humped P wave, negative at its end in V1, with signs of a strained left or "
        "right ventricle",
        _valve_disease,
    ),
    "myocarditis": ConditionModel(
        "fast sinus rhythm, ST segment raised in most leads with a lowered PR level, small QRS "
        "complexes, T waves inverted later",
        _myocarditis,
    ),
}
