"""Searches of a batch ahead of its jobs: each chain once, whoever needs it, whoever dies."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from af3opt.base.errors import ExitCode
from tests.conftest import REPOSITORY
from tests.execution.conftest import LONGEST_S, command_lines_with
from tests.execution.searched import DATABASES, MARKS, UBIQUITIN

pytest.importorskip("pyhmmer")
PROTEIN_DATABASES = 4
pytestmark = MARKS


class Searches:
    """Runs of af3opt whose jackhmmer writes down each search that it begins and ends."""

    def __init__(self, root):
        self.inputs = root / "in"
        self.inputs.mkdir()
        self.log = root / "searches.log"
        self.started = []
        self.program = root / "jackhmmer"
        # The version is asked for with -h; all else ends with query and database.
        self.program.write_text(
            "#!/bin/bash\n"
            f"real={shutil.which('jackhmmer')}\n"
            'if [[ "$1" == -h ]]; then exec "$real" "$@"; fi\n'
            'query="${@: -2:1}"\n'
            'sequence="$(tail -n +2 "$query" | tr -d "\\n")"\n'
            f'echo "begun $sequence" >>{self.log}\n'
            '"$real" "$@" || exit\n'
            f'echo "ended $sequence" >>{self.log}\n'
        )
        self.program.chmod(0o755)

    def hold(self, gate):
        """Lets every search wait, once it has begun, for somebody who opens a pipe."""
        os.mkfifo(gate)
        text = self.program.read_text()
        run = '"$real" "$@" ||'
        assert run in text
        self.program.write_text(text.replace(run, f"cat {gate} >/dev/null\n{run}"))

    def processes(self):
        """Processes of the program that run, and what these have started."""
        return command_lines_with(self.program.parent)

    def write_job(self, name, *sequences):
        proteins = [
            {"protein": {"id": "ABCD"[place], "sequence": sequence}}
            for place, sequence in enumerate(sequences)
        ]
        job = {"name": name, "modelSeeds": [1], "dialect": "alphafold3", "version": 1}
        (self.inputs / f"{name}.json").write_text(json.dumps({**job, "sequences": proteins}))

    def start(self, output, cache, *flags):
        command = [
            *(sys.executable, "-m", "af3opt", "run", f"--input_dir={self.inputs}"),
            *(f"--output_dir={output}", f"--msa_cache_dir={cache}", "--norun_inference"),
            *(f"--db_dir={DATABASES}", f"--jackhmmer_binary_path={self.program}", *flags),
        ]
        log = output.parent / f"{output.name}-{time.monotonic_ns()}.log"
        with log.open("w") as stream:
            process = subprocess.Popen(
                command, cwd=REPOSITORY, env=os.environ, stderr=stream, stdout=stream
            )
        process.log = log
        self.started.append(process)
        return process

    def counts(self, word):
        """Sequence -> how many searches of it are noted with a word."""
        found = {}
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        for line in lines:
            what, sequence = line.split()
            if what == word:
                found[sequence] = found.get(sequence, 0) + 1
        return found


@pytest.fixture
def searches(tmp_path, prepared_home):
    made = Searches(tmp_path)
    yield made
    for process in made.started:
        process.kill()
        process.wait()


def relatives(number):
    generator = random.Random(1)
    found = []
    for _ in range(number):
        letters = list(UBIQUITIN)
        for _ in range(6):
            letters[generator.randrange(len(letters))] = generator.choice("ACDEFGHIKLMNPQRSTVWY")
        found.append("".join(letters))
    assert len(set(found)) == number
    return found


def data_files(output):
    """Job -> its input with MSAs and templates."""
    paths = Path(output).glob("*/*_data.json")
    return {path.name: json.loads(path.read_text()) for path in paths}


def test_a_batch_reads_each_database_once_and_searches_each_chain_once(searches, tmp_path):
    chains = relatives(5)
    for number in range(8):
        searches.write_job(f"job{number}", chains[number % 5], chains[(number + 1) % 5])
    run = searches.start(tmp_path / "out", tmp_path / "msa")
    assert run.wait(300) == 0, run.log.read_text()
    log = run.log.read_text()
    scans = re.findall(r"Scanned (\S+) for (\d+) chains?:", log)
    assert sorted(name for name, _ in scans) == sorted({name for name, _ in scans})
    assert {number for _, number in scans} == {"5"}
    assert len(scans) == PROTEIN_DATABASES
    assert searches.counts("ended") == dict.fromkeys(chains, PROTEIN_DATABASES)
    # The engine's own way gives the same files.
    plain = searches.start(tmp_path / "plain", tmp_path / "other", "--noexact_search")
    assert plain.wait(300) == 0, plain.log.read_text()
    assert data_files(tmp_path / "out") == data_files(tmp_path / "plain")
    assert len(data_files(tmp_path / "out")) == 8


def test_processes_share_chains_and_survive_kills(searches, tmp_path):
    chains = relatives(12)
    generator = random.Random(2)
    for number in range(40):
        searches.write_job(f"job{number:02}", *generator.sample(chains, 2))
    output, cache = tmp_path / "out", tmp_path / "msa"
    victims = [searches.start(output, cache) for _ in range(2)]
    end = time.monotonic() + 900
    while not searches.counts("begun"):
        assert time.monotonic() < end, victims[0].log.read_text()
        assert any(victim.poll() is None for victim in victims)
        time.sleep(0.02)
    for victim in victims:
        victim.send_signal(signal.SIGKILL)
        victim.wait()
    stored = {path.name for path in cache.rglob("*") if path.is_file()}
    before = searches.counts("begun")
    runs = [searches.start(output, cache) for _ in range(4)]
    codes = [run.wait(400) for run in runs]
    logs = "\n".join(run.log.read_text() for run in runs)
    assert set(codes) <= {0, 75}, logs
    assert 0 in codes, logs
    assert len(data_files(output)) == 40
    # What a killed process had not stored is searched again, once; all else exactly once.
    again = searches.counts("begun")
    for chain in chains:
        repeats = again[chain] - before.get(chain, 0)
        assert repeats in (0, PROTEIN_DATABASES), (chain, before, again, stored)
        if chain not in before:
            assert repeats == PROTEIN_DATABASES
    alone = searches.start(tmp_path / "alone", tmp_path / "fresh", "--noexact_search")
    assert alone.wait(400) == 0, alone.log.read_text()
    assert data_files(output) == data_files(tmp_path / "alone")


def test_a_job_with_given_results_does_not_wait_for_a_search_under_way(searches, tmp_path):
    searches.hold(tmp_path / "gate")
    for number, chain in enumerate(relatives(33)):
        searches.write_job(f"a{number:02}", chain)
    given = {"unpairedMsa": f">query\n{UBIQUITIN}", "pairedMsa": "", "templates": []}
    for number in range(20):
        searches.write_job(f"b{number:02}", UBIQUITIN)
        path = searches.inputs / f"b{number:02}.json"
        job = json.loads(path.read_text())
        job["sequences"][0]["protein"].update(given)
        path.write_text(json.dumps(job))
    output = tmp_path / "out"
    run = searches.start(output, tmp_path / "msa")
    try:
        end = time.monotonic() + 900
        while len(data_files(output)) < 20:
            assert time.monotonic() < end, run.log.read_text()
            assert run.poll() is None, run.log.read_text()
            time.sleep(0.05)
        assert not searches.counts("ended")
    finally:
        run.send_signal(signal.SIGTERM)
        run.wait(LONGEST_S)
    assert searches.processes() == []


@pytest.fixture
def scratch(tmp_path, monkeypatch):
    """A directory for temporary files."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


