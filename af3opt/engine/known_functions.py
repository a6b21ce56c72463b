"""The functions of the engine that af3opt replaces or relies on, by release.

Each source stands here once, as its `source_digest` with the releases that have it. Those of
DeepMind's releases were taken from the sources that it publishes, those of the fork
(`alphafold3-colabfold`) from its packages. What a release has that nothing here fits is said
too, so that the table in `docs/supporting-an-engine.md` can be written from this.
"""

import enum
from collections.abc import Mapping

from af3opt.engine.patching import Target


class Release(enum.StrEnum):
    """A release of an engine, oldest first."""

    V3_0_1 = "v3.0.1"
    V3_0_2 = "v3.0.2"
    V3_0_3 = "v3.0.3"
    V3_0_4 = "v3.0.4"
    AUGUST_2026 = "c0f97ed (2026-08-19)"
    V3_0_5 = "v3.0.5"
    FORK_3_1_6 = "fork 3.1.6"
    FORK_3_1_18 = "fork 3.1.18"


class Unfit(enum.StrEnum):
    """What a release has in the place of a source that could be known."""

    OTHER = "another source"
    COMPILED = "compiled by the engine"
    ABSENT = "the engine has no such function"


# In the place of a digest: a release has the function, whatever its source is.
ANY_SOURCE = "any source"

V3_0_1, V3_0_2, V3_0_3, V3_0_4, AUGUST_2026, V3_0_5, FORK_3_1_6, FORK_3_1_18 = Release
# The commit between the releases v3.0.4 and v3.0.5 of which the whole was at hand.
FROM_V3_0_4 = (V3_0_4, AUGUST_2026)
FROM_V3_0_2 = (V3_0_2, V3_0_3, *FROM_V3_0_4)
DEEPMIND = (V3_0_1, *FROM_V3_0_2)
FORKS = (FORK_3_1_6, FORK_3_1_18)
# Those that are like DeepMind's in what the fork changed later.
OLDER = (*DEEPMIND, FORK_3_1_6)
COMPARED = (*DEEPMIND, *FORKS)

# Package -> releases that bring it.
PACKAGES: Mapping[str, tuple[Release, ...]] = {"tokamax": (*FROM_V3_0_2, *FORKS)}

type Sources = Mapping[str, tuple[Release, ...]]

