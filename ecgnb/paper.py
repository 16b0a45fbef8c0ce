"""What the paper published (Matyschik et al. 2020): the only place with its numbers."""

# Mean squared error in [-1, 1] units and mean r over all pairs of leads, as published.
PAPER = {"cnn": (0.02, 0.77), "line": (0.08, 0.0)}

NEAR = ("V2", "V3", "V4")  # the leads close to the heart, which it found to matter most
