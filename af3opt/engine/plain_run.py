"""The engine run as its own script runs it, without any of af3opt's stages.

Everything goes in the order of `run_alphafold.py`, with its defaults and its log lines: all
seeds are featurised, then all are run, then everything is written.
"""

import csv
import dataclasses
import datetime
import functools
import inspect
import json
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from af3opt.engine.modules import engine_module
from af3opt.engine.patching import Patch, PatchSet, Target
from af3opt.engine.protocols import Device, FoldInput, InferenceResult, ModelConfig

_MANIFEST = "af3opt_synthetic.json"
_DEFAULT_DATE = datetime.date(2021, 9, 30)
_COMPILE_EVENTS = ("jaxpr_trace", "jaxpr_to_mlir_module", "backend_compile")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PlainOptions:
    """What upstream's script is told by the flags of the same names.

    Attributes:
        output_dir: Where each job gets a directory.
        model_dir: Model parameters.
        json_path: Input file; None for `input_dir`.
        input_dir: Directory of input files.
        buckets: Numbers of tokens to pad to.
        jax_backend: "cpu" or "gpu".
        flash_attention_implementation: "triton", "cudnn" or "xla".
        num_recycles: Trunk passes after the first.
        num_diffusion_samples: Samples drawn per seed.
        num_diffusion_steps: Steps of the sampler; None for the engine's.
        num_seeds: Seeds to make of an input's only one; None for those it has.
        save_embeddings: Write the trunk's embeddings.
        save_distogram: Write the distogram.
        norun_data_pipeline: The input has MSAs and templates.
    """

    output_dir: Path
    model_dir: Path
    json_path: Path | None = None
    input_dir: Path | None = None
    buckets: Sequence[int]
    jax_backend: str = "cpu"
    flash_attention_implementation: str = "xla"
    num_recycles: int = 10
    num_diffusion_samples: int = 5
    num_diffusion_steps: int | None = None
    num_seeds: int | None = None
    save_embeddings: bool = False
    save_distogram: bool = False
    norun_data_pipeline: bool = False


# A seed, its samples, and the model's result.
type _Predicted = tuple[int, list[InferenceResult], Mapping[str, Any]]


def write_component_index(components: Mapping[str, Any], path: Path) -> None:
    """Makes what some engines' build step writes beside the component dictionary.

    Args:
        components: The dictionary.
        path: Its file.
    """
    write_index = getattr(engine_module("constants.chemical_components"), "write_ccd_index", None)
    if write_index is not None:
        write_index(components, path)


def components_from(path: Path) -> PatchSet[Path]:
    """Lets the engine load its component dictionary from another file than its package's.

    Args:
        path: The dictionary in the engine's own form.

    Returns:
        It is so inside the block of this; entering it raises SetupError if the engine does not
        name its file as known.
    """
    kind = path.suffix.removeprefix(".").upper()
    name = Target("constants.chemical_components", f"_CCD_{kind}_FILE", None)
    own_file = Patch[Path](name="component_file", replacements=((name, lambda _, own: own),))
    return PatchSet([own_file], path, required=True)


def model_config(args: PlainOptions) -> ModelConfig:
    """Returns the engine's model configuration as upstream's script makes it."""
    try:
        factory = engine_module("model.config_factory")
    except ImportError:
        config = engine_module("model.model").Model.Config()
    else:
        config = factory.make_model_config(
            flash_attention_implementation=args.flash_attention_implementation
        )
    config.global_config.flash_attention_implementation = args.flash_attention_implementation
    config.heads.diffusion.eval.num_samples = args.num_diffusion_samples
    config.num_recycles = args.num_recycles
    config.return_embeddings = args.save_embeddings
    config.return_distogram = args.save_distogram
    if (args.model_dir / _MANIFEST).is_file():  # Weights of reduced depth.
        manifest = json.loads((args.model_dir / _MANIFEST).read_text())
        for path, value in manifest["config_overrides"].items():
            *parents, name = path.split(".")
            setattr(functools.reduce(getattr, parents, config), name, value)
    if args.num_diffusion_steps is not None:
        config.heads.diffusion.eval.steps = args.num_diffusion_steps
    return config


def run(args: PlainOptions) -> None:
    """Folds all inputs, as upstream does: one job after the other."""
    import haiku as hk
    import jax

    compilation = Compilation()
    inputs = engine_module("common.folding_input")
    fold_inputs = (
        inputs.load_fold_inputs_from_dir(args.input_dir)
        if args.input_dir is not None
        else inputs.load_fold_inputs_from_path(args.json_path)
    )
    config = model_config(args)
    _say("Checking that model parameters can be loaded...")
    weights = engine_module("model.params").get_model_haiku_params(model_dir=args.model_dir)

    def forward(batch: Any) -> Any:
        return engine_module("model.model").Model(config)(batch)

    device = jax.local_devices(backend=args.jax_backend)[0]
    apply = compilation.counted(functools.partial(jax.jit(hk.transform(forward).apply), weights))
    for fold_input in fold_inputs:
        if args.num_seeds is not None:
            fold_input = fold_input.with_multiple_seeds(args.num_seeds)
        _fold(args, fold_input, apply, weights["__meta__"]["__identifier__"].tobytes(), device)
    _say(f"Compiling the model took {covered_seconds(compilation.spans):.2f} seconds.")


