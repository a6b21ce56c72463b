"""Several workers on one node, their orders and their reports."""
