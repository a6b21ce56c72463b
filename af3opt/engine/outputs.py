"""Result files, written by the engine's own post-processing into directories we name."""

import dataclasses
import inspect
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import zstandard

from af3opt.engine.discovery import find_engine, terms_of_use_path
from af3opt.engine.modules import engine_module
from af3opt.engine.protocols import InferenceResult as InferenceResult

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
        keep_license: Keep the licence in the mmCIF. Engines that have no way to leave
            it out lose the comment at the top only, not the `_pdbx_data_usage` category.
        synthetic: Mark the files as made with synthetic weights.
    """
    write_output = engine_module("model.post_processing").write_output
    # Compressed here, not by the engine: the older ones cannot, and all files are
    # changed below before they are.
    options: dict[str, Any] = {}
    removes_license = "keep_license" in inspect.signature(write_output).parameters
    if not keep_license and removes_license:
        options["keep_license"] = False
    write_output(inference_result=result, output_dir=directory, name=name, **options)
    model = directory / f"{name}_model.cif"
    if not keep_license and not removes_license:
        model.write_text(_without_comment(model.read_text()))
    if synthetic:
        _mark_synthetic(model, directory / f"{name}_summary_confidences.json")
    if compress:
        for path in (model, directory / f"{name}_confidences.json"):
            _compress(path)


def _without_comment(cif: str) -> str:
    """Drops the comment above the data block, where engines put the licence."""
    return cif[cif.index("data_") :] if cif.startswith("#") else cif


def _mark_synthetic(model: Path, summary: Path) -> None:
    """Says in the mmCIF and the summary that the weights were random."""
    model.write_bytes(_marked_model(model.read_bytes()))
    summary.write_bytes(_marked_summary(summary.read_bytes()))


def mark_processed(processed: Any) -> Any:
    """Says the same in what the engine is about to write.

    Args:
        processed: The engine's `ProcessedInferenceResult`.
    """
    summary = _marked_summary(processed.structure_confidence_summary_json)
    return dataclasses.replace(
        processed, cif=_marked_model(processed.cif), structure_confidence_summary_json=summary
    )


def _marked_model(cif: bytes) -> bytes:
    return f"# {SYNTHETIC_NOTE}\n".encode() + cif


def _marked_summary(text: bytes) -> bytes:
    content = {**json.loads(text), "af3opt_note": SYNTHETIC_NOTE}
    return json.dumps(content, indent=1).encode()


def _compress(path: Path) -> None:
    """Replaces a file by its zstandard form, as upstream's newer versions write it."""
    with path.with_name(f"{path.name}.zst").open("wb") as target:  # noqa: SIM117
        with zstandard.ZstdCompressor().stream_writer(target) as stream:
            stream.write(path.read_bytes())
    path.unlink()


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
    path = terms_of_use_path(find_engine())
    return path.read_text() if path.exists() else None


def why_no_terms_of_use() -> str | None:
    """Says why results get no terms of use; None where the engine ships them."""
    path = terms_of_use_path(find_engine())
    return None if path.exists() else f"the engine has no {path}: results get no TERMS_OF_USE.md"
