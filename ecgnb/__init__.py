"""How much of a 12-lead ECG can be recovered from one lead, and what do networks look at?"""

__version__ = "0.1.0"
