"""Diffusion samples computed a few at a time, with the draws they have together.

The sampler draws the starting noise of all samples at once and splits its key into
one for each sample; everything later depends on those alone. So a chunk of samples
gets the same numbers when both draws are made for all samples and cut. The chunks
run one after another inside one program, after one pass through the trunk, so only
one chunk's work arrays exist at a time.

A chunk computes with smaller matrices than all samples together do, and may sum in
another order: samples agree to rounding, not always to the last bit.
"""

import contextlib
import copy
import threading
from collections.abc import Iterator

from af3opt.base.errors import Af3optError
from af3opt.engine.patching import ANYTHING, Patch, PatchSet, Target
from af3opt.engine.protocols import Argument, Array, EngineFunction, Tree

_SAMPLER = Target("model.network.diffusion_head", "sample", None)
_NORMAL = Target("random", "normal", None, package="jax")
_SPLIT = Target("random", "split", None, package="jax")


class DeviceMemoryError(Af3optError):
    """A job does not fit into the device's memory, however it is split."""


class SplitNotPossibleError(Exception):
    """The engine's sampler does not draw as this module expects."""


def split_batch(num_samples: int, chunk: int) -> tuple[int, ...]:
    """Divides samples into chunks of one size, as one program needs them.

    Args:
        num_samples: All samples.
        chunk: Most samples at once, at least 1.

    Returns:
        The first sample of each chunk. Where `chunk` does not divide `num_samples`,
        the last chunk starts earlier and repeats samples of the one before.
    """
    chunk = min(chunk, num_samples)
    return tuple(min(start, num_samples - chunk) for start in range(0, num_samples, chunk))


def merge_results(parts: Tree, num_samples: int, chunk: int) -> Tree:
    """Puts the chunks' results together in sample order.

    Args:
        parts: Nested arrays of shape (chunks, chunk, ...).
        num_samples: All samples.
        chunk: Samples in each chunk.

    Returns:
        The same structure with arrays of shape (num_samples, ...).
    """
    import jax
    import jax.numpy as jnp

    # How many samples the last chunk repeats; they come first in it.
    repeated = -num_samples % chunk

    def merge(part: Array) -> Array:
        whole = part[:-1].reshape((-1, *part.shape[2:]))
        return jnp.concatenate([whole, part[-1, repeated:]])

    return jax.tree.map(merge, parts)


def smaller_chunk(chunk: int) -> int | None:
    """The next smaller number of samples to try, or None after a single one."""
    return (chunk + 1) // 2 if chunk > 1 else None


def is_out_of_memory(error: BaseException) -> bool:
    """Tells whether XLA failed for lack of memory."""
    text = str(error)
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError)
        and ("RESOURCE_EXHAUSTED" in text or "out of memory" in text.lower())
    )


@contextlib.contextmanager
def samples_in_chunks(num_samples: int, chunk: int) -> Iterator[None]:
    """Makes a model that is traced in this block sample in chunks.

    Args:
        num_samples: The configuration's samples.
        chunk: Samples at once; as many as there are leaves the sampler untouched.

    Raises:
        SplitNotPossibleError: (while tracing) the engine's sampler draws otherwise.
    """
    if chunk >= num_samples:
        yield
        return
    patch = Patch[None](
        name="sample_chunks",
        replacements=((_SAMPLER, lambda sample, _: _chunked(sample, num_samples, chunk)),),
        after=frozenset({ANYTHING}),
    )
    with PatchSet([patch], None, required=True):
        yield


def _chunked(sample: EngineFunction, num_samples: int, chunk: int) -> EngineFunction:
    """Wraps the engine's sampler; it is called with keyword arguments."""

    def sample_in_chunks(**arguments: Argument) -> Tree:
        import haiku as hk
        import jax.numpy as jnp

        config = copy.copy(arguments["config"])
        config.num_samples = chunk

        def run_chunk(start: Array) -> Tree:
            with _draws_of_chunk(num_samples, chunk, start):
                return sample(**{**arguments, "config": config})

        starts = jnp.asarray(split_batch(num_samples, chunk))
        return merge_results(hk.map(run_chunk, starts), num_samples, chunk)

    return sample_in_chunks


@contextlib.contextmanager
def _draws_of_chunk(num_samples: int, chunk: int, start: Array) -> Iterator[None]:
    """Cuts the sampler's first two draws out of those for all samples.

    The first is the starting noise, of shape (chunk, tokens, atoms, 3); the next
    split into an explicit number of keys gives each sample its own.
    """
    import jax

    thread = threading.get_ident()
    drawn: list[str] = []

    def cut(array: Array) -> Array:
        return jax.lax.dynamic_slice_in_dim(array, start, chunk, axis=0)

    def make_normal(normal: EngineFunction, _: None) -> EngineFunction:
        def first_normal(
            key: Array, shape: tuple[int, ...] = (), *rest: Argument, **options: Argument
        ) -> Array:
            expected = not drawn and len(shape) == 4 and shape[0] == chunk
            if threading.get_ident() != thread or not expected:
                return normal(key, shape, *rest, **options)
            drawn.append("noise")
            return cut(normal(key, (num_samples, *shape[1:]), *rest, **options))

        return first_normal

    def make_split(split: EngineFunction, _: None) -> EngineFunction:
        def first_split(key: Array, num: int | None = None) -> Array:
            expected = drawn == ["noise"] and num == chunk
            if threading.get_ident() != thread or not expected:
                return split(key) if num is None else split(key, num)
            drawn.append("keys")
            return cut(split(key, num_samples))

        return first_split

    patch = Patch[None](
        name="chunk_draws",
        replacements=((_NORMAL, make_normal), (_SPLIT, make_split)),
        after=frozenset({ANYTHING}),
    )
    with PatchSet([patch], None, required=True):
        yield
    if drawn != ["noise", "keys"]:
        raise SplitNotPossibleError("the engine's sampler draws its noise in another way")
