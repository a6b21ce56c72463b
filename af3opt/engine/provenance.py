"""Which distribution an engine's code belongs to, and where that was installed from.

Asked of the code that would be imported: of two distributions that both bring a package
`alphafold3`, or a checkout on PYTHONPATH in front of an installed one, only the owner of these
files counts.
"""

import contextlib
import importlib.metadata
import json
import re
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from af3opt.base.json_types import JsonObject

# Names under which engines are published.
_DISTRIBUTIONS = ("alphafold3-colabfold", "alphafold3")
_CLAIM = re.compile(r"""^__version__\s*=\s*["']([^"']{1,40})["']""", re.MULTILINE)


def distribution_of(root: Path) -> importlib.metadata.Distribution | None:
    """Returns the distribution that the engine in `root` was installed as, or None.

    Args:
        root: Directory of the package.
    """
    return next((one for one in _candidates(root.name) if _brings(one, root)), None)


def _candidates(package: str) -> Iterator[importlib.metadata.Distribution]:
    for name in _DISTRIBUTIONS:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            yield importlib.metadata.distribution(name)
    # Reads the file lists of all that is installed, which takes 0.3 s.
    for name in importlib.metadata.packages_distributions().get(package, ()):
        yield importlib.metadata.distribution(name)


def _brings(distribution: importlib.metadata.Distribution, root: Path) -> bool:
    """Whether a distribution's package is in `root`: installed there, or an editable checkout."""
    if Path(str(distribution.locate_file(root.name))).resolve() == root:
        return True
    origin = _direct_url(distribution)
    directory = _directory(origin)
    editable = origin.get("dir_info", {}).get("editable", False)
    return bool(editable and directory and root.is_relative_to(directory.resolve()))


def origin_of(distribution: importlib.metadata.Distribution) -> str | None:
    """Says where a distribution was installed from: a repository's commit or a directory.

    Args:
        distribution: Of the engine.

    Returns:
        A short text; None where it came from a package index.
    """
    origin = _direct_url(distribution)
    if "vcs_info" in origin:
        return f"{_without_user(origin['url'])}@{origin['vcs_info'].get('commit_id', '')[:12]}"
    directory = _directory(origin)
    return str(directory) if directory is not None else None


def checkout_of(distribution: importlib.metadata.Distribution) -> Path | None:
    """Returns the directory that a distribution was installed from, or None."""
    return _directory(_direct_url(distribution))


def _direct_url(distribution: importlib.metadata.Distribution) -> JsonObject:
    """PEP 610's note about an installation that came from no index; empty without one."""
    text = distribution.read_text("direct_url.json")
    with contextlib.suppress(ValueError):
        found = json.loads(text or "{}")
        if isinstance(found, dict) and isinstance(found.get("url", ""), str):
            return found
    return {}


def _directory(origin: JsonObject) -> Path | None:
    url = urllib.parse.urlsplit(origin.get("url", ""))
    if url.scheme != "file" or "dir_info" not in origin:
        return None
    return Path(urllib.request.url2pathname(url.path))


def _without_user(url: str) -> str:
    """A user's name or token in front of the host is nobody else's business."""
    parts = urllib.parse.urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def claimed_version(root: Path) -> str | None:
    """Returns the version that an engine's own source states, or None.

    Args:
        root: Directory of the package.
    """
    with contextlib.suppress(OSError, UnicodeDecodeError):
        claim = _CLAIM.search((root / "version.py").read_text(encoding="utf-8"))
        return claim[1] if claim else None
    return None
