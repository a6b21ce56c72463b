"""jackhmmer's command line, as far as its search is known to be the same after the scan."""

import dataclasses
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from af3opt.search.aside import Aside
from af3opt.search.hmmer_help import hmmer_help

# Options with a value that change neither the first filter nor what is read.
_FILES = {"-A", "-o", "--tblout"}
_LIMITS = {"-E", "--incE", "--domE", "--F1", "--F2", "--F3", "--seq_limit"}
_SIZES = {"-N", "-Z", "--domZ", "--cpu"}
_VALUES = frozenset(_FILES | _LIMITS | _SIZES)
_SWITCHES = frozenset({"--noali"})
# jackhmmer's own, without --F1.
_DEFAULT_F1 = 0.02
# Versions whose results were compared, and whether with DeepMind's --seq_limit.
_COMPARED = frozenset({("3.3.2", False), ("3.4", False), ("3.4", True)})


@dataclasses.dataclass(frozen=True, slots=True)
class CommandLine:
    """A jackhmmer command whose search can be restricted to survivors.

    Attributes:
        binary: The program.
        options: Its options and their values, in the given order.
        query: Path of the query's FASTA file.
        database: Path of the target database.
    """

    binary: str
    options: tuple[tuple[str, str | None], ...]
    query: str
    database: str

    @classmethod
    def parse(cls, command: Sequence[str]) -> Self | Aside:
        """Reads a command, or says what in it is not understood."""
        if len(command) < 3:
            return Aside("jackhmmer is called without a query and a database")
        binary, *words, query, database = command
        options: list[tuple[str, str | None]] = []
        rest = iter(words)
        for word in rest:
            if word in _SWITCHES:
                options.append((word, None))
            elif word in _VALUES:
                options.append((word, next(rest, "")))
            else:
                return Aside(f"jackhmmer's option {word} is not known to be harmless")
        line = cls(binary, tuple(options), query, database)
        return line._not_the_same() or line

    def value(self, option: str) -> str | None:
        """Returns the last value of an option, or None without it."""
        values = [value for name, value in self.options if name == option]
        return values[-1] if values else None

    @property
    def f1(self) -> float:
        """P-value up to which a target passes the first filter."""
        value = self.value("--F1")
        return _DEFAULT_F1 if value is None else float(value)

    def restricted(self, survivors: Path, targets: int) -> list[str]:
        """Returns the command that searches the survivors as part of the whole database.

        Args:
            survivors: FASTA file of the database's survivors.
            targets: Targets of the database.
        """
        words = [self.binary]
        for option, value in self.options:
            words += [option] if value is None else [option, value]
        if self.value("-Z") is None:
            words += ["-Z", str(targets)]
        return [*words, self.query, str(survivors)]

    def _not_the_same(self) -> Aside | None:
        if self.value("-N") != "1":
            return Aside("jackhmmer searches more than once")
        if self.value("-o") not in (None, "/dev/null"):
            return Aside("jackhmmer's report is kept, which counts all targets")
        try:
            self.f1  # noqa: B018 - read for its error
        except ValueError:
            return Aside(f"--F1={self.value('--F1')} is no number")
        return None


def check_version(line: CommandLine) -> Aside | None:
    """Says why the results of a jackhmmer are not known to be the same; None if they are."""
    found = _version(line.binary)
    if isinstance(found, Aside):
        return found
    if line.value("--seq_limit") is not None and not found.has_limit:
        return Aside(f"{line.binary} does not know --seq_limit")
    return None


def version_obstacle(binary: str) -> str | None:
    """Says why the results of a program are not known to be the same; None if they are."""
    found = _version(binary)
    return found.reason if isinstance(found, Aside) else None


@dataclasses.dataclass(frozen=True, slots=True)
class _Version:
    """A version whose results were compared.

    Attributes:
        name: HMMER's.
        has_limit: Whether it has DeepMind's --seq_limit.
    """

    name: str
    has_limit: bool


def _version(binary: str) -> _Version | Aside:
    try:
        help_ = hmmer_help(binary)
    except (OSError, subprocess.SubprocessError) as error:
        return Aside(f"{binary} does not say its version ({error})")
    if help_.version is None or "jackhmmer ::" not in help_.text:
        return Aside(f"{binary} does not say its version")
    version = _Version(help_.version, "--seq_limit" in help_.text)
    if (version.name, version.has_limit) not in _COMPARED:
        limit = " with --seq_limit" if version.has_limit else ""
        return Aside(f"the results of HMMER {version.name}{limit} have not been compared")
    return version
