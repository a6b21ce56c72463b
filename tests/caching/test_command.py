"""`af3opt cache` over all caches, compiled code included."""

import json
import os

import pytest

from af3opt import cli
from af3opt.base.key import CacheKey
from af3opt.caching.manager import CacheManager
from af3opt.commands.cache import main
from af3opt.data.prepared import write_record
from af3opt.doctor import storage
from af3opt.inference.block_writer import block_checksum
from af3opt.inference.weights_map import VERSION, size_and_time, write_index

HOST = "cpu-jaxlib0.0.1-0123456789ab"


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A search, a compiled module and a whole compiled model; and a folder of somebody else's."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    monkeypatch.setenv("AF3OPT_HOME", str(home))
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    host = home / "compile_cache" / HOST
    for place, material, information in (
        (home / "cache" / "msa", {"kind": "msa", "name": "chain"}, {}),
        (host, {"jax_cache_key": "jit_f-1"}, {"module": "jit_f"}),
        (host / "executables", {"engine": "old", "packages": {"numpy": "0"}}, {"tokens": 256}),
    ):
        manager = CacheManager("test", place)
        assert manager.put(CacheKey.of(material), [b"x" * 5000], information)
    other = home / "compile_cache" / "somebody-elses" / "ab"
    other.mkdir(parents=True)
    (other / "abc.entry").write_bytes(b"not ours")
    return home


@pytest.fixture
def run(home, capsys):
    def run(*arguments):
        code = main([*arguments])
        return code, capsys.readouterr().out

    return run


def _only_entry(folder):
    (entry,) = folder.glob("??/*.entry")
    return entry


def test_every_cache_is_listed_with_size_age_and_hits(run):
    code, text = run("ls", "--json")
    assert code == 0
    listing = json.loads(text)
    assert set(listing) == {
        "features", "conformers", "msa", f"compile/{HOST}", f"executables/{HOST}",
    }  # fmt: skip
    (model,) = listing[f"executables/{HOST}"]
    assert model["bytes"] > 5000
    assert model["hits"] == 0
    assert model["created"] <= model["last_used"] + 1
    assert model["what"] == "tokens 256"
    (module,) = listing[f"compile/{HOST}"]
    assert module["what"] == "jit_f"
    _, table = run("ls")
    title, *rows = table.splitlines()
    assert len(rows) == 3
    assert all(row.index("5.") < title.index("hits") for row in rows)


def test_one_kind_of_host_is_one_total(run):
    code, text = run("stats", "--json", "--cache=executables")
    assert code == 0
    (total,) = json.loads(text).values()
    assert (total["entries"], total["hits"], total["quarantined"]) == (1, 0, 0)
    assert total["bytes"] > 5000


def test_a_flipped_bit_in_compiled_code_is_found_and_set_aside(home, run):
    path = _only_entry(home / "compile_cache" / HOST / "executables")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    code, text = run("verify", "--json")
    assert code == 1
    report = json.loads(text)[f"executables/{HOST}"]
    assert report["good"] == 0
    assert "checksum" in report["damaged"][0]["reason"]
    assert not path.exists()
    assert run("verify")[0] == 0


@pytest.mark.parametrize("folder", [f"{HOST}", f"{HOST}/executables"])
def test_compiled_code_that_others_could_write_is_named(home, run, folder):
    path = _only_entry(home / "compile_cache" / folder)
    path.chmod(0o666)
    code, text = run("verify")
    assert code == 1
    assert f"{path} is writable by others (mode 666): whoever writes there can run code" in text
    path.chmod(0o600)
    path.parent.chmod(0o777)
    code, text = run("verify", "--json")
    assert code == 1
    found = [one for report in json.loads(text).values() for one in report["untrusted"]]
    assert {one["file"] for one in found} == {str(path.parent)}


def test_data_that_others_could_write_runs_no_code(home, run):
    _only_entry(home / "cache" / "msa").chmod(0o666)
    assert run("verify")[0] == 0


def test_verify_explains_compiled_code_of_other_software(run):
    _, text = run("verify", "--explain", "--cache=compile")
    assert "jit_f: not used now: jaxlib: entry has 0.0.1" in text


@pytest.mark.engine
def test_verify_explains_a_compiled_model_of_other_software(run):
    _, text = run("verify", "--explain", "--cache=executables")
    for difference in ("jaxlib: entry has 0.0.1", "engine: entry has old", "packages.numpy"):
        assert f"not used now: {difference}" in text


def test_pruning_and_clearing_reach_compiled_code_and_nothing_else(home, run):
    assert run("prune", "--max_gb=1")[0] == 0
    _, text = run("clear", "--json", "--cache=compile")
    assert json.loads(text)[f"compile/{HOST}"]["removed"] == 1
    assert _only_entry(home / "compile_cache" / HOST / "executables").exists()
    _, text = run("clear")
    assert "removed 1 entries" in text
    assert (home / "compile_cache" / "somebody-elses" / "ab" / "abc.entry").exists()


def test_the_directory_of_a_run_can_be_given(home, run, tmp_path, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    (home / "compile_cache").rename(elsewhere)
    assert f"compile/{HOST}" not in run("stats")[1]
    assert f"compile/{HOST}" in run("stats", f"--jax_compilation_cache_dir={elsewhere}")[1]
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(elsewhere))
    assert f"compile/{HOST}" in run("stats")[1]


@pytest.mark.parametrize("flag", ["--max_gb=nan", "--max_gb=-1", "--older_than_days=soon"])
def test_an_amount_that_is_none_removes_nothing(flag, capsys):
    assert cli.main(["cache", "prune", flag]) == 2
    assert "is not a number of at least 0" in capsys.readouterr().err


def test_verify_reads_prepared_data_and_copies_of_weights_too(home, run):
    kept = home / "prepared" / "ccd-0123456789abcdef"
    kept.mkdir(parents=True)
    for name in ("ccd.index", "component_sets.json"):
        (kept / name).write_text("content")
    write_record(kept, {"kind": "test"}, 0)
    copy = home / "weights" / "0123"
    copy.mkdir(parents=True)
    (copy / "arrays.bin").write_bytes(b"x" * 100)
    index = {"version": VERSION, "sha256": "", "original": [], "arrays": [], "joined": []}
    index |= {"copy": size_and_time(copy / "arrays.bin"), "blocks": [block_checksum(b"x" * 100)]}
    write_index(copy, index)
    code, text = run("verify", "--json")
    assert code == 0
    report = json.loads(text)
    assert (report["prepared"]["good"], report["weights"]["good"]) == (1, 1)
    assert "prepared" not in json.loads(run("verify", "--json", "--cache=msa")[1])
    (kept / "ccd.index").write_text("contend")
    state = (copy / "arrays.bin").stat()
    (copy / "arrays.bin").write_bytes(b"x" * 99 + b"y")
    os.utime(copy / "arrays.bin", ns=(state.st_atime_ns, state.st_mtime_ns))
    assert [check.verdict for check in storage.check_integrity(None)] == ["fail", "warn"]
    code, text = run("verify")
    assert code == 1
    assert "ccd.index does not have the checksum it was written with; run `af3opt prepare" in text
    assert "checksums it was written with; removed; the next run makes it again" in text
    assert not copy.exists()
    assert kept.exists()
