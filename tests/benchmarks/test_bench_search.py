"""The suite of searches: both sides on one made database, compared byte for byte."""

import dataclasses
import shutil
import subprocess
import sys
import time

import pytest
import search_costs
import write_search_table

from af3opt.base.errors import ExitCode, InputError
from af3opt.benchmarks import search, search_result
from af3opt.benchmarks.read_limit import bytes_read, hold_back
from af3opt.benchmarks.search_result import Comparison, Rates, SearchResult
from af3opt.cli import main
from af3opt.search.kernel import vector_sets
from tests.conftest import REPOSITORY

pytest.importorskip("pyhmmer")
needs_jackhmmer = pytest.mark.skipif(shutil.which("jackhmmer") is None, reason="needs jackhmmer")
TINY = (
    *("--size_gb=0.002", "--limited_gb=0.001", "--pipeline_gb=0.001", "--relatives=0.003"),
    *("--repeats=2", "--pass_repeats=1", "--queries=2", "--curve=1,3"),
)


def comparison(**changes):
    values = {
        "what": search_result.ONE,
        "isa": "avx2",
        "queries": 1,
        "gigabytes": 1.0,
        "engine_seconds": (2.0, 4.0),
        "seconds": (1.0, 1.0),
        "scan_seconds": (0.5, 0.5),
        "survivors": 3,
        "same_bytes": True,
    }
    return Comparison(**values | changes)


def rates():
    return Rates(
        gigabytes=2.0,
        one_thread=(4.0, 4.0),
        all_threads=(2.0, 2.0),
        read=(0.2,),
        parser=(8.0,),
        engine_processor=(20.0,),
        survivors_processor=(0.4,),
    )


def result(**changes):
    values = {
        "command": "af3opt bench --suite=search",
        "started": "2026-01-01T00:00:00+00:00",
        "host": {"cpu": "abacus"},
        "subject": {},
        "jackhmmer": "HMMER 3.4",
        "threads": 2,
        "residues": 240,
        "relatives": 1e-4,
        "comparisons": (comparison(),),
        "rates": rates(),
    }
    return SearchResult(**values | changes)


@needs_jackhmmer
def test_all_but_the_data_pipeline_is_measured_and_compared(tmp_path, capsys):
    output = tmp_path / "search.json"
    parts = "--parts=one,rates,memory,limited,curve,pass"
    code = main(["bench", "--suite=search", "--", *TINY, parts, f"--output={output}"])
    shown = capsys.readouterr().out
    assert code == ExitCode.OK, shown
    assert shown == output.with_suffix(".md").read_text()
    found = search_result.read_search_result(output)
    expected = [(search_result.ONE, isa, 1) for isa in vector_sets()]
    expected += [(search_result.LIMITED, vector_sets()[0], 2)]
    expected += [(search_result.PASS, vector_sets()[0], 2)]
    assert [(one.what, one.isa, one.queries) for one in found.comparisons] == expected
    assert found.same_bytes
    assert all(one.survivors > 0 for one in found.comparisons)
    assert [len(one.seconds) for one in found.comparisons][-2:] == [1, 1]
    [limited] = [one for one in found.comparisons if one.what == search_result.LIMITED]
    # 1 MB for each of the engine's two queries at 50 MB/s.
    assert limited.engine_seconds[0] >= 0.9 * 2 * limited.gigabytes / 0.05
    speeds = {(point.queries, point.megabytes_per_second) for point in found.curve}
    assert speeds == {(1, None), (3, None), (1, 50.0), (3, 50.0)}
    assert found.rates is not None
    assert min(found.rates.engine_processor) > min(found.rates.survivors_processor) > 0
    assert found.memory is not None
    assert found.memory.peak_bytes > 10_000_000


@needs_jackhmmer
@pytest.mark.engine
@pytest.mark.slow
def test_the_data_pipeline_runs_with_and_without_the_scan(tmp_path, prepared_home, capsys):
    output = tmp_path / "search.json"
    flags = [*TINY, "--repeats=1", "--parts=pipeline", f"--output={output}"]
    code = main(["bench", "--suite=search", "--", *flags])
    assert code == ExitCode.OK, capsys.readouterr()
    found = search_result.read_search_result(output).comparisons
    assert [(one.what, one.isa) for one in found] == [
        (search_result.PIPELINE, isa) for isa in vector_sets()
    ]
    assert all(one.same_bytes and one.seconds[0] > 0 for one in found)


def test_a_difference_is_shown_and_fails(monkeypatch, capsys, tmp_path):
    different = result(comparisons=(comparison(same_bytes=False),))
    monkeypatch.setattr(search, "measure", lambda flags, folder, empty: iter([different]))
    assert search.main([f"--jackhmmer={shutil.which('true')}"]) == 1
    assert "| 3.0x | NO |" in capsys.readouterr().out