def start_and_hold(searches, output, cache, gate):
    """Returns a run whose jackhmmers have begun, and wait."""
    searches.hold(gate)
    run = searches.start(output, cache)
    end = time.monotonic() + 900
    while not searches.counts("begun"):
        assert time.monotonic() < end, run.log.read_text()
        assert run.poll() is None, run.log.read_text()
        time.sleep(0.02)
    return run


def test_a_signal_leaves_no_temporary_files(searches, tmp_path, scratch):
    searches.write_job("job", UBIQUITIN)
    run = start_and_hold(searches, tmp_path / "out", tmp_path / "msa", tmp_path / "gate")
    # The survivors and the engine's own.
    assert list(scratch.glob("af3opt-*-survivors"))
    assert len(list(scratch.glob("af3opt-*"))) > len(list(scratch.glob("*-survivors")))
    run.send_signal(signal.SIGTERM)
    assert run.wait(LONGEST_S) != 0
    assert list(scratch.iterdir()) == []
    assert searches.processes() == []
    # What was killed there has not failed.
    assert not list((tmp_path / "out").rglob("failed-*"))


def test_what_a_killed_run_left_is_removed_by_the_next(searches, tmp_path, scratch):
    searches.write_job("job", UBIQUITIN)
    run = start_and_hold(searches, tmp_path / "out", tmp_path / "msa", tmp_path / "gate")
    run.send_signal(signal.SIGKILL)
    run.wait(LONGEST_S)
    assert list(scratch.glob("af3opt-*-survivors"))
    # The jackhmmers that it left behind.
    with (tmp_path / "gate").open("w"):
        pass
    text = searches.program.read_text()
    # A new file: bash reads a script as it goes, and those left behind still do.
    searches.program.unlink()
    searches.program.write_text(text.replace(f"cat {tmp_path / 'gate'} >/dev/null\n", ""))
    searches.program.chmod(0o755)
    again = searches.start(tmp_path / "out", tmp_path / "msa")
    assert again.wait(900) == 0, again.log.read_text()
    assert "of af3opt processes that were killed" in again.log.read_text()
    assert list(scratch.iterdir()) == []


