"""The engine's own way to its weights: which files of a directory count, and its loader."""

import os
from pathlib import Path
from typing import Any

from af3opt.engine.modules import engine_module
from af3opt.engine.protocols import Array


class DamagedParametersError(Exception):
    """The engine's loader cannot read the files."""


def select_model_files(model_dir: Path) -> tuple[tuple[Path, ...], bool]:
    """Selects the model files of a directory by the engine's rules.

    Returns:
        One file, or the parts of a split one; and whether their concatenation is compressed.

    Raises:
        FileNotFoundError: there is no model.
        RuntimeError: there is more than one.
        OSError: the directory cannot be read.
    """
    paths, compressed = engine_module("model.params").select_model_files(model_dir)
    return tuple(Path(os.fspath(path)) for path in paths), bool(compressed)


def load_parameters(model_dir: Path) -> dict[str, dict[str, Array]]:
    """Loads the weights with the engine's own loader.

    Returns:
        Arrays by scope and name.

    Raises:
        DamagedParametersError: the files cannot be read or are no weights.
    """
    module = engine_module("model.params")
    errors: tuple[Any, ...] = (OSError, ValueError, module.RecordError)
    try:
        params: dict[str, dict[str, Array]] = module.get_model_haiku_params(model_dir=model_dir)
    except errors as error:
        raise DamagedParametersError(str(error)) from error
    return params
