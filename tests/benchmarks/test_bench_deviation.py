"""The deviation suite: its figures, its tables, and the order that they must have."""

import dataclasses
import json
import os
import statistics
import subprocess
import sys

import numpy as np
import pytest
import write_deviation_table

from af3opt.base.errors import InputError
from af3opt.benchmarks.deviation_markdown import format_deviations, verdict
from af3opt.benchmarks.deviation_metrics import (
    PAIR,
    POSITIONS,
    QUANTITIES,
    SINGLE,
    SUPERPOSED,
    Deviation,
    Scale,
    deviations,
    pooled,
    scales,
    superpose,
)
from af3opt.benchmarks.deviation_result import (
    FROM_FLOAT32,
    DeviationResult,
    ExampleResult,
    VariantRecord,
    excesses,
    read_deviations,
    standard_error,
    write_deviations,
)
from tests.conftest import REPOSITORY

COMMITTED = sorted((REPOSITORY / "benchmarks" / "deviation").glob("*.json"))


def make_record(name, fidelity="reordered", bound=True):
    return VariantRecord(
        name=name,
        meaning=f"with {name}",
        fidelity=fidelity,
        bound=bound,
        flags=["--fidelity=reordered"],
        optimizations=[name],
        trunk_precision="bfloat16",
        diffusion_precision="float32",
    )


def make_example(name, distances):
    """An example in which every quantity of a variant has one deviation."""
    compared = {
        variant: {quantity: Deviation(4 * rms, rms) for quantity in QUANTITIES}
        for variant, rms in distances.items()
    }
    return ExampleResult(
        name=name,
        tokens=20,
        atoms=150,
        msa_rows=1,
        scales={quantity: Scale(100, 2.0) for quantity in QUANTITIES},
        from_float32=compared,
        from_engine=compared,
    )


def make_result(closer=0.01, on_request=0.9):
    distances = {"engine": 0.1, "closer": closer, "asked_for": on_request}
    return DeviationResult(
        commands=["af3opt bench --suite=deviation -- --input_dir=examples"],
        started="2026-01-01T00:00:00+00:00",
        host={
            "cpu": "Some CPU",
            "usable_cores": 2,
            "bf16": ["amx_bf16"],
            "system": "Linux",
            "load_average": 0.5,
        },
        software={"engine": "alphafold3 (fingerprint 1)", "versions": {"jax": "0.12"}},
        weights="random ones, depth: small",
        weights_sha256="0123456789abcdef" * 4,
        overrides={"evoformer.pairformer.num_layer": 2},
        run={"bucket": 80, "seed": 1, "recycles": 1, "diffusion steps": 8},
        variants=[
            make_record("engine", "exact", bound=False),
            make_record("closer"),
            make_record("asked_for", "on request", bound=False),
        ],
        examples=[make_example("a", distances), make_example("b", distances)],
    )


def rotation(angle):
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])


def test_superposition_undoes_rotation_and_shift_but_no_reflection():
    points = np.random.default_rng(1).normal(size=(30, 3))
    moved = points @ rotation(0.8) + [1, 2, 3]
    np.testing.assert_allclose(superpose(moved, points), points, atol=1e-12)
    mirrored = points * [1, 1, -1]
    assert np.abs(superpose(mirrored, points) - points).max() > 0.5


def observed(positions, single):
    return {POSITIONS: np.asarray(positions, float), SINGLE: np.asarray(single, float)}


def test_deviations_of_coordinates_are_distances_of_atoms():
    reference = observed(np.zeros((2, 4, 3)), [1, 2])
    shifted = observed(np.zeros((2, 4, 3)), [1, 5])
    shifted[POSITIONS][1, 0] = [3, 4, 0]
    found = deviations(shifted, reference)
    assert found[POSITIONS] == Deviation(5.0, pytest.approx(np.sqrt(25 / 8), rel=1e-4))
    assert found[SINGLE] == Deviation(3.0, pytest.approx(np.sqrt(4.5), rel=1e-4))
    sizes = scales(reference)
    assert sizes[SUPERPOSED].entries == 8
    assert sizes[SINGLE] == Scale(2, pytest.approx(np.sqrt(2.5)))


def test_a_sample_that_only_moved_has_not_changed():
    points = np.random.default_rng(2).normal(size=(1, 20, 3))
    found = deviations(observed(points @ rotation(1) + 5, [0]), observed(points, [0]))
    assert found[POSITIONS].rms > 1
    assert found[SUPERPOSED].largest < 1e-12


def test_examples_are_pooled_by_their_entries():
    whole = pooled([(Deviation(2.0, 1.0), Scale(300, 1.0)), (Deviation(9.0, 3.0), Scale(100, 1.0))])
    assert whole == Deviation(9.0, pytest.approx(np.sqrt((300 + 900) / 400)))


def test_the_order_is_checked_for_those_that_are_bound_by_it():
    assert not list(excesses(make_result()))
    assert not list(excesses(make_result(closer=0.1009)))
    found = list(excesses(make_result(closer=0.11)))
    assert {one.variant for one in found} == {"closer"}
    assert {one.quantity for one in found} == set(QUANTITIES)
    assert found[0].ratio == pytest.approx(1.1)
    assert "`closer` in single embeddings (1.100)" in verdict(make_result(closer=0.11))
    assert "examples: none. The largest ratio is 0.100 (`closer`" in verdict(make_result())


