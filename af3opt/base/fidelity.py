"""Classes of what is done to a computation, and what each `--fidelity` permits."""

EXACT = "exact"
REORDERED = "reordered"
PRECISION = "precision"
RESAMPLED = "resampled"

# What is of class *precision* without being asked for only moves results towards float32;
# a less precise choice has a flag of its own.
PERMITTED = {
    "exact": frozenset({EXACT}),
    "reordered": frozenset({EXACT, REORDERED, PRECISION}),
    "fast": frozenset({EXACT, REORDERED, PRECISION, RESAMPLED}),
}
