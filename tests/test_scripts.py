"""The shell scripts, the container files and the lock files."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

SCRIPTS = sorted(
    [
        *(REPOSITORY / "scripts").rglob("*.sh"),
        *(REPOSITORY / "scripts").rglob("*.sbatch"),
        REPOSITORY / ".ci" / "run",
    ]
)
LOCKS = sorted((REPOSITORY / "requirements").glob("*.txt"))
STAGE = REPOSITORY / "scripts" / "slurm" / "stage-to-scratch.sh"
FOLD = REPOSITORY / "scripts" / "slurm" / "fold.sbatch"
ARRAY = REPOSITORY / "scripts" / "slurm" / "fold-array.sbatch"
SETUP = REPOSITORY / "scripts" / "setup-env.sh"


def _tool(name: str) -> str:
    beside_python = Path(sys.executable).with_name(name)
    found = str(beside_python) if beside_python.exists() else shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed (it is in the dev extra)")
    return found


def _run(*command, **variables):
    return subprocess.run(
        [str(word) for word in command],
        env={**os.environ, **{name: str(value) for name, value in variables.items()}},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def _executable(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_script_is_strict_and_lints(script):
    assert "set -euo pipefail" in script.read_text()
    completed = _run(_tool("shellcheck"), script)
    assert completed.returncode == 0, completed.stdout


def test_dockerfile_lints():
    completed = _run(_tool("hadolint"), REPOSITORY / "Dockerfile")
    assert completed.returncode == 0, completed.stdout


@pytest.mark.parametrize("file", ["Dockerfile", "packaging/af3opt.def"])
def test_images_get_all_that_the_package_is_built_from(file, tmp_path):
    text = (REPOSITORY / file).read_text()
    copied = re.findall(r"^(?:COPY|   ) ([a-z][\w./-]+) /\S+$", text, re.MULTILINE)
    copied += ["pyproject.toml", "README.md", "LICENSE"]
    ignored = (REPOSITORY / ".dockerignore").read_text().splitlines()
    for name in copied:
        assert f"!{name}" in ignored
        if (REPOSITORY / name).is_dir():
            shutil.copytree(REPOSITORY / name, tmp_path / name, symlinks=True)
    assert {"af3opt", "requirements/engine-cuda12.txt", "scripts/build-hmmer.sh"} <= {*copied}
    for path in (tmp_path / "af3opt").rglob("*"):
        assert path.exists(), f"{path} is a link to something that is not copied"


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_locks_pin_everything_and_name_no_host_or_path(lock):
    for line in lock.read_text().splitlines():
        assert re.match(r"[a-z0-9.-]+==\S+( |$)", line) or line.lstrip().startswith("#"), line
        assert "://" not in line
        assert not re.search(r"(^|\s)/", line)


@pytest.mark.parametrize(
    ("lock", "extras"),
    [
        ("engine", ["engine", "data"]),
        ("engine-compat", ["engine-compat", "data"]),
        ("engine-cuda12", ["engine", "data"]),
    ],
)
def test_locks_agree_with_the_extras(lock, extras):
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    locked = (REPOSITORY / "requirements" / f"{lock}.txt").read_text()
    for extra in extras:
        for requirement in project["optional-dependencies"][extra]:
            assert re.search(rf"^{re.escape(requirement)}\b", locked, re.MULTILINE), requirement


def test_setup_refuses_a_python_that_cannot_be_used(tmp_path):
    completed = _run(SETUP, tmp_path / "venv", AF3OPT_PYTHON="/bin/false")
    assert completed.returncode == 2
    assert "AF3OPT_PYTHON=/bin/false is not a CPython 3.12" in completed.stderr
    assert not (tmp_path / "venv").exists()


def test_setup_says_what_to_do_without_a_python(tmp_path):
    shims = tmp_path / "shims"
    shims.mkdir()
    # A pyenv shim exists under the right name and fails when it is started.
    _executable(shims / "python3.12", "#!/bin/sh\nexit 127\n")
    for tool in ("bash", "dirname", "sort"):
        (shims / tool).symlink_to(shutil.which(tool))
    if any(Path(folder, "python3.12").exists() for folder in ("/usr/bin", "/usr/local/bin")):
        pytest.skip("this system has a Python 3.12 of its own, which is always found")
    completed = _run(SETUP, tmp_path / "venv", PATH=shims, HOME=tmp_path, PYENV_ROOT=tmp_path)
    assert completed.returncode == 2
    assert "no CPython 3.12" in completed.stderr
    assert "AF3OPT_PYTHON" in completed.stderr


def test_setup_names_an_unknown_lock():
    completed = _run(SETUP, "--lock", "nonsense")
    assert completed.returncode == 2
    assert "no such lock: requirements/nonsense.txt" in completed.stderr


def test_apptainer_files_are_not_put_where_the_hosts_directories_lie():
    text = (REPOSITORY / "packaging" / "af3opt.def").read_text()
    assert not re.findall(r"^ +\S+ (?:/tmp|/home|/var/tmp)/\S*$", text, re.MULTILINE)


def test_a_download_that_is_not_hmmer_is_not_built(tmp_path):
    _executable(tmp_path / "curl", '#!/bin/sh\necho something else > "$3"\n')
    completed = _run(
        REPOSITORY / "scripts" / "build-hmmer.sh",
        tmp_path / "hmmer",
        PATH=f"{tmp_path}:{os.environ['PATH']}",
    )
    assert completed.returncode != 0
    assert "hmmer-3.4.tar.gz: FAILED" in completed.stdout + completed.stderr
    assert not (tmp_path / "hmmer").exists()


def test_staging_copies_once_and_prints_what_to_export(tmp_path):
    weights = tmp_path / "weights"
    weights.mkdir()
    (weights / "af3.bin").write_text("parameters")
    scratch = tmp_path / "node disk"
    first = _run(STAGE, "--weights", weights, scratch)
    assert first.returncode == 0, first.stderr
    assert "copying" in first.stderr
    assert (scratch / "weights" / "af3.bin").read_text() == "parameters"
    second = _run(STAGE, "--weights", weights, scratch)
    assert "copying" not in second.stderr
    assert first.stdout == second.stdout
    used = _run("bash", "-c", f'{first.stdout} echo "$AF3_MODEL_PARAMETERS_DIR"')
    assert used.stdout.strip() == str(scratch / "weights")


def test_staging_starts_again_after_an_interrupted_copy(tmp_path):
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "db.fasta").write_text(">a\nA\n")
    partial = tmp_path / "scratch" / "databases.partial"
    partial.mkdir(parents=True)
    (partial / "half").touch()
    completed = _run(STAGE, "--databases", tmp_path / "source", tmp_path / "scratch")
    assert completed.returncode == 0, completed.stderr
    assert [path.name for path in (tmp_path / "scratch" / "databases").iterdir()] == ["db.fasta"]
    assert not partial.exists()


def test_staging_refuses_a_directory_that_others_can_write_to(tmp_path):
    (tmp_path / "weights").mkdir()
    (tmp_path / "scratch").mkdir()
    (tmp_path / "scratch").chmod(0o777)
    completed = _run(STAGE, "--weights", tmp_path / "weights", tmp_path / "scratch")
    assert completed.returncode == 2
    assert "is not yours alone to write to" in completed.stderr
    assert list((tmp_path / "scratch").iterdir()) == []


def _stub_slurm(folder: Path, status: int, state: str) -> None:
    """srun that ends with a status, squeue that knows the job's state, scontrol that notes."""
    said = 'echo "$AF3_MODEL_PARAMETERS_DIR: $SRUN_CPUS_PER_TASK: $@"'
    _executable(folder / "srun", f"#!/bin/sh\n{said}\nexit {status}")
    _executable(folder / "squeue", f"#!/bin/sh\necho {state}")
    _executable(folder / "scontrol", f'#!/bin/sh\necho "$@" > {folder}/requeued')


