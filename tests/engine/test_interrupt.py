"""Ctrl-C and SIGTERM during a real fold: gone within seconds, nothing half-written."""

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.conftest import REPOSITORY
from tests.execution.conftest import LONGEST_S, program

pytestmark = [pytest.mark.engine, pytest.mark.slow]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_while_the_model_is_compiled_or_runs(tmp_path, small_weights, number):
    output = tmp_path / "out"
    command = [
        *(sys.executable, "-m", "af3opt", "run"),
        f"--json_path={REPOSITORY / 'examples' / 'several_seeds.json'}",
        f"--output_dir={output}",
        f"--model_dir={small_weights}",
        "--buckets=32",
    ]
    with program(
        command, cwd=REPOSITORY, env=os.environ, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "Running model inference" in line:
                break
        time.sleep(3)
        process.send_signal(number)
        rest = process.stderr.read()
        code = process.wait(timeout=LONGEST_S)
    assert code != 0
    assert number.name in rest
    assert "Traceback" not in rest
    names = {path.name for path in (output / "several_seeds").iterdir()}
    assert names <= {"several_seeds_data.json"}
