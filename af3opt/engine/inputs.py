"""Fold inputs: loading them as upstream does, and errors that name file and field."""

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from af3opt.base.errors import InputError
from af3opt.engine.modules import engine_module

_log = logging.getLogger(__name__)

# The engine's `folding_input.Input`; it has no stubs and differs between engines.
type FoldInput = Any

_PROTEIN_LETTERS = frozenset("ACDEFGHIKLMNPQRSTVWYX")
_RNA_LETTERS = frozenset("ACGUN")
_DNA_LETTERS = frozenset("ACGTN")


def load_fold_inputs(path: Path) -> Iterator[FoldInput]:
    """Yields the fold inputs of one JSON file (several in AlphaFold Server's dialect).

    Args:
        path: JSON file in AlphaFold 3's or AlphaFold Server's dialect.

    Raises:
        InputError: the file cannot be read or is not a valid input.
    """
    folding_input = engine_module("common.folding_input")
    try:
        yield from folding_input.load_fold_inputs_from_path(path)
    except InputError:
        raise
    except OSError as error:
        name = error.filename or path
        raise InputError(f"{path}: cannot read {name}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not UTF-8 text (byte {error.start})") from error
    except KeyError as error:
        raise InputError(f"{path}: the field {error} is missing") from error
    except RecursionError as error:
        raise InputError(f"{path}: is nested too deeply to be a fold input") from error
    except (
        ValueError, TypeError, AttributeError, IndexError, OverflowError, RuntimeError
    ) as error:  # fmt: skip
        raise InputError(f"{path}: {_plain_reason(error, path)}") from error


def fold_input_from_json(text: str) -> FoldInput:
    """Makes a fold input from text that is known to be right.

    Args:
        text: JSON in AlphaFold 3's dialect.
    """
    fold_input: FoldInput = engine_module("common.folding_input").Input.from_json(text)
    return fold_input


def _plain_reason(error: Exception, path: Path) -> str:
    """The engine's message without what the prefix already says, on one line."""
    text = " ".join(str(error).split())
    if type(error).__name__ == "JSONDecodeError":
        return f"is not valid JSON: {text}"
    for dialect in ("AlphaFold 3 dialect", "AlphaFold Server dialect"):
        text = text.removeprefix(f"Failed to load input from {path} ({dialect}): ")
    if isinstance(error.__cause__, StopIteration):  # The engine asked for the first key of {}.
        return "an entry of 'sequences' is empty; give it a chain, such as {\"protein\": ...}"
    if isinstance(error, ValueError):
        return text
    return f"a field has the wrong type ({text}); compare it with the input format documentation"


def check_fold_input(fold_input: FoldInput, ccd: Mapping[str, Any], source: Path) -> None:
    """Finds what would fail hours later, before anything is written.

    Checks that there are chains, and that every CCD code and every bonded atom
    exists. Letters outside the alphabet are accepted as unknown residues, as
    upstream does, with a warning.

    Args:
        fold_input: The engine's input object.
        ccd: Chemical component dictionary with the job's own components.
        source: File the input came from, for messages.

    Raises:
        InputError: the first thing found wrong.
    """
    if not fold_input.chains:
        raise InputError(f"{source}: 'sequences' is empty; give at least one chain")
    for chain in fold_input.chains:
        for field, code in _component_codes(chain):
            if code not in ccd:
                raise InputError(
                    f"{source}: chain {chain.id}: {field}: {code!r} is not in the chemical "
                    "component dictionary; correct it, or define it in 'userCCD'"
                )
        _check_modifications(chain, source)
        _warn_unknown_letters(chain, source)
    for bond in fold_input.bonded_atom_pairs or ():
        for atom in bond:
            _check_bonded_atom(atom, fold_input, ccd, source)


def _component_codes(chain: Any) -> Iterator[tuple[str, str]]:
    """Yields (field, CCD code) for everything in a chain that names a component."""
    for code in getattr(chain, "ccd_ids", None) or ():
        yield "ccdCodes", code
    for attribute in ("ptms", "modifications"):
        for code, _ in getattr(chain, attribute, None) or ():
            yield "modifications", code


def _check_modifications(chain: Any, source: Path) -> None:
    """Positions count from 1; the engine finds another kind of number only in use."""
    for attribute in ("ptms", "modifications"):
        for code, position in getattr(chain, attribute, None) or ():
            if not isinstance(position, int) or not 1 <= position <= len(chain):
                raise InputError(
                    f"{source}: chain {chain.id}: modification {code} at position {position!r}: "
                    f"give an integer from 1 to {len(chain)}"
                )


def _raw_sequence(chain: Any) -> str:
    """The sequence as typed; the nucleic `sequence` property maps unknown letters to N."""
    return str(getattr(chain, "_sequence", getattr(chain, "sequence", "")))


def _warn_unknown_letters(chain: Any, source: Path) -> None:
    letters = {
        "ProteinChain": _PROTEIN_LETTERS,
        "RnaChain": _RNA_LETTERS,
        "DnaChain": _DNA_LETTERS,
    }.get(type(chain).__name__)
    unknown = sorted(set(_raw_sequence(chain)) - letters) if letters else []
    if unknown:
        _log.warning(
            "%s: chain %s: no residue has the letter %s; it is modelled as an unknown residue",
            source, chain.id, ", ".join(unknown),
        )  # fmt: skip


def _check_bonded_atom(
    atom: tuple[str, int, str], fold_input: FoldInput, ccd: Mapping[str, Any], source: Path
) -> None:
    chain_id, residue, name = atom
    if not isinstance(residue, int):
        raise InputError(f"{source}: bondedAtomPairs: residue {residue!r} is not an integer")
    chain = next(chain for chain in fold_input.chains if chain.id == chain_id)
    if getattr(chain, "ccd_ids", None) is not None:
        code = chain.ccd_ids[residue - 1]
    elif hasattr(chain, "to_ccd_sequence"):
        code = chain.to_ccd_sequence()[residue - 1]
    else:
        return  # A SMILES ligand: the engine has refused the bond already.
    names = ccd[code].get("_chem_comp_atom.atom_id", ())
    # CIF quoting is part of the stored value in some dictionaries ("O5'").
    if name not in names and f'"{name}"' not in names:
        raise InputError(
            f"{source}: bondedAtomPairs: {code} (chain {chain_id}, residue {residue}) has no atom "
            f"{name!r}; its atoms are {', '.join(names)}"
        )


def needs_search(fold_input: FoldInput) -> bool:
    """Tells whether the data pipeline would have to search a database for this input."""
    for chain in fold_input.protein_chains:
        if chain.unpaired_msa is None or chain.paired_msa is None or chain.templates is None:
            return True
    return any(chain.unpaired_msa is None for chain in fold_input.rna_chains)