_ENDINGS = [
    (0, "RUNNING", False),
    (3, "RUNNING", False),
    (75, "RUNNING", True),
    (75, "CANCELLED", False),
]


@pytest.mark.parametrize(("status", "state", "requeued"), _ENDINGS)
def test_single_job_folds_and_asks_for_more_time(tmp_path, status, state, requeued):
    _stub_slurm(tmp_path, status, state)
    completed = _run(
        "bash",
        FOLD,
        "input.json",
        "out",
        PATH=f"{tmp_path}:{os.environ['PATH']}",
        SLURM_JOB_ID=17,
        SLURM_CPUS_PER_TASK=8,
        AF3_MODEL_PARAMETERS_DIR="/models",
    )
    assert completed.returncode == status, completed.stderr
    assert completed.stdout.strip() == (
        "/models: 8: af3opt run --json_path=input.json --output_dir=out"
    )
    assert (tmp_path / "requeued").exists() == requeued


@pytest.mark.parametrize(("status", "state", "requeued"), _ENDINGS)
def test_array_task_stages_folds_and_asks_for_more_time(tmp_path, status, state, requeued):
    _stub_slurm(tmp_path, status, state)
    (tmp_path / "weights").mkdir()
    completed = _run(
        "bash",
        ARRAY,
        "inputs",
        "out",
        PATH=f"{tmp_path}:{os.environ['PATH']}",
        SLURM_ARRAY_JOB_ID=17,
        SLURM_ARRAY_TASK_ID=1,
        SLURM_JOB_ID=17,
        SLURM_SUBMIT_DIR=REPOSITORY,
        AF3_MODEL_PARAMETERS_DIR=tmp_path / "weights",
        AF3_SCRATCH=tmp_path / "scratch",
    )
    assert completed.returncode == status, completed.stderr
    assert completed.stdout.strip() == (
        f"{tmp_path}/scratch/weights: : af3opt run --input_dir=inputs --output_dir=out --array"
    )
    assert (tmp_path / "requeued").exists() == requeued
    if requeued:
        assert (tmp_path / "requeued").read_text() == "requeue 17_1\n"


