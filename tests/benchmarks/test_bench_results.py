"""`af3opt bench`: stages, statistics, tables and pictures."""

import json
import sys
import xml.etree.ElementTree as ElementTree

import pytest

from af3opt.base.errors import InputError, SetupError
from af3opt.benchmarks.markdown import format_result, summary_table
from af3opt.benchmarks.plot import write_plot
from af3opt.benchmarks.results import (
    BASELINE,
    COLD,
    FORMAT,
    WARM,
    read_result,
    write_result,
)
from af3opt.benchmarks.stages import (
    COMPILATION,
    DATA_PIPELINE,
    EXTRACTION,
    FEATURISATION,
    INFERENCE,
    REST,
    START_UP,
    WRITING,
    TimedLine,
    split_stages,
)
from af3opt.engine.plain_run import covered_seconds
from tests.benchmarks.results import make_case, make_result
from tests.conftest import REPOSITORY

UPSTREAM_LOG = [
    (9.0, "Running fold job a..."),
    (9.0, "Running data pipeline..."),
    (11.0, "Writing model input JSON to out/a_data.json"),
    (11.0, "Featurising data with 2 seed(s)..."),
    (12.5, "Featurising data with seed 1 took 1.50 seconds."),
    (13.5, "Featurising data with seed 2 took 1.00 seconds."),
    (13.5, "Featurising data with 2 seed(s) took 2.50 seconds."),
    (13.5, "Running model inference with seed 1..."),
    (33.5, "Running model inference with seed 1 took 20.00 seconds."),
    (34.0, "Extracting 5 inference samples with seed 1 took 0.50 seconds."),
    (34.0, "Running model inference with seed 2..."),
    (44.0, "Running model inference with seed 2 took 10.00 seconds."),
    (44.5, "Extracting 5 inference samples with seed 2 took 0.50 seconds."),
    (44.5, "Running model inference and extracting output structures with 2 seed(s) took 31.00 s"),
    (44.5, "Writing outputs with 2 seed(s)..."),
    (47.5, "Fold job a done, output written to out/a"),
]
OWN_LOG = [
    (1.0, "2026-01-01 INFO Featurising data with seed 1 took 0.50 seconds."),
    (1.0, "2026-01-01 INFO Running model inference with seed 1..."),
    (4.0, "INFO Model for 80 tokens: traced in 0.5 s, lowered in 0.2 s, compiled in 1.5 s"),
    (6.0, "INFO Running model inference with seed 1 took 5.00 seconds."),
    (6.5, "INFO Writing outputs with seed 1 took 0.50 seconds."),
]


def timed(log):
    return [TimedLine(seconds, text) for seconds, text in log]


def test_stages_of_upstreams_log():
    assert split_stages(timed(UPSTREAM_LOG), 48.0) == {
        START_UP: 9.0,
        DATA_PIPELINE: 2.0,
        FEATURISATION: 2.5,
        INFERENCE: 30.0,
        EXTRACTION: 1.0,
        WRITING: 3.0,
        REST: 0.5,
    }


def test_stages_of_our_log():
    assert split_stages(timed(OWN_LOG), 7.0) == {
        START_UP: 0.5,
        FEATURISATION: 0.5,
        INFERENCE: 5.0,
        COMPILATION: 2.2,
        WRITING: 0.5,
        REST: 0.5,
    }


@pytest.mark.parametrize(
    ("line", "seconds"),
    [
        ("Model for 80 tokens: loaded in 0.4 s from the executable store, needs 1.25 GB", 0.4),
        (
            "Model for 80 tokens: traced in 2.0 s, lowered in 1.0 s, "
            "read from the compile cache in 0.5 s",
            3.5,
        ),
        ("Compiling the model took 12.25 seconds.", 12.25),
        ("Weights loaded in 3.0 s", None),
    ],
)
def test_what_counts_as_compilation(line, seconds):
    assert split_stages(timed([(1.0, line)]), 2.0).get(COMPILATION) == seconds


def test_a_trace_within_a_trace_counts_once():
    assert covered_seconds([]) == 0.0
    assert covered_seconds([(1.0, 5.0), (2.0, 3.0), (4.0, 6.0), (8.0, 9.0)]) == 6.0


def test_a_log_without_known_lines_has_no_stages():
    assert split_stages(timed([(1.0, "hello")]), 2.0) == {}


def test_medians_spreads_and_ratios_of_pairs():
    case = make_case()
    assert case.median_wall(BASELINE) == 42.0
    assert case.ratios(COLD) == [4.0, 4.0]
    assert case.ratios(WARM) == [8.0, 11.0]
    assert case.spread(BASELINE) == pytest.approx(2 / 42)
    assert case.median_stage(COLD, INFERENCE) == pytest.approx(8.4)
    assert case.median_stage(COLD, WRITING) is None


def test_results_survive_the_disk(tmp_path):
    path = tmp_path / "quick.json"
    write_result(make_result(), path)
    assert read_result(path) == make_result()
    assert json.loads(path.read_text())["format"] == FORMAT


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"format": "other"}', '{"format": 1, "cases": 2}']
)
def test_other_files_are_refused(tmp_path, text):
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"x\.json: not a result"):
        read_result(path)


def test_markdown_has_figures_commands_and_circumstances():
    text = format_result(make_result())
    assert "| a | case a | 42.0 s ±5% | 10.5 s ±5% | 4.5 s ±11% | **4.00** (4.00–4.00)" in text  # noqa: RUF001
    assert "run af3opt, cold" in text
    assert "| a | of which compilation | 1.0 | 1.0 | 1.0 |" in text
    assert "| a | inference without compilation | 32.6 | 7.4 | 2.6 |" in text
    assert "jax 0.10.2" in text
    assert "Improvement" not in text
    report = format_result(make_result("report"))
    assert "| a | af3opt, cold | 75.0% | 75.0% | 75.0% |" in report
    table = summary_table([make_result()])
    assert table.startswith("Some CPU, 2 cores:")
    assert (
        "| case a; baseline with jax 0.10.2 | 42 s | 10 s (4.0x) | 4 s (9.5x) | 2.0 GB |" in table
    )


def test_a_reduced_model_is_never_passed_off_as_the_whole():
    whole, reduced = make_result(), make_result(overrides={"evoformer.pairformer.num_layer": 2})
    assert "reduced" not in format_result(whole) + summary_table([whole])
    assert "evoformer.pairformer.num_layer 2" in format_result(reduced)
    assert "| case a; a model of reduced depth; baseline" in summary_table([reduced])


def test_plot_is_an_svg(tmp_path):
    pytest.importorskip("matplotlib")
    write_plot(make_result(), tmp_path / "quick.svg")
    assert ElementTree.parse(tmp_path / "quick.svg").getroot().tag.endswith("svg")


def test_the_picture_of_a_result_is_always_the_same(tmp_path):
    for name in ("one.svg", "two.svg"):
        write_plot(make_result(), tmp_path / name)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()


def test_no_matplotlib_is_said(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(SetupError, match="matplotlib is not installed"):
        write_plot(make_result(), tmp_path / "quick.svg")


RESULTS = sorted((REPOSITORY / "benchmarks").glob("*.json"))


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.name)
def test_committed_tables_are_those_of_the_committed_results(path):
    assert path.with_suffix(".md").read_text() == format_result(read_result(path))
