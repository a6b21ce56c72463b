"""The package's version, and those of the distributions it computes with."""

import importlib.metadata

__version__ = "0.1.0"

# Distributions, besides the engine, whose code computes the model's results.
COMPUTING = ("jax", "jaxlib", "dm-haiku", "tokamax", "numpy", "colabfold-kernels")
# And those whose versions decide results: conformers come from RDKit.
DECIDING = (*COMPUTING, "rdkit")


def installed_version(package: str) -> str | None:
    """The version of a distribution in this environment, or None when there is none."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
