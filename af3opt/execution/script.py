"""The site's own `run_alphafold.py`, unmodified, inside our environment.

The script runs in this process as `__main__`, after the environment has been set and
the engine's data, the compile cache and the optimisations are in place: they change the
libraries, which the script imports, not the script.
"""

import ast
import logging
import os
import runpy
import sys
from pathlib import Path

from af3opt.base.errors import ExitCode, SetupError, UsageError
from af3opt.data.bootstrap import bootstrap_engine
from af3opt.environment.backend import Backend
from af3opt.environment.startup import Startup
from af3opt.execution.command_line import as_flag
from af3opt.execution.searching import faster_searches
from af3opt.inference.compile_cache import check_requested, configure_compile_cache
from af3opt.inference.device import choose_device
from af3opt.optimizations import activate
from af3opt.optimizations.choice import choose_context
from af3opt.settings.catalogue import all_options
from af3opt.settings.settings import Settings

_log = logging.getLogger(__name__)


def run_script(settings: Settings, startup: Startup) -> ExitCode:
    """Runs the site's script with the flags of the settings.

    Args:
        settings: Checked settings; the environment has been applied.
        startup: The machine, and the backend and attention kernels that fit it.

    Returns:
        The script's exit code.

    Raises:
        SetupError: the script cannot be read or is not an AlphaFold 3 script, or the
            device cannot be used.
        UsageError: a flag was given that the script does not have.
    """
    script = settings.run_alphafold_script
    assert script is not None
    known = script_flags(script)
    arguments = script_arguments(settings, startup.backend, known, script)
    engine = bootstrap_engine(defer_kernels=startup.backend.name == "cpu")
    _log.info("Engine: %s in %s", engine.label, engine.root)
    activate(settings, choose_context(settings, startup.host, startup.backend))
    if settings.run_inference:
        _set_up_compile_cache(settings, startup.backend.name)
    _log.info("Running %s %s", script, " ".join(arguments))
    sys.argv = [str(script), *arguments]
    # The script's directory is where Python would look first had it been started directly.
    sys.path.insert(0, str(script.parent.resolve()))
    try:
        with faster_searches(settings):
            runpy.run_path(str(script), run_name="__main__")
    except SystemExit as stop:
        if isinstance(stop.code, str):
            raise SetupError(f"{script}: {stop.code}") from stop
        return ExitCode.OK if not stop.code else ExitCode.FAILURE
    return ExitCode.OK


def _set_up_compile_cache(settings: Settings, backend: str) -> None:
    """Uses af3opt's own, unless the user has named a directory, which JAX uses in its own way.

    Raises:
        UsageError: others can write to the user's directory.
    """
    named = settings.jax_compilation_cache_dir or os.environ.get("JAX_COMPILATION_CACHE_DIR")
    if named:
        check_requested(named)
    else:
        configure_compile_cache(None, choose_device(backend, settings.gpu_device))


def script_flags(script: Path) -> frozenset[str]:
    """Finds the flags that a script defines, without running it.

    Args:
        script: Path of a `run_alphafold.py`.

    Raises:
        SetupError: it cannot be read or parsed, or defines no `output_dir`.
    """
    try:
        tree = ast.parse(script.read_text(encoding="utf-8"))
    except OSError as error:
        raise SetupError(f"--run_alphafold_script={script}: {error.strerror}") from error
    except (SyntaxError, ValueError) as error:
        raise SetupError(f"--run_alphafold_script={script}: is not Python: {error}") from error
    names = frozenset(
        str(node.args[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr.startswith("DEFINE_")
        and node.args
        and isinstance(node.args[0], ast.Constant)
    )
    if "output_dir" not in names:
        raise SetupError(
            f"--run_alphafold_script={script}: defines no flag --output_dir, so it is not "
            "AlphaFold 3's run_alphafold.py; give the path of that script"
        )
    return names


def script_arguments(
    settings: Settings, backend: Backend, known: frozenset[str], script: Path
) -> list[str]:
    """Builds the script's command line: what the user set, and what fits this host.

    Flags left at their defaults are not passed, so the script's own defaults hold.

    Raises:
        UsageError: the user set an upstream flag that this script does not have.
    """
    arguments: list[str] = []
    for name, option in all_options().items():
        source = settings.sources.get(name, "default")
        if not option.spec.upstream or source == "default":
            continue
        if name not in known:
            raise UsageError(f"--{name} (from {source}): {script} has no such flag; remove it")
        value = getattr(settings, name)
        arguments += as_flag(option, value) if value is not None else []
    chosen = {
        "jax_backend": backend.name,
        "flash_attention_implementation": backend.flash_attention,
    }
    for name, value in chosen.items():
        if settings.sources.get(name, "default") == "default" and name in known:
            arguments.append(f"--{name}={value}")
    return [*arguments, *settings.absl_flags]
