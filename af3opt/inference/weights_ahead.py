"""Making the local copy of the weights while the engine is still being imported.

Importing JAX and the engine keeps one core busy for seconds, and so does unpacking the
weights; in one process the interpreter's lock would make them take turns, so the copy
is made by another. Which files count is the engine's to say: they are guessed here, and
if it chooses others, the copy made ahead is left unused.
"""

import contextlib
import dataclasses
import logging
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from af3opt.child_process import module_command
from af3opt.errors import Af3optError
from af3opt.inference.weights_copy import MappedWeights, copy_directory, make_copy, open_scratch
from af3opt.inference.weights_format import FormatUnknownError, WeightFiles

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True)
class _Ahead:
    """A process that makes a copy and says, in one line, where it is once written."""

    files: WeightFiles
    process: subprocess.Popen[str]


# At most one: a process folds with one set of weights.
_started: list[_Ahead] = []


@contextlib.contextmanager
def weights_ahead(model_dir: Path, *, wanted: bool = True) -> Iterator[None]:
    """Makes the local copy in another process, for `take_ahead` inside the block.

    Does nothing where there is a copy already, or where it is not plain which file
    holds the weights. A copy that nobody has taken is given up at the end.

    Args:
        model_dir: Directory given as `--model_dir`.
        wanted: Whether this process is going to need weights, and a copy of them.
    """
    files = _guess(model_dir.expanduser()) if wanted else None
    if files is None or copy_directory(files).exists():
        yield
        return
    process = subprocess.Popen(
        [*module_command(__name__), str(files.paths[0])],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    _started.append(_Ahead(files, process))
    try:
        yield
    finally:
        if _started:
            _started.clear()
            process.terminate()
        # Flushing a copy that was taken may still go on.
        with process:
            pass


def take_ahead(files: WeightFiles) -> MappedWeights | None:
    """Waits for the copy of these files that another process is writing.

    Returns:
        The mapped weights; None where none was begun, or it could not be made.
    """
    if not _started or _started[0].files != files:
        return None
    stream = _started.pop().process.stdout
    assert stream is not None
    scratch = stream.readline().rstrip("\n")
    return open_scratch(files, Path(scratch)) if scratch else None


def _guess(model_dir: Path) -> WeightFiles | None:
    """The only file that can hold the weights, if there is just one."""
    try:
        found = [path for path in model_dir.glob("*.bin*") if path.is_file()]
    except OSError:
        return None
    if len(found) != 1 or not found[0].name.endswith((".bin", ".bin.zst")):
        return None
    return _single_file(found[0])


def _single_file(path: Path) -> WeightFiles:
    return WeightFiles(paths=(path,), compressed=path.suffix == ".zst")


def _main(path: Path) -> None:
    """Makes the copy of one file; prints where it is as soon as it is written."""
    # The parent blocks its signals, and children inherit that.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    # Whoever loads the weights meets the same problem, and reports it.
    with contextlib.suppress(Af3optError, FormatUnknownError):
        make_copy(_single_file(path), on_written=_tell)


def _tell(scratch: Path) -> None:
    sys.stdout.write(f"{scratch}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
