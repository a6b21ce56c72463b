"""MSA rows trimmed to those that hold something."""

import numpy as np
import pytest

from af3opt.optimizations.msa_depth import MSA_DEPTH, trim_msa


def batch_of(rows, real, tokens=5):
    mask = np.zeros((rows, tokens), np.int8)
    mask[list(real), 0] = 1
    random = np.random.default_rng(0)
    return {
        "msa": random.integers(0, 20, (rows, tokens)),
        "msa_mask": mask,
        "deletion_matrix": random.integers(0, 3, (rows, tokens)),
        "aatype": np.zeros(tokens),
    }


@pytest.mark.parametrize(
    ("real", "depth"),
    [([0], 16), (range(16), 16), (range(17), 128), (range(300), 512), ([0, 200], 512), ([], 16)],
)
def test_rows_are_rounded_up_and_none_with_content_is_lost(real, depth):
    batch = batch_of(1024, real)
    trimmed = trim_msa(batch)
    for name in ("msa", "msa_mask", "deletion_matrix"):
        np.testing.assert_array_equal(trimmed[name], batch[name][:depth])
    assert trimmed["aatype"] is batch["aatype"]
    assert trimmed["msa_mask"].sum() == batch["msa_mask"].sum()


@pytest.mark.parametrize(("rows", "real"), [(1024, range(600)), (8, range(3))])
def test_deep_or_short_msas_are_left_alone(rows, real):
    assert trim_msa(batch_of(rows, real))["msa"].shape[0] == rows


@pytest.mark.engine
def test_shuffled_and_truncated_rows_are_those_of_the_whole_msa(prepared_home):
    import jax

    from af3opt.data.bootstrap import bootstrap_engine
    from af3opt.engine.modules import engine_module
    from af3opt.engine.patching import PatchSet
    from af3opt.optimizations.base import Context

    bootstrap_engine()
    featurization = engine_module("model.network.featurization")
    msa_type = engine_module("model.features").MSA

    def rows_seen(batch):
        tokens = batch["msa"].shape[1]
        numbers = {"profile": np.zeros((tokens, 31)), "deletion_mean": np.zeros(tokens)}
        msa = msa_type.from_data_dict({**batch, **numbers, "num_alignments": np.array(3)})
        msa, _ = featurization.shuffle_msa(jax.random.PRNGKey(7), jax.tree.map(np.asarray, msa))
        msa = featurization.truncate_msa_batch(msa, 1024)
        return np.asarray(msa.rows), np.asarray(msa.mask)

    batch = batch_of(2048, range(11))
    rows, mask = rows_seen(batch)
    assert MSA_DEPTH.obstacle() is None
    with PatchSet([MSA_DEPTH], Context(backend="cpu")):
        trimmed_rows, trimmed_mask = rows_seen(trim_msa(batch))
    assert trimmed_rows.shape[0] == 16
    np.testing.assert_array_equal(trimmed_rows[:11], rows[:11])
    np.testing.assert_array_equal(trimmed_mask, mask[:16])
    assert not mask[11:].any()
