"""Run by `doctor` as a process: looks at device, weights and engine, and writes JSON lines.

What is quick comes first and each line is written as soon as it is known, so that on a
busy machine or a slow disk only the rest is missing.
"""

import contextlib
import json
import logging
import sys
import time
from pathlib import Path

from af3opt.base.errors import Af3optError
from af3opt.base.json_types import Json, JsonObject


def main(backend: str, attention: str, model_dir: Path) -> None:
    """Looks at device, weights and engine.

    Args:
        backend: "cpu", "gpu" or "mps".
        attention: "triton", "cudnn" or "xla".
        model_dir: Directory with model parameters.
    """
    logging.disable(logging.CRITICAL)
    _look_at_device(backend)
    _look_at_weights(model_dir)
    _look_at_engine(backend, attention)


def _look_at_device(backend: str) -> None:
    try:
        from af3opt.inference.device import choose_device

        device = choose_device(backend)
    except Exception as error:  # whatever a broken installation raises is the finding
        _say(device_error=_text(error))
    else:
        _say(device=f"{device.platform} ({device.device_kind})")


def _look_at_weights(model_dir: Path) -> None:
    """Needs of the engine only the module that reads parameters, which imports fast."""
    try:
        from af3opt.inference.weights_format import (
            FormatUnknownError,
            RecordStream,
            find_weight_files,
        )

        files = find_weight_files(model_dir)
        # The engine's own loader reads what ours does not know.
        with contextlib.suppress(FormatUnknownError):
            next(iter(RecordStream(files)))
    except ImportError:  # The engine's import is looked at next and says so.
        return
    except (Af3optError, OSError) as error:
        _say(weights_error=str(error))
    else:
        _say(weights=[str(path) for path in files.paths])


def _look_at_engine(backend: str, attention: str) -> None:
    start = time.monotonic()
    try:
        from af3opt.data.bootstrap import bootstrap_engine
        from af3opt.data.resources import NoComponentDataError

        try:
            bootstrap_engine()
        except NoComponentDataError:
            _say(no_component_data=True)
            return
        seconds = time.monotonic() - start
        found = _optimisations(backend, attention)
    except Exception as error:  # whatever a broken installation raises is the finding
        _say(engine_error=_text(error))
    else:
        _say(engine_seconds=seconds, **found)


def _optimisations(backend: str, attention: str) -> JsonObject:
    """Why each optimisation for this backend would step aside, or None; which lack a package."""
    from af3opt.optimizations import OPTIMIZATIONS
    from af3opt.optimizations.base import Context

    context = Context(backend=backend, attention=attention)
    considered = [one for one in OPTIMIZATIONS if one.applies(context) and one.needed()]
    return {
        "optimisations": {one.name: one.obstacle() for one in considered},
        "lacking_package": [one.name for one in considered if one.lacks_package()],
    }


def _text(error: Exception) -> str:
    if isinstance(error, Af3optError):
        return str(error)
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


def _say(**facts: Json) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
