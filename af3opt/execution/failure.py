"""What is said and kept of an error: one line for the user, the traceback for a developer."""

import dataclasses
import traceback

from af3opt.base.errors import Af3optError

# Of a traceback's text; the first and the last lines tell most.
_MOST_CHARACTERS = 60_000
_MOST_REASON = 500


@dataclasses.dataclass(frozen=True, slots=True)
class Failure:
    """Why something failed.

    Attributes:
        reason: One line.
        traceback: Where it came from, of bounded length; "" where nothing was raised here.
    """

    reason: str
    traceback: str = ""


def failure_of(error: BaseException) -> Failure:
    """Describes an error with its traceback."""
    text = "".join(traceback.format_exception(error))
    if len(text) > _MOST_CHARACTERS:
        half = _MOST_CHARACTERS // 2
        text = f"{text[:half]}\n... {len(text) - 2 * half} characters left out ...\n{text[-half:]}"
    return Failure(error_text(error), text)


def error_text(error: BaseException) -> str:
    """One line for an error of any kind."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    text = " ".join(str(error).split())
    if isinstance(error, Af3optError):
        return text
    return f"{type(error).__name__}: {text[:_MOST_REASON]}"
