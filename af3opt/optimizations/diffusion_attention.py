"""The sampler's attention in a fused GPU kernel.

The engine writes the logits of all samples and heads to memory in float32, and the weights
in bfloat16: 16 heads of 512 tokens are 84 MB a layer for 5 samples, three times over. The
kernel that already computes triangle attention writes neither. Queries, keys, values and
weights are bfloat16 and logits float32 as in the engine, which rounds the weights
after their division by the sum instead of before.
"""

import dataclasses
import inspect

from af3opt.base.fidelity import REORDERED
from af3opt.engine.modules import engine_module
from af3opt.engine.patching import Package
from af3opt.engine.protocols import Argument, Array, EngineFunction, ModelConfig
from af3opt.optimizations.base import Context, Optimization
from af3opt.optimizations.conditioning import CONDITIONED_LAYERS
from af3opt.optimizations.diffusion_transformer import SELF_ATTENTION
from af3opt.optimizations.haiku_access import is_alphafold3_config

_MODULE = "model.network.diffusion_transformer"


def _replace(original: EngineFunction, context: Context) -> EngineFunction:
    def self_attention(  # noqa: PLR0913 - the engine's signature
        x: Array,
        mask: Array,
        pair_logits: Array,
        config: ModelConfig,
        global_config: ModelConfig,
        single_cond: Array | None = None,
        name: str = "",
        **special: Argument,
    ) -> Array:
        import jax.numpy as jnp

        plain = not special.get("kq_norm") and special.get("rope") is None
        plain = plain and x.dtype == jnp.bfloat16 and x.ndim == 2 and pair_logits is not None
        plain = plain and single_cond is not None and is_alphafold3_config(global_config)
        if not plain:
            return original(
                x, mask, pair_logits, config, global_config, single_cond, name, **special
            )
        conditioned = _Conditioned(single_cond, global_config, name)
        return _self_attention(
            x, mask, pair_logits, config.num_head, conditioned, context.attention
        )

    return self_attention


@dataclasses.dataclass(frozen=True, slots=True)
class _Conditioned:
    """The engine's layers that adapt a module to the token's single representation.

    Attributes:
        single_cond: (tokens, single channels).
        global_config: The engine's global configuration.
        name: Prefix of the parameters' names.
    """

    single_cond: Array
    global_config: ModelConfig
    name: str

    def norm(self, x: Array) -> Array:
        """Adaptive layer norm (algorithm 26)."""
        layer = engine_module(_MODULE).adaptive_layernorm
        extra = {}
        if "global_config" in inspect.signature(layer).parameters:
            extra["global_config"] = self.global_config
        return layer(x, self.single_cond, name=self.name, **extra)

    def project(self, x: Array, channels: int) -> Array:
        """Output projection and the gate that begins closed."""
        layer = engine_module(_MODULE).adaptive_zero_init
        return layer(x, channels, self.single_cond, self.global_config, self.name)


def _self_attention(
    x: Array,
    mask: Array,
    pair_logits: Array,
    heads: int,
    conditioned: _Conditioned,
    implementation: str,
) -> Array:
    """Attention with pair bias (supplement of AlphaFold 3, algorithm 24).

    Args:
        x: (tokens, channels) of one sample, bfloat16; the engine maps over samples.
        mask: (tokens,), 1 where real.
        pair_logits: (heads, tokens, tokens).
        heads: Attention heads.
        conditioned: The layers around it.
        implementation: tokamax's name of the kernel.

    Returns:
        The update, shape and type of `x`.
    """
    import jax
    import jax.numpy as jnp
    import tokamax

    linear = engine_module("model.components.haiku_modules").Linear
    name = conditioned.name
    x = conditioned.norm(x)
    tokens, channels = x.shape
    shape = (heads, channels // heads)
    query = linear(shape, use_bias=True, name=f"{name}q_projection")(x)
    key = linear(shape, use_bias=False, name=f"{name}k_projection")(x)
    value = linear(shape, use_bias=False, name=f"{name}v_projection")(x)
    average = tokamax.dot_product_attention(
        query[None],
        key[None],
        value[None],
        bias=pair_logits[None],
        mask=mask.astype(jnp.bool_)[None, None, None, :],
        implementation=implementation,
    )
    average = jnp.reshape(average, (tokens, channels))
    gate = linear(channels, bias_init=1.0, initializer="zeros", name=f"{name}gating_query")(x)
    average *= jax.nn.sigmoid(gate)
    return conditioned.project(average, channels)


OPTIMIZATION = Optimization(
    name="diffusion_attention_kernel",
    fidelity=REORDERED,
    summary="The sampler's attention runs in a fused GPU kernel.",
    replacements=((SELF_ATTENTION, _replace),),
    relies_on=CONDITIONED_LAYERS,
    backends=frozenset({"gpu"}),
    wanted=lambda context: context.attention == "triton",
    # The engine computes triangle attention with it, but for DeepMind's v3.0.1.
    package=Package("tokamax"),
)
