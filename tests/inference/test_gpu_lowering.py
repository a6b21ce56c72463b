"""The whole model lowered for CUDA on a machine without a GPU.

This shows that the program for a GPU can be made, with fused kernels where asked
for; it shows nothing about how it runs.
"""

import contextlib
import re

import pytest

from af3opt.data.synthetic_weights import read_manifest
from af3opt.engine.model import (
    device_features,
    forward_function,
    make_model_config,
)
from af3opt.inference.compiled import abstract_arguments
from af3opt.inference.operations import count_operations

pytestmark = [pytest.mark.engine, pytest.mark.slow]

TRITON_KERNEL = "__gpu$xla.gpu.triton"


def trace(small_model, batch, attention):
    import jax

    config = make_model_config(
        flash_attention_implementation=attention,
        num_diffusion_samples=2,
        num_recycles=1,
        overrides=read_manifest(small_model.model_dir).config_overrides,
    )
    params = small_model.runner().load().params
    arguments = abstract_arguments(params, device_features(batch), small_model.device)
    # Without a placement, the program is not tied to the CPU it is traced on.
    unplaced = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), arguments)
    return jax.jit(forward_function(config)).trace(*unplaced)


def custom_calls(lowered):
    return set(re.findall(r"custom_call @([\w$.]+)", lowered.as_text()))


def test_portable_attention(small_model, tiny_batch):
    traced = trace(small_model, tiny_batch, "xla")
    lowered = traced.lower(lowering_platforms=("cuda",))
    assert TRITON_KERNEL not in custom_calls(lowered)
    work = count_operations(traced.jaxpr)
    assert work.flops > 1e9
    assert work.opaque_kernels == 0


def test_triton_attention(small_model, tiny_batch):
    """tokamax makes its Triton kernels for a GPU that is described instead of present."""
    import jax

    tokamax_config = pytest.importorskip("tokamax.config")
    if not hasattr(jax.sharding, "AbstractDevice"):
        pytest.skip("this JAX cannot describe an absent GPU")
    hopper = jax.sharding.AbstractDevice("NVIDIA H100 80GB HBM3", None, "gpu")
    mesh = jax.sharding.AbstractMesh((), (), abstract_device=hopper)
    with contextlib.ExitStack() as stack:
        stack.enter_context(tokamax_config.cross_compile(True))
        stack.enter_context(jax.sharding.use_abstract_mesh(mesh))
        try:
            traced = trace(small_model, tiny_batch, "triton")
            lowered = traced.lower(lowering_platforms=("cuda",))
        except (NotImplementedError, AttributeError, RuntimeError) as error:
            if jax.__version_info__ >= (0, 12):
                raise
            pytest.skip(f"JAX {jax.__version__} with its tokamax needs a real GPU here: {error!r}")
    assert TRITON_KERNEL in custom_calls(lowered)
    assert count_operations(traced.jaxpr).opaque_kernels > 0
