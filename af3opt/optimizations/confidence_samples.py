"""The confidence head on one sample after the other, not on batches of one.

The engine maps the confidence head over samples in shards of one: a loop over samples
whose body is batched over the shard, traced three times to find out its shapes. Under a
batch, the slices by which blocks of pair positions are read and written become general
gathers and scatters, and all arrays have an axis more than the trunk's. Without it the
head's pairformer consists of the trunk's kernels, which XLA compiles once for both.

A function that draws random numbers would draw others; the confidence head draws none.
"""

from af3opt.base.fidelity import REORDERED
from af3opt.engine.known_functions import known
from af3opt.engine.protocols import Argument, EngineFunction, Tree
from af3opt.optimizations.base import Context, Optimization

_TARGET = known("model.components.mapping", "sharded_map")


def _replace(original: EngineFunction, context: Context) -> EngineFunction:
    del context

    def sharded_map(
        fun: EngineFunction,
        shard_size: int | None = 1,
        in_axes: Argument = 0,
        out_axes: Argument = 0,
    ) -> EngineFunction:
        import haiku as hk

        def one_by_one(*args: Argument, **kwargs: Argument) -> Tree:
            return hk.scan(lambda _, slices: ((), fun(*slices, **kwargs)), (), args)[1]

        plain = (shard_size, in_axes, out_axes) == (1, 0, 0) and not hk.running_init()
        mapped: EngineFunction = (
            one_by_one if plain else original(fun, shard_size, in_axes, out_axes)
        )
        return mapped

    return sharded_map


OPTIMIZATION = Optimization(
    name="confidence_samples",
    fidelity=REORDERED,
    summary="The confidence head works on one sample after the other, in the trunk's kernels.",
    replacements=((_TARGET, _replace),),
    backends=frozenset({"cpu", "gpu"}),
)
