"""Twelve leads from one: how much of an ECG one lead tells, and what networks look at."""

import warnings

__version__ = "0.1.0"

# Said by libraries on import, about nothing a reader could change: captum asks for notebook
# widgets, wfdb uses an argument that pandas will drop.
warnings.filterwarnings("ignore", message="IProgress not found")
warnings.filterwarnings("ignore", message="The inplace keyword")
