"""Inference alone, the engine as it is beside af3opt, in this process on any device.

    python -m scripts.measure.device_runs [--jax_backend=gpu] [--tokens=256,512,1024]
        [--attention=triton] [--rounds=3] [--leave_out=NAME,NAME] [--model_dir=DIR]
        [-- AF3OPT_RUN_FLAG...]

For each size one protein chain without MSA that fills the bucket. All programs are
compiled, then run in turn; a run is what run_alphafold.py times as inference, from
features on the host to results on the host. Lines appear as they are measured, so that
what a time limit cuts off costs only the rest. --leave_out adds a program for each
optimisation named: af3opt with all others. Flags of `af3opt run` after -- count for all
of af3opt's programs (but --disable_optimizations, which --leave_out gives itself).
"""

import argparse
import functools
import json
import logging
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from af3opt.benchmarks.describe import describe_here, describe_host
from af3opt.engine.model import device_features, forward_function
from af3opt.features.engine_features import Batch
from af3opt.inference.model_runner import ModelRunner
from scripts.measure.model_variants import (
    ALL_TOGETHER,
    ModelVariants,
    add_model_flags,
    run_in_turn,
)

# By name: as a module that is run it is called __main__.
_log = logging.getLogger("af3opt.measure.device_runs")

_SEED = 1
_ENGINE = "engine"
_OURS = "af3opt"


def compile_plain(runner: ModelRunner, batch: Batch) -> Callable[[], dict[str, Any]]:
    """Compiles the engine's model as run_alphafold.py does.

    Args:
        runner: Gives configuration, device and weights; nothing else of it is used.
        batch: Features on the host.

    Returns:
        Runs the program once, from the features to results on the host.
    """
    import jax
    import jax.numpy as jnp

    weights = runner.weights.load().params

    def arguments() -> tuple[Any, Any, Any]:
        features = jax.tree.map(jnp.asarray, device_features(batch))
        return weights, jax.random.PRNGKey(_SEED), jax.device_put(features, runner.device)

    program = jax.jit(forward_function(runner.config)).lower(*arguments()).compile()
    memory = program.memory_analysis()
    if memory is not None:
        _log.info("engine: needs %.2f GB of temporaries", memory.temp_size_in_bytes / 1e9)
    return lambda: jax.tree.map(np.asarray, program(*arguments()))


def measure(given: argparse.Namespace, variants: ModelVariants) -> None:
    """Compiles and runs all programs for every size, and prints a line for each."""
    flags = (*ALL_TOGETHER, *given.flags)
    wanted = {_OURS: flags}
    for left_out in filter(None, given.leave_out.split(",")):
        wanted[f"without {left_out}"] = (*flags, f"--disable_optimizations={left_out}")
    for tokens in (int(text) for text in given.tokens.split(",")):
        batch = variants.batch(tokens)
        programs = {}
        for name, its_flags in wanted.items():
            start = time.monotonic()
            programs[name] = variants.compiled(its_flags, batch)
            took = time.monotonic() - start
            _print(tokens, name, f"with {', '.join(programs[name].active) or 'no optimisation'}")
            _print(tokens, name, f"compiled and run once in {took:.1f} s")
            _print(tokens, name, programs[name].runner.compile_reports[-1].summary())
        start = time.monotonic()
        run_plain = compile_plain(programs[_OURS].runner, batch)
        _print(tokens, _ENGINE, f"compiled in {time.monotonic() - start:.1f} s")
        first = run_plain()
        _print(tokens, _ENGINE, f"compiled and run once in {time.monotonic() - start:.1f} s")
        sides: dict[str, Callable[[], Mapping[str, Any]]] = {_ENGINE: run_plain}
        for name, program in programs.items():
            sides[name] = functools.partial(program.runner.run_inference, batch, _SEED)
        seconds, results = run_in_turn(sides, given.rounds)
        engine = statistics.median(seconds[_ENGINE])
        for name, runs in seconds.items():
            times = ", ".join(f"{one:.2f}" for one in runs)
            _print(tokens, name, f"runs of {times} s, {engine / statistics.median(runs):.3f}x")
        for name in programs:
            _print(tokens, f"{name} to engine", _difference(results[name], first))
        _print(tokens, "engine to itself", _difference(results[_ENGINE], first))


def _difference(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> str:
    """Largest and RMS difference of the coordinates, and the RMS of the coordinates."""
    mine = np.asarray(ours["diffusion_samples"]["atom_positions"], np.float64)
    engine = np.asarray(theirs["diffusion_samples"]["atom_positions"], np.float64)
    mask = np.asarray(theirs["diffusion_samples"]["mask"], bool)
    apart = np.linalg.norm((mine - engine)[mask], axis=-1)
    size = np.sqrt(np.mean(np.sum(np.square(engine[mask]), axis=-1)))
    return (
        f"atoms {np.sqrt(np.mean(np.square(apart))):.4f} apart (RMS), {apart.max():.4f} at most, "
        f"RMS of the coordinates {size:.2f}"
    )


def _print(tokens: int, what: str, text: str) -> None:
    sys.stdout.write(f"{tokens:5d} tokens, {what}: {text}\n")
    sys.stdout.flush()


def main(argv: Sequence[str]) -> int:
    """Prints what runs and the figures."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--jax_backend", choices=("cpu", "gpu"), default="gpu")
    parser.add_argument("--attention", default="triton", help="xla on a CPU (default: triton)")
    parser.add_argument("--tokens", default="256,512,1024", help="(default: 256,512,1024)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each program (default: 3)")
    parser.add_argument(
        "--leave_out", default="", help="optimisations of af3opt's, one more program each"
    )
    parser.add_argument("--recycles", type=int, default=10, help="(default: 10)")
    parser.add_argument("flags", nargs="*", help="of af3opt run, for its side alone")
    add_model_flags(parser)
    parser.set_defaults(steps=200)
    given = parser.parse_args(argv)
    if given.leave_out and any("disable_optimizations" in flag for flag in given.flags):
        parser.error("--disable_optimizations and --leave_out: give one of them")
    variants = ModelVariants(
        given,
        f"--jax_backend={given.jax_backend}",
        f"--flash_attention_implementation={given.attention}",
        f"--num_recycles={given.recycles}",
    )
    sys.stdout.write(
        f"{json.dumps({**describe_here(), **describe_host()})}\n\n{given.recycles} recycles, "
        f"{given.steps} steps of {given.samples} samples, {given.attention} attention\n\n"
    )
    measure(given, variants)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
