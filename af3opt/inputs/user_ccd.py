"""Components that a job defines itself (`userCCD`)."""

import re

from af3opt.inputs.findings import Place, shown

# What the engine demands of each component (`folding_input._validate_user_ccd_keys`).
_ITEMS = (
    *("_chem_comp.id", "_chem_comp.name", "_chem_comp.type", "_chem_comp.formula"),
    *("_chem_comp.mon_nstd_parent_comp_id", "_chem_comp.pdbx_synonyms"),
    *("_chem_comp.formula_weight", "_chem_comp_atom.comp_id", "_chem_comp_atom.atom_id"),
    *("_chem_comp_atom.type_symbol", "_chem_comp_atom.charge"),
    *(f"_chem_comp_atom.pdbx_model_Cartn_{axis}_ideal" for axis in "xyz"),
    *("_chem_comp_bond.atom_id_1", "_chem_comp_bond.atom_id_2"),
    *("_chem_comp_bond.value_order", "_chem_comp_bond.pdbx_aromatic_flag"),
)
_TEXT_BLOCK = re.compile(r"^;.*?^;", re.DOTALL | re.MULTILINE)
_COMPONENT = re.compile(r"^data_(\S+)", re.MULTILINE)
_MOST_NAMED = 3


def check_user_ccd(text: str, place: Place) -> None:
    """Finds what the engine would not take; it reads the values itself.

    Args:
        text: Components in mmCIF.
        place: Place of the job.
    """
    field = place.inside("userCCD")
    if not text.strip():
        field.refuse("is empty; leave it out, or give components in mmCIF")
    elif not text.startswith("data_"):
        field.refuse(f"must start with 'data_', but starts with {shown(text[:20])}; give mmCIF")
    else:
        _, *blocks = _COMPONENT.split(_TEXT_BLOCK.sub("", text))
        for name, block in zip(blocks[::2], blocks[1::2], strict=True):
            _check_items(name, block, field)


def _check_items(name: str, block: str, place: Place) -> None:
    given = {*block.split()}
    missing = [item for item in _ITEMS if item not in given]
    if missing:
        more = f" and {len(missing) - _MOST_NAMED} more" if len(missing) > _MOST_NAMED else ""
        place.refuse(
            f"component {shown(name)} lacks {', '.join(missing[:_MOST_NAMED])}{more}; see "
            "AlphaFold 3's documentation for what a component needs"
        )
