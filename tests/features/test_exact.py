"""Shared featurisation gives the engine's own bits: all example kinds, seeds, sizes, failures."""

import dataclasses

import pytest

from af3opt.settings.upstream import DEFAULT_BUCKETS
from tests.features.batches import assert_same_batch
from tests.features.conftest import EXAMPLES, load_example, protein_input

pytestmark = pytest.mark.engine


def _engine_batches(fold_input, ccd, options):
    from af3opt.engine.modules import engine_module

    featurise_input = engine_module("data.featurisation").featurise_input
    return featurise_input(fold_input=fold_input, ccd=ccd, **options.arguments_for(featurise_input))


def _assert_bit_identical(fold_input, options, threads=2):
    from af3opt.engine.inputs import make_ccd
    from af3opt.features.featurise import featurise

    ccd = make_ccd(fold_input.user_ccd)
    theirs = _engine_batches(fold_input, ccd, options)
    ours = list(featurise(fold_input, fold_input.rng_seeds, ccd, options, threads=threads))
    assert [seed for seed, _ in ours] == list(fold_input.rng_seeds)
    for (_, mine), reference in zip(ours, theirs, strict=True):
        assert_same_batch(mine, reference)


def _options(**changes):
    import datetime

    from af3opt.features.options import FeatureOptions

    values = {"buckets": DEFAULT_BUCKETS, "ref_max_modified_date": datetime.date(2021, 9, 30)}
    return FeatureOptions(**(values | changes))


def test_both_engines_are_recognised(engine):
    from af3opt.features.featurisation import unknown_function

    assert unknown_function() is None


@pytest.mark.slow
@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_and_seed(engine, name):
    for fold_input in load_example(name):
        _assert_bit_identical(fold_input, _options())


@pytest.mark.slow
@pytest.mark.parametrize("bucket", DEFAULT_BUCKETS)
def test_buckets(engine, bucket):
    (fold_input,) = load_example("protein_ligand_ccd", seeds=(4,))
    _assert_bit_identical(fold_input, _options(buckets=(bucket,)))


def test_no_bucket_and_a_bucket_that_is_too_small(engine):
    (fold_input,) = load_example("modified_residue", seeds=(4,))
    _assert_bit_identical(fold_input, _options(buckets=None))
    _assert_bit_identical(fold_input, _options(buckets=(8,)))


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [
        {"conformer_max_iterations": 5},
        {"resolve_msa_overlaps": False},
        {"fix_standalone_glycans": True},
    ],
    ids=lambda change: next(iter(change)),
)
def test_options(engine, change):
    (fold_input,) = load_example("glycan", seeds=(1, 2))
    _assert_bit_identical(fold_input, _options(**change))


@pytest.mark.slow
def test_paired_alignments(engine):
    _assert_bit_identical(protein_input((40, 30), 60, (1, 2), paired=True), _options())


@pytest.fixture
def no_known_conformers():
    """Forgets conformers, and those that the test has made."""
    from af3opt.features.conformers import conformer_memory

    conformer_memory.cache_clear()
    yield
    conformer_memory.cache_clear()


@pytest.mark.usefixtures("no_known_conformers")
def test_embedding_that_fails_for_some_seeds(engine, monkeypatch):
    """Where RDKit finds no conformer, the dictionary's coordinates and atoms stand in."""
    from af3opt.engine.modules import engine_module

    rdkit_utils = engine_module("data.tools.rdkit_utils")
    embed = rdkit_utils.get_random_conformer

    def sometimes(*, mol, random_seed, max_iterations, logging_name):
        if random_seed % 3 == 0:
            return None
        return embed(
            mol=mol,
            random_seed=random_seed,
            max_iterations=max_iterations,
            logging_name=logging_name,
        )

    monkeypatch.setattr(rdkit_utils, "get_random_conformer", sometimes)
    # The digest of the function in place is no longer the engine's.
    monkeypatch.setattr("af3opt.features.featurise.unknown_function", lambda: None)
    for name in ("protein_ligand_smiles", "modified_residue"):
        for fold_input in load_example(name, seeds=(1, 2, 3)):
            _assert_bit_identical(fold_input, _options())


def test_an_unknown_engine_function_leaves_featurisation_to_the_engine(engine, monkeypatch, caplog):
    monkeypatch.setattr("af3opt.features.featurise.unknown_function", lambda: "model.features.one")
    (fold_input,) = load_example("ubiquitin", seeds=(1, 2))
    _assert_bit_identical(dataclasses.replace(fold_input), _options())
    assert caplog.text.count("steps aside: model.features.one") == 1


def test_shared_arrays_cannot_be_written_into(engine):
    from af3opt.engine.inputs import make_ccd
    from af3opt.features.featurise import featurise

    (fold_input,) = load_example("ubiquitin", seeds=(1, 2))
    first, second = (
        batch for _, batch in featurise(fold_input, (1, 2), make_ccd(), _options(), threads=1)
    )
    assert first["msa"] is second["msa"]
    with pytest.raises(ValueError, match="read-only"):
        first["msa"][0] = 0


def test_the_engine_is_as_it_was_afterwards(engine):
    from af3opt.engine.modules import engine_module
    from af3opt.features.feature_patches import fast_loops

    layout = engine_module("model.atom_layout.atom_layout")
    before = (layout.compute_gather_idxs, layout.AtomLayout.to_array)
    with fast_loops():
        assert layout.compute_gather_idxs is not before[0]
    assert (layout.compute_gather_idxs, layout.AtomLayout.to_array) == before
