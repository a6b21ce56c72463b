"""What a check reports, and what checks are given to look at."""

import concurrent.futures
import dataclasses
import enum
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from af3opt.base.errors import Af3optError
from af3opt.environment.backend import Backend, resolve_backend
from af3opt.host.host import Host
from af3opt.settings.settings import Settings


class Verdict(enum.StrEnum):
    """Outcome of a check, from good to bad; SKIP means that it does not apply here."""

    OK = "ok"
    SKIP = "skip"
    WARN = "warn"
    FAIL = "fail"


@dataclasses.dataclass(frozen=True, slots=True)
class Check:
    """One line of the report.

    Attributes:
        name: What was looked at.
        verdict: FAIL when `af3opt run` with the same flags could not work.
        found: What was found.
        fix: What to do about it; "" when there is nothing to do.
    """

    name: str
    verdict: Verdict
    found: str
    fix: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Subject:
    """What is examined.

    Attributes:
        settings: Settings of the run that is being prepared.
        environ: Environment variables.
        host_probe: Delivers the machine's facts; asking the GPU driver can take seconds.
    """

    settings: Settings
    environ: Mapping[str, str]
    host_probe: "concurrent.futures.Future[Host]"

    @property
    def host(self) -> Host:
        """The machine; waits until its facts are known."""
        return self.host_probe.result()

    @property
    def backend(self) -> Backend | None:
        """Where the model would run, or None if nowhere, which the check of the backend says."""
        try:
            return resolve_backend(self.settings, self.host)
        except Af3optError:
            return None


Probe = Callable[[Subject], Iterable[Check]]


def ok(name: str, found: str) -> Check:
    """A check that found everything in order."""
    return Check(name, Verdict.OK, found)


def skipped(name: str, why: str) -> Check:
    """A check that does not apply here."""
    return Check(name, Verdict.SKIP, why)


def warning(name: str, found: str, fix: str) -> Check:
    """A check that found something that works, but badly."""
    return Check(name, Verdict.WARN, found, fix)


def failure(name: str, found: str, fix: str) -> Check:
    """A check that found something that cannot work."""
    return Check(name, Verdict.FAIL, found, fix)


def failure_of(name: str, error: object, otherwise: str) -> Check:
    """A failure from an error for the user, whose text ends with what to do after a semicolon.

    Args:
        name: What was looked at.
        error: A `SetupError`, or its text.
        otherwise: The fix when the error's text names none.
    """
    found, separator, fix = str(error).rpartition("; ")
    return failure(name, found, fix) if separator else failure(name, fix, otherwise)


def gigabytes(size: float) -> str:
    """Formats bytes for people, in units of 1e9, or 1e6 for small sizes."""
    if size < 1e8:
        return f"{size / 1e6:.1f} MB"
    return f"{size / 1e9:.1f} GB" if size < 1e11 else f"{size / 1e9:.0f} GB"


def nearest_existing(path: Path) -> Path:
    """Returns the path itself or its closest parent that exists."""
    path = path.expanduser().absolute()
    return next(folder for folder in (path, *path.parents) if folder.exists())
