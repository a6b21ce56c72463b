"""Is what the model produced finite and plausible, and what happens if it is not."""

from af3opt.numerics.checked import CheckedResult, infer_checked
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
    "CheckedResult",
    "NonFiniteError",
    "NonFinitePolicy",
    "NumericsHandler",
    "SeedVerdict",
    "infer_checked",
]
