"""Hostile inputs beside a good one: each is done or refused in one line, and the good is done."""

import itertools
import json
import re

import pytest

from af3opt.base.errors import ExitCode
from tests.adversary.hostile import known, mutated
from tests.execution.conftest import exit_code, leftovers, write_input

pytestmark = [pytest.mark.adversary, pytest.mark.engine, pytest.mark.slow]

TRIES_FOR_EACH = 10
BATCH = 50
LONGEST_S = 600
# "2 done, 48 failed": every job of a batch is counted once at its end.
_COUNTS = re.compile(r"^.*INFO ((?:\d+ \w+(?:, )?)+)$", re.MULTILINE)

# What is no mistake of the input is named by its Python type.
_OUR_FAULT = re.compile(r"\w+(Error|Exception|Interrupt|Exit): ")


def reasons(output):
    """File name -> why it failed."""
    path = output / "failed.json"
    if not path.exists():
        return {}
    failed = json.loads(path.read_text())
    return {one["file"].rpartition("/")[2]: one["reason"] for one in failed}


def done_of(log):
    """How many jobs the closing line calls done."""
    counts = [match for match in _COUNTS.findall(log) if "done" in match or "failed" in match]
    found = re.search(r"(\d+) done", counts[-1]) if counts else None
    return int(found[1]) if found else 0


@pytest.mark.timeout(7200)
def test_hostile_inputs_harm_nobody(runs, tmp_path, account, tries):
    inputs = account("hostile inputs beside a good one")
    named = sorted(known(), key=lambda one: inputs.generator.random())
    hostile = itertools.chain(named, mutated(inputs.generator))
    chosen = list(itertools.islice(hostile, TRIES_FOR_EACH * tries))
    for number, batch in enumerate(itertools.batched(chosen, BATCH)):
        directory, output = tmp_path / f"inputs{number}", tmp_path / f"out{number}"
        write_input(directory, "good")
        labels = {}
        for position, (label, write) in enumerate(batch):
            path = directory / f"hostile{position:03}.json"
            write(path)
            labels[path.name] = label
        code = exit_code(runs.start(directory, output), LONGEST_S)
        inputs.tries += len(batch)
        if code is None:
            inputs.lost(f"hung with one of {sorted(labels.values())}\n{runs.output[-1500:]}")
            continue
        check_batch(inputs, code, output, labels, runs.output)
    inputs.settle()


def check_batch(inputs, code, output, labels, log):
    """The exit code is right, each job is counted, and each refusal is a line about its file."""
    failed = reasons(output)
    if code != (ExitCode.SOME_FAILED if failed else ExitCode.OK):
        inputs.lost(f"exit code {code} with {len(failed)} failures\n{log[-1500:]}", exit_code=code)
    if not (output / "good" / "good_model.cif").is_file():
        inputs.lost(f"the good job is not done\n{log[-1500:]}", exit_code=code)
    for name, reason in failed.items():
        if _OUR_FAULT.match(reason) or "\n" in reason or name not in reason:
            inputs.lost(f"{labels.get(name, name)}: not refused in one line: {reason}")
    if done_of(log) + len(failed) < len(labels) + 1:
        inputs.lost(f"{done_of(log)} done and {len(failed)} failed of {len(labels) + 1}")
    if left := leftovers(output):
        inputs.lost(f"left behind: {left}")
    strangers = [path.name for path in output.parent.iterdir() if path.name in ("up", "etc")]
    if strangers:
        inputs.lost(f"written outside: {strangers}", exit_code=code)
