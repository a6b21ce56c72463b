"""A worker of a pool with a stubbed device step: `python -m tests.execution.stub_worker`."""

import sys

from af3opt.execution.pool.worker import WorkerOrder, work
from tests.execution.stub import make_stub_runner

if __name__ == "__main__":
    sys.exit(work(WorkerOrder.from_json(sys.argv[1]), make_stub_runner))