class Compilation:
    """When JAX traces, lowers and compiles the model, and not what else is compiled meanwhile.

    Reading the weights and the features compiles small programs, too, outside the model.

    Attributes:
        spans: Starts and ends in seconds.
    """

    def __init__(self) -> None:
        """Listens to JAX from now on."""
        import jax

        self.spans: list[tuple[float, float]] = []
        self._counts = False
        jax.monitoring.register_event_time_span_listener(self._listen)

    def counted(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Returns the function, compilation during whose calls is counted."""

        def call(*arguments: Any) -> Any:
            self._counts = True
            try:
                return function(*arguments)
            finally:
                self._counts = False

        return call

    def _listen(self, event: str, start: float, end: float, **_: Any) -> None:
        if self._counts and any(name in event for name in _COMPILE_EVENTS):
            self.spans.append((start, end))


def covered_seconds(spans: Iterable[tuple[float, float]]) -> float:
    """Returns the length of the union of spans: tracing one function traces others in it."""
    total, last = 0.0, float("-inf")
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, last))
        last = max(last, end)
    return total


def _fold(
    args: PlainOptions,
    fold_input: FoldInput,
    apply: Callable[..., Any],
    identifier: bytes,
    device: Device,
) -> None:
    name = fold_input.sanitised_name()
    _say(f"Running fold job {fold_input.name}...")
    output_dir = args.output_dir / name
    output_dir.mkdir(parents=True)
    if args.norun_data_pipeline:
        _say("Skipping data pipeline...")
    else:
        _say("Running data pipeline...")
        # The constructor only stores database paths; inputs that need a search do not get here.
        pipeline = engine_module("data.pipeline").DataPipeline
        fold_input = pipeline.__new__(pipeline).process(fold_input)
    _say(f"Writing model input JSON to {output_dir}")
    (output_dir / f"{name}_data.json").write_text(fold_input.to_json())
    results = _predict(args, fold_input, apply, identifier, device)
    start = time.monotonic()
    _say(f"Writing outputs with {len(results)} seed(s)...")
    _write(args, output_dir, name, results)
    _say(f"Writing outputs with {len(results)} seed(s) took {_since(start)} seconds.")


def _predict(
    args: PlainOptions,
    fold_input: FoldInput,
    apply: Callable[..., Any],
    identifier: bytes,
    device: Device,
) -> list[_Predicted]:
    import jax
    import jax.numpy as jnp
    import numpy as np

    strip = engine_module("model.components.utils").remove_invalidly_typed_feats
    examples = engine_module("data.featurisation").featurise_input(
        fold_input=fold_input,
        buckets=args.buckets,
        ccd=engine_module("constants.chemical_components").Ccd(user_ccd=fold_input.user_ccd),
        verbose=True,
        ref_max_modified_date=_DEFAULT_DATE,
    )
    results: list[_Predicted] = []
    for seed, example in zip(fold_input.rng_seeds, examples, strict=True):
        _say(f"Running model inference with seed {seed}...")
        start = time.monotonic()
        batch = jax.device_put(jax.tree.map(jnp.asarray, strip(example)), device)
        result = jax.tree.map(np.asarray, apply(jax.random.PRNGKey(seed), batch))
        result = jax.tree.map(
            lambda x: x.astype(jnp.float32) if x.dtype == jnp.bfloat16 else x, result
        )
        result = dict(result) | {"__identifier__": identifier}
        _say(f"Running model inference with seed {seed} took {_since(start)} seconds.")
        start = time.monotonic()
        samples = list(
            engine_module("model.model").Model.get_inference_result(
                batch=example, result=result, target_name=fold_input.name
            )
        )
        _say(
            f"Extracting {len(samples)} inference samples with seed {seed} took "
            f"{_since(start)} seconds."
        )
        results.append((seed, samples, result))
    return results


def _write(args: PlainOptions, output_dir: Path, name: str, results: Sequence[_Predicted]) -> None:
    writer = engine_module("model.post_processing")
    best, rows = None, []
    for seed, samples, result in results:
        for index, sample in enumerate(samples):
            directory = output_dir / f"seed-{seed}_sample-{index}"
            directory.mkdir()
            writer.write_output(sample, directory, name=f"{name}_seed-{seed}_sample-{index}")
            score = float(sample.metadata["ranking_score"])
            rows.append((seed, index, score))
            if best is None or score > best[0]:
                best = (score, sample)
        tokens = len(samples[0].metadata["token_chain_ids"])
        if args.save_embeddings:
            _write_embeddings(output_dir, f"{name}_seed-{seed}", seed, result, tokens)
        if args.save_distogram:
            _write_distogram(output_dir, f"{name}_seed-{seed}", seed, result, tokens)
    assert best is not None
    writer.write_output(best[1], output_dir, name=name, terms_of_use="terms")
    with (output_dir / f"{name}_ranking_scores.csv").open("w") as stream:
        table = csv.writer(stream)
        table.writerow(["seed", "sample", "ranking_score"])
        table.writerows(rows)


def _write_embeddings(
    output_dir: Path, name: str, seed: int, result: Mapping[str, Any], tokens: int
) -> None:
    import numpy as np

    directory = output_dir / f"seed-{seed}_embeddings"
    directory.mkdir()
    embeddings = {
        "single_embeddings": result["single_embeddings"][:tokens].astype(np.float16),
        "pair_embeddings": result["pair_embeddings"][:tokens, :tokens].astype(np.float16),
    }
    write = engine_module("model.post_processing").write_embeddings
    accepts_name = "name" in inspect.signature(write).parameters
    write(embeddings, directory, **({"name": name} if accepts_name else {}))


def _write_distogram(
    output_dir: Path, name: str, seed: int, result: Mapping[str, Any], tokens: int
) -> None:
    import numpy as np

    directory = output_dir / f"seed-{seed}_distogram"
    directory.mkdir()
    distogram = result["distogram"]["distogram"][:tokens, :tokens].astype(np.float16)
    np.savez_compressed(directory / f"{name}_distogram.npz", distogram=distogram)


def _since(start: float) -> str:
    return f"{time.monotonic() - start:.2f}"


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
