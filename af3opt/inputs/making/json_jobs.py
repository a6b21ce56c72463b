"""Jobs that are written in JSON already, in either dialect."""

import copy
from pathlib import Path

from af3opt.base.errors import InputError
from af3opt.base.json_types import Json, JsonObject
from af3opt.inputs.alphafold3 import seed_number
from af3opt.inputs.chain import Chain
from af3opt.inputs.checking import check_content
from af3opt.inputs.job import CheckedJob
from af3opt.inputs.making.records import Harvest, Origin, Part, Record
from af3opt.inputs.reading import read_json

# What a chain brings along in the alphafold3 dialect.
_GIVEN = ("unpairedMsa", "pairedMsa", "templates")
_WHOLE_JOB = ("bondedAtomPairs", "userCCD")


def read_json_jobs(path: Path) -> Harvest:
    """Reads the jobs of an input file; chains get new identifiers later.

    Args:
        path: The file; what it names is read, too.
    """
    harvest = Harvest()
    origin = Origin(path)
    try:
        content, _ = read_json(path)
    except InputError as error:
        harvest.refuse(origin, str(error).removeprefix(f"{path}: "))
        return harvest
    if isinstance(content, list):
        content = [_without_idle_fields(job, path, harvest) for job in content]
    for position in range(len(content) if isinstance(content, list) else 1):
        job = check_content(content, path, position)
        entry: JsonObject = content[position] if job.in_list else content
        if job.findings.errors:
            harvest.refuse(origin, _named(job, job.findings.summary))
        elif any(entry.get(field) for field in _WHOLE_JOB) or entry.get("userCCDPath"):
            harvest.refuse(
                origin,
                _named(job, "has bondedAtomPairs or userCCD, which belong to one job; keep it"),
            )
        else:
            harvest.remarks += job.warnings
            harvest.records.append(_record(job, entry, origin))
    if not content:
        harvest.refuse(origin, "holds no fold job")
    return harvest


def _named(job: CheckedJob, text: str) -> str:
    prefix = job.source.removeprefix(str(job.path)).removeprefix(": ")
    return f"{prefix}: {text}" if prefix else text


def _without_idle_fields(job: Json, path: Path, harvest: Harvest) -> Json:
    """Leaves out fields of AlphaFold Server that say nothing, or that a flag says here."""
    job = copy.deepcopy(job)
    entries = job.get("sequences") if isinstance(job, dict) else None
    for entry in entries if isinstance(entries, list) else ():
        body = entry.get("proteinChain") if isinstance(entry, dict) else None
        if not isinstance(body, dict):
            continue
        if body.get("glycans") == []:
            del body["glycans"]
        if "maxTemplateDate" in body:
            date = body.pop("maxTemplateDate")
            harvest.remarks.append(
                f"{path}: maxTemplateDate is left out; run with --max_template_date={date}"
            )
    return job


def _record(job: CheckedJob, entry: JsonObject, origin: Origin) -> Record:
    seeds = [seed_number(seed) for seed in entry.get("modelSeeds") or ()]
    return Record(
        name=job.name,
        parts=tuple(_part(chain, origin) for chain in job.chains),
        origin=origin,
        seeds=tuple(seed for seed in seeds if seed is not None),
    )


def _part(chain: Chain, origin: Origin) -> Part:
    given = {field: chain.body[field] for field in _GIVEN if chain.body.get(field) is not None}
    if chain.body.get("useStructureTemplate") is False:
        given["templates"] = []
    kind, content = chain.kind, chain.sequence
    if chain.kind == "ligand":
        kind = "ccd" if chain.smiles is None else "smiles"
        content = ",".join(chain.codes) if chain.smiles is None else chain.smiles
    return Part(
        kind=kind,
        content=content,
        origin=origin,
        copies=len(chain.ids),
        modifications=tuple((code, place) for place, code in sorted(chain.modified.items())),
        given=given,
    )
