"""Bring a beat or a recording to another heart rate: the QRS complex stays, the T wave moves.

Between two days the rate differs and with it the time from the QRS complex to the T wave. A beat
is a function of the time since its R peak: up to 60 ms it is left alone, from there on it is
stretched, and the P wave stays where it was before the next peak.
"""

import numpy as np

from ecgnb.signals.beats import align_beats, average_beat

BEFORE_R, AFTER = 112, 188  # samples of a beat around its R peak at 250 Hz

_RATE_HZ = 250.0

_FIXED, _P_WAVE, _T_WAVE = 15, 62, 112  # 60, 248 and 448 ms

_BLEND = 12

_STRETCHES = np.exp(np.linspace(-0.35, 0.35, 29))

_RATE_POWER, _RATE_WEIGHT = 0.4, 2.0


def beat_at(signals: np.ndarray, peaks: np.ndarray) -> np.ndarray | None:
    """Return the median beat `(lead, time)` around the peaks, None if no beat lies whole."""
    beats = align_beats(signals, peaks, before=BEFORE_R, after=AFTER)
    return average_beat(beats).astype(np.float64) if len(beats) else None


def stretch_beat(beat: np.ndarray, stretch: float) -> np.ndarray:
    """Return a beat `(lead, time)` whose part from 60 ms after the R peak on lasts longer.

    Examples
    --------
    >>> beat = np.exp(-(((np.arange(300) - 187) / 10.0) ** 2))[None]  # 300 ms after the peak
    >>> int(stretch_beat(beat, 1.5)[0].argmax()) - 112  # 60 ms + 1.5 * 240 ms
    105
    """
    places = _unstretched(np.arange(-BEFORE_R, beat.shape[-1] - BEFORE_R), stretch)
    return _read(beat, places)


def find_stretch(beat: np.ndarray, target: np.ndarray, intervals_s: tuple[float, float]) -> float:
    """Return the stretch that makes the ST segment and T wave of one beat most like another's.

    The correlation from 80 ms after the R peak on, less a penalty on the distance from what the
    two heart rates let expect, `(new / old) ** 0.4`.

    Parameters
    ----------
    beat, target
        One lead `(time,)` of the old and of the new average beat.
    intervals_s
        Median time between R peaks, old and new, s.
    """
    old_s, new_s = intervals_s
    expected = _RATE_POWER * np.log(new_s / old_s)
    window = slice(BEFORE_R + 20, BEFORE_R + int(np.clip(new_s - 0.25, 0.3, 0.55) * _RATE_HZ))
    scores = [
        _correlation(stretch_beat(beat[None], stretch)[0, window], target[window])
        - _RATE_WEIGHT * (np.log(stretch) - expected) ** 2
        for stretch in _STRETCHES
    ]
    return float(_STRETCHES[int(np.argmax(scores))])


def paste_paced(
    beat: np.ndarray, peaks: np.ndarray, n_time: int, *, stretch: float, interval_s: float
) -> np.ndarray:
    """Return `(lead, n_time)` made of a beat at each peak, whatever the time between peaks.

    After a peak the beat is read stretched, before the next one as it stands; both are blended
    over 48 ms. Without a peak it is the beat's mean.

    Parameters
    ----------
    beat
        `(lead, time)`.
    peaks
        Sample indices `(beat,)`.
    stretch
        From `find_stretch`.
    interval_s
        Time between R peaks where the beat was taken, s.
    """
    if len(peaks) == 0:
        return np.repeat(beat.mean(axis=1, keepdims=True), n_time, axis=1)
    time = np.arange(n_time)
    place = np.searchsorted(peaks, time, side="right")
    since = time - peaks[np.maximum(place - 1, 0)]
    until = time - peaks[np.minimum(place, len(peaks) - 1)]
    length = since - until
    reach = np.minimum(_P_WAVE, 0.4 * length)
    share = np.clip((since - (length - reach - _BLEND)) / _BLEND, 0.0, 1.0)
    share[place == 0], share[place == len(peaks)] = 1.0, 0.0
    latest = interval_s * _RATE_HZ - _P_WAVE
    after = _read(beat, np.minimum(_unstretched(since, stretch), latest))
    return after + share * (_read(beat, until) - after)


def repace(
    signals: np.ndarray, peaks: np.ndarray, *, stretch: float, ratio: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return a recording `(lead, time)` played at another heart rate, and its new peaks.

    Each interval between two peaks lasts `ratio` times as long: the QRS complex and the P wave
    keep their lengths, the part up to the T wave's end is stretched, the rest fills the gap.

    Examples
    --------
    >>> new, peaks = repace(np.ones((1, 600)), np.array([100, 300, 500]), stretch=1.1, ratio=1.2)
    >>> peaks.tolist()
    [100, 340, 580]
    """
    if len(peaks) < 2:
        return np.asarray(signals), np.asarray(peaks)
    places, new_peaks = [np.arange(peaks[0])], [int(peaks[0])]
    for start, length in zip(peaks[:-1], np.diff(peaks), strict=True):
        piece = _interval_places(int(length), max(round(length * ratio), 60), stretch)
        places.append(start + piece)
        new_peaks.append(new_peaks[-1] + len(piece))
    rest = np.arange(int((signals.shape[-1] - peaks[-1]) * max(stretch, 1.0)))
    places.append(np.minimum(peaks[-1] + _unstretched(rest, stretch), signals.shape[-1] - 1))
    places, time = np.concatenate(places), np.arange(signals.shape[-1])
    return np.stack([np.interp(places, time, one) for one in signals]), np.array(new_peaks)


def _interval_places(length: int, new_length: int, stretch: float) -> np.ndarray:
    """Return where in an interval of `length` samples each of `new_length` is read."""
    reach = min(_P_WAVE, int(0.35 * length), int(0.35 * new_length))
    t_end = min(_T_WAVE, length - reach - 4)
    new, old = [0, _FIXED], [0, _FIXED]
    stretched = _FIXED + stretch * (t_end - _FIXED)
    if t_end > _FIXED + 5 and stretched < new_length - reach - 2:
        new, old = [*new, stretched], [*old, t_end]
    new, old = [*new, new_length - reach, new_length], [*old, length - reach, length]
    return np.interp(np.arange(new_length), new, old)


def _unstretched(since: np.ndarray, stretch: float) -> np.ndarray:
    return np.where(since > _FIXED, _FIXED + (since - _FIXED) / stretch, since)


def _read(beat: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return the beat `(lead, place)` at samples counted from its R peak."""
    time = np.arange(-BEFORE_R, beat.shape[-1] - BEFORE_R)
    return np.stack([np.interp(places, time, one) for one in beat])


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    one, other = one - one.mean(), other - other.mean()
    return float(one @ other / max(np.sqrt((one @ one) * (other @ other)), 1e-12))
