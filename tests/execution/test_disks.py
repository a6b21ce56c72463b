"""What the disk can do to a batch: full, gone, read-only, slow clocks beside it."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from af3opt.base.errors import ExitCode
from tests.engine.trees import differences
from tests.execution.conftest import Pool, leftovers, wait_for

pytestmark = pytest.mark.engine

KIBIBYTE = 1024


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1 MiB of its own."""
    point = tmp_path / "disk"
    point.mkdir()
    mount(point, "size=1m")
    yield point
    subprocess.run(["umount", "--lazy", point], check=True)


def mount(point, options):
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", point]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount command")
    if done.returncode:
        pytest.skip(f"a file system cannot be mounted here: {done.stderr.strip()}")


def fill(disk, free_kibibytes):
    """Leaves this much room; returns the file to remove for more."""
    filler = disk / "filler"
    with filler.open("wb") as stream:
        room = os.statvfs(disk)
        stream.write(bytes(room.f_bavail * room.f_frsize - free_kibibytes * KIBIBYTE))
    return filler


def error_lines(text):
    return [line for line in text.splitlines() if line.startswith("af3opt: error")]


@pytest.mark.parametrize("overlap", ["off", "on"])
@pytest.mark.parametrize("free", [24, 64, 160, 330])
def test_a_small_disk_ends_the_batch_with_one_line(
    runs, inputs, tmp_path, small_disk, free, overlap
):
    flag = f"--overlap={overlap}"
    assert runs.run(inputs, tmp_path / "whole", flag) == ExitCode.OK
    runs.log.unlink()
    filler = fill(small_disk, free)
    output = small_disk / "out"
    code = runs.run(inputs, output, flag, "--quiet")
    assert code == ExitCode.FAILURE, runs.output
    (line,) = error_lines(runs.output)
    assert "No space left on device" in line
    assert str(output) in line
    assert "Traceback" not in runs.output
    assert leftovers(output) == []
    filler.unlink()
    assert runs.run(inputs, output, flag) == ExitCode.OK
    assert differences(output, tmp_path / "whole") == []
    # At most the seeds that were under way are computed twice.
    assert 12 <= len(runs.steps()) <= (13 if overlap == "off" else 14)


@pytest.mark.slow
def test_a_pool_on_a_small_disk_ends_with_one_line(runs, inputs, small_disk):
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("needs two cores")
    filler = fill(small_disk, 160)
    output = small_disk / "out"
    pool = Pool(runs, inputs, output, "--cpu_workers=2", "--quiet")
    assert pool.end() == ExitCode.FAILURE, pool.log
    (line,) = error_lines(pool.log)
    assert "No space left on device" in line
    assert leftovers(output) == []
    filler.unlink()
    assert Pool(runs, inputs, output, "--cpu_workers=2").end() == ExitCode.OK
    assert len({seed for _, _, seed in runs.steps()}) == 12


@pytest.mark.parametrize("state", ["full", "read-only"])
def test_a_home_that_takes_nothing_is_no_obstacle(runs, inputs, tmp_path, small_disk, state):
    """Caches, learned times and known programs cannot be kept; the batch does not need them."""
    home = small_disk / "home"
    home.mkdir(mode=0o700)
    (home / "prepared").symlink_to(Path(os.environ["AF3OPT_HOME"], "prepared"))
    if state == "full":
        fill(small_disk, 0)
    else:
        subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)

    def other_home():
        os.environ["AF3OPT_HOME"] = str(home)

    output = tmp_path / "out"
    assert runs.run(inputs, output, "--feature_cache", before=other_home) == ExitCode.OK
    assert len(runs.steps()) == 12
    assert "Traceback" not in runs.output
    assert leftovers(output) == []
    kept = [path for path in home.rglob("*") if path.is_file()]
    assert [path for path in kept if not path.name.endswith(".lock")] == []


def test_files_that_cannot_be_read_fail_alone(runs, inputs, tmp_path):
    # Reading the first gives an input/output error whoever asks.
    (inputs / "broken.json").symlink_to("/proc/self/mem")
    paths = [*inputs.glob("job*.json"), inputs / "broken.json", inputs / "absent.json"]
    listing = tmp_path / "list.txt"
    listing.write_text("".join(f"{path}\n" for path in paths))
    output = tmp_path / "out"
    assert runs.run(listing, output) == ExitCode.SOME_FAILED
    failed = json.loads((output / "failed.json").read_text())
    assert [entry["name"] for entry in failed] == ["absent", "broken"]
    assert "no such file" in failed[0]["reason"].lower()
    assert "input/output error" in failed[1]["reason"].lower()
    assert all(entry["file"] in entry["reason"] for entry in failed)
    assert len(runs.steps()) == 12


def test_a_full_disk_of_temporary_files_fails_the_job_alone(runs, inputs, tmp_path):
    def no_room_elsewhere():
        from af3opt.execution.batch import seed_stages

        real = seed_stages.featurise_seed

        def featurise(tools, job, seed, *arguments):
            if seed == 11:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/scratch/query.fasta")
            return real(tools, job, seed, *arguments)

        seed_stages.featurise_seed = featurise

    output = tmp_path / "out"
    assert runs.run(inputs, output, before=no_room_elsewhere) == ExitCode.SOME_FAILED
    (failed,) = json.loads((output / "failed.json").read_text())
    assert failed["reason"] == "/scratch/query.fasta: No space left on device"
    assert len(runs.steps()) == 9


def fail_writes_after(number, code):
    """Makes every write to disk fail from the `number`-th on."""

    def before():
        calls = iter(range(10**9))
        real = os.fsync

        def fsync(descriptor):
            if next(calls) >= number:
                raise OSError(code, os.strerror(code))
            real(descriptor)

        os.fsync = fsync

    return before


@pytest.mark.parametrize("after", [0, 3, 12, 20])
def test_a_full_disk_ends_the_batch_with_one_line(runs, inputs, tmp_path, after):
    output = tmp_path / "out"
    code = runs.run(inputs, output, "--quiet", before=fail_writes_after(after, errno.ENOSPC))
    assert code == ExitCode.FAILURE
    lines = [line for line in runs.output.splitlines() if line.startswith("af3opt: error")]
    assert len(lines) == 1
    assert "No space left on device" in lines[0]
    assert leftovers(output) == []
    assert runs.run(inputs, output) == ExitCode.OK
    assert len({seed for _, _, seed in runs.steps()}) == 12


def test_a_vanished_output_directory_ends_the_batch_with_one_line(runs, inputs, tmp_path):
    output = tmp_path / "out"
    process = runs.start(inputs, output, seconds=1.0)
    wait_for(lambda: "Running model inference with seed 2..." in runs.output)
    output.rename(tmp_path / "elsewhere")
    assert runs.end(process) == ExitCode.FAILURE
    lines = [line for line in runs.output.splitlines() if line.startswith("af3opt: error")]
    assert len(lines) == 1
    assert str(output) in lines[0]


def test_a_read_only_home_is_no_obstacle(runs, inputs, tmp_path):
    home = os.environ["AF3OPT_HOME"]

    def read_only_home():
        def hook(event, arguments):
            writes = event == "open" and isinstance(arguments[2], int)
            writes = writes and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
            if (writes or event == "os.mkdir") and str(arguments[0]).startswith(home):
                raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(arguments[0]))

        sys.addaudithook(hook)

    assert runs.run(inputs, tmp_path / "out", before=read_only_home) == ExitCode.OK
    assert len(runs.steps()) == 12
