"""The script's `ModelRunner`, run by af3opt's: stored executables, the local copy of weights.

The class stands in the script, so it is there only once the script runs. Upstream's scripts end
in absl's `app.run(main)`; by then everything is defined, and `main` leads to it. A class whose
methods are upstream's is given others; any other is left to itself, with JAX's compile cache.
"""

import contextlib
import dataclasses
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from af3opt.data.synthetic_weights import read_manifest
from af3opt.engine.discovery import EngineInfo
from af3opt.engine.model import set_config_value
from af3opt.engine.protocols import Array, Features, ModelResult, Parameters
from af3opt.engine.script_class import NAME, class_obstacle
from af3opt.execution.script.stages import ScriptStages
from af3opt.inference.compile_cache import CompileCache
from af3opt.inference.compiled import ModelCompiler
from af3opt.inference.executables import ProgramIdentity
from af3opt.inference.model_runner import ModelRunner
from af3opt.inference.weights import ModelWeights

_log = logging.getLogger(__name__)

# Where the script's runner keeps af3opt's.
_OURS = "_af3opt_runner"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ScriptModel:
    """What a runner for the script's model is made of.

    Attributes:
        engine: The engine.
        cache: The compile cache, or None.
        optimizations: Names of those in force.
        copy_weights: Whether the local copy of the weights may be used.
        stages: Are told of the directory of the weights.
        inferred: Is told what each inference took.
    """

    engine: EngineInfo
    cache: CompileCache | None
    optimizations: tuple[str, ...]
    copy_weights: bool
    stages: ScriptStages
    inferred: Callable[[float], None]

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """Takes the script's model over, inside the block, when it starts its `main`."""
        from absl import app

        original = app.run

        def run(main: Callable[..., Any], *positional: Any, **named: Any) -> Any:
            obstacle = self.take_over(getattr(main, "__globals__", {}))
            if obstacle is not None:
                _log.warning(
                    "The script's model is not run by af3opt's runner, so whole executables are "
                    "not kept and JAX's compile cache is used: %s",
                    obstacle,
                )
            return original(main, *positional, **named)

        app.run = run
        try:
            yield
        finally:
            app.run = original

    def take_over(self, names: Mapping[str, Any]) -> str | None:
        """Gives the script's class other methods; says why not where it is not upstream's.

        Args:
            names: What the script has defined.
        """
        cls = names.get(NAME)
        obstacle = class_obstacle(cls)
        if obstacle is not None:
            return obstacle

        def model_params(runner: Any) -> Parameters:
            return self.runner_of(runner).weights.load().params

        def run_inference(runner: Any, featurised_example: Features, rng_key: Array) -> ModelResult:
            start = time.monotonic()
            result = self.runner_of(runner).run_inference(featurised_example, rng_key)
            self.inferred(time.monotonic() - start)
            return result

        assert cls is not None
        cls.model_params = property(model_params)
        cls.run_inference = run_inference
        return None

    def runner_of(self, runner: Any) -> ModelRunner:
        """Af3opt's runner behind one of the script's, made at the first call.

        Raises:
            SetupError: the weights ask for what the engine cannot do.
        """
        made: ModelRunner | None = getattr(runner, _OURS, None)
        if made is None:
            config, model_dir = runner._model_config, Path(runner._model_dir).expanduser()
            manifest = read_manifest(model_dir)
            for path, value in (manifest.config_overrides if manifest else {}).items():
                set_config_value(config, path, value)
            self.stages.model_dir = model_dir
            identity = ProgramIdentity(
                engine_fingerprint=self.engine.fingerprint, optimizations=self.optimizations
            )
            device = runner._device
            made = ModelRunner(
                ModelCompiler(config=config, device=device, identity=identity, cache=self.cache),
                ModelWeights(
                    model_dir,
                    device,
                    use_copy=self.copy_weights,
                    digest=lambda: self.stages.weights_digest,
                ),
            )
            setattr(runner, _OURS, made)
        return made
