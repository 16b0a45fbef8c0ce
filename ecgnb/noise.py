"""What a recording adds to the heart: wander, muscle noise, mains hum; and fibrillatory waves."""

import numpy as np
from scipy.fft import irfft, next_fast_len, rfftfreq

# Leads I, II, V1 ... V6 from the electrodes RA, LA, LL, V1 ... V6.
LEADS_FROM_ELECTRODES = np.zeros((8, 9))
LEADS_FROM_ELECTRODES[0, :2] = -1, 1
LEADS_FROM_ELECTRODES[1, [0, 2]] = -1, 1
LEADS_FROM_ELECTRODES[2:, :3] = -1 / 3
LEADS_FROM_ELECTRODES[2:, 3:] = np.eye(6)


def coloured_noise(
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


def noise_frequencies(n_time: int, sampling_rate: float) -> np.ndarray:
    """Return the frequencies in Hz at which `coloured_noise` takes its spectrum."""
    return rfftfreq(next_fast_len(n_time, real=True), 1 / sampling_rate)


def electrode_noise(
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
    frequencies = noise_frequencies(n_time, sampling_rate)
    wander = np.exp(-0.5 * np.square(frequencies / 0.18)) * (frequencies > 0)
    wander /= np.hypot(frequencies, 0.03)
    muscle = (frequencies > 1) / np.sqrt(1 + np.square(frequencies / 60.0))
    contact = np.exp(0.5 * generator.normal(size=(2, 9, 1)))
    contact[0] *= np.exp(generator.normal())
    electrodes = sizes_uv[0] * contact[0] * coloured_noise(9, n_time, wander, generator)
    electrodes += sizes_uv[1] * contact[1] * coloured_noise(9, n_time, muscle, generator)
    hum = np.sqrt(2) * np.sin(2 * np.pi * 50.0 * np.arange(n_time) / sampling_rate)
    electrodes += sizes_uv[2] * generator.normal(size=(9, 1)) * hum
    return LEADS_FROM_ELECTRODES @ electrodes / 1000


def fibrillation(
    size_mv: float, n_time: int, sampling_rate: float, generator: np.random.Generator
) -> np.ndarray:
    """Return the dipole `(3, time)` in mV of fibrillatory waves near 6 Hz, largest in V1."""
    frequencies = noise_frequencies(n_time, sampling_rate)
    slow = coloured_noise(2, n_time, (frequencies > 0) & (frequencies < 0.4), generator)
    phase = 2 * np.pi * np.cumsum(6 + 0.6 * slow[0]) / sampling_rate
    course = size_mv * (1 + 0.3 * slow[1]) * (np.sin(phase) + 0.35 * np.sin(2 * phase + 1))
    return np.outer([0.25, 0.5, -0.8], course)
