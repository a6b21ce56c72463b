"""Anything below AF3OPT_HOME goes bad: no run gives another result, fails oddly or hangs."""

import collections
import json
import os
import shutil
import stat

import numpy as np
import pytest

from tests.adversary import mutations, victim
from tests.execution.conftest import exit_code
from tests.forked import start_forked
from tests.inference.test_weights import ARRAYS, encode

pytestmark = [pytest.mark.adversary, pytest.mark.engine, pytest.mark.slow]

SECRET = b"private, and as it was"
TIME_LIMIT_S = 120
# What a run may refuse to start with, in one line, with exit code 2.
REFUSAL = 2


class Bench:
    """A home that can go bad, its pristine copy, and the victim."""

    def __init__(self, root, shared_home):
        self.root, self.home, self.pristine = root, root / "home", root / "pristine"
        self.secret = root / "secret"
        self.model_dir = root / "model"
        self.log, self.answer = root / "log.txt", root / "answer.json"
        self.model_dir.mkdir()
        # Most of a block of the weights' copy, so that damage hits more than its padding.
        large = np.random.default_rng(0).standard_normal((900, 1024), np.float32)
        arrays = {**ARRAYS, ("diffuser/large", "weights"): large}
        (self.model_dir / "af3.bin").write_bytes(encode(arrays))
        (root / "input.json").write_text(json.dumps(victim.INPUT))
        self.home.mkdir(mode=0o700)
        shutil.copytree(
            shared_home / "prepared",
            self.home / "prepared",
            ignore=shutil.ignore_patterns("weights-*"),
        )

    def run(self):
        """Runs the victim; returns its exit code (None: it hung), findings and log."""
        shutil.rmtree(self.root / "out", ignore_errors=True)
        self.answer.unlink(missing_ok=True)
        self.secret.write_bytes(SECRET)
        flags = [
            f"--json_path={self.root / 'input.json'}", f"--output_dir={self.root / 'out'}",
            f"--model_dir={self.model_dir}", "--jax_backend=cpu", "--buckets=64",
            "--num_diffusion_samples=1", "--norun_data_pipeline", "--noreport",
        ]  # fmt: skip
        process = start_forked(victim.child, flags, self.model_dir, self.log, self.answer)
        code = exit_code(process, TIME_LIMIT_S)
        found = None
        if code is not None and self.answer.exists():
            found = json.loads(self.answer.read_text())
        return code, found, self.log.read_text()

    def keep(self):
        """Remembers the home as it is now."""
        shutil.copytree(self.home, self.pristine, symlinks=True)
        self.files = [path for path in self.paths() if not path.is_dir()]
        self.directories = [self.home, *(path for path in self.paths() if path.is_dir())]

    def paths(self):
        return sorted(self.home.rglob("*"))

    def restore(self, touched):
        """Makes the home as it was; what may have changed without a trace is copied anew."""
        for path in (self.home, *self.home.rglob("*")):
            kept = self.pristine / path.relative_to(self.home)
            if path != self.home and (path == touched or _state(path) != _state(kept)):
                _remove(path)
        for kept in (self.pristine, *sorted(self.pristine.rglob("*"))):
            path = self.home / kept.relative_to(self.pristine)
            if kept.is_dir():
                path.mkdir(exist_ok=True)
                os.chown(path, os.geteuid(), os.getegid())
                path.chmod(stat.S_IMODE(kept.stat().st_mode))
            elif not path.exists():
                shutil.copy2(kept, path)


def _state(path):
    if not os.path.lexists(path):
        return None
    status = path.lstat()
    times = () if stat.S_ISDIR(status.st_mode) else (status.st_size, status.st_mtime_ns)
    return (stat.S_IFMT(status.st_mode), status.st_mode, status.st_uid, *times)


def _remove(path):
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@pytest.fixture(scope="module")
def bench(tmp_path_factory, imported_engine, shared_home):
    """A home after two runs: everything in it has been read once."""
    root = tmp_path_factory.mktemp("adversary")
    before = os.environ.get("AF3OPT_HOME")
    made = Bench(root, shared_home)
    os.environ["AF3OPT_HOME"] = str(made.home)
    try:
        victim.learn()
        first = made.run()
        second = made.run()
        assert first[0] == second[0] == 0, second[2]
        assert first[1] == second[1]
        made.expected = second[1]
        made.keep()
        yield made
    finally:
        os.environ.pop("AF3OPT_HOME")
        if before is not None:
            os.environ["AF3OPT_HOME"] = before


def loss(bench, code, found, log):
    """Says what is wrong with how a run ended, or None."""
    if code is None:
        return "hung"
    if bench.secret.read_bytes() != SECRET or bench.secret.with_name("made").exists():
        return "wrote through a link"
    if "Traceback" in log:
        return "failed with a traceback"
    if code == 0:
        # What was tuned may be forgotten, never replaced.
        forgotten = {**bench.expected, "tuned": "None"}
        right = found in (bench.expected, forgotten)
        return None if right else "another result with exit code 0"
    lines = [line for line in log.splitlines() if line.startswith("af3opt: error: ")]
    if code != REFUSAL or len(lines) != 1:
        return f"exit code {code}"
    return None


def test_everything_is_there_that_can_go_bad(bench):
    parts = {path.relative_to(bench.home).parts[0] for path in bench.files}
    assert parts >= {
        "cache", "compile_cache", "prepared", "programs.json", "times.json", "tuned", "weights",
    }  # fmt: skip
    names = {path.name for path in bench.files}
    assert names >= {"arrays.bin", "index.json", "ccd.index", "component_sets.json", "current"}
    assert any("executables" in path.parts and path.suffix == ".entry" for path in bench.files)


@pytest.mark.timeout(7200)
def test_no_damage_changes_a_result(bench, tries, account, monkeypatch):
    caches = account("damage below AF3OPT_HOME")
    generator = caches.generator
    monkeypatch.setenv("AF3OPT_HOME", str(bench.home))
    endings = collections.Counter()
    of_files, of_directories = mutations.OF_FILES, mutations.OF_DIRECTORIES
    if os.geteuid() == 0:
        of_files, of_directories = (
            (*of_files, mutations.foreign), (*of_directories, mutations.foreign)
        )  # fmt: skip
    while caches.tries < tries:
        if generator.random() < 0.15:
            path, mutate = generator.choice(bench.directories), generator.choice(of_directories)
            if path == bench.home and mutate is mutations.replaced:
                continue
        else:
            path, mutate = generator.choice(bench.files), generator.choice(of_files)
        mutate(path, bench.secret, generator)
        code, found, log = bench.run()
        problem = loss(bench, code, found, log)
        where = path.relative_to(bench.home)
        endings["refused in one line" if code == REFUSAL else f"exit code {code}"] += 1
        if problem:
            what = f"{mutate.__name__} of {where}: {problem}\n{log[-1500:]}"
            caches.lost(f"try {caches.tries}: {what}", exit_code=code)
        caches.tries += 1
        bench.restore(path)
    print(f"cache mutations: {dict(endings)}")
    caches.settle()
