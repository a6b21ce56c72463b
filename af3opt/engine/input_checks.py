"""What takes the engine to find in an input: template structures, modified queries."""

from typing import Any

from af3opt.base.a3m import read_a3m
from af3opt.engine.modules import engine_module
from af3opt.engine.refusals import RefusedInputError, refusals
from af3opt.inputs.alignments import is_aligned, pairing_is_certain
from af3opt.inputs.chain import LONGEST_WITHOUT_ALIGNMENT, Chain
from af3opt.inputs.findings import Place
from af3opt.inputs.job import CheckedJob


def check_template_structures(fold_input: Any, job: CheckedJob) -> None:
    """Reports templates that the engine cannot read, or whose residues are not there.

    Args:
        fold_input: The engine's input.
        job: The same job; its findings are added to.
    """
    engine_chains = {chain.id: chain for chain in fold_input.protein_chains}
    for chain in job.chains:
        # Of shorter chains the engine reads no templates.
        if chain.kind != "protein" or len(chain) <= LONGEST_WITHOUT_ALIGNMENT:
            continue
        place = Place(job.findings).inside(chain.label).inside("templates")
        templates = engine_chains[chain.ids[0]].templates or ()
        for number, template in enumerate(templates, start=1):
            _check_structure(template, len(chain), place.inside(f"template {number}"))


def _check_structure(template: Any, length: int, place: Place) -> None:
    names = engine_module("constants.mmcif_names")
    mapping = template.query_to_template_map
    try:
        with refusals():
            # As `features.Templates.compute_features` reads it.
            structure = engine_module("structure").from_mmcif(
                template.mmcif,
                fix_mse_residues=True,
                fix_arginines=True,
                include_bonds=False,
                include_water=False,
                include_other=True,
            )
            # It complains about everything but the indices.
            engine_module("data.templates").get_polymer_features(
                chain=structure,
                chain_poly_type=names.PROTEIN_CHAIN,
                query_sequence_length=length,
                query_to_hit_mapping={},
            )
            (sequence,) = _polymer_sequences(structure)
    except RefusedInputError as error:
        place.inside("mmcif").refuse(str(error))
        return
    beyond = [index for index in mapping.values() if index >= len(sequence)]
    if beyond:
        seems = max(beyond) == len(sequence) and min(mapping.values()) > 0
        place.inside("templateIndices").refuse(
            f"{beyond[0]} is beyond the template of {len(sequence)} residues; the first residue is "
            f"0, the last is {len(sequence) - 1}"
            f"{'; these seem to count from 1' if seems else ''}"
        )


def _polymer_sequences(structure: Any) -> list[str]:
    sequences = structure.chain_single_letter_sequence()
    labels = structure.polymer_auth_asym_id_to_label_asym_id().values()
    return [sequences[label] for label in labels]


def check_alignments(fold_input: Any, job: CheckedJob) -> None:
    """Compares first rows with sequences that have modified residues.

    The engine takes such a residue for its parent, which only its tables tell; everything
    else about alignments has been checked before.

    Args:
        fold_input: The engine's input.
        job: The same job; its findings are added to.
    """
    engine_chains = {chain.id: chain for chain in fold_input.chains}
    fields = {"unpairedMsa": "unpaired_msa"}
    if pairing_is_certain(list(job.chains)):
        fields["pairedMsa"] = "paired_msa"
    for chain in job.chains:
        if not (chain.modified and is_aligned(chain)):
            continue
        engine_chain = engine_chains[chain.ids[0]]
        for field, attribute in fields.items():
            text = getattr(engine_chain, attribute, None) or ""
            place = Place(job.findings).inside(chain.label).inside(field)
            _check_modified_query(chain, engine_chain.sequence, text, place)


def _check_modified_query(chain: Chain, query: str, text: str, place: Place) -> None:
    _, row = next(read_a3m(text), ("", query))
    names = engine_module("constants.mmcif_names")
    kind = names.PROTEIN_CHAIN if chain.kind == "protein" else names.RNA_CHAIN
    if not engine_module("data.msa").sequences_are_feature_equivalent(row, query, kind):
        place.refuse(
            "row 1 must be the sequence of the chain, with the parent of each modified residue "
            f"(X or N if it has none): {query}"
        )
