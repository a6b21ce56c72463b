"""Runs examples through variants of the model in this process, and compares results."""

import logging
import time
from collections.abc import Sequence

import numpy as np

from af3opt.base.errors import Af3optError
from af3opt.benchmarks.deviation_examples import Example
from af3opt.benchmarks.deviation_metrics import Deviation, Observed, deviations, observe, scales
from af3opt.benchmarks.deviation_result import ExampleResult, VariantRecord
from af3opt.benchmarks.deviation_variants import ENGINE, REFERENCE, Variant
from af3opt.engine.discovery import EngineInfo
from af3opt.environment.startup import Startup
from af3opt.inference.model_runner import create_model_runner
from af3opt.optimizations import activated_instead
from af3opt.optimizations.choice import choose_context
from af3opt.settings.settings import Settings, resolve_settings

_log = logging.getLogger(__name__)


class VariantRuns:
    """The model with one set of weights and one seed, in one variant after another."""

    def __init__(
        self, flags: Sequence[str], seed: int, engine: EngineInfo, startup: Startup
    ) -> None:
        """Keeps what all variants have in common; loads nothing yet.

        Args:
            flags: Flags of `af3opt run` that all variants get, attention kernels included.
            seed: Seed of every run.
            engine: The engine, imported.
            startup: Gives backend and host.
        """
        self._flags = tuple(flags)
        self._seed = seed
        self._startup = startup
        settings = self._settings(REFERENCE)
        self._runner = create_model_runner(engine, settings, startup.backend.name)

    @property
    def weights_sha256(self) -> str:
        """Digest of the weights' files."""
        return self._runner.weights.load().sha256

    def run(
        self, variant: Variant, examples: Sequence[Example]
    ) -> tuple[VariantRecord, list[Observed]] | None:
        """Runs all examples in one variant.

        Returns:
            What ran and the results, example by example; None if the optimisation that it
            is about is not in force with this engine.

        Raises:
            Af3optError: a result has values that are not finite.
            SetupError: no usable weights.
        """
        settings = self._settings(variant)
        context = choose_context(settings, self._startup.host, self._startup.backend)
        with activated_instead(settings, context) as considered:
            active = tuple(one.name for one in considered if one.active)
            if variant.needs is not None and variant.needs not in active:
                return None
            runner = self._runner.variant(variant.config, active)
            observed = [
                _finite(
                    observe(runner.run_inference(example.batch, self._seed), example.masks),
                    f"{example.name}, {variant.meaning}",
                )
                for example in examples
            ]
        record = VariantRecord(
            name=variant.name,
            meaning=variant.meaning,
            fidelity=variant.fidelity,
            bound=variant.bound,
            flags=variant.flags,
            optimizations=active,
            trunk_precision=context.trunk_precision,
            diffusion_precision=context.diffusion_precision,
        )
        return record, observed

    def _settings(self, variant: Variant) -> Settings:
        return resolve_settings([*self._flags, *variant.flags], {})


def compare(
    runs: VariantRuns, variants: Sequence[Variant], examples: Sequence[Example]
) -> tuple[list[VariantRecord], list[ExampleResult]]:
    """Compares variants with float32 and with the engine as it is.

    Args:
        runs: The model.
        variants: What to compare besides the engine as it is.
        examples: The inputs.

    Returns:
        The variants that ran, the engine as it is first, and all examples.

    Raises:
        Af3optError: a result has values that are not finite.
        SetupError: no usable weights.
    """
    start = time.monotonic()
    records: list[VariantRecord] = []
    references: list[Observed] = []
    comparisons: list[_Comparison] = []
    for number, variant in enumerate((REFERENCE, ENGINE, *variants), start=1):
        _log.info(
            "Variant %d of %d after %.0f s: %s",
            number, len(variants) + 2, time.monotonic() - start, variant.meaning,
        )  # fmt: skip
        ran = runs.run(variant, examples)
        if ran is None:
            _log.info("Left out %s: not in force with this engine", variant.name)
            continue
        record, observed = ran
        if variant is REFERENCE:
            references = observed
            continue
        if variant is ENGINE:
            pairs = zip(examples, references, observed, strict=True)
            comparisons = [_Comparison(*pair) for pair in pairs]
        records.append(record)
        for comparison, found in zip(comparisons, observed, strict=True):
            comparison.add(variant.name, found)
    return records, [comparison.result() for comparison in comparisons]


class _Comparison:
    """Gathers the deviations of one example."""

    def __init__(self, example: Example, reference: Observed, engine: Observed) -> None:
        self._example = example
        self._reference = reference
        self._engine = engine
        self._from_float32: dict[str, dict[str, Deviation]] = {}
        self._from_engine: dict[str, dict[str, Deviation]] = {}

    def add(self, variant: str, observed: Observed) -> None:
        self._from_float32[variant] = deviations(observed, self._reference)
        self._from_engine[variant] = deviations(observed, self._engine)

    def result(self) -> ExampleResult:
        masks = self._example.masks
        rows = np.asarray(self._example.batch["msa_mask"]).any(axis=1)
        return ExampleResult(
            name=self._example.name,
            tokens=int(masks.token.sum()),
            atoms=int(masks.atom.sum()),
            msa_rows=int(rows.sum()),
            scales=scales(self._reference),
            from_float32=self._from_float32,
            from_engine=self._from_engine,
        )


def _finite(observed: Observed, what: str) -> Observed:
    for name, values in observed.items():
        if not np.isfinite(values).all():
            raise Af3optError(f"{what}: {name} has values that are not finite")
    return observed
