"""What jobs the sources and the user's wishes give, each checked."""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from af3opt.base.errors import UsageError
from af3opt.base.json_types import JsonObject
from af3opt.inputs.checking import check_content
from af3opt.inputs.components import Dictionary, check_components
from af3opt.inputs.findings import Place, shown
from af3opt.inputs.job import CheckedJob
from af3opt.inputs.making.jobs import (
    Names,
    against,
    copied,
    in_upper_case,
    job_content,
    pairs,
    without_relatives,
)
from af3opt.inputs.making.records import BadCellError, Mistake, Part, Record
from af3opt.inputs.making.server import server_content
from af3opt.inputs.making.sources import read_sources

# Keeps a chain that would be left out from being the only one while it is checked.
_COMPANION: JsonObject = {"ligand": {"id": "ZZZZ", "ccdCodes": ["MG"]}}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Wishes:
    """What the user wants to be made.

    Attributes:
        sources: Files and directories.
        targets: Files and directories whose records meet each record of the sources.
        pairs: Whether every two records become a job.
        with_itself: Whether pairs include each record with itself.
        copies: Copies of every record of the sources.
        kind: Kind of sequences that name none, or None.
        designed: Whether the records of the sources have no relatives to search for.
        upper_case: Whether lower-case letters of sequences are taken as upper-case ones.
        seeds: Seeds of records that have none of their own.
        server: Whether AlphaFold Server's dialect is written.
        most_jobs: More jobs than these are a mistake.
    """

    sources: Sequence[Path]
    targets: Sequence[Path] = ()
    pairs: bool = False
    with_itself: bool = False
    copies: int = 1
    kind: str | None = None
    designed: bool = False
    upper_case: bool = False
    seeds: Sequence[int] = (1,)
    server: bool = False
    most_jobs: int = 100_000


@dataclasses.dataclass(frozen=True, slots=True)
class MadeJob:
    """A job that can be written.

    Attributes:
        name: Its name, which files can have.
        content: Its JSON.
        summary: Its chains in a few words.
    """

    name: str
    content: JsonObject
    summary: str


@dataclasses.dataclass(slots=True)
class Made:
    """What was made of the sources.

    Attributes:
        jobs: Jobs that are right.
        mistakes: What keeps others from being made.
        remarks: What the user should know.
        has_codes: Whether there are CCD codes in the sources.
    """

    jobs: list[MadeJob] = dataclasses.field(default_factory=list)
    mistakes: list[Mistake] = dataclasses.field(default_factory=list)
    remarks: list[str] = dataclasses.field(default_factory=list)
    has_codes: bool = False


def make_jobs(wishes: Wishes, directory: Path, ccd: Dictionary | None) -> Made:
    """Makes the jobs; nothing is written.

    Args:
        wishes: What to make.
        directory: Directory the jobs will be written to.
        ccd: Chemical component dictionary; None to leave codes unchecked.

    Raises:
        SetupError: a source takes a package that is not installed.
        UsageError: there would be too many.
    """
    made = Made()
    checker = _Checker(directory, ccd, made)
    records = [copied(record, wishes.copies) for record in checker.usable(wishes.sources, wishes)]
    if wishes.designed:
        records = [without_relatives(record) for record in records]
    targets = checker.usable(wishes.targets, wishes) if wishes.targets else []
    count = _count(wishes, len(records), len(targets))
    if count > wishes.most_jobs:
        raise UsageError(
            f"af3opt make-inputs: {count} jobs would be made; if that is meant, add "
            f"--most_jobs={count}"
        )
    names = Names(wishes.seeds)
    for record in _combined(wishes, records, targets):
        checker.make(record, names.give(record.name), wishes)
    made.mistakes.sort(key=lambda mistake: (str(mistake.origin.path), mistake.origin.line))
    return made


def _count(wishes: Wishes, records: int, targets: int) -> int:
    if wishes.targets:
        return records * targets
    if wishes.pairs:
        return records * (records - 1) // 2 + (records if wishes.with_itself else 0)
    return records


