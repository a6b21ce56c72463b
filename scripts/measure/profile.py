"""Where the time of a run goes, by part: the engine as it is, and with every optimisation.

    python -m scripts.measure.profile [--tokens=128] [--steps=4] [--model_dir=DIR]

Runs the whole model in this process on one core of a CPU under JAX's profiler: two passes
of the trunk and some steps of the sampler, for one protein chain without MSA that fills
the bucket. With several threads the profiler would count an operation that they share
once and others for each. It slows down small operations, so read the shares.
"""

import argparse
import collections
import gzip
import json
import re
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from af3opt.benchmarks.deviation_variants import ENGINE
from af3opt.benchmarks.markdown_rows import table_head, table_row
from scripts.measure.model_variants import (
    ALL_TOGETHER,
    ModelVariants,
    Program,
    add_model_flags,
    describe_measurement,
)

# Part -> what the path of an operation's scopes has in it; the first that fits.
_PARTS = {
    "confidence head": r"confidence_head",
    "sampler: atom encoder and decoder": r"diffusion_head.*diffusion_atom",
    "sampler: token transformer": r"diffusion_head.*transformer",
    "sampler: rest": r"diffusion_head",
    "trunk: MSA but for pair blocks": r"msa_attention|msa_transition|outer_product",
    "trunk: templates": r"template",
    "trunk: triangle attention": r"pair_attention",
    "trunk: triangle multiplication": r"triangle_multiplication",
    "trunk: pair transition": r"pair_transition",
    "trunk: single representation": r"single_",
    "trunk: rest": r"evoformer",
}
_OTHER = "rest"
_INSTRUCTION = re.compile(r'\s*(?:ROOT )?%([\w.\-]+) = .*?op_name="([^"]*)"')
# Operations that hold others, whose time theirs is; they are not always named after what they are.
_CONTAINER = re.compile(r"\s*(?:ROOT )?%([\w.\-]+) = .*? (?:while|call|conditional)\(")


def part_of(scopes: str) -> str:
    """The part of the model that an operation belongs to, by its path of scopes."""
    return next((part for part, pattern in _PARTS.items() if re.search(pattern, scopes)), _OTHER)


def seconds_by_part(events: Iterable[Mapping[str, Any]], program: str) -> dict[str, float]:
    """Part -> seconds of its operations.

    Args:
        events: `traceEvents` of a trace by JAX's profiler.
        program: The compiled program that ran, as text.
    """
    lines = program.splitlines()
    scopes = {match[1]: match[2] for match in map(_INSTRUCTION.match, lines) if match}
    containers = {match[1] for match in map(_CONTAINER.match, lines) if match}
    seconds: collections.Counter[str] = collections.Counter()
    for event in events:
        name = event.get("name", "")
        if "hlo_op" in event.get("args", {}) and name not in containers:
            seconds[part_of(scopes.get(name, ""))] += event["dur"] / 1e6
    return dict(seconds)


def profile(program: Program) -> dict[str, float]:
    """Runs a program under the profiler: part -> seconds."""
    import jax

    with tempfile.TemporaryDirectory(prefix="af3opt-profile-") as folder:
        with jax.profiler.trace(folder):
            program.run()
        [trace] = Path(folder).rglob("*.trace.json.gz")
        with gzip.open(trace) as file:
            events = json.load(file)["traceEvents"]
    return seconds_by_part(events, program.text())


def as_markdown(engine: Mapping[str, float], ours: Mapping[str, float]) -> str:
    """A table with a line for each part."""
    lines = table_head("", "engine as it is", "af3opt", "")
    for part in (*_PARTS, _OTHER):
        before, after = engine.get(part, 0.0), ours.get(part, 0.0)
        gain = f"{before / after:.1f}x" if after else ""
        lines.append(table_row((part, f"{before:.2f} s", f"{after:.2f} s", gain)))
    return "".join(f"{line}\n" for line in lines)


def main(argv: Sequence[str]) -> int:
    """Prints what ran and the table, in Markdown."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--tokens", type=int, default=128)
    add_model_flags(parser)
    # The profiler keeps the first million events.
    parser.set_defaults(steps=4)
    given = parser.parse_args(argv)
    variants = ModelVariants(given, "--num_threads=1")
    batch = variants.batch(given.tokens)
    parts = [profile(variants.compiled(flags, batch)) for flags in (ENGINE.flags, ALL_TOGETHER)]
    sys.stdout.write(f"{given.tokens} tokens; {describe_measurement(given)}\n\n")
    sys.stdout.write(as_markdown(*parts))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
