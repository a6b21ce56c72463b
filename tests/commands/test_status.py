"""`af3opt status` reads and writes nothing, asks schedulers once and waits for nobody."""

import dataclasses
import json
import os
import shutil
import time

import pytest

from af3opt import cli
from af3opt.base.errors import ExitCode
from af3opt.execution.claims import claim as claims
from af3opt.execution.claims import verdicts
from af3opt.execution.claims.holder import newest_claim, read_holder
from af3opt.execution.job.identity import Identity
from af3opt.execution.job.journal import JobJournal
from af3opt.execution.outcomes import Outcome, Status, write_failures
from af3opt.execution.planning.kept_plans import write_plan
from af3opt.execution.planning.plan import read_jobs
from af3opt.execution.state_directory import STATE_DIRECTORY, jobs_directory
from af3opt.inputs.digest import input_digest
from af3opt.output.tree import JobTree, SampleScore, write_ranking
from tests.execution.conftest import write_input


@pytest.fixture
def output(tmp_path):
    return tmp_path / "out"


def claim(output, name, *, silent=0.0, **change):
    """A job that somebody has claimed, `silent` seconds after the last heartbeat."""
    directory = jobs_directory(output) / name
    claims.try_claim(directory)
    path = newest_claim(directory)
    claims._write(path, dataclasses.replace(read_holder(path), **change))
    then = time.time() - silent
    os.utime(path, (then, then))


def status(capfd, output):
    capfd.readouterr()
    assert cli.main(["status", str(output), "--json"]) == ExitCode.OK
    jobs = json.loads(capfd.readouterr().out)["jobs"]
    return {job["name"]: (job["state"], job["reason"]) for job in jobs}


def leave_run(output, name, parts, seeds, *, done=True):
    """Leaves what a run has noted and, where it is done, written; returns the job's tree."""
    run = JobJournal(output, name).run(Identity(parts), seeds)
    tree = JobTree(output / name, name)
    tree.root.mkdir(parents=True, exist_ok=True)
    tree.data_json.write_text("{}")
    run.begin(tree.root, seeds, parts)
    scores = [SampleScore(seed, 0, 0.5) for seed in seeds if done]
    for score in scores:
        directory = tree.sample_dir(score.seed, 0)
        directory.mkdir(exist_ok=True)
        (directory / f"{tree.sample_name(score.seed, 0)}_model.cif").write_text("data")
        run.finish_seed(score.seed, tree.root, [directory], [score], 60.0)
    write_ranking(tree, scores)
    return tree


@pytest.mark.parametrize(
    ("lost", "state", "seeds_done"),
    [
        ("", "done", 2),
        ("job", "left", 0),
        ("job/seed-2_sample-0", "left", 1),
        ("job/seed-2_sample-0/job_seed-2_sample-0_model.cif", "left", 1),
        ("job/job_data.json", "left", 2),
        ("job/job_model.cif", "left", 2),
        ("job/job_ranking_scores.csv", "left", 2),
    ],
)
def test_a_job_is_done_only_while_its_files_are_there(output, capfd, lost, state, seeds_done):
    tree = leave_run(output, "job", {"input": "i"}, [1, 2])
    path = output / lost
    if lost and path.is_dir():
        shutil.rmtree(path)
    elif lost:
        path.unlink()
    (job,) = status_jobs(capfd, output)
    assert (job["state"], job["seeds"], job["seeds_done"]) == (state, 2, seeds_done)
    assert ("are missing" in job["reason"]) == (state == "left" and seeds_done == 2)
    if lost == "":
        (tree.sample_dir(1, 0) / "job_seed-1_sample-0_model.cif").write_text("dat")
        (job,) = status_jobs(capfd, output)
        assert (job["state"], job["seeds_done"]) == ("left", 1)


def test_a_search_is_done_only_while_its_file_is_there(output, capfd):
    data_json = JobTree(output / "job", "job").data_json
    data_json.parent.mkdir(parents=True)
    data_json.write_text("{}")
    journal = JobJournal(output, "job")
    journal.directory.mkdir(parents=True)
    journal.data.finish(Identity({"input": "i"}), data_json, "r", [1])
    assert status(capfd, output) == {"job": ("searched", "")}
    data_json.write_text("")
    assert status(capfd, output) == {"job": ("left", "")}
    data_json.unlink()
    assert status(capfd, output) == {"job": ("left", "")}


def everything_below(root):
    return {path: path.stat().st_mtime_ns for path in [root, *root.rglob("*")]}


