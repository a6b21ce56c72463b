"""The package's version, and those of the distributions it computes with."""

import functools
import importlib.metadata
from collections.abc import Mapping

from af3opt.base.sources import sources_digest

__version__ = "0.1.0"

# Distributions, besides the engine, whose code computes the model's results.
COMPUTING = ("jax", "jaxlib", "dm-haiku", "tokamax", "numpy", "colabfold-kernels")
# And those whose versions decide results: conformers come from RDKit.
DECIDING = (*COMPUTING, "rdkit")
# af3opt's folders whose code decides numbers.
_DECIDING_PARTS = ("data", "engine", "features", "inference", "numerics", "optimizations")


def installed_version(package: str) -> str | None:
    """The version of a distribution in this environment, or None when there is none."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


@functools.cache
def deciding_versions() -> Mapping[str, str | None]:
    """Versions of the packages whose code decides numbers, and a digest of af3opt's own.

    The digest is over the folders that take part, so a release that leaves them as they
    were continues what an earlier one began. Another version of anything here is another
    run: nobody has shown that its results are the same.

    Returns:
        Distribution, or "af3opt_code" -> version or digest; None if it is not installed.
    """
    versions = {name: installed_version(name) for name in DECIDING}
    return {"af3opt_code": sources_digest(*_DECIDING_PARTS), **versions}
