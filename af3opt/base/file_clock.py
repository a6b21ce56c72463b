"""The clock that stamps files: a node's own may differ from that of a file server."""

from pathlib import Path

from af3opt.base.atomic import temporary_sibling


def file_server_ns(path: Path) -> int:
    """Returns nanoseconds since the epoch, by the clock that stamps the files beside a path.

    Args:
        path: Need not exist; its directory must. A probe is made under a temporary name of it.

    Raises:
        OSError: the directory cannot be written.
    """
    probe = temporary_sibling(path)
    try:
        probe.touch()
        return probe.stat().st_mtime_ns
    finally:
        probe.unlink(missing_ok=True)