@pytest.mark.parametrize("script", [FOLD, ARRAY])
@pytest.mark.parametrize(
    ("finishes", "restarts", "requeued"), [(False, 1, True), (False, 2, False), (True, 9, True)]
)
def test_a_job_that_gets_nothing_done_is_not_requeued_for_ever(
    tmp_path, script, finishes, restarts, requeued
):
    _stub_slurm(tmp_path, 75, "RUNNING")
    if finishes:
        journal = tmp_path / "out" / ".af3opt" / "jobs" / "job"
        work = f"mkdir -p {journal} && touch {journal}/seed-1.json"
        _executable(tmp_path / "srun", f"#!/bin/sh\n{work}\nexit 75")
    completed = _run(
        "bash",
        script,
        "input",
        tmp_path / "out",
        PATH=f"{tmp_path}:{os.environ['PATH']}",
        SLURM_JOB_ID=17,
        SLURM_ARRAY_JOB_ID=17,
        SLURM_ARRAY_TASK_ID=1,
        SLURM_RESTART_COUNT=restarts,
        AF3OPT_HOME=tmp_path,
    )
    assert completed.returncode == 75, completed.stderr
    assert (tmp_path / "requeued").exists() == requeued
    assert ("nothing was finished" in completed.stderr) != requeued


def test_array_script_finds_its_companion_from_any_directory(tmp_path):
    """Slurm runs a copy of the script, and knows where the script itself is."""
    home, spool = tmp_path / "some where" / "scripts", tmp_path / "spool"
    for folder in (home, spool):
        folder.mkdir(parents=True)
    shutil.copy(STAGE, home)
    shutil.copy(ARRAY, spool / "slurm_script")
    _stub_slurm(tmp_path, 0, "RUNNING")
    _executable(
        tmp_path / "scontrol",
        f'#!/bin/sh\necho "   Command={home}/fold-array.sbatch in out"\n',
    )
    (tmp_path / "weights").mkdir()
    variables = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "SLURM_ARRAY_JOB_ID": 17,
        "SLURM_ARRAY_TASK_ID": 1,
        "SLURM_JOB_ID": 17,
        "AF3_MODEL_PARAMETERS_DIR": tmp_path / "weights",
        "AF3_SCRATCH": tmp_path / "scratch",
    }
    completed = _run("bash", spool / "slurm_script", "in", "out", **variables)
    assert completed.returncode == 0, completed.stderr
    assert completed.stdout.startswith(f"{tmp_path}/scratch/weights: ")
    (home / STAGE.name).unlink()
    completed = _run("bash", spool / "slurm_script", "in", "out", **variables)
    assert completed.returncode == 2
    assert "is not beside this script" in completed.stderr


def test_array_script_needs_an_array():
    completed = _run("bash", ARRAY, "inputs", "out")
    assert completed.returncode != 0
    assert "sbatch --array" in completed.stderr


