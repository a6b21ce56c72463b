"""`af3opt bench`: compares the speed of af3opt and the unchanged engine on this machine."""

import argparse
import dataclasses
import datetime
import hashlib
import importlib
import logging
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from af3opt.base.command_parser import CommandParser
from af3opt.base.errors import ExitCode, SetupError, UsageError
from af3opt.base.json_types import JsonObject
from af3opt.base.paths import af3opt_home, private_directory
from af3opt.base.standard_streams import write_out
from af3opt.benchmarks import comparison, describe, suites
from af3opt.benchmarks.markdown import format_result
from af3opt.benchmarks.plot import write_plot
from af3opt.benchmarks.results import CaseResult, SuiteResult, write_result
from af3opt.data.synthetic_weights import DEPTHS, read_manifest
from af3opt.environment.backend import Backend, resolve_backend
from af3opt.host.host import probe_host
from af3opt.settings.settings import resolve_settings

SUMMARY = "compare the speed of af3opt and the unchanged engine"

_DESCRIPTION = """\
Runs the unchanged engine (the baseline) and af3opt in turn, in separate processes, with the same
inputs, weights and seeds. Compares total time, stages and memory. The baseline is the engine's
library with the order, the defaults and the padding of run_alphafold.py, or that script itself
(--run_alphafold_script). A repeat is: baseline, af3opt with empty caches, af3opt again. Every
other repeat begins with af3opt.
Prints Markdown, and writes <name>.json, <name>.md and <name>.svg."""

_EPILOG = """\
Flags after -- apply only to af3opt: af3opt bench --suite=quick -- --fidelity=exact

--num_recycles, --num_diffusion_samples, --num_diffusion_steps and --depth make every case shorter,
for both sides; the results name these changes. Without --model_dir, the weights are random numbers
in the real shapes: the times are the same, but the structures have no meaning.

Three suites have their own flags, after -- (see af3opt bench --suite=NAME -- --help):
  features   featurisation only
  deviation  distance of results from float32
  search     protein searches"""

# Flags that make every case shorter.
_SHORTENING = ("num_recycles", "num_diffusion_samples", "num_diffusion_steps")

_log = logging.getLogger(__name__)


def main(argv: list[str]) -> int:
    """Runs `af3opt bench` and returns the exit code.

    Raises:
        UsageError: a flag is wrong.
        SetupError: one of the sides cannot be run.
    """
    own, separator, rest = _split(argv)
    args = _parser().parse_args(own)
    if args.suite in suites.OWN_FLAGS:
        return _measure_apart(args, rest)
    suite = suites.find_suite(args.suite)
    if args.repeats is not None and args.repeats < 1:
        raise UsageError("--repeats must be at least 1")
    if args.depth and (args.model_dir or args.run_alphafold_script):
        raise UsageError("--depth is for random weights without --run_alphafold_script")
    cases = _choose_cases(suite, args)
    subject_flags = tuple(rest) if separator else ()
    backend = _backend(args, subject_flags)
    sides, baseline = _sides(args, suite, subject_flags, backend)
    started = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
    host = describe.describe_host()
    manifest = read_manifest(sides.subject_weights)
    result = SuiteResult(
        suite=suite.name,
        command=describe.shown_command("af3opt bench", argv),
        started=started,
        host=host,
        baseline=baseline,
        subject={"label": "af3opt run", **describe.describe_here()},
        weights=describe.weights_label(sides.subject_weights, manifest),
        overrides=manifest.config_overrides if manifest is not None else {},
        backend=backend.name,
        cases=(),
    )
    place = args.output / (args.name or suite.name)
    place.parent.mkdir(parents=True, exist_ok=True)
    for measured in _measure(cases, sides, args.repeats or suite.repeats, keep=args.keep):
        result = dataclasses.replace(result, cases=(*result.cases, measured))
        # After each case: a later one that fails must not cost the hours before it.
        _write(result, place)
    _draw(result, place)
    write_out(format_result(result))
    return ExitCode.OK


def _measure_apart(args: argparse.Namespace, rest: Sequence[str]) -> int:
    """Runs a suite that has flags of its own and is a module of its own."""
    for name, value in vars(_parser().parse_args([])).items():
        if name != "suite" and getattr(args, name) != value:
            raise UsageError(f"--{name}: the flags of --suite={args.suite} follow --")
    module = importlib.import_module(f"af3opt.benchmarks.{args.suite}")
    status: int = module.main(rest)
    return status


def _split(argv: Sequence[str]) -> tuple[list[str], bool, list[str]]:
    if "--" not in argv:
        return list(argv), False, []
    place = list(argv).index("--")
    return list(argv[:place]), True, list(argv[place + 1 :])


