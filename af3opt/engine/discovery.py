"""Finds the installed AlphaFold 3 engine without importing it.

The import name `alphafold3` is shared by DeepMind's build, by forks of it, and by
an unrelated PyTorch project; version strings are kept by forks. So an engine is
recognised by the files it consists of, and identified by a digest of them.
"""

import dataclasses
import functools
import hashlib
import importlib.util
from pathlib import Path

from af3opt.base.errors import SetupError
from af3opt.base.installing import pip_install
from af3opt.engine.provenance import claimed_version, distribution_of, origin_of

# The package; the one place where its name is spelt.
ENGINE = "alphafold3"
# Files every supported engine has: DeepMind v3.0.1 and later, and the ColabFold fork 3.1.x.
_REQUIRED_FILES = (
    "common/folding_input.py",
    "constants/chemical_components.py",
    "data/featurisation.py",
    "data/pipeline.py",
    "model/model.py",
    "model/params.py",
    "model/post_processing.py",
    "model/pipeline/pipeline.py",
)
# Where v3.0.0 kept its model, before the API that later versions share.
_V300_FILE = "model/diffusion/model.py"
_REQUIRED_PACKAGES = {
    "jax": "jax",
    "haiku": "dm-haiku",
    "numpy": "numpy",
    "rdkit": "rdkit",
    "zstandard": "zstandard",
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class EngineInfo:
    """An installed engine.

    Attributes:
        root: Directory of the `alphafold3` package.
        distribution: Name of the distribution that the files in `root` belong to, or None
            when they were copied in by hand or stand on PYTHONPATH.
        version: The distribution's version, else the one that the source states; informative
            only, never trusted.
        fingerprint: 16 hex digits over the contents of every Python and compiled
            file; equal fingerprints mean equal engines.
        origin: Repository and commit, or directory, that it was installed from; None for a
            package index.
    """

    root: Path
    distribution: str | None
    version: str | None
    fingerprint: str
    origin: str | None = None

    @property
    def label(self) -> str:
        """Short text for logs and records."""
        name = " ".join(filter(None, (self.distribution or ENGINE, self.version)))
        source = f" from {self.origin}" if self.origin else ""
        return f"{name}{source} (fingerprint {self.fingerprint})"


@functools.cache
def find_engine() -> EngineInfo:
    """Locates the engine that `import alphafold3` would give.

    Raises:
        SetupError: there is none, the package of that name is something else, it
            is too old, or a package it needs is missing.
    """
    root = package_root()
    missing = [name for name in _REQUIRED_FILES if not (root / name).is_file()]
    if missing:
        if (root / _V300_FILE).is_file():
            raise SetupError(
                f"the engine in {root} is AlphaFold 3 v3.0.0, which is too old; "
                "upgrade it to v3.0.1 or later"
            )
        raise SetupError(
            f"the package 'alphafold3' in {root} is not AlphaFold 3 (it has no {missing[0]}); "
            f"uninstall it (pip uninstall alphafold3) and {_install_hint()}"
        )
    if not any(root.glob("cpp*.so")):
        raise SetupError(
            f"the engine in {root} has no compiled module (cpp*.so); reinstall it for this Python"
        )
    absent = [
        package
        for module, package in _REQUIRED_PACKAGES.items()
        if importlib.util.find_spec(module) is None
    ]
    if absent:
        raise SetupError(
            f"the engine in {root} needs {', '.join(absent)}, which is not installed; "
            f"run: pip install {' '.join(absent)}"
        )
    distribution = distribution_of(root)
    return EngineInfo(
        root=root,
        distribution=distribution.metadata["Name"] if distribution else None,
        version=distribution.version if distribution else claimed_version(root),
        fingerprint=_fingerprint(root),
        origin=origin_of(distribution) if distribution else None,
    )


def _install_hint() -> str:
    return (
        "install DeepMind's AlphaFold 3 (https://github.com/google-deepmind/alphafold3) in this "
        f"environment, or the packaged engine with: {pip_install('engine')}"
    )


def package_root() -> Path:
    """Returns the directory of the package that `import alphafold3` would give.

    Raises:
        SetupError: there is none.
    """
    try:
        spec = importlib.util.find_spec(ENGINE)
    except (ImportError, ValueError):
        spec = None
    locations = list(spec.submodule_search_locations or ()) if spec else []
    if not locations:
        raise SetupError(f"no AlphaFold 3 engine is installed for this Python; {_install_hint()}")
    return Path(locations[0]).resolve()


def _fingerprint(root: Path) -> str:
    digest = hashlib.sha256()
    files = [*root.rglob("*.py"), *root.glob("*.so")]
    for path in sorted(files, key=lambda path: path.relative_to(root).as_posix()):
        digest.update(path.relative_to(root).as_posix().encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def terms_of_use_path(engine: EngineInfo) -> Path:
    """Returns where the engine keeps its terms of use for outputs; the file may not exist."""
    return engine.root / "OUTPUT_TERMS_OF_USE.md"
