"""What is finished, written down where every process of a batch can see it.

    <output_dir>/.af3opt/jobs/<job>/claim-N                 see `claims.claim`
    <output_dir>/.af3opt/jobs/<job>/data-<digest>-<source>.json
                                                            MSAs and templates: begun, or done
    <output_dir>/.af3opt/jobs/<job>/<digest>/run.json       identity, directory and seeds of a run
    <output_dir>/.af3opt/jobs/<job>/<digest>/seed-S.json    seed S is done: its files and scores

It lies beside the job directories, not in them, so that these hold what upstream
writes. A record is written only after the files it vouches for are on disk. Whatever is
damaged or was not written by af3opt counts as not there. Several jobs may have one name;
what they do not share is told apart by digests of their content and of their source, which
is a file and a place in it.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from af3opt.base.atomic import is_temporary
from af3opt.base.json_types import Json
from af3opt.execution.job.identity import Identity, differences
from af3opt.execution.job.run_journal import RunJournal
from af3opt.execution.job.state_files import (
    file_digest,
    named_directory,
    read_object,
    write_object,
)
from af3opt.execution.state_directory import jobs_directory
from af3opt.output.checked_files import UNCHECKED, CheckedFiles
from af3opt.output.run_record import record_path
from af3opt.output.tree import JobTree

# Parts that follow from others: naming them as well would explain nothing.
_DERIVED_PARTS = frozenset({"resolved_input"})


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DataFile:
    """State of a file, to find out whether it is what was written.

    Attributes:
        size: In bytes.
        modified: Time of its last change in nanoseconds.
        digest: SHA-256 of its content; "" in records of older releases.
    """

    size: int
    modified: int
    digest: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DataRecord:
    """MSAs and templates of a job.

    Attributes:
        data_json: The input with them filled in.
        file: What that file was when it had been written.
        resolved: Digest of that input without its seeds.
        seeds: The seeds it was written with.
        source: Digest of the place of the job's input; "" in records of older releases.
        parts: Parts of its identity.
    """

    data_json: Path
    file: DataFile
    resolved: str
    seeds: tuple[int, ...]
    source: str
    parts: Mapping[str, Json]

    def belongs_to(self, source: str, seeds: Sequence[int]) -> bool:
        """Tells whether it is a job's own, and not that of another one with equal content.

        Args:
            source: Digest of the place of the job's input.
            seeds: Seeds that input names; none where it leaves them to chance.
        """
        return self.source == source or not seeds or seeds[0] == self.seeds[0]

    def is_unchanged(self) -> bool:
        """Tells whether the file is what was written; reads it only if its time is another."""
        try:
            status = self.data_json.stat()
        except OSError:
            return False
        if status.st_size != self.file.size:
            return False
        if not self.file.digest or status.st_mtime_ns == self.file.modified:
            return True
        return file_digest(self.data_json) == self.file.digest


class JobJournal:
    """The journal of the jobs of one name; their runs have one each, see `RunJournal`."""

    def __init__(
        self, output_dir: Path, job_name: str, source: str = "", files: CheckedFiles = UNCHECKED
    ) -> None:
        """Names the journal; nothing is written yet.

        Args:
            output_dir: Directory of the job directories.
            job_name: The job's sanitised name.
            source: Digest of the place of the job's input.
            files: Writes the records.
        """
        self.name = job_name
        self.output_dir = output_dir
        self.directory = jobs_directory(output_dir) / job_name
        self.source = source
        self._files = files

    def begin_data(self, identity: Identity, directory: Path) -> None:
        """Notes which directory a search for MSAs and templates will write to.

        Raises:
            OSError: the journal cannot be written.
        """
        path = self._data_path(identity)
        if (read_object(path) or {}).get("directory") == directory.name:
            return
        content = {
            "directory": directory.name,
            "identity": dict(identity.parts),
            "source": self.source,
            "done": False,
        }
        write_object(path, content, self._files)

    def begun_data_directory(self, identity: Identity) -> Path | None:
        """The directory that this job's search has begun to write to, if it is still there."""
        content = read_object(self._data_path(identity))
        if content is None:  # As older releases call it, who could not tell jobs apart.
            content = read_object(self.directory / f"data-{identity.digest}.json")
        if content is None or content.get("identity") != identity.parts:
            return None
        directory = named_directory(self.output_dir, self.name, content)
        if directory is None or content.get("done"):
            return directory
        # Before the record says "done", a job writes its input and why it failed, no more.
        found = {path for path in directory.iterdir() if not is_temporary(path)}
        own = {JobTree(directory, self.name).data_json, record_path(directory, self.name)}
        return directory if found <= own else None

    def holds_no_results(self, directory: Path) -> bool:
        """Tells whether nobody has folded in a directory."""
        return not JobTree(directory, self.name).results()

    def is_begun_by_another(self, directory: Path) -> bool:
        """Tells whether a job of this name from another source has begun to use a directory.

        Args:
            directory: It need not exist; then nobody uses it any more.
        """
        if not directory.is_dir():
            return False
        contents = map(read_object, self.directory.glob("data-*.json"))
        return any(
            content
            and content.get("directory") == directory.name
            and content.get("source", "") != self.source
            for content in contents
        )

    def finish_data(
        self, identity: Identity, data_json: Path, resolved: str, seeds: Sequence[int]
    ) -> DataRecord:
        """Notes that the input with MSAs and templates is on disk.

        Raises:
            OSError: the file cannot be read, or the journal not be written.
        """
        status = data_json.stat()
        content = {
            "directory": data_json.parent.name,
            "identity": dict(identity.parts),
            "source": self.source,
            "done": True,
            "size": status.st_size,
            "modified": status.st_mtime_ns,
            "digest": file_digest(data_json),
            "resolved": resolved,
            "seeds": list(seeds),
        }
        write_object(self._data_path(identity), content, self._files)
        record = _data_record(self.output_dir, self.name, content)
        assert record is not None
        return record

    def data_record(self, identity: Identity, seeds: Sequence[int]) -> DataRecord | None:
        """Returns finished MSAs and templates, this job's own rather than another's.

        Args:
            identity: What they are to be.
            seeds: Seeds of the job's input; see `DataRecord.belongs_to`.
        """
        found = self._data_records(f"data-{identity.digest}*.json", dict(identity.parts))
        return _own_first(found, self.source, seeds)

    def data_of_input(self, input_digest: str, seeds: Sequence[int]) -> DataRecord | None:
        """Returns finished MSAs and templates of an input, whatever databases they are from.

        For inference alone: its node need not have the databases. The newest counts.
        """
        found = self._data_records("data-*.json", {"input": input_digest})
        return _own_first(found, self.source, seeds)

    def _data_records(self, pattern: str, parts: Mapping[str, Json]) -> list[DataRecord]:
        """The finished records that have these parts, newest first."""
        paths = sorted(self.directory.glob(pattern), key=_modified, reverse=True)
        records = [_data_record(self.output_dir, self.name, read_object(path)) for path in paths]
        return [
            record
            for record in records
            if record is not None and parts.items() <= dict(record.parts).items()
        ]

    def _data_path(self, identity: Identity) -> Path:
        return self.directory / f"data-{identity.digest}-{self.source}.json"

    def run(self, identity: Identity) -> RunJournal:
        """The journal of one run of the job."""
        directory = self.directory / identity.digest
        return RunJournal(
            self.output_dir, self.name, directory, parts=identity.parts, files=self._files
        )

    def forget_others(self, directory: Path, data: Identity, run: Identity | None) -> None:
        """Takes back that others of this name write to a directory, which is one run's now.

        With `--force_output_dir` a directory is used again. What others had there is replaced;
        else files of two runs, equal in size, would be taken for one result.

        Args:
            directory: The job's directory.
            data: Identity of its MSAs and templates.
            run: Identity of its inference, None without.
        """
        for path in [*self.directory.glob("data-*.json"), *self.directory.glob("*/run.json")]:
            content = read_object(path) or {}
            if content.get("directory") != directory.name:
                continue
            if path.name == "run.json":
                own = run is None or path.parent.name == run.digest
            else:
                own = content.get("identity") == data.parts
            if not own:
                self._files.check()
                path.unlink(missing_ok=True)

    def directory_is_taken(self, directory: Path) -> bool:
        """Tells whether a run of a job of this name has begun to write to a directory."""
        contents = map(read_object, self.directory.glob("*/run.json"))
        return any(content and content.get("directory") == directory.name for content in contents)

    def explain(self, parts: Mapping[str, Json]) -> list[str]:
        """Says what differs from each earlier run of this job.

        Args:
            parts: Parts of the identities of this run.
        """
        lines = []
        for path in sorted(self.directory.glob("*/run.json")):
            content = read_object(path) or {}
            earlier = content.get("parts")
            if not isinstance(earlier, dict):
                continue
            found = differences(earlier, parts, _DERIVED_PARTS)
            if found:
                lines.append(f"the run in {content.get('directory')} differs: {'; '.join(found)}")
        return lines


def _own_first(found: Sequence[DataRecord], source: str, seeds: Sequence[int]) -> DataRecord | None:
    by_source = [record for record in found if record.source == source]
    own = [record for record in found if record.belongs_to(source, seeds)]
    return next(iter([*by_source, *own, *found]), None)


def _data_record(
    output_dir: Path, job_name: str, content: Mapping[str, Json] | None
) -> DataRecord | None:
    directory = named_directory(output_dir, job_name, content)
    if content is None or directory is None or not content.get("done"):
        return None
    try:
        seeds = tuple(map(int, content["seeds"]))
        record = DataRecord(
            data_json=JobTree(directory, job_name).data_json,
            file=DataFile(
                size=int(content["size"]),
                modified=int(content.get("modified", 0)),
                digest=str(content.get("digest", "")),
            ),
            resolved=str(content["resolved"]),
            seeds=seeds,
            source=str(content.get("source", "")),
            parts=dict(content["identity"]),
        )
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    return record if seeds and record.data_json.is_file() else None


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
