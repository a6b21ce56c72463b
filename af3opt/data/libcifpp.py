"""Data with which libcifpp computes solvent accessibility (DSSP) for the engine.

The engine derives `fraction_disordered`, a term of the ranking score, from it and
writes 0 when libcifpp fails. libcifpp looks in LIBCIFPP_DATA_DIR for
`components.cif`, to know the atoms of each residue. Only residues of polymer
chains are looked up, so a few kilobytes replace the wwPDB's half a gigabyte.

`mmcif_pdbx.dic` is looked up there too, but only to repair mmCIF files that lack
categories. The engine hands over complete ones, so it is copied when the machine
has it and not missed otherwise.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

COMPONENTS_FILE = "components.cif"
DICTIONARY_FILE = "mmcif_pdbx.dic"

# What the engine hands to DSSP are protein chains with standard residue names.
RESIDUES = (
    "ALA", "ARG", "ASN", "ASP", "CYS", "GLN", "GLU", "GLY", "HIS", "ILE", "LEU", "LYS", "MET",
    "PHE", "PRO", "SER", "THR", "TRP", "TYR", "VAL", "UNK", "MSE", "SEC", "PYL", "ASX", "GLX",
    "A", "C", "G", "U", "N", "DA", "DC", "DG", "DT", "DN", "HOH",
)  # fmt: skip

_SEARCHED = (
    "/usr/share/libcifpp",
    "/usr/local/share/libcifpp",
    "/var/cache/libcifpp",
)


def find_mmcif_dictionary() -> Path | None:
    """Looks for a `mmcif_pdbx.dic` installed on this machine.

    Returns:
        The file, or None. Debian and Ubuntu have it in the package libcifpp-data.
    """
    folders = [os.environ.get("LIBCIFPP_DATA_DIR"), *_SEARCHED]
    for folder in folders:
        if folder and (path := Path(folder) / DICTIONARY_FILE).is_file():
            return path
    return None


def write_components_cif(path: Path, components: Mapping[str, Mapping[str, Sequence[str]]]) -> None:
    """Writes mmCIF data blocks that libcifpp's compound factory can read.

    Args:
        path: File to write.
        components: Code -> mmCIF item -> values.
    """
    with path.open("w", encoding="utf-8") as stream:
        for code, component in components.items():
            stream.write(f"data_{code}\n#\n")
            for category, items in _by_category(component).items():
                stream.write(_category_text(category, items))


def _by_category(
    component: Mapping[str, Sequence[str]],
) -> dict[str, dict[str, Sequence[str]]]:
    categories: dict[str, dict[str, Sequence[str]]] = {}
    for item, values in component.items():
        category, _, name = item.partition(".")
        categories.setdefault(category, {})[name] = values
    return categories


def _category_text(category: str, items: Mapping[str, Sequence[str]]) -> str:
    """Formats one category as a loop, which mmCIF allows for any number of rows."""
    lines = ["loop_", *(f"{category}.{name}" for name in items)]
    for row in zip(*items.values(), strict=True):
        lines.append(" ".join(quote_cif_value(value) for value in row))
    return "\n".join([*lines, "#", ""])


def quote_cif_value(value: str) -> str:
    """Quotes a value by the rules of the STAR syntax.

    Multi-line and doubly quoted text becomes a text field between semicolons.
    """
    if value in {".", "?"}:
        return value
    if "\n" in value or ("'" in value and '"' in value):
        return f"\n;{value}\n;\n"
    if '"' in value:
        return f"'{value}'"
    special = value.startswith(("_", "#", "$", "[", "]", ";", "'"))
    reserved = value.lower().startswith(("data_", "save_", "loop_", "stop_", "global_"))
    if not value or special or reserved or "'" in value or any(map(str.isspace, value)):
        return f'"{value}"'
    return value
