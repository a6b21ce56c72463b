"""A signal while the program starts: it ends as documented, and leaves nothing behind."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest

from af3opt.base.errors import ExitCode
from tests.conftest import REPOSITORY
from tests.execution.conftest import leftovers, program, write_input

pytestmark = pytest.mark.slow

TRIES = 30
LATEST_S = 0.5
LONGEST_S = 120
# By the signal itself until `af3opt run` can deal with it, then as the documentation says.
ENDINGS = {
    signal.SIGTERM: {-signal.SIGTERM, ExitCode.REQUEUE},
    signal.SIGINT: {-signal.SIGINT, ExitCode.INTERRUPTED},
}


def is_pythons_own(said):
    """Tells whether Python itself was interrupted, before the first line of af3opt."""
    return "Traceback" in said and f"{REPOSITORY / 'af3opt'}/" not in said


@pytest.fixture
def command(tmp_path):
    """A run that would go on for longer than it is given, without weights that it could need."""
    write_input(tmp_path / "in", "job")
    weights = tmp_path / "weights"
    weights.mkdir()
    (weights / "af3.bin").write_bytes(b"no weights")
    return [
        *(sys.executable, "-m", "af3opt", "run", f"--input_dir={tmp_path / 'in'}"),
        *(f"--output_dir={tmp_path / 'out'}", f"--model_dir={weights}"),
        *("--jax_backend=cpu", "--norun_data_pipeline"),
    ]


@pytest.mark.timeout(TRIES * LONGEST_S)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_at_any_moment_of_the_start_ends_it_cleanly(tmp_path, command, number):
    generator = random.Random(int(number))
    # Coverage starts before af3opt in each process, and swallows the interrupt that meets it.
    environment = {name: os.environ[name] for name in os.environ if "COVERAGE" not in name}
    for attempt in range(TRIES):
        moment = generator.uniform(0, LATEST_S)
        with program(
            command,
            cwd=REPOSITORY,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            time.sleep(moment)
            process.send_signal(number)
            try:
                _, said = process.communicate(timeout=LONGEST_S)
            except subprocess.TimeoutExpired:
                pytest.fail(f"try {attempt}: still runs {LONGEST_S} s after {number.name}")
        where = f"try {attempt}, {number.name} after {moment:.3f} s: {process.returncode}\n{said}"
        if not (number == signal.SIGINT and is_pythons_own(said)):
            assert process.returncode in ENDINGS[number], where
            assert "Traceback" not in said, where
        assert leftovers(tmp_path) == [], where
        assert not (tmp_path / "out" / "job").exists(), where
