"""Draw the figure of the README from the recorded run: python benchmarks/readme_figure.py."""

from pathlib import Path

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import pandas as pd

from ecgnb.figures.style import WIDTH_IN, use_style
from ecgnb.reconstruction.methods import METHODS
from ecgnb.reconstruction.scores import summarise

ROOT = Path(__file__).resolve().parent.parent
ORIGINS = {"synthetic": "#0072B2", "ptbdb": "#009E73", "INCART": "#D55E00"}


def draw(path: Path) -> None:
    """Write the figure."""
    use_style()
    table = summarise(
        pd.read_csv(ROOT / "results" / "reconstruction.csv.gz"), by=("origin", "method")
    ).dropna(subset=["r_mean"])
    names = [name for name in METHODS if name in set(table["method"])][::-1]
    _, axes = plt.subplots(figsize=(WIDTH_IN, 4), layout="constrained")
    for shift, (origin, colour) in enumerate(ORIGINS.items()):
        rows = table[table["origin"] == origin].set_index("method").loc[names]
        places = [place + 0.2 * (shift - 1) for place in range(len(names))]
        axes.hlines(places, rows["r_low"], rows["r_high"], color=colour, lw=2, alpha=0.6)
        label = f"{origin} ({rows['n_heart'].iloc[0]} hearts)"
        axes.plot(rows["r_mean"], places, "o", color=colour, ms=5, label=label)
    axes.axvline(0.77, color="#555555", ls=":", lw=1)
    axes.text(0.77, len(names) - 0.45, "paper's CNN", ha="center", color="#555555")
    axes.set_yticks(range(len(names)), [METHODS[name].title for name in names])
    axes.set(xlabel="mean r over 132 pairs of leads,\n95 % interval over hearts")
    axes.grid(axis="x", color="#e5e5e5", lw=0.6)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 0.02), frameon=False)
    plt.savefig(path)


if __name__ == "__main__":
    draw(ROOT / "book" / "_static" / "ladder.png")
