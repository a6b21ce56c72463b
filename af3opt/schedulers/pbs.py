"""PBS Pro and OpenPBS: `qsub -J` arrays, whose tasks submit what is to follow them.

A PBS user may not put a running job back into the queue (`qrerun` is for operators). So
a task that is to go on submits a job that does the same share, and the inference array
that waits for the searches is told to wait for that job, too.
"""

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from af3opt.host.queues.every import QUEUES
from af3opt.schedulers.core import Array, Scheduler, clock_text, counted_tries, limit_seconds

# Set for a job that goes on with one share.
_SHARE = "AF3_SHARE"


class Pbs(Scheduler):
    """PBS Pro or OpenPBS."""

    queue = QUEUES["pbs"]
    submitter = "qsub"
    canceller = "qdel"
    directive = "#PBS"

    def options(self, array: Array) -> Iterator[str]:
        """See `Scheduler.options`."""
        throttle = f"%{array.resources.throttle}" if array.resources.throttle else ""
        # PBS refuses an array of one task.
        if array.tasks > 1:
            yield f"-J 0-{array.tasks - 1}{throttle}"
        yield from _options(array)

    def share_index(self) -> str:
        """See `Scheduler.share_index`."""
        return f'"${{{_SHARE}:-${{PBS_ARRAY_INDEX:-0}}}}"'

    def before(self) -> Iterator[str]:
        """See `Scheduler.before`."""
        yield 'cd "$PBS_O_WORKDIR" || exit 1'

    def command(self, script: Path, after: str | None) -> Sequence[str]:
        """See `Scheduler.command`; inference waits for the whole array of searches."""
        dependency = ["-W", f"depend=afterany:{after}"] if after else []
        return ["qsub", *dependency, str(script)]

    def read_id(self, answer: str) -> str:
        """See `Scheduler.read_id`."""
        return answer.strip()

    def ending(self, array: Array) -> Iterator[str]:
        """See `Scheduler.ending`."""
        # -C "": the script's own options, its array among them, do not count again.
        words = [word for option in _options(array) for word in shlex.split(option)]
        # `-V` and `-v` go together: everything, and the share.
        again = shlex.join(["qsub", "-C", "", *words])
        script = shlex.quote(str(array.directory / self.script_name(array)))
        yield "go_on() {"
        yield "  local next"
        yield f'  next="$({again} -v "{_SHARE}=$index" {script})" || exit 1'
        yield f'  echo "$next" >>"$directory/{array.name}.next"'
        yield '  echo "job $next goes on with this share"'
        if array.stage == "data":
            yield '  if [[ -s "$directory/inference.id" ]]; then'
            yield (
                "    qalter -W "
                '"depend=afterany:$(cat "$directory/data.id"):'
                f'$(paste -sd: "$directory/{array.name}.next")" '
                '"$(cat "$directory/inference.id")"'
            )
            yield "  fi"
        yield "  exit 0"
        yield "}"
        yield from counted_tries(array, "go_on")


def _options(array: Array) -> Iterator[str]:
    """Yields the options of a single job of an array."""
    resources = array.resources
    yield "-S /bin/bash"
    yield f"-N af3opt-{array.name}"
    yield "-j oe"
    # A directory: PBS names the files.
    yield f"-o {shlex.quote(f'{array.log_dir}/')}"
    yield "-V"
    yield "-r y"
    if resources.partition:
        yield f"-q {resources.partition}"
    if resources.account:
        yield f"-A {resources.account}"
    chunk = ["select=1"]
    if resources.cpus_per_task:
        chunk.append(f"ncpus={resources.cpus_per_task}")
    if resources.mem:
        # PBS writes "64gb".
        chunk.append(f"mem={resources.mem.lower().removesuffix('b')}b")
    if resources.gpus:
        chunk.append(f"ngpus={resources.gpus}")
    yield f"-l {':'.join(chunk)}"
    seconds = limit_seconds(resources)
    if seconds is not None:
        yield f"-l walltime={clock_text(seconds)}"
    yield from resources.extra
