"""The safer numerics in which a seed with non-finite values is computed once more."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Protocol

from af3opt.engine.protocols import ModelConfig


class ConsideredOptimization(Protocol):
    """What is read of an optimisation; `optimizations.ActiveOptimization` has it."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def fidelity(self) -> str:
        """Its class."""

    @property
    def active(self) -> bool:
        """Whether it is in force."""


@dataclasses.dataclass(frozen=True, slots=True)
class SaferNumerics:
    """What to change for the second attempt.

    Attributes:
        config_overrides: Dotted path in the engine's model configuration -> value.
        disabled: Optimisations to leave out: those that are not exact.
    """

    config_overrides: Mapping[str, str]
    disabled: tuple[str, ...]

    def describe(self) -> str:
        """One line for the log, such as "float32 trunk, without fused_softmax"."""
        parts = ["float32 trunk"] if self.config_overrides else []
        if self.disabled:
            parts.append(f"without {', '.join(self.disabled)}")
        return ", ".join(parts)


def safer_numerics(
    model_config: ModelConfig, optimizations: Iterable[ConsideredOptimization] = ()
) -> SaferNumerics | None:
    """Finds a computation with a wider number format and fewer rearrangements.

    bfloat16 has float32's range but 8 bits of precision, and an optimisation that
    is not exact sums in another order. The attention kernels stay: the portable
    ones need about three times the memory, so that the second attempt might not fit.

    Args:
        model_config: The engine's `Model.Config` of the first attempt.
        optimizations: Optimisations of the first attempt; inactive ones do not count.

    Returns:
        The changes, or None when the first attempt was already the safest.
    """
    overrides = {}
    if model_config.global_config.bfloat16 != "none":
        overrides["global_config.bfloat16"] = "none"
    disabled = tuple(
        sorted(item.name for item in optimizations if item.active and item.fidelity != "exact")
    )
    return SaferNumerics(overrides, disabled) if overrides or disabled else None
