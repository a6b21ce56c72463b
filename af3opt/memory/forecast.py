"""Will a job fit into memory? Asked before it starts, answered with numbers.

Host memory follows from the shapes of the arrays that have to exist at once. Device
memory is known once the very program has been compiled, since XLA reports it; see
`known_programs`. Until then it is estimated from other sizes, or from what is published.
"""

import dataclasses

GIB = 1 << 30

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
WEIGHT_BYTES = 1_400_000_000
# DeepMind's docs/performance.md: 5,120 tokens run on one GPU with 80 GB (flash attention).
_PUBLISHED_TOKENS = 5_120
_PUBLISHED_BYTES = 80_000_000_000
# Work arrays with portable attention, by XLA's reports for CPU programs of 128 to 1,024
# tokens (engine 3.1.18, jax 0.12.0, 1 and 5 samples; within 6 %).
_PORTABLE_TOKEN_BYTES = 1_150_000
_PORTABLE_PAIR_BYTES = 9_600
# Those reports are of 5 samples; the results of each are that much of a pair's bytes.
_FITTED_SAMPLES = 5
_RESULT_PAIR_BYTES = _PAIR_ARRAYS_PER_SAMPLE * _FLOAT
# The published size, all of it taken to be pairs.
_FLASH_PAIR_BYTES = (_PUBLISHED_BYTES - WEIGHT_BYTES) // _PUBLISHED_TOKENS**2


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
        basis: Where the number comes from: "compiled" is what XLA reported for the very
            program, "measured" the smallest room in which it ran although XLA had reported
            more; "larger" and "smaller" follow from programs of other sizes, "fitted" is a
            fit to measurements, "published" derives from a size known to be enough.
    """

    bytes: int
    basis: str

    @property
    def certain(self) -> bool:
        """Whether less would not do."""
        return self.basis in ("compiled", "measured")


def growing_bytes(size: JobSize, *, flash_attention: bool) -> float:
    """What a program needs besides its weights, for comparing one size with another.

    A part for each token and a part for each pair of tokens, of which the results of each
    sample are one; by XLA's reports with portable attention and by DeepMind's published
    size with flash attention, see the constants.

    Args:
        size: Padded tokens and samples at once.
        flash_attention: Whether attention kernels keep their logits on chip.
    """
    pair = _FLASH_PAIR_BYTES if flash_attention else _PORTABLE_PAIR_BYTES
    pair += _RESULT_PAIR_BYTES * (size.samples - _FITTED_SAMPLES)
    return _PORTABLE_TOKEN_BYTES * size.tokens + pair * size.tokens**2


def scaled_need(
    known_bytes: int, weight_bytes: int, known: JobSize, size: JobSize, *, flash_attention: bool
) -> int:
    """Device memory of one size by that of another: a fixed part and a part that grows.

    Args:
        known_bytes: Memory of a program.
        weight_bytes: What of it are weights, which are the same whatever the size.
        known: What that program computes.
        size: What is asked for.
        flash_attention: Whether attention kernels keep their logits on chip.
    """
    growth = growing_bytes(size, flash_attention=flash_attention) / growing_bytes(
        known, flash_attention=flash_attention
    )
    return weight_bytes + int((known_bytes - weight_bytes) * growth)


def guessed_need(tokens: int, *, flash_attention: bool) -> DeviceNeed:
    """Device memory for a size when no program of this kind is known."""
    if not flash_attention:
        work = _PORTABLE_TOKEN_BYTES * tokens + _PORTABLE_PAIR_BYTES * tokens**2
        return DeviceNeed(WEIGHT_BYTES + work, "fitted")
    work = int((_PUBLISHED_BYTES - WEIGHT_BYTES) * (tokens / _PUBLISHED_TOKENS) ** 2)
    return DeviceNeed(WEIGHT_BYTES + work, "published")
