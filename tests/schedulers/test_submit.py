"""What is handed to Slurm: site settings, shares of the inputs, scripts."""

import itertools
import os
import subprocess

import pytest

from af3opt import cli
from af3opt.base.errors import ExitCode, UsageError
from af3opt.schedulers.core import Array, StageResources
from af3opt.schedulers.every import SCHEDULERS
from af3opt.schedulers.scripts import job_script
from af3opt.schedulers.search_work import Chain
from af3opt.schedulers.shares import FileWork, share_out
from af3opt.schedulers.site import Site, load_site, shipped_sites
from tests.execution.conftest import write_input


def site(tmp_path, text):
    path = tmp_path / "site.toml"
    path.write_text(text)
    return load_site(str(path))


def test_every_shipped_site_is_valid():
    for name in shipped_sites():
        assert set(load_site(name).stages) == {"data", "inference"}


def test_a_stage_changes_what_both_share(tmp_path):
    read = site(
        tmp_path,
        '[slurm]\naccount = "x"\ntime = "1:00:00"\nmax_tasks = 7\n[slurm.data]\ntime = "2:00:00"\n',
    )
    assert read.max_tasks == 7
    assert (read.stages["data"].account, read.stages["data"].time) == ("x", "2:00:00")
    assert read.stages["inference"].time == "1:00:00"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"no table \[slurm\]"),
        ("[slurm]\npartitoin = 'x'", "slurm.data.partitoin is unknown; the nearest is partition"),
        ("[slurm]\nthrottle = 'x'", "throttle: must be an integer"),
        ("[slurm]\nthrottle = -1", "must not be negative"),
        ("[slurm]\npartition = 3", "partition: must be a string"),
        ("[slurm]\nextra = 'x'", "extra: must be a list of strings"),
        ('[slurm]\nmem = "1\\nrm"', "must be one line"),
        ("[slurm]\ndata = 3", "slurm.data must be a table"),
        ("[slurm", "not valid TOML"),
    ],
)
def test_mistakes_are_one_line(tmp_path, text, message):
    with pytest.raises(UsageError, match=message):
        site(tmp_path, text)


def test_a_missing_site_names_the_shipped_ones(tmp_path):
    with pytest.raises(UsageError, match="two-partitions"):
        load_site(str(tmp_path / "none.toml"))


def work(tmp_path, name, size, seeds=1, **searches):
    """A file whose seeds take a minute each; searches in minutes by chain."""
    chains = {Chain("protein", name, 100): 60.0 * minutes for name, minutes in searches.items()}
    return FileWork(path=tmp_path / name, size=size, inference=60.0 * seeds, searches=chains)


def shares(works, **site):
    return [[path.name for path in share] for share in share_out(works, Site(stages={}, **site))]


def test_tasks_hold_one_padded_size_for_about_the_wanted_time(tmp_path):
    plan = [work(tmp_path, f"s{n}", 16) for n in range(5)]
    plan += [work(tmp_path, "large", 64), work(tmp_path, "long", 16, seeds=9)]
    assert shares(plan, minutes_per_task=3) == [
        ["long"],
        ["s0", "s1", "s2"],
        ["s3", "s4"],
        ["large"],
    ]


def test_there_are_never_more_tasks_than_allowed(tmp_path):
    plan = [work(tmp_path, f"{n:03}", 16 if n % 2 else 64) for n in range(100)]
    for most, minutes in ((1, 1), (2, 1), (7, 0), (100, 1)):
        made = shares(plan, minutes_per_task=minutes, max_tasks=most)
        assert len(made) <= most
        assert sorted(itertools.chain(*made)) == [f"{n:03}" for n in range(100)]


def test_scripts_are_valid_shell_and_say_what_the_site_wants(tmp_path):
    resources = StageResources(
        partition="gpu", gres="gpu:1", throttle=3, extra=("--constraint=a100",), restarts=1
    )
    array = Array(
        name="inference",
        stage="inference",
        resources=resources,
        tasks=4,
        directory=tmp_path / "li sts",
        log_dir=tmp_path / "lo gs",
    )
    flags = ["--output_dir=/a b", "--num_recycles=3"]
    text = job_script(SCHEDULERS["slurm"], array, flags, tmp_path / "jour nals")
    for line in (
        "#SBATCH --array=0-3%3",
        "#SBATCH --partition=gpu",
        "#SBATCH --gres=gpu:1",
        "#SBATCH --constraint=a100",
        "#SBATCH --signal=TERM@60",
        f"#SBATCH --output='{tmp_path}/lo gs/inference-%A_%a.log'",
        '[[ -z "${SLURM_CPUS_PER_TASK:-}" ]] || export SRUN_CPUS_PER_TASK="$SLURM_CPUS_PER_TASK"',
    ):
        assert line in text.splitlines()
    assert "'--output_dir=/a b' --num_recycles=3 --norun_data_pipeline" in text
    subprocess.run(["bash", "-n"], input=text, text=True, check=True)


