"""What is for GPUs computes what the engine computes, as far as a CPU can tell.

The kernels of colabfold-kernels run on GPUs only. Here the package's own float32 references
stand in for them, rounded as the kernels round their results, so these tests see what is
handed to the kernels and what is made of their results; that the kernels themselves can be
built is seen by lowering for CUDA.
"""

import functools
import logging

import numpy as np
import pytest

pytest.importorskip("jax")

import jax
import jax.numpy as jnp

from af3opt.base.installing import pip_install
from af3opt.data.bootstrap import bootstrap_engine
from af3opt.engine import patching
from af3opt.engine.modules import engine_module
from af3opt.optimizations import (
    activate,
    attention_rows,
    deactivate,
    diffusion_attention,
    fused_pair,
)
from af3opt.optimizations.base import Context
from tests.optimizations import blocks
from tests.optimizations.blocks import rms, with_patch

pytestmark = pytest.mark.engine

STACKS = {
    "pairformer": blocks.pairformer,
    "template": blocks.template_stack,
    "msa": blocks.msa_stack,
}
sampler_blocks = functools.partial(blocks.diffusion_transformer, num_blocks=4)
ON_GPU = Context(backend="gpu", attention="triton")


@pytest.fixture(autouse=True)
def engine(prepared_home):
    bootstrap_engine()
    yield
    deactivate()


@pytest.fixture
def references(monkeypatch):
    """Puts the package's references in the place of its kernels; returns who was called."""
    pytest.importorskip("colabfold_kernels")
    from colabfold_kernels import packed_attn, transition, tri_mul

    called = []

    def stand_in(module, kernel, reference):
        compute = getattr(module, reference)

        def run(first, *args, **kwargs):
            called.append(kernel)
            kwargs.pop("p_dtype", None)
            results = compute(first, *args, **kwargs)
            return jax.tree.map(lambda one: one.astype(jnp.bfloat16), results)

        monkeypatch.setattr(module, kernel, run)

    stand_in(packed_attn, "ln_projection", "ref_ln_projection")
    stand_in(packed_attn, "packed_attention", "ref_packed_attention")
    stand_in(packed_attn, "output_projection", "ref_output_projection")
    stand_in(tri_mul, "ln_gated_dual_proj", "ref_ln_gdp")
    stand_in(tri_mul, "trimul_epilogue_ln", "ref_trimul_epilogue_ln")
    stand_in(transition, "fused_glu_transition", "ref_glu_transition")
    return called


class TestFusedPair:
    @pytest.mark.parametrize("stack", STACKS)
    @pytest.mark.parametrize(("tokens", "real"), [(24, 20), (23, 23)])
    def test_no_further_from_float32_than_the_engine(self, references, stack, tokens, real):
        run = STACKS[stack]
        reference = run(blocks.engine_config(), tokens, real)
        bfloat16 = blocks.engine_config("all")
        engine = run(bfloat16, tokens, real, "bfloat16")
        ours = with_patch(fused_pair.OPTIMIZATION, ON_GPU, run, bfloat16, tokens, real, "bfloat16")
        assert rms(ours - reference) < 1.05 * rms(engine - reference)
        assert set(references) == {
            "ln_projection",
            "packed_attention",
            "output_projection",
            "ln_gated_dual_proj",
            "trimul_epilogue_ln",
            "fused_glu_transition",
        }

    def test_float32_activations_are_left_to_the_engine(self, references):
        config = blocks.engine_config()
        engine = blocks.pairformer(config, 16, 14)
        ours = with_patch(fused_pair.OPTIMIZATION, ON_GPU, blocks.pairformer, config, 16, 14)
        np.testing.assert_array_equal(ours, engine)
        assert not references

    def test_large_inputs_are_left_to_the_engine(self, references):
        import haiku as hk

        modules = engine_module("model.network.modules")
        utils = engine_module("model.components.utils")
        config = blocks.engine_config("all")
        pair = jax.ShapeDtypeStruct((2049, 2049, 64), "bfloat16")
        mask = jax.ShapeDtypeStruct((2049, 2049), "bfloat16")

        def run(pair, mask):
            with utils.bfloat16_context():
                return modules.PairFormerIteration(
                    config.evoformer.template.template_stack, config.global_config, name="block"
                )(act=pair, pair_mask=mask)

        key = jax.random.PRNGKey(0)
        trace = functools.partial(jax.eval_shape, hk.transform(run).init, key, pair, mask)
        with_patch(fused_pair.OPTIMIZATION, ON_GPU, trace)
        assert set(references) == {"fused_glu_transition"}

    def test_kernels_can_be_built_for_cuda(self, absent_gpu):
        pytest.importorskip("colabfold_kernels")
        import haiku as hk

        modules = engine_module("model.network.modules")
        utils = engine_module("model.components.utils")
        config = blocks.engine_config("all")
        pair, mask = blocks.pair_inputs(64, 60, 128, "bfloat16")

        def run(pair):
            with utils.bfloat16_context():
                return modules.PairFormerIteration(
                    config.evoformer.pairformer, config.global_config, name="block"
                )(act=pair, pair_mask=mask)

        transformed = hk.transform(run)
        key = jax.random.PRNGKey(0)
        weights = jax.eval_shape(transformed.init, key, pair)

        def lower():
            traced = jax.jit(transformed.apply).trace(weights, key, pair)
            return traced.lower(lowering_platforms=("cuda",)).as_text()

        with absent_gpu():
            text = with_patch(fused_pair.OPTIMIZATION, ON_GPU, lower)
        for kernel in ("packed_attention", "ln_gated_dual_proj", "fused_glu_transition"):
            assert kernel in text

    @pytest.mark.parametrize(
        ("version", "reason"),
        [
            (None, f"colabfold-kernels is not installed ({pip_install('kernels')})"),
            ("0.10.1", "it knows colabfold-kernels 0.9, installed is 0.10.1"),
            ("0.9.4", None),
        ],
    )
    def test_package_of_another_release(self, monkeypatch, settings_of, caplog, version, reason):
        others = patching.installed_version
        monkeypatch.setattr(
            patching,
            "installed_version",
            lambda name: version if name == "colabfold-kernels" else others(name),
        )
        with caplog.at_level(logging.INFO):
            states = {one.name: one for one in activate(settings_of(), ON_GPU)}
        assert states["fused_pair_kernels"].active == (reason is None)
        assert states["fused_pair_kernels"].reason == (reason or "")
        levels = [one.levelname for one in caplog.records if "steps aside" in one.message]
        assert levels == ([] if reason is None else ["INFO" if version is None else "WARNING"])


