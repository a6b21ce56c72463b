"""Atom slots trimmed to those that hold an atom."""

import numpy as np
import pytest

from af3opt.optimizations.atom_slots import trim_atom_slots


def batch_of(tokens, atoms, per_subset=32, window=128):
    """Layouts of `atoms` atoms in a row, as the engine makes them for 24 slots a token."""
    subsets = tokens * 24 // per_subset
    real = np.arange(subsets * per_subset) < atoms
    starts = np.arange(subsets) * per_subset + per_subset // 2 - window // 2
    keys = np.clip(starts, 0, max(atoms - window, 0))[:, None] + np.arange(window)
    back = np.full(tokens * 24, subsets * per_subset - 1)
    back[:atoms] = np.arange(atoms)
    queries = np.arange(subsets * per_subset).reshape(subsets, per_subset)
    kept = real.reshape(subsets, per_subset)
    batch = {
        "aatype": np.zeros(tokens),
        "token_atoms_to_queries:gather_idxs": queries,
        "token_atoms_to_queries:gather_mask": np.ones_like(kept),
        "tokens_to_queries:gather_idxs": queries // 24,
        "tokens_to_queries:gather_mask": kept,
        "tokens_to_keys:gather_idxs": keys // 24,
        "tokens_to_keys:gather_mask": keys < atoms,
        "queries_to_keys:gather_idxs": np.where(keys < atoms, keys, 0),
        "queries_to_keys:gather_mask": keys < atoms,
        "queries_to_keys:input_shape": np.array([subsets, per_subset]),
        "queries_to_token_atoms:gather_idxs": back.reshape(tokens, 24),
        "queries_to_token_atoms:gather_mask": np.ones((tokens, 24), bool),
        "queries_to_token_atoms:input_shape": np.array([subsets, per_subset]),
    }
    return batch


@pytest.mark.parametrize(
    ("atoms", "subsets"), [(600, 23), (23 * 32, 23), (23 * 32 + 1, 30), (1000, 40), (1281, 60)]
)
def test_subsets_are_rounded_up_and_none_with_an_atom_is_lost(atoms, subsets):
    batch = batch_of(80, atoms)
    trimmed = trim_atom_slots(batch)
    assert trimmed["tokens_to_queries:gather_mask"].shape == (subsets, 32)
    assert trimmed["tokens_to_queries:gather_mask"].sum() == atoms
    assert trimmed["queries_to_keys:gather_idxs"].shape == (subsets, 128)
    assert list(trimmed["queries_to_keys:input_shape"]) == [subsets, 32]
    kept = trimmed["queries_to_token_atoms:gather_mask"].ravel()
    assert kept[:atoms].all()
    assert trimmed["queries_to_token_atoms:gather_idxs"].max() < subsets * 32


def test_unknown_layouts_are_left_alone(caplog):
    batch = batch_of(80, 600)
    del batch["tokens_to_keys:gather_mask"]
    assert trim_atom_slots(batch) == batch
    assert "atom_slots steps aside: the features have no tokens_to_keys" in caplog.text
    # A window of an atom that would be cut off.
    batch = batch_of(80, 600)
    batch["queries_to_keys:gather_idxs"][0, 0] = 1500
    assert trim_atom_slots(batch)["tokens_to_queries:gather_mask"].shape == (60, 32)
