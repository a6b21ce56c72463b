"""What is wrong with an input, and where: collected, so that all of it can be said at once."""

import dataclasses
from typing import Self

# So many problems of one job are said in its error; more would hide the first.
_MOST_SHOWN = 4
_MOST_CHARACTERS = 60
_MOST_RANGES = 8


@dataclasses.dataclass(slots=True)
class Findings:
    """What was found in one job.

    Attributes:
        errors: What keeps it from being run, each with its place.
        warnings: What AlphaFold 3 accepts, but may not be meant.
    """

    errors: list[str] = dataclasses.field(default_factory=list)
    warnings: list[str] = dataclasses.field(default_factory=list)

    @property
    def summary(self) -> str:
        """The errors on one line, "" if there are none."""
        shown = "; ".join(self.errors[:_MOST_SHOWN])
        more = len(self.errors) - _MOST_SHOWN
        return f"{shown}; and {more} more problem(s)" if more > 0 else shown


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """A place in a job, to which errors and warnings are attached.

    Attributes:
        findings: Where they are collected.
        trail: Names from outside to inside, such as "chain A: modifications".
    """

    findings: Findings
    trail: str = ""

    def inside(self, name: str) -> Self:
        """Returns the place of that name inside this one."""
        return dataclasses.replace(self, trail=f"{self.trail}: {name}" if self.trail else name)

    def refuse(self, text: str) -> None:
        """Notes why the job cannot be run."""
        self.findings.errors.append(self._at(text))

    def warn(self, text: str) -> None:
        """Notes what the user should know."""
        self.findings.warnings.append(self._at(text))

    def _at(self, text: str) -> str:
        return f"{self.trail}: {text}" if self.trail else text


def shown(value: object) -> str:
    """Returns a value of an input as it may be printed: short, on one line, no control codes."""
    text = repr(value)
    if len(text) <= _MOST_CHARACTERS:
        return text
    return f"{text[: _MOST_CHARACTERS - 4]}...{text[-1] if text[-1] in '\'"' else ''}"


def type_name(value: object) -> str:
    """Names the JSON type of a value, for messages."""
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false"}
    if value is None:
        return "null"
    return names.get(type(value), "a number")


def positions_text(positions: list[int]) -> str:
    """Writes rising positions with ranges, such as "positions 1-4, 9"; at most a few of them."""
    ranges: list[list[int]] = []
    for position in positions:
        if ranges and position == ranges[-1][1] + 1:
            ranges[-1][1] = position
        else:
            ranges.append([position, position])
    texts = [str(first) if first == last else f"{first}-{last}" for first, last in ranges]
    dots = ", ..." if len(texts) > _MOST_RANGES else ""
    word = "position" if len(positions) == 1 else "positions"
    return f"{word} {', '.join(texts[:_MOST_RANGES])}{dots}"
