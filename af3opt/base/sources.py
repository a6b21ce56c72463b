"""Digests of af3opt's own source files: the part of a cache key that nobody has to raise."""

import functools
import hashlib
from pathlib import Path

import af3opt


@functools.cache
def sources_digest(*parts: str) -> str:
    """Digest of the source files of some of af3opt's folders.

    Args:
        parts: Folders of the package, such as "features".

    Returns:
        16 hexadecimal digits.
    """
    digest = hashlib.sha256()
    root = Path(af3opt.__file__).parent
    sources = [path for part in parts for path in (root / part).rglob("*.py")]
    for path in sorted(sources):
        digest.update(path.relative_to(root).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
