"""The directories af3opt writes to: private, on which file system, full, on time."""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from af3opt.base.exclusive_file import Link, has_hard_links
from af3opt.base.ownership import directory_problem, trust_problem
from af3opt.base.paths import af3opt_home
from af3opt.caching.locations import CACHES, cache_directory
from af3opt.doctor.check import (
    Check,
    Subject,
    failure,
    gigabytes,
    nearest_existing,
    ok,
    skipped,
    warning,
)
from af3opt.doctor.filesystems import file_system_of
from af3opt.inference.kept_data import WEIGHTS, check_kept_data

_COMPILE_CACHE = "compile_cache"
_FEW_BYTES = 5e9
# Heartbeats and claims of jobs that share a directory are compared with file times.
_SKEW_S = 5.0
_COUNTING_S = 3.0


def check_home(_: Subject) -> Iterator[Check]:
    """AF3OPT_HOME: writable, private, and what it costs to be where it is."""
    home = af3opt_home()
    folder = nearest_existing(home)
    if not os.access(folder, os.W_OK | os.X_OK):
        yield failure(
            "AF3OPT_HOME", f"{home} cannot be written to", "set AF3OPT_HOME to a directory of yours"
        )
        return
    problem = directory_problem(home) if home.exists() else None
    if problem:
        yield failure(
            "AF3OPT_HOME",
            f"{home}: {problem}; compiled programs are loaded from there",
            "chmod go-w what is named, or set AF3OPT_HOME to a directory that only you can "
            "write to",
        )
        return
    system = file_system_of(folder)
    yield ok("AF3OPT_HOME", f"{home} ({system.label}), private")
    yield from _clock(folder)


def _clock(folder: Path) -> Iterator[Check]:
    """Compares this machine's clock with the one that stamps files."""
    before = time.time()
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".af3opt_doctor_") as probe:
            stamp = os.fstat(probe.fileno()).st_mtime
    except OSError as error:
        yield failure("writing", f"{folder}: {error.strerror}", "free space or raise your quota")
        return
    skew = max(before - stamp, stamp - time.time(), 0.0)
    if skew > _SKEW_S:
        yield warning(
            "clock",
            f"differs by {skew:.0f} s from the file server's",
            "have the node's clock synchronised (chrony, NTP): jobs that share an output "
            "directory tell by file times whether another one is alive",
        )
    else:
        yield ok("clock", "agrees with the file system's")


def check_claims(subject: Subject, link: Link = os.link) -> Iterator[Check]:
    """How processes that share an output directory keep off each other's jobs there."""
    if subject.settings.output_dir is None:
        yield skipped("claims", "--output_dir not given")
        return
    folder = nearest_existing(subject.settings.output_dir)
    system = file_system_of(folder)
    try:
        linked = has_hard_links(folder, link)
    except OSError as error:
        yield failure(
            "claims",
            f"{folder}: {error.strerror}; no job can be claimed there",
            "choose another --output_dir, or make it writable",
        )
        return
    how = "hard links" if linked else "exclusive creation: there are no hard links"
    yield ok("claims", f"by {how}, at {folder} ({system.label})")


def check_caches(subject: Subject) -> Iterator[Check]:
    """Each cache: where, how large, trustworthy, on a network file system."""
    settings = subject.settings
    overrides = {"features": settings.feature_cache_dir, "msa": settings.msa_cache_dir}
    folders = {label: cache_directory(name, overrides.get(name)) for name, label in CACHES.items()}
    requested = settings.jax_compilation_cache_dir or subject.environ.get(
        "JAX_COMPILATION_CACHE_DIR"
    )
    folders["compile cache"] = Path(requested) if requested else af3opt_home() / _COMPILE_CACHE
    for label, folder in folders.items():
        yield _cache(label, folder.expanduser(), executable=label == "compile cache")


def _cache(label: str, folder: Path, *, executable: bool) -> Check:
    if not folder.exists():
        return ok(label, f"{folder}: not used yet")
    # Data may lie where others can write, on purpose; of code, every level counts.
    problem = directory_problem(folder) if executable else trust_problem(folder.stat())
    if problem:
        why = ": whoever writes there can run code as you" if executable else ""
        return (failure if executable else warning)(
            label, f"{folder}: {problem}{why}", "chmod go-w it, or use one of your own"
        )
    if not os.access(folder, os.W_OK):
        return warning(
            label, f"{folder} cannot be written to: it is read and never filled", "check its mode"
        )
    files, size, complete = _count(folder)
    found = f"{folder}, {files} files, {gigabytes(size)}{'' if complete else ' and more'}"
    system = file_system_of(folder)
    if executable and system.is_network:
        return warning(
            label,
            f"{found}, on {system.label}: safe, but reading compiled programs takes longer",
            "set AF3OPT_HOME to a node-local directory that survives jobs, if there is one",
        )
    return ok(label, f"{found} ({system.label})")


def _count(folder: Path) -> tuple[int, int, bool]:
    """Counts files and bytes for a few seconds at most."""
    files = size = 0
    end = time.monotonic() + _COUNTING_S
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                size += os.stat(os.path.join(parent, name)).st_size  # noqa: PTH116, PTH118 (speed)
                files += 1
            except OSError:  # Removed meanwhile.
                continue
        if time.monotonic() > end:
            return files, size, False
    return files, size, True


def check_integrity(_: Subject) -> Iterator[Check]:
    """Prepared data and copies of the weights: every byte as it was written."""
    sound = 0
    for kind, directory, problem in check_kept_data():
        if problem is None:
            sound += 1
        elif kind == WEIGHTS:
            fix = "nothing: the next run makes it again"
            yield warning("copy of the weights", f"{directory} {problem}", fix)
        else:
            fix = "run `af3opt prepare --force`"
            yield failure("prepared data", f"{directory}: {problem}", fix)
    if sound:
        yield ok("kept data", f"{sound} directories, every byte as it was written")


def check_free_disk(subject: Subject) -> Iterator[Check]:
    """Space where results, caches and temporary files go."""
    places = {"AF3OPT_HOME": af3opt_home(), "temporary files": Path(tempfile.gettempdir())}
    if subject.settings.output_dir is not None:
        places["--output_dir"] = subject.settings.output_dir
    for label, path in places.items():
        folder = nearest_existing(path)
        free = shutil.disk_usage(folder).free
        text = f"{gigabytes(free)} at {folder}"
        if free < _FEW_BYTES:
            yield warning(f"free disk, {label}", text, "make room, or choose another place")
        else:
            yield ok(f"free disk, {label}", text)
    if subject.settings.output_dir is None:
        yield skipped("free disk, --output_dir", "not given")
