"""Runs all checks side by side, and does not wait for one that hangs."""

import concurrent.futures
import functools
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from af3opt.base.version import __version__
from af3opt.doctor import cluster, hardware, model, searches, software, storage, variables
from af3opt.doctor.check import Check, Probe, Subject, Verdict, failure, warning
from af3opt.host.host import probe_host
from af3opt.settings.settings import Settings

_GROUPS: Mapping[str, tuple[Probe, ...]] = {
    "Software": (
        software.check_python,
        software.check_engine,
        software.check_jax,
        model.check_weights,
        model.check_model,
        software.check_tuning,
    ),
    "Machine": (
        hardware.check_cpu,
        hardware.check_memory,
        hardware.check_gpu,
        software.check_cuda,
        hardware.check_backend,
    ),
    "Environment": (
        variables.check_inert,
        variables.check_contradictions,
        variables.check_kept,
        cluster.check_batch_job,
    ),
    "Searches": (searches.check_programs, searches.check_databases),
    "Storage": (
        storage.check_home,
        storage.check_claims,
        storage.check_caches,
        storage.check_integrity,
        storage.check_free_disk,
    ),
}
_DEADLINE_S = 9.5
_MARKS = {Verdict.OK: "ok  ", Verdict.SKIP: "skip", Verdict.WARN: "WARN", Verdict.FAIL: "FAIL"}


def examine(settings: Settings, environ: Mapping[str, str]) -> dict[str, list[Check]]:
    """Runs every check.

    Args:
        settings: Settings of the run that is being prepared.
        environ: Environment variables.

    Returns:
        Heading -> checks, in the order of the report.
    """
    subject = Subject(settings, environ, _in_thread(lambda: probe_host(environ)))
    return run_checks(_GROUPS, subject, _DEADLINE_S)


def run_checks(
    groups: Mapping[str, Sequence[Probe]], subject: Subject, seconds: float
) -> dict[str, list[Check]]:
    """Runs checks side by side.

    Args:
        groups: Heading -> what to look at.
        subject: What is examined.
        seconds: How long to wait for all of them together.

    Returns:
        Heading -> checks, in the order of the groups. A check that does not answer
        in time (a file system that hangs) or that breaks is reported as such.
    """
    end = time.monotonic() + seconds
    pending = {
        heading: [
            (probe, _in_thread(functools.partial(_answers, probe, subject))) for probe in probes
        ]
        for heading, probes in groups.items()
    }
    late = f"no answer after {seconds:.0f} s"
    return {
        heading: [
            check for probe, answer in answers for check in _collect(probe, answer, end, late)
        ]
        for heading, answers in pending.items()
    }


def _in_thread[T](work: Callable[[], T]) -> "concurrent.futures.Future[T]":
    """Runs `work` in a daemon thread: one stuck in the kernel must not keep the process."""
    future: concurrent.futures.Future[T] = concurrent.futures.Future()

    def target() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # handed to whoever asks for the result
            future.set_exception(error)

    threading.Thread(target=target, daemon=True).start()
    return future


def _answers(probe: Probe, subject: Subject) -> list[Check]:
    return list(probe(subject))


def _collect(
    probe: Probe, answer: "concurrent.futures.Future[list[Check]]", end: float, late: str
) -> Sequence[Check]:
    name = probe.__name__.removeprefix("check_").replace("_", " ")
    try:
        return answer.result(timeout=max(0.0, end - time.monotonic()))
    except TimeoutError:
        return [
            warning(
                name,
                late,
                "a file system or a driver hangs, or this machine is very busy: look at df, "
                "nvidia-smi and uptime, then try again",
            )
        ]
    except Exception as error:  # one broken check must not hide the others
        text = " ".join(f"{type(error).__name__}: {error}".split())
        return [failure(name, f"the check itself failed: {text}", "report this to af3opt")]


def worst(groups: Mapping[str, Sequence[Check]]) -> Verdict:
    """Returns the worst verdict; skipped checks count as good."""
    verdicts = {check.verdict for checks in groups.values() for check in checks}
    return next((v for v in (Verdict.FAIL, Verdict.WARN) if v in verdicts), Verdict.OK)


def format_text(groups: Mapping[str, Sequence[Check]]) -> str:
    """Returns the report for a terminal."""
    lines = [f"af3opt {__version__}"]
    for heading, checks in groups.items():
        lines += ["", heading]
        for check in checks:
            lines.append(f"  {_MARKS[check.verdict]}  {check.name}: {check.found}")
            if check.fix:
                lines.append(f"        fix: {check.fix}")
    return "\n".join([*lines, "", _summary(groups), ""])


def _summary(groups: Mapping[str, Sequence[Check]]) -> str:
    verdicts = [check.verdict for checks in groups.values() for check in checks]
    fails, warns = verdicts.count(Verdict.FAIL), verdicts.count(Verdict.WARN)
    if not fails and not warns:
        return "Everything is in order."
    return f"{fails} to be fixed before af3opt run works with these flags, {warns} to look at."


def format_json(groups: Mapping[str, Sequence[Check]]) -> str:
    """Returns the report for programs: one object with a list of checks."""
    report = {
        "af3opt": __version__,
        "verdict": worst(groups).value,
        "checks": list(_rows(groups)),
    }
    return json.dumps(report, indent=2) + "\n"


def _rows(groups: Mapping[str, Sequence[Check]]) -> Iterator[dict[str, str]]:
    for heading, checks in groups.items():
        for check in checks:
            yield {
                "group": heading,
                "name": check.name,
                "verdict": check.verdict.value,
                "found": check.found,
                "fix": check.fix,
            }
