"""Scripts for PBS and LSF, run by stand-ins for their commands that refuse unknown options.

Neither scheduler is free to install here; see docs/batches-and-schedulers.md.
"""

import json
import os
import subprocess
import sys

import pytest

from af3opt import cli
from af3opt.base.errors import ExitCode, UsageError
from af3opt.host.queues.every import QUEUES
from af3opt.schedulers.every import choose_scheduler
from af3opt.schedulers.site import load_site
from tests.conftest import REPOSITORY
from tests.execution.conftest import write_input
from tests.schedulers.stand_ins import Simulator

TABLE = """\
[{kind}]
command = {command}
max_jobs_per_task = 1
account = "lab"
queue = "cpu"
cpus_per_task = 8
mem = "64G"
time = "1-02:00:00"
throttle = 2
restarts = 1
[{kind}.inference]
queue = "gpu"
gpus = 1
"""
# Stops early as often as a file says; notes its flags.
STAND_IN = """\
#!/usr/bin/env bash
cd {repository}
echo "$*" >>{root}/calls
for word in "$@"; do
  case "$word" in
    --input_list=*) list="${{word#*=}}"; cat "$list" >/dev/null || exit 9 ;;
    --norun_inference) stage=data ;;
    --norun_data_pipeline) stage=inference ;;
  esac
done
share="$(basename "$list" .txt)"
{python} -m tests.schedulers.own_job begins $stage $share >>{root}/events
read -r left code finishes <<<"$(cat {root}/stops-$stage-$share 2>/dev/null)"
if ((${{left:-0}} > 0)); then
  echo "$((left - 1)) $code $finishes" >{root}/stops-$stage-$share
  [[ -z "$finishes" ]] || {{ mkdir -p {root}/out/.af3opt/jobs/x/y;
    touch "{root}/out/.af3opt/jobs/x/y/seed-$RANDOM.json"; }}
  exit "$code"
fi
"""


class Batch:
    def __init__(self, kind, root, capfd, inputs):
        self.kind, self.root, self.capfd = kind, root, capfd
        self.simulator = Simulator(kind, root)
        for name in "abcd"[:inputs]:
            write_input(root / "in", name)
        program = root / "af3opt stand-in"
        program.write_text(STAND_IN.format(root=root, repository=REPOSITORY, python=sys.executable))
        program.chmod(0o755)
        self.site = root / "site.toml"
        command = json.dumps(f"'{program}'")
        self.site.write_text(TABLE.format(kind=kind, command=command))

    def submit(self, *more):
        self.capfd.readouterr()
        flags = [f"--input_dir={self.root / 'in'}", f"--output_dir={self.root / 'out'}", *more]
        code = cli.main(["submit", f"--site={self.site}", *flags])
        printed = self.capfd.readouterr()
        self.said = printed.err
        self.jobs = dict(line.split(": job ") for line in printed.out.splitlines())
        return code

    def stop(self, stage, share, times, code=75, finishes=""):
        (self.root / f"stops-{stage}-{share}").write_text(f"{times} {code} {finishes}\n")

    def begun(self):
        lines = (self.root / "events").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def order(self):
        return [(found["stage"], found["share"]) for found in self.begun()]


@pytest.fixture
def make_batch(tmp_path, capfd, monkeypatch):
    def make(kind, inputs=3):
        made = Batch(kind, tmp_path, capfd, inputs)
        monkeypatch.setenv("PATH", str(made.simulator.bin), prepend=os.pathsep)
        return made

    return make


@pytest.mark.parametrize("inputs", [1, 3])
@pytest.mark.parametrize("kind", ["pbs", "lsf"])
def test_every_share_is_searched_and_then_folded(make_batch, kind, inputs):
    batch = make_batch(kind, inputs)
    assert batch.submit() == ExitCode.OK, batch.said
    assert list(batch.jobs) == ["data", "inference"]
    alive = QUEUES[kind].alive(batch.jobs.values())
    assert alive == dict.fromkeys(batch.jobs.values(), True)
    assert batch.submit() == ExitCode.USAGE
    assert "still wait or run" in batch.said
    batch.simulator.run()
    assert [code for *_, code, _ in batch.simulator.ran] == [0] * 2 * inputs, batch.simulator.ran
    shares = [f"{number:04}" for number in range(inputs)]
    order = batch.order()
    assert sorted(order) == sorted(
        (stage, share) for stage in ("data", "inference") for share in shares
    )
    for share in shares:
        assert order.index(("data", share)) < order.index(("inference", share))
    for found in batch.begun():
        # 26 hours; LSF tells minutes.
        assert found["seconds_left"] == pytest.approx(26 * 3600, abs=61)
    assert batch.submit() == ExitCode.OK


@pytest.mark.parametrize("kind", ["pbs", "lsf"])
def test_a_task_that_stops_early_goes_on_before_inference(make_batch, kind):
    batch = make_batch(kind)
    batch.stop("data", "0001", 4, finishes="something")
    batch.stop("data", "0002", 1)
    batch.stop("inference", "0000", 1, code=137)
    batch.submit()
    batch.simulator.run()
    order = batch.order()
    assert order.count(("data", "0001")) == 5
    assert order.count(("data", "0002")) == 2
    assert order.count(("inference", "0000")) == 2
    for share in ("0001", "0002"):
        last = max(number for number, what in enumerate(order) if what == ("data", share))
        assert last < order.index(("inference", share))
    assert batch.submit() == ExitCode.OK  # Nothing waits: also what followed has ended.


