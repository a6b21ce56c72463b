"""The alphafold3 dialect: one object, one fold job.

Source of the rules: `folding_input.Input.from_json` and `WholePdbPipeline` of AlphaFold 3,
v3.0.1 to v3.0.5. What they refuse, or would drop without a word, is refused here first.
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from af3opt.base.json_types import Json
from af3opt.inputs.alignments import (
    check_alignment,
    check_combination,
    is_aligned,
    pairing_is_certain,
)
from af3opt.inputs.bonds import Atom, check_bonds
from af3opt.inputs.chain import Chain, chain_label
from af3opt.inputs.external import resolve_file
from af3opt.inputs.fields import as_list, check_description, check_fields, is_integer
from af3opt.inputs.findings import Findings, Place, shown, type_name
from af3opt.inputs.ligands import check_ligand
from af3opt.inputs.names import check_name
from af3opt.inputs.polymers import check_modifications, check_sequence, warn_of_letters
from af3opt.inputs.templates import check_templates, check_templates_of_copies
from af3opt.inputs.user_ccd import check_user_ccd

DIALECT = "alphafold3"
VERSIONS = (1, 2, 3, 4)
_LARGEST_SEED = 2**32 - 1

_JOB_FIELDS = (
    *("dialect", "version", "name", "modelSeeds", "sequences"),
    *("bondedAtomPairs", "userCCD", "userCCDPath"),
)
_ALIGNED = ("unpairedMsa", "unpairedMsaPath")
_POLYMER = ("id", "sequence", "modifications", "description")
_CHAIN_FIELDS = {
    "protein": (*_POLYMER, *_ALIGNED, "pairedMsa", "pairedMsaPath", "templates"),
    "rna": (*_POLYMER, *_ALIGNED),
    "dna": _POLYMER,
    "ligand": ("id", "ccdCodes", "smiles", "description"),
}
_TEXT_FIELDS = {"protein": ("unpairedMsa", "pairedMsa"), "rna": ("unpairedMsa",)}


class Alphafold3Check:
    """Checks one job of the alphafold3 dialect."""

    def __init__(self, base: Path, versions: Collection[int] = VERSIONS) -> None:
        """Prepares.

        Args:
            base: Directory of the file, from which paths start.
            versions: Versions of the dialect that the engine reads.
        """
        self.findings = Findings()
        self.chains: list[Chain] = []
        self.bonds: list[tuple[Atom, Atom]] = []
        self.content: dict[str, Json] = {}
        self._base = base
        self._versions = versions
        self._is_known = True
        self._unknown_entries: list[Json] = []
        self._place = Place(self.findings)

    def check(self, job: Mapping[str, Json]) -> None:
        """Checks a job; what it is and what is wrong with it is in the attributes then."""
        place = self._place
        if not self._check_dialect(job):
            return
        self._check_fields(job, _JOB_FIELDS, ("name", "modelSeeds", "sequences"), place)
        seeds = check_seeds(job.get("modelSeeds"), place) if "modelSeeds" in job else []
        if "name" in job:
            check_name(job["name"], place, seeds)
        entries = as_list(job["sequences"], place.inside("sequences")) if "sequences" in job else []
        if job.get("sequences") == []:
            place.refuse("'sequences' is empty; give at least one chain")
        for number, entry in enumerate(entries, start=1):
            self._check_entry(entry, place.inside(f"entry {number} of sequences"))
        self._check_ids()
        check_left_out(self.chains, place)
        self._check_alignments()
        check_templates_of_copies(self.chains, place)
        self.bonds = check_bonds(job.get("bondedAtomPairs"), self.chains, place)
        user_ccd = resolve_file(job, "userCCD", self._base, place)
        if user_ccd is not None:
            check_user_ccd(user_ccd, place)
        self.content = {**job, "userCCD": user_ccd}
        self.content.pop("userCCDPath", None)
        self.content["sequences"] = [
            *({chain.kind: chain.body} for chain in self.chains),
            *self._unknown_entries,
        ]

    def _check_fields(
        self,
        content: Mapping[str, Json],
        allowed: Collection[str],
        required: Collection[str],
        place: Place,
    ) -> None:
        """Checks the fields of an object; a newer version may have more than are known here."""
        check_fields(content, allowed if self._is_known else content, required, place)

    def _check_dialect(self, job: Mapping[str, Json]) -> bool:
        if "dialect" not in job or "version" not in job:
            self._place.refuse(
                "`dialect` and `version` must be given; the usual ones are "
                f'"dialect": "{DIALECT}", "version": {max(VERSIONS)}'
            )
            return False
        dialect, version = job["dialect"], job["version"]
        if dialect != DIALECT:
            given = shown(dialect)[1:-1] if isinstance(dialect, str) else type_name(dialect)
            hint = "; jobs of AlphaFold Server's dialect go into a list: [{...}]"
            self._place.refuse(
                f"unsupported dialect: {given}, expected {DIALECT}"
                f"{hint if dialect == 'alphafoldserver' else ''}"
            )
            return False
        if version not in self._versions or isinstance(version, bool):
            self._place.refuse(
                f"unsupported version: {shown(version)}; the engine reads "
                f"{', '.join(map(str, self._versions))}"
            )
            return False
        self._is_known = version in VERSIONS
        return True

    def _check_entry(self, entry: Json, place: Place) -> None:
        kinds = [kind for kind in _CHAIN_FIELDS if isinstance(entry, dict) and kind in entry]
        if isinstance(entry, dict) and not kinds and not self._is_known:
            self._unknown_entries.append(entry)
            return
        if not isinstance(entry, dict) or len(entry) != 1 or not kinds:
            given = ", ".join(map(shown, entry)) if isinstance(entry, dict) else type_name(entry)
            place.refuse(
                f'give one of {", ".join(_CHAIN_FIELDS)}, such as {{"protein": ...}}, not '
                f"{given or 'an empty object'}"
            )
            return
        (kind,) = kinds
        body = entry[kind]
        if not isinstance(body, dict):
            place.inside(kind).refuse(f"give an object, not {type_name(body)}")
            return
        ids = _check_id(body.get("id"), place.inside(kind))
        where = self._place.inside(chain_label(ids)) if ids else place.inside(kind)
        required = () if kind == "ligand" else ("sequence",)
        self._check_fields(body, _CHAIN_FIELDS[kind], required, where)
        check_description(body, where)
        if kind == "ligand":
            codes, smiles = check_ligand(body, where)
            self.chains.append(Chain(ids, kind, codes=codes, smiles=smiles, body=dict(body)))
        else:
            self.chains.append(self._polymer(kind, ids, body, where))

    def _polymer(
        self, kind: str, ids: tuple[str, ...], body: Mapping[str, Json], place: Place
    ) -> Chain:
        sequence = check_sequence(body, place)
        modified = check_modifications(kind, body, len(sequence), place)
        resolved = dict(body)
        for name in _TEXT_FIELDS.get(kind, ()):
            resolved[name] = resolve_file(body, name, self._base, place)
            resolved.pop(f"{name}Path", None)
        if kind == "protein":
            resolved["templates"] = check_templates(body, len(sequence), self._base, place)
            check_combination(body, place)
        return Chain(ids, kind, sequence=sequence, modified=modified, body=resolved)

    def _check_ids(self) -> None:
        seen: set[str] = set()
        for chain in self.chains:
            for chain_id in chain.ids:
                if chain_id in seen:
                    self._place.refuse(
                        f"chain {chain_id} is there twice; give every chain and every copy an id "
                        "of its own"
                    )
                seen.add(chain_id)

    def _check_alignments(self) -> None:
        """Checks alignments; what the engine will not read cannot keep it from working."""
        paired = pairing_is_certain(self.chains)
        for chain in self.chains:
            for name in _TEXT_FIELDS.get(chain.kind, ()):
                text = chain.body.get(name)
                if not text or not is_usable(chain):
                    continue
                is_read = is_aligned(chain) and (paired or name == "unpairedMsa")
                findings = self.findings if is_read else Findings()
                place = Place(findings).inside(chain.label).inside(name)
                check_alignment(text, chain, place)
                if not is_read:
                    self.findings.warnings += [
                        f"{error} (AlphaFold 3 does not use it here)" for error in findings.errors
                    ]


def is_usable(chain: Chain) -> bool:
    """Tells whether an alignment can be compared with a chain's sequence."""
    return bool(chain.sequence) and chain.sequence.isalpha() and chain.sequence.isupper()


