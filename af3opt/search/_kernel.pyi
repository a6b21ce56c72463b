from collections.abc import Buffer

CODES: int
CODE_STAR: int
CODE_GAP: int
CODE_MISSING: int
DONE: int
UNREADABLE: int
TRUNCATED: int
NOT_FASTA: int
TOO_LONG: int
LONGEST_TARGET: int
MOST_POSITIONS: int
MOST_RECORD_BYTES: int

def instruction_sets() -> list[str]: ...
def prepare(scores: Buffer, length: int, least: Buffer, instruction_set: str, /) -> object: ...
def scan(
    descriptor: int,
    begin: int,
    end: int,
    size: int,
    queries: tuple[object, ...],
    buffer_bytes: int,
    /,
) -> tuple[int, int, int, int, int, list[tuple[int, bytes]]]: ...
