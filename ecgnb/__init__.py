"""Twelve leads from one: how much of an ECG one lead tells, and what networks look at."""

__version__ = "0.1.0"
