"""Checking an input whole, before any engine work and any search.

Everything that a user's mistake can cause is found here or, where it takes the chemical
component dictionary or a structure, right after (`CheckedJob.check_components`, and
`engine.inputs`): the message names file, job, chain, field and place, and what to do. What
the engine takes and handles as it is meant is never refused.
"""

from collections.abc import Collection
from pathlib import Path

from af3opt.base.errors import InputError
from af3opt.base.json_types import Json
from af3opt.inputs.alphafold3 import VERSIONS, Alphafold3Check
from af3opt.inputs.findings import Findings, Place, shown
from af3opt.inputs.job import CheckedJob
from af3opt.inputs.reading import read_json
from af3opt.inputs.server import ServerCheck


def check_file(path: Path, versions: Collection[int] = VERSIONS) -> list[CheckedJob]:
    """Checks every job of an input file.

    Args:
        path: JSON file in AlphaFold 3's or AlphaFold Server's dialect.
        versions: Versions of the alphafold3 dialect that the engine reads.

    Returns:
        The jobs in the order of the file, at least one. A bad job holds its errors.

    Raises:
        InputError: the file cannot be read, or holds no job.
    """
    content, doubled = read_json(path)
    count = len(content) if isinstance(content, list) else 1
    if not count:
        raise InputError(f"{path}: holds no fold job; see the input format")
    return [check_content(content, path, position, versions, doubled) for position in range(count)]


def check_job(path: Path, position: int, versions: Collection[int] = VERSIONS) -> CheckedJob:
    """Checks one job of an input file.

    Args:
        path: The file.
        position: Index of the job among those of the file.
        versions: Versions of the alphafold3 dialect that the engine reads.

    Raises:
        InputError: the file or the job cannot be used.
    """
    content, doubled = read_file_of_job(path, position)
    job = check_content(content, path, position, versions, doubled)
    job.raise_if_refused()
    return job


def read_file_of_job(path: Path, position: int) -> tuple[Json, list[str]]:
    """Parses an input file, which must have a job at a position; see `read_json`.

    Raises:
        InputError: the file cannot be read, or holds no such job.
    """
    content, doubled = read_json(path)
    if position >= (len(content) if isinstance(content, list) else 1):
        raise InputError(f"{path}: holds no fold job; see the input format")
    return content, doubled


def check_content(
    content: Json,
    path: Path,
    position: int = 0,
    versions: Collection[int] = VERSIONS,
    doubled: Collection[str] = (),
) -> CheckedJob:
    """Checks one job of parsed JSON.

    Args:
        content: A job of the alphafold3 dialect, or a list of AlphaFold Server's dialect.
        path: File it is from or meant for; the files that it names are beside it.
        position: Index of the job in a list.
        versions: Versions of the alphafold3 dialect that the engine reads.
        doubled: Names of fields that an object of the file holds twice.
    """
    in_list = isinstance(content, list)
    entry = content[position] if in_list else content
    if not isinstance(entry, dict):
        findings = Findings()
        Place(findings).refuse(
            f"{shown(entry)} is no fold job; give an object, see the input format"
        )
        return CheckedJob(path=path, position=position, in_list=in_list, findings=findings)
    name = entry["name"] if isinstance(entry.get("name"), str) else ""
    check = ServerCheck() if in_list else Alphafold3Check(path.parent, versions)
    check.check(entry)
    for field in dict.fromkeys(doubled):
        Place(check.findings).warn(
            f"the field {shown(field)} is there twice in one object; the last one counts"
        )
    return CheckedJob(
        path=path,
        position=position,
        in_list=in_list,
        name=name,
        content=check.content,
        chains=check.chains,
        bonds=check.bonds,
        findings=check.findings,
    )