def _combined(
    wishes: Wishes, records: Sequence[Record], targets: Sequence[Record]
) -> Iterable[Record]:
    if wishes.targets:
        return against(targets, records)
    if wishes.pairs:
        return pairs(records, with_itself=wishes.with_itself)
    return records


class _Checker:
    """Checks records and jobs as `af3opt run` does, with the places of the sources."""

    def __init__(self, directory: Path, ccd: Dictionary | None, made: Made) -> None:
        self._directory = directory
        self._ccd = ccd
        self._made = made

    def usable(self, paths: Sequence[Path], wishes: Wishes) -> list[Record]:
        """Reads sources and returns the records that are right, each with a name of its own."""
        harvest = read_sources(paths, wishes.kind)
        self._made.mistakes += harvest.mistakes
        self._made.remarks += harvest.remarks
        names = Names(wishes.seeds)
        usable = []
        for record in harvest.records:
            if wishes.upper_case:
                record = in_upper_case(record)
            name = names.give(record.name)
            if self._is_usable(record):
                usable.append(self._renamed(record, name))
        return usable

    def _renamed(self, record: Record, name: str) -> Record:
        if name != record.name:
            self._made.remarks.append(
                f"{record.origin}: {shown(record.name)} becomes {name}, which files can have and "
                "no other has"
            )
        return dataclasses.replace(record, name=name)

    def _is_usable(self, record: Record) -> bool:
        mistakes = [
            dataclasses.replace(mistake, text=f"{shown(record.name)}: {mistake.text}")
            for part in record.parts
            for mistake in self._mistakes(part)
        ]
        self._made.mistakes += mistakes
        return not mistakes

    def _mistakes(self, part: Part) -> Iterator[Mistake]:
        part = dataclasses.replace(_absolute(part), copies=1)
        content = job_content(Record(name="x", parts=(part,), origin=part.origin), "x", (1,))
        content["sequences"].append(_COMPANION)
        self._made.has_codes |= part.kind == "ccd" or bool(part.modifications)
        job = self._checked(content)
        for error in job.findings.errors:
            yield Mistake(part.origin, error.removeprefix("chain A: "))
        if not job.findings.errors:
            self._made.remarks += [
                f"{part.origin}: {text.removeprefix('chain A: ')}" for text in job.findings.warnings
            ]

    def _checked(self, content: JsonObject) -> CheckedJob:
        job = check_content(content, self._directory / "x.json")
        if self._ccd is not None and not job.findings.errors:
            check_components(job.chains, job.bonds, self._ccd, Place(job.findings))
        return job

    def make(self, record: Record, name: str, wishes: Wishes) -> None:
        """Makes one job, or notes why it cannot be made."""
        record = dataclasses.replace(record, parts=tuple(map(_absolute, record.parts)))
        content = job_content(record, name, wishes.seeds)
        findings = check_content(content, self._directory / f"{name}.json").findings
        if findings.errors:
            self._made.mistakes.append(Mistake(record.origin, findings.summary))
            return
        if wishes.server:
            try:
                content = server_content(record, name, wishes.seeds)
            except BadCellError as error:
                self._made.mistakes.append(Mistake(record.origin, str(error)))
                return
        self._made.jobs.append(MadeJob(name, content, _summary(record)))


def _absolute(part: Part) -> Part:
    """Lets an alignment be found from anywhere: tables name it from where they are."""
    if not part.msa:
        return part
    return dataclasses.replace(part, msa=str((part.origin.path.parent / part.msa).absolute()))


def _summary(record: Record) -> str:
    return ", ".join(map(_part_summary, record.parts))


def _part_summary(part: Part) -> str:
    copies = f"{part.copies} x " if part.copies > 1 else ""
    if part.kind in ("ccd", "smiles"):
        return f"{copies}{part.content}"
    searched = "" if part.msa is None and not part.given else ", alignment given"
    if part.msa == "":
        searched = ", no alignment"
    return f"{copies}{part.kind} of {len(part.content)}{searched}"