@pytest.mark.parametrize(
    ("distances", "further"),
    [([0.09, 0.1, 0.125], False), ([0.105, 0.105, 0.106], True), ([0.1, 0.1, 0.1], False)],
)
def test_chance_is_what_examples_differ_by(distances, further):
    examples = [
        make_example(str(number), {"engine": 0.1, "closer": one, "asked_for": 0.1})
        for number, one in enumerate(distances)
    ]
    result = dataclasses.replace(make_result(), examples=examples)
    assert bool(list(excesses(result))) == further
    assert ("none" in verdict(result)) != further
    spread = statistics.stdev(np.log(distances)) / np.sqrt(3)
    assert standard_error(result, "closer", SINGLE) == pytest.approx(spread, abs=1e-12)


def test_report_has_figures_and_circumstances():
    text = format_deviations(make_result())
    assert "# Deviations: 2 examples, fewer layers, 1 recycle, 8 diffusion steps" in text
    # Embeddings as a share of their RMS, which is 2.
    assert "| with closer | reordered | 5.0e-03 / 0.02 (0.10) |" in text
    assert "(<0.01) |" in format_deviations(make_result(closer=1e-4))
    assert "amx_bf16" in text
    assert "--input_dir=examples" in text


def test_results_survive_the_disk(tmp_path):
    write_deviations(make_result(), tmp_path / "x.json")
    assert read_deviations(tmp_path / "x.json") == make_result()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "other"}'])
def test_other_files_are_refused(tmp_path, text):
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"x\.json: not a result"):
        read_deviations(path)


def test_parts_are_joined_only_if_made_alike():
    busier = dataclasses.replace(make_result(), host={**make_result().host, "load_average": 3.0})
    assert busier.circumstances() == make_result().circumstances()
    other = dataclasses.replace(make_result(), run={**make_result().run, "seed": 2})
    assert other.circumstances() != make_result().circumstances()


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.name)
def test_committed_reports_are_those_of_the_committed_results(path):
    assert path.with_suffix(".md").read_text() == format_deviations(read_deviations(path))


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.name)
def test_committed_results_have_the_order(path):
    assert list(excesses(read_deviations(path))) == []


def test_the_documents_tables_are_those_of_the_committed_results():
    part, results = write_deviation_table.PART, write_deviation_table.committed_results()
    document = part.document.read_text()
    written = part.replaced_in(document, write_deviation_table.deviation_tables(results))
    assert written == document, "run scripts/write_deviation_table.py"


def bench(*flags):
    return subprocess.run(
        [sys.executable, "-m", "af3opt", "bench", *flags],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )


def measure(output, *flags):
    own = ("--msa_rows=0", "--bucket=32", f"--output={output}")
    return bench("--suite=deviation", "--", "--input_dir=examples", *own, *flags)


@pytest.mark.engine
@pytest.mark.slow
def test_our_variants_are_no_further_from_float32_than_the_engine(prepared_home, tmp_path):
    variants = ("--variant=reordered-float32", "--variant=default", "--variant=bfloat16-float32")
    done = measure(tmp_path, "--example=several_seeds", *variants)
    assert done.returncode == 0, done.stderr
    result = read_deviations(tmp_path / "deviation.json")
    assert done.stdout == (tmp_path / "deviation.md").read_text()
    assert [one.name for one in result.variants] == [
        "engine", "reordered-float32", "default", "bfloat16-float32",
    ]  # fmt: skip

    def rms(variant, quantity=POSITIONS):
        return result.total(variant, quantity, FROM_FLOAT32).rms

    assert list(excesses(result)) == []
    # The comparison tells number formats apart, in the trunk and in the sampler.
    assert rms("engine", PAIR) > 0
    assert rms("default", PAIR) < 0.8 * rms("engine", PAIR)
    assert rms("reordered-float32", PAIR) < 1e-3 * rms("engine", PAIR)
    assert rms("reordered-float32") < 0.1 * rms("bfloat16-float32")
    again = measure(tmp_path, "--example=template_given", *variants, "--seed=2")
    assert again.returncode == 2
    assert "was made with another run; choose another --name" in again.stderr


@pytest.mark.engine
@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--variant=none_such",), "--variant=none_such: there are"),
        (("--bucket=many",), "see af3opt bench --suite=deviation -- --help"),
    ],
)
def test_wrong_flags_are_told_on_one_line(tmp_path, flags, message):
    done = measure(tmp_path, *flags)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_flags_of_a_suite_of_its_own_come_after_the_dashes():
    done = bench("--suite=deviation", "--output=x")
    assert done.returncode == 2
    assert "--output: the flags of --suite=deviation follow --" in done.stderr


def test_json_is_compact(tmp_path):
    write_deviations(make_result(), tmp_path / "x.json")
    assert json.loads((tmp_path / "x.json").read_text())["format"] == "af3opt deviation 1"
    assert len((tmp_path / "x.json").read_text().splitlines()) == 1