def test_stale_claims_are_judged_without_waiting_and_without_a_trace(output, capfd, monkeypatch):
    for number in range(3):
        claim(output, f"stale{number}", silent=700, host="elsewhere")
    claim(output, "fresh", host="elsewhere")
    claim(output, "gone", process_uptime=1.0)
    claim(output, "mine")
    claim(output, "released", released=True)
    before = everything_below(output)
    monkeypatch.setattr(claims.time, "sleep", lambda _: pytest.fail("status waits"))
    found = status(capfd, output)
    assert everything_below(output) == before
    for number in range(3):
        state, reason = found[f"stale{number}"]
        assert state == "left"
        assert reason.startswith("no sign of life for 70")
        assert reason.endswith(f"from process {os.getpid()} on elsewhere")
    assert found["fresh"] == ("running", f"process {os.getpid()} on elsewhere")
    assert found["gone"] == ("left", f"process {os.getpid()} is gone")
    assert found["mine"][0] == "running"
    assert found["released"] == ("left", "")


def test_one_question_to_the_scheduler_is_enough_for_all_jobs(output, tmp_path, capfd, monkeypatch):
    calls = tmp_path / "calls"
    squeue = tmp_path / "bin" / "squeue"
    squeue.parent.mkdir()
    squeue.write_text(f"#!/bin/sh\necho $* >>{calls}\nprintf '7_0 RUNNING\\n7_1 FAILED\\n'\n")
    squeue.chmod(0o755)
    monkeypatch.setenv("PATH", str(squeue.parent), prepend=os.pathsep)
    for task in range(3):
        claim(output, f"job{task}", host="elsewhere", job=f"7_{task}", silent=700)
    claim(output, "other", host="elsewhere", job="9")
    assert status(capfd, output) == {
        "job0": ("running", "Slurm job 7_0 on elsewhere"),
        "job1": ("left", "Slurm job 7_1 has ended"),
        "job2": ("left", "Slurm job 7_2 has ended"),
        "other": ("left", "Slurm job 9 has ended"),
    }
    (call,) = calls.read_text().splitlines()
    assert call.endswith("--jobs=7,9")


