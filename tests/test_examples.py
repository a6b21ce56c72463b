"""The example inputs: what they cover, and that the engine accepts and featurises each."""

import json
import re

import pytest

from tests.conftest import REPOSITORY

EXAMPLES = sorted((REPOSITORY / "examples").glob("*.json"))
_KINDS = {
    "ubiquitin": '"protein"',
    "protein_protein": '"B"',
    "protein_ligand_ccd": '"ccdCodes"',
    "protein_ligand_smiles": '"smiles"',
    "dna_duplex": '"dna"',
    "rna_hairpin": '"rna"',
    "modified_residue": '"ptmType"',
    "glycan": '"bondedAtomPairs"',
    "zinc_finger_ion": '"ZN"',
    "template_given": '"queryIndices"',
    "msa_given": ">query",
    "several_seeds": "3",
    "user_ccd_ligand": '"userCCD"',
    "alphafold_server": '"alphafoldserver"',
}


def test_every_kind_of_entity_has_an_example():
    assert {path.stem for path in EXAMPLES} == set(_KINDS)
    for path in EXAMPLES:
        assert _KINDS[path.stem] in path.read_text(), path.name


def test_the_readme_lists_exactly_the_examples_there_are():
    text = (REPOSITORY / "examples" / "README.md").read_text()
    listed = set(re.findall(r"^\| `(\w+\.json)`", text, flags=re.MULTILINE))
    assert listed == {path.name for path in EXAMPLES}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_nothing_has_to_be_searched(path):
    jobs = json.loads(path.read_text())
    for job in jobs if isinstance(jobs, list) else [jobs]:
        for entity in job["sequences"]:
            if "protein" in entity:
                assert entity["protein"].keys() >= {"unpairedMsa", "pairedMsa", "templates"}
            if "rna" in entity:
                assert "unpairedMsa" in entity["rna"]
            assert not {"proteinChain", "rnaSequence"}.intersection(entity)


@pytest.mark.engine
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_engine_featurises_it(path, prepared_home):
    from af3opt.data.bootstrap import bootstrap_engine
    from af3opt.engine.inputs import load_fold_inputs, make_ccd
    from af3opt.features.engine_features import featurise_with_engine
    from af3opt.features.options import FeatureOptions
    from af3opt.settings.settings import resolve_settings

    bootstrap_engine()
    settings = resolve_settings([f"--json_path={path}", "--output_dir=unused"], {})
    for fold_input in load_fold_inputs(path):
        ccd = make_ccd(fold_input.user_ccd)
        options = FeatureOptions.from_settings(settings, (128,))
        batch = featurise_with_engine(fold_input, fold_input.rng_seeds[0], ccd, options)
        tokens = int(batch["seq_mask"].sum())
        assert 20 <= tokens <= 100
        # A component without a conformer would have all its atoms at the origin.
        assert batch["ref_pos"][batch["ref_mask"].astype(bool)].any(axis=-1).mean() > 0.9
