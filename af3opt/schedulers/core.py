"""What differs between schedulers when a batch is submitted; one small class a scheduler."""

import abc
import dataclasses
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

from af3opt.base.errors import ExitCode, SetupError
from af3opt.host.queues.core import Queue, clock_seconds

_PATIENCE_SECONDS = 120


@dataclasses.dataclass(frozen=True, kw_only=True)
class StageResources:
    """What the tasks of one stage ask for; empty text and 0 leave an option out.

    Attributes:
        partition: Partition or queue (`queue` in the files of other schedulers than Slurm).
        account: Account or project that is charged.
        qos: Quality of service (Slurm).
        gres: Generic resources, such as "gpu:1" (Slurm).
        gpus: GPUs of a task.
        parallel_environment: What grants several cores of one node (Grid Engine).
        cpus_per_task: Cores of a task.
        mem: Memory of a task.
        time: Time limit.
        throttle: Tasks that may run at once.
        term_before_end: Seconds before the time limit at which af3opt is told to end.
        restarts: How often a task whose process was killed is put back in the queue, or one
            that stopped early without having finished anything.
        command: How af3opt is started on a node.
        launcher: What starts it as a job step, so that signals reach it.
        prologue: Shell lines before it, such as `module load`.
        extra: Further options of the submitting command, such as "--constraint=a100".
    """

    partition: str = ""
    account: str = ""
    qos: str = ""
    gres: str = ""
    gpus: int = 0
    parallel_environment: str = "smp"
    cpus_per_task: int = 0
    mem: str = ""
    time: str = ""
    throttle: int = 0
    term_before_end: int = 60
    restarts: int = 2
    command: str = "af3opt"
    launcher: str = "srun"
    prologue: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Array:
    """One array that is to be submitted.

    Attributes:
        name: Names script and logs.
        stage: "data" or "inference".
        resources: What its tasks ask for.
        tasks: Number of tasks.
        directory: Holds the input lists of the tasks (`0000.txt`, `0001.txt`, ...), the script
            and what tasks note down.
        log_dir: Directory of the logs.
        lists: What the names of the input lists begin with.
    """

    name: str
    stage: str
    resources: StageResources
    tasks: int
    directory: Path
    log_dir: Path
    lists: str = ""


class Scheduler(abc.ABC):
    """One scheduler, as far as submitting needs it.

    Attributes:
        queue: What the scheduler tells about jobs.
        submitter: The command that submits.
        canceller: The command that removes jobs, for messages.
        directive: What a line of the script begins with that holds an option.
        warns: It sends SIGTERM before the time limit if asked to.
    """

    queue: ClassVar[Queue]
    submitter: ClassVar[str]
    canceller: ClassVar[str]
    directive: ClassVar[str]
    warns: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """Name in flags and files."""
        return self.queue.name

    def script_name(self, array: Array) -> str:
        """Name of the file that a script is kept in."""
        return f"{array.name}.{self.name}"

    @abc.abstractmethod
    def options(self, array: Array) -> Iterator[str]:
        """Yields the options of an array, each as a line of its script has it."""

    @abc.abstractmethod
    def share_index(self) -> str:
        """Shell text for the number of the task's share, from 0."""

    @abc.abstractmethod
    def command(self, script: Path, after: str | None) -> Sequence[str]:
        """Returns the command that submits a script.

        Args:
            script: The script.
            after: Array whose tasks come first, or None.
        """

    @abc.abstractmethod
    def read_id(self, answer: str) -> str:
        """Finds the array's id in what the submitting command says."""

    def before(self) -> Iterator[str]:
        """Yields shell lines before anything else runs."""
        yield from ()

    @abc.abstractmethod
    def ending(self, array: Array) -> Iterator[str]:
        """Yields shell lines for when af3opt has ended: back into the queue, or not.

        They find the exit code in `status`, the share in `index`, and what was
        finished before in `before`; `finished` counts anew.
        """

    def submit(self, script: Path, after: str | None) -> str:
        """Submits a script and returns the array's id.

        Raises:
            SetupError: the submitting command is missing, refuses or does not answer.
        """
        try:
            with script.open() as text:
                answer = subprocess.run(
                    self.command(script, after),
                    stdin=text,
                    capture_output=True,
                    text=True,
                    timeout=_PATIENCE_SECONDS,
                    check=False,
                )
        except FileNotFoundError as error:
            raise SetupError(
                f"{self.submitter} is not on PATH; run this where {self.queue.title} is, "
                "or --dry_run"
            ) from error
        except subprocess.TimeoutExpired as error:
            raise SetupError(
                f"{self.submitter} did not answer within {_PATIENCE_SECONDS} s; try again"
            ) from error
        if answer.returncode:
            lines = (" ".join(line.split()) for line in answer.stderr.splitlines())
            reason = "; ".join(line for line in lines if line)
            raise SetupError(f"{self.submitter} refused the job: {reason}")
        return self.read_id(answer.stdout)


def counted_tries(array: Array, again: str) -> Iterator[str]:
    """Yields the ending for schedulers that do not count restarts.

    Args:
        array: Gives the directory and how often a task may end without finishing anything.
        again: Shell command that puts the task back into the queue.
    """
    requeue, interrupted = int(ExitCode.REQUEUE), int(ExitCode.INTERRUPTED)
    yield f'tries="$directory/{array.name}-$index.tries"'
    yield f"# {requeue}: stopped early. Above 128: killed, as happens when memory runs out."
    yield f"# Not {interrupted}: Ctrl-C, or a scheduler that removes the job."
    yield f"if ((status == {requeue} || (status > 128 && status != {interrupted}))); then"
    yield '  made="$(cat "$tries" 2>/dev/null || echo 0)"'
    yield "  # Not for ever, if what is left takes longer than the time limit."
    yield '  if (($(finished) > before)); then made=0; else made="$((made + 1))"; fi'
    yield '  echo "$made" >"$tries"'
    yield f"  if ((made <= {array.resources.restarts})); then"
    yield f"    {again}"
    yield "  fi"
    yield '  echo "nothing was finished this time; submit again with a longer time limit" >&2'
    yield "fi"
    if array.stage == "data":
        failed = int(ExitCode.SOME_FAILED)
        yield f"# {failed}: some inputs failed, which is recorded."
        yield f"((status == {failed})) && status=0"


def limit_seconds(resources: StageResources) -> int | None:
    """Reads a time limit `[D-]HH:MM:SS`; None for no limit or another way to write it."""
    days, dash, clock = resources.time.rpartition("-")
    seconds = clock_seconds(clock) if clock.count(":") == 2 else None
    if seconds is None or (dash and not days.isdigit()):
        return None
    return 86400 * int(days or 0) + seconds


def clock_text(seconds: int) -> str:
    """Writes seconds as `HH:MM:SS`."""
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
