"""One step of the sampler a turn of its loop, where older engines write out four.

A compiler sees every copy of the step as code of its own, so most of a program is four
times as large as it need be and takes that much longer to compile; it runs no faster,
since a step is milliseconds of work. The fork does the same itself.
"""

import functools
import types

from af3opt.base.fidelity import REORDERED
from af3opt.engine.known_functions import DEEPMIND, FORKS, known
from af3opt.engine.protocols import Argument, EngineFunction, Tree
from af3opt.optimizations.base import Context, Optimization

_SAMPLER = known("model.network.diffusion_head", "sample", *DEEPMIND)
_ROLLED_SAMPLER = known("model.network.diffusion_head", "sample", *FORKS)


def without_unrolling(function: EngineFunction) -> EngineFunction:
    """A copy of a function whose calls of `hk.scan` do not unroll the loop.

    Args:
        function: A plain function that finds haiku as `hk` among its globals.

    Returns:
        The copy, with the same code and, but for `hk`, the same globals.
    """
    import haiku as hk

    def scan(*args: Argument, unroll: int = 1, **kwargs: Argument) -> Tree:
        del unroll
        return hk.scan(*args, **kwargs)

    rolled = types.SimpleNamespace(**{**vars(hk), "scan": scan})
    copy = types.FunctionType(
        function.__code__,
        {**function.__globals__, "hk": rolled},
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    copy.__kwdefaults__ = function.__kwdefaults__
    return functools.update_wrapper(copy, function)


def _replace(original: EngineFunction, context: Context) -> EngineFunction:
    del context
    return without_unrolling(original)


OPTIMIZATION = Optimization(
    name="sampler_loop",
    fidelity=REORDERED,
    summary="The sampler's loop takes one step a turn, not four, and compiles sooner.",
    replacements=((_SAMPLER, _replace),),
    after=frozenset({"sampler_nan"}),
    backends=frozenset({"cpu", "gpu", "mps"}),
    built_in=_ROLLED_SAMPLER,
)
