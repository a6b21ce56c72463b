"""What stands in for engine code: alignments, conformer stores, and where a seed goes."""

import textwrap

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from af3opt.engine.seed_flow import seed_reaches_only_conformers
from af3opt.features.feature_patches import parse_alignment
from tests.features.conftest import load_example

_LETTERS = {letter: number for number, letter in enumerate("ARNDCQEGHILKMFPSTWYVX-")}


def _letter_by_letter(rows):
    """The definition: a residue's deletions are the lower-case letters before it."""
    parsed, deletions = [], []
    for row in rows:
        parsed.append([])
        deletions.append([])
        skipped = 0
        for letter in row:
            if letter in _LETTERS:
                parsed[-1].append(_LETTERS[letter])
                deletions[-1].append(skipped)
                skipped = 0
            else:
                skipped += 1
    return np.array(parsed, np.int32), np.array(deletions, np.int32)


@settings(max_examples=200, deadline=None)
@given(st.data(), st.integers(1, 6), st.integers(1, 8))
def test_alignments_are_parsed_as_defined(data, width, depth):
    insertion = st.text("abcxyz", max_size=3)
    rows = []
    for _ in range(depth):
        letters = data.draw(
            st.lists(st.sampled_from(sorted(_LETTERS)), min_size=width, max_size=width)
        )
        rows.append(
            "".join(data.draw(insertion) + letter for letter in letters) + data.draw(insertion)
        )
    parsed, deletions = parse_alignment(rows, _LETTERS)
    expected, expected_deletions = _letter_by_letter(rows)
    assert parsed.dtype == deletions.dtype == np.int32
    assert np.array_equal(parsed, expected)
    assert np.array_equal(deletions, expected_deletions)


@pytest.mark.parametrize(
    "rows", [["ACD", "AC"], ["AC", "ACD", "A"], ["ACD", "A*D"], ["ACD", "AéD"], ["AC", "A1C"]]
)
def test_irregular_alignments_are_left_to_the_engine(rows):
    assert parse_alignment(rows, _LETTERS) is None


def _method(tmp_path, body, name):
    source = tmp_path / f"{name}.py"
    source.write_text(
        "import numpy as np\nfeatures = None\n\n"
        "def process_structure(self, struct, random_state, random_seed=None):\n"
        + textwrap.indent(textwrap.dedent(body), "    ")
    )
    namespace = {}
    exec(compile(source.read_text(), str(source), "exec"), namespace)
    return namespace["process_structure"]


def test_a_seed_that_reaches_only_conformers_is_recognised(tmp_path):
    method = _method(
        tmp_path,
        """
        if random_seed is None:
            random_seed = random_state.randint(2**31)
        random_state = np.random.RandomState(seed=random_seed)
        name = f"{struct.name}, random_seed={random_seed}"
        return features.RefStructure.compute_features(struct, random_state=random_state)
        """,
        "harmless",
    )
    assert seed_reaches_only_conformers(method)


@pytest.mark.parametrize(
    "use",
    ["features.MSA.compute_features(random_state)", "random_seed + 1", "other(random_seed)"],
)
def test_a_seed_that_reaches_anything_else_is_not(tmp_path, use):
    method = _method(tmp_path, f"return {use}\n", "harmful")
    assert not seed_reaches_only_conformers(method)


@pytest.mark.engine
@pytest.mark.slow
def test_filled_conformers_leave_nothing_to_embed(engine, tmp_path, monkeypatch):
    from af3opt.caching.manager import CacheManager
    from af3opt.engine.inputs import make_ccd
    from af3opt.engine.modules import engine_module
    from af3opt.features.cache import FeatureCache
    from af3opt.features.conformer_fill import fill_conformers
    from af3opt.features.conformer_store import ConformerStore
    from af3opt.features.conformers import conformer_memory
    from af3opt.features.featurise import featurise
    from af3opt.features.options import FeatureOptions
    from tests.features.batches import assert_same_batch

    (fold_input,) = load_example("zinc_finger_ion", seeds=(5,))
    options = FeatureOptions(buckets=(128,))
    ((_, expected),) = featurise(fold_input, (5,), make_ccd(), options)
    conformer_memory.cache_clear()
    store = ConformerStore(CacheManager("conformer cache", tmp_path / "conformers"))
    residues = sum(len(chain.sequence) for chain in fold_input.chains if hasattr(chain, "sequence"))
    assert dict(fill_conformers(store, (5,), residues)) == {5: 20 * residues}

    rdkit_utils = engine_module("data.tools.rdkit_utils")
    embed, embedded = rdkit_utils.get_random_conformer, []

    def watched(**arguments):
        embedded.append(arguments["logging_name"])
        return embed(**arguments)

    monkeypatch.setattr(rdkit_utils, "get_random_conformer", watched)
    conformer_memory.cache_clear()
    cache = FeatureCache(CacheManager("feature cache", tmp_path / "features"), store)
    ((_, batch),) = featurise(fold_input, (5,), make_ccd(), options, cache=cache)
    assert_same_batch(batch, expected)
    assert set(embedded) <= {"ZN"}


# Whose rings are large, and amino acids, nucleotides, ligands and an ion.
_MACROCYCLES = ("ERY", "FK5")
_OTHERS = ("ALA", "ARG", "TRP", "PRO", "MSE", "A", "DT", "ATP", "NAG", "GOL", "ZN")


@pytest.mark.engine
@pytest.mark.slow
@pytest.mark.parametrize("name", [*_MACROCYCLES, *_OTHERS])
@pytest.mark.parametrize("max_iterations", [None, 2])
def test_conformers_are_those_of_the_engine(engine, name, max_iterations):
    from af3opt.engine.inputs import make_ccd
    from af3opt.engine.modules import engine_module
    from af3opt.features.components import make_component
    from af3opt.features.embedding import embedding_known, needs_macrocycles

    assert embedding_known()
    component = make_component(name, make_ccd(), None)
    assert needs_macrocycles(component.molecule) == (name in _MACROCYCLES)
    get_random_conformer = engine_module("data.tools.rdkit_utils").get_random_conformer
    for seed in (1, 2_000_000_011):
        conformer = get_random_conformer(
            mol=component.molecule,
            random_seed=seed,
            max_iterations=max_iterations,
            logging_name=name,
        )
        mine = component.embed(seed, max_iterations)
        if conformer is None:
            assert mine is None
        else:
            assert mine.tobytes() == conformer.GetPositions().astype(np.float32).tobytes()


@pytest.mark.engine
def test_what_rdkit_cannot_embed_has_no_conformer(engine, caplog):
    from rdkit.Chem import MolFromSmiles

    from af3opt.features.embedding import embed, needs_macrocycles

    strained = MolFromSmiles("C1C2CC1=C2")
    assert not needs_macrocycles(strained)
    for macrocycles in (True, False):
        assert embed(strained, 1, None, "XYZ", macrocycles=macrocycles) is None
        assert "Failed to generate conformer for: XYZ" in caplog.text
        caplog.clear()
