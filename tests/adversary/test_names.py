"""Many jobs of one name in four processes: each keeps its molecule and its directory."""

import pytest

from af3opt.base.errors import ExitCode
from tests.execution.conftest import Runs, exit_code
from tests.execution.test_equal_names import sequences, write_jobs, written

pytestmark = [pytest.mark.adversary, pytest.mark.engine, pytest.mark.slow]

PROCESSES = 4
JOBS_FOR_EACH_TRY = 4
LONGEST_S = 900


@pytest.mark.timeout(7200)
def test_jobs_of_one_name_lose_none(runs, tmp_path, account, tries):
    names = account("jobs of one name in four processes")
    number = names.tries = JOBS_FOR_EACH_TRY * tries
    inputs, output = write_jobs(tmp_path / "in", number), tmp_path / "out"
    processes = []
    for process in range(PROCESSES):
        member = Runs(runs.weights, tmp_path / f"process{process}")
        member.root.mkdir()
        member.log = runs.log
        processes.append(member.start(inputs, output))
    codes = {exit_code(process, LONGEST_S) for process in processes}
    if not codes <= {ExitCode.OK, ExitCode.REQUEUE}:
        names.lost(f"exit codes {codes}")
    # It reads each model and fails when it is of another molecule than its data.
    found = written(output)
    for sequence in sequences(number):
        if sequence not in found:
            names.lost(f"no result for {sequence}", exit_code=0 if ExitCode.OK in codes else None)
    if len([path for path in output.glob("tiny*") if path.is_dir()]) != number:
        names.lost("not one directory for each job")
    code = runs.run(inputs, output)
    if code != ExitCode.OK or len(runs.steps()) != number:
        names.lost(f"again: exit code {code}, {len(runs.steps())} device steps", exit_code=code)
    names.settle()
