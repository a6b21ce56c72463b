"""Says what one side of a benchmark consists of; runs in that side's interpreter."""

import json
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from af3opt.base.child_process import module_command
from af3opt.base.errors import Af3optError, SetupError
from af3opt.base.json_types import JsonObject
from af3opt.data.synthetic_weights import SyntheticManifest
from af3opt.engine.discovery import find_engine
from af3opt.host.host import probe_host
from af3opt.output.run_record import package_versions


def describe_here() -> JsonObject:
    """Returns versions and engine of this interpreter.

    Raises:
        SetupError: it has no engine.
    """
    engine = find_engine()
    versions = {name: text for name, text in package_versions().items() if text is not None}
    return {"engine": engine.label, "versions": versions}


def describe_python(python: str, environ: Mapping[str, str]) -> JsonObject:
    """Returns the same of another interpreter.

    Raises:
        SetupError: it cannot run af3opt, or has no engine.
    """
    try:
        completed = subprocess.run(
            module_command("af3opt.benchmarks.describe", python),
            env=dict(environ),
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError as error:
        raise SetupError(f"--baseline_python={python}: {error.strerror}") from error
    if completed.returncode:
        reason = (completed.stderr.strip().splitlines() or ["no message"])[-1]
        raise SetupError(f"--baseline_python={python}: {reason}")
    facts: JsonObject = json.loads(completed.stdout)
    return facts


def describe_host() -> JsonObject:
    """Returns what of the machine bears on the figures."""
    host = probe_host(os.environ)
    return {
        "cpu": host.cpu.model,
        "usable_cores": host.cpu.usable_cores,
        "bf16": sorted({"amx_bf16", "avx512_bf16"} & host.cpu.isa),
        "memory_gb": round((host.memory.limit_bytes or 0) / 1e9, 1),
        "gpus": [gpu.name for gpu in host.gpus],
        "system": f"{platform.system()} {platform.release()}",
        "load_average": round(os.getloadavg()[0], 2),
    }


def weights_label(model_dir: Path, manifest: SyntheticManifest | None) -> str:
    """Returns what kind of weights a directory holds, without its path."""
    if manifest is None:
        return f"those of --model_dir ({model_dir.name})"
    return f"random ones, depth: {manifest.depth}"


def shown_command(program: str, argv: Sequence[str]) -> str:
    """Returns a command for a report, with names in place of this machine's paths.

    Args:
        program: Its first words, such as "af3opt bench".
        argv: The flags.
    """
    words, name = [], ""
    for word in argv:
        flag, equals, value = word.rpartition("=")
        if word.startswith("-"):
            name = (flag or value).lstrip("-").upper()
        is_path = value.startswith(("/", "~"))
        words.append(f"{flag}{equals}${name}" if is_path else shlex.quote(word))
    return " ".join([program, *words])


if __name__ == "__main__":
    try:
        sys.stdout.write(json.dumps(describe_here()))
    except Af3optError as error:
        sys.exit(str(error))
