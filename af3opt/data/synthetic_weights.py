"""Random weights of the engine's true shapes, for tests and benchmarks.

Such weights predict nothing. A manifest beside them says so, and everything made
with them is marked. `small` depth keeps every channel and cuts layers and
diffusion steps, so that a fold takes seconds; it must be run with the manifest's
configuration overrides.
"""

import dataclasses
import functools
import hashlib
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path

from af3opt.base.errors import SetupError
from af3opt.base.foreign_files import read_foreign
from af3opt.base.json_files import parse_sealed, sealed_json
from af3opt.base.paths import private_directory
from af3opt.data.prepared import prepared_root
from af3opt.data.staging import build_directory
from af3opt.engine.discovery import find_engine
from af3opt.engine.modules import engine_module
from af3opt.engine.protocols import Array

_log = logging.getLogger(__name__)

MANIFEST_FILE = "af3opt_synthetic.json"
_MOST_MANIFEST_BYTES = 1 << 20
WEIGHTS_FILE = "af3opt-synthetic.bin.zst"
NOTE = "Random synthetic weights made by af3opt: whatever they give predicts nothing."
# Raise when the same depth and engine would give other numbers than before.
_GENERATOR_VERSION = 1

DEPTHS: Mapping[str, Mapping[str, int]] = {
    "full": {},
    "small": {
        "evoformer.pairformer.num_layer": 2,
        "evoformer.msa_stack.num_layer": 1,
        "evoformer.template.template_stack.num_layer": 1,
        "evoformer.per_atom_conditioning.atom_transformer.num_blocks": 1,
        # The transformer runs in super-blocks of four.
        "heads.diffusion.transformer.num_blocks": 4,
        "heads.diffusion.atom_transformer.num_blocks": 1,
        "heads.diffusion.eval.steps": 8,
        "heads.confidence.pairformer.num_layer": 1,
    },
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SyntheticManifest:
    """What is known of a directory of synthetic weights.

    Attributes:
        depth: "full" or "small".
        config_overrides: Dotted path into the model's configuration -> value,
            without which the weights do not fit.
        identifier: The identifier record, which ends up in results as model id.
        digest: SHA-256 of all records, uncompressed.
        engine: Fingerprint of the engine whose shapes they have.
    """

    depth: str
    config_overrides: Mapping[str, int]
    identifier: str
    digest: str
    engine: str


def read_manifest(model_dir: Path) -> SyntheticManifest | None:
    """Reads the manifest of synthetic weights.

    Args:
        model_dir: Directory given as `--model_dir`.

    Returns:
        The manifest, or None when there is none: the weights are not ours.

    Raises:
        SetupError: there is a manifest but it cannot be understood.
    """
    path = model_dir / MANIFEST_FILE
    try:
        raw = parse_sealed(read_foreign(path, _MOST_MANIFEST_BYTES, follow_links=True))
        overrides = {str(key): int(value) for key, value in raw["config_overrides"].items()}
        return SyntheticManifest(
            depth=raw["depth"],
            config_overrides=overrides,
            identifier=raw["identifier"],
            digest=raw["digest"],
            engine=raw["engine"],
        )
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SetupError(
            f"{path} cannot be read ({error}); make the weights again with "
            "`af3opt prepare --synthetic_weights --force`"
        ) from error


def synthetic_weights_dir(depth: str, engine_fingerprint: str) -> Path:
    """Returns where weights of a depth for an engine are kept (not created)."""
    return prepared_root() / f"weights-{depth}-v{_GENERATOR_VERSION}-{engine_fingerprint}"


def write_synthetic_weights(depth: str, *, force: bool = False) -> tuple[Path, bool]:
    """Makes synthetic weights for the installed engine, or finds them made.

    Args:
        depth: A key of `DEPTHS`.
        force: Make them again even when they are there.

    Returns:
        The directory for `--model_dir`, and whether it was made now.

    Raises:
        SetupError: the engine cannot be used, or the disk is full.
    """
    fingerprint = find_engine().fingerprint
    folder = synthetic_weights_dir(depth, fingerprint)
    if not force and _is_complete(folder):
        return folder, False
    from af3opt.data.parameter_shapes import parameter_shapes

    _log.info("Finding the shapes of the model's parameters (depth %s)", depth)
    shapes = parameter_shapes(DEPTHS[depth])
    private_directory(folder.parent)
    build_directory(
        folder,
        functools.partial(_fill, depth=depth, fingerprint=fingerprint, shapes=shapes),
        read_manifest,
    )
    return folder, True


def _is_complete(folder: Path) -> bool:
    """Whether weights are there; those with a damaged manifest, or of earlier versions, are not."""
    try:
        return read_manifest(folder) is not None
    except SetupError as error:
        _log.warning("%s; made again", error)
        return False


def _fill(
    folder: Path, depth: str, fingerprint: str, shapes: Mapping[tuple[str, str], tuple[int, ...]]
) -> None:
    import numpy as np
    import zstandard

    encode = engine_module("model.params").encode_record
    identifier = f"af3opt-synthetic-{depth}-v{_GENERATOR_VERSION}"
    digest = hashlib.sha256()
    total = sum(int(np.prod(shape)) for shape in shapes.values())
    _log.info("Drawing %.1f million parameters", total / 1e6)
    # Random bits do not compress: the fastest level is as good as any.
    compressor = zstandard.ZstdCompressor(level=1, threads=-1, write_checksum=True)
    with (
        (folder / WEIGHTS_FILE).open("wb") as stream,
        compressor.stream_writer(stream, closefd=False) as writer,
    ):
        for scope, name, values in _records(shapes, identifier):
            record = encode(scope, name, values)
            digest.update(record)
            writer.write(record)
    manifest = {
        "synthetic": True,
        "note": NOTE,
        "depth": depth,
        "config_overrides": dict(DEPTHS[depth]),
        "identifier": identifier,
        "digest": digest.hexdigest(),
        "engine": fingerprint,
        "parameters": total,
    }
    (folder / MANIFEST_FILE).write_text(sealed_json(manifest, indent=2) + "\n", encoding="utf-8")


def _records(
    shapes: Mapping[tuple[str, str], tuple[int, ...]], identifier: str
) -> Iterator[tuple[str, str, Array]]:
    """Yields (scope, name, values) of every record of the file."""
    import numpy as np

    yield "__meta__", "__identifier__", np.frombuffer(identifier.encode(), dtype=np.uint8)
    for (scope, name), shape in sorted(shapes.items()):
        yield scope, name, draw_parameter(scope, name, shape)


def draw_parameter(scope: str, name: str, shape: tuple[int, ...]) -> Array:
    """Draws one parameter.

    Each has a random stream of its own, seeded by its name: the same parameter
    is the same in every engine and whatever else the model has.

    Args:
        scope: Haiku module path.
        name: Parameter name: `weights`, `bias`, `scale`, `offset` and others.
        shape: Stacked layers first.

    Returns:
        float32 array: ones for scales, zeros for biases and offsets, else
        normal with standard deviation 0.5 / sqrt(fan in), which keeps
        activations finite and of order one through the depth of the model.
    """
    import numpy as np

    if name == "scale":
        return np.ones(shape, np.float32)
    if name in {"bias", "offset"}:
        return np.zeros(shape, np.float32)
    seed = hashlib.sha256(f"{_GENERATOR_VERSION}/{scope}/{name}".encode()).digest()
    generator = np.random.Generator(np.random.SFC64(int.from_bytes(seed[:16], "little")))
    stacked = scope.count("__layer_stack")
    inputs = shape[stacked:-1]
    fan_in = int(np.prod(inputs)) if inputs else 1
    values = generator.standard_normal(shape, dtype=np.float32)
    values *= np.float32(0.5 / np.sqrt(fan_in))
    return values
