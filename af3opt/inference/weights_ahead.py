"""Making the local copy of the weights while the engine is still being imported.

Importing JAX and the engine keeps one core busy for seconds, and so does unpacking the
weights; in one process the interpreter's lock would make them take turns, so the copy
is made by another. It says what it finds as soon as somebody can use it: the files' digest, which
tells what has been folded with them; which parameters they hold, which is all that
compiling the model needs; then where the copy is. Which files count is the engine's to
say: they are guessed here, and if it chooses others, the copy made ahead is left unused.
"""

import contextlib
import dataclasses
import functools
import json
import logging
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from af3opt.base.child_process import module_command
from af3opt.base.errors import Af3optError
from af3opt.base.json_types import Json, JsonObject
from af3opt.inference.weights_copy import (
    ReadFiles,
    copy_directory,
    file_digest,
    file_states,
    make_copy,
    open_scratch,
)
from af3opt.inference.weights_format import (
    FormatUnknownError,
    WeightFiles,
    WeightsLayout,
    read_arrays,
)
from af3opt.inference.weights_map import MappedWeights

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class _Ahead:
    """A process that makes a copy.

    It tells in one line each the digest, the layout and, once it is written, where the copy
    is; it ends without if it cannot.
    """

    files: WeightFiles
    process: subprocess.Popen[str]
    # Of the files before the process began to read them.
    states: list[list[Json]]

    @functools.cached_property
    def sha256(self) -> str | None:
        """Digest of the files; waits until they have been read."""
        return self._line() or None

    @functools.cached_property
    def layout(self) -> WeightsLayout | None:
        """Which parameters they hold; waits until they have been decoded."""
        if self.sha256 is None:
            return None
        try:
            said = json.loads(self._line())
        except ValueError:
            return None
        return _layout_from(said)

    def scratch(self) -> Path | None:
        """Where the copy is; waits until it has been written."""
        if self.layout is None:
            return None
        said = self._line()
        return Path(said) if said else None

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().rstrip("\n")


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
    states = _states(files)
    process = subprocess.Popen(
        [*module_command(__name__), str(files.paths[0])],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    _started.append(_Ahead(files, process, states))
    try:
        yield
    finally:
        if _started:
            _started.clear()
            process.terminate()
        # Flushing a copy that was taken may still go on.
        with process:
            pass


def digest_ahead(files: WeightFiles) -> str | None:
    """Waits until another process has read these files.

    Returns:
        Their SHA-256 in hexadecimal; None where no copy was begun, or they could not be
        read, or have changed since.
    """
    ahead = _started_for(files)
    digest = ahead.sha256 if ahead else None
    return digest if ahead and _states(files) == ahead.states else None


def layout_ahead(files: WeightFiles) -> WeightsLayout | None:
    """Waits until another process has decoded these files from end to end.

    Returns:
        What they hold; None where no copy was begun, or they cannot be used so, or
        have changed since.
    """
    ahead = _started_for(files)
    layout = ahead.layout if ahead else None
    return layout if ahead and _states(files) == ahead.states else None


def take_ahead(files: WeightFiles) -> MappedWeights | None:
    """Waits for the copy of these files that another process is writing.

    Returns:
        The mapped weights; None where none was begun, or it could not be made.
    """
    ahead = _started_for(files)
    if ahead is None:
        return None
    _started.clear()
    scratch = ahead.scratch()
    return open_scratch(files, scratch) if scratch else None


def _started_for(files: WeightFiles) -> _Ahead | None:
    return next((one for one in _started if one.files == files), None)


def _guess(model_dir: Path) -> WeightFiles | None:
    """The only file that can hold the weights, if there is just one."""
    try:
        found = [path for path in model_dir.glob("*.bin*") if path.is_file()]
    except OSError:
        return None
    if len(found) != 1 or not found[0].name.endswith((".bin", ".bin.zst")):
        return None
    return _single_file(found[0])


def _states(files: WeightFiles) -> list[list[Json]]:
    """The state of each file; nothing where one is gone."""
    try:
        return file_states(files)
    except OSError:
        return []


def _single_file(path: Path) -> WeightFiles:
    return WeightFiles(paths=(path,), compressed=path.suffix == ".zst")


def _main(path: Path) -> None:
    """Tells digest and layout of one file, makes the copy, and tells where it is once written."""
    # The parent blocks its signals, and children inherit that.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    files = _single_file(path)
    # Whoever loads the weights meets the same problem, and reports it.
    with contextlib.suppress(Af3optError, FormatUnknownError, OSError):
        states = file_states(files)
        # Both at once: while the other process imports, they share a core, and then it waits.
        digests = _digest_beside(files)
        arrays = read_arrays(files)
        digest = digests.get()
        if digest is None:
            return
        _tell(json.dumps(dataclasses.asdict(WeightsLayout(arrays=arrays, sha256=digest))))
        read = ReadFiles(digest, states)
        make_copy(files, known=read, on_written=lambda scratch: _tell(str(scratch)))


def _digest_beside(files: WeightFiles) -> "queue.SimpleQueue[str | None]":
    """Computes and tells the digest in a thread, which does not hold up an end of the process.

    Returns:
        Gives the digest once it is known, None if the files cannot be read.
    """
    digests: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def compute() -> None:
        digest = None
        try:
            with contextlib.suppress(OSError):
                digest = file_digest(files)
                _tell(digest)
        finally:
            # Whatever happened: somebody waits for it.
            digests.put(digest)

    threading.Thread(target=compute, daemon=True).start()
    return digests


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _layout_from(said: JsonObject) -> WeightsLayout:
    arrays = tuple(
        (scope, name, dtype, tuple(shape)) for scope, name, dtype, shape in said["arrays"]
    )
    return WeightsLayout(arrays=arrays, sha256=said["sha256"])


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
