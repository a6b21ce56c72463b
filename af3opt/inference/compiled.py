"""Compiling the forward pass explicitly, so that its costs are known and logged."""

import copy
import dataclasses
import itertools
import logging
import re
import time
from collections.abc import Mapping, Sequence

from af3opt.base.errors import SetupError
from af3opt.base.garbage import no_collection
from af3opt.base.key import CacheKey, json_digest
from af3opt.engine.model import (
    DIFFUSION_SAMPLES,
    ConfigOverride,
    config_value,
    forward_function,
    set_config_value,
)
from af3opt.engine.protocols import (
    Array,
    Device,
    Executable,
    Features,
    ModelConfig,
    Parameters,
    Tree,
)
from af3opt.inference.compile_cache import CompileCache
from af3opt.inference.executables import ExecutableStore, ProgramIdentity, executable_key
from af3opt.inference.live_code import live_code_digest, model_modules
from af3opt.inference.operations import OperationCount, count_operations
from af3opt.inference.splitting import samples_in_chunks
from af3opt.memory import Program
from af3opt.optimizations import fused_pair

_log = logging.getLogger(__name__)

# Where an executable came from, when not from the compile cache.
COMPILED = "compiled"
STORED = "executable store"

# What haiku says when a parameter is absent.
_MISSING_PARAMETER = re.compile(r"Unable to retrieve parameter (.+?) for module")

# What a GPU's multiprocessors have little of, by XLA's word for it.
_SHARED_MEMORY = "shared memory"

