"""What goes wrong while something is searched: one clear error for the job, and nothing half."""

import errno
import json
import os
import re
import shutil
import tempfile
from pathlib import Path

import pytest

from af3opt.base.errors import ExitCode
from af3opt.cli import main
from af3opt.engine.modules import engine_module
from af3opt.search import jackhmmer, scan
from af3opt.search.aside import Aside
from af3opt.search.kernel import SpanScan, SpanState, instruction_set
from tests.execution.searched import DATABASES, MARKS, UBIQUITIN

pytest.importorskip("pyhmmer")
pytestmark = [
    *MARKS,
    pytest.mark.skipif(isinstance(instruction_set({}), Aside), reason="no compiled part here"),
]
VICTIM = "uniref90_2022_05.fa"
REAL = shutil.which("jackhmmer")


class Run:
    """One job with databases of its own, run in this process."""

    def __init__(self, folder, capfd):
        self.databases = folder / "databases"
        shutil.copytree(DATABASES, self.databases)
        self.victim = self.databases / VICTIM
        self.output, self.cache = folder / "out", folder / "msa"
        self.scratch = folder / "scratch"
        self.scratch.mkdir()
        self.program = folder / "jackhmmer"
        self._input = folder / "job.json"
        self._capfd = capfd
        chain = {"protein": {"id": "A", "sequence": UBIQUITIN}}
        job = {"name": "job", "modelSeeds": [1], "dialect": "alphafold3", "version": 1}
        self._input.write_text(json.dumps({**job, "sequences": [chain]}))
        self.use(REAL)
        self.said = ""

    def use(self, lines):
        """Lets jackhmmer be these lines of a script; `-h` asks the real one."""
        text = f'#!/bin/bash\nreal={REAL}\n[[ "$1" == -h ]] && exec "$real" "$@"\n'
        self.program.write_text(text + ('exec "$real" "$@"\n' if lines == REAL else lines))
        self.program.chmod(0o755)

    def __call__(self, *flags):
        command = ["run", f"--json_path={self._input}", f"--output_dir={self.output}"]
        command += [f"--msa_cache_dir={self.cache}", f"--db_dir={self.databases}"]
        command += [f"--jackhmmer_binary_path={self.program}", "--norun_inference", *flags]
        code = main(command)
        self.said = self._capfd.readouterr().err
        return code

    @property
    def rows(self):
        """Rows of the unpaired MSA that was written, the query's too."""
        data = json.loads((self.output / "job" / "job_data.json").read_text())
        return data["sequences"][0]["protein"]["unpairedMsa"].count(">")

    def check_failed(self, code, message):
        """One error that says what is wrong, and nothing kept."""
        assert code == ExitCode.USAGE, self.said
        errors = [line for line in self.said.splitlines() if "error:" in line]
        assert len(errors) == 1, self.said
        assert re.search(message, errors[0]), errors
        assert "Traceback" not in self.said
        assert not list(self.output.glob("*/*_data.json"))
        assert not list(self.cache.rglob("*.af3opt"))
        self.check_nothing_is_left()

    def check_nothing_is_left(self):
        assert list(self.scratch.iterdir()) == []


@pytest.fixture
def run(tmp_path, prepared_home, monkeypatch, capfd):
    made = Run(tmp_path, capfd)
    monkeypatch.setattr(tempfile, "tempdir", str(made.scratch))
    return made


@pytest.fixture
def whole(run):
    """Rows that a search finds in which nothing goes wrong."""
    assert run() == ExitCode.OK, run.said
    rows = run.rows
    shutil.rmtree(run.output)
    shutil.rmtree(run.cache)
    forget_searches()
    assert rows > 20
    return rows


def forget_searches():
    """The engine keeps what a process has searched."""
    for function in vars(engine_module("data.pipeline")).values():
        getattr(function, "cache_clear", lambda: None)()


def before_the_first_span_of(victim, monkeypatch, harm):
    """Does harm once, when the first span of a database has been taken up."""
    real, done = scan.scan_span, []

    def scan_span(descriptor, span, size, queries):
        name = str(Path(f"/proc/self/fd/{descriptor}").readlink())
        if name == str(victim) and not done:
            done.append(True)
            harmed = harm()
            if harmed is not None:
                return harmed
        return real(descriptor, span, size, queries)

    monkeypatch.setattr(scan, "scan_span", scan_span)
    return done


