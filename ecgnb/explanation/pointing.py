"""Whether a map peaks where something known was put, or where it was told to look."""

from functools import partial

import numpy as np
import pandas as pd

from ecgnb.explanation.attribution import Target, attribute, masked_error
from ecgnb.explanation.shares import PATH
from ecgnb.explanation.vae import Vae

AUDITED = ("Grad-CAM", PATH)

WAVES_POINTED_AT = ("P", "QRS", "T")

_REACH = 15  # samples: 60 ms


def _inject_bump(
    windows: np.ndarray, lead: int, centre: int, *, size: float = 0.6, width: float = 5.0
) -> np.ndarray:
    """Return windows with a Gaussian bump in one lead at one time: a known abnormality.

    `width` is the standard deviation in samples, `size` in scaled units.
    """
    changed = windows.copy()
    times = np.arange(windows.shape[2])
    changed[:, lead] += size * np.exp(-0.5 * ((times - centre) / width) ** 2)
    return changed


def _peak_inside(maps: np.ndarray, region: np.ndarray, *, reach: int = _REACH) -> np.ndarray:
    """Return for each map whether its largest size lies in the true region, `reach` around it.

    Parameters
    ----------
    maps, region
        `(map, lead, time)`; the region is true where the peak should be.
    reach
        Samples of the same lead that still count.
    """
    flat = np.abs(maps).reshape(len(maps), -1).argmax(axis=1)
    rows, columns = np.unravel_index(flat, maps.shape[1:])
    lead = region[np.arange(len(maps)), rows]  # (map, time)
    away = np.abs(np.arange(maps.shape[2]) - columns[:, None])
    return (lead & (away <= reach)).any(axis=1)


def point_at_bump(
    model: Vae,
    windows: np.ndarray,
    targets: dict[str, Target],
    *,
    baseline: np.ndarray | None = None,
    n_case: int = 100,
    seed: int = 0,
) -> pd.DataFrame:
    """Return for each target and attribution the share of maps that peak at an injected bump.

    A bump is put into a random lead at a random time. The map of the changed beat minus that of
    the unchanged one should peak within ±60 ms in that lead. (Integrated gradients from the
    unchanged beat to the changed one would be zero everywhere else, whatever the network: a test
    that no map can fail.) To the targets comes the error of the lead itself.
    """
    generator = np.random.default_rng(seed)
    plain = windows[generator.integers(len(windows), size=n_case)]
    leads = generator.integers(windows.shape[1], size=n_case)
    centres = generator.integers(40, windows.shape[2] - 40, size=n_case)
    region = np.zeros(plain.shape, dtype=bool)
    region[np.arange(n_case), leads, centres] = True
    own = np.zeros_like(region)
    own[np.arange(n_case), leads] = True
    cases = zip(plain, leads, centres, strict=True)
    changed = np.concatenate([_inject_bump(w[None], lead, when) for w, lead, when in cases])
    start = windows.mean(axis=0) if baseline is None else baseline
    rows = []
    for name, target in (targets | {"error_of_lead": partial(masked_error, mask=own)}).items():
        for how in AUDITED:
            maps, before = (
                attribute(model, beats, target, attribution=how, baseline=start)
                for beats in (changed, plain)
            )
            rows.append((name, how, _peak_inside(maps - before, region).mean()))
    return pd.DataFrame(rows, columns=["target", "attribution", "number"])


def point_at_wave(
    model: Vae,
    windows: np.ndarray,
    masks: dict[str, np.ndarray],
    *,
    baseline: np.ndarray | None = None,
    n_case: int = 100,
    seed: int = 0,
) -> pd.DataFrame:
    """Return for each attribution the share of maps that peak in the wave that is explained.

    The target is the error in one wave of one lead, both drawn at random; the map's peak should
    fall into it or within 60 ms of it in the same lead.
    """
    generator = np.random.default_rng(seed)
    beats = windows[generator.integers(len(windows), size=n_case)]
    waves = [masks[wave] for wave in WAVES_POINTED_AT if masks[wave].any()]
    region = np.zeros(beats.shape, dtype=bool)
    for case in range(n_case):
        lead, wave = generator.integers(windows.shape[1]), generator.integers(len(waves))
        region[case, lead] = waves[wave]
    target = partial(masked_error, mask=region)
    rows = []
    for name in AUDITED:
        maps = attribute(model, beats, target, attribution=name, baseline=baseline)
        rows.append(("error_of_wave", name, _peak_inside(maps, region).mean()))
    return pd.DataFrame(rows, columns=["target", "attribution", "number"])
