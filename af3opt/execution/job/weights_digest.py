"""The digest of the weights without loading them, and mostly without reading them.

Reading a gigabyte, or importing the engine that knows which files count, only to find
that nothing is left to do would be slow. So digests are remembered under AF3OPT_HOME
for as long as names and states of the files in the model directory stay; see
`base.file_state`.
"""

import contextlib
from collections.abc import Callable
from pathlib import Path

from af3opt.base.atomic import atomic_write_text
from af3opt.base.errors import SetupError
from af3opt.base.file_state import file_state
from af3opt.base.foreign_files import read_private
from af3opt.base.json_files import parse_sealed, sealed_json
from af3opt.base.json_types import Json
from af3opt.base.key import text_digest
from af3opt.base.paths import af3opt_home, private_directory
from af3opt.inference.weights_ahead import digest_ahead
from af3opt.inference.weights_copy import file_digest
from af3opt.inference.weights_format import WeightFiles

_MOST_BYTES = 1 << 20


def weights_digest(model_dir: Path, find_files: Callable[[Path], WeightFiles]) -> str:
    """Returns the SHA-256 of a model directory's weights, in hexadecimal.

    Args:
        model_dir: Directory given as `--model_dir`.
        find_files: Selects the weight files; called only when nothing is remembered.

    Raises:
        SetupError: from `find_files`.
    """
    model_dir = model_dir.expanduser()
    state = _state(model_dir)
    known = _remembered(model_dir, state)
    if known is not None:
        return known
    files = find_files(model_dir)
    # The process that makes the local copy has read them already, or is doing so.
    digest = digest_ahead(files) or file_digest(files)
    # A read-only home costs reading the weights again, nothing else.
    with contextlib.suppress(OSError, SetupError):
        path = _memory(model_dir)
        private_directory(path.parent)
        content = sealed_json({"state": state, "sha256": digest})
        atomic_write_text(path, content, mode=0o600)
    return digest


def remembered_digest(model_dir: Path) -> str | None:
    """Returns what `weights_digest` has found out before, None where the files must be read.

    Args:
        model_dir: Directory given as `--model_dir`; need not exist.
    """
    model_dir = model_dir.expanduser()
    return _remembered(model_dir, _state(model_dir))


def _remembered(model_dir: Path, state: list[list[Json]]) -> str | None:
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        known = parse_sealed(read_private(_memory(model_dir), _MOST_BYTES))
        if state and known["state"] == state and isinstance(known["sha256"], str):
            return str(known["sha256"])
    return None


def _memory(model_dir: Path) -> Path:
    """Where the digest of a directory's weights is remembered."""
    return af3opt_home() / "weights-digests" / f"{text_digest(str(model_dir.resolve()))}.json"


def _state(model_dir: Path) -> list[list[Json]]:
    """Name and state of every file that may hold weights."""
    states = []
    with contextlib.suppress(OSError):
        for path in sorted(model_dir.glob("*.bin*")):
            states.append([path.name, *file_state(path)])
    return states