# Shape and dtype of each feature, in name order: what one executable is made for.
BatchSignature = tuple[tuple[str, tuple[int, ...], str], ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CompileReport:
    """What making one executable took, and what running it will take.

    Attributes:
        num_tokens: Padded tokens.
        trace_seconds: Python to JAX's own program.
        lower_seconds: To StableHLO.
        compile_seconds: To machine code, or reading it from a cache.
        origin: "compiled", "compile cache" or "executable store".
        work: The matrix products of one run.
        argument_bytes: Weights and batch.
        temporary_bytes: Peak of what XLA allocates in between.
        output_bytes: The result.
        seconds_saved: What making it once took, where it comes from the executable store.
    """

    num_tokens: int
    trace_seconds: float
    lower_seconds: float
    compile_seconds: float
    origin: str
    work: OperationCount
    argument_bytes: int | None
    temporary_bytes: int | None
    output_bytes: int | None
    seconds_saved: float = 0.0

    @property
    def seconds(self) -> float:
        """What making or reading it took in all."""
        return self.trace_seconds + self.lower_seconds + self.compile_seconds

    @property
    def total_bytes(self) -> int | None:
        """Memory a run takes, or None where the backend does not say."""
        parts = (self.argument_bytes, self.temporary_bytes, self.output_bytes)
        known = [part for part in parts if part is not None]
        return sum(known) if len(known) == len(parts) else None

    def summary(self) -> str:
        """One line for the log."""
        memory = f", needs {self.total_bytes / 1e9:.2f} GB" if self.total_bytes else ""
        if self.origin == STORED:
            took = f"loaded in {self.compile_seconds:.1f} s from the executable store"
        else:
            took = (
                f"traced in {self.trace_seconds:.1f} s, lowered in {self.lower_seconds:.1f} s, "
                + (
                    f"read from the compile cache in {self.compile_seconds:.1f} s"
                    if self.origin == "compile cache"
                    else f"compiled in {self.compile_seconds:.1f} s"
                )
            )
        work = f", {self.work.flops / 1e12:.2f} TFLOP a run"
        return f"Model for {self.num_tokens} tokens: {took}{memory}{work}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CompiledModel:
    """An executable and what is known of it; call `executable(params, key, batch)`."""

    executable: Executable
    report: CompileReport


def batch_signature(batch: Features) -> BatchSignature:
    """Returns the shapes and dtypes that decide which executable a batch needs."""
    return tuple((name, tuple(batch[name].shape), str(batch[name].dtype)) for name in sorted(batch))


def abstract_arrays(tree: Tree, device: Device) -> Tree:
    """Replaces arrays by their shapes and dtypes, placed on `device`."""
    import jax

    sharding = jax.sharding.SingleDeviceSharding(device)

    def abstract(leaf: Array) -> Array:
        dtype = jax.dtypes.canonicalize_dtype(leaf.dtype)
        return jax.ShapeDtypeStruct(leaf.shape, dtype, sharding=sharding)

    return jax.tree.map(abstract, tree)


def abstract_arguments(params: Parameters, batch: Features, device: Device) -> Tree:
    """Returns the shapes and dtypes of `(params, key, batch)` on a device."""
    import jax

    key = jax.eval_shape(lambda: jax.random.PRNGKey(0))
    return abstract_arrays((params, key, dict(batch)), device)


class ModelCompiler:
    """Makes executables of one configuration, from the caches where they have them.

    Attributes:
        config: The engine's configuration.
        device: The JAX device to compile for.
    """

    def __init__(
        self,
        *,
        config: ModelConfig,
        device: Device,
        identity: ProgramIdentity,
        cache: CompileCache | None,
    ) -> None:
        """Keeps what every compilation of this process has in common.

        Args:
            config: The engine's configuration.
            device: The JAX device to compile for.
            identity: Whose code is traced.
            cache: The compilation cache, or None.
        """
        self.config = config
        self.device = device
        self._identity = identity
        self._cache = cache
        self._modules = model_modules()
        self._store = ExecutableStore(cache) if cache is not None else None
        self._unsaved: list[tuple[CacheKey, CompiledModel]] = []

    @property
    def optimizations(self) -> tuple[str, ...]:
        """Names of the optimisations whose code is traced."""
        return self._identity.optimizations

    def variant(
        self, overrides: Mapping[str, ConfigOverride], optimizations: tuple[str, ...]
    ) -> "ModelCompiler":
        """A compiler of another configuration, for the same device and with the same caches.

        Args:
            overrides: Values by dotted path into the configuration.
            optimizations: Names of the optimisations that will be active.

        Raises:
            SetupError: the configuration does not allow it.
        """
        config = copy.deepcopy(self.config)
        for path, value in overrides.items():
            set_config_value(config, path, value)
        identity = dataclasses.replace(self._identity, optimizations=optimizations)
        return ModelCompiler(
            config=config, device=self.device, identity=identity, cache=self._cache
        )

    def compile(self, params: Parameters, batch: Features, samples_at_once: int) -> CompiledModel:
        """Makes the executable for the shapes of a batch; `store_new` is to be called after it.

        Args:
            params: Weights, or their abstract shapes.
            batch: Numeric features, or their abstract shapes.
            samples_at_once: Diffusion samples computed together.

        Returns:
            The executable with its report, which is also logged.

        Raises:
            SetupError: the weights lack a parameter that the model needs.
            SplitNotPossibleError: the engine's sampler cannot be split.
        """
        arguments = abstract_arguments(params, batch, self.device)
        key = self._key(params, batch, samples_at_once)
        num_tokens = int(batch["aatype"].shape[-1])
        compiled = self._load(key, num_tokens)
        if compiled is None:
            compiled = self._compile(arguments, num_tokens, samples_at_once)
            # XLA serialises in full only what it has compiled itself: an executable read
            # from the compile cache lacks its functions when it is stored again. And a
            # callback is an address in this process: another one must not call it.
            fresh = compiled.report.origin == COMPILED
            if fresh and not compiled.report.work.callbacks:
                self._unsaved.append((key, compiled))
        _log.info("%s", compiled.report.summary())
        return compiled

    def store_new(self) -> None:
        """Keeps for later processes what has been compiled in this one.

        That takes half a second of the interpreter, which a device at work does not need.
        """
        while self._unsaved:
            key, compiled = self._unsaved.pop()
            report = compiled.report
            information = {"tokens": report.num_tokens, "seconds": round(report.seconds, 3)}
            if self._store is not None:
                self._store.save(key, compiled.executable, report.work, information)

    def program(self, params: Parameters, batch: Features) -> Program:
        """What decides the memory of the program for a batch.

        Args:
            params: Weights, or their abstract shapes.
            batch: Numeric features, or their abstract shapes.
        """
        import jax

        material = dict(self._key(params, batch, samples_at_once=0).material)
        shapes = json_digest(material.pop("arguments"))
        leaves = jax.tree.leaves(params)
        # The depth of the model shows in its parameters, if not in its configuration.
        material["parameters"] = [[*leaf.shape, str(leaf.dtype)] for leaf in leaves]
        attention = config_value(self.config, "global_config.flash_attention_implementation")
        fingerprint = self._identity.engine_fingerprint
        return Program(
            kind=f"{fingerprint}-{self.device.device_kind}-{attention}",
            family=json_digest(material),
            shapes=shapes,
            flash_attention=attention != "xla",
        )

    def _key(self, params: Parameters, batch: Features, samples_at_once: int) -> CacheKey:
        return executable_key(
            identity=self._identity,
            live_code=live_code_digest(self._modules),
            config=self.config.as_dict(),
            samples_at_once=samples_at_once,
            arguments=abstract_arguments(params, batch, self.device),
            device=self.device,
        )

    def compile_again(
        self, params: Parameters, batch: Features, samples_at_once: int, problem: str
    ) -> CompiledModel:
        """Makes an executable anew because the stored one does not run.

        Args:
            params: See `compile`.
            batch: See `compile`.
            samples_at_once: See `compile`.
            problem: What went wrong with the stored one, for the log.
        """
        assert self._store is not None
        self._store.discard(self._key(params, batch, samples_at_once), problem)
        return self.compile(params, batch, samples_at_once)

    def _load(self, key: CacheKey, num_tokens: int) -> CompiledModel | None:
        start = time.perf_counter()
        if self._store is None:
            return None
        self._store.explain_miss(key, num_tokens)
        stored = self._store.load(key, self.device)
        if stored is None:
            return None
        seconds = (0.0, 0.0, time.perf_counter() - start)
        loaded = _described(stored.executable, stored.work, num_tokens, STORED, seconds)
        report = dataclasses.replace(loaded.report, seconds_saved=stored.seconds)
        return dataclasses.replace(loaded, report=report)

    def _compile(self, arguments: Tree, num_tokens: int, samples_at_once: int) -> CompiledModel:
        import jax

        hits = self._cache.hits if self._cache is not None else 0
        times = [time.perf_counter()]
        try:
            num_samples = config_value(self.config, DIFFUSION_SAMPLES)
            with samples_in_chunks(num_samples, samples_at_once), no_collection():
                # A new function each time: JAX would hand out an earlier trace of this one.
                traced = jax.jit(forward_function(self.config)).trace(*arguments)
        except ValueError as error:
            missing = _MISSING_PARAMETER.search(str(error))
            if missing is None:
                raise
            raise SetupError(
                f"the model parameters lack {missing.group(1)!r}, which the engine's model needs: "
                "they are cut off or belong to another model; fetch them again"
            ) from error
        times.append(time.perf_counter())
        with no_collection():
            lowered = traced.lower()
        times.append(time.perf_counter())
        try:
            executable = lowered.compile()
        except RuntimeError as error:
            problem = kernel_problem(error, self._identity.optimizations)
            if problem is None:
                raise
            raise SetupError(problem) from error
        times.append(time.perf_counter())
        hit = self._cache is not None and self._cache.hits > hits
        seconds = tuple(later - earlier for earlier, later in itertools.pairwise(times))
        origin = "compile cache" if hit else COMPILED
        work = count_operations(traced.jaxpr)
        return _described(executable, work, num_tokens, origin, seconds)


def kernel_problem(error: RuntimeError, optimizations: Sequence[str]) -> str | None:
    """Says what to do where a fused kernel does not fit a GPU; None for other errors.

    Args:
        error: What compiling raised. It looks like a lack of the device's memory, which
            fewer samples at a time could help.
        optimizations: Names of those in force.
    """
    if _SHARED_MEMORY not in str(error).lower():
        return None
    first_line = str(error).splitlines()[0]
    if fused_pair.OPTIMIZATION.name in optimizations:
        remedy = f"--disable_optimizations={fused_pair.OPTIMIZATION.name}"
    else:
        remedy = "--flash_attention_implementation=xla"
    return f"a fused kernel is too large for this GPU ({first_line}); run again with {remedy}"


def _described(
    executable: Executable,
    work: OperationCount,
    num_tokens: int,
    origin: str,
    seconds: tuple[float, ...],
) -> CompiledModel:
    memory = executable.memory_analysis()
    report = CompileReport(
        num_tokens=num_tokens,
        trace_seconds=seconds[0],
        lower_seconds=seconds[1],
        compile_seconds=seconds[2],
        origin=origin,
        work=work,
        argument_bytes=memory.argument_size_in_bytes if memory else None,
        temporary_bytes=memory.temp_size_in_bytes if memory else None,
        output_bytes=memory.output_size_in_bytes if memory else None,
    )
    return CompiledModel(executable=executable, report=report)
