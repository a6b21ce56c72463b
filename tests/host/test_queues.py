"""What schedulers tell: the own job, the place in an array, living jobs, the end of a job."""

import json
import os
import time

import pytest

from af3opt.host.queues.core import ArrayPlace
from af3opt.host.queues.every import QUEUES, LiveJobs, find_own_job, find_own_place

SLURM = {"SLURM_JOB_ID": "12", "SLURM_ARRAY_JOB_ID": "10", "SLURM_ARRAY_TASK_ID": "3"}
PBS = {"PBS_JOBID": "10[3].head", "PBS_ARRAY_ID": "10[].head", "PBS_ARRAY_INDEX": "3"}
LSF = {"LSB_JOBID": "10", "LSB_JOBINDEX": "3", "LSB_JOBINDEX_END": "9", "LSB_JOBINDEX_STEP": "2"}
SGE = {
    **{"JOB_ID": "10", "SGE_TASK_ID": "3", "RESTARTED": "1", "NSLOTS": "4"},
    **{"SGE_TASK_FIRST": "1", "SGE_TASK_LAST": "9", "SGE_TASK_STEPSIZE": "2"},
}


@pytest.fixture
def commands(tmp_path, monkeypatch):
    """Makes stand-ins for a scheduler's commands; each notes its arguments, a line a call."""
    folder = tmp_path / "commands"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)

    def make(name, script):
        program = folder / name
        program.write_text(f'#!/bin/sh\necho "$*" >>{folder}/{name}.calls\n{script}\n')
        program.chmod(0o755)
        return folder / f"{name}.calls"

    return make


@pytest.mark.parametrize(
    ("environ", "scheduler", "label"),
    [
        (SLURM, "slurm", "10_3"),
        ({"SLURM_JOB_ID": "12"}, "slurm", "12"),
        (PBS, "pbs", "10[3].head"),
        ({"PBS_JOBID": "12.head"}, "pbs", "12.head"),
        (LSF, "lsf", "10[3]"),
        ({"LSB_JOBID": "12", "LSB_JOBINDEX": "0"}, "lsf", "12"),
        (SGE, "sge", "10.3"),
        ({"JOB_ID": "12", "SGE_TASK_ID": "undefined"}, "sge", "12"),
    ],
)
def test_the_own_job_is_named_as_its_scheduler_names_it(environ, scheduler, label):
    job = find_own_job(environ)
    assert (job.scheduler, job.label) == (scheduler, label)
    assert job.array_task_id == (3 if "3" in label else None)


def test_other_programs_variables_make_no_job():
    assert find_own_job({"JOB_ID": "7", "PATH": "/bin"}) is None
    assert find_own_place({"JOB_ID": "7"}) is None


def test_a_restart_is_seen():
    assert find_own_job(SGE).restarts == 1
    assert find_own_job({**SLURM, "SLURM_RESTART_COUNT": "2"}).restarts == 2


@pytest.mark.parametrize("environ", [LSF, SGE])
def test_the_place_in_an_array(environ):
    assert find_own_place(environ) == ArrayPlace(task=3, first=1, last=9, step=2, count=5)


def test_pbs_does_not_tell_how_many_tasks_there_are():
    assert find_own_place(PBS) is None


BJOBS = """\
echo "10|1|RUN"
echo "10|2|EXIT"
echo "11|0|DONE"
echo "Job <12> is not found" >&2
"""
QSTAT = """\
cat <<END
<?xml version='1.0'?><job_info><queue_info><job_list state="running">
<JB_job_number>10</JB_job_number><state>r</state><tasks>1</tasks></job_list></queue_info>
<job_info><job_list state="pending"><JB_job_number>13</JB_job_number><state>qw</state>
<tasks>2-6:2</tasks></job_list></job_info></job_info>
END
"""


@pytest.mark.parametrize(
    ("name", "program", "script", "expected"),
    [
        (
            *("slurm", "squeue", "printf '10_1 RUNNING\\n10_2 FAILED\\n11 COMPLETED\\n'"),
            {"10_1": True, "10_2": False, "10": True, "11": False, "12": False},
        ),
        (
            *("pbs", "qselect", "printf '10[].head\\n10[1].head\\n'"),
            {"10[1].head": True, "10[2].head": False, "10[].head": True, "11.head": False},
        ),
        (
            *("lsf", "bjobs", BJOBS),
            {"10[1]": True, "10[2]": False, "10": True, "11": False, "12": False},
        ),
        (
            *("sge", "qstat", QSTAT),
            {"10.1": True, "10.2": False, "10": True, "13.4": True, "13.3": False, "11": False},
        ),
    ],
)
def test_one_question_tells_which_of_many_jobs_are_alive(commands, name, program, script, expected):
    calls = commands(program, script)
    assert QUEUES[name].alive(list(expected)) == expected
    assert len(calls.read_text().splitlines()) == 1


