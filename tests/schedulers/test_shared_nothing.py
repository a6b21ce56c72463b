"""The examples for HTCondor and Kubernetes: their form, and what they start."""

import os
import re
import subprocess
import tarfile

import pytest

from af3opt.settings.settings import resolve_settings
from tests.conftest import REPOSITORY

CONDOR = REPOSITORY / "examples" / "htcondor"
KUBERNETES = REPOSITORY / "examples" / "kubernetes" / "fold-job.yaml"


def test_a_condor_job_folds_its_shard_and_hands_the_exit_code_on(tmp_path):
    (tmp_path / "inputs").mkdir()
    with tarfile.open(tmp_path / "inputs.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "inputs", "inputs")
    program = tmp_path / "bin" / "af3opt"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\necho "$@"\nexit 75\n')
    program.chmod(0o755)
    ran = subprocess.run(
        [CONDOR / "fold.sh", "2", "8"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": f"{program.parent}:{os.environ['PATH']}"},
    )
    assert ran.returncode == 75, ran.stderr
    command, *flags = ran.stdout.split()
    assert command == "run"
    settings = resolve_settings(flags, {})
    assert (settings.shard, settings.output_dir.name) == ("2/8", "results-2")
    assert (tmp_path / "results-2").is_dir()


def test_the_condor_description_has_what_its_jobs_need():
    lines = (CONDOR / "fold.sub").read_text().splitlines()
    commands = [line for line in lines if line and not line.startswith("#")]
    assert commands[-1].startswith("queue ")
    values = dict(re.split(r"\s*=\s*", line, maxsplit=1) for line in commands[:-1])
    assert (CONDOR / values["executable"]).stat().st_mode & 0o111
    assert values["arguments"] == "$(Process) $(jobs)"
    # What a job writes is what is kept when it stops early, and what comes back.
    assert values["transfer_output_files"] == values["transfer_checkpoint_files"]
    assert values["checkpoint_exit_code"] == "75"


def test_the_pods_of_a_kubernetes_job_take_all_shards():
    yaml = pytest.importorskip("yaml")
    job = yaml.safe_load(KUBERNETES.read_text())
    assert (job["apiVersion"], job["kind"]) == ("batch/v1", "Job")
    spec = job["spec"]
    assert spec["completionMode"] == "Indexed"
    pod = spec["template"]["spec"]
    (container,) = pod["containers"]
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    assert mounted == {volume["name"] for volume in pod["volumes"]}
    (rule,) = [rule for rule in spec["podFailurePolicy"]["rules"] if "onExitCodes" in rule]
    assert rule["onExitCodes"]["containerName"] == container["name"]
    assert pod["restartPolicy"] == "Never"  # As a policy for failures demands.
    line = container["args"][0].replace("$JOB_COMPLETION_INDEX", "3").replace('"', "")
    _, _, flags = line.partition("exec af3opt run ")
    settings = resolve_settings(flags.split(), {})
    assert settings.shard == f"3/{spec['completions']}"
    assert line.startswith(f"mkdir -p {settings.output_dir} && ")