# Module -> name -> source -> releases.
FUNCTIONS: Mapping[str, Mapping[str, Sources]] = {
    "data.tools.subprocess_utils": {"run": {"76086532bd005a29": COMPARED}},
    "model.model": {
        "Model.__init__": {"5059c931d018bff8": OLDER, "5a3d2923f684bd8b": (FORK_3_1_18,)},
    },
    "model.network.modules": {
        "TransitionBlock.__call__": {
            "4a599e9792f6e44e": (V3_0_1,),
            "1fca213eab766c31": FROM_V3_0_2,
            "69fa5522da46e39b": (FORK_3_1_6,),
            "3ee5867ce0bd86b8": (FORK_3_1_18,),
        },
        "TriangleMultiplication.__call__": {
            "edb7e9139f25a6ed": (V3_0_1,),
            "70160fd2d60531dc": FROM_V3_0_2,
            "22979a47d16e708d": (FORK_3_1_6,),
            "8fc3164833aa04c1": (FORK_3_1_18,),
        },
        "GridSelfAttention.__call__": {
            "9d43fb7e04d0c0ed": (V3_0_1,),
            "88d2a804582bb3d3": FROM_V3_0_2,
            "87e34ff392fa4de3": (FORK_3_1_6,),
            "8f306c75de28df9a": (FORK_3_1_18,),
        },
        # The method that the one above applies to chunks of rows.
        "GridSelfAttention._attention": {
            "ad217b5174697705": (V3_0_1,),
            "b73013807fe84f85": FROM_V3_0_2,
            "6332b23997d2da18": (FORK_3_1_6,),
            "24366b7e10581552": (FORK_3_1_18,),
        },
        "get_shard_size": {"e3f2e6c0a75fee82": COMPARED},
    },
    "model.network.template_modules": {
        "TemplateEmbedding.__call__": {
            "95f420e13d450c87": DEEPMIND,
            "3424ba698e897254": (FORK_3_1_6,),
            "521502bd6ed240f7": (FORK_3_1_18,),  # It compares each slot with the one before.
        },
        "SingleTemplateEmbedding.__call__": {
            "5b349027421e6a89": DEEPMIND,
            "b063f155a183371e": (FORK_3_1_6,),
            Unfit.OTHER: (FORK_3_1_18,),
        },
    },
    "model.network.featurization": {
        "truncate_msa_batch": {"085360088863e448": OLDER, "c60a3658646cce77": (FORK_3_1_18,)},
    },
    "model.network.diffusion_head": {
        "sample": {
            "4fe27c6b6a3e0c8a": (V3_0_1, V3_0_2, V3_0_3),
            "0dd115a6ce52da52": FROM_V3_0_4,
            "23fb69b04887bc77": (FORK_3_1_6,),
            "d43f046430e26b9b": (FORK_3_1_18,),
        },
    },
    "model.network.diffusion_transformer": {
        "Transformer.__call__": {
            "a9e1a0204ebe902f": DEEPMIND,
            "656df5f62aaaf942": (FORK_3_1_6,),
            "290734dedd9b960d": (FORK_3_1_18,),
        },
        "self_attention": {
            "1d035e62dfe206b8": DEEPMIND,
            "eaff63253d8c727f": (FORK_3_1_6,),
            "b4e90560a7154123": (FORK_3_1_18,),
        },
        "transition_block": {
            "e21064fcfc441641": (V3_0_1,),
            "ef0e0e2b35db095c": FROM_V3_0_2,
            "f61c84b6c1dc2bb6": FORKS,
        },
        "adaptive_layernorm": {"2b2f8d8d4a3875d8": DEEPMIND, "5d4b09e267ea636c": FORKS},
        "adaptive_zero_init": {"cefb06da74b1dad9": DEEPMIND, "d2bb7310848e362f": FORKS},
        "CrossAttTransformer.__call__": {
            "3a1d43442a01dc53": DEEPMIND,
            "66a4d2b5feed5e1c": FORKS,
        },
        "cross_attention": {
            "61dab52a7274fd51": DEEPMIND,
            "badbb84a96ea5b43": (FORK_3_1_6,),
            "854817dc5251e0a9": (FORK_3_1_18,),
        },
    },
    "model.network.atom_cross_attention": {
        "atom_cross_att_encoder": {
            "7f72914e0134910e": DEEPMIND,
            "cac6dbfee16e011a": (FORK_3_1_6,),
            "5844f1f20a01d06d": (FORK_3_1_18,),
        },
        "atom_cross_att_decoder": {
            "333d15d9cc824ce0": DEEPMIND,
            "b3a5b902595d17d6": (FORK_3_1_6,),
            "d4175f5746915e91": (FORK_3_1_18,),
        },
    },
    "model.components.mapping": {"sharded_map": {"51d64513fd2b62e1": COMPARED}},
    "model.components.utils": {
        "mask_mean": {
            "21364afa465cb26e": (V3_0_1, V3_0_2),
            "da88c0d1d7aa4f98": (V3_0_3, *FROM_V3_0_4, *FORKS),
        },
    },
    "model.features": {
        "get_reference": {"a3de0be67b482228": OLDER, "935efae3d83b53ac": (FORK_3_1_18,)},
        "RefStructure.compute_features": {
            "d7f714bbac53f979": OLDER,
            "bb2e3fb1fddb26a9": (FORK_3_1_18,),
        },
        "random_augmentation": {"eb1b641b5e54de9a": COMPARED},
        "random_rotation": {"f69df4eb04b65cbc": COMPARED},
        "_get_reference_positions_from_ccd_cif": {"547a5887708cd232": COMPARED},
        "Frames.compute_features": {"24faf7216230e6eb": COMPARED},
    },
    "model.atom_layout.atom_layout": {
        "compute_gather_idxs": {"6827f81eab3b757d": COMPARED},
        "AtomLayout.to_array": {"ce4875cb005ba645": COMPARED},
    },
    "model.params": {
        "get_model_haiku_params": {
            "9b2617ac264caeec": DEEPMIND,
            "2110e987ba7723cb": (FORK_3_1_6,),
            "ce4b230c88f30438": (FORK_3_1_18,),
        },
        "_read_record": {"8a499a09b72f7cb8": COMPARED},
    },
    "data.msa_features": {
        "extract_msa_features": {
            "ae4a3b12e199b0c1": OLDER,
            Unfit.COMPILED: (V3_0_5,),
            Unfit.OTHER: (FORK_3_1_18,),
        },
    },
    "data.tools.rdkit_utils": {
        "get_random_conformer": {"1163d06a226f7adf": OLDER, "cf305d9666de4e6e": (FORK_3_1_18,)},
        # The helper to which the fork's later function leaves the work.
        "_embed": {"10cb61f1bb5bb38f": (FORK_3_1_18,), Unfit.ABSENT: OLDER},
        "mol_from_ccd_cif": {
            "1f1b606c61f5c11d": (V3_0_1,),
            "4928ceae51c49708": (*FROM_V3_0_2, *FORKS),
        },
        "mol_to_ccd_cif": {"9855328336e8710e": COMPARED},
        "assign_atom_names_from_graph": {"dab84b36251446c1": COMPARED},
    },
    "constants.chemical_components": {
        # The function by which `Ccd` gets its dictionary.
        "_load_ccd_pickle_cached": {
            ANY_SOURCE: (*FROM_V3_0_2, *FORKS),
            Unfit.ABSENT: (V3_0_1, V3_0_5),
        },
        "_load_ccd_msgpack_cached": {
            ANY_SOURCE: (V3_0_5,),
            Unfit.ABSENT: COMPARED,
        },
        # It copies the whole dictionary for a job with components of its own.
        "Ccd.__init__": {"caaa043f14832748": (V3_0_5,), Unfit.OTHER: COMPARED},
    },
}


def known(module: str, qualname: str, *releases: Release) -> Target:
    """A function in the sources that some releases have.

    Args:
        module: Dotted module name below the engine's package.
        qualname: Name in the module.
        *releases: The releases; none for all.

    Raises:
        KeyError: it is not among the functions of this module.
    """
    sources = FUNCTIONS[module][qualname]
    fitting = {
        source
        for source, having in sources.items()
        if not isinstance(source, Unfit) and (not releases or set(having) & set(releases))
    }
    return Target(module, qualname, None if ANY_SOURCE in fitting else frozenset(fitting))


def source_in(target: Target, release: Release) -> str | None:
    """What a release has in the place of a function: a digest, an `Unfit`, or None if unknown."""
    sources = FUNCTIONS[target.module][target.qualname]
    return next((source for source, having in sources.items() if release in having), None)
