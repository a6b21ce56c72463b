"""Jobs that do not fit on the GPU, with an nvidia-smi that describes one that is not there."""

import json
import os

import pytest

from af3opt.base.child_process import module_command
from af3opt.base.errors import ExitCode, UnifiedMemoryNeededError
from af3opt.execution.second_start import as_left, spilling_helps
from af3opt.inference.splitting import DeviceMemoryError
from af3opt.memory import MemoryShortageError
from af3opt.settings.settings import resolve_settings
from tests.execution import stub
from tests.execution.conftest import write_input

GPU = "0, GPU-aaaa1111-0000, NVIDIA A100-SXM4-80GB, 8.0, 81920, 550.54.15"
TOO_MANY_TOKENS = 7


class StarvedRunner(stub.StubRunner):
    """Has room for small inputs only, unless it may spill."""

    spills = False

    def run_inference(self, batch, seed, samples_at_once=None):
        if int(batch["seq_length"]) >= TOO_MANY_TOKENS and not self.spills:
            raise DeviceMemoryError("does not fit")
        return super().run_inference(batch, seed, samples_at_once)


def make_starved_runner(engine, settings, backend, device_index=0, **_):
    runner = StarvedRunner(0.0, settings.num_diffusion_samples, os.environ["DEVICE_STUB_LOG"])
    runner.spills = bool(settings.unified_memory)
    return runner


@pytest.fixture
def gpu(tmp_path, monkeypatch):
    """An nvidia-smi with one GPU, first on the PATH, and a plugin of JAX for it."""
    plugin = tmp_path / "packages" / "jax_cuda12_plugin-1.dist-info"
    plugin.mkdir(parents=True)
    (plugin / "METADATA").write_text("Metadata-Version: 2.1\nName: jax-cuda12-plugin\nVersion: 1\n")
    (plugin / "entry_points.txt").write_text("[jax_plugins]\nxla_cuda12 = no_such_module\n")
    monkeypatch.syspath_prepend(plugin.parent)
    folder = tmp_path / "bin"
    folder.mkdir()
    script = folder / "nvidia-smi"
    script.write_text(f'#!/bin/sh\n[ "$1" = -L ] || echo "{GPU}"\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    return script


def run_command(flags, started):
    """`af3opt run` with the starved device; what it would become is written to `started`."""
    from af3opt.commands import run
    from af3opt.execution import launch

    def become(program, command, environment):
        started.write_text(json.dumps({"command": command, "environment": environment}))
        raise SystemExit(99)

    launch.create_model_runner = make_starved_runner
    os.execve = become
    try:
        return run.main(flags)
    except SystemExit as end:
        return end.code


@pytest.fixture
def start(runs, tmp_path, gpu):
    """Runs the command in a process of its own; gives its code and what it would become."""
    started = tmp_path / "started.json"

    def start(inputs, *flags):
        output = tmp_path / "out"

        def before():
            # The last flag given counts.
            more = (*flags, "--jax_backend=gpu", "--flash_attention_implementation=xla")
            os._exit(run_command(runs.flags(inputs, output, *more), started))

        code = runs.run(inputs, output, before=before)
        return code, json.loads(started.read_text()) if started.exists() else None

    return start


@pytest.mark.engine
def test_what_does_not_fit_is_started_again_and_only_that(start, runs, inputs, tmp_path):
    before = dict(os.environ)
    code, again = start(inputs)
    assert code == 99
    assert [seed for _, _, seed in runs.steps()] == [1, 2, 3, 11, 12, 13]
    failed = json.loads((tmp_path / "out" / "failed.json").read_text())
    assert [one["name"] for one in failed] == ["job2", "job3"]
    assert again["command"][:4] == [*module_command("af3opt"), "run"]
    assert again["command"][-1] == "--unified_memory"
    for name in ("JAX_PLATFORMS", "XLA_CLIENT_MEM_FRACTION", "XLA_PYTHON_CLIENT_PREALLOCATE"):
        assert again["environment"].get(name) == before.get(name)

    code, third = start(inputs, *(set(again["command"][4:]) & {"--unified_memory"}))
    assert code == ExitCode.OK
    assert third == again
    assert [seed for _, _, seed in runs.steps()[6:]] == [21, 22, 23, 31, 32, 33]
    assert not (tmp_path / "out" / "failed.json").exists()


@pytest.mark.engine
def test_a_single_job_is_started_again_too(start, inputs):
    code, again = start(inputs / "job3.json")
    assert code == 99
    assert again["command"][-1] == "--unified_memory"


@pytest.mark.engine
@pytest.mark.parametrize("flags", [("--nounified_memory",), ("--noresume",)])
def test_a_choice_of_the_users_is_obeyed(start, inputs, flags):
    assert start(inputs, *flags) == (ExitCode.SOME_FAILED, None)


@pytest.mark.engine
def test_where_all_fits_there_is_no_second_start(start, tmp_path):
    inputs = tmp_path / "small"
    write_input(inputs, "job", (1,), "MQI")
    assert start(inputs) == (ExitCode.OK, None)


@pytest.mark.parametrize(
    ("error", "backend", "helps"),
    [
        (DeviceMemoryError("too large"), "gpu", True),
        (DeviceMemoryError("too large"), "cpu", False),
        (MemoryShortageError("too large", spilling_helps=True), "gpu", True),
        (MemoryShortageError("too large"), "gpu", False),
        (ValueError("something else"), "gpu", False),
    ],
)
def test_which_failures_are_worth_it(error, backend, helps):
    assert spilling_helps(resolve_settings([], {}), backend, error) is helps


def test_the_second_start_has_the_time_that_is_left():
    settings = resolve_settings(["--max_runtime=100"], {})
    assert as_left(["--max_runtime=100"], settings, 30.5)[1:] == [
        "--unified_memory",
        "--max_runtime=70",
    ]
    assert as_left([], settings, 1000)[-1] == "--max_runtime=1"
    assert as_left(["--quiet"], resolve_settings([], {}), 30) == ["--quiet", "--unified_memory"]
    read = resolve_settings(["--json_path=/proc/7/fd/3"], {})
    assert as_left(["--json_path=/dev/fd/63"], read, 30)[1] == "--json_path=/proc/7/fd/3"


@pytest.mark.engine
def test_a_pool_passes_on_what_its_workers_say(runs, inputs, tmp_path, monkeypatch):
    from af3opt.execution.pool import supervisor as pool
    from af3opt.execution.pool.slots import find_slots

    finished = {}

    def finish(settings, outcomes, *, spilling_helps):
        finished["helps"] = spilling_helps
        raise UnifiedMemoryNeededError

    class Report:
        outcomes, events, error, code, spilling_helps = (), (), "", 0, True

    monkeypatch.setattr(pool, "read_report", lambda _path: Report)
    monkeypatch.setattr(pool, "finish", finish)
    settings = resolve_settings(runs.flags(inputs, tmp_path / "out", "--cpu_workers=1"), {})
    with pytest.raises(UnifiedMemoryNeededError):
        pool.run_pool(settings, find_slots(settings), ("true",))
    assert finished == {"helps": True}