def _parser() -> argparse.ArgumentParser:
    listing = "; ".join(f"{suite.name}: {suite.description}" for suite in suites.SUITES.values())
    parser = CommandParser(
        prog="af3opt bench",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--suite",
        default="quick",
        help=f"{listing}; {', '.join(suites.OWN_FLAGS)} (default: quick)",
    )
    parser.add_argument(
        "--case", action="append", metavar="NAME", help="run only this case; can be repeated"
    )
    parser.add_argument("--repeats", type=int, metavar="N", help="default: that of the suite")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("af3opt_bench"),
        metavar="DIR",
        help="directory for the results (default: %(default)s)",
    )
    parser.add_argument("--name", help="name of the files (default: that of the suite)")
    for name in _SHORTENING:
        parser.add_argument(
            f"--{name}", type=int, metavar="N", help="for both sides; default: that of the suite"
        )
    parser.add_argument(
        "--depth",
        choices=tuple(DEPTHS),
        help="of the random weights: full, or small for fewer layers (default: that of the suite)",
    )
    parser.add_argument(
        "--model_dir", type=Path, metavar="DIR", help="real weights, for both sides"
    )
    parser.add_argument(
        "--baseline_python",
        default=sys.executable,
        metavar="PATH",
        help="Python of another environment for the baseline, for example with the versions that "
        "upstream pins (default: this Python)",
    )
    parser.add_argument(
        "--run_alphafold_script",
        type=Path,
        metavar="PATH",
        help="run this run_alphafold.py as the baseline",
    )
    parser.add_argument(
        "--jax_backend", choices=("cpu", "gpu"), help="default: gpu if one is usable, else cpu"
    )
    parser.add_argument(
        "--keep", action="store_true", help="keep outputs and logs (the path is logged)"
    )
    return parser


def _choose_cases(suite: suites.Suite, args: argparse.Namespace) -> list[suites.Case]:
    known = {case.name: case for case in suite.cases}
    unknown = [name for name in args.case or () if name not in known]
    if unknown:
        raise UsageError(f"--case={unknown[0]}: suite {suite.name} has {', '.join(known)}")
    changes = _changes(args)
    chosen = [known[name] for name in args.case] if args.case else list(suite.cases)
    chosen = [case.with_flags(changes) for case in chosen]
    if args.run_alphafold_script is None:
        return chosen
    if not args.run_alphafold_script.is_file():
        raise UsageError(f"--run_alphafold_script={args.run_alphafold_script}: no such file")
    fitting = [case for case in chosen if case.fits_any_script]
    if not fitting:
        raise UsageError(
            f"--run_alphafold_script: every chosen case of suite {suite.name} sets the number of "
            "diffusion steps, for which the script has no flag; choose others with --case"
        )
    return fitting


def _changes(args: argparse.Namespace) -> dict[str, int]:
    """Returns the flags that replace those of every case."""
    changes: dict[str, int] = {}
    for name in _SHORTENING:
        number = getattr(args, name)
        if number is not None and number < 1:
            raise UsageError(f"--{name}={number} must be at least 1")
        if number is not None:
            changes[name] = number
    return changes


def _backend(args: argparse.Namespace, subject_flags: tuple[str, ...]) -> Backend:
    flags = [*subject_flags]
    if args.jax_backend:
        flags.append(f"--jax_backend={args.jax_backend}")
    return resolve_backend(resolve_settings(flags, {}), probe_host(os.environ))


def _sides(
    args: argparse.Namespace,
    suite: suites.Suite,
    subject_flags: tuple[str, ...],
    backend: Backend,
) -> tuple[comparison.Sides, JsonObject]:
    environ = comparison.child_environ(af3opt_home())
    baseline_python: str = args.baseline_python
    if os.sep in baseline_python:  # The processes run in another directory.
        baseline_python = str(Path(baseline_python).expanduser().absolute())
    baseline = describe.describe_python(baseline_python, environ)
    script = args.run_alphafold_script
    # A script knows nothing of weights of reduced depth.
    depth = "full" if script is not None else args.depth or suite.depth
    weights = [
        args.model_dir or comparison.synthetic_weights(python, depth)
        for python in (baseline_python, sys.executable)
    ]
    if script is None:
        comparison.build_baseline_data(baseline_python)
        label = "the engine's library in the order and with the defaults of run_alphafold.py"
    else:
        digest = hashlib.sha256(script.read_bytes()).hexdigest()
        label = f"{script.name} (sha256 {digest[:16]})"
    sides = comparison.Sides(
        baseline_python=baseline_python,
        baseline_script=script.absolute() if script else None,
        baseline_weights=weights[0].absolute(),
        subject_weights=weights[1].absolute(),
        subject_flags=subject_flags,
        backend=backend.name,
        attention=backend.flash_attention,
    )
    return sides, {"label": label, **baseline}


def _measure(
    cases: Sequence[suites.Case], sides: comparison.Sides, repeats: int, *, keep: bool
) -> Iterator[CaseResult]:
    comparison.fill_file_cache(sides)
    folder = private_directory(af3opt_home() / "bench" / f"{os.getpid()}")
    try:
        for case in cases:
            yield comparison.measure_case(case, sides, repeats, folder)
    finally:
        if keep:
            _log.info("Outputs and logs are in %s", folder)
        else:
            shutil.rmtree(folder, ignore_errors=True)


def _write(result: SuiteResult, place: Path) -> None:
    write_result(result, place.with_name(f"{place.name}.json"))
    place.with_name(f"{place.name}.md").write_text(format_result(result), encoding="utf-8")


def _draw(result: SuiteResult, place: Path) -> None:
    try:
        write_plot(result, place.with_name(f"{place.name}.svg"))
    except SetupError as error:
        _log.warning("%s", error)
    _log.info("Results are in %s", place.parent)
