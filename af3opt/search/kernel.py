"""The compiled part: which one this processor can use, and its calls with types.

It is built when the package is installed, where a C compiler exists. Nothing here is
needed for anything but speed.
"""

import dataclasses
import enum
from collections.abc import Mapping, Sequence

from af3opt.search.aside import Aside
from af3opt.search.profile import Profile

try:
    from af3opt.search import _kernel
except ImportError:
    _compiled = False
else:
    _compiled = True

# Forces an instruction set, for tests and measurements.
ISA_VARIABLE = "AF3OPT_SEARCH_ISA"
# Without vectors the scan is no faster than jackhmmer, which always has them.
_NOT_WORTH_IT = "plain"
# Read at a time; in the second-level cache with the residues of a block.
_BUFFER_BYTES = 1 << 18


class SpanState(enum.IntEnum):
    """How the scan of a span ended; the values are the compiled part's `SpanState`.

    Attributes:
        DONE: every record of the span was read.
        UNREADABLE: the system reported an error.
        TRUNCATED: the file ended before its size.
        NOT_FASTA: something that HMMER refuses.
        TOO_LONG: one record is larger than the compiled part takes.
    """

    DONE = 0
    UNREADABLE = 2
    TRUNCATED = 3
    NOT_FASTA = 4
    TOO_LONG = 5


@dataclasses.dataclass(frozen=True, slots=True)
class Survivors:
    """The records of a span that a query keeps.

    Attributes:
        targets: Their number.
        records: The records as they lie in the file, in its order.
    """

    targets: int
    records: bytes


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SpanScan:
    """What a span holds.

    Attributes:
        state: How it ended; without DONE the counts are incomplete.
        error: The system's error number, for UNREADABLE.
        offset: Where in the file it ended, if not DONE.
        targets: Records that open in the span.
        residues: Their residues.
        survivors: One entry a query.
    """

    state: SpanState
    error: int
    offset: int
    targets: int
    residues: int
    survivors: tuple[Survivors, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class PreparedQuery:
    """A profile in the order of an instruction set.

    Attributes:
        residues: Length of the query.
        handle: The compiled part's own.
    """

    residues: int
    handle: object


def instruction_set(environ: Mapping[str, str]) -> str | Aside:
    """Names the instruction set to use, such as "avx512", or says why there is none."""
    if not _compiled:
        return Aside("the compiled part was not built when af3opt was installed (no C compiler?)")
    usable = _kernel.instruction_sets()
    forced = environ.get(ISA_VARIABLE)
    if forced is not None:
        if forced in usable:
            return forced
        return Aside(f"{ISA_VARIABLE}={forced} is not among {', '.join(usable)}")
    if usable[0] == _NOT_WORTH_IT:
        return Aside("this processor has neither AVX2 nor AVX-512 nor NEON")
    return usable[0]


def vector_sets() -> tuple[str, ...]:
    """Names the instruction sets whose scan is faster than jackhmmer here, best first."""
    usable = _kernel.instruction_sets() if _compiled else ()
    return tuple(name for name in usable if name != _NOT_WORTH_IT)


def prepare_query(profile: Profile, isa: str) -> PreparedQuery:
    """Arranges a profile for an instruction set."""
    residues = profile.scores.shape[1]
    handle = _kernel.prepare(profile.scores, residues, profile.least, isa)
    return PreparedQuery(residues, handle)


def scan_span(
    descriptor: int, span: range, size: int, queries: Sequence[PreparedQuery]
) -> SpanScan:
    """Scans the records that open in a span of a file. Runs without Python's lock.

    Spans that share an offset share their border, so that together they hold each record once.

    Args:
        descriptor: The open file; its position does not matter and does not change.
        span: Offsets in bytes.
        size: The file's size in bytes.
        queries: At least one.

    Raises:
        MemoryError: there is no memory for buffers or survivors.
    """
    handles = tuple(query.handle for query in queries)
    state, error, offset, targets, residues, survivors = _kernel.scan(
        descriptor, span.start, span.stop, size, handles, _BUFFER_BYTES
    )
    return SpanScan(
        state=SpanState(state),
        error=error,
        offset=offset,
        targets=targets,
        residues=residues,
        survivors=tuple(Survivors(count, records) for count, records in survivors),
    )
