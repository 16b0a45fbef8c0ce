"""Notebooks and recorded tables become the site and its verdicts."""
