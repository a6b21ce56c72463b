"""What each optimisation gains alone, and what is lost when it alone is left out.

    python -m scripts.measure.ablation [--tokens=80,128] [--rounds=3] [--model_dir=DIR]

Runs the whole model in this process on a CPU: two passes of the trunk and some steps of
the sampler, for one protein chain without MSA that fills the bucket. All programs are
compiled first and then run in turn, so that a busy minute of the machine falls on all of
them; the fastest run of each counts. XLA reads its flags once, so all programs have those
of a run.
"""

import argparse
import dataclasses
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence

from af3opt.benchmarks.deviation_variants import ENGINE, all_variants
from af3opt.benchmarks.markdown_rows import table_head, table_row
from af3opt.features.engine_features import Batch
from scripts.measure.model_variants import (
    ALL_TOGETHER,
    ModelVariants,
    Program,
    add_model_flags,
    describe_measurement,
    run_in_turn,
)

_ENGINE = "engine"
_ALL = "all"


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


def measure(
    variants: ModelVariants, tokens: int, rounds: int, names: Collection[str] = ()
) -> Figures:
    """Runs every variant on one chain, in turn.

    Args:
        variants: The model.
        tokens: Residues of the chain.
        rounds: How often each runs.
        names: Optimisations to measure; empty for all.
    """
    batch = variants.batch(tokens)
    together = variants.compiled(ALL_TOGETHER, batch)
    alone = dict(_alone(variants, batch, names))
    left_out = {
        name: variants.compiled((*ALL_TOGETHER, f"--disable_optimizations={name}"), batch)
        for name in together.active
        if not names or name in names
    }
    programs: dict[tuple[str, str], Program] = {
        (_ENGINE, ""): variants.compiled(ENGINE.flags, batch),
        (_ALL, ""): together,
        **{("alone", name): program for name, program in alone.items()},
        **{("left out", name): program for name, program in left_out.items()},
    }
    seconds, _ = run_in_turn({key: program.run for key, program in programs.items()}, rounds)
    return Figures(
        tokens=tokens,
        engine=min(seconds[_ENGINE, ""]),
        all_together=min(seconds[_ALL, ""]),
        alone={name: min(seconds["alone", name]) for name in alone},
        left_out={name: min(seconds["left out", name]) for name in left_out},
    )


def _alone(
    variants: ModelVariants, batch: Batch, names: Collection[str]
) -> Iterator[tuple[str, Program]]:
    for variant in all_variants():
        if variant.needs is not None and (not names or variant.needs in names):
            program = variants.compiled(variant.flags, batch)
            if variant.needs in program.active:
                yield variant.needs, program


def as_markdown(figures: Sequence[Figures]) -> str:
    """The figures as a table, a column for each bucket."""
    names = dict.fromkeys(name for one in figures for name in one.alone)
    lines = [
        *table_head("", *(f"{one.tokens} tokens" for one in figures)),
        table_row(["engine as it is", *(f"{one.engine:.2f} s" for one in figures)]),
        *(table_row([f"`{name}`", *(_cell(one, name) for one in figures)]) for name in names),
        table_row(["all", *(_total(one) for one in figures)]),
    ]
    return "".join(f"{line}\n" for line in lines)


def _cell(figures: Figures, name: str) -> str:
    """Gain alone and loss when left out, each the slower program's time by the faster's."""
    alone = figures.alone.get(name)
    without = figures.left_out.get(name)
    gain = "-" if alone is None else f"{figures.engine / alone:.2f}x"
    loss = "-" if without is None else f"{without / figures.all_together:.2f}x"
    return f"{gain}, {loss}"


def _total(figures: Figures) -> str:
    return f"{figures.all_together:.2f} s ({figures.engine / figures.all_together:.2f}x)"


def main(argv: Sequence[str]) -> int:
    """Prints what ran and the table, in Markdown."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--tokens", default="80,128", help="chains to run (default: 80,128)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each program (default: 3)")
    parser.add_argument(
        "--optimization", action="append", default=[], help="only this one; repeatable"
    )
    add_model_flags(parser)
    given = parser.parse_args(argv)
    variants = ModelVariants(given)
    sys.stdout.write(
        f"{describe_measurement(given)}, the fastest of {given.rounds} runs. "
        "Each cell: gain alone, loss when left out of all\n\n"
    )
    figures = [
        measure(variants, int(tokens), given.rounds, given.optimization)
        for tokens in given.tokens.split(",")
    ]
    sys.stdout.write(as_markdown(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
