"""Grid Engine: `qsub -t` arrays; exit code 99 puts a task back into the queue."""

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from af3opt.host.queues.every import QUEUES
from af3opt.schedulers.core import Array, Scheduler, counted_tries, limit_seconds


class GridEngine(Scheduler):
    """Grid Engine (SGE and its successors)."""

    queue = QUEUES["sge"]
    submitter = "qsub"
    canceller = "qdel"
    directive = "#$"

    def options(self, array: Array) -> Iterator[str]:
        """See `Scheduler.options`."""
        resources = array.resources
        yield "-S /bin/bash"
        yield f"-N af3opt-{array.name}"
        yield f"-t 1-{array.tasks}"
        if resources.throttle:
            yield f"-tc {resources.throttle}"
        yield f"-o {shlex.quote(f'{array.log_dir}/{array.name}-$JOB_ID.$TASK_ID.log')}"
        yield "-j y"
        yield "-V"
        yield "-r y"
        if resources.partition:
            yield f"-q {resources.partition}"
        if resources.account:
            yield f"-P {resources.account}"
        if resources.cpus_per_task > 1:
            yield f"-pe {resources.parallel_environment} {resources.cpus_per_task}"
        if resources.mem:
            yield f"-l mem_free={resources.mem}"
        if resources.gpus:
            yield f"-l gpu={resources.gpus}"
        seconds = limit_seconds(resources)
        if seconds is not None:
            yield f"-l h_rt={seconds}"
        yield from resources.extra

    def share_index(self) -> str:
        """See `Scheduler.share_index`."""
        return '"$((SGE_TASK_ID - 1))"'

    def before(self) -> Iterator[str]:
        """See `Scheduler.before`."""
        yield 'cd "$SGE_O_WORKDIR" || exit 1'

    def command(self, script: Path, after: str | None) -> Sequence[str]:
        """See `Scheduler.command`; task N waits for task N, however that ends."""
        dependency = ["-hold_jid_ad", after] if after else []
        return ["qsub", "-terse", *dependency, str(script)]

    def read_id(self, answer: str) -> str:
        """See `Scheduler.read_id`; `-terse` gives `12.1-3:1`."""
        return answer.split()[-1].partition(".")[0]

    def ending(self, array: Array) -> Iterator[str]:
        """See `Scheduler.ending`."""
        yield "# 99: Grid Engine puts the task back into the queue."
        yield from counted_tries(array, "exit 99")
