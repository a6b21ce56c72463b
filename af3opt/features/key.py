"""Keys of cached features: everything that decides their bits."""

import importlib.metadata
from collections.abc import Iterator, Mapping

from af3opt.base.json_types import Json, JsonObject
from af3opt.base.key import CacheKey, json_digest
from af3opt.engine.discovery import find_engine
from af3opt.engine.modules import engine_module
from af3opt.engine.protocols import ComponentDictionary, FoldInput
from af3opt.features.embedding import embedding_known
from af3opt.features.feature_patches import fast_loop_names
from af3opt.features.featurisation import unknown_function
from af3opt.features.options import FeatureOptions
from af3opt.features.own_material import own_material


class FeatureKey:
    """Identity of the features of one input under one set of options.

    The padded size is part of it, but known only once the input has been
    tokenised; so a small entry remembers the number of tokens of the input, and
    another list of buckets that pads to the same size finds the same features.
    """

    def __init__(
        self, fold_input: FoldInput, ccd: ComponentDictionary, options: FeatureOptions
    ) -> None:
        """Digests an input.

        Args:
            fold_input: The engine's input with MSAs and templates read in.
            ccd: The job's chemical component dictionary.
            options: Featurisation options.
        """
        self.options = options
        self._material: JsonObject = {
            "name": fold_input.name,
            "input": json_digest(canonical_input(fold_input)),
            "components": json_digest(dict(_components(fold_input, ccd))),
            "component_sets": json_digest(_component_sets()),
            "options": dict(options.material()),
            **environment_material(),
        }

    def tokens(self) -> CacheKey:
        """Key of the entry that remembers the number of tokens."""
        return CacheKey.of({"kind": "tokens", **self._material})

    def shared(self, padded_tokens: int) -> CacheKey:
        """Key of the features that no seed changes."""
        return CacheKey.of({"kind": "features", **self._material, "padded_tokens": padded_tokens})

    def seed(self, padded_tokens: int, seed: int) -> CacheKey:
        """Key of the features of one seed."""
        return CacheKey.of(
            {
                "kind": "seed features",
                **self._material,
                "padded_tokens": padded_tokens,
                "seed": seed,
                "conformer_max_iterations": self.options.conformer_max_iterations,
            }
        )


def environment_material() -> JsonObject:
    """The part of a key that does not concern the input: the software that computes."""
    return {
        **own_material(),
        "versions": {
            "engine": find_engine().fingerprint,
            "rdkit": importlib.metadata.version("rdkit"),
            "numpy": importlib.metadata.version("numpy"),
        },
        # Equal bits are tested, not proven, for what stands in for engine code.
        "stand_ins": [] if unknown_function() else _stand_ins(),
    }


def _stand_ins() -> list[str]:
    embedding = ["embedding"] if embedding_known() else []
    return ["reference structure", *embedding, *fast_loop_names()]


def canonical_input(fold_input: FoldInput) -> Mapping[str, Json]:
    """An input as plain JSON, without its name and seeds.

    Alignments and templates are in it as text, wherever the input file had them.
    Chains keep their order and names, which decide token order and chain numbers.
    """
    return {
        "chains": [chain.to_dict(seq_id=chain.id) for chain in fold_input.chains],
        "bonded_atom_pairs": fold_input.bonded_atom_pairs,
        "user_ccd": fold_input.user_ccd,
    }


def _components(
    fold_input: FoldInput, ccd: ComponentDictionary
) -> Iterator[tuple[str, JsonObject]]:
    """Yields the dictionary's entries that can matter to an input."""
    residue_names = engine_module("constants.residue_names")
    codes = {
        *residue_names.PROTEIN_TYPES_WITH_UNKNOWN,
        *residue_names.NUCLEIC_TYPES_WITH_2_UNKS,
        residue_names.MSE,
    }
    for chain in fold_input.chains:
        if hasattr(chain, "to_ccd_sequence"):
            codes.update(chain.to_ccd_sequence())
        codes.update(getattr(chain, "ccd_ids", None) or ())
    for code in sorted(codes):
        entry = ccd.get(code)
        if entry is not None:
            yield code, {name: list(values) for name, values in entry.items()}


def _component_sets() -> list[list[str]]:
    sets = engine_module("constants.chemical_component_sets")
    return [sorted(sets.GLYCAN_LINKING_LIGANDS), sorted(sets.GLYCAN_OTHER_LIGANDS)]
