"""The site's own `run_alphafold.py`, unmodified, inside our environment.

The script runs in this process as `__main__`, after the environment has been set and
the engine's data, the caches and the optimisations are in place: they change the
libraries, which the script imports, not the script.
"""

import contextlib
import functools
import logging
import os
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path

from af3opt.base.errors import ExitCode, SetupError
from af3opt.data.bootstrap import bootstrap_engine
from af3opt.engine.discovery import EngineInfo
from af3opt.engine.outputs import SYNTHETIC_NOTE
from af3opt.environment.startup import Startup
from af3opt.execution.interrupt import InterruptGuard
from af3opt.execution.script.arguments import check_terms, script_arguments, script_flags
from af3opt.execution.script.model import ScriptModel
from af3opt.execution.script.record import ScriptRecords, script_facts
from af3opt.execution.script.stages import ScriptStages
from af3opt.execution.searching import searching
from af3opt.features.cache import FeatureCache
from af3opt.features.msa_cache import MsaCache
from af3opt.inference.compile_cache import (
    CompileCache,
    check_requested,
    configure_compile_cache,
)
from af3opt.inference.device import choose_device
from af3opt.optimizations import ActiveOptimization, activate
from af3opt.optimizations.choice import choose_context
from af3opt.settings.settings import Settings

_log = logging.getLogger(__name__)


def run_script(settings: Settings, startup: Startup, guard: InterruptGuard) -> ExitCode:
    """Runs the site's script with the flags of the settings.

    Args:
        settings: Checked settings; the environment has been applied.
        startup: The machine, and the backend and attention kernels that fit it.
        guard: Cleans up when the process is interrupted.

    Returns:
        The script's exit code.

    Raises:
        SetupError: the script cannot be read or is not an AlphaFold 3 script, a file of the
            engine that it needs is missing, or the device cannot be used.
        UsageError: a flag was given that the script does not have.
    """
    script = settings.run_alphafold_script
    assert script is not None
    known = script_flags(script)
    arguments = script_arguments(settings, startup.backend, known, script)
    check_terms(settings, script)
    engine = bootstrap_engine(defer_kernels=startup.backend.name == "cpu")
    _log.info("Engine: %s in %s", engine.label, engine.root)
    _log.info("Running %s %s", script, " ".join(arguments))
    sys.argv = [str(script), *arguments]
    # The script's directory is where Python would look first had it been started directly.
    sys.path.insert(0, str(script.parent.resolve()))
    try:
        with _stages(settings, startup, engine, guard):
            runpy.run_path(str(script), run_name="__main__")
    except SystemExit as stop:
        if isinstance(stop.code, str):
            raise SetupError(f"{script}: {stop.code}") from stop
        return ExitCode.OK if not stop.code else ExitCode.FAILURE
    return ExitCode.OK


@contextlib.contextmanager
def _stages(
    settings: Settings, startup: Startup, engine: EngineInfo, guard: InterruptGuard
) -> Iterator[None]:
    """Puts af3opt's stages under the script inside the block."""
    context = choose_context(settings, startup.host, startup.backend)
    optimizations = activate(settings, context)
    considered: list[ActiveOptimization] = [*optimizations]
    stages = ScriptStages(
        features=FeatureCache.from_settings(settings),
        msa=MsaCache.from_settings(settings),
        model_dir=Path(settings.model_dir).expanduser(),
    )
    facts = functools.partial(
        script_facts, settings, startup, engine, considered,
        stages.weights_record,
    )  # fmt: skip
    records = ScriptRecords(facts, str(settings.json_path or settings.input_dir))
    if settings.run_record and settings.run_inference:
        stages.listener = records
    with contextlib.ExitStack() as stack:
        searches = stack.enter_context(searching(settings, guard))
        if searches.considered is not None:
            considered.append(searches.considered)
        for name, obstacle in stack.enter_context(stages.in_force()).obstacles.items():
            if obstacle is not None:
                _log.warning("%s steps aside: %s", name, obstacle)
        if settings.run_inference:
            model = ScriptModel(
                engine=engine,
                cache=script_compile_cache(settings, startup.backend.name),
                optimizations=tuple(one.name for one in optimizations if one.active),
                copy_weights=settings.weights_copy,
                stages=stages,
                inferred=records.inferred,
            )
            stack.enter_context(model.in_place())
            if stages.synthetic:
                _log.warning("%s", SYNTHETIC_NOTE)
        yield


def script_compile_cache(settings: Settings, backend: str) -> CompileCache | None:
    """Uses af3opt's own, unless the user has named a directory, which JAX uses in its own way.

    Raises:
        UsageError: others can write to the user's directory.
    """
    named = settings.jax_compilation_cache_dir or os.environ.get("JAX_COMPILATION_CACHE_DIR")
    if named:
        check_requested(named)
        return None
    return configure_compile_cache(None, choose_device(backend, settings.gpu_device))