def _check_id(value: Json, place: Place) -> tuple[str, ...]:
    """Returns the identifiers of a chain, none if they have been reported."""
    field = place.inside("id")
    ids = value if isinstance(value, list) else [value]
    if value is None or not ids:
        field.refuse('is not set; give upper-case letters, such as "A", or a list for copies')
        return ()
    for chain_id in ids:
        if not (
            isinstance(chain_id, str)
            and chain_id.isascii()
            and chain_id.isalpha()
            and chain_id.isupper()
        ):
            field.refuse(f"{shown(chain_id)} is no chain id; give upper-case letters A to Z")
            return ()
    return tuple(ids)


def check_seeds(value: Json, place: Place) -> list[int]:
    """Finds what is wrong with `modelSeeds`.

    Args:
        value: Value of the field.
        place: Place of the job.

    Returns:
        The seeds as numbers; the engine takes texts with digits, too.
    """
    field = place.inside("modelSeeds")
    seeds: list[int] = []
    if value == []:
        field.refuse("is empty; give at least one seed")
    for entry in as_list(value, field):
        seed = seed_number(entry)
        if seed is None or not 0 <= seed <= _LARGEST_SEED:
            field.refuse(f"{shown(entry)} is no seed; give whole numbers from 0 to {_LARGEST_SEED}")
            return []
        seeds.append(seed)
    if len(set(seeds)) < len(seeds):
        field.warn("holds a seed twice; the same seed gives the same result")
    return seeds


def seed_number(value: Json) -> int | None:
    """Returns a seed as a number, None if it is none."""
    if is_integer(value):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str):
        try:
            return int(value)
        except ValueError:
            return None
    return None


def check_left_out(chains: Sequence[Chain], place: Place) -> None:
    """Tells of chains that the engine leaves out, and of letters it does not know.

    Args:
        chains: All chains of the job.
        place: Place of the job.
    """
    if place.findings.errors:
        return  # A sequence that is wrong in another way would be called unknown, too.
    left_out = [chain for chain in chains if chain.is_left_out]
    if left_out and len(left_out) == len(chains):
        place.refuse(
            f"{', '.join(chain.label for chain in left_out)}: all residues are unknown, and "
            "AlphaFold 3 leaves such chains out; nothing is left to fold"
        )
        return
    for chain in chains:
        where = place.inside(chain.label)
        if chain.is_left_out:
            where.warn("all residues are unknown; AlphaFold 3 leaves such a chain out")
        elif chain.is_polymer:
            warn_of_letters(chain.kind, chain.sequence, where)
