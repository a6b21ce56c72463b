"""Layers of the diffusion transformer whose weights are arrays of their own."""

import re

import numpy as np
import pytest

pytest.importorskip("jax")

import jax
import jax.numpy as jnp

from af3opt.data.bootstrap import bootstrap_engine
from af3opt.engine.modules import engine_module
from af3opt.engine.patching import PatchSet
from af3opt.inference.model_inputs import model_parameters
from af3opt.optimizations.base import Context
from af3opt.optimizations.diffusion_transformer import LAYERS, PRODUCTS
from af3opt.optimizations.separate_layers import (
    LARGE_PRODUCTS,
    operands_to_join,
    with_separate_layers,
)
from tests.optimizations import blocks

BLOCKS, LAYERS_OF_A_BLOCK = 2, 3
STACK = "__layer_stack_with_per_layer"
TRANSFORMER = "diffuser/~/diffusion_head/transformer"
PREFIX = f"{TRANSFORMER}/{STACK}/{STACK}/transformer"


def stacked_parameters():
    """A transformer of six small layers, and something else."""
    random = np.random.default_rng(0)

    def draw(*shape):
        values = random.standard_normal((BLOCKS, LAYERS_OF_A_BLOCK, *shape))
        return jnp.asarray(values, jnp.float32)

    return {
        "diffuser/other": {"weights": jnp.ones((4, 5))},
        f"{TRANSFORMER}/pair_input_layer_norm": {"scale": jnp.ones(8)},
        f"{PREFIX}q_projection": {"weights": draw(8, 2, 4), "bias": draw(2, 4)},
        f"{PREFIX}k_projection": {"weights": draw(8, 2, 4)},
        f"{PREFIX}v_projection": {"weights": draw(8, 2, 4)},
        f"{PREFIX}gating_query": {"weights": draw(8, 8)},
        f"{PREFIX}transition2": {"weights": draw(8, 8)},
        f"{PREFIX}ffw_transition1": {"weights": draw(8, 32)},
        f"{PREFIX}ffw_transition2": {"weights": draw(16, 8)},
    }


def test_each_layer_has_its_own_weights():
    stacked = stacked_parameters()
    separate = with_separate_layers(stacked)
    assert {name: separate[name] for name in stacked} == stacked
    assert len(separate) == len(stacked) + BLOCKS * LAYERS_OF_A_BLOCK
    for layer in range(BLOCKS * LAYERS_OF_A_BLOCK):
        place = divmod(layer, LAYERS_OF_A_BLOCK)
        ours = separate[f"{TRANSFORMER}/layer_{layer}"]
        inputs = [
            np.reshape(stacked[f"{PREFIX}{name}"]["weights"][place], (8, 8))
            for name in ("q_projection", "k_projection", "v_projection", "gating_query")
        ]
        np.testing.assert_array_equal(ours["attention_input"], np.concatenate(inputs, axis=-1))
        for name in ("transition2", "ffw_transition1", "ffw_transition2"):
            np.testing.assert_array_equal(ours[name], stacked[f"{PREFIX}{name}"]["weights"][place])
        assert len(ours) == 4


def test_what_is_joined_already_is_not_copied():
    stacked = {
        scope: {name: np.asarray(array) for name, array in named.items()}
        for scope, named in stacked_parameters().items()
    }
    (operand,) = operands_to_join(stacked)
    assert (operand.scope, operand.product) == (TRANSFORMER, "attention_input")
    ready = np.stack([np.array(layer) for layer in operand.by_layer()])
    assert (ready.shape, ready.dtype) == (operand.shape, operand.dtype)
    expected = with_separate_layers(stacked_parameters())
    separate = with_separate_layers(
        stacked_parameters(), {TRANSFORMER: {"attention_input": -ready}}
    )
    for layer in range(BLOCKS * LAYERS_OF_A_BLOCK):
        ours = separate[f"{TRANSFORMER}/layer_{layer}"]["attention_input"]
        theirs = expected[f"{TRANSFORMER}/layer_{layer}"]["attention_input"]
        np.testing.assert_array_equal(ours, -theirs)


