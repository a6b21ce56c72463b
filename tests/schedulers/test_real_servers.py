"""Batches through a real Slurm and a real Grid Engine; af3opt on the nodes is a stand-in.

What is tested are scripts, arrays, dependencies, restarts and questions. The stand-in
notes what it is asked to do and ends as it is told to.
"""

import json
import os
import sys
import time

import pytest

from af3opt import cli
from af3opt.base.errors import ExitCode
from af3opt.host.queues.every import QUEUES
from af3opt.schedulers.every import SCHEDULERS
from tests.conftest import REPOSITORY
from tests.execution.conftest import write_input
from tests.schedulers.servers import start_or_skip

pytestmark = [pytest.mark.slurm, pytest.mark.slow, pytest.mark.timeout(1000)]

# Takes the flags of `af3opt run`; notes stage, input list, and what is known of the job.
STAND_IN = """\
#!/usr/bin/env bash
for word in "$@"; do
  case "$word" in
    --input_list=*) list="${word#*=}" ;;
    --norun_inference) stage=data ;;
    --norun_data_pipeline) stage=inference ;;
  esac
done
cd REPOSITORY || exit 1
share="$(basename "$list" .txt)"
note() { PYTHON -m tests.schedulers.own_job "$1" "$stage" "$share" >>ROOT/events; }
trap 'note told; exit 0' TERM
note begins
while [[ -e "ROOT/wait-$stage" ]]; do sleep 0.1; done
# A number of times that it stops early without having finished anything.
left="$(cat "ROOT/stops-$stage-$share" 2>/dev/null || echo 0)"
if ((left > 0)); then
  echo "$((left - 1))" >"ROOT/stops-$stage-$share"
  note stops
  exit 75
fi
if [[ -e "ROOT/fails-$stage-$share" ]]; then
  note fails
  exit 1
fi
note ends
"""

TABLES = {
    "slurm": 'partition = "cpu"\ntime = "00:10:00"\n[slurm.inference]\npartition = "gpu"\ngpus = 1',
    "sge": (
        'queue = "cpu"\ntime = "00:10:00"\ncpus_per_task = 2\n'
        '[sge.inference]\nqueue = "gpu"\ngpus = 1'
    ),
}


@pytest.fixture(scope="module", params=["slurm", "sge"])
def server(request, tmp_path_factory):
    running = start_or_skip(request.param, tmp_path_factory.mktemp(request.param))
    yield running
    running.stop()


class Batch:
    """Three inputs, a task each."""

    def __init__(self, root, server, capfd):
        self.root, self.capfd, self.server = root, capfd, server
        self.jobs = {}
        self.queue = QUEUES[server.name]
        for name in "abc":
            write_input(root / "in puts", name)
        program = root / "stand-in"
        program.write_text(
            STAND_IN.replace("ROOT", str(root))
            .replace("REPOSITORY", str(REPOSITORY))
            .replace("PYTHON", sys.executable)
        )
        program.chmod(0o755)
        self.site = root / "site.toml"
        self.site.write_text(
            f"[{server.name}]\ncommand = {json.dumps(str(program))}\nmax_jobs_per_task = 1\n"
            f"term_before_end = 30\nthrottle = 2\n{TABLES[server.name]}\n"
        )
        self.output = root / "out"

    def submit(self, *more):
        self.capfd.readouterr()
        inputs = self.root / "in puts"
        flags = [f"--input_dir={inputs}", f"--output_dir={self.output}", *more]
        code = cli.main(["submit", f"--site={self.site}", *flags])
        printed = self.capfd.readouterr()
        self.jobs = dict(line.split(": job ") for line in printed.out.splitlines())
        return code, printed.err

    def events(self):
        path = self.root / "events"
        lines = path.read_text().splitlines() if path.exists() else []
        return [json.loads(line) for line in lines]

    def of(self, event, stage):
        """Shares of which something happened, in that order."""
        return [
            found["share"]
            for found in self.events()
            if (found["event"], found["stage"]) == (event, stage)
        ]

    def wait(self, condition, seconds=540):
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, (self.events(), self.logs())
            time.sleep(0.3)

    def has_ended(self):
        return not any(self.queue.alive(self.jobs.values()).values())

    def logs(self):
        return [path.read_text()[-800:] for path in self.output.glob("*-logs/*")]


@pytest.fixture
def batch(server, tmp_path, capfd, monkeypatch):
    for name, value in server.variables.items():
        monkeypatch.setenv(name, value)
    made = Batch(tmp_path, server, capfd)
    yield made
    for name in ("data", "inference"):
        (tmp_path / f"wait-{name}").unlink(missing_ok=True)
    for job in made.jobs.values():
        os.system(f"{SCHEDULERS[server.name].canceller} {job} >/dev/null 2>&1")


