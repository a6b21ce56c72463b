"""PBS Pro and OpenPBS: their variables, `qselect` and `qstat`."""

import datetime
import json
from collections.abc import Collection, Mapping

from af3opt.host.queues.core import (
    ArrayPlace,
    BatchJob,
    Queue,
    ask,
    clock_seconds,
    integer,
    positive,
)

# Begun arrays, exiting, held, queued, running, suspended, in transit, suspended by its user,
# waiting. Left out: F finished, M moved, X an ended task of an array.
_ALIVE_STATES = "BEHQRSTUW"


class PbsQueue(Queue):
    """PBS Pro or OpenPBS."""

    name = "pbs"
    title = "PBS"
    cores_variable = "NCPUS"

    def own_job(self, environ: Mapping[str, str]) -> BatchJob | None:
        """See `Queue.own_job`; PBS exports neither memory nor end nor restarts."""
        job_id = environ.get("PBS_JOBID")
        if not job_id:
            return None
        return BatchJob(
            scheduler=self.name,
            label=job_id,
            job_id=job_id,
            array_job_id=environ.get("PBS_ARRAY_ID"),
            array_task_id=integer(environ.get("PBS_ARRAY_INDEX")),
            cpus_per_task=positive(environ.get(self.cores_variable)),
        )

    def own_place(self, environ: Mapping[str, str]) -> ArrayPlace | None:  # noqa: ARG002
        """None always: a task is told its index, not how many there are."""
        return None

    def states(self, labels: Collection[str]) -> dict[str, bool]:
        """See `Queue.states`."""
        if not labels:
            return {}
        # By state, not by id: qstat fails as a whole for an id that it has forgotten.
        answer = ask(["qselect", "-T", "-s", _ALIVE_STATES])
        if answer is None or answer.returncode != 0:
            return {}
        told = answer.stdout.split()
        living = set(map(_without_server, told))
        return dict.fromkeys(told, True) | {
            label: _without_server(label) in living for label in labels
        }

    def end_time(self, job: BatchJob) -> float | None:
        """See `Queue.end_time`."""
        answer = ask(["qstat", "-f", "-F", "json", job.label], {"LC_ALL": "C"})
        if answer is None or answer.returncode != 0:
            return None
        try:
            (facts,) = json.loads(answer.stdout)["Jobs"].values()
            limit = clock_seconds(facts["Resource_List"]["walltime"])
            began = datetime.datetime.strptime(facts["stime"], "%a %b %d %H:%M:%S %Y").timestamp()
        except (ValueError, KeyError, TypeError, AttributeError):
            return None
        return None if limit is None else began + limit


def _without_server(label: str) -> str:
    """`12[3]` of `12[3].server.example`: commands may shorten or leave out the server."""
    return label.partition(".")[0]