def test_no_scheduler_is_needed(output, tmp_path, capfd, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    claim(output, "fresh", host="elsewhere", job="7_0", scheduler="sge")
    claim(output, "silent", host="elsewhere", job="7_1", scheduler="sge", silent=700)
    claim(output, "foreign", host="elsewhere", job="8", scheduler="a newer one", silent=700)
    found = status(capfd, output)
    assert found["fresh"] == ("running", "Grid Engine job 7_0 on elsewhere")
    assert found["silent"][0] == found["foreign"][0] == "left"
    assert found["silent"][1].endswith("from Grid Engine job 7_1 on elsewhere")


def test_a_clock_behind_the_file_servers_kills_nobody(output):
    """Heartbeats from the future are the best sign of what time it is there."""
    claim(output, "ahead", host="elsewhere", silent=-4000)
    claim(output, "older", host="elsewhere", silent=-3900)
    claim(output, "dead", host="elsewhere", silent=-3000)
    root = jobs_directory(output)
    found = verdicts.look_at_claims([root / name for name in ("ahead", "older", "dead")])
    signs = {path.name: standing.verdict.sign for path, standing in found.items()}
    assert signs == {
        "ahead": verdicts.Sign.HELD,
        "older": verdicts.Sign.HELD,
        "dead": verdicts.Sign.SILENT,
    }


def test_claims_of_earlier_versions_are_read(tmp_path):
    directory = tmp_path / "job"
    claims.try_claim(directory)
    path = newest_claim(directory)
    content = json.loads(path.read_text())
    content["slurm_job"], content["slurm_restarts"] = "12_3", 2
    for name in ("job", "job_restarts", "scheduler"):
        del content[name]
    path.write_text(json.dumps(content))
    holder = read_holder(path)
    assert (holder.job_name, holder.job_restarts) == (("slurm", "12_3"), 2)


class TestEqualNames:
    """Jobs of one name share journal and claim; each is counted."""

    @pytest.fixture
    def paths(self, tmp_path, output):
        sequences = ("MKV", "MKVA", "MKVAA", "MKVAAA", "MKVAAAA")
        paths = [
            write_input(tmp_path / f"in{number}", "same", [1], sequence)
            for number, sequence in enumerate(sequences)
        ]
        output.mkdir()
        write_plan(output, [job for path in paths for job in read_jobs(path)])
        return paths

    def run(self, output, path, *, done=True, seed=1):
        """What a run of an input leaves."""
        digest = input_digest(path, 0)
        leave_run(output, "same", {"input": digest, "first_seed": seed}, [seed], done=done)

    def states(self, capfd, output):
        capfd.readouterr()
        assert cli.main(["status", str(output), "--json"]) == ExitCode.OK
        jobs = json.loads(capfd.readouterr().out)["jobs"]
        assert {job["name"] for job in jobs} == {"same"}
        return {job["path"].split("/")[-2]: job["state"] for job in jobs}

    def test_each_has_its_own_state(self, paths, output, capfd):
        self.run(output, paths[0])
        self.run(output, paths[1], done=False)
        data_json = JobTree(output / "same_2", "same").data_json
        data_json.parent.mkdir()
        data_json.write_text("{}")
        identity = Identity({"input": input_digest(paths[2], 0)})
        JobJournal(output, "same").data.finish(identity, data_json, "r", [1])
        failed = Outcome(name="same", path=paths[3], status=Status.FAILED, reason="is empty")
        write_failures(output, [failed])
        expected = {
            **{"in0": "done", "in1": "left", "in2": "searched"},
            **{"in3": "failed", "in4": "left"},
        }
        assert self.states(capfd, output) == expected
        # One process holds the claim of all, and works on one that is not finished.
        claims.try_claim(jobs_directory(output) / "same")
        assert self.states(capfd, output) == expected | {"in1": "running"}

    def test_equal_inputs_are_one_job(self, paths, output, tmp_path, capfd):
        again = write_input(tmp_path / "copy", "same", [1], "MKV")
        other_seed = write_input(tmp_path / "seed", "same", [7], "MKV")
        plan = [job for path in (*paths, again, other_seed) for job in read_jobs(path)]
        write_plan(output, plan)
        self.run(output, paths[0])
        found = self.states(capfd, output)
        assert len(found) == len(paths) + 1
        assert list(found.values()).count("done") == 1
        assert found["seed"] == "left"

    def test_plans_of_earlier_versions_are_read(self, output, capfd):
        plan = output / STATE_DIRECTORY / "plans" / "old.json"
        plan.parent.mkdir(parents=True)
        plan.write_text('[["same", 8, 2], ["other", 8, 1]]')
        (job, other) = status_jobs(capfd, output)
        assert (other["name"], other["seeds"], other["path"]) == ("same", 2, "")
        assert job["name"] == "other"

    def test_a_refused_input_of_the_same_name_is_counted(self, paths, output, tmp_path, capfd):
        refused = Outcome(
            name="same", path=tmp_path / "no" / "x.json", status=Status.FAILED, reason="is empty"
        )
        write_failures(output, [refused])
        expected = dict.fromkeys((path.parent.name for path in paths), "left")
        assert self.states(capfd, output) == expected | {"no": "failed"}


def test_inputs_that_are_in_no_plan_are_counted_as_failed(output, tmp_path, capfd):
    path = write_input(tmp_path, "good", [1])
    output.mkdir()
    write_plan(output, read_jobs(path))
    bad = tmp_path / "bad.json"
    reason = f"{bad}: is not valid JSON"
    write_failures(output, [Outcome(name="bad", path=bad, status=Status.FAILED, reason=reason)])
    (output / STATE_DIRECTORY / "jobs").mkdir(parents=True)
    capfd.readouterr()
    assert cli.main(["status", str(output)]) == ExitCode.OK
    first, *_, last = capfd.readouterr().out.splitlines()
    assert first == "0 done, 0 searched, 0 running, 1 failed, 1 left"
    assert last == f"failed   bad  {reason}"


def status_jobs(capfd, output):
    capfd.readouterr()
    assert cli.main(["status", str(output), "--json"]) == ExitCode.OK
    return json.loads(capfd.readouterr().out)["jobs"]


def test_what_others_could_put_there_neither_hangs_nor_leads_astray(output, capfd, tmp_path):
    claim(output, "fifo", host="elsewhere")
    newest_claim(jobs_directory(output) / "fifo").unlink()
    os.mkfifo(jobs_directory(output) / "fifo" / "claim-9")
    run = jobs_directory(output) / "link" / "run"
    run.mkdir(parents=True)
    secret = tmp_path / "secret.json"
    secret.write_text('{"seeds": [1, 2, 3, 4]}')
    (run / "run.json").symlink_to(secret)
    (output / STATE_DIRECTORY / "plans").mkdir()
    os.mkfifo(output / STATE_DIRECTORY / "plans" / "plan.json")
    found = {job["name"]: job["seeds"] for job in status_jobs(capfd, output)}
    assert found == {"fifo": 1, "link": 1}