@pytest.mark.parametrize(
    ("status", "finishes", "restarts", "requeued"),
    [
        (75, "", 0, True),
        (75, "", 1, False),
        (75, "seed-1.json", 9, True),
        (75, "data-abc.json", 9, True),
        (75, "run.json", 9, False),
        (3, "seed-1.json", 0, False),
        (137, "", 0, True),
        (137, "", 1, False),
    ],
)
def test_a_task_that_gets_nothing_done_is_not_requeued_for_ever(
    tmp_path, status, finishes, restarts, requeued
):
    journals, stubs = tmp_path / "jour nals", tmp_path / "bin"
    stubs.mkdir()
    work = f"mkdir -p '{journals}/a/b'; touch '{journals}/a/b/{finishes}'" if finishes else ""
    for name, text in (
        ("srun", f"{work}\nexit {status}"),
        ("squeue", "echo RUNNING"),
        ("scontrol", f"echo $* > '{tmp_path}/requeued'"),
    ):
        (stubs / name).write_text(f"#!/bin/sh\n{text}\n")
        (stubs / name).chmod(0o700)
    array = Array(
        name="inference",
        stage="inference",
        resources=StageResources(restarts=1),
        tasks=1,
        directory=tmp_path,
        log_dir=tmp_path,
    )
    text = job_script(SCHEDULERS["slurm"], array, [], journals)
    variables = {"SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "0"}
    ran = subprocess.run(
        ["bash"],
        input=text,
        text=True,
        capture_output=True,
        check=False,
        env={
            "PATH": f"{stubs}:{os.environ['PATH']}",
            "SLURM_RESTART_COUNT": str(restarts),
            **variables,
        },
    )
    assert ran.returncode == status, ran.stderr
    assert (tmp_path / "requeued").exists() == requeued
    assert ("longer time limit" in ran.stderr) == (status == 75 and not requeued)


def test_dry_run_prints_both_scripts_and_writes_nothing(tmp_path, capfd):
    write_input(tmp_path / "in", "job")
    flags = [f"--input_dir={tmp_path / 'in'}", f"--output_dir={tmp_path / 'out'}", "--dry_run"]
    assert cli.main(["submit", "--slurm=two-partitions", *flags]) == ExitCode.OK
    printed = capfd.readouterr().out
    assert printed.count("#SBATCH --array=0-0") == 2
    assert "--norun_inference" in printed
    assert "--norun_data_pipeline" in printed
    assert not (tmp_path / "out").exists()


def test_tasks_get_absolute_paths(tmp_path, capfd, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_input(tmp_path / "in", "job")
    (tmp_path / "databases").mkdir()
    flags = ["--input_dir=in", "--output_dir=out", "--dry_run", "--model_dir=weights"]
    flags += ["--db_dir=databases", "--pdb_database_path=${DB_DIR}/x", "--num_recycles=3"]
    assert cli.main(["submit", "--slurm=two-partitions", *flags]) == ExitCode.OK
    printed = capfd.readouterr().out
    for flag in (
        f"--output_dir={tmp_path}/out",
        f"--model_dir={tmp_path}/weights",
        f"--db_dir={tmp_path}/databases",
        "'--pdb_database_path=${DB_DIR}/x'",
        "--num_recycles=3",
    ):
        assert f" {flag}" in printed


def test_without_slurm_the_error_is_one_line(tmp_path, capfd, monkeypatch):
    write_input(tmp_path / "in", "job")
    monkeypatch.setenv("PATH", str(tmp_path))
    flags = [f"--input_dir={tmp_path / 'in'}", f"--output_dir={tmp_path / 'out'}"]
    assert cli.main(["submit", "--slurm=two-partitions", *flags]) == ExitCode.USAGE
    assert "sbatch is not on PATH" in capfd.readouterr().err


def test_a_site_is_needed(tmp_path, capfd):
    write_input(tmp_path / "in", "job")
    flags = [f"--input_dir={tmp_path / 'in'}", f"--output_dir={tmp_path / 'out'}"]
    assert cli.main(["submit", *flags]) == ExitCode.USAGE
    assert "--slurm=" in capfd.readouterr().err
