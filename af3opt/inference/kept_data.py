"""What is made once and kept, beside the caches: prepared data and copies of the weights."""

from collections.abc import Iterator
from pathlib import Path

from af3opt.data.prepared import DamagedDataError, check_prepared, prepared_directories
from af3opt.inference.weights_copy import check_copies

WEIGHTS = "weights"
PREPARED = "prepared"


def check_kept_data() -> Iterator[tuple[str, Path, str | None]]:
    """Reads every byte of prepared data and of the local copies of weights.

    Yields:
        `PREPARED` or `WEIGHTS`, a directory, and what is wrong with it as a clause, or None.
    """
    for directory in prepared_directories():
        try:
            check_prepared(directory)
        except (DamagedDataError, OSError) as error:
            yield PREPARED, directory, str(error)
        else:
            yield PREPARED, directory, None
    for directory, problem in check_copies():
        yield WEIGHTS, directory, problem