def test_a_chain_that_cannot_be_searched_fails_its_own_job_only(searches, tmp_path):
    bad = UBIQUITIN[1:]
    text = searches.program.read_text()
    failing = f'[[ "$sequence" != {bad} ]] || {{ echo "no licence" >&2; exit 3; }}\n'
    searches.program.write_text(text.replace('echo "begun', failing + 'echo "begun', 1))
    searches.write_job("bad", bad)
    searches.write_job("good", UBIQUITIN)
    run = searches.start(tmp_path / "out", tmp_path / "msa")
    assert run.wait(120) == ExitCode.SOME_FAILED, run.log.read_text()
    log = run.log.read_text()
    assert "Fold job bad failed: the data pipeline failed for bad" in log
    assert "Searches ahead of the jobs: 1 chain(s) done" in log
    assert list(data_files(tmp_path / "out")) == ["good_data.json"]


def test_a_failed_search_is_not_tried_again_in_the_same_run(searches, tmp_path):
    text = searches.program.read_text()
    failing = 'echo "no licence" >&2; exit 3\n'
    searches.program.write_text(text.replace('"$real" "$@" ||', failing + '"$real" "$@" ||'))
    for number in range(3):
        searches.write_job(f"job{number}", UBIQUITIN)
    run = searches.start(tmp_path / "out", tmp_path / "msa")
    assert run.wait(900) == ExitCode.SOME_FAILED, run.log.read_text()
    first = searches.counts("begun")[UBIQUITIN]
    assert first <= PROTEIN_DATABASES
    log = run.log.read_text()
    for number in range(3):
        assert re.search(rf"job{number} failed: the data pipeline failed .*no licence", log), log
    # The next run tries again.
    searches.program.write_text(text)
    again = searches.start(tmp_path / "out", tmp_path / "msa")
    assert again.wait(900) == 0, again.log.read_text()
    assert searches.counts("ended")[UBIQUITIN] == PROTEIN_DATABASES
    assert len(data_files(tmp_path / "out")) == 3
