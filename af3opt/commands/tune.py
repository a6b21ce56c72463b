"""`af3opt tune`: measures which flags and precisions are fastest on this host."""

import itertools
import json
import logging
import os
import subprocess
from collections.abc import Callable, Iterator

from af3opt.base.child_process import module_command
from af3opt.base.errors import Af3optError, ExitCode, UsageError
from af3opt.base.json_types import JsonObject
from af3opt.base.logs import configure_logging
from af3opt.base.standard_streams import write_out
from af3opt.environment.known_flags import LEAN_SCHEDULE, LIGHT_CODEGEN, NO_FUSION, WIDE_VECTORS
from af3opt.environment.tuning import (
    DIFFUSION_PRECISIONS,
    TRUNK_PRECISIONS,
    Candidate,
    save_tuning,
)
from af3opt.environment.xla_flags import merge_xla_flags
from af3opt.host.host import Host, probe_host
from af3opt.inference.tuning_probe import DIFFUSION_PASSES, TRUNK_PASSES
from af3opt.settings.settings import resolve_settings

SUMMARY = "find the fastest XLA flags and precisions for this CPU"

_HELP = """\
Usage: af3opt tune

Measures blocks of the model (128 tokens, 5 samples) on the CPU with several sets of XLA flags and
precisions. Compares every result with float32. Stores the fastest choice for this processor, number
of cores, jaxlib and engine. Takes a few minutes; run nothing else at the same time.

af3opt run uses the result and says so in the log. --notuned ignores it.
"""

FLAG_SETS: tuple[tuple[str, ...], ...] = (
    (),
    (LEAN_SCHEDULE.flag,),
    (WIDE_VECTORS.flag,),
    (LEAN_SCHEDULE.flag, WIDE_VECTORS.flag),
    (LEAN_SCHEDULE.flag, WIDE_VECTORS.flag, LIGHT_CODEGEN.flag),
    (NO_FUSION,),
    (NO_FUSION, LEAN_SCHEDULE.flag),
)
# Other work on the machine slows down whatever runs just then: every set has another turn.
_TURNS = 2
_PRECISIONS = {"trunk": [*TRUNK_PRECISIONS], "diffusion": [*DIFFUSION_PRECISIONS]}
# Largest relative RMS deviation from float32: that of bfloat16 operands with room to
# spare for the trunk, of split operands for the sampler.
_TOLERANCE = {"trunk": 2e-2, "diffusion": 1e-3}
_TIME_LIMIT = 600

# By part of the model and precision: seconds, and the error relative to float32.
type Blocks = dict[str, dict[str, list[float]]]
type Probe = Callable[[tuple[str, ...]], Blocks | None]

_log = logging.getLogger(__name__)


def main(argv: list[str]) -> int:
    """Runs `af3opt tune` and returns the exit code.

    Raises:
        UsageError: an argument was given.
        Af3optError: no candidate could be measured.
    """
    if {"--help", "-help", "-h"}.intersection(argv):
        write_out(_HELP)
        return ExitCode.OK
    if argv:
        raise UsageError(f"af3opt tune takes no arguments, not {argv[0]!r}; see --help")
    configure_logging(resolve_settings([], {}))
    tune(probe_host(os.environ), _probe)
    return ExitCode.OK


def tune(host: Host, probe: Probe) -> None:
    """Measures every flag set and keeps the fastest choice that is accurate enough.

    Args:
        host: The machine that the choice is kept for.
        probe: Measures the blocks under a flag set; None if that failed.

    Raises:
        Af3optError: no candidate could be measured.
    """
    measured = _measure(probe)
    ranked = sorted(_candidates(measured), key=lambda pair: pair[0])
    if not ranked:
        raise Af3optError("nothing could be measured; see the messages above")
    for seconds, candidate in ranked:
        _log.info("%7.1f s a run of 128 tokens: %s", seconds, _label(candidate))
    path = save_tuning(host, ranked[0][1], measured)
    _log.info("Fastest: %s; kept in %s", _label(ranked[0][1]), path)


def _measure(probe: Probe) -> list[JsonObject]:
    """What each flag set takes, the faster of its turns; sets that fail are left out."""
    found: dict[tuple[str, ...], Blocks] = {}
    failed = set()
    turns = FLAG_SETS * _TURNS
    for number, flags in enumerate(turns, start=1):
        if flags in failed:
            continue
        label = " ".join(flags) or "no flags"
        _log.info("Measuring %d of %d: %s", number, len(turns), label)
        blocks = probe(flags)
        if blocks is None:
            failed.add(flags)
            found.pop(flags, None)
        else:
            found[flags] = _faster(found[flags], blocks) if flags in found else blocks
    return [{"xla_flags": list(flags), "blocks": blocks} for flags, blocks in found.items()]


def _faster(one: Blocks, other: Blocks) -> Blocks:
    """The smaller seconds of two turns, block by block."""
    return {
        part: {name: min(pair, other[part][name]) for name, pair in precisions.items()}
        for part, precisions in one.items()
    }


def _probe(flags: tuple[str, ...]) -> Blocks | None:
    """Measures in a process of its own; None, with a warning, if that fails."""
    environment = {
        **os.environ,
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": merge_xla_flags(os.environ.get("XLA_FLAGS", ""), flags).text,
    }
    command = [*module_command("af3opt.inference.tuning_probe"), json.dumps(_PRECISIONS)]
    try:
        done = subprocess.run(
            command,
            env=environment,
            capture_output=True,
            text=True,
            timeout=_TIME_LIMIT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        _log.warning("Left out %s: not done after %d s", flags, _TIME_LIMIT)
        return None
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no message"]
        _log.warning("Left out %s: %s", " ".join(flags) or "no flags", lines[-1])
        return None
    found: Blocks = json.loads(done.stdout.splitlines()[-1])
    return found


def _candidates(measured: list[JsonObject]) -> Iterator[tuple[float, Candidate]]:
    """(seconds of a run with all defaults, candidate) of what is accurate enough."""
    for entry in measured:
        blocks = entry["blocks"]
        for trunk, diffusion in itertools.product(blocks["trunk"], blocks["diffusion"]):
            trunk_seconds, trunk_error = blocks["trunk"][trunk]
            seconds, error = blocks["diffusion"][diffusion]
            if trunk_error <= _TOLERANCE["trunk"] and error <= _TOLERANCE["diffusion"]:
                candidate = Candidate(
                    xla_flags=tuple(entry["xla_flags"]),
                    trunk_precision=trunk,
                    diffusion_precision=diffusion,
                )
                yield trunk_seconds * TRUNK_PASSES + seconds * DIFFUSION_PASSES, candidate


def _label(candidate: Candidate) -> str:
    flags = " ".join(candidate.xla_flags) or "no flags"
    precisions = f"trunk {candidate.trunk_precision}, diffusion {candidate.diffusion_precision}"
    return f"{precisions}, {flags}"
