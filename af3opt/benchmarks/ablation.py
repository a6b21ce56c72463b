"""What each optimisation gains alone, and what is lost when it alone is left out.

    python -m af3opt.benchmarks.ablation [--tokens=80,128] [--model_dir=DIR]

Runs the whole model in this process on a CPU: two passes of the trunk and some steps of
the sampler, for one protein chain without MSA that fills the bucket. All programs are
compiled first and then run in turn, so that a busy minute of the machine falls on all of
them; the fastest run of each counts. XLA reads its flags once, so all programs have those
of a run. The weights are random ones unless others are named.
"""

import argparse
import dataclasses
import json
import logging
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from af3opt.benchmarks.describe import describe_here, describe_host
from af3opt.benchmarks.deviation_variants import ENGINE, all_variants
from af3opt.benchmarks.products import chain_batch
from af3opt.data.synthetic_weights import DEPTHS, write_synthetic_weights
from af3opt.engine.bootstrap import bootstrap_engine
from af3opt.engine.features import Batch
from af3opt.inference.model_runner import ModelRunner, create_model_runner
from af3opt.optimizations import activate, deactivate
from af3opt.optimizations.choice import choose_context
from af3opt.settings import Settings, resolve_settings
from af3opt.startup import prepare_process

_log = logging.getLogger(__name__)

_SEED = 1
# Everything that keeps the padding; what a default run has besides is another bucket.
_ALL = ("--fidelity=reordered",)


@dataclasses.dataclass(frozen=True, slots=True)
class Figures:
    """Seconds of one bucket, the fastest run of each program.

    Attributes:
        tokens: The bucket.
        engine: The engine as it is.
        all_together: With all optimisations of a default run.
        alone: By name of the one that is in force.
        left_out: By name of the one that is not; only those of a default run.
    """

    tokens: int
    engine: float
    all_together: float
    alone: Mapping[str, float]
    left_out: Mapping[str, float]


@dataclasses.dataclass(frozen=True, slots=True)
class _Program:
    """A compiled variant of the model."""

    runner: ModelRunner
    active: tuple[str, ...]
    seconds: list[float] = dataclasses.field(default_factory=list)


class Ablation:
    """The model with one set of weights, in one variant after another."""

    def __init__(self, flags: Sequence[str]) -> None:
        """Sets up JAX and the engine; loads no weights yet.

        Args:
            flags: Flags of `af3opt run` that all variants get.
        """
        self._flags = tuple(flags)
        settings = self._settings(())
        self._startup = prepare_process(settings)
        engine = bootstrap_engine()
        self._runner = create_model_runner(engine, settings, self._startup.backend.name)

    def measure(self, tokens: int, rounds: int) -> Figures:
        """Runs every variant on a chain of `tokens` residues, `rounds` times in turn."""
        batch = chain_batch(tokens, self._settings(()))
        engine = self._compiled(ENGINE.flags, batch)
        together = self._compiled(_ALL, batch)
        alone = dict(self._alone(batch))
        left_out = {
            name: self._compiled((*_ALL, f"--disable_optimizations={name}"), batch)
            for name in together.active
        }
        programs = [engine, together, *alone.values(), *left_out.values()]
        for number in range(1, rounds + 1):
            _log.info(
                "%d tokens: round %d of %d, %d programs", tokens, number, rounds, len(programs)
            )
            for program in programs:
                start = time.monotonic()
                program.runner.run_inference(batch, _SEED)
                program.seconds.append(time.monotonic() - start)
        return Figures(
            tokens=tokens,
            engine=min(engine.seconds),
            all_together=min(together.seconds),
            alone={name: min(program.seconds) for name, program in alone.items()},
            left_out={name: min(program.seconds) for name, program in left_out.items()},
        )

    def _alone(self, batch: Batch) -> Iterator[tuple[str, _Program]]:
        for variant in all_variants():
            if variant.needs is not None:
                program = self._compiled(variant.flags, batch)
                if variant.needs in program.active:
                    yield variant.needs, program

    def _compiled(self, flags: Sequence[str], batch: Batch) -> _Program:
        settings = self._settings(flags)
        context = choose_context(settings, self._startup.host, self._startup.backend)
        _log.info("Compiling: %s", " ".join(flags))
        try:
            active = tuple(one.name for one in activate(settings, context) if one.active)
            runner = self._runner.variant({}, active)
            runner.run_inference(batch, _SEED)
        finally:
            deactivate()
        return _Program(runner, active)

    def _settings(self, flags: Sequence[str]) -> Settings:
        return resolve_settings([*self._flags, *flags], {})


def as_markdown(figures: Sequence[Figures]) -> str:
    """The figures as a table, a column for each bucket."""
    names = dict.fromkeys(name for one in figures for name in one.alone)
    rows = [
        ["", *(f"{one.tokens} tokens" for one in figures)],
        ["---"] * (len(figures) + 1),
        ["engine as it is", *(f"{one.engine:.2f} s" for one in figures)],
        *([f"`{name}`", *(_cell(one, name) for one in figures)] for name in names),
        [
            "all",
            *(
                f"{one.all_together:.2f} s ({one.engine / one.all_together:.2f}x)"
                for one in figures
            ),
        ],
    ]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _cell(figures: Figures, name: str) -> str:
    """Gain alone and loss when left out, each the slower program's time by the faster's."""
    alone = figures.alone.get(name)
    without = figures.left_out.get(name)
    gain = "-" if alone is None else f"{figures.engine / alone:.2f}x"
    loss = "-" if without is None else f"{without / figures.all_together:.2f}x"
    return f"{gain}, {loss}"


def main(argv: Sequence[str]) -> int:
    """Prints what ran and the table, in Markdown."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--tokens", default="80,128")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--samples", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    weights = parser.add_mutually_exclusive_group()
    weights.add_argument("--depth", choices=tuple(DEPTHS), default="full")
    weights.add_argument("--model_dir", type=Path)
    given = parser.parse_args(argv)
    model_dir = given.model_dir or write_synthetic_weights(given.depth)[0]
    ablation = Ablation(
        [
            "--jax_backend=cpu",
            "--flash_attention_implementation=xla",
            "--norun_data_pipeline",
            "--notuned",
            f"--model_dir={model_dir}",
            "--num_recycles=1",
            f"--num_diffusion_steps={given.steps}",
            f"--num_diffusion_samples={given.samples}",
        ]
    )
    sys.stdout.write(
        f"{json.dumps({**describe_here(), **describe_host()})}\n\n"
        f"1 recycle, {given.steps} steps of {given.samples} samples, the fastest of "
        f"{given.rounds} runs, "
        f"{'given' if given.model_dir else given.depth + '-depth random'} weights. Each cell: "
        "gain alone, loss when left out of all\n\n"
    )
    sys.stdout.write(
        as_markdown([ablation.measure(int(size), given.rounds) for size in given.tokens.split(",")])
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
