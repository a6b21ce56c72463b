"""Result files, written by the engine's own post-processing into directories we name."""

import inspect
import io
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import zstandard

from af3opt.engine.discovery import find_engine
from af3opt.engine.modules import engine_module

_log = logging.getLogger(__name__)

# The engine's `model.InferenceResult`: one diffusion sample after post-processing.
type InferenceResult = Any

SYNTHETIC_NOTE = "Made with random synthetic weights by af3opt: this structure predicts nothing."


def write_sample(
    result: InferenceResult,
    directory: Path,
    name: str,
    *,
    compress: bool,
    keep_license: bool,
    synthetic: bool,
) -> None:
    """Writes `<name>_model.cif`, `<name>_confidences.json` and `<name>_summary_confidences.json`.

    Args:
        result: One sample as the engine extracted it.
        directory: Existing directory to write to.
        name: Prefix of the file names.
        compress: Write the mmCIF and the full confidences as `.zst`.
        keep_license: Keep the licence comment in the mmCIF.
        synthetic: Mark the files as made with synthetic weights.
    """
    write_output = engine_module("model.post_processing").write_output
    options: dict[str, Any] = {"compress": compress}
    if not keep_license:
        options["keep_license"] = False
    accepted = inspect.signature(write_output).parameters
    for option in sorted(set(options) - set(accepted)):
        if options[option] != (option == "keep_license"):
            _report_unsupported(option)
        del options[option]
    write_output(inference_result=result, output_dir=directory, name=name, **options)
    if synthetic:
        _mark_synthetic(directory, name)


_FLAG_OF_OPTION = {
    "compress": "compress_large_output_files",
    "keep_license": "save_terms_of_use=false (licence inside the mmCIF)",
}
_reported: set[str] = set()


def _report_unsupported(option: str) -> None:
    if option not in _reported:
        _reported.add(option)
        _log.warning(
            "--%s has no effect: the installed engine cannot do it", _FLAG_OF_OPTION[option]
        )


def _mark_synthetic(directory: Path, name: str) -> None:
    """Says in the mmCIF and the summary that the weights were random."""
    for suffix in ("_model.cif", "_model.cif.zst"):
        path = directory / f"{name}{suffix}"
        if path.exists():
            _rewrite(path, lambda text: f"# {SYNTHETIC_NOTE}\n{text}")
    summary = directory / f"{name}_summary_confidences.json"
    content = json.loads(summary.read_text())
    content["af3opt_note"] = SYNTHETIC_NOTE
    summary.write_text(json.dumps(content, indent=1))


def _rewrite(path: Path, change: Any) -> None:
    compressed = path.suffix == ".zst"
    data = path.read_bytes()
    if compressed:
        data = zstandard.ZstdDecompressor().decompressobj().decompress(data)
    data = change(data.decode()).encode()
    if compressed:
        data = zstandard.ZstdCompressor().compress(data)
    path.write_bytes(data)


def write_embeddings(embeddings: Mapping[str, np.ndarray], directory: Path, name: str) -> None:
    """Writes `<name>_embeddings.npz` through the engine."""
    writer = engine_module("model.post_processing").write_embeddings
    accepted = inspect.signature(writer).parameters
    options = {"name": name} if "name" in accepted else {}
    writer(embeddings=dict(embeddings), output_dir=directory, **options)


def write_distogram(distogram: np.ndarray, directory: Path, name: str) -> None:
    """Writes `<name>_distogram.npz` as upstream's script does.

    Args:
        distogram: (tokens, tokens, 64) probabilities, saved as float16.
        directory: Existing directory.
        name: Prefix of the file name.
    """
    with io.BytesIO() as buffer:
        np.savez_compressed(buffer, distogram=distogram.astype(np.float16))
        (directory / f"{name}_distogram.npz").write_bytes(buffer.getvalue())


def terms_of_use() -> str | None:
    """The engine's terms of use for outputs, or None if it ships none."""
    path = find_engine().root / "OUTPUT_TERMS_OF_USE.md"
    return path.read_text() if path.exists() else None
