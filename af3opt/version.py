"""Single source of the package version."""

import importlib.metadata

__version__ = "0.1.0"


def installed_version(package: str) -> str | None:
    """The version of a distribution in this environment, or None when there is none."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
