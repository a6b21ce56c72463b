"""What the run record says of a job and its samples, in clauses for the page.

Tolerant on purpose: records of other versions, damaged or edited ones, lose the
clauses that cannot be formed and nothing else.
"""

from af3opt.base.json_types import Json, JsonObject

_STATUS = {
    "failed": "the run failed",
    "incomplete": "the run stopped before its end; run the same command again to continue",
    "excluded_samples": "samples with values that are not finite were left out of the ranking",
}


def record_problems(record: JsonObject) -> list[str]:
    """What the record says went wrong with the job."""
    status = record.get("status")
    clause = _STATUS.get(status) if isinstance(status, str) else None
    if clause is None:
        return []
    reason = record.get("reason")
    return [f"{clause}: {reason}" if isinstance(reason, str) and reason else clause]


def sample_entries(record: JsonObject) -> dict[tuple[int, int], tuple[JsonObject, str]]:
    """Maps (seed, sample) to the sample's entry and the seed's remark on numerics."""
    entries = {}
    for seed in _objects(record.get("seeds")):
        safer = seed.get("safer_numerics")
        remark = f"computed again in safer numerics ({safer})" if safer else ""
        for sample in _objects(seed.get("samples")):
            number, index = seed.get("seed"), sample.get("index")
            if isinstance(number, int) and isinstance(index, int):
                entries[number, index] = (sample, remark)
    return entries


def sample_flags(entry: JsonObject) -> list[str]:
    """Doubts about a sample that only the record knows of."""
    flags = [] if entry.get("finite", True) is not False else ["values that are not finite"]
    found = entry.get("plausibility")
    if not isinstance(found, dict):
        return flags
    for key, what in (
        ("clashing_atom_pairs", "clashing pairs of polymer atoms"),
        ("inverted_amino_acids", "amino acids of the wrong hand"),
        ("torn_bonds", "broken bonds along chains"),
    ):
        count = found.get(key)
        if type(count) is int and count > 0:
            flags.append(f"{what}: {count}")
    inverted = found.get("inverted_ligands")
    if isinstance(inverted, list) and inverted:
        flags.append(f"ligands of the wrong hand: {', '.join(map(str, inverted))}")
    return flags


def _objects(value: Json) -> list[JsonObject]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
