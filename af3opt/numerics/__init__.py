"""Is what the model produced finite and plausible, and what happens if it is not."""

from af3opt.numerics.handler import NumericsHandler
from af3opt.numerics.verdict import (
    Action,
    ArrayFinding,
    NonFiniteError,
    NonFinitePolicy,
    SeedVerdict,
)

__all__ = [
    "Action",
    "ArrayFinding",
    "NonFiniteError",
    "NonFinitePolicy",
    "NumericsHandler",
    "SeedVerdict",
]
