"""Optimisations of the engine, each with its class, its switch and its fingerprints."""

import contextlib
import dataclasses
import logging
from collections.abc import Iterator

from af3opt.base.errors import UsageError
from af3opt.base.fidelity import EXACT, PERMITTED
from af3opt.engine.patching import PatchSet
from af3opt.optimizations import (
    atom_aggregation,
    atom_transformer,
    attention_rows,
    conditioning_transition,
    confidence_samples,
    diffusion_attention,
    diffusion_transformer,
    fused_pair,
    noise_conditioning,
    sampler_loop,
    template_slots,
    transition,
    triangle_attention,
    triangle_multiplication,
    trunk_precision,
)
from af3opt.optimizations.atom_slots import ATOM_SLOTS
from af3opt.optimizations.base import Context, Optimization
from af3opt.optimizations.msa_depth import MSA_DEPTH
from af3opt.optimizations.sampler_nan import SAMPLER_NAN
from af3opt.settings.settings import Settings

_log = logging.getLogger(__name__)

# In the order in which they are spoken of.
OPTIMIZATIONS: tuple[Optimization, ...] = (
    SAMPLER_NAN,
    sampler_loop.OPTIMIZATION,
    trunk_precision.OPTIMIZATION,
    transition.OPTIMIZATION,
    triangle_attention.OPTIMIZATION,
    triangle_multiplication.OPTIMIZATION,
    attention_rows.OPTIMIZATION,
    fused_pair.OPTIMIZATION,
    MSA_DEPTH,
    ATOM_SLOTS,
    atom_transformer.LAYERS,
    atom_transformer.PRODUCTS,
    atom_aggregation.OPTIMIZATION,
    diffusion_transformer.LAYERS,
    diffusion_transformer.PRODUCTS,
    conditioning_transition.OPTIMIZATION,
    confidence_samples.OPTIMIZATION,
    diffusion_attention.OPTIMIZATION,
    noise_conditioning.OPTIMIZATION,
    template_slots.OPTIMIZATION,
)

_in_force: PatchSet[Context] | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class ActiveOptimization:
    """What became of one optimisation.

    Attributes:
        name: Its name.
        fidelity: Its class.
        active: Whether it is in force.
        reason: Why not, or "".
    """

    name: str
    fidelity: str
    active: bool
    reason: str = ""


def activate(settings: Settings, context: Context) -> tuple[ActiveOptimization, ...]:
    """Puts the optimisations that settings, backend and engine allow in force.

    Earlier ones are undone first. An optimisation whose functions changed, or whose
    package is missing, steps aside with one line.

    Args:
        settings: Read for fidelity and disable_optimizations.
        context: Backend, threads and precisions.

    Returns:
        All optimisations for this backend, active or not, but for those that the
        engine has itself.

    Raises:
        UsageError: `--disable_optimizations` has a name that does not exist.
    """
    global _in_force
    deactivate()
    _check_names(settings.disable_optimizations)
    considered = [one for one in OPTIMIZATIONS if one.applies(context)]
    for one in considered:
        if not one.needed():
            _log.debug("Optimisation %s: the engine does it itself", one.name)
    considered = [one for one in considered if one.needed()]
    reasons = {one.name: _why_not(one, settings) for one in considered}
    patches = PatchSet([one for one in considered if reasons[one.name] is None], context)
    patches.apply()
    _in_force = patches
    for one in considered:
        obstacle = patches.obstacles.get(one.name)
        if obstacle is not None:
            reasons[one.name] = obstacle
            # Nothing is wrong with an environment that lacks what is optional.
            level = logging.INFO if one.lacks_package() else logging.WARNING
            _log.log(level, "Optimisation %s steps aside: %s", one.name, obstacle)
    active = [f"{one.name} ({one.fidelity})" for one in considered if reasons[one.name] is None]
    _log.info("Optimisations: %s", ", ".join(active) or "none")
    return tuple(
        ActiveOptimization(
            one.name, one.fidelity, reasons[one.name] is None, reasons[one.name] or ""
        )
        for one in considered
    )


@contextlib.contextmanager
def activated_instead(
    settings: Settings, context: Context
) -> Iterator[tuple[ActiveOptimization, ...]]:
    """Has other optimisations in force inside the block, and then those from before again.

    Args:
        settings: See `activate`.
        context: See `activate`.

    Yields:
        What `activate` returns.
    """
    global _in_force
    before = _in_force
    try:
        yield activate(settings, context)
    finally:
        deactivate()
        if before is not None:
            before.apply()
            _in_force = before


def permitted(settings: Settings, context: Context) -> tuple[str, ...]:
    """Names of the optimisations that settings and backend allow and that change results.

    Args:
        settings: Read for fidelity and disable_optimizations.
        context: Backend and precisions.
    """
    return tuple(
        one.name
        for one in OPTIMIZATIONS
        if one.fidelity != EXACT and one.applies(context) and _why_not(one, settings) is None
    )


def deactivate() -> None:
    """Puts the engine's own functions back."""
    global _in_force
    patches, _in_force = _in_force, None
    if patches is not None:
        patches.undo()


def _check_names(names: tuple[str, ...]) -> None:
    known = [optimization.name for optimization in OPTIMIZATIONS]
    for name in names:
        if name not in known:
            raise UsageError(
                f"--disable_optimizations: there is no {name!r}; known are {', '.join(known)}"
            )


def _why_not(optimization: Optimization, settings: Settings) -> str | None:
    if optimization.name in settings.disable_optimizations:
        return "--disable_optimizations"
    if optimization.fidelity not in PERMITTED[settings.fidelity]:
        return f"--fidelity={settings.fidelity}"
    return None
