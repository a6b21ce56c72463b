"""Will a job fit into memory? Asked before it starts, answered with numbers.

Host memory follows from the shapes of the arrays that have to exist at once. Device
memory is known exactly once a program of that size has been compiled, since XLA
reports it; those reports are kept between runs. Until then it is bounded from the
sizes that are known, or from what is published.
"""

import contextlib
import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path

from af3opt.base.atomic import atomic_write_text
from af3opt.base.checked_json import parse_object
from af3opt.base.errors import SetupError
from af3opt.base.foreign_files import read_private
from af3opt.base.paths import af3opt_home, private_directory

GIB = 1 << 30
_MOST_BYTES = 1 << 24

# The engine pads every MSA to this many rows: int8 residues, int8 deletions, bool mask.
_MSA_ROWS = 16_384
_MSA_BYTES = 3
# PAE, PDE and two TM-adjusted PAEs by sample, float32; contact probabilities once.
_PAIR_ARRAYS_PER_SAMPLE = 4
_FLOAT = 4
# float32 pair embedding (128 channels) and distogram (64 bins), with their float16 copies.
_EMBEDDING_BYTES = 128 * 6
_DISTOGRAM_BYTES = 64 * 6
# Writing one sample: its PAE and contact probabilities as text, about 6 characters each.
_TEXT_BYTES = 2 * 6

# 368.4 million parameters, most of them float32.
_WEIGHTS_BYTES = 1_400_000_000
# DeepMind's docs/performance.md: 5,120 tokens run on one GPU with 80 GB (flash attention).
_PUBLISHED_TOKENS = 5_120
_PUBLISHED_BYTES = 80_000_000_000
# Work arrays with portable attention, by XLA's reports for CPU programs of 128 to 1,024
# tokens (engine 3.1.18, jax 0.12.0, 1 and 5 samples; within 6 %).
_PORTABLE_TOKEN_BYTES = 1_150_000
_PORTABLE_PAIR_BYTES = 9_600
# Work arrays grow at most with tokens^3 (attention logits of the portable kernels).
_MOST_GROWTH = 3.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class JobSize:
    """What decides how much memory a job needs.

    Attributes:
        tokens: Padded tokens.
        samples: Diffusion samples computed at once.
        seeds_in_flight: Seeds whose arrays are in memory at once: 3 when stages
            overlap, else 1.
        embeddings: Whether embeddings are saved.
        distogram: Whether the distogram is saved.
    """

    tokens: int
    samples: int
    seeds_in_flight: int = 1
    embeddings: bool = False
    distogram: bool = False


def feature_bytes(size: JobSize) -> int:
    """Features of one seed on the host; the MSA outweighs everything else."""
    return _MSA_ROWS * _MSA_BYTES * size.tokens


def result_bytes(size: JobSize) -> int:
    """Result of one seed on the host, and the text made of it while it is written."""
    pairs = size.tokens**2
    total = pairs * _FLOAT * (1 + _PAIR_ARRAYS_PER_SAMPLE * size.samples)
    total += pairs * _TEXT_BYTES
    if size.embeddings:
        total += pairs * _EMBEDDING_BYTES
    if size.distogram:
        total += pairs * _DISTOGRAM_BYTES
    return total


def host_bytes(size: JobSize) -> int:
    """Host memory that a job's own arrays need at least."""
    return size.seeds_in_flight * (feature_bytes(size) + result_bytes(size))


@dataclasses.dataclass(frozen=True, slots=True)
class DeviceNeed:
    """Device memory for one program.

    Attributes:
        bytes: Arguments, results and work arrays together.
        basis: Where the number comes from: "compiled" is exact, "larger" and
            "smaller" are upper bounds from another size, "fitted" is a fit to
            measurements, "published" derives from a size known to be enough.
    """

    bytes: int
    basis: str

    @property
    def certain(self) -> bool:
        """Whether less would not do."""
        return self.basis == "compiled"


class KnownPrograms:
    """Memory of programs compiled before, kept in `programs.json` under `af3opt_home()`."""

    def __init__(self, path: Path | None = None) -> None:
        """Reads what is known; a missing or damaged file is an empty one."""
        self._path = path or af3opt_home() / "programs.json"
        self._bytes: dict[str, dict[int, int]] = {}
        with contextlib.suppress(OSError, ValueError, TypeError, AttributeError, OverflowError):
            for kind, sizes in parse_object(read_private(self._path, _MOST_BYTES)).items():
                known = {int(tokens): int(size) for tokens, size in sizes.items()}
                self._bytes[kind] = {
                    tokens: size for tokens, size in known.items() if min(tokens, size) > 0
                }

    def learn(self, kind: str, size: JobSize, program_bytes: int) -> None:
        """Keeps the memory of a compiled program.

        Args:
            kind: Engine, device and attention kernels, as one word.
            size: The job it was compiled for.
            program_bytes: Arguments, results and work arrays.
        """
        self._bytes.setdefault(_key(kind, size), {})[size.tokens] = program_bytes
        # Another run may have learned meanwhile; losing that costs one estimate.
        with contextlib.suppress(OSError, SetupError):
            private_directory(self._path.parent)
            text = json.dumps(self._bytes, indent=1, sort_keys=True)
            atomic_write_text(self._path, text + "\n", mode=0o600)

    def need(self, kind: str, size: JobSize, *, flash_attention: bool = False) -> DeviceNeed:
        """Device memory for a job.

        Args:
            kind: As for `learn`.
            size: The job.
            flash_attention: Whether attention kernels keep their logits on chip.
        """
        known = self._bytes.get(_key(kind, size), {})
        return _bound(known, size.tokens) or _guess(size.tokens, flash_attention=flash_attention)


def _key(kind: str, size: JobSize) -> str:
    extras = f"{'+embeddings' * size.embeddings}{'+distogram' * size.distogram}"
    return f"{kind}|{size.samples}{extras}"


def _bound(known: Mapping[int, int], tokens: int) -> DeviceNeed | None:
    if tokens in known:
        return DeviceNeed(known[tokens], "compiled")
    bounds = [DeviceNeed(size, "larger") for other, size in known.items() if other > tokens]
    bounds += [
        DeviceNeed(int(size * (tokens / other) ** _MOST_GROWTH), "smaller")
        for other, size in known.items()
        if other < tokens
    ]
    return min(bounds, key=lambda need: need.bytes, default=None)


def _guess(tokens: int, *, flash_attention: bool) -> DeviceNeed:
    if not flash_attention:
        work = _PORTABLE_TOKEN_BYTES * tokens + _PORTABLE_PAIR_BYTES * tokens**2
        return DeviceNeed(_WEIGHTS_BYTES + work, "fitted")
    work = int((_PUBLISHED_BYTES - _WEIGHTS_BYTES) * (tokens / _PUBLISHED_TOKENS) ** 2)
    return DeviceNeed(_WEIGHTS_BYTES + work, "published")
