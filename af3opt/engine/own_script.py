"""The `run_alphafold.py` of the installed engine: where it is, and what it pads to by default.

DeepMind publishes the script beside the package, not in it, so it is found only where the
checkout that the engine was installed from is still there, as in their container.
"""

import ast
import functools
from pathlib import Path

from af3opt.base.errors import SetupError
from af3opt.engine.discovery import package_root
from af3opt.engine.provenance import checkout_of, distribution_of
from af3opt.settings.upstream import DEFAULT_BUCKETS

_NAME = "run_alphafold.py"
_FLAG = "buckets"
# Up to the release v3.0.4; DeepMind added 128 and 384 a day before the field below.
OLDER_BUCKETS = tuple(size for size in DEFAULT_BUCKETS if size not in (128, 384))
_DEEPMIND = "alphafold3"
_NEWER_FIELD = "hmmsearch_n_cpu"


def own_script() -> Path | None:
    """Returns the script of the checkout that the engine was installed from, or None.

    Raises:
        SetupError: no engine is installed.
    """
    root = package_root()
    # An editable install: <checkout>/src/alphafold3.
    places = [root.parent.parent] if root.parent.name == "src" else []
    distribution = distribution_of(root)
    checkout = checkout_of(distribution) if distribution is not None else None
    places += [checkout] if checkout is not None else []
    return next((place / _NAME for place in places if (place / _NAME).is_file()), None)


@functools.cache
def engine_buckets() -> tuple[int, ...]:
    """Token counts that the installed engine's own script pads to by default.

    Read from the script where it is at hand. Else the engine's age tells, where it is
    DeepMind's; all others get the newest list.
    """
    try:
        script = own_script()
        root = package_root()
    except SetupError:
        return DEFAULT_BUCKETS
    listed = default_buckets(script) if script is not None else None
    if listed is not None:
        return listed
    distribution = distribution_of(root)
    pipeline = root / "data" / "pipeline.py"
    deepmind = distribution is not None and distribution.metadata["Name"] == _DEEPMIND
    if deepmind and pipeline.is_file() and _NEWER_FIELD not in pipeline.read_text("utf-8"):
        return OLDER_BUCKETS
    return DEFAULT_BUCKETS


def default_buckets(script: Path) -> tuple[int, ...] | None:
    """Reads the default of `--buckets` from a script, without running it.

    Args:
        script: A `run_alphafold.py`.

    Returns:
        The sizes; None where it does not state them as a plain list of numbers.
    """
    try:
        tree = ast.parse(script.read_text(encoding="utf-8-sig"))
    except (OSError, SyntaxError, ValueError):
        return None
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or len(node.args) < 2:
            continue
        flag, default = node.args[:2]
        if isinstance(flag, ast.Constant) and flag.value == _FLAG:
            try:
                sizes = tuple(int(size) for size in ast.literal_eval(default))
            except (ValueError, TypeError):
                return None
            return sizes if sizes and sizes == tuple(sorted(set(sizes))) else None
    return None
