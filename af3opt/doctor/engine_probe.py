"""Run by `doctor` as a process: imports the engine, writes what it finds as JSON lines.

Each line is written as soon as it is known, so that what is slow costs only the rest.
"""

import contextlib
import json
import logging
import sys
import time
from pathlib import Path
from typing import Any

from af3opt.errors import Af3optError


def main(backend: str, model_dir: Path) -> None:
    """Looks at engine, device and weights.

    Args:
        backend: "cpu", "gpu" or "mps".
        model_dir: Directory with model parameters.
    """
    logging.disable(logging.CRITICAL)
    start = time.monotonic()
    try:
        from af3opt.engine.bootstrap import bootstrap_engine
        from af3opt.inference.device import choose_device

        bootstrap_engine()
        device = choose_device(backend)
    except Af3optError as error:
        _say(error=str(error))
        return
    except Exception as error:  # whatever a broken installation raises is the finding
        _say(error=" ".join(f"{type(error).__name__}: {error}".split())[:300])
        return
    _say(device=f"{device.platform} ({device.device_kind})", seconds=time.monotonic() - start)
    _look_at_weights(model_dir)
    _look_at_optimisations(backend)


def _look_at_weights(model_dir: Path) -> None:
    from af3opt.inference.weights_format import FormatUnknownError, RecordStream, find_weight_files

    try:
        files = find_weight_files(model_dir)
        # The engine's own loader reads what ours does not know.
        with contextlib.suppress(FormatUnknownError):
            next(iter(RecordStream(files)))
    except (Af3optError, OSError) as error:
        _say(weights_error=str(error))
    else:
        _say(weights=[str(path) for path in files.paths])


def _look_at_optimisations(backend: str) -> None:
    from af3opt.optimizations import OPTIMIZATIONS
    from af3opt.optimizations.base import Context

    context = Context(backend=backend)
    _say(
        optimisations={
            one.name: one.obstacle()
            for one in OPTIMIZATIONS
            if backend in one.backends and one.wanted(context)
        }
    )


def _say(**facts: Any) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
