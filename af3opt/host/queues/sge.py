"""Grid Engine (SGE and its successors): its variables and `qstat`."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Collection, Iterator, Mapping

from af3opt.host.queues.core import ArrayPlace, BatchJob, Queue, ask, integer, positive

_LIMIT = re.compile(r"<CE_name>h_rt</CE_name>.*?<CE_doubleval>(\d+)", re.DOTALL)
# Between the two is what the task has used, once it has used something.
_BEGAN = re.compile(
    r"<JAT_task_number>(\d+)</JAT_task_number>"
    r"(?:(?!<JAT_task_number>).)*?<JAT_start_time>(\d+)</JAT_start_time>",
    re.DOTALL,
)


class SgeQueue(Queue):
    """Grid Engine."""

    name = "sge"
    title = "Grid Engine"
    cores_variable = "NSLOTS"

    def own_job(self, environ: Mapping[str, str]) -> BatchJob | None:
        """See `Queue.own_job`; whether it was restarted is told, not how often."""
        job_id = environ.get("JOB_ID")
        # Many programs use JOB_ID; this one is always set beside it, to "undefined" if need be.
        if not job_id or "SGE_TASK_ID" not in environ:
            return None
        task = integer(environ["SGE_TASK_ID"])
        return BatchJob(
            scheduler=self.name,
            label=job_id if task is None else f"{job_id}.{task}",
            job_id=job_id,
            array_job_id=None if task is None else job_id,
            array_task_id=task,
            nodelist=environ.get("HOSTNAME"),
            cpus_per_task=positive(environ.get(self.cores_variable)),
            restarts=positive(environ.get("RESTARTED")) or 0,
        )

    def own_place(self, environ: Mapping[str, str]) -> ArrayPlace | None:
        """See `Queue.own_place`."""
        task = integer(environ.get("SGE_TASK_ID"))
        first, last, step = (
            positive(environ.get(f"SGE_TASK_{end}")) for end in ("FIRST", "LAST", "STEPSIZE")
        )
        if task is None or first is None or last is None or step is None:
            return None
        return ArrayPlace(
            task=task, first=first, last=last, step=step, count=(last - first) // step + 1
        )

    def states(self, labels: Collection[str]) -> dict[str, bool]:
        """See `Queue.states`; what has ended is no longer listed."""
        root = _xml("qstat", "-u", "*", "-g", "d", "-xml") if labels else None
        if root is None:
            return {}
        living = set()
        for job in root.iter("job_list"):
            number = job.findtext("JB_job_number", "")
            living.add(number)
            living |= {f"{number}.{task}" for task in _tasks(job.findtext("tasks", ""))}
        return dict.fromkeys(living, True) | {label: label in living for label in labels}

    def end_time(self, job: BatchJob) -> float | None:
        """See `Queue.end_time`."""
        answer = ask(["qstat", "-xml", "-j", job.job_id])
        if answer is None or answer.returncode != 0:
            return None
        # Not read as XML: the environment that is part of it may hold what XML forbids.
        limit = _LIMIT.search(answer.stdout)
        began = dict(_BEGAN.findall(answer.stdout)).get(str(job.array_task_id or 1))
        return None if limit is None or began is None else float(began) + float(limit[1])


def _xml(*command: str) -> ET.Element | None:
    answer = ask(command)
    if answer is None or answer.returncode != 0:
        return None
    try:
        # The scheduler's own answer, not a file of somebody's.
        return ET.fromstring(answer.stdout)  # noqa: S314
    except ET.ParseError:
        return None


def _tasks(text: str) -> Iterator[int]:
    """Yields the indices of `3`, `1-7:2` or `1,4`."""
    for part in text.split(","):
        ends, _, step = part.partition(":")
        first, _, last = ends.partition("-")
        low, high = integer(first), integer(last or first)
        if low is not None and high is not None:
            yield from range(low, high + 1, positive(step) or 1)
