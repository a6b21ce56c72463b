"""kill -9 at random points: nothing half-written, at most one seed redone for each kill."""

import os
import random
import signal
import time

import pytest

from af3opt.base.atomic import is_temporary_of
from af3opt.base.errors import ExitCode
from tests.engine.trees import differences
from tests.execution.conftest import leftovers

pytestmark = [pytest.mark.engine, pytest.mark.slow]

KILLS = 50


def is_unwritten_claim(path):
    """A claim whose process was killed before it had written who it is: it stays a while."""
    return is_temporary_of(path, path.with_name("claim")) and path.stat().st_size == 0


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("overlap", ["off", "on"])
def test_killed_at_random_points(runs, inputs, tmp_path, overlap):
    flag = f"--overlap={overlap}"
    assert runs.run(inputs, tmp_path / "whole", flag) == ExitCode.OK
    randomness = random.Random(overlap)
    kills = rounds = 0
    while kills < KILLS // 2:
        rounds += 1
        output = tmp_path / f"killed{rounds}"
        runs.log.unlink(missing_ok=True)
        killed_here = 0
        while True:
            process = runs.start(inputs, output, flag, seconds=0.05)
            if kills == KILLS // 2:
                runs.end(process)
                break
            process.join(randomness.uniform(0.0, 2.0))
            if process.exitcode is not None:
                break
            os.kill(process.pid, signal.SIGKILL)
            process.join()
            kills += 1
            killed_here += 1
        assert process.exitcode == ExitCode.OK, runs.output
        assert differences(output, tmp_path / "whole") == []
        assert [path for path in leftovers(output) if not is_unwritten_claim(path)] == []
        seeds = [seed for _, _, seed in runs.steps()]
        assert len(set(seeds)) == 12
        # A device step counts when it begins to be written, so one may be lost by a kill.
        in_flight = 1 if overlap == "off" else 2
        assert len(seeds) <= 12 + in_flight * killed_here
    print(f"{kills} kills in {rounds} rounds, last ended {time.ctime()}")
