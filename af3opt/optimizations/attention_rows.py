"""Triangle attention over all rows at once where attention runs in a fused GPU kernel.

The engine goes through the rows in pieces of 128, and of 32 above 1536 tokens, so that logits
written to memory would fit. Fused kernels write none: what is left of the pieces is copying
rows out and in, and products too small for the GPU. Here a piece is as large as all rows of
1024 tokens, which takes about a gigabyte whatever the size.
"""

from collections.abc import Sequence

from af3opt.base.fidelity import REORDERED
from af3opt.engine.known_functions import known
from af3opt.engine.protocols import EngineFunction
from af3opt.optimizations import triangle_attention, triangle_multiplication
from af3opt.optimizations.base import Context, Optimization

_TARGET = known("model.network.modules", "get_shard_size")
# How the engine cuts attention's rows: (largest number of tokens, rows in a piece).
_ENGINES_PIECES = ((1536, 128), (None, 32))
_POSITIONS = 1024 * 1024
_MULTIPLE = 32


def _replace(original: EngineFunction, context: Context) -> EngineFunction:
    del context

    def get_shard_size(
        num_residues: int, shard_spec: Sequence[tuple[int | None, int]]
    ) -> int | None:
        if tuple(map(tuple, shard_spec)) != _ENGINES_PIECES:
            size: int | None = original(num_residues, shard_spec)
            return size
        return rows_at_once(num_residues)

    return get_shard_size


def rows_at_once(tokens: int) -> int | None:
    """Rows of the pair representation to attend to at a time; None for all."""
    rows = _POSITIONS // tokens
    return None if rows >= tokens else max(_MULTIPLE, rows // _MULTIPLE * _MULTIPLE)


OPTIMIZATION = Optimization(
    name="triangle_attention_rows",
    fidelity=REORDERED,
    summary="Triangle attention in a fused GPU kernel takes all rows at once.",
    replacements=((_TARGET, _replace),),
    relies_on=(
        triangle_attention.TARGET,
        *triangle_attention.RELIES_ON,
        triangle_multiplication.TARGET,
    ),
    backends=frozenset({"gpu"}),
    wanted=lambda context: context.attention in {"triton", "cudnn"},
)
