"""Transitions of the sampler's conditioning as plain products.

The engine computes them by a fused kernel of tokamax, which on a CPU is written-out products
as well, in the same arithmetic. They are the only kernels that the other
optimisations leave on a CPU, and importing tokamax for them takes a second of a start
(see `engine.deferred_import`). The function has a second way of its own, which needs none.
"""

from af3opt.base.fidelity import REORDERED
from af3opt.engine.protocols import Argument, Array, EngineFunction
from af3opt.optimizations.base import Context, Optimization
from af3opt.optimizations.conditioning import TRANSITION

# Arguments of `transition_block` between its first and `use_glu_kernel`.
_MOST_POSITIONAL = 3


def _replace(original: EngineFunction, context: Context) -> EngineFunction:
    del context

    def transition_block(x: Array, *args: Argument, **kwargs: Argument) -> Array:
        import jax.numpy as jnp

        # The kernel computes gate and activation in float32, which is this only for float32.
        if len(args) <= _MOST_POSITIONAL and x.dtype == jnp.float32:
            kwargs["use_glu_kernel"] = False
        return original(x, *args, **kwargs)

    return transition_block


OPTIMIZATION = Optimization(
    name="conditioning_transition",
    fidelity=REORDERED,
    summary="Transitions of the sampler's conditioning are plain products, no kernels.",
    replacements=((TRANSITION, _replace),),
)
