"""The distance of each variant of the model from float32 and from the unchanged engine.

    af3opt bench --suite=deviation -- --input_dir=examples [--example=NAME ...]

Runs variants on the CPU with the same features, weights and random key: every optimisation
alone, sets of them, and the unchanged engine. Compares embeddings, distogram, coordinates
and confidences with the engine's own code with a float32 trunk. By default the model has
fewer layers, 1 recycle and 2 samples of 8 diffusion steps, and is padded to 80 tokens.
Writes NAME.json and NAME.md. Examples in NAME.json are not run again, so you can do a long
comparison in parts.
"""

import argparse
import dataclasses
import datetime
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from af3opt.base.atomic import atomic_write_text
from af3opt.base.errors import ExitCode, UsageError
from af3opt.benchmarks import describe
from af3opt.benchmarks.deviation_examples import DEEP_MSA, featurise_example, find_inputs
from af3opt.benchmarks.deviation_markdown import format_deviations
from af3opt.benchmarks.deviation_result import DeviationResult, read_deviations, write_deviations
from af3opt.benchmarks.deviation_runs import VariantRuns, compare
from af3opt.benchmarks.deviation_variants import REFERENCE, Variant, all_variants
from af3opt.data.bootstrap import bootstrap_engine
from af3opt.data.synthetic_weights import DEPTHS, read_manifest, write_synthetic_weights
from af3opt.environment.startup import prepare_process
from af3opt.features.options import FeatureOptions
from af3opt.settings.command_line import flags_of
from af3opt.settings.settings import resolve_settings

_log = logging.getLogger(__name__)

_PROGRAM = "af3opt bench --suite=deviation --"
# What a measurement on one machine must not depend on: an earlier `af3opt tune`.
_COMMON = (
    "--jax_backend=cpu",
    "--flash_attention_implementation=xla",
    "--norun_data_pipeline",
    "--save_embeddings",
    "--save_distogram",
    "--notuned",
)


class _Parser(argparse.ArgumentParser):
    """Reports errors as af3opt does: one line, exit code 2."""

    def error(self, message: str) -> None:  # type: ignore[override]
        raise UsageError(f"{message}; see {_PROGRAM} --help")


def main(argv: Sequence[str]) -> int:
    """Compares, writes and prints; see the module's text.

    Raises:
        UsageError: a flag is wrong, or the result there is of other circumstances.
        InputError: an input cannot be used.
        SetupError: engine, prepared data or weights cannot be used.
    """
    args = _parse(argv)
    variants = _choose_variants(args.variant)
    place: Path = args.output / args.name
    path = place.with_name(f"{place.name}.json")
    earlier = read_deviations(path) if path.exists() else None
    flags = _flags(args)
    settings = resolve_settings([*flags, *REFERENCE.flags], {})
    startup = prepare_process(settings)
    engine = bootstrap_engine()
    done = {example.name for example in earlier.examples} if earlier is not None else set()
    inputs = find_inputs(args.input_dir, args.msa_rows, args.example)
    options = FeatureOptions.from_settings(settings, (args.bucket,))
    examples = [
        featurise_example(name, fold_input, args.seed, options)
        for name, fold_input in inputs.items()
        if name not in done
    ]
    _log.info(
        "%d examples, %d of them in %s already", len(inputs), len(inputs) - len(examples), path
    )
    model_dir = args.model_dir or write_synthetic_weights(args.depth)[0]
    runs = VariantRuns([*flags, f"--model_dir={model_dir}"], args.seed, engine, startup)
    result = _empty_result(args, argv, runs, model_dir)
    if earlier is not None:
        # At once: what must not be added to it need not be computed.
        _check_alike(earlier, dataclasses.replace(result, variants=earlier.variants), path)
    records, found = compare(runs, variants, examples)
    result = dataclasses.replace(result, variants=records, examples=found)
    if earlier is not None:
        _check_alike(earlier, result, path)
        result = dataclasses.replace(
            earlier,
            commands=[*earlier.commands, *result.commands],
            examples=[*earlier.examples, *result.examples],
        )
    place.parent.mkdir(parents=True, exist_ok=True)
    write_deviations(result, path)
    report = format_deviations(result)
    atomic_write_text(place.with_name(f"{place.name}.md"), report)
    sys.stdout.write(report)
    return ExitCode.OK


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = _Parser(
        prog=_PROGRAM,
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--input_dir", type=Path, required=True, metavar="DIR", help="inputs, *.json")
    add("--example", action="append", default=[], metavar="NAME", help="only this; can be repeated")
    add(
        "--msa_rows",
        type=int,
        default=300,
        metavar="N",
        help=f"MSA rows of a further input, {DEEP_MSA}; 0: leave it out (default: %(default)s)",
    )
    add("--variant", action="append", default=[], metavar="NAME", help="only this; can be repeated")
    add("--bucket", type=int, default=80, metavar="N", help="padded size in tokens (default: 80)")
    add("--seed", type=int, default=1, metavar="N", help="seed of every run (default: 1)")
    weights = parser.add_mutually_exclusive_group()
    weights.add_argument(
        "--depth", choices=tuple(DEPTHS), default="small", help="depth of the random weights"
    )
    weights.add_argument("--model_dir", type=Path, metavar="DIR", help="real weights")
    add("--num_recycles", type=int, default=1, metavar="N", help="(default: 1)")
    add("--num_diffusion_samples", type=int, default=2, metavar="N", help="(default: 2)")
    add("--num_diffusion_steps", type=int, default=8, metavar="N", help="(default: 8)")
    add(
        "--output",
        type=Path,
        default=Path("af3opt_bench"),
        metavar="DIR",
        help="directory for the results (default: %(default)s)",
    )
    add("--name", default="deviation", help="name of the files (default: %(default)s)")
    return parser.parse_args(argv)


def _choose_variants(names: Sequence[str]) -> tuple[Variant, ...]:
    known = {variant.name: variant for variant in all_variants()}
    for name in names:
        if name not in known:
            raise UsageError(f"--variant={name}: there are {', '.join(known)}")
    return tuple(known[name] for name in names or known)


def _flags(args: argparse.Namespace) -> list[str]:
    """Returns the flags of `af3opt run` that all variants get, but for the weights."""
    shared = ("num_recycles", "num_diffusion_samples", "num_diffusion_steps")
    values = {"buckets": (args.bucket,), **{name: getattr(args, name) for name in shared}}
    return [*_COMMON, *flags_of(values)]


def _empty_result(
    args: argparse.Namespace, argv: Sequence[str], runs: VariantRuns, model_dir: Path
) -> DeviationResult:
    manifest = read_manifest(model_dir)
    return DeviationResult(
        commands=[describe.shown_command(_PROGRAM, argv)],
        started=datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        host=describe.describe_host(),
        software=describe.describe_here(),
        weights=describe.weights_label(model_dir, manifest),
        weights_sha256=runs.weights_sha256,
        overrides=manifest.config_overrides if manifest is not None else {},
        run={
            "bucket": args.bucket,
            "seed": args.seed,
            "recycles": args.num_recycles,
            "diffusion samples": args.num_diffusion_samples,
            "diffusion steps": args.num_diffusion_steps,
        },
        variants=(),
        examples=(),
    )


def _check_alike(earlier: DeviationResult, result: DeviationResult, path: Path) -> None:
    """Checks that both were made in the same way.

    Raises:
        UsageError: they were not.
    """
    before, now = earlier.circumstances(), result.circumstances()
    other = [name for name in now if before[name] != now[name]]
    if other:
        raise UsageError(
            f"{path} was made with another {', '.join(other)}; choose another --name or delete it"
        )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
