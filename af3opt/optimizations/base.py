"""What an optimisation is, and how it replaces engine functions safely.

An optimisation names the engine functions it replaces together with the digests
of the sources it was written against. A function with another digest may compute
something else by now, so the optimisation then steps aside and the run goes on
with the engine's own code.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

from af3opt.base.version import installed_version
from af3opt.engine.modules import engine_module, source_digest

FLOAT32 = "float32"
BFLOAT16 = "bfloat16"
MIXED = "mixed"
SPLIT = "split"
# 512 positions of 512 float32 channels, of which a few tensors are needed at a time, stay
# in the second-level cache of a server core.
SMALL_BLOCK = 512


@dataclasses.dataclass(frozen=True, slots=True)
class Target:
    """An engine function or method that an optimisation replaces.

    Attributes:
        module: Dotted module name below the engine's package.
        qualname: Name in the module, such as "TransitionBlock.__call__".
        digests: `source_digest` of the sources it may replace.
    """

    module: str
    qualname: str
    digests: frozenset[str]

    def owner(self) -> tuple[Any, str]:
        """The object that holds the function, and its name there.

        Raises:
            ImportError: the engine has no such module.
            AttributeError: the module has no such class.
        """
        owner: Any = engine_module(self.module)
        *path, name = self.qualname.split(".")
        for part in path:
            owner = getattr(owner, part)
        return owner, name

    def obstacle(self) -> str | None:
        """Says why the installed engine's function is not this one, or None when it is."""
        try:
            owner, name = self.owner()
            digest = source_digest(getattr(owner, name))
        except (ImportError, AttributeError, OSError, TypeError):
            return f"the engine has no readable {self.module}.{self.qualname}"
        if digest not in self.digests:
            return f"{self.module}.{self.qualname} is not the function it knows"
        return None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What optimisations may depend on.

    Attributes:
        backend: "cpu", "gpu" or "mps".
        attention: What computes attention: "triton", "cudnn" or "xla".
        threads: CPU threads the model may use.
        block_positions: Pair positions that a thread works on at a time, where the pair
            stack goes through blocks of rows.
        trunk_precision: "bfloat16" leaves the trunk as the engine has it; "mixed"
            computes in float32 except for the operands of matrix products, which
            are rounded to bfloat16; "float32".
        diffusion_precision: Operands of the diffusion transformer's large products:
            "float32", "split" (each the sum of two bfloat16 values) or "bfloat16".
    """

    backend: str
    attention: str = "xla"
    threads: int = 1
    block_positions: int = SMALL_BLOCK
    trunk_precision: str = BFLOAT16
    diffusion_precision: str = FLOAT32

    @property
    def trunk_operands(self) -> str:
        """Type of the operands of matrix products in the trunk."""
        return FLOAT32 if self.trunk_precision == FLOAT32 else BFLOAT16


@dataclasses.dataclass(frozen=True, slots=True)
class Package:
    """A Python package that an optimisation takes its computation from.

    Attributes:
        name: Of the distribution.
        release: First two numbers of the version it was written against; None where the
            engine uses it in the same way, so that any will do.
        extra: The extra of af3opt that installs it; None if it comes with an engine.
    """

    name: str
    release: str | None = None
    extra: str | None = None

    @property
    def version(self) -> str | None:
        """The installed version, or None."""
        return installed_version(self.name)

    def obstacle(self) -> str | None:
        """Says why the installed package does not suit, or None when it does."""
        version = self.version
        if version is None:
            remedy = f" (pip install 'af3opt[{self.extra}]')" if self.extra else ""
            return f"{self.name} is not installed{remedy}"
        if self.release is not None and version.split(".")[:2] != self.release.split("."):
            return f"it knows {self.name} {self.release}, installed is {version}"
        return None


# (original function, context) -> replacement.
Replacement = Callable[[Callable[..., Any], Context], Callable[..., Any]]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Optimization:
    """One optimisation.

    Attributes:
        name: What `--disable_optimizations` calls it.
        fidelity: EXACT, REORDERED, PRECISION or RESAMPLED.
        summary: What it does, one sentence.
        replacements: The engine functions and what makes their replacements.
        relies_on: Engine functions that stay but must be as known: those that the
            replacements take over from, or are called by.
        backends: Backends it is meant for.
        wanted: Tells from the context whether there is anything to do.
        built_in: The function of engines that do the same themselves, or None.
        package: What it needs besides the engine, or None.
    """

    name: str
    fidelity: str
    summary: str
    replacements: tuple[tuple[Target, Replacement], ...]
    relies_on: tuple[Target, ...] = ()
    backends: frozenset[str] = frozenset({"cpu"})
    wanted: Callable[[Context], bool] = lambda _context: True
    built_in: Target | None = None
    package: Package | None = None

    def obstacle(self) -> str | None:
        """Says why the installed engine or package does not suit, or None when both do."""
        found = self._function_obstacle()
        return self.package.obstacle() if found is None and self.package else found

    def lacks_package(self) -> bool:
        """Whether nothing is in its way but a package that is not installed."""
        missing = self.package is not None and self.package.version is None
        return missing and self._function_obstacle() is None

    def _function_obstacle(self) -> str | None:
        replaced = tuple(target for target, _ in self.replacements)
        obstacles = (target.obstacle() for target in replaced + self.relies_on)
        return next((obstacle for obstacle in obstacles if obstacle is not None), None)

    def needed(self) -> bool:
        """Whether the installed engine does not do the same itself."""
        return self.built_in is None or self.built_in.obstacle() is not None


class Patches:
    """The replacements in force, and the originals to put back."""

    def __init__(self) -> None:
        self._originals: list[tuple[Any, str, Any]] = []

    def apply(self, optimization: Optimization, context: Context) -> None:
        """Replaces the functions of one optimisation."""
        for target, make in optimization.replacements:
            owner, name = target.owner()
            original = getattr(owner, name)
            self._originals.append((owner, name, original))
            setattr(owner, name, make(original, context))

    def revert(self) -> None:
        """Puts every original back, the last replaced first."""
        while self._originals:
            owner, name, original = self._originals.pop()
            setattr(owner, name, original)
