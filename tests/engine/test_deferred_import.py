"""tokamax is imported when something of it is used."""

import importlib.util
import subprocess
import sys
import textwrap

import pytest

from af3opt.engine import deferred_import


def in_new_process(home, program):
    """Runs a program after the imports that it needs; returns what it prints."""
    start = """
        import sys
        from af3opt.engine import deferred_import
        from af3opt.data.bootstrap import bootstrap_engine
        bootstrap_engine(defer_kernels=True)
        def loaded():
            return not isinstance(sys.modules["tokamax"], deferred_import._StandIn)
    """
    text = textwrap.dedent(start) + textwrap.dedent(program)
    environment = {"AF3OPT_HOME": str(home), "JAX_PLATFORMS": "cpu", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, "-c", text], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.engine
def test_engine_is_imported_without_it(prepared_home):
    pytest.importorskip("tokamax")
    program = """
        import inspect
        model = sys.modules["alphafold3.model.model"]
        config = model.Model.Config()
        # Things that look at every module there is.
        inspect.getmodule(compile("1", "<nowhere>", "eval"))
        print(config.global_config.flash_attention_implementation, loaded())
    """
    assert in_new_process(prepared_home, program) == ["triton", "False"]


@pytest.mark.engine
@pytest.mark.parametrize(
    "use",
    [
        "modules.tokamax.gated_linear_unit",
        "modules.tokamax.DotProductAttentionImplementation.__value__",
        "importlib.import_module('tokamax._src.ops')",
        "importlib.import_module('tokamax').__path__",
    ],
)
def test_first_use_imports_it(prepared_home, use):
    pytest.importorskip("tokamax")
    program = f"""
        import importlib
        modules = sys.modules["alphafold3.model.network.modules"]
        before = loaded()
        {use}
        import tokamax
        same = modules.tokamax.gated_linear_unit is tokamax.gated_linear_unit
        print(before, loaded(), same)
    """
    assert in_new_process(prepared_home, program) == ["False", "True", "True"]


@pytest.mark.engine
def test_package_that_is_there_stays(prepared_home):
    pytest.importorskip("tokamax")
    program = """
        import tokamax
        tokamax.gated_linear_unit
        there = sys.modules["tokamax"]
        deferred_import.defer_import()
        print(sys.modules["tokamax"] is there)
    """
    assert in_new_process(prepared_home, program) == ["True"]


def test_nothing_stands_for_a_package_that_is_not_installed(monkeypatch):
    monkeypatch.delitem(sys.modules, "tokamax", raising=False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    deferred_import.defer_import()
    assert "tokamax" not in sys.modules
