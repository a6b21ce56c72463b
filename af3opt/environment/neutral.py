"""Options and variables that change neither programs nor results, each named with the reason.

Everything else is part of a program's key. A name that is not known here counts: a
program made once too often costs a minute, one used wrongly costs a result. JAX's own key
covers less (what it puts into `trace_context`), since it is taken after tracing.
"""

from collections.abc import Collection, Mapping

_CACHE = "where and when JAX keeps what it has compiled"
_LOG = "what is logged"
_DUMP = "what is written for people to read"
_TRACEBACK = "how errors and source locations are shown"
_WAIT = "how long processes wait for each other"
_PLACE = "where files lie, which count by their content"
_MEMORY = "how much memory the client takes, and when"

# Of jax 0.10.2 and 0.12.
NEUTRAL_OPTIONS: Mapping[str, str] = {
    "jax_compilation_cache_check_contents": _CACHE,
    "jax_compilation_cache_dir": _CACHE,
    "jax_compilation_cache_include_metadata_in_key": _CACHE,
    "jax_compilation_cache_max_size": _CACHE,
    "jax_enable_compilation_cache": _CACHE,
    "jax_persistent_cache_enable_xla_caches": _CACHE,
    "jax_persistent_cache_min_compile_time_secs": _CACHE,
    "jax_persistent_cache_min_entry_size_bytes": _CACHE,
    "jax_raise_persistent_cache_errors": _CACHE,
    "jax_remove_custom_partitioning_ptr_from_cache_key": _CACHE,
    "jax_explain_cache_misses": _LOG,
    "jax_compiler_detailed_logging_min_ops": _LOG,
    "jax_debug_leaked_clients_on_clear_backends": _LOG,
    "jax_debug_log_modules": _LOG,
    "jax_distributed_debug": _LOG,
    "jax_log_checkpoint_residuals": _LOG,
    "jax_log_compiles": _LOG,
    "jax_logging_level": _LOG,
    "jax_dump_ir_modes": _DUMP,
    "jax_dump_ir_to": _DUMP,
    "jax_include_debug_info_in_dumps": _DUMP,
    "jax_include_full_tracebacks_in_locations": _TRACEBACK,
    "jax_send_traceback_to_runtime": _TRACEBACK,
    "jax_traceback_filtering": _TRACEBACK,
    "jax_traceback_in_locations_limit": _TRACEBACK,
    "jax_tracer_error_num_traceback_frames": _TRACEBACK,
    "jax_cpu_get_global_topology_timeout_minutes": _WAIT,
    "jax_cpu_get_local_topology_timeout_minutes": _WAIT,
}

NEUTRAL_VARIABLES: Mapping[str, str] = {
    "AF3_CACHE_MAX_GB": _CACHE,
    "AF3_DATABASES_DIR": _PLACE,
    "AF3_ESM_CACHE": _CACHE,
    "AF3_ESM_DEVICE_CACHE": _MEMORY,
    "AF3_MODEL_PARAMETERS_DIR": _PLACE,
    "AF3_SCRATCH": _PLACE,
    "AF3_SHARE": "which share of a batch a task has",
    "AF3_WEIGHTS_DIR": _PLACE,
    "TF_CPP_MAX_LOG_LEVEL": _LOG,
    "TF_CPP_MAX_VLOG_LEVEL": _LOG,
    "TF_CPP_MIN_LOG_LEVEL": _LOG,
    "TF_CPP_MIN_VLOG_LEVEL": _LOG,
    "TF_CPP_VMODULE": _LOG,
    "XLA_CLIENT_MEM_FRACTION": _MEMORY,
    "XLA_PYTHON_CLIENT_ALLOCATOR": _MEMORY,
    "XLA_PYTHON_CLIENT_MEM_FRACTION": _MEMORY,
    "XLA_PYTHON_CLIENT_PREALLOCATE": _MEMORY,
}

# They may change a program, but not which results a run is to have.
_SAME_RESULTS: Mapping[str, str] = {
    "JAX_PLATFORMS": "the backend, which a run is known by anyway",
    "PJRT_NPROC": "how many threads share the work, which differs between nodes",
    "TF_FORCE_UNIFIED_MEMORY": _MEMORY,
}
_XLA_FLAGS = "XLA_FLAGS"

# What the engine, tokamax, XLA and JAX read begins so.
_PREFIXES = ("AF3_", "TOKAMAX_", "XLA_", "JAX_", "LIBTPU_", "TF_", "NVIDIA_TF32", "PJRT_")


def deciding_options(values: Mapping[str, object]) -> dict[str, str]:
    """Returns the JAX options that may change a program, as text.

    Args:
        values: `jax.config.values`.
    """
    return {name: str(values[name]) for name in sorted(values) if name not in NEUTRAL_OPTIONS}


def deciding_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Returns the environment variables that may change a program.

    Args:
        environ: Usually `os.environ`. JAX's own variables set the options of their names.
    """
    return {
        name: environ[name]
        for name in sorted(environ)
        if name.startswith(_PREFIXES)
        and name not in NEUTRAL_VARIABLES
        and name.lower() not in NEUTRAL_OPTIONS
    }


def result_variables(environ: Mapping[str, str], own_flags: Collection[str] = ()) -> dict[str, str]:
    """Returns the environment variables that may change results.

    Args:
        environ: The environment that JAX starts with.
        own_flags: Flags in XLA_FLAGS that af3opt gives on this machine. They follow from
            processor and options, so they do not count; the user's and the preset's do.
    """
    found = deciding_variables(environ)
    flags = set(found.pop(_XLA_FLAGS, "").split()).difference(own_flags)
    if flags:
        found[_XLA_FLAGS] = " ".join(sorted(flags))
    return {name: found[name] for name in sorted(found) if name not in _SAME_RESULTS}


def may_change_results(name: str) -> bool:
    """Tells whether a name is that of a variable that `result_variables` would return."""
    return bool(deciding_variables({name: ""})) and name not in _SAME_RESULTS


def engine_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Returns the engine's own variables, which may change features and searches too.

    Args:
        environ: Usually `os.environ`.
    """
    found = deciding_variables(environ)
    return {name: value for name, value in found.items() if name.startswith("AF3_")}
