"""Compiling the forward pass explicitly, so that its costs are known and logged."""

import dataclasses
import logging
import time
from collections.abc import Mapping
from typing import Any

from af3opt.engine.model import ForwardFunction

_log = logging.getLogger(__name__)

# Shape and dtype of each feature, in name order: what one executable is made for.
BatchSignature = tuple[tuple[str, tuple[int, ...], str], ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CompileReport:
    """What making one executable took, and what running it will take.

    Attributes:
        num_tokens: Padded tokens.
        trace_seconds: Python to JAX's own program.
        lower_seconds: To StableHLO.
        compile_seconds: To machine code, or reading it from the compile cache.
        argument_bytes: Weights and batch.
        temporary_bytes: Peak of what XLA allocates in between.
        output_bytes: The result.
    """

    num_tokens: int
    trace_seconds: float
    lower_seconds: float
    compile_seconds: float
    argument_bytes: int | None
    temporary_bytes: int | None
    output_bytes: int | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CompiledModel:
    """An executable and what is known of it; call `executable(params, key, batch)`."""

    executable: Any
    report: CompileReport


def batch_signature(batch: Mapping[str, Any]) -> BatchSignature:
    """Returns the shapes and dtypes that decide which executable a batch needs."""
    return tuple((name, tuple(batch[name].shape), str(batch[name].dtype)) for name in sorted(batch))


def abstract_arrays(tree: Any, device: Any) -> Any:
    """Replaces arrays by their shapes and dtypes, placed on `device`."""
    import jax

    sharding = jax.sharding.SingleDeviceSharding(device)

    def abstract(leaf: Any) -> Any:
        dtype = jax.dtypes.canonicalize_dtype(leaf.dtype)
        return jax.ShapeDtypeStruct(leaf.shape, dtype, sharding=sharding)

    return jax.tree.map(abstract, tree)


def compile_model(
    forward: ForwardFunction, params: Any, batch: Mapping[str, Any], device: Any
) -> CompiledModel:
    """Traces, lowers and compiles the forward pass for the shapes of a batch.

    Args:
        forward: The engine's forward pass.
        params: Weights, or their abstract shapes.
        batch: Numeric features, or their abstract shapes.
        device: The JAX device to compile for.

    Returns:
        The executable with its report.
    """
    import jax

    key = jax.eval_shape(lambda: jax.random.PRNGKey(0))
    arguments = abstract_arrays((params, key, dict(batch)), device)
    started = time.perf_counter()
    traced = jax.jit(forward).trace(*arguments)
    traced_at = time.perf_counter()
    lowered = traced.lower()
    lowered_at = time.perf_counter()
    executable = lowered.compile()
    compiled_at = time.perf_counter()
    memory = executable.memory_analysis()
    report = CompileReport(
        num_tokens=int(batch["aatype"].shape[-1]),
        trace_seconds=traced_at - started,
        lower_seconds=lowered_at - traced_at,
        compile_seconds=compiled_at - lowered_at,
        argument_bytes=memory.argument_size_in_bytes if memory else None,
        temporary_bytes=memory.temp_size_in_bytes if memory else None,
        output_bytes=memory.output_size_in_bytes if memory else None,
    )
    _log.info(
        "Compiled the model for %d tokens: trace %.1f s, lower %.1f s, compile %.1f s",
        report.num_tokens,
        report.trace_seconds,
        report.lower_seconds,
        report.compile_seconds,
    )
    return CompiledModel(executable=executable, report=report)
