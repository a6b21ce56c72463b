"""Which file system a path lies on, and how fast it reads."""

import contextlib
import dataclasses
import mmap
import os
import re
import stat
import time
from pathlib import Path

# Names in /proc/self/mountinfo of file systems that several machines share.
_NETWORK_TYPES = frozenset(
    {
        "9p", "afs", "beegfs", "ceph", "cifs", "fhgfs", "fuse.ceph", "fuse.glusterfs",
        "fuse.juicefs", "fuse.sshfs", "glusterfs", "gpfs", "lustre", "nfs", "nfs4", "ocfs2",
        "orangefs", "panfs", "pvfs2", "smb2", "smb3", "smbfs", "virtiofs", "wekafs",
    }
)  # fmt: skip
_ESCAPED = re.compile(r"\\([0-7]{3})")
_BLOCK_BYTES = 1 << 20


@dataclasses.dataclass(frozen=True, slots=True)
class FileSystem:
    """A mounted file system.

    Attributes:
        kind: Its type as Linux names it, such as "ext4", or "unknown".
        mount_point: Where it is mounted.
    """

    kind: str
    mount_point: Path

    @property
    def is_network(self) -> bool:
        """Whether other machines share it."""
        return self.kind in _NETWORK_TYPES

    @property
    def label(self) -> str:
        """Text for reports."""
        return f"{self.kind}{', network' if self.is_network else ''}"


def file_system_of(path: Path, mountinfo: Path = Path("/proc/self/mountinfo")) -> FileSystem:
    """Finds the file system that holds `path`, which must exist.

    Args:
        path: File or directory.
        mountinfo: List of mounts (proc(5)); another one in tests.
    """
    resolved = path.resolve()
    best = FileSystem("unknown", Path("/"))
    with contextlib.suppress(OSError):
        for line in mountinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            before, separator, after = line.partition(" - ")
            fields = before.split()
            if not separator or len(fields) < 5:
                continue
            mount_point = Path(_ESCAPED.sub(lambda match: chr(int(match[1], 8)), fields[4]))
            deeper = len(mount_point.parts) >= len(best.mount_point.parts)
            # Of several mounts on one directory the last one is visible.
            if deeper and resolved.is_relative_to(mount_point):
                best = FileSystem(after.split(maxsplit=1)[0], mount_point)
    return best


def read_speed(path: Path, most_bytes: int = 64 << 20, most_seconds: float = 2.0) -> float | None:
    """Measures how fast a file is read from its device, past the page cache.

    Args:
        path: File; its second half is read, which a search has cached least likely.
        most_bytes: Bytes to read at most.
        most_seconds: Time after which no further block is read.

    Returns:
        Bytes per second, or None when the file is smaller than four blocks or its
        file system cannot be read directly.
    """
    descriptor = -1
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECT)
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size < 4 * _BLOCK_BYTES:
            return None
        # Direct reads need memory and offsets aligned to the device's blocks.
        position = status.st_size // 2 // _BLOCK_BYTES * _BLOCK_BYTES
        end = min(position + most_bytes, status.st_size // _BLOCK_BYTES * _BLOCK_BYTES)
        with mmap.mmap(-1, _BLOCK_BYTES) as block:
            done, start = 0, time.monotonic()
            while position < end and time.monotonic() - start < most_seconds:
                count = os.preadv(descriptor, [block], position)
                position, done = position + count, done + count
                if count < _BLOCK_BYTES:
                    break
            return done / max(time.monotonic() - start, 1e-6)
    except OSError:
        return None
    finally:
        if descriptor >= 0:
            os.close(descriptor)
