"""Template files that are missing: one line with their number instead of one for each."""

import contextlib
import logging
import re
import threading
from collections.abc import Iterator

_log = logging.getLogger(__name__)

_ENGINE_LOGGER = "absl"
_MISSING = re.compile(r"Failed to get mmCIF for (\S+) \(author chain")


class MissingTemplateFiles(logging.Filter):
    """Takes the engine's messages about missing files out of the log, and counts the files."""

    def __init__(self) -> None:
        """Counts nothing yet."""
        super().__init__()
        self._lock = threading.Lock()
        self._missing: set[str] = set()
        self._told = 0
        self._users = 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Keeps every other message."""
        found = _MISSING.search(record.getMessage())
        if found is None:
            return True
        with self._lock:
            self._missing.add(found[1])
        return False

    @contextlib.contextmanager
    def counted(self, directory: str) -> Iterator[None]:
        """Counts inside the block, and says afterwards what is new; threads may share it.

        Args:
            directory: Where the files should lie.
        """
        logger = logging.getLogger(_ENGINE_LOGGER)
        with self._lock:
            self._users += 1
            logger.addFilter(self)
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if not self._users:
                    logger.removeFilter(self)
            self._say(directory)

    def _say(self, directory: str) -> None:
        with self._lock:
            count, told = len(self._missing), self._told
            self._told = count
            example = min(self._missing, default="")
        if count > told:
            _log.warning(
                "%d template file(s) are missing in %s so far, such as %s.cif; these templates "
                "are left out",
                count,
                directory,
                example,
            )