@pytest.mark.parametrize("name", QUEUES)
def test_a_scheduler_that_fails_knows_nothing(commands, name):
    for program in ("squeue", "qselect", "bjobs", "qstat", "scontrol"):
        commands(program, "echo cannot connect >&2; exit 1")
    assert QUEUES[name].alive(["10"]) == {}
    job = find_own_job({"slurm": SLURM, "pbs": PBS, "lsf": LSF, "sge": SGE}[name])
    assert QUEUES[name].end_time(job) is None


def test_a_job_of_pbs_that_is_unknown_has_ended(commands):
    commands("qselect", "true")
    assert QUEUES["pbs"].alive(["10.head"]) == {"10.head": False}


def test_the_end_of_a_job_of_pbs(commands):
    began = 1_700_000_000
    facts = {"Resource_List": {"walltime": "01:30:00"}, "stime": time.ctime(began)}
    calls = commands("qstat", f"echo '{json.dumps({'Jobs': {'10[3].head': facts}})}'")
    assert QUEUES["pbs"].end_time(find_own_job(PBS)) == began + 5400
    assert calls.read_text() == "-f -F json 10[3].head\n"


def test_the_end_of_a_job_of_lsf(commands):
    commands("bjobs", "echo '1:30 L'")
    left = QUEUES["lsf"].end_time(find_own_job(LSF)) - time.time()
    assert left == pytest.approx(5400, abs=5)
    commands("bjobs", "echo '1:30 E'")
    assert QUEUES["lsf"].end_time(find_own_job(LSF)) is None


def test_the_end_of_a_task_of_grid_engine(commands):
    commands(
        "qstat",
        "echo '<x><x><CE_name>h_rt</CE_name><CE_doubleval>300.000000</CE_doubleval></x>"
        "<ulong_sublist><JAT_task_number>2</JAT_task_number><JAT_start_time>1700000000"
        "</JAT_start_time></ulong_sublist><ulong_sublist><JAT_task_number>3</JAT_task_number>"
        "<JAT_scaled_usage_list>\n<UA_value>1.0</UA_value></JAT_scaled_usage_list><JAT_start_time>1700000500</JAT_start_time></ulong_sublist></x>'",
    )
    assert QUEUES["sge"].end_time(find_own_job(SGE)) == 1_700_000_800


class TestLiveJobs:
    def test_the_living_are_remembered_and_the_dead_asked_again(self, commands):
        calls = commands("squeue", "printf '1 RUNNING\\n2 FAILED\\n'")
        now = [0.0]
        live = LiveJobs(seconds=10, clock=lambda: now[0])
        jobs = [("slurm", "1"), ("slurm", "2")]
        assert live.ask(jobs) == {("slurm", "1"): True, ("slurm", "2"): False}
        assert live.ask(jobs)["slurm", "1"] is True
        live.ask(jobs[:1])
        first, second = calls.read_text().splitlines()
        assert first.endswith("--jobs=1,2")
        assert second.endswith("--jobs=2")
        now[0] = 11.0
        live.ask(jobs[:1])
        assert len(calls.read_text().splitlines()) == 3

    def test_an_answer_serves_for_the_other_tasks_that_it_tells_of(self, commands):
        calls = commands("squeue", "printf '7_0 RUNNING\\n7_1 RUNNING\\n7_2 FAILED\\n'")
        live = LiveJobs()
        assert live.ask([("slurm", "7_0")]) == {("slurm", "7_0"): True}
        assert live.ask([("slurm", "7_1")]) == {("slurm", "7_1"): True}
        assert len(calls.read_text().splitlines()) == 1
        assert live.ask([("slurm", "7_2")]) == {("slurm", "7_2"): False}
        assert len(calls.read_text().splitlines()) == 2

    def test_every_scheduler_is_asked_about_its_own(self, commands):
        commands("squeue", "echo 1 RUNNING")
        commands("qselect", "echo 1.head")
        found = LiveJobs().ask([("slurm", "1"), ("pbs", "1.head"), ("pbs", "2.head")])
        assert found == {("slurm", "1"): True, ("pbs", "1.head"): True, ("pbs", "2.head"): False}

    def test_without_the_scheduler_nothing_is_known(self, monkeypatch, tmp_path):
        monkeypatch.setenv("PATH", str(tmp_path))
        assert LiveJobs().ask([("slurm", "1"), ("sge", "2")]) == {}
