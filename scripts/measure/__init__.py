"""Measurements for developers, run from a checkout: `python -m scripts.measure.NAME`."""