class TestAttentionRows:
    @pytest.mark.parametrize(
        ("tokens", "rows"), [(512, None), (1024, None), (1536, 672), (2048, 512), (5120, 192)]
    )
    def test_rows_at_once(self, tokens, rows):
        assert attention_rows.rows_at_once(tokens) == rows

    def test_all_rows_in_one_piece(self, monkeypatch):
        config = blocks.engine_config()
        modules = engine_module("model.network.modules")
        attention = modules.GridSelfAttention._attention
        seen = set()

        def watched(self, act, *args, **kwargs):
            seen.add(act.shape[0])
            return attention(self, act, *args, **kwargs)

        def run():
            with monkeypatch.context() as patch:
                patch.setattr(modules.GridSelfAttention, "_attention", watched)
                return blocks.pairformer(config, 136, 130)

        engine = run()
        assert {128, 8} <= seen
        seen.clear()
        ours = with_patch(attention_rows.OPTIMIZATION, ON_GPU, run)
        assert seen == {136}
        assert rms(ours - engine) < 2e-6 * rms(engine)

    def test_other_pieces_stay(self):
        modules = engine_module("model.network.modules")
        spec = ((2048, None), (3072, 1024), (None, 512))

        def sizes():
            return [modules.get_shard_size(tokens, spec) for tokens in (100, 3000, 9000)]

        assert with_patch(attention_rows.OPTIMIZATION, ON_GPU, sizes) == [None, 1024, 512]

    @pytest.mark.parametrize(("attention", "wanted"), [("xla", False), ("cudnn", True)])
    def test_only_where_no_logits_are_written(self, attention, wanted):
        context = Context(backend="gpu", attention=attention)
        assert attention_rows.OPTIMIZATION.wanted(context) == wanted


class TestDiffusionAttention:
    def test_engine_without_tokamax(self, monkeypatch):
        monkeypatch.setattr(patching, "installed_version", lambda _name: None)
        assert diffusion_attention.OPTIMIZATION.obstacle() == "tokamax is not installed"
        monkeypatch.setattr(patching, "installed_version", lambda _name: "9.9")
        assert diffusion_attention.OPTIMIZATION.obstacle() is None

    def test_no_further_from_float32_than_the_engine(self):
        reference = sampler_blocks("float32")
        engine = sampler_blocks("bfloat16")
        context = Context(backend="gpu", attention="xla")
        ours = with_patch(diffusion_attention.OPTIMIZATION, context, sampler_blocks, "bfloat16")
        assert not np.array_equal(ours, engine)
        assert rms(ours - reference) < 1.05 * rms(engine - reference)

    def test_float32_and_the_single_track_are_left_to_the_engine(self):
        engine = sampler_blocks("float32")
        run = with_patch(diffusion_attention.OPTIMIZATION, ON_GPU, sampler_blocks, "float32")
        np.testing.assert_array_equal(run, engine)
        config = blocks.engine_config("all")
        single = blocks.pairformer(config, 16, 14, "bfloat16")
        patched = with_patch(
            diffusion_attention.OPTIMIZATION, ON_GPU, blocks.pairformer, config, 16, 14, "bfloat16"
        )
        np.testing.assert_array_equal(patched, single)
