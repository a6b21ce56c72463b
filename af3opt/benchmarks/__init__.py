"""Measurements of af3opt against the engine's own way, as ratios in one run."""
