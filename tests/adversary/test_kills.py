"""Three processes on one batch, killed at random moments: nothing is lost, nothing half-written."""

import os
import signal
import time

import pytest

from af3opt.base.errors import ExitCode
from tests.engine.trees import differences
from tests.execution.conftest import RESIDUES, Runs, exit_code, leftovers, wait_for, write_input

pytestmark = [pytest.mark.adversary, pytest.mark.engine, pytest.mark.slow]

PROCESSES = 3
KILLS_OF_ONE_BATCH = 8
LONGEST_BATCH_S = 300
# How a process may end that got SIGTERM: before it was ready, in time, or with work left.
AFTER_SIGTERM = {
    -signal.SIGTERM, ExitCode.OK, ExitCode.REQUEUE, ExitCode.TERMINATED,
}  # fmt: skip


class Party:
    """Processes that share a batch, each with a log of its own."""

    def __init__(self, runs, root, inputs):
        root.mkdir()
        self.inputs, self.output = inputs, root / "out"
        self.members = []
        for number in range(PROCESSES):
            member = Runs(runs.weights, root / f"process{number}")
            member.root.mkdir()
            member.log = root / "device-steps.txt"
            self.members.append(member)
        self.processes = {number: self.start(number) for number in range(PROCESSES)}

    def start(self, number):
        return self.members[number].start(self.inputs, self.output, seconds=0.02)

    def events(self):
        """What can be seen from outside: device steps and files that were finished."""
        return len(self.members[0].steps()), sum(1 for _ in self.output.rglob("*"))

    def running(self):
        return {
            number: process
            for number, process in self.processes.items()
            if process.exitcode is None
        }

    def end(self):
        for number, process in self.processes.items():
            if exit_code(process, LONGEST_BATCH_S) is None:
                yield f"hung\n{told(self, number)}"


def told(party, number):
    return party.members[number].output[-1500:]


def kill_some(party, kills, account, whole):
    """Kills at random moments after an event, and starts another process each time."""
    generator = account.generator
    for _ in range(kills):
        before = party.events()
        wait_for(lambda before=before: party.events() != before or not party.running())
        time.sleep(generator.uniform(0, 0.3))
        if not party.running():
            return
        number = generator.choice(sorted(party.running()))
        process = party.processes[number]
        sign = generator.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM])
        os.kill(process.pid, sign)
        account.tries += 1
        if exit_code(process, LONGEST_BATCH_S) is None:
            account.lost(f"hung after {sign.name}\n{told(party, number)}")
            party.processes[number] = party.start(number)
            continue
        allowed = {-signal.SIGKILL, ExitCode.OK} if sign == signal.SIGKILL else AFTER_SIGTERM
        check_end(party, number, allowed | {ExitCode.REQUEUE}, account, whole)
        party.processes[number] = party.start(number)


def check_end(party, number, allowed, account, whole):
    """A process ended as it may, and with exit code 0 everything is there."""
    code = party.processes[number].exitcode
    if code not in allowed:
        account.lost(f"exit code {code}\n{told(party, number)}", exit_code=code)
    elif code == ExitCode.OK and (wrong := differences(party.output, whole)):
        account.lost(f"exit code 0, but {wrong}\n{told(party, number)}", exit_code=code)


@pytest.mark.timeout(7200)
def test_a_shared_batch_survives_kills(runs, tmp_path, account, tries):
    kills = account("kills of processes that share a batch")
    inputs, whole = tmp_path / "inputs", tmp_path / "whole"
    for number in range(5):
        write_input(
            inputs, f"job{number}", [3 * number + 1, 3 * number + 2], "M" + RESIDUES[number:]
        )
    assert runs.run(inputs, whole) == ExitCode.OK
    batches = 0
    while kills.tries < tries:
        party = Party(runs, tmp_path / f"batch{batches}", inputs)
        batches += 1
        kill_some(party, min(KILLS_OF_ONE_BATCH, tries - kills.tries), kills, whole)
        for problem in party.end():
            kills.lost(problem)
        for number in party.processes:
            # What hung has been noted, and was killed.
            if party.processes[number].exitcode == -signal.SIGKILL:
                continue
            check_end(party, number, {ExitCode.OK, ExitCode.REQUEUE}, kills, whole)
        code = runs.run(inputs, party.output)
        left = [*differences(party.output, whole), *leftovers(party.output)]
        if (party.output / "failed.json").exists():
            left.append("failed.json")
        if code != ExitCode.OK or left:
            kills.lost(f"batch {batches}: exit code {code}, {left}\n{runs.output}", exit_code=code)
    kills.settle()
