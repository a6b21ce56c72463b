"""AlphaFold Server's dialect: a list of fold jobs.

Source of the rules: `folding_input.Input.from_alphafoldserver_fold_job`. Each job is
checked for itself; a bad one leaves the others as they are.
"""

from collections.abc import Mapping

from af3opt.base.json_types import Json
from af3opt.inputs.alphafold3 import check_left_out, check_seeds
from af3opt.inputs.bonds import Atom
from af3opt.inputs.chain import Chain, chain_id, chain_label
from af3opt.inputs.fields import check_fields, is_integer
from af3opt.inputs.findings import Findings, Place, shown, type_name
from af3opt.inputs.ligands import check_codes
from af3opt.inputs.names import check_name
from af3opt.inputs.polymers import check_modifications, check_sequence

DIALECT = "alphafoldserver"
VERSION = 1

_JOB_FIELDS = ("name", "modelSeeds", "sequences", "dialect", "version")
# More would fill the memory before the engine could say that it is too much.
_MOST_COPIES = 10_000
# Key of an entry -> kind of chain; the engine looks for them in this order.
POLYMERS = {"proteinChain": "protein", "rnaSequence": "rna", "dnaSequence": "dna"}
LIGANDS = ("ion", "ligand")
_CHAIN_FIELDS = {
    "proteinChain": (
        *("sequence", "glycans", "modifications", "count"),
        *("maxTemplateDate", "useStructureTemplate"),
    ),
    "rnaSequence": ("sequence", "modifications", "count"),
    "dnaSequence": ("sequence", "modifications", "count"),
    "ion": ("ligand", "ion", "count"),
    "ligand": ("ligand", "ion", "count"),
}


class ServerCheck:
    """Checks one job of AlphaFold Server's dialect."""

    def __init__(self) -> None:
        """Prepares; see `check`."""
        self.findings = Findings()
        self.chains: list[Chain] = []
        self.bonds: list[tuple[Atom, Atom]] = []
        self.content: Mapping[str, Json] = {}
        self._place = Place(self.findings)
        self._number = 0

    def check(self, job: Mapping[str, Json]) -> None:
        """Checks a job; what it is and what is wrong with it is in the attributes then."""
        self.content, place = job, self._place
        if not self._check_dialect(job):
            return
        check_fields(job, _JOB_FIELDS, ("name", "sequences"), place)
        # Without seeds the engine draws one.
        seeds = check_seeds(job["modelSeeds"], place) if job.get("modelSeeds") else []
        if "name" in job:
            check_name(job["name"], place, seeds)
        entries = job.get("sequences", [])
        if not isinstance(entries, list):
            place.inside("sequences").refuse(f"give a list, not {type_name(entries)}")
            return
        for number, entry in enumerate(entries, start=1):
            self._check_entry(entry, place.inside(f"entry {number} of sequences"))
        if not self.chains and not self.findings.errors:
            place.refuse("'sequences' is empty; give at least one chain")
        check_left_out(self.chains, place)

    def _check_dialect(self, job: Mapping[str, Json]) -> bool:
        dialect, version = job.get("dialect"), job.get("version")
        if ("dialect" in job) != ("version" in job):
            self._place.refuse("`dialect` and `version` must be given both, or neither")
        elif "dialect" not in job or (dialect == DIALECT and version == VERSION is not True):
            return True
        elif dialect == "alphafold3":
            self._place.refuse(
                "unsupported dialect: alphafold3; a list holds jobs of AlphaFold Server's dialect, "
                "so put each job of the alphafold3 dialect into a file of its own"
            )
        elif dialect != DIALECT:
            self._place.refuse(f"unsupported dialect: {shown(dialect)}, expected {DIALECT}")
        else:
            self._place.refuse(f"unsupported version: {shown(version)}, expected {VERSION}")
        return False

    def _check_entry(self, entry: Json, place: Place) -> None:
        keys = [key for key in _CHAIN_FIELDS if isinstance(entry, dict) and key in entry]
        if not isinstance(entry, dict) or len(entry) != 1 or not keys:
            given = ", ".join(map(shown, entry)) if isinstance(entry, dict) else type_name(entry)
            place.refuse(
                f"give one of {', '.join(_CHAIN_FIELDS)}, not {given or 'an empty object'}"
            )
            return
        (key,) = keys
        body = entry[key]
        if not isinstance(body, dict):
            place.inside(key).refuse(f"give an object, not {type_name(body)}")
            return
        ids = self._ids(body, place.inside(key))
        where = self._place.inside(chain_label(ids)) if ids else place.inside(key)
        required = ("sequence",) if key in POLYMERS else ()
        check_fields(body, _CHAIN_FIELDS[key], required, where)
        _check_unsupported(body, where)
        if key in POLYMERS:
            kind = POLYMERS[key]
            sequence = check_sequence(body, where)
            modified = check_modifications(kind, body, len(sequence), where, prefixed=True)
            chain = Chain(ids, kind, sequence=sequence, modified=modified, body=dict(body))
        else:
            chain = Chain(ids, "ligand", codes=_check_code(body, where), body=dict(body))
        if ids:
            self.chains.append(chain)

    def _ids(self, body: Mapping[str, Json], place: Place) -> tuple[str, ...]:
        """The identifiers that the engine gives the copies of a chain."""
        count = body.get("count", 1)
        if not is_integer(count) or not 0 <= count <= _MOST_COPIES:
            place.inside("count").refuse(
                f"{shown(count)} is no number of copies; give a whole number up to {_MOST_COPIES}"
            )
            return ()
        first = self._number + 1
        self._number += count
        return tuple(map(chain_id, range(first, first + count)))


def _check_unsupported(body: Mapping[str, Json], place: Place) -> None:
    if "glycans" in body:
        how = "leave the field out" if not body["glycans"] else (
            "write the job in the alphafold3 dialect, with the glycans as ligands and "
            "bondedAtomPairs"
        )  # fmt: skip
        place.inside("glycans").refuse(f"AlphaFold 3 does not take them in this dialect; {how}")
    if "maxTemplateDate" in body:
        place.inside("maxTemplateDate").refuse(
            "AlphaFold 3 does not take it in this dialect; leave it out and set --max_template_date"
        )


def _check_code(body: Mapping[str, Json], place: Place) -> tuple[str, ...]:
    """Returns the code of a ligand or an ion; the engine looks at `ligand` first."""
    if "ligand" in body:
        code = body["ligand"]
        code = code.removeprefix("CCD_") if isinstance(code, str) else code
        return check_codes([code], place.inside("ligand"))
    if "ion" in body:
        return check_codes([body["ion"]], place.inside("ion"))
    place.refuse("has neither ligand nor ion; give one of them")
    return ()
