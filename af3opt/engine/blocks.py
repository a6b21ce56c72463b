"""Blocks of the engine's model alone, for measuring them."""

from collections.abc import Callable

from af3opt.engine.modules import engine_module
from af3opt.engine.protocols import Array, ModelConfig


def plain_config(num_diffusion_blocks: int) -> ModelConfig:
    """The engine's configuration in float32, with XLA's attention and so many blocks."""
    config = engine_module("model.model").Model.Config()
    config.global_config.flash_attention_implementation = "xla"
    config.global_config.bfloat16 = "none"
    config.heads.diffusion.transformer.num_blocks = num_diffusion_blocks
    return config


def trunk_blocks(
    config: ModelConfig, number: int, mask: Array
) -> Callable[[Array, Array], tuple[Array, Array]]:
    """Blocks of the trunk as a haiku function.

    Args:
        config: The model's configuration.
        number: How many.
        mask: (tokens,), 1 where real.

    Returns:
        From pair (tokens, tokens, 128) and single (tokens, 384) activations to new ones.
    """
    import haiku as hk

    modules = engine_module("model.network.modules")

    def block(state: tuple[Array, Array]) -> tuple[Array, Array]:
        iteration = modules.PairFormerIteration(
            config.evoformer.pairformer, config.global_config, with_single=True, name="block"
        )
        updated: tuple[Array, Array] = iteration(
            act=state[0],
            single_act=state[1],
            pair_mask=mask[:, None] * mask[None],
            seq_mask=mask,
        )
        return updated

    def run(pair: Array, single: Array) -> tuple[Array, Array]:
        result: tuple[Array, Array] = hk.experimental.layer_stack(number)(block)((pair, single))
        return result

    return run


def denoiser_blocks(config: ModelConfig, mask: Array) -> Callable[[Array, Array, Array], Array]:
    """The blocks of the diffusion transformer; to be called in a haiku function.

    Args:
        config: The model's configuration.
        mask: (tokens,), 1 where real.

    Returns:
        From activations (samples, tokens, 768), single (tokens, 384) and pair conditioning
        (tokens, tokens, 128) to new activations.
    """
    import haiku as hk

    network = engine_module("model.network.diffusion_transformer")
    # Where the engine has it, so that its layers' weights are found.
    with hk.name_scope("diffusion_head"):
        module = network.Transformer(config.heads.diffusion.transformer, config.global_config)

    def run(act: Array, single: Array, pair: Array) -> Array:
        def one(sample: Array) -> Array:
            return module(act=sample, mask=mask, single_cond=single, pair_cond=pair)

        return hk.vmap(one, split_rng=False)(act)

    return run
