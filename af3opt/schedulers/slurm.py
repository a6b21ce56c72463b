"""Slurm: `sbatch` arrays, whose tasks put themselves back into the queue."""

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from af3opt.base.errors import ExitCode
from af3opt.host.queues.every import QUEUES
from af3opt.schedulers.core import Array, Scheduler


class Slurm(Scheduler):
    """Slurm."""

    queue = QUEUES["slurm"]
    submitter = "sbatch"
    canceller = "scancel"
    directive = "#SBATCH"
    warns = True

    def script_name(self, array: Array) -> str:
        """See `Scheduler.script_name`."""
        return f"{array.name}.sbatch"

    def options(self, array: Array) -> Iterator[str]:
        """See `Scheduler.options`."""
        resources = array.resources
        throttle = f"%{resources.throttle}" if resources.throttle else ""
        yield f"--job-name=af3opt-{array.name}"
        yield f"--array=0-{array.tasks - 1}{throttle}"
        # sbatch reads quotes as a shell does.
        yield f"--output={shlex.quote(f'{array.log_dir}/{array.name}-%A_%a.log')}"
        yield "--open-mode=append"
        yield "--requeue"
        if resources.term_before_end:
            yield f"--signal=TERM@{resources.term_before_end}"
        for name in ("partition", "account", "qos", "gres", "mem", "time", "cpus_per_task"):
            value = getattr(resources, name)
            if value:
                yield f"--{name.replace('_', '-')}={value}"
        if resources.gpus and not resources.gres:
            yield f"--gres=gpu:{resources.gpus}"
        yield from resources.extra

    def share_index(self) -> str:
        """See `Scheduler.share_index`."""
        return '"$SLURM_ARRAY_TASK_ID"'

    def before(self) -> Iterator[str]:
        """See `Scheduler.before`."""
        yield "# Since Slurm 22.05 srun does not take this from sbatch, and may bind to one core."
        yield (
            '[[ -z "${SLURM_CPUS_PER_TASK:-}" ]] || '
            'export SRUN_CPUS_PER_TASK="$SLURM_CPUS_PER_TASK"'
        )

    def command(self, script: Path, after: str | None) -> Sequence[str]:  # noqa: ARG002
        """See `Scheduler.command`; both arrays have the same tasks, so each waits for its own."""
        # Read from standard input, so that what is changed on disk later changes no job.
        # A task whose searches failed would wait for ever, and keep the batch from being submitted
        # again: it is removed.
        dependency = (
            [f"--dependency=aftercorr:{after}", "--kill-on-invalid-dep=yes"] if after else []
        )
        return ["sbatch", "--parsable", *dependency]

    def read_id(self, answer: str) -> str:
        """See `Scheduler.read_id`; a cluster's name may follow."""
        return answer.strip().split(";")[0]

    def ending(self, array: Array) -> Iterator[str]:
        """See `Scheduler.ending`."""
        requeue, restarts = int(ExitCode.REQUEUE), array.resources.restarts
        yield "# Not SLURM_JOB_ID: an array's last task has the id of the whole array."
        yield 'task="${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}"'
        yield "# A job that was cancelled must not come back: only one that counts as running."
        yield 'state="$(squeue --noheader --jobs="$task" --format=%T)"'
        yield f"# {requeue}: stopped early, the same command continues."
        yield f'if ((status == {requeue})) && [[ "$state" == RUNNING ]]; then'
        yield "  # Not for ever, if what is left takes longer than the time limit."
        yield f"  if (($(finished) > before || ${{SLURM_RESTART_COUNT:-0}} < {restarts})); then"
        yield '    scontrol requeue "$task"'
        yield "  else"
        yield '    echo "nothing was finished this time; submit again with a longer time limit" >&2'
        yield "  fi"
        yield "fi"
        yield "# Killed, as happens when memory runs out or a node fails: what is finished is kept."
        yield (
            f"if ((status > 128 && ${{SLURM_RESTART_COUNT:-0}} < {restarts})) "
            '&& [[ "$state" == RUNNING ]]; then'
        )
        yield '  scontrol requeue "$task"'
        yield "fi"
        if array.stage == "data":
            yield f"# {int(ExitCode.SOME_FAILED)}: some inputs failed, which is recorded."
            yield f"((status == {int(ExitCode.SOME_FAILED)})) && status=0"
