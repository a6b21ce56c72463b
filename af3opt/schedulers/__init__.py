"""Handing a batch to a scheduler: site settings, shares of the inputs, scripts, submission."""
