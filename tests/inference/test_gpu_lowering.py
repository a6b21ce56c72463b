"""The whole model lowered for CUDA on a machine without a GPU.

This shows that the program for a GPU can be made, with fused kernels where asked
for; it shows nothing about how it runs.
"""

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
from af3opt.optimizations import activate, deactivate
from af3opt.optimizations.base import Context
from af3opt.settings.settings import resolve_settings

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
    params = small_model.runner().weights.load().params
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


def test_triton_attention(small_model, tiny_batch, absent_gpu):
    """tokamax makes its Triton kernels for a GPU that is described instead of present."""
    with absent_gpu():
        traced = trace(small_model, tiny_batch, "triton")
        lowered = traced.lower(lowering_platforms=("cuda",))
    assert TRITON_KERNEL in custom_calls(lowered)
    assert count_operations(traced.jaxpr).opaque_kernels > 0


def test_optimisations_for_a_gpu(small_model, tiny_batch, absent_gpu, monkeypatch):
    """All that is in force on a GPU, in the whole model."""
    pytest.importorskip("colabfold_kernels")
    settings = resolve_settings(["--json_path=input.json"], {})
    context = Context(backend="gpu", attention="triton")
    with absent_gpu():
        plain = trace(small_model, tiny_batch, "triton").lower(lowering_platforms=("cuda",))
        active = {one.name for one in activate(settings, context) if one.active}
        try:
            lowered = trace(small_model, tiny_batch, "triton").lower(lowering_platforms=("cuda",))
        finally:
            deactivate()
    assert active >= {
        "triangle_attention_rows",
        "fused_pair_kernels",
        "diffusion_attention_kernel",
    }
    for kernel in ("packed_attention", "ln_gated_dual_proj", "fused_glu_transition"):
        assert kernel in lowered.as_text()
        assert kernel not in plain.as_text()
