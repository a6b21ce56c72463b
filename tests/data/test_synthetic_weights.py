"""Synthetic weights: deterministic, marked, readable by the engine, sane."""

import numpy as np
import pytest

from af3opt.base.errors import SetupError
from af3opt.data.synthetic_weights import (
    DEPTHS,
    MANIFEST_FILE,
    draw_parameter,
    read_manifest,
    write_synthetic_weights,
)
from af3opt.engine.modules import engine_module


def test_parameters_depend_on_their_name_only():
    first = draw_parameter("diffuser/a", "weights", (64, 32))
    assert np.array_equal(first, draw_parameter("diffuser/a", "weights", (64, 32)))
    assert not np.array_equal(first, draw_parameter("diffuser/b", "weights", (64, 32)))
    assert first.dtype == np.float32


def test_scale_follows_fan_in_and_ignores_stacked_layers():
    plain = draw_parameter("diffuser/x", "weights", (400, 300))
    stacked = draw_parameter("diffuser/__layer_stack_no_per_layer/x", "weights", (4, 400, 300))
    for values in (plain, stacked):
        assert values.std() == pytest.approx(0.5 / 20, rel=0.02)
    assert np.array_equal(draw_parameter("x", "scale", (3,)), np.ones(3))
    assert np.array_equal(draw_parameter("x", "bias", (3,)), np.zeros(3))


def test_other_directories_have_no_manifest(tmp_path):
    assert read_manifest(tmp_path) is None
    assert read_manifest(tmp_path / "none") is None
    assert read_manifest(tmp_path / "none" / "deeper") is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"config_overrides": 3}'])
def test_damaged_manifest_is_an_error(tmp_path, text):
    (tmp_path / MANIFEST_FILE).write_text(text)
    with pytest.raises(SetupError, match="--synthetic_weights --force"):
        read_manifest(tmp_path)


@pytest.mark.engine
def test_weights_with_a_damaged_manifest_are_made_again(monkeypatch):
    monkeypatch.setattr(
        "af3opt.data.parameter_shapes.parameter_shapes", lambda _: {("a", "weights"): (2, 3)}
    )
    folder, made = write_synthetic_weights("small")
    assert made
    assert write_synthetic_weights("small") == (folder, False)
    path = folder / MANIFEST_FILE
    text = path.read_text()
    path.write_text(
        text.replace('"heads.diffusion.eval.steps": 8', '"heads.diffusion.eval.steps": 9')
    )
    assert path.read_text() != text
    with pytest.raises(SetupError, match="checksum"):
        read_manifest(folder)
    assert write_synthetic_weights("small") == (folder, True)
    assert path.read_text() == text


@pytest.mark.engine
def test_engine_reads_the_small_weights(small_weights):
    manifest = read_manifest(small_weights)
    assert manifest is not None
    assert manifest.depth == "small"
    assert manifest.config_overrides == dict(DEPTHS["small"])
    params = engine_module("model.params")
    files, compressed = params.select_model_files(small_weights)
    names = set()
    with params.open_for_reading(files, compressed) as stream:
        for scope, name, values in params.read_records(stream):
            names.add((scope, name))
            if scope == "__meta__":
                assert values.tobytes().decode() == manifest.identifier
            else:
                assert values.dtype == np.float32
                assert np.isfinite(values).all()
    assert len(names) > 300
