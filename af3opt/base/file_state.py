"""What tells that a file is still the one that was read, without reading it again.

Size and time of change are not enough: `cp -p`, `rsync -t` and images with fixed times give
another file both of them. A file that is replaced has another inode, and no tool sets the time
at which the system says it was changed. The device is left out: a network file system has
another number on each node. Where all of these are fixed, as in an image that was built again,
samples of the content tell.
"""

import hashlib
import os
import stat
from pathlib import Path

from af3opt.base.json_types import Json

# Few enough to cost milliseconds, on a disk as well; parameters that were trained further
# differ nearly everywhere.
_SAMPLES = 32
_SAMPLE_BYTES = 4 << 10


def file_state(path: Path) -> list[Json]:
    """Size, times and inode of a file, and a digest of samples of its content.

    Returns:
        JSON values; the first is the size in bytes. Equal lists mean the same content.

    Raises:
        OSError: it is gone, or cannot be read.
    """
    # A pipe has no content to take samples of, and must not be waited for.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        status = os.fstat(descriptor)
        samples = _samples(descriptor, status.st_size) if stat.S_ISREG(status.st_mode) else ""
    finally:
        os.close(descriptor)
    times = (status.st_mtime_ns, status.st_ctime_ns)
    return [status.st_size, *times, status.st_ino, samples]


def _samples(descriptor: int, size: int) -> str:
    digest = hashlib.sha256()
    last = max(0, size - _SAMPLE_BYTES)
    # The places of a small file are the same more than once.
    for start in sorted({last * sample // (_SAMPLES - 1) for sample in range(_SAMPLES)}):
        digest.update(os.pread(descriptor, _SAMPLE_BYTES, start))
    return digest.hexdigest()[:32]
