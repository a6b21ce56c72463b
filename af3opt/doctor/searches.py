"""The data pipeline: HMMER programs, databases, and the disk that they lie on."""

import dataclasses
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from af3opt.base.errors import SetupError
from af3opt.doctor.check import Check, Subject, failure, gigabytes, ok, skipped, warning
from af3opt.doctor.filesystems import file_system_of, read_speed
from af3opt.engine.discovery import find_engine
from af3opt.search.hmmer_help import hmmer_help

_PROGRAMS = ("jackhmmer", "nhmmer", "hmmalign", "hmmsearch", "hmmbuild")
# A search of the full protein databases reads some 300 GB; below this it waits for the disk.
_SLOW_BYTES_PER_S = 300e6
# Less than doctor has for all its checks.
_PATIENCE_SECONDS = 5.0
_NOT_FOUND = ": not found: "
_ADVICE = (
    "or give --norun_data_pipeline if your inputs bring their MSAs and templates, or run that "
    "stage elsewhere"
)


def check_programs(subject: Subject) -> Iterator[Check]:
    """The HMMER programs, their versions, and DeepMind's option to limit a search."""
    if not subject.settings.run_data_pipeline:
        yield skipped("HMMER", "--norun_data_pipeline")
        return
    for program in _PROGRAMS:
        path = getattr(subject.settings, f"{program}_binary_path")
        if path is None or not os.access(path, os.X_OK):
            found = f"{path} cannot be run" if path else "not on PATH"
            yield failure(
                program, found, f"install HMMER 3 or set --{program}_binary_path, {_ADVICE}"
            )
            continue
        version = _version(path)
        if version is None:
            yield failure(program, f"{path} does not answer as HMMER does", "install HMMER 3")
            continue
        yield ok(program, f"HMMER {version} ({path})")
        if program == "jackhmmer":
            yield _seq_limit(path)
            yield _exact_search(subject, path)


def _version(program: str) -> str | None:
    try:
        return hmmer_help(program, _PATIENCE_SECONDS).version
    except (OSError, subprocess.SubprocessError):
        return None


def _seq_limit(jackhmmer: str) -> Check:
    try:
        completed = subprocess.run(
            [jackhmmer, "-h", "--seq_limit", "1"],
            capture_output=True,
            timeout=_PATIENCE_SECONDS,
            check=False,
        )
        supported = completed.returncode == 0
    except (OSError, subprocess.SubprocessError):
        supported = False
    if supported:
        return ok("jackhmmer --seq_limit", "supported")
    return warning(
        "jackhmmer --seq_limit",
        "not supported: searches collect every hit, which costs memory for large families",
        "scripts/build-hmmer.sh PREFIX builds HMMER 3.4 with it",
    )


def _exact_search(subject: Subject, jackhmmer: str) -> Check:
    """Whether protein databases are scanned ahead of jackhmmer, and with which instructions."""
    # Imported here: the scan needs NumPy and the compiled part.
    from af3opt.search.aside import Aside
    from af3opt.search.command_line import version_obstacle
    from af3opt.search.kernel import instruction_set
    from af3opt.search.tool import why_not_here

    name = "exact searches"
    if not subject.settings.exact_search:
        return skipped(name, "--noexact_search")
    isa = instruction_set(os.environ)
    reason = why_not_here(os.environ) or version_obstacle(jackhmmer)
    if reason is None and not isinstance(isa, Aside):
        return ok(name, f"protein databases are scanned with {isa}")
    return warning(
        name,
        f"{reason}; searches take the engine's own time",
        "see docs/searches.md for what the scan needs",
    )


def check_databases(subject: Subject) -> Iterator[Check]:
    """Whether each database is there, complete when sharded, and has its size for E-values."""
    if not subject.settings.run_data_pipeline:
        yield skipped("databases", "--norun_data_pipeline")
        return
    try:
        find_engine()
    except SetupError:
        yield skipped("databases", "no engine to say how their paths are read")
        return
    results = {flag: _database(subject, flag) for flag in _database_flags(subject)}
    found = {flag: path for flag, (_, path) in results.items() if path}
    if not all(_NOT_FOUND in check.found for check, _ in results.values()):
        yield from (check for check, _ in results.values())
        yield from _disk(found)
    else:
        # One mistake, most likely: nine lines would hide that.
        folders = ", ".join(map(str, subject.settings.db_dir))
        yield failure(
            "databases",
            f"none of the {len(results)} databases is in --db_dir={folders}",
            f"set --db_dir (or AF3_DATABASES_DIR) to the directory that holds them, {_ADVICE}",
        )


def _database_flags(subject: Subject) -> list[str]:
    names = [field.name for field in dataclasses.fields(subject.settings)]
    return [name for name in names if name.endswith("_database_path")]


def _database(subject: Subject, flag: str) -> tuple[Check, str | None]:
    from af3opt.engine.databases import database_files
    from af3opt.engine.msa import expand_database

    name = flag.removesuffix("_database_path")
    try:
        path = expand_database(getattr(subject.settings, flag), subject.settings.db_dir, flag)
        files = database_files(path, flag)
    except (SetupError, OSError, ImportError) as error:
        reason = str(error).partition("; ")[0]
        return failure(name, reason, f"fetch it and set --db_dir or --{flag}, {_ADVICE}"), None
    unreadable = [file for file in files if not os.access(file, os.R_OK)]
    if unreadable:
        return failure(name, f"{unreadable[0]} cannot be read", "ask for read permission"), None
    if files[0].is_dir():
        return ok(name, path), path
    size = gigabytes(sum(file.stat().st_size for file in files))
    sharded = files != (Path(path),)
    z_value = getattr(subject.settings, f"{name}_z_value", None)
    if sharded and z_value is None and hasattr(subject.settings, f"{name}_z_value"):
        return (
            failure(
                name,
                f"{path}: {len(files)} shards, but --{name}_z_value is not set",
                f"set --{name}_z_value to the size of the whole database, so that E-values are "
                "those of an unsharded search",
            ),
            path,
        )
    shards = f", {len(files)} shards, Z {z_value}" if sharded else ""
    return ok(name, f"{path}, {size}{shards}"), path


def _disk(databases: dict[str, str]) -> Iterator[Check]:
    """Speed of each file system that holds databases, measured on its largest file."""
    from af3opt.engine.databases import database_files

    largest: dict[Path, tuple[int, Path]] = {}
    kinds: dict[Path, str] = {}
    for flag, path in databases.items():
        for file in database_files(path, flag):
            if not file.is_file():
                continue
            system = file_system_of(file)
            kinds[system.mount_point] = system.label
            size = file.stat().st_size
            largest[system.mount_point] = max(
                largest.get(system.mount_point, (0, file)), (size, file)
            )
    for mount_point, (_, file) in largest.items():
        name = f"disk {mount_point}"
        speed = read_speed(file)
        if speed is None:
            yield skipped(name, f"{kinds[mount_point]}; too small or not readable directly")
        elif speed < _SLOW_BYTES_PER_S:
            yield warning(
                name,
                f"{kinds[mount_point]}, {speed / 1e6:.0f} MB/s read directly",
                "searches will wait for it: copy the databases to a node-local disk with "
                "scripts/slurm/stage-to-scratch.sh, or have enough memory to cache them",
            )
        else:
            yield ok(name, f"{kinds[mount_point]}, {speed / 1e6:.0f} MB/s read directly")
