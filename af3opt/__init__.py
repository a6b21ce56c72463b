"""af3opt: run AlphaFold 3 on HPC clusters, faster and safe to kill.

Importing this package never imports JAX or the engine, so that the environment
can still be prepared for them. It imports nothing at all: the command is ready for
Ctrl-C only after that (see `__main__`). Public names are resolved on first use.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Public name -> module that defines it; resolved lazily because most of these
# modules import numpy or JAX, which `af3opt --help` must not pay for.
_PUBLIC: dict[str, str] = {
    "__version__": "af3opt.base.version",
    "CacheManager": "af3opt.caching.manager",
    "FeatureCache": "af3opt.features.cache",
    "MsaCache": "af3opt.features.msa_cache",
    "compress_features": "af3opt.features.compress",
    "decompress_features": "af3opt.features.compress",
    "create_model_runner": "af3opt.inference.model_runner",
    "featurise": "af3opt.features.featurise",
    "merge_results": "af3opt.inference.splitting",
    "ModelRunner": "af3opt.inference.model_runner",
    "optimize_features": "af3opt.features.optimize",
    "parallel_featurize": "af3opt.features.parallel",
    "post_process_result": "af3opt.inference.results",
    "split_batch": "af3opt.inference.splitting",
    "MemoryManager": "af3opt.memory",
    "NumericsHandler": "af3opt.numerics",
}

__all__ = [*_PUBLIC]


def __getattr__(name: str) -> "Any":
    """Resolves a public name on first use."""
    if name in _PUBLIC:
        import importlib

        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
