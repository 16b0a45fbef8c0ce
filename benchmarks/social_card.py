"""Draw what a link to the book shows elsewhere, `python social_card.py`: book/_static/social.png.

One lead of a simulated person in black, the eleven others in orange, 1200 x 630 pixels.
"""

from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt

from ecgnb.leads import LEADS
from ecgnb.signals.filters import filter_signals
from ecgnb.simulation.synthesis import SimulationOptions, simulate_record

TARGET = Path(__file__).resolve().parent.parent / "book" / "_static" / "social.png"
DPI, FROM_S, SHOWN_S, BLACK, ORANGE = 100, 3.85, 2.45, "#1a1a1a", "#b3470b"


def main() -> None:
    """Write the picture."""
    mpl.use("Agg")
    record = simulate_record(SimulationOptions(duration_s=12.0), seed=3).record
    rate = record.sampling_rate
    signals = filter_signals(record.signals, rate, low_hz=0.5, high_hz=40.0)
    part = signals[:, int(FROM_S * rate) : int((FROM_S + SHOWN_S) * rate)]
    figure = plt.figure(figsize=(12, 6.3), dpi=DPI, facecolor="white")
    figure.text(0.05, 0.84, "Twelve leads from one", size=44, weight="bold", color=BLACK)
    question = "How much of a 12-lead ECG can be recovered from one lead?"
    figure.text(0.05, 0.755, question, size=20, color="#444444")
    axes = figure.add_axes((0.02, 0.05, 0.96, 0.67))
    axes.axis("off")
    for place, lead in enumerate(LEADS):
        row, column = divmod(place, 4)
        time = [column * (SHOWN_S + 0.3) + sample / rate for sample in range(part.shape[1])]
        colour, width = (BLACK, 2.4) if lead == "I" else (ORANGE, 1.6)
        axes.plot(time, part[place] - 2.6 * row, color=colour, lw=width)
        axes.text(time[0], -2.6 * row + 0.85, lead, size=15, color=colour, weight="bold")
    figure.text(0.95, 0.02, "simulated recording", size=12, color="#666666", ha="right")
    figure.savefig(TARGET, metadata={"Software": None})


if __name__ == "__main__":
    main()