def test_a_database_that_is_cut_while_it_is_scanned(run, monkeypatch):
    size = run.victim.stat().st_size
    done = before_the_first_span_of(
        run.victim, monkeypatch, lambda: os.truncate(run.victim, size // 2)
    )
    run.check_failed(run(), rf"data pipeline failed for job: .*{VICTIM} (ends at byte|changed)")
    assert done


def test_a_database_that_is_replaced_while_it_is_scanned(run, monkeypatch):
    other = run.databases / "other"
    other.write_text(f">other\n{UBIQUITIN}\n")
    done = before_the_first_span_of(
        run.victim, monkeypatch, lambda: other.replace(run.victim) and None
    )
    run.check_failed(run(), rf"{VICTIM} changed while it was searched; run this again")
    assert done


def test_a_database_that_cannot_be_read(run, monkeypatch):
    unreadable = SpanScan(
        state=SpanState.UNREADABLE,
        error=errno.EIO,
        offset=0,
        targets=0,
        residues=0,
        survivors=(),
    )
    done = before_the_first_span_of(run.victim, monkeypatch, lambda: unreadable)
    run.check_failed(run(), rf"{VICTIM} cannot be read: Input/output error")
    assert done


def test_a_database_that_is_cut_while_jackhmmer_runs(run):
    cut = f'[[ "${{@: -1}}" == {run.victim} ]] && truncate -s 100 {run.victim}\n'
    # Without the scan's file of survivors it is the engine's own search that is harmed.
    run.use(f'rm -rf {run.scratch}/*-survivors\n{cut}"$real" "$@"\n')
    run.check_failed(run(), rf"{VICTIM} changed while it was searched|Jackhmmer .* failed")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("kill -9 $$\n", "failed for job: Jackhmmer .* was ended by the signal SIGKILL"),
        ('echo "no licence" >&2; exit 3\n', "failed for job: Jackhmmer .* failed.*no licence"),
        (
            'out="$(grep -oP -- "-A \\K\\S+" <<<"$*")"; "$real" "$@"; truncate -s -9 "$out"\n',
            "left an incomplete alignment",
        ),
    ],
    ids=["killed", "fails", "cut alignment"],
)
def test_a_jackhmmer_that_dies(run, lines, message):
    run.use(lines)
    run.check_failed(run(), message)


@pytest.mark.parametrize("flags", [(), ("--noexact_search",)], ids=["scan", "engine's own"])
def test_a_table_that_is_cut_fails_the_job(run, flags):
    """The engine drops rows of shards that the table does not list; jackhmmer ends well."""
    run.victim.rename(run.databases / "uniref90-00000-of-00001.fa")
    run.use(
        '"$real" "$@" || exit\n'
        'table="$(grep -oP -- "--tblout \\K\\S+" <<<"$*")"\n'
        '[[ -z "$table" ]] || truncate -s -100 "$table"\n'
    )
    database = "--uniref90_database_path=${DB_DIR}/uniref90@1.fa"
    code = run(database, "--uniref90_z_value=1000", *flags)
    run.check_failed(code, r"failed for job: .*jackhmmer left an incomplete table in ")


def test_no_space_for_survivors_costs_time_and_nothing_else(run, whole, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(jackhmmer, "scan_file", full)
    assert run() == ExitCode.OK, run.said
    assert f"The engine's own search runs: {run.scratch} has no space" in run.said
    assert run.rows == whole
    run.check_nothing_is_left()


def test_no_space_for_anything_is_named(run, monkeypatch):
    def full(*_args, **_options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(tempfile, "mkdtemp", full)
    run.check_failed(run(), rf"failed for job: {run.scratch} has no space left; set TMPDIR")


def test_survivors_that_a_cleaner_removes_are_searched_for_again(run, whole):
    run.use(f'rm -rf {run.scratch}/*-survivors\nexec "$real" "$@"\n')
    assert run() == ExitCode.OK, run.said
    assert "The engine's own search runs: the survivors were removed" in run.said
    assert "for a chain of 76 residues (MQIFVKTLTG...); jackhmmer took" in run.said
    assert "for all targets" in run.said
    assert run.rows == whole
    run.check_nothing_is_left()


def test_a_cleaner_that_comes_during_the_scan(run, whole, monkeypatch):
    def clean():
        for folder in run.scratch.glob("*-survivors"):
            shutil.rmtree(folder)

    done = before_the_first_span_of(run.victim, monkeypatch, clean)
    assert run() == ExitCode.OK, run.said
    assert done, run.said
    assert "The engine's own search runs: the survivors were removed" in run.said
    assert run.rows == whole
    run.check_nothing_is_left()
