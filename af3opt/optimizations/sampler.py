"""The engine's `diffusion_head.sample` in its versions, for the optimisations that change it."""

from af3opt.optimizations.base import Target

# Digests of its source.
DEEPMIND_3_0_1 = "4fe27c6b6a3e0c8a"  # and v3.0.2, v3.0.3
DEEPMIND_3_0_4 = "0dd115a6ce52da52"
FORK_3_1_6 = "23fb69b04887bc77"
FORK_3_1_18 = "d43f046430e26b9b"


def sampler(*digests: str) -> Target:
    """The sampler, as far as it has one of these digests."""
    return Target("model.network.diffusion_head", "sample", frozenset(digests))
