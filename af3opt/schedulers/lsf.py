"""LSF: `bsub` arrays, put back into the queue by their exit code."""

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from af3opt.base.errors import ExitCode
from af3opt.host.queues.every import QUEUES
from af3opt.schedulers.core import Array, Scheduler, counted_tries, limit_seconds


class Lsf(Scheduler):
    """IBM Spectrum LSF."""

    queue = QUEUES["lsf"]
    submitter = "bsub"
    canceller = "bkill"
    directive = "#BSUB"

    def options(self, array: Array) -> Iterator[str]:
        """See `Scheduler.options`."""
        resources = array.resources
        throttle = f"%{resources.throttle}" if resources.throttle else ""
        yield f'-J "af3opt-{array.name}[1-{array.tasks}]{throttle}"'
        yield f"-o {shlex.quote(f'{array.log_dir}/{array.name}-%J_%I.log')}"
        yield "-r"
        yield f'-Q "{int(ExitCode.REQUEUE)}"'
        if resources.partition:
            yield f"-q {resources.partition}"
        if resources.account:
            yield f"-P {resources.account}"
        if resources.cpus_per_task:
            yield f"-n {resources.cpus_per_task}"
            yield '-R "span[hosts=1]"'
        if resources.mem:
            yield f"-M {resources.mem}"
            yield f'-R "rusage[mem={resources.mem}]"'
        if resources.gpus:
            yield f'-gpu "num={resources.gpus}"'
        seconds = limit_seconds(resources)
        if seconds is not None:
            # LSF counts minutes.
            yield f"-W {seconds // 3600}:{seconds // 60 % 60:02}"
        yield from resources.extra

    def share_index(self) -> str:
        """See `Scheduler.share_index`."""
        return '"$((LSB_JOBINDEX - 1))"'

    def command(self, script: Path, after: str | None) -> Sequence[str]:  # noqa: ARG002
        """See `Scheduler.command`; bsub reads the script, and its options, from its input."""
        dependency = ["-w", f"ended({after}[*])"] if after else []
        return ["bsub", *dependency]

    def read_id(self, answer: str) -> str:
        """See `Scheduler.read_id`; bsub says `Job <12> is submitted to ...`."""
        return answer.partition("<")[2].partition(">")[0]

    def ending(self, array: Array) -> Iterator[str]:
        """See `Scheduler.ending`."""
        requeue = int(ExitCode.REQUEUE)
        yield f"# -Q: LSF puts a task back into the queue that ends with {requeue}."
        yield from counted_tries(array, f"exit {requeue}")
        yield f"((status == {requeue})) && status={int(ExitCode.FAILURE)}"
