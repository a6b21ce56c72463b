"""Shared featurisation on a pipeline whose one method does it all, as DeepMind's v3.0.1 has it."""

import ast
import inspect
import textwrap

import pytest

from af3opt.features import featurisation
from tests.features.conftest import load_example
from tests.features.test_exact import _assert_bit_identical, _options

pytestmark = pytest.mark.engine


def _body(method):
    (function,) = ast.parse(textwrap.dedent(inspect.getsource(method))).body
    return function


def _calls_process_structure(statement):
    return isinstance(statement, ast.Assign) and "self.process_structure(" in ast.unparse(statement)


@pytest.fixture
def one_step_pipeline(engine, tmp_path, monkeypatch):
    """Puts the body of `process_structure` where `process_item` calls it."""
    from af3opt.engine.modules import engine_module

    module = engine_module("model.pipeline.pipeline")
    item = _body(module.WholePdbPipeline.process_item)
    structure = _body(module.WholePdbPipeline.process_structure)
    (call,) = filter(_calls_process_structure, ast.walk(item))
    result = structure.body[-1]
    if call not in item.body or not isinstance(result, ast.Return):
        pytest.skip("this engine's pipeline is not made of two plain methods")
    place = item.body.index(call)
    inlined = [*structure.body[:-1], ast.Assign(call.targets, result.value)]
    item.body[place : place + 1] = inlined
    path = tmp_path / "one_step.py"
    path.write_text(ast.unparse(ast.fix_missing_locations(item)))
    exec(compile(path.read_text(), path, "exec"), vars(module), methods := {})
    monkeypatch.setattr(module.WholePdbPipeline, "process_item", methods["process_item"])
    monkeypatch.delattr(module.WholePdbPipeline, "process_structure")
    featurisation._unknown_function.cache_clear()
    yield
    featurisation._unknown_function.cache_clear()


@pytest.mark.parametrize("name", ["ubiquitin", "protein_ligand_ccd"])
def test_is_recognised_and_gives_the_same_bits(one_step_pipeline, name):
    assert featurisation.unknown_function() is None
    for fold_input in load_example(name, seeds=(1, 2)):
        _assert_bit_identical(fold_input, _options())
