"""What is finished, written down where every process of a batch can see it.

    <output_dir>/.af3opt/jobs/<job>/claim-N                 see `claims.claim`
    <output_dir>/.af3opt/jobs/<job>/data-<digest>-<source>.json
                                                            MSAs and templates: begun, or done
    <output_dir>/.af3opt/jobs/<job>/<digest>/run.json       identity, directory and seeds of a run
    <output_dir>/.af3opt/jobs/<job>/<digest>/seed-S.json    seed S is done: its files and scores
    <output_dir>/.af3opt/jobs/<job>/<digest>-<source>/...   the same of another source, whose job
                                                            has other seeds after the first

It lies beside the job directories, not in them, so that these hold what upstream
writes. A record is written only after the files it vouches for are on disk. Whatever is
damaged or was not written by af3opt counts as not there. Several jobs may have one name;
what they do not share is told apart by digests of their content and of their source, which
is a file and a place in it.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from af3opt.base.json_types import Json
from af3opt.execution.job.data_journal import DataJournal
from af3opt.execution.job.identity import Identity, differences
from af3opt.execution.job.run_journal import RunJournal
from af3opt.execution.job.state_files import JournalPlace, read_data_file, read_run_file
from af3opt.output.checked_files import UNCHECKED, CheckedFiles
from af3opt.output.tree import JobTree

# Parts that follow from others: naming them as well would explain nothing.
_DERIVED_PARTS = frozenset({"resolved_input"})


class JobJournal:
    """The journal of the jobs of one name.

    Attributes:
        data: What is noted of their searches; of their runs, see `run`.
        directory: Where the records lie.
        source: Digest of the place of the job's input.
    """

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
        self._place = JournalPlace(output_dir, job_name, source, files)
        self.directory = self._place.directory
        self.source = source
        self.data = DataJournal(self._place)

    def run(self, identity: Identity, seeds: Sequence[int]) -> RunJournal:
        """The journal of one run of the job.

        Seeds may be added to a job, so its identity has the first one only. A job of another
        source with equal content and first seed is the same job if all seeds are; else its
        run is apart: each would leave the other's seeds out of the ranking.

        Args:
            identity: Identity of the run.
            seeds: All its seeds.
        """
        directory = self.directory / identity.digest
        apart = self.directory / f"{identity.digest}-{self.source}"
        noted = read_run_file(directory / "run.json")
        if (apart / "run.json").exists() or (
            noted is not None
            and noted.source not in ("", self.source)
            and noted.seeds != tuple(seeds)
        ):
            directory = apart
        return RunJournal(self._place, directory, identity.parts)

    def run_called(self, digest: str) -> RunJournal:
        """The journal of an earlier run, to be read, whatever its identity was."""
        return RunJournal(self._place, self.directory / digest)

    def holds_no_results(self, directory: Path) -> bool:
        """Tells whether nobody has folded in a directory."""
        return not JobTree(directory, self._place.name).results()

    def forget_others(self, directory: Path, data: Identity, run: RunJournal | None) -> None:
        """Takes back that others of this name write to a directory, which is one run's now.

        With `--force_output_dir` a directory is used again. What others had there is replaced;
        else files of two runs, equal in size, would be taken for one result.

        Args:
            directory: The job's directory.
            data: Identity of its MSAs and templates.
            run: Journal of its inference, None without.
        """
        others: list[Path] = []
        for path in self.directory.glob("data-*.json"):
            searched = read_data_file(path)
            if searched is not None and searched.directory == directory.name:
                others += [path] if searched.identity != data.parts else []
        if run is not None:
            runs = self._runs_in(directory)
            others += [path for path in runs if path.parent != run.directory]
        for path in others:
            self._place.files.check()
            path.unlink(missing_ok=True)

    def directory_is_taken(self, directory: Path) -> bool:
        """Tells whether a run of a job of this name has begun to write to a directory."""
        return any(self._runs_in(directory))

    def explain(self, parts: Mapping[str, Json]) -> list[str]:
        """Says what differs from each earlier run of this job.

        Args:
            parts: Parts of the identities of this run.
        """
        lines = []
        for path in sorted(self.directory.glob("*/run.json")):
            earlier = read_run_file(path)
            if earlier is None or not earlier.parts:
                continue
            found = differences(earlier.parts, parts, _DERIVED_PARTS)
            if found:
                lines.append(f"the run in {earlier.directory} differs: {'; '.join(found)}")
        return lines

    def _runs_in(self, directory: Path) -> Iterator[Path]:
        """Yields the records of runs that have begun to write to a directory."""
        for path in self.directory.glob("*/run.json"):
            content = read_run_file(path)
            if content is not None and content.directory == directory.name:
                yield path
