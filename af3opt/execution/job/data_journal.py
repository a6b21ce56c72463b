"""The journal of searches: which jobs have their MSAs and templates, and where."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from af3opt.base.atomic import is_temporary
from af3opt.base.json_types import Json
from af3opt.execution.job.identity import Identity
from af3opt.execution.job.state_files import (
    DataFile,
    JournalPlace,
    file_digest,
    file_size,
    named_directory,
    read_data_file,
    write_state,
)
from af3opt.output.run_record import record_path
from af3opt.output.tree import JobTree


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DataRecord:
    """MSAs and templates of a job.

    Attributes:
        data_json: The input with them filled in.
        file: What was noted when it had been written.
    """

    data_json: Path
    file: DataFile

    @property
    def resolved(self) -> str:
        """Digest of that input without its seeds."""
        return self.file.resolved

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds it was written with."""
        return self.file.seeds

    @property
    def parts(self) -> Mapping[str, Json]:
        """Parts of its identity."""
        return self.file.identity

    def belongs_to(self, source: str, seeds: Sequence[int]) -> bool:
        """Tells whether it is a job's own, and not that of another one with equal content.

        Args:
            source: Digest of the place of the job's input.
            seeds: All seeds that the job is to have. Jobs of equal content that share the
                first one only are two.
        """
        return self.file.source == source or tuple(seeds) == self.seeds

    def has_its_size(self) -> bool:
        """Tells whether the file is there, as large as it was; does not read it."""
        return file_size(self.data_json) == self.file.size

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


class DataJournal:
    """The journal of the searches of the jobs of one name."""

    def __init__(self, place: JournalPlace) -> None:
        """Names the journal; nothing is written yet."""
        self._place = place

    def begin(self, identity: Identity, directory: Path) -> None:
        """Notes which directory a search for MSAs and templates will write to.

        Raises:
            OSError: the journal cannot be written.
        """
        path = self._path(identity)
        known = read_data_file(path)
        if known is not None and known.directory == directory.name:
            return
        content = DataFile(
            directory=directory.name, identity=dict(identity.parts), source=self._place.source
        )
        write_state(path, content, self._place.files)

    def begun_directory(self, identity: Identity) -> Path | None:
        """The directory that this job's search has begun to write to, if it is still there."""
        content = read_data_file(self._path(identity))
        if content is None:  # As older releases call it, who could not tell jobs apart.
            content = read_data_file(self._place.directory / f"data-{identity.digest}.json")
        if content is None or content.identity != identity.parts:
            return None
        directory = named_directory(self._place.output_dir, self._place.name, content)
        if directory is None or content.done:
            return directory
        # Before the record says "done", a job writes its input and why it failed, no more.
        found = {path for path in directory.iterdir() if not is_temporary(path)}
        own = {
            JobTree(directory, self._place.name).data_json,
            record_path(directory, self._place.name),
        }
        return directory if found <= own else None

    def is_begun_by_another(self, directory: Path) -> bool:
        """Tells whether a job of this name from another source has begun to use a directory.

        Args:
            directory: It need not exist; then nobody uses it any more.
        """
        if not directory.is_dir():
            return False
        contents = map(read_data_file, self._place.directory.glob("data-*.json"))
        return any(
            content is not None
            and content.directory == directory.name
            and content.source != self._place.source
            for content in contents
        )

    def finish(
        self, identity: Identity, data_json: Path, resolved: str, seeds: Sequence[int]
    ) -> DataRecord:
        """Notes that the input with MSAs and templates is on disk.

        Raises:
            OSError: the file cannot be read, or the journal not be written.
        """
        status = data_json.stat()
        content = DataFile(
            directory=data_json.parent.name,
            identity=dict(identity.parts),
            source=self._place.source,
            done=True,
            size=status.st_size,
            modified=status.st_mtime_ns,
            digest=file_digest(data_json),
            resolved=resolved,
            seeds=tuple(seeds),
        )
        write_state(self._path(identity), content, self._place.files)
        return DataRecord(data_json=data_json, file=content)

    def record(self, identity: Identity, seeds: Sequence[int]) -> DataRecord | None:
        """Returns finished MSAs and templates, this job's own rather than another's.

        Args:
            identity: What they are to be.
            seeds: Seeds of the job's input; see `DataRecord.belongs_to`.
        """
        found = self._records(f"data-{identity.digest}*.json", dict(identity.parts))
        return self._own_first(found, seeds)

    def of_input(self, input_digest: str, seeds: Sequence[int]) -> DataRecord | None:
        """Returns finished MSAs and templates of an input, whatever databases they are from.

        For inference alone: its node need not have the databases. The newest counts.
        """
        return self._own_first(self.matching({"input": input_digest}), seeds)

    def matching(self, parts: Mapping[str, Json]) -> list[DataRecord]:
        """Returns finished ones that have these parts of an identity, newest first."""
        return self._records("data-*.json", parts)

    def _own_first(self, found: Sequence[DataRecord], seeds: Sequence[int]) -> DataRecord | None:
        by_source = [record for record in found if record.file.source == self._place.source]
        own = [record for record in found if record.belongs_to(self._place.source, seeds)]
        return next(iter([*by_source, *own, *found]), None)

    def _records(self, pattern: str, parts: Mapping[str, Json]) -> list[DataRecord]:
        """The finished records that have these parts, newest first."""
        paths = sorted(self._place.directory.glob(pattern), key=_modified, reverse=True)
        records = [self._finished(read_data_file(path)) for path in paths]
        return [
            record
            for record in records
            if record is not None and parts.items() <= record.file.identity.items()
        ]

    def _finished(self, content: DataFile | None) -> DataRecord | None:
        directory = named_directory(self._place.output_dir, self._place.name, content)
        if content is None or directory is None or not (content.done and content.seeds):
            return None
        data_json = JobTree(directory, self._place.name).data_json
        return DataRecord(data_json=data_json, file=content) if data_json.is_file() else None

    def _path(self, identity: Identity) -> Path:
        return self._place.directory / f"data-{identity.digest}-{self._place.source}.json"


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
