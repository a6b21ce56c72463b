"""The suite of searches: both sides on one made database, compared byte for byte."""

import json
import shutil

import pytest

from af3opt.base.errors import ExitCode
from af3opt.benchmarks import search
from af3opt.cli import main

pytest.importorskip("pyhmmer")
needs_jackhmmer = pytest.mark.skipif(shutil.which("jackhmmer") is None, reason="needs jackhmmer")


@needs_jackhmmer
def test_both_sides_are_timed_and_compared(tmp_path, capsys):
    output = tmp_path / "search.json"
    flags = ["--size_gb=0.002", "--relatives=0.01", "--repeats=2", "--passes=1,3"]
    code = main(["bench", "--suite=search", "--", *flags, f"--output={output}"])
    shown = capsys.readouterr().out
    assert code == ExitCode.OK, shown
    assert shown == output.with_suffix(".md").read_text()
    rows = [line for line in shown.splitlines() if line.endswith("| yes |")]
    assert [row.split("|")[1].strip() for row in rows] == ["1", "3"]
    result = json.loads(output.read_text())
    assert [time["queries"] for time in result["times"]] == [1, 3]
    for time in result["times"]:
        assert len(time["engine_seconds"]) == len(time["seconds"]) == 2
        assert time["survivors"] > 0


def test_a_difference_is_shown_and_fails(monkeypatch, capsys):
    different = search.SearchTime(
        queries=1,
        residues=5,
        engine_seconds=(2.0, 4.0),
        seconds=(1.0, 1.0),
        scan_seconds=(0.5, 0.5),
        survivors=3,
        rows_equal=False,
    )
    monkeypatch.setattr(search, "measure", lambda flags, folder: iter([different]))
    assert search.main([]) == 1
    assert "| 3.0x | NO |" in capsys.readouterr().out


def test_a_missing_program_is_named(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    code = main(["bench", "--suite=search", "--", "--size_gb=0.001"])
    assert code == ExitCode.USAGE
    assert "--jackhmmer" in capsys.readouterr().err
