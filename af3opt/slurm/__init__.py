"""Handing a batch to Slurm: site settings, shares of the inputs, job scripts."""
