"""Prints what a process knows of its job: `own_job EVENT STAGE SHARE`."""

import json
import os
import sys
import time

from af3opt.host.queues.every import QUEUES, find_own_job

job = find_own_job(os.environ)
end = job.end_time if job.end_time is not None else QUEUES[job.scheduler].end_time(job)
event, stage, share = sys.argv[1:]
known = {
    **{"event": event, "stage": stage, "share": share},
    **{"label": job.label, "restarts": job.restarts, "cores": job.cpus_per_task},
    "seconds_left": None if end is None else end - time.time(),
}
# In one call: tasks that begin together append to one file.
os.write(sys.stdout.fileno(), f"{json.dumps(known)}\n".encode())