@pytest.mark.engine
def test_missing_component_data_is_named_before_anything_is_measured(tmp_path, capsys):
    output = tmp_path / "search.json"
    flags = [*TINY, "--parts=one,pipeline", f"--output={output}", f"--jackhmmer={sys.executable}"]
    code = main(["bench", "--suite=search", "--", *flags])
    assert code == ExitCode.USAGE
    assert "type `af3opt prepare`" in capsys.readouterr().err
    assert not output.exists()


def test_a_missing_program_is_named(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    code = main(["bench", "--suite=search", "--", "--size_gb=0.001"])
    assert code == ExitCode.USAGE
    assert "--jackhmmer" in capsys.readouterr().err


def test_an_unknown_part_is_named(capsys):
    assert main(["bench", "--suite=search", "--", "--parts=one,two"]) == ExitCode.USAGE
    assert "two is none of one, " in capsys.readouterr().err


def test_a_limited_reader_takes_the_time_of_its_bytes(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(bytes(3_000_000))
    program = f"import sys; sys.stdin.read(1); len(open({str(path)!r}, 'rb').read())"
    reader = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE)
    assert bytes_read(reader.pid) is not None
    reader.stdin.write(b"x")
    reader.stdin.close()
    begun = time.monotonic()
    hold_back(reader, 3e6)
    # All in one go, so it is stopped behind its last byte.
    assert time.monotonic() - begun >= 0.9
    assert reader.returncode == 0


def test_what_is_no_result_is_refused(tmp_path):
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(InputError, match="not a result"):
        search_result.read_search_result(tmp_path / "x.json")


def test_results_survive_the_disk(tmp_path):
    search_result.write_search_result(result(), tmp_path / "x.json")
    assert write_search_table.committed_results(tmp_path) == {tmp_path / "x.json": result()}


def test_the_slowest_limit_of_the_engine_decides():
    slow, fast = search_costs.Storage("slow", 0.1), search_costs.Storage("fast", 1e9)
    total = search_costs.TOTAL_GB
    assert total == 306
    # 4 s a GB of the parser, for the largest database.
    assert search_costs.engine_seconds(rates(), 64, fast) == pytest.approx(120 * 4)
    # 10 processor seconds a GB.
    assert search_costs.engine_seconds(rates(), 4, fast) == pytest.approx(total * 10 / 4)
    assert search_costs.engine_seconds(rates(), 64, slow) == pytest.approx(total / 0.1)


def test_chains_of_a_pass_share_the_reading_and_nothing_else():
    slow, fast = search_costs.Storage("slow", 0.1), search_costs.Storage("fast", 1e9)
    total = search_costs.TOTAL_GB

    def seconds(storage, chains):
        return search_costs.scan_seconds(rates(), 2, 32, storage, chains)

    # 2 s a GB of the scan and 0.2 of the survivors, on 32 cores.
    assert seconds(fast, 1) == pytest.approx(total * 2.2 / 32)
    assert seconds(fast, 16) == pytest.approx(seconds(fast, 1))
    assert seconds(slow, 1) == pytest.approx(total / 0.1 + total * 0.2 / 32)
    assert seconds(slow, 16) == pytest.approx(total / 0.1 / 16 + total * 0.2 / 32)


def test_threads_that_help_less_make_many_cores_help_less():
    worse = dataclasses.replace(rates(), all_threads=(4.0,))
    fast = search_costs.Storage("fast", 1e9)
    good = search_costs.scan_seconds(rates(), 2, 32, fast, 1)
    assert search_costs.scan_seconds(worse, 2, 32, fast, 1) > 1.8 * good


def test_the_tables_of_searches_are_those_of_the_committed_results():
    results = write_search_table.committed_results()
    for part, text in (
        (write_search_table.SUMMARY, write_search_table.short_table(results)),
        (write_search_table.MEASURED, write_search_table.measured_tables(results)),
        (write_search_table.CALCULATED, write_search_table.calculated_tables(results)),
    ):
        document = part.document.read_text()
        assert part.replaced_in(document, text) == document, "run scripts/write_search_table.py"
    for path, one in results.items():
        assert path.with_suffix(".md").read_text() == search_result.format_search_result(one)


def test_tables_of_a_result():
    text = write_search_table.calculated_tables({REPOSITORY: result()})
    assert "| in memory | 1 | 480 s, 84 s (5.7x) | 480 s, 21 s (22.8x) |" in text
    assert "| one query | avx2 | 1 | 3.00 | 1.00 | 0.50 | 3.0x | yes |" in (
        write_search_table.short_table({REPOSITORY: result()})
    )
