"""Times blocks of the model in this process; `af3opt tune` starts one per flag set.

Run as a module with one argument, a JSON object with the precisions to try, such as
{"trunk": ["float32", "mixed"]}; prints one JSON object with seconds and errors.
XLA reads its flags once, hence a process for each set.
"""

import json
import os
import sys
import time
from collections.abc import Callable

from af3opt.data.bootstrap import bootstrap_engine
from af3opt.engine.blocks import denoiser_blocks, plain_config, trunk_blocks
from af3opt.engine.patching import PatchSet
from af3opt.engine.protocols import Array, Tree
from af3opt.host.host import probe_host
from af3opt.optimizations import OPTIMIZATIONS
from af3opt.optimizations.base import BFLOAT16, FLOAT32, Context
from af3opt.optimizations.choice import block_positions
from af3opt.optimizations.separate_layers import with_separate_layers

TOKENS = 128
TRUNK_BLOCKS = 2
DIFFUSION_BLOCKS = 4
SAMPLES = 5
# Sampling steps in one measurement: what does not depend on the step is done once.
STEPS = 12
_REPEATS = 3
# Passes over a block in a run with all defaults: 48 blocks in 11 recycles, 24 in 200 steps.
TRUNK_PASSES = 48 * 11 / TRUNK_BLOCKS
DIFFUSION_PASSES = 24 * 200 / (DIFFUSION_BLOCKS * STEPS)


def trunk_block() -> tuple[Callable[..., Array], tuple[Array, ...]]:
    """Trunk blocks as a haiku function, and random arguments for it."""
    import jax
    import jax.numpy as jnp

    run = trunk_blocks(plain_config(DIFFUSION_BLOCKS), TRUNK_BLOCKS, jnp.ones(TOKENS))
    keys = jax.random.split(jax.random.PRNGKey(1))
    pair = jax.random.normal(keys[0], (TOKENS, TOKENS, 128))
    return run, (pair, jax.random.normal(keys[1], (TOKENS, 384)))


def diffusion_block() -> tuple[Callable[..., Array], tuple[Array, ...]]:
    """Diffusion transformer blocks over all samples, and random arguments."""
    import haiku as hk
    import jax
    import jax.numpy as jnp

    config = plain_config(DIFFUSION_BLOCKS)

    def run(act: Array, single: Array, pair: Array) -> Array:
        blocks = denoiser_blocks(config, jnp.ones(TOKENS))

        def step(samples: Array, _: None) -> tuple[Array, None]:
            return blocks(samples, single, pair), None

        if hk.running_init():
            return step(act, None)[0]
        return hk.scan(step, act, None, length=STEPS)[0]

    keys = jax.random.split(jax.random.PRNGKey(2), 3)
    act = jax.random.normal(keys[0], (SAMPLES, TOKENS, 768))
    single = jax.random.normal(keys[1], (TOKENS, 384))
    return run, (act, single, jax.random.normal(keys[2], (TOKENS, TOKENS, 128)))


def _random_weights(shapes: Tree) -> Tree:
    import jax
    import jax.numpy as jnp

    leaves, tree = jax.tree.flatten(shapes)
    keys = jax.random.split(jax.random.PRNGKey(0), len(leaves))
    values = [
        jax.random.normal(key, leaf.shape) / jnp.sqrt(max(leaf.shape[-3:], default=1))
        for key, leaf in zip(keys, leaves, strict=True)
    ]
    return jax.tree.unflatten(tree, values)


def measure(
    make: Callable[[], tuple[Callable[..., Array], tuple[Array, ...]]], context: Context
) -> tuple[float, Array]:
    """Seconds of the fastest of a few runs, and the result, under a context."""
    import haiku as hk
    import jax

    function, arguments = make()
    transformed = hk.transform(function)
    key = jax.random.PRNGKey(0)
    weights = _random_weights(jax.eval_shape(transformed.init, key, *arguments))
    weights = with_separate_layers(weights)
    with PatchSet([one for one in OPTIMIZATIONS if one.applies(context)], context):
        run = jax.jit(transformed.apply)
        result = jax.block_until_ready(run(weights, key, *arguments))
    times = []
    for _ in range(_REPEATS):
        start = time.perf_counter()
        jax.block_until_ready(run(weights, key, *arguments))
        times.append(time.perf_counter() - start)
    return min(times), jax.tree.leaves(result)[0]


def main(argument: str) -> int:
    """Measures the precisions of a JSON object; prints seconds and errors."""
    import jax.numpy as jnp

    bootstrap_engine()
    cpu = probe_host(os.environ).cpu
    wanted: dict[str, list[str]] = json.loads(argument)
    blocks = {"trunk": trunk_block, "diffusion": diffusion_block}
    found: dict[str, dict[str, list[float]]] = {}
    for part, precisions in wanted.items():
        reference: Array = None
        # Float32 comes first: the others are compared with it.
        for precision in precisions:
            context = Context(
                backend="cpu",
                threads=cpu.usable_cores,
                block_positions=block_positions(cpu),
                trunk_precision=precision if part == "trunk" else BFLOAT16,
                diffusion_precision=precision if part == "diffusion" else FLOAT32,
            )
            seconds, result = measure(blocks[part], context)
            reference = result if reference is None else reference
            error = jnp.sqrt(jnp.mean(jnp.square(result - reference)))
            error = float(error / jnp.sqrt(jnp.mean(jnp.square(reference))))
            found.setdefault(part, {})[precision] = [seconds, error]
    sys.stdout.write(json.dumps(found) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv.pop()))