@pytest.mark.parametrize("kind", ["pbs", "lsf"])
def test_a_task_that_gets_nothing_done_does_not_go_round_for_ever(make_batch, kind):
    batch = make_batch(kind)
    batch.stop("data", "0001", 9)
    batch.stop("inference", "0002", 9, code=130)
    batch.submit()
    batch.simulator.run()
    order = batch.order()
    assert order.count(("data", "0001")) == 2  # The first time and one restart.
    assert order.count(("inference", "0002")) == 1  # Removed by its user.
    said = [text for *_, text in batch.simulator.ran]
    assert any("nothing was finished this time" in text for text in said)
    assert ("inference", "0001") in order


def test_pbs_is_asked_for_what_the_site_wants(make_batch):
    batch = make_batch("pbs")
    batch.submit("--num_recycles=3")
    data, inference = batch.simulator.jobs.all()
    assert data["options"]["-J"] == ["0-2%2"]
    assert data["options"]["-l"] == ["select=1:ncpus=8:mem=64gb", "walltime=26:00:00"]
    assert (data["options"]["-q"], data["options"]["-A"]) == (["cpu"], ["lab"])
    assert inference["options"]["-l"][0] == "select=1:ncpus=8:mem=64gb:ngpus=1"
    assert inference["after"] == [data["id"]]
    batch.simulator.run()
    for call in (batch.root / "calls").read_text().splitlines():
        assert call.startswith("run --input_list=")
        assert "--num_recycles=3" in call


def test_lsf_is_asked_for_what_the_site_wants(make_batch):
    batch = make_batch("lsf")
    batch.submit()
    data, inference = batch.simulator.jobs.all()
    assert data["options"]["-J"] == ["af3opt-data[1-3]%2"]
    assert data["options"]["-W"] == ["26:00"]
    assert data["options"]["-R"] == ["span[hosts=1]", "rusage[mem=64G]"]
    assert inference["options"]["-gpu"] == ["num=1"]
    assert inference["options"]["-w"] == [f"ended({data['id']}[*])"]


@pytest.mark.parametrize("kind", ["pbs", "lsf"])
def test_the_time_limit_reaches_af3opt_before_the_task(make_batch, kind):
    batch = make_batch(kind)
    batch.submit()
    job = batch.simulator.jobs.all()[0]
    limit = 26 * 3600 - 60
    assert f"timeout --preserve-status --signal=TERM {limit} " in job["script"]
    subprocess.run(["bash", "-n"], input=job["script"], text=True, check=True)


@pytest.mark.parametrize("kind", ["pbs", "lsf"])
def test_stand_ins_refuse_what_they_do_not_know(make_batch, kind):
    """Else the tests above would prove nothing."""
    batch = make_batch(kind)
    text = batch.site.read_text().replace("[pbs]", "[pbs]\nextra = ['-Z x']")
    batch.site.write_text(text.replace("[lsf]", "[lsf]\nextra = ['-Z x']"))
    assert batch.submit() == ExitCode.USAGE
    assert "refused the job" in batch.said


@pytest.mark.parametrize("kind", ["pbs", "lsf", "sge"])
@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('partition = "x"', "partition is for Slurm alone; give queue"),
        ('gres = "gpu:1"', "give gpus"),
        ('time = "90"', "write HH:MM:SS or D-HH:MM:SS"),
        ('que = "x"', "is unknown"),
    ],
)
def test_mistakes_in_a_sites_file_are_one_line(tmp_path, kind, line, message):
    path = tmp_path / "site.toml"
    path.write_text(f"[{kind}]\n{line}\n")
    with pytest.raises(UsageError, match=message):
        load_site(str(path), flag="--site")


class TestChoice:
    def test_a_file_for_one_scheduler_decides(self):
        assert choose_scheduler(None, ["pbs"]).name == "pbs"
        assert choose_scheduler("auto", ["lsf"]).name == "lsf"

    def test_of_several_the_one_that_is_here(self, tmp_path, monkeypatch):
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(UsageError, match="none of them is on this machine"):
            choose_scheduler(None, ["pbs", "sge"])
        (tmp_path / "qconf").touch(0o755)
        assert choose_scheduler(None, ["pbs", "sge"]).name == "sge"
        (tmp_path / "pbsnodes").touch(0o755)
        with pytest.raises(UsageError, match="more than one of them"):
            choose_scheduler(None, ["pbs", "sge"])
        assert choose_scheduler("pbs", ["pbs", "sge"]).name == "pbs"

    def test_another_than_the_file_describes_is_refused(self):
        with pytest.raises(UsageError, match=r"no table \[sge\], only \[pbs\]"):
            choose_scheduler("sge", ["pbs"])
        with pytest.raises(UsageError, match="give auto, slurm"):
            choose_scheduler("condor", ["pbs"])
