"""The compilation cache across processes: hits, damage, other people's directories."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from af3opt.base.errors import UsageError
from af3opt.execution.script.run import script_compile_cache
from af3opt.inference import compile_cache
from af3opt.settings.settings import resolve_settings
from tests.other_user import give_away, needs_root

pytest.importorskip("jax")

REPOSITORY = Path(__file__).parents[2]

# A fresh process that compiles one program and says what the cache did.
PROGRAM = """
import json, logging, sys
import jax
from af3opt.inference.compile_cache import configure_compile_cache
logging.basicConfig(level=logging.DEBUG, stream=sys.stderr, format="%(name)s: %(message)s")
for name in ("jax", "asyncio"):
    logging.getLogger(name).propagate = False
requested = json.loads(sys.argv[1])
cache = configure_compile_cache(requested, jax.local_devices(backend="cpu")[0])
answer = jax.jit(lambda x: (x @ x.T).sum()).lower(
    jax.ShapeDtypeStruct((64, 64), "float32")).compile()(jax.numpy.eye(64))
print(json.dumps({
    "answer": float(answer),
    "root": str(cache.root) if cache else None,
    "hits": cache.hits if cache else 0,
    "requests": cache.requests if cache else 0,
}))
"""


def start(home, requested=None, **environment):
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, json.dumps(requested)],
        env={**os.environ, "AF3OPT_HOME": str(home), "JAX_PLATFORMS": "cpu", **environment},
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process):
    output, log = process.communicate(timeout=120)
    assert process.returncode == 0, log
    return {**json.loads(output), "log": log}


def compile_once(home, requested=None, **environment):
    return finish(start(home, requested, **environment))


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


def test_second_process_hits_and_says_so(home):
    first = compile_once(home)
    assert first["hits"] == 0
    assert "Compile cache miss: jit__lambda" in first["log"]
    second = compile_once(home)
    assert second["hits"] == second["requests"] > 0
    assert "Compile cache hit: jit__lambda" in second["log"]
    assert second["answer"] == first["answer"] == 64
    root = Path(first["root"])
    assert root.parent == home / "compile_cache"
    assert root.parent.stat().st_mode & 0o777 == 0o700


def test_moved_directory_still_hits(home, tmp_path):
    compile_once(home)
    shutil.move(home, tmp_path / "moved")
    moved = compile_once(tmp_path / "moved")
    assert moved["hits"] == moved["requests"] > 0


def test_damaged_entries_are_made_again(home):
    root = Path(compile_once(home)["root"])
    entries = list(root.glob("*/*.entry"))
    assert entries
    for index, entry in enumerate(entries):
        content = bytearray(entry.read_bytes())
        if index % 2:
            del content[len(content) // 2 :]
        else:
            content[-20] ^= 0xFF
        entry.write_bytes(content)
    repaired = compile_once(home)
    assert repaired["hits"] == 0
    assert repaired["answer"] == 64
    assert len(list((root / "quarantine").iterdir())) == len(entries)
    assert compile_once(home)["hits"] > 0


def test_two_processes_at_once(home):
    results = [finish(process) for process in [start(home), start(home), start(home)]]
    assert {result["answer"] for result in results} == {64}
    assert compile_once(home)["hits"] > 0


def test_given_directory_is_used(home, tmp_path):
    requested = str(tmp_path / "mine")
    first = compile_once(home, requested)
    assert Path(first["root"]).parent == tmp_path / "mine"
    assert not home.exists()
    assert compile_once(home, requested)["hits"] > 0
    # JAX's own variable means the same.
    assert compile_once(home, JAX_COMPILATION_CACHE_DIR=requested)["hits"] > 0


def test_cache_can_be_switched_off(home):
    result = compile_once(home, JAX_ENABLE_COMPILATION_CACHE="false")
    assert result["root"] is None
    assert "JAX_ENABLE_COMPILATION_CACHE" in result["log"]


def test_home_that_cannot_be_made_switches_the_cache_off(tmp_path):
    (tmp_path / "file").write_text("")
    result = compile_once(tmp_path / "file" / "home")
    assert result["answer"] == 64
    assert result["root"] is None
    assert "Compile cache: off" in result["log"]


def test_directory_that_anybody_can_write_to_is_refused(tmp_path):
    tmp_path.chmod(0o777)
    with pytest.raises(UsageError, match="run code as you"):
        compile_cache._base_directory(str(tmp_path))


def test_directory_of_another_user_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    os.chown(tmp_path, 54321, -1) if os.getuid() == 0 else pytest.skip("needs chown")
    with pytest.raises(UsageError, match="belongs to user id 54321"):
        compile_cache._base_directory(str(tmp_path))


def test_group_writable_directory_is_used_with_a_warning(tmp_path, caplog):
    tmp_path.chmod(0o770)
    base, trusted = compile_cache._base_directory(str(tmp_path))
    assert base == tmp_path
    assert not trusted
    assert "writable by its group" in caplog.text


def _evil_home(home, tmp_path, how):
    """Compiles once; then a host directory, or one above it, is somebody else's to write."""
    root = Path(compile_once(home)["root"])
    if how == "given away":
        give_away(root)
    elif how == "world":
        root.chmod(0o777)
    elif how == "above":
        (home / "compile_cache").chmod(0o777)
    else:
        root.rename(tmp_path / "elsewhere")
        root.symlink_to(tmp_path / "elsewhere")
        give_away(root)
    return root


@needs_root
@pytest.mark.parametrize("how", ["given away", "world", "above", "link"])
def test_compiled_code_below_a_directory_of_others_is_not_loaded(how, home, tmp_path):
    root = _evil_home(home, tmp_path, how)
    result = compile_once(home)
    assert result["answer"] == 64
    assert result["root"] is None
    assert "Compile cache: off" in result["log"]
    with pytest.raises(UsageError, match="run code as you"):
        compile_cache._trusted(root, "given")


@needs_root
@pytest.mark.parametrize("level", [0, 1])
def test_an_entry_of_others_is_not_loaded(level, home):
    root = Path(compile_once(home)["root"])
    for entry in root.glob("*/*.entry"):
        give_away((entry, entry.parent)[level])
    result = compile_once(home)
    assert result["answer"] == 64
    assert result["hits"] == 0
    assert "belongs to user id 65534" in result["log"]


def test_a_host_directory_that_anybody_can_write_to_is_refused_in_a_given_one(tmp_path):
    (tmp_path / "host").mkdir(mode=0o700)
    (tmp_path / "host").chmod(0o777)
    with pytest.raises(UsageError, match="run code as you"):
        compile_cache._trusted(tmp_path / "host", str(tmp_path))


@pytest.mark.parametrize("how", ["flag", "variable"])
def test_a_script_of_the_site_gets_no_directory_that_anybody_can_write_to(
    how, tmp_path, monkeypatch
):
    tmp_path.chmod(0o777)
    flag = f"--jax_compilation_cache_dir={tmp_path}"
    if how == "variable":
        monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path))
    settings = resolve_settings([flag] if how == "flag" else [], {})
    with pytest.raises(UsageError, match="run code as you"):
        script_compile_cache(settings, "cpu")