def test_inference_of_a_share_follows_its_searches(batch):
    (batch.root / "wait-data").touch()
    assert batch.submit()[0] == ExitCode.OK
    assert list(batch.jobs) == ["data", "inference"]
    batch.wait(lambda: len(batch.of("begins", "data")) == 2)  # Two at once, by `throttle`.
    assert batch.queue.alive(batch.jobs.values()) == dict.fromkeys(batch.jobs.values(), True)

    jobs = dict(batch.jobs)
    code, said = batch.submit()
    assert code == ExitCode.USAGE
    for job in jobs.values():
        assert job in said
    batch.jobs = jobs

    (batch.root / "wait-data").unlink()
    batch.wait(lambda: len(batch.of("ends", "inference")) == 3)
    batch.wait(batch.has_ended)
    events = [(found["event"], found["stage"], found["share"]) for found in batch.events()]
    assert len(events) == 12
    for share in ("0000", "0001", "0002"):
        assert events.index(("ends", "data", share)) < events.index(("begins", "inference", share))
    begun = [found for found in batch.events() if found["event"] == "begins"]
    labels = {(found["stage"], found["label"]) for found in begun}
    first, mark = {"slurm": (0, "_"), "sge": (1, ".")}[batch.server.name]
    assert labels == {
        (stage, f"{batch.jobs[stage]}{mark}{task}")
        for stage in ("data", "inference")
        for task in range(first, first + 3)
    }
    assert all(540 < found["seconds_left"] <= 600 for found in begun)
    if batch.server.name == "sge":
        assert {found["cores"] for found in begun} == {2}
    assert batch.submit()[0] == ExitCode.OK  # Nothing waits or runs any more.


def test_searches_that_fail_leave_no_task_that_waits_for_ever(batch):
    (batch.root / "fails-data-0001").touch()
    batch.submit()
    batch.wait(lambda: len(batch.of("ends", "data")) == 2)
    batch.wait(batch.has_ended)
    # On Slurm it is removed; elsewhere it runs and says what is missing.
    folded = {"slurm": ["0000", "0002"], "sge": ["0000", "0001", "0002"]}[batch.server.name]
    assert sorted(batch.of("ends", "inference")) == folded
    assert batch.submit()[0] == ExitCode.OK


def test_af3opt_is_told_to_end_before_the_time_limit(batch):
    site = batch.site.read_text().replace("00:10:00", "00:02:00")
    batch.site.write_text(site.replace("term_before_end = 30", "term_before_end = 110"))
    (batch.root / "wait-data").touch()
    batch.submit("--norun_inference")
    batch.wait(lambda: len(batch.of("told", "data")) == 2)
    told = [found for found in batch.events() if found["event"] == "told"]
    # It had time left: it was not the limit that ended it.
    assert all(found["seconds_left"] > 60 for found in told)


def test_a_task_that_is_removed_stays_out(batch):
    (batch.root / "wait-data").touch()
    batch.submit("--norun_inference")
    batch.wait(lambda: len(batch.of("begins", "data")) == 2)
    os.system(f"{SCHEDULERS[batch.server.name].canceller} {batch.jobs['data']}")
    batch.wait(batch.has_ended)
    (batch.root / "wait-data").unlink()
    assert len(batch.of("begins", "data")) == 2
    assert batch.of("ends", "data") == []


def test_a_task_that_stops_early_comes_back_but_not_for_ever(batch):
    (batch.root / "stops-data-0001").write_text("2")
    (batch.root / "stops-data-0002").write_text("9")
    batch.submit()
    # Slurm removes the task that waits for a search that failed.
    follow = 2 if batch.server.name == "slurm" else 3
    batch.wait(lambda: len(batch.of("ends", "inference")) == follow)
    batch.wait(batch.has_ended)
    assert len(batch.of("ends", "inference")) == follow
    assert batch.of("stops", "data").count("0001") == 2
    assert batch.of("ends", "data").count("0001") == 1
    # The first time and two restarts.
    assert batch.of("begins", "data").count("0002") == 3
    assert batch.of("ends", "data").count("0002") == 0
    events = [(found["event"], found["stage"], found["share"]) for found in batch.events()]
    last = max(number for number, event in enumerate(events) if event[1:] == ("data", "0001"))
    assert last < events.index(("begins", "inference", "0001"))
    assert any("nothing was finished this time" in log for log in batch.logs())
    restarted = [found["restarts"] for found in batch.events() if found.get("share") == "0001"]
    assert 1 in restarted
