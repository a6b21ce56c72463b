"""What does not decide a compiled program is listed by name, and JAX agrees."""

import ast
from pathlib import Path

import pytest

jax = pytest.importorskip("jax")

from af3opt.environment.environment import BY_USER  # noqa: E402
from af3opt.environment.neutral import (  # noqa: E402
    NEUTRAL_OPTIONS,
    NEUTRAL_VARIABLES,
    deciding_options,
    deciding_variables,
    may_change_results,
    result_variables,
)
from af3opt.environment.startup import plan_startup  # noqa: E402
from af3opt.settings.settings import resolve_settings  # noqa: E402


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


def test_what_changes_results_is_told_from_where_and_how_fast_they_are_computed():
    neutral = {
        **dict.fromkeys(NEUTRAL_VARIABLES, "x"),
        **{"JAX_PLATFORMS": "cuda,cpu", "PJRT_NPROC": "4", "TF_FORCE_UNIFIED_MEMORY": "true"},
        **{"JAX_COMPILATION_CACHE_DIR": "/x", "HOME": "/y"},
    }
    changing = {
        "AF3_ODD": "1",
        "JAX_DEFAULT_MATMUL_PRECISION": "bfloat16",
        "JAX_ENABLE_X64": "1",
        "JAX_RANDOM_SEED_OFFSET": "7",
    }
    assert result_variables({**neutral, **changing}) == changing
    assert all(map(may_change_results, changing))
    assert not any(map(may_change_results, neutral))


def test_flags_that_af3opt_gives_on_this_machine_do_not_count_and_others_do():
    flags = "--xla_ours=1 --xla_theirs=2 --xla_also_theirs"
    found = result_variables({"XLA_FLAGS": flags}, ["--xla_ours=1"])
    assert found == {"XLA_FLAGS": "--xla_also_theirs --xla_theirs=2"}
    assert result_variables({"XLA_FLAGS": "--xla_ours=1"}, ["--xla_ours=1"]) == {}


def test_a_startup_has_what_was_exported_and_its_record_names_it(monkeypatch):
    settings = resolve_settings(["--jax_backend=cpu"], {})
    monkeypatch.setenv("JAX_RANDOM_SEED_OFFSET", "7")
    startup = plan_startup(settings)
    assert startup.deciding["JAX_RANDOM_SEED_OFFSET"] == "7"
    (one,) = [one for one in startup.variables if one.name == "JAX_RANDOM_SEED_OFFSET"]
    assert (one.value, one.origin) == ("7", BY_USER)
    # A process that this one starts has all of it in its environment, and is the same run.
    for variable in startup.variables:
        monkeypatch.setenv(variable.name, variable.value)
    assert plan_startup(settings).deciding == startup.deciding
