"""The look of all figures: colours, line colours of truth and guess, white paper."""

import matplotlib.pyplot as plt
import seaborn as sns
from matplotlib.axes import Axes

from ecgnb.records.labels import CONDITIONS

# Eight colours that differ by at least 17 (CIEDE2000) for normal sight and for each of the three
# common forms of colour blindness, each with a contrast of at least 3 : 1 to white paper.
COLOURS = (
    "#1C48DA", "#9A3C00", "#03865E", "#BA759C", "#899B12", "#2E96FF", "#625467", "#450462",
)  # fmt: skip

PALETTE = dict(zip(CONDITIONS, COLOURS, strict=True))

TRUTH, GUESS, GRID, GRID_BOLD = "#1a1a1a", "#D55E00", "#f3d9d9", "#e6b3b3"

MM_PER_S, MM_PER_MV = 25.0, 10.0

# A page shows a figure at most 741 px wide, a phone 342 px. At these widths, inches, letters of
# the smallest size, points, are at least 9 px high on the page and 8 px on a phone; a wide figure
# keeps 520 px there and scrolls (class `ecgnb-wide`).
WIDTH_IN, WIDE_IN, SMALLEST_PT = 6.0, 9.0, 10.4

_SIZES = ("axes.title", "axes.label", "xtick.label", "ytick.label", "legend.font", "font.")


def use_style() -> None:
    """Set the look of all figures: white paper, so that they are legible on any theme."""
    sns.set_theme(style="ticks", context="paper")
    plt.rcParams.update(
        {
            "figure.dpi": 130,
            "figure.figsize": (WIDTH_IN, 3.6),
            "savefig.facecolor": "white",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.prop_cycle": plt.cycler(color=COLOURS),
            "svg.hashsalt": "ecgnb",
            "legend.title_fontsize": SMALLEST_PT,
        }
        | {f"{name}size": SMALLEST_PT for name in _SIZES}
    )


def colour_conditions(axes: Axes) -> None:
    """Give each name of a condition on the y axis the colour that it keeps in the whole book."""
    for label in axes.get_yticklabels():
        for condition, colour in PALETTE.items():
            if label.get_text().startswith(condition):
                label.set(color=colour, fontweight="bold")