def _stub_checkout(root: Path, failing: str = "") -> Path:
    """A checkout in which test.sh is real and every tool it calls is a stub."""
    for folder in ("scripts", "examples", ".ci", ".venv/bin", ".venv-compat/bin"):
        (root / folder).mkdir(parents=True)
    shutil.copy(REPOSITORY / "scripts" / "test.sh", root / "scripts")
    shutil.copy(REPOSITORY / ".ci" / "run", root / ".ci")
    tools = ["ruff", "mypy", "lint-imports", "shellcheck", "python"]
    for name in [
        "scripts/install-system-packages.sh",
        "scripts/setup-env.sh",
        "scripts/fuzz-search.sh",
        *(f".venv/bin/{tool}" for tool in tools),
        ".venv-compat/bin/python",
    ]:
        status = 1 if name == failing else 0
        text = f"#!/bin/sh\necho '==== 7 passed in 0.10s ===='\nexit {status}\n"
        _executable(root / name, text)
    return root


def test_test_script_sums_up(tmp_path):
    root = _stub_checkout(tmp_path)
    completed = _run(root / ".ci" / "run", AF3OPT_FULL_TESTS="auto", AF3OPT_FULL_TESTS_WITHIN=0)
    assert completed.returncode == 0, completed.stdout + completed.stderr
    summary = completed.stdout.splitlines()
    assert any(re.search(r"passed +\d+ s +tests +7 passed in 0.10s", line) for line in summary)
    assert any(re.search(r"passed +\d+ s +tests-compat +7 passed", line) for line in summary)
    assert any(re.search(r"passed +\d+ s +adversary +7 passed", line) for line in summary)
    assert "tests-full: skipped after 0 min" in completed.stdout


def test_what_is_broken_at_random_is_a_check_of_its_own(tmp_path):
    completed = _run(_stub_checkout(tmp_path) / ".ci" / "run", AF3OPT_FULL_TESTS="no")
    started = dict(
        re.findall(r"^=== (tests|tests-compat|adversary): (.*)$", completed.stdout, re.M)
    )
    assert re.search(r"-m adversary tests/adversary$", started["adversary"])
    assert "AF3OPT_ADVERSARY_TRIES=6 " in started["adversary"]
    for name in ("tests", "tests-compat"):
        assert "not adversary" in started[name]


def test_quick_tests_need_no_second_engine_and_no_system_packages(tmp_path):
    root = _stub_checkout(tmp_path, failing="scripts/install-system-packages.sh")
    completed = _run(root / "scripts" / "test.sh", "--quick")
    assert completed.returncode == 0, completed.stdout + completed.stderr
    assert re.search(r"passed +\d+ s +tests +7 passed in 0.10s", completed.stdout)
    assert "compat" not in completed.stdout


def test_test_script_knows_one_flag(tmp_path):
    completed = _run(_stub_checkout(tmp_path) / "scripts" / "test.sh", "--fast")
    assert (completed.returncode, completed.stdout) == (2, "")
    assert completed.stderr == "usage: scripts/test.sh [--quick]\n"


def test_test_script_says_at_once_what_it_cannot_read(tmp_path):
    completed = _run(_stub_checkout(tmp_path) / ".ci" / "run", AF3OPT_FULL_TESTS="maybe")
    assert (completed.returncode, completed.stdout) == (2, "")
    assert completed.stderr == "AF3OPT_FULL_TESTS must be yes, no or auto\n"


@pytest.mark.parametrize(
    ("failing", "check"),
    [
        (".venv/bin/mypy", "types"),
        (".venv/bin/lint-imports", "layers"),
        (".venv/bin/python", "tests"),
        (".venv-compat/bin/python", "tests-compat"),
        ("scripts/setup-env.sh", "environment"),
    ],
)
def test_test_script_fails_when_a_check_fails_but_runs_the_others(tmp_path, failing, check):
    root = _stub_checkout(tmp_path, failing)
    completed = _run(root / ".ci" / "run", AF3OPT_FULL_TESTS="yes")
    assert completed.returncode == 1
    assert re.search(rf"^FAILED +\d+ s +{check}\b", completed.stdout, re.MULTILINE)
    # Without environments there is nothing to run; anything else goes on to the end.
    ran_all = re.search(r"s +tests-full\b", completed.stdout) is not None
    assert ran_all == (check != "environment")
