"""What does not decide a compiled program is listed by name, and JAX agrees."""

import ast
from pathlib import Path

import pytest

jax = pytest.importorskip("jax")

from af3opt.environment.neutral import (  # noqa: E402
    NEUTRAL_OPTIONS,
    NEUTRAL_VARIABLES,
    deciding_options,
    deciding_variables,
)


def options_that_jax_traces_with():
    """Names of the options that JAX declares as part of what a traced program depends on."""
    from jax._src import config

    for node in ast.walk(ast.parse(Path(config.__file__).read_text())):
        if isinstance(node, ast.Call):
            given = {one.arg: one.value for one in node.keywords}
            context = given.get("include_in_trace_context")
            if isinstance(context, ast.Constant) and context.value and "name" in given:
                yield ast.literal_eval(given["name"])


def test_no_option_that_jax_traces_with_is_neutral():
    traced = set(options_that_jax_traces_with())
    assert len(traced) > 20
    assert traced.isdisjoint(NEUTRAL_OPTIONS)


def test_neutral_options_exist():
    assert set(NEUTRAL_OPTIONS) <= set(jax.config.values)


@pytest.mark.parametrize(
    "option",
    ["jax_debug_nans", "jax_debug_infs", "jax_enable_x64", "jax_default_matmul_precision",
     "jax_mock_gpu_topology", "jax_pjrt_client_create_options", "jax_logistic_made_up"],
)  # fmt: skip
def test_an_option_counts_whatever_words_are_in_its_name(option):
    values = {**jax.config.values, "jax_logistic_made_up": False}
    assert deciding_options({**values, option: "other"}) != deciding_options(values)


def test_neutral_names_do_not_count():
    other = dict.fromkeys(NEUTRAL_OPTIONS, "other")
    assert deciding_options({**jax.config.values, **other}) == deciding_options(jax.config.values)
    assert deciding_variables(dict.fromkeys(NEUTRAL_VARIABLES, "other")) == {}
    assert deciding_variables({"JAX_COMPILATION_CACHE_DIR": "x", "HOME": "y"}) == {}


@pytest.mark.parametrize(
    "variable", ["XLA_FLAGS", "AF3_NO_CATALOGUE", "TF_ENABLE_LOGISTIC", "JAX_DEBUG_NANS"]
)
def test_a_variable_counts_whatever_words_are_in_its_name(variable):
    assert deciding_variables({variable: "1"}) == {variable: "1"}
