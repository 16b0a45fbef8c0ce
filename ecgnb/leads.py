"""Lead names, the limb-lead identities and the published linear lead transforms.

The 12 standard leads carry at most 8 independent signals: III follows from I and II by
Einthoven's law, aVR, aVL and aVF by Goldberger's definitions.
"""

import numpy as np

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
LIMB_LEADS = LEADS[:6]
INDEPENDENT_LEADS = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")
FRANK_LEADS = ("vx", "vy", "vz")

# Rows: the 12 leads. Columns: the 8 independent leads I, II, V1 ... V6.
LEADS_FROM_INDEPENDENT = np.zeros((12, 8))
LEADS_FROM_INDEPENDENT[:6, :2] = [[1, 0], [0, 1], [-1, 1], [-0.5, -0.5], [1, -0.5], [-0.5, 1]]
LEADS_FROM_INDEPENDENT[6:, 2:] = np.eye(6)

# Rows X, Y, Z; columns V1 ... V6, I, II (the order in which both papers print them).
_TRANSFORM_COLUMNS = ("V1", "V2", "V3", "V4", "V5", "V6", "I", "II")
DOWER_INVERSE = np.array(
    [
        [-0.172, -0.074, 0.122, 0.231, 0.239, 0.194, 0.156, -0.010],
        [0.057, -0.019, -0.106, -0.022, 0.041, 0.048, -0.227, 0.887],
        [-0.229, -0.310, -0.246, -0.063, 0.055, 0.108, 0.022, 0.102],
    ]
)
KORS = np.array(
    [
        [-0.13, 0.05, -0.01, 0.14, 0.06, 0.54, 0.38, -0.07],
        [0.06, -0.02, -0.05, 0.06, -0.17, 0.13, -0.07, 0.93],
        [-0.43, -0.06, -0.14, -0.20, -0.11, 0.31, 0.11, -0.23],
    ]
)


def standard_name(name: str) -> str:
    """Return the standard spelling of a lead or Frank lead name given in any case.

    Raises
    ------
    KeyError
        If the name is none of the 12 standard or 3 Frank leads.

    Examples
    --------
    >>> standard_name("avl"), standard_name("VX")
    ('aVL', 'vx')
    """
    names = {lead.lower(): lead for lead in LEADS + FRANK_LEADS}
    return names[name.strip().lower()]


def lead_index(name: str) -> int:
    """Return the position of a lead in the standard order, 0 to 11.

    Examples
    --------
    >>> lead_index("v2")
    7
    """
    return LEADS.index(standard_name(name))


def other_leads(name: str) -> tuple[str, ...]:
    """Return the 11 leads that remain when one is given, in standard order.

    Examples
    --------
    >>> len(other_leads("I")), other_leads("I")[0]
    (11, 'II')
    """
    return tuple(lead for lead in LEADS if lead != standard_name(name))


def derive_leads(independent: np.ndarray) -> np.ndarray:
    """Return all 12 leads `(..., lead, time)` from the 8 independent ones, same unit.

    Einthoven: III = II - I. Goldberger: aVR = -(I + II)/2, aVL = I - II/2, aVF = II - I/2.

    Parameters
    ----------
    independent
        Signals `(..., 8, time)` in the order I, II, V1 ... V6.

    Examples
    --------
    >>> twelve = derive_leads(np.ones((8, 5)))
    >>> twelve.shape, twelve[:6, 0].tolist()
    ((12, 5), [1.0, 1.0, 0.0, -1.0, 0.5, 0.5])
    """
    return LEADS_FROM_INDEPENDENT @ np.asarray(independent)


def independent_signals(signals: np.ndarray) -> np.ndarray:
    """Return the 8 independent leads `(..., 8, time)` out of 12 leads in standard order.

    Examples
    --------
    >>> independent_signals(np.zeros((12, 5))).shape
    (8, 5)
    """
    rows = [LEADS.index(lead) for lead in INDEPENDENT_LEADS]
    return np.asarray(signals)[..., rows, :]


def frank_from_leads(signals: np.ndarray, transform: np.ndarray = KORS) -> np.ndarray:
    """Return the Frank leads X, Y, Z `(..., 3, time)` estimated from 12 leads, same unit.

    Parameters
    ----------
    signals
        12 leads `(..., 12, time)` in standard order.
    transform
        `DOWER_INVERSE` (Edenbrandt and Pahlm 1988) or `KORS` (Kors et al. 1990), `(3, 8)`.

    Examples
    --------
    >>> frank_from_leads(np.zeros((12, 7))).shape
    (3, 7)
    """
    rows = [LEADS.index(lead) for lead in _TRANSFORM_COLUMNS]
    return transform @ np.asarray(signals)[..., rows, :]


def limb_lead_error(signals: np.ndarray) -> np.ndarray:
    """Return the largest absolute departure from III, aVR, aVL, aVF `(4,)`, same unit.

    Examples
    --------
    >>> signals = derive_leads(np.random.default_rng(0).normal(size=(8, 9)))
    >>> bool(limb_lead_error(signals).max() < 1e-12)
    True
    """
    derived = derive_leads(independent_signals(signals))
    return np.abs(np.asarray(signals) - derived)[..., 2:6, :].max(axis=-1)
