"""Equal template slots embedded once."""

import numpy as np
import pytest

pytest.importorskip("jax")

import jax
import jax.numpy as jnp

from af3opt.data.bootstrap import bootstrap_engine
from af3opt.engine.modules import engine_module
from af3opt.engine.patching import PatchSet
from af3opt.optimizations.base import Context
from af3opt.optimizations.template_slots import OPTIMIZATION
from tests.optimizations import blocks

pytestmark = pytest.mark.engine

TOKENS, ATOMS = 7, 24
EMPTY = -1


def templates_of(kinds):
    """Templates by kind: equal kinds are equal templates, EMPTY is none."""
    shape = (len(kinds), TOKENS, ATOMS)
    aatype = np.zeros(shape[:2], np.int32)
    positions, mask = np.zeros((*shape, 3), np.float32), np.zeros(shape, bool)
    for slot, kind in enumerate(kinds):
        if kind != EMPTY:
            random = np.random.default_rng(kind)
            aatype[slot] = random.integers(0, 20, TOKENS)
            positions[slot] = 10 * random.standard_normal((*shape[1:], 3))
            mask[slot, : TOKENS - 2] = True
    fields = {"aatype": aatype, "atom_positions": positions, "atom_mask": mask}
    return engine_module("model.features").Templates(
        **{name: jnp.asarray(values) for name, values in fields.items()}
    )


def embedding(kinds, dtype):
    """The embedding, the next random key, and how often a template was embedded."""
    import haiku as hk

    module = engine_module("model.network.template_modules")
    utils = engine_module("model.components.utils")
    config = blocks.engine_config("all" if dtype == "bfloat16" else "none")
    templates = templates_of(kinds)
    pair, mask = blocks.pair_inputs(TOKENS, TOKENS - 1, 128, dtype)
    single = module.SingleTemplateEmbedding.__call__
    runs = []

    def counted(self, *args, **kwargs):
        jax.debug.callback(lambda: runs.append(1))
        return single(self, *args, **kwargs)

    def run(pair, templates):
        with utils.bfloat16_context():
            result = module.TemplateEmbedding(config.evoformer.template, config.global_config)(
                query_embedding=pair,
                templates=templates,
                padding_mask_2d=mask,
                multichain_mask_2d=jnp.ones_like(mask),
                key=jax.random.PRNGKey(5),
            )
        # What the model draws afterwards.
        return result, hk.next_rng_key()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module.SingleTemplateEmbedding, "__call__", counted)
        result, key = blocks.run_block(run, pair, templates)
        jax.effects_barrier()
    return result, key, len(runs)


@pytest.mark.parametrize(
    ("kinds", "embedded", "dtype"),
    [
        ((EMPTY,) * 4, 1, "float32"),
        ((EMPTY,) * 4, 1, "bfloat16"),
        ((1, EMPTY, EMPTY, EMPTY), 2, "bfloat16"),
        ((1, 1, 2, 2), 2, "float32"),
        ((1, EMPTY, 1, 2), 4, "float32"),
    ],
)
def test_equal_neighbours_are_embedded_once(prepared_home, kinds, embedded, dtype):
    bootstrap_engine()
    if not OPTIMIZATION.needed():
        pytest.skip("this engine does it itself")
    reference, key, runs = embedding(kinds, dtype)
    assert runs == 4
    assert OPTIMIZATION.obstacle() is None
    with PatchSet([OPTIMIZATION], Context(backend="cpu")):
        ours, our_key, our_runs = embedding(kinds, dtype)
    assert our_runs == embedded
    np.testing.assert_array_equal(our_key, key)
    np.testing.assert_array_equal(ours, reference)
