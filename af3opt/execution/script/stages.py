"""What a script's calls into the engine's library do here: caches, marks, and a note of each.

The script calls the engine's functions; these are replaced by af3opt's stages, which give the
same. Each takes the engine's own arguments and steps aside for a call that it does not know.
"""

import dataclasses
import functools
import inspect
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from af3opt.data.synthetic_weights import read_manifest
from af3opt.engine.outputs import mark_processed
from af3opt.engine.patching import Make, Patch, PatchSet, Target
from af3opt.engine.protocols import Argument, EngineFunction, FoldInput, InferenceResult
from af3opt.execution.job.weights_digest import weights_digest
from af3opt.features.cache import FeatureCache
from af3opt.features.engine_features import Batch
from af3opt.features.featurise import featurise
from af3opt.features.msa_cache import SEARCHES, MsaCache
from af3opt.features.options import FeatureOptions
from af3opt.inference.weights_format import find_weight_files
from af3opt.output.run_record import WeightsRecord

_OPTIONS = frozenset(field.name for field in dataclasses.fields(FeatureOptions))
# Arguments of the engine's `featurise_input` that decide nothing in the features.
_OTHERS = frozenset({"fold_input", "ccd", "verbose"})


class Listener(Protocol):
    """Is told what the script does."""

    def featurised(self, fold_input: FoldInput, batches: Sequence[Batch], seconds: float) -> None:
        """An input has been featurised."""

    def written(self, result: InferenceResult, directory: Path, name: str | None) -> None:
        """A sample, or the best one of a job, has been written."""


@dataclasses.dataclass(kw_only=True)
class ScriptStages:
    """What the stages of a script work with.

    Attributes:
        features: Where features are kept, or None.
        msa: Where results of searches are kept, or None.
        model_dir: Directory of the weights, as far as it is known.
        listener: Is told what the script does, or None.
    """

    features: FeatureCache | None
    msa: MsaCache | None
    model_dir: Path
    listener: Listener | None = None
    featurising: bool = dataclasses.field(default=False, init=False)

    @functools.cached_property
    def synthetic(self) -> bool:
        """Whether results come from synthetic weights and must say so."""
        return read_manifest(self.model_dir) is not None

    @functools.cached_property
    def weights_digest(self) -> str:
        """Digest of the weights, which records name; asked for when the model begins.

        Raises:
            SetupError: there are none.
        """
        return weights_digest(self.model_dir, find_weight_files)

    def weights_record(self) -> WeightsRecord:
        """What is recorded of the weights."""
        return WeightsRecord(
            directory=str(self.model_dir), digest=self.weights_digest, synthetic=self.synthetic
        )

    def in_force(self) -> PatchSet["ScriptStages"]:
        """Puts the stages under the engine's library inside a block."""
        return PatchSet(PATCHES, self)


def _featurise_input(original: EngineFunction, stages: ScriptStages) -> EngineFunction:
    signature = inspect.signature(original)

    @functools.wraps(original)  # Others ask for its signature.
    def featurise_input(*positional: Argument, **named: Argument) -> Sequence[Batch]:
        call = signature.bind(*positional, **named)
        # The stage itself asks the engine, seed by seed.
        if stages.featurising or not _is_known(call, signature):
            batches: Sequence[Batch] = original(*positional, **named)
            return batches
        values = call.arguments
        fold_input = values["fold_input"]
        options = {name: value for name, value in values.items() if name in _OPTIONS}
        if options.get("buckets") is not None:
            options["buckets"] = tuple(options["buckets"])
        stages.featurising, start = True, time.monotonic()
        try:
            batches = [
                batch
                for _, batch in featurise(
                    fold_input,
                    fold_input.rng_seeds,
                    values["ccd"],
                    FeatureOptions(**options),
                    cache=stages.features,
                )
            ]
        finally:
            stages.featurising = False
        if stages.listener is not None:
            stages.listener.featurised(fold_input, batches, time.monotonic() - start)
        return batches

    return featurise_input


def _is_known(call: inspect.BoundArguments, signature: inspect.Signature) -> bool:
    """Whether the stage knows every argument, or it has the engine's own value."""
    return {"fold_input", "ccd"} <= call.arguments.keys() and all(
        name in _OPTIONS | _OTHERS or value == signature.parameters[name].default
        for name, value in call.arguments.items()
    )


def _pipeline(original: EngineFunction, stages: ScriptStages) -> EngineFunction:
    @functools.wraps(original)
    def initialise(self: Argument, data_pipeline_config: Argument) -> None:
        original(self, data_pipeline_config)
        if stages.msa is not None:
            stages.msa.config = data_pipeline_config

    return initialise


def _search(original: EngineFunction, stages: ScriptStages) -> EngineFunction:
    @functools.wraps(original)
    def process_chain(self: Argument, chain: Argument) -> Argument:
        if stages.msa is None:
            return original(self, chain)
        return stages.msa.searched(functools.partial(original, self), chain)

    return process_chain


def _post_process(original: EngineFunction, stages: ScriptStages) -> EngineFunction:
    @functools.wraps(original)
    def post_process_inference_result(*positional: Argument, **named: Argument) -> Argument:
        processed = original(*positional, **named)
        return mark_processed(processed) if stages.synthetic else processed

    return post_process_inference_result


def _write_output(original: EngineFunction, stages: ScriptStages) -> EngineFunction:
    signature = inspect.signature(original)

    @functools.wraps(original)
    def write_output(*positional: Argument, **named: Argument) -> None:
        original(*positional, **named)
        values = signature.bind(*positional, **named).arguments
        if stages.listener is not None:
            directory = Path(values["output_dir"])
            stages.listener.written(values["inference_result"], directory, values.get("name"))

    return write_output


def _patch(
    name: str, module: str, replaced: Mapping[str, Make[ScriptStages]]
) -> Patch[ScriptStages]:
    """Each passes the call on with its own arguments, so any source of a function will do."""
    targets = ((Target(module, qualname, None), make) for qualname, make in replaced.items())
    return Patch(name=name, replacements=tuple(targets))


PATCHES = (
    _patch("script_features", "data.featurisation", {"featurise_input": _featurise_input}),
    _patch(
        "script_searches",
        "data.pipeline",
        {"DataPipeline.__init__": _pipeline}
        | {f"DataPipeline.{name}": _search for name in SEARCHES},
    ),
    _patch(
        "script_marks",
        "model.post_processing",
        {"post_process_inference_result": _post_process},
    ),
    _patch("script_record", "model.post_processing", {"write_output": _write_output}),
)
