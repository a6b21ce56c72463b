"""Structural templates that an input brings."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from af3opt.base.json_types import Json
from af3opt.inputs.chain import LONGEST_WITHOUT_ALIGNMENT, Chain
from af3opt.inputs.external import resolve_file
from af3opt.inputs.fields import as_list, check_fields, is_integer
from af3opt.inputs.findings import Place, shown

_FIELDS = ("mmcif", "mmcifPath", "queryIndices", "templateIndices")
_INDEX_FIELDS = ("queryIndices", "templateIndices")
# `WholePdbPipeline.Config.max_templates`.
_MOST_USED = 4


def check_templates(
    body: Mapping[str, Json], length: int, base: Path, place: Place
) -> list[dict[str, Json]] | None:
    """Finds what is wrong with a chain's templates, as far as it shows without their structure.

    Args:
        body: The chain's JSON object.
        length: Residues of the chain.
        base: Directory from which paths start.
        place: Place of the chain.

    Returns:
        The templates with files read in; None if they are to be searched.
    """
    if body.get("templates") is None:
        return None
    field = place.inside("templates")
    templates = as_list(body["templates"], field)
    if len(templates) > _MOST_USED:
        field.warn(f"AlphaFold 3 uses the first {_MOST_USED} of {len(templates)}")
    resolved = []
    for number, template in enumerate(templates, start=1):
        where = field.inside(f"template {number}")
        if not isinstance(template, dict):
            where.refuse("give an object with mmcif, queryIndices and templateIndices")
            continue
        check_fields(template, _FIELDS, _INDEX_FIELDS, where)
        text = resolve_file(template, "mmcif", base, where)
        if text == "" or text is None:
            where.refuse("has no structure; give mmcif or mmcifPath")
        elif not text.lstrip().startswith(("data_", "#")):
            where.inside("mmcif").refuse(
                f"is no mmCIF file: it begins with {shown(text[:20])}, not 'data_'; convert a PDB "
                "file first"
            )
        _check_indices(template, length, where)
        indices = {name: template.get(name) for name in _INDEX_FIELDS}
        resolved.append({"mmcif": text, **indices})
    return resolved


def check_templates_of_copies(chains: Iterable[Chain], place: Place) -> None:
    """Tells of chains of one sequence whose templates differ: the engine takes the first ones.

    Source: `features.Templates.compute_features`, which makes them once for a sequence.

    Args:
        chains: All chains of the job, with files read in.
        place: Place of the job.
    """
    first: dict[tuple[str, frozenset[tuple[int, str]]], Chain] = {}
    for chain in chains:
        if chain.kind != "protein" or len(chain) <= LONGEST_WITHOUT_ALIGNMENT:
            continue
        copied = first.setdefault((chain.sequence, frozenset(chain.modified.items())), chain)
        if copied.body.get("templates") != chain.body.get("templates"):
            place.inside(chain.label).warn(
                f"has the sequence of {copied.label} and other templates; AlphaFold 3 uses "
                f"those of {copied.label} for both"
            )


def _check_indices(template: Mapping[str, Json], length: int, place: Place) -> None:
    query, structure = (
        as_list(template[name], place.inside(name)) if name in template else []
        for name in _INDEX_FIELDS
    )
    for name, indices in zip(_INDEX_FIELDS, (query, structure), strict=True):
        for number, index in enumerate(indices, start=1):
            if not is_integer(index) or index < 0:
                place.inside(name).refuse(
                    f"{shown(index)} at entry {number} is no index; give whole numbers from 0"
                )
                return
    if len(query) != len(structure):
        place.refuse(
            f"queryIndices has {len(query)} entries and templateIndices has {len(structure)}; "
            "each query residue needs its template residue"
        )
    beyond = next((index for index in query if index >= length), None)
    if beyond is not None:
        place.inside("queryIndices").refuse(
            f"{beyond} is beyond the sequence of {length} residues; the first residue is 0, "
            f"the last is {length - 1}{_one_based(query, length)}"
        )
    if len(set(query)) < len(query):
        place.warn("queryIndices has an index twice; the last one counts")


def _one_based(indices: list[int], length: int) -> str:
    """A hint for indices that seem to count from 1."""
    return "; these seem to count from 1" if min(indices) == 1 and max(indices) == length else ""