def test_nothing_is_joined_of_other_models_or_mixed_types():
    stacked = jax.tree.map(np.asarray, stacked_parameters())
    half = stacked[f"{PREFIX}k_projection"]["weights"].astype(np.float16)
    mixed = {**stacked, f"{PREFIX}k_projection": {"weights": half}}
    assert operands_to_join(mixed) == []
    assert operands_to_join({"diffuser/other": stacked["diffuser/other"]}) == []


def test_shapes_alone_give_the_same_structure():
    stacked = stacked_parameters()
    shapes = jax.tree.map(lambda array: jax.ShapeDtypeStruct(array.shape, array.dtype), stacked)
    expected = jax.tree.map(
        lambda array: jax.ShapeDtypeStruct(array.shape, array.dtype), with_separate_layers(stacked)
    )
    assert with_separate_layers(shapes) == expected


def test_parameters_without_the_transformer_stay():
    stacked = stacked_parameters()
    del stacked[f"{PREFIX}gating_query"]
    assert with_separate_layers(stacked) is stacked
    assert with_separate_layers({"diffuser/other": {}}) == {"diffuser/other": {}}


def test_only_for_the_optimisations_that_read_them():
    stacked = stacked_parameters()
    assert model_parameters(stacked, ("msa_depth",)) is stacked
    for optimization in (LAYERS, PRODUCTS):
        assert f"{TRANSFORMER}/layer_0" in model_parameters(stacked, (optimization.name,))


@pytest.mark.engine
@pytest.mark.parametrize("tokens", [12, 16])
def test_the_transformer_reads_them(prepared_home, tokens):
    """Same result to the bit, nothing copied, and the stacked weights are no longer read."""
    import haiku as hk

    bootstrap_engine()
    config = blocks.engine_config()
    config.heads.diffusion.transformer.num_blocks = 4
    network = engine_module("model.network.diffusion_transformer")
    random = np.random.default_rng(1)
    act = jnp.asarray(random.standard_normal((tokens, 768)), jnp.float32)
    single_cond = jnp.asarray(random.standard_normal((tokens, 384)), jnp.float32)
    pair_cond, mask = blocks.pair_inputs(tokens, tokens - 2, 128)

    def run(act, single_cond, pair_cond):
        with hk.name_scope("diffusion_head"):
            module = network.Transformer(config.heads.diffusion.transformer, config.global_config)
            return module(act=act, mask=mask[0], single_cond=single_cond, pair_cond=pair_cond)

    transformed = hk.transform(run)
    arguments = (jax.random.PRNGKey(0), act, single_cond, pair_cond)
    shapes = jax.eval_shape(transformed.init, *arguments)
    weights = blocks.random_weights(shapes)
    separate = with_separate_layers(weights)
    assert separate is not weights
    large = {layer for layers in LARGE_PRODUCTS.values() for layer in layers}
    spoilt = {
        scope: {
            name: jnp.zeros_like(array)
            if scope.endswith(tuple(f"/transformer{layer}" for layer in large))
            and name == "weights"
            else array
            for name, array in named.items()
        }
        for scope, named in separate.items()
    }
    with PatchSet([LAYERS], Context(backend="cpu")):
        apply = jax.jit(transformed.apply)
        from_stacked, from_separate, from_spoilt = (
            np.asarray(apply(parameters, *arguments)) for parameters in (weights, separate, spoilt)
        )
        program = apply.lower(separate, *arguments).compile().as_text()
    np.testing.assert_array_equal(from_separate, from_stacked)
    np.testing.assert_array_equal(from_spoilt, from_separate)
    # What has the shape of a layer's weights is given to the program, or to a part of it.
    operands = separate["diffusion_head/transformer/layer_3"].values()
    shapes = "|".join(",".join(map(str, operand.shape)) for operand in operands)
    made_by = set(re.findall(rf" = f32\[(?:{shapes})\]\S* ([\w-]+)\(", program))
    assert made_by
    assert made_by <= {"parameter", "get-tuple-element", "bitcast"}
