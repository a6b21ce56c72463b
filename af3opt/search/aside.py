"""How a search says that it leaves the work to the engine."""

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True)
class Aside:
    """A search that is not understood well enough to be made faster.

    It is no error: the engine's own search runs instead.

    Attributes:
        reason: One clause for the log, such as "HMMER 3.1b2 has not been compared".
    """

    reason: str
