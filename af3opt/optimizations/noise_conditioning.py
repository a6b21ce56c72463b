"""What depends on the noise level alone, computed once a step and not for each sample.

All samples of a step have the same noise level, but older engines carry it beside the
coordinates, one number a sample. Mapped over samples, the single conditioning and the
adaptive norms and gates of all 24 transformer blocks are then computed for each.
Here the denoiser gets the first sample's noise level, which belongs to no sample.
"""

from af3opt.base.fidelity import REORDERED
from af3opt.engine.known_functions import FORK_3_1_18, OLDER, known
from af3opt.engine.protocols import Argument, Array, EngineFunction, Tree
from af3opt.optimizations.base import Context, Optimization

_SAMPLER = known("model.network.diffusion_head", "sample", *OLDER)
# It takes the noise levels from the schedule.
_SHARING_SAMPLER = known("model.network.diffusion_head", "sample", FORK_3_1_18)


def _replace(original: EngineFunction, context: Context) -> EngineFunction:
    del context

    def sample(**arguments: Argument) -> Tree:
        denoise = arguments["denoising_step"]

        def denoise_at_one_level(positions: Array, noise_level: Array) -> Array:
            return denoise(positions, one_for_all(noise_level))

        return original(**{**arguments, "denoising_step": denoise_at_one_level})

    return sample


def one_for_all(value: Array) -> Array:
    """A value that is the same in every place of the mapped axis, as one that is not mapped.

    Args:
        value: An array inside a function that `jax.vmap` maps, or outside of one.

    Returns:
        The value in the first place; what is computed from it alone is computed once.
    """
    import jax

    def first(axis_size: int, in_batched: list[bool], values: Array) -> tuple[Array, bool]:
        del axis_size, in_batched
        return values[0], False

    shared = jax.custom_batching.custom_vmap(lambda one: one)
    shared.def_vmap(first)
    return shared(value)


OPTIMIZATION = Optimization(
    name="noise_conditioning",
    fidelity=REORDERED,
    summary="What the sampler computes from the noise level is computed once for all samples.",
    replacements=((_SAMPLER, _replace),),
    after=frozenset({"sampler_nan", "sampler_loop"}),
    backends=frozenset({"cpu", "gpu", "mps"}),
    built_in=_SHARING_SAMPLER,
)
