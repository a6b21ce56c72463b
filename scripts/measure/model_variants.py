"""The whole model in this process, in one variant after another, to be timed.

Unless flags say otherwise it runs on a CPU. The work is one protein chain without MSA
that fills its bucket, with one recycle (two passes of the trunk) and a few steps of the
sampler.
"""

import argparse
import dataclasses
import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from af3opt.benchmarks.describe import describe_here, describe_host
from af3opt.data.bootstrap import bootstrap_engine
from af3opt.data.synthetic_weights import DEPTHS, write_synthetic_weights
from af3opt.environment.startup import prepare_process
from af3opt.features.engine_features import Batch
from af3opt.inference.model_runner import ModelRunner, create_model_runner
from af3opt.optimizations import activate, deactivate
from af3opt.optimizations.choice import choose_context
from af3opt.settings.settings import Settings, resolve_settings
from scripts.measure.products import chain_batch

_log = logging.getLogger(__name__)

_SEED = 1
# All that keeps the padding; what a default run has besides is another bucket.
ALL_TOGETHER = ("--fidelity=reordered",)


@dataclasses.dataclass(frozen=True, slots=True)
class Program:
    """A compiled variant of the model and what it is run on.

    Attributes:
        runner: Holds the executable.
        batch: The featurised chain.
        active: Names of the optimisations in force.
    """

    runner: ModelRunner
    batch: Batch
    active: tuple[str, ...]

    def run(self) -> None:
        """Runs it once, from features on the host to results on the host."""
        self.runner.run_inference(self.batch, _SEED)

    def text(self) -> str:
        """The program after XLA's optimisation."""
        return self.runner.program_text(self.batch)


class ModelVariants:
    """The model with one set of weights; the engine is as it was between two calls."""

    def __init__(self, given: argparse.Namespace, *flags: str) -> None:
        """Sets up JAX and the engine.

        Args:
            given: Values of `add_model_flags`.
            flags: Further flags of `af3opt run` for all variants; they count above those
                that are set here.

        Raises:
            SetupError: engine, prepared data or weights cannot be used.
        """
        work = (
            "--jax_backend=cpu",
            "--flash_attention_implementation=xla",
            "--norun_data_pipeline",
            "--notuned",
            "--num_recycles=1",
            f"--num_diffusion_steps={given.steps}",
            f"--num_diffusion_samples={given.samples}",
            *flags,
        )
        self._startup = prepare_process(resolve_settings(work, {}))
        # Making weights starts JAX, which reads the environment then.
        model_dir = given.model_dir or write_synthetic_weights(given.depth)[0]
        self._flags = (f"--model_dir={model_dir}", *work)
        engine = bootstrap_engine()
        self._runner = create_model_runner(engine, self._settings(()), self._startup.backend.name)

    def batch(self, tokens: int) -> Batch:
        """Featurises a chain of so many residues."""
        return chain_batch(tokens, self._settings(()))

    def compiled(self, flags: Sequence[str], batch: Batch) -> Program:
        """Compiles what further flags of `af3opt run` put in force, and runs it once."""
        settings = self._settings(flags)
        context = choose_context(settings, self._startup.host, self._startup.backend)
        _log.info("Compiling: %s", " ".join(flags))
        try:
            active = tuple(one.name for one in activate(settings, context) if one.active)
            program = Program(self._runner.variant({}, active), batch, active)
            program.run()
        finally:
            deactivate()
        return program

    def _settings(self, flags: Sequence[str]) -> Settings:
        return resolve_settings([*self._flags, *flags], {})


def run_in_turn[Name, Result](
    runs: Mapping[Name, Callable[[], Result]], rounds: int
) -> tuple[dict[Name, list[float]], dict[Name, Result]]:
    """Runs all once, then all again, so that a busy minute of the machine falls on all of them.

    Args:
        runs: What to run, by name.
        rounds: How often each runs.

    Returns:
        Seconds of every run, and the last results.
    """
    seconds: dict[Name, list[float]] = {name: [] for name in runs}
    results: dict[Name, Result] = {}
    for number in range(1, rounds + 1):
        _log.info("Round %d of %d, %d programs", number, rounds, len(runs))
        for name, run in runs.items():
            start = time.monotonic()
            results[name] = run()
            seconds[name].append(time.monotonic() - start)
    return seconds, results


def add_model_flags(parser: argparse.ArgumentParser) -> None:
    """Declares the flags that say what the model is and how much of it runs."""
    parser.add_argument("--steps", type=int, default=12, help="of the sampler (default: 12)")
    parser.add_argument("--samples", type=int, default=5, help="(default: 5)")
    weights = parser.add_mutually_exclusive_group()
    weights.add_argument("--depth", choices=tuple(DEPTHS), default="full", help="of random weights")
    weights.add_argument("--model_dir", type=Path, help="true weights instead")


def describe_measurement(given: argparse.Namespace) -> str:
    """Machine and software, and what the model does, as two paragraphs."""
    weights = "weights as given" if given.model_dir else f"random weights, depth {given.depth}"
    return (
        f"{json.dumps({**describe_here(), **describe_host()})}\n\n"
        f"1 recycle, {given.steps} steps of {given.samples} samples, {weights}"
    )
