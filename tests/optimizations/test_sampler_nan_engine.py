"""The whole engine with the old sampler: NaN is found, located, and cured at its cause."""

import ast
import inspect
import textwrap

import numpy as np
import pytest

from af3opt.engine.discovery import find_engine
from af3opt.engine.modules import engine_module
from af3opt.inference.model_runner import create_model_runner
from af3opt.numerics import NumericsHandler
from af3opt.numerics.stages import StageProbe
from af3opt.optimizations.sampler_nan import clamp_negative_roots

pytestmark = [pytest.mark.engine, pytest.mark.slow]

INPUT = {
    "name": "short",
    "modelSeeds": [1],
    "dialect": "alphafold3",
    "version": 2,
    "sequences": [
        {"protein": {"id": "A", "sequence": "MQIFVKTLTG", "unpairedMsa": "", "pairedMsa": "",
                     "templates": []}},
    ],
}  # fmt: skip


class DropClamp(ast.NodeTransformer):
    """Turns `jnp.sqrt(jnp.maximum(floor, x))` back into the older engines' `jnp.sqrt(x)`."""

    def visit_Call(self, node):
        self.generic_visit(node)
        argument = node.args[0] if node.args else None
        if ast.unparse(node.func) == "jnp.sqrt" and isinstance(argument, ast.Call):
            node.args = [next(arg for arg in argument.args if isinstance(arg, ast.BinOp))]
        return node


@pytest.fixture
def job(small_weights, engine_input):
    source = engine_input(
        INPUT,
        *(f"--model_dir={small_weights}", "--num_recycles=1"),
        *("--num_diffusion_samples=1", "--num_diffusion_steps=8"),
    )
    batch = source.featurise(16)

    def infer():
        # A new runner each time: what is patched is seen when the model is traced.
        return create_model_runner(find_engine(), source.settings, "cpu").run_inference(batch, 1)

    return infer, batch


@pytest.fixture
def sampler_without_clamp(job, tmp_path, monkeypatch):
    """Puts the older sampler step into the engine; yields the module and the function's name."""
    module = engine_module("model.network.diffusion_head")
    name = "make_denoising_body" if hasattr(module, "make_denoising_body") else "sample"
    tree = ast.parse(textwrap.dedent(inspect.getsource(getattr(module, name))))
    path = tmp_path / "older_sampler.py"
    path.write_text(ast.unparse(ast.fix_missing_locations(DropClamp().visit(tree))))
    exec(compile(path.read_text(), path, "exec"), vars(module), older := {})
    monkeypatch.setattr(module, name, older[name])
    return module, name


def test_nan_is_located_and_cured(sampler_without_clamp, job, monkeypatch):
    infer, batch = job
    probe = StageProbe()
    with probe.installed():
        verdict = NumericsHandler(probe=probe).check_seed(infer(), batch, seed=1)
    assert verdict.bad_samples == {0}
    assert verdict.stage.startswith("diffusion step ")
    assert verdict.stage.endswith("of 8, noise added by the sampler")

    module, name = sampler_without_clamp
    monkeypatch.setattr(module, name, clamp_negative_roots(getattr(module, name)))
    result = infer()
    assert NumericsHandler().check_seed(result, batch, seed=1).ok
    assert np.isfinite(result["diffusion_samples"]["atom_positions"]).all()
