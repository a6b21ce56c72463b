"""What a site's scheduler wants: partitions, limits, how af3opt is started on a node.

A TOML file with a table `[slurm]`, `[pbs]`, `[lsf]` or `[sge]`; `[slurm.data]` and
`[slurm.inference]`, and their like, repeat or change its keys for one stage.
"""

import dataclasses
import difflib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from af3opt.base.errors import UsageError
from af3opt.base.json_types import Json, JsonObject
from af3opt.schedulers.core import StageResources, limit_seconds
from af3opt.schedulers.every import SCHEDULERS, choose_scheduler

_CONFIGS = Path(__file__).parent.parent / "configs"
STAGES = ("data", "inference")
_SLURM_ONLY = {
    "partition": "give queue",
    "qos": "give further options in extra",
    "gres": "give gpus",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Site:
    """A site's settings.

    Attributes:
        scheduler: Name of the scheduler.
        stages: Resources by stage, "data" and "inference".
        minutes_per_task: Inference that one array task should get, by estimate.
        search_minutes_per_task: Searches that one array task should get, by estimate.
        max_jobs_per_task: Most fold jobs of one array task.
        max_tasks: Most tasks of an array; Slurm's own MaxArraySize is often 1001.
        log_dir: Directory of the logs; relative to the output directory.
    """

    stages: Mapping[str, StageResources]
    scheduler: str = "slurm"
    minutes_per_task: int = 120
    search_minutes_per_task: int = 240
    max_jobs_per_task: int = 200
    max_tasks: int = 1000
    log_dir: str = "slurm-logs"


def shipped_sites() -> tuple[str, ...]:
    """Names of the examples that come with af3opt."""
    return tuple(sorted(path.stem for path in _shipped()))


def _shipped() -> list[Path]:
    return [path for name in SCHEDULERS for path in (_CONFIGS / name).glob("*.toml")]


def load_site(name_or_path: str, scheduler: str | None = None, flag: str = "--slurm") -> Site:
    """Reads a site's settings.

    Args:
        name_or_path: Name of a shipped example, or a path with a slash or `.toml`.
        scheduler: Value of `--scheduler`, or None.
        flag: Where the name comes from, for messages.

    Raises:
        UsageError: it cannot be read, a key or value is wrong, or it does not tell which
            scheduler the batch goes to.
    """
    where = f"{flag}={name_or_path}"
    content = _read_file(name_or_path, where)
    described = [name for name in SCHEDULERS if isinstance(content.get(name), dict)]
    if not described:
        names = ", ".join(f"[{name}]" for name in SCHEDULERS)
        raise UsageError(f"{where}: has no table {names}; it needs one of them")
    chosen = choose_scheduler(scheduler, described).name
    return _read_site(content[chosen], where, chosen)


def _read_file(name_or_path: str, where: str) -> JsonObject:
    if "/" in name_or_path or name_or_path.endswith(".toml"):
        path = Path(name_or_path).expanduser()
    else:
        named = (path for path in _shipped() if path.stem == name_or_path)
        path = next(named, Path(name_or_path))
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise UsageError(
            f"{where}: no such file; shipped examples are {', '.join(shipped_sites())}"
        ) from error
    except OSError as error:
        raise UsageError(f"{where}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{where}: not valid TOML: {error}") from error


def _read_site(table: JsonObject, where: str, name: str) -> Site:
    own = {
        field.name: field
        for field in dataclasses.fields(Site)
        if field.name not in ("stages", "scheduler")
    }
    shared = {key: value for key, value in table.items() if key not in {*own, *STAGES}}
    stages = {}
    for stage in STAGES:
        changes = table.get(stage, {})
        if not isinstance(changes, dict):
            raise UsageError(f"{where}: {name}.{stage} must be a table")
        stages[stage] = _read_stage({**shared, **changes}, where, name, stage)
    values = {key: value for key, value in table.items() if key in own}
    values.setdefault("log_dir", f"{name}-logs")
    site: Site = _read(Site, values, where, name, stages=stages, scheduler=name)
    return site


def _read_stage(values: JsonObject, where: str, scheduler: str, stage: str) -> StageResources:
    name = f"{scheduler}.{stage}"
    if scheduler == "slurm":
        resources: StageResources = _read(StageResources, values, where, name)
        return resources
    for key, instead in _SLURM_ONLY.items():
        if key in values:
            raise UsageError(f"{where}: {name}.{key} is for Slurm alone; {instead}")
    renamed = {"partition" if key == "queue" else key: value for key, value in values.items()}
    resources = _read(StageResources, {"launcher": "", **renamed}, where, name)
    if resources.time and limit_seconds(resources) is None:
        raise UsageError(f"{where}: {name}.time={resources.time}: write HH:MM:SS or D-HH:MM:SS")
    return resources


def _read(kind: Any, values: JsonObject, where: str, name: str, **given: Json) -> Json:
    fields = {field.name: field for field in dataclasses.fields(kind)}
    checked = {}
    for key, value in values.items():
        if key not in fields:
            nearest = difflib.get_close_matches(key, fields, n=1, cutoff=0.0)[0]
            raise UsageError(f"{where}: {name}.{key} is unknown; the nearest is {nearest}")
        checked[key] = _checked(fields[key].default, value, f"{where}: {name}.{key}")
    return kind(**checked, **given)


def _checked(default: Json, value: Json, where: str) -> Json:
    if isinstance(default, tuple):
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise UsageError(f"{where}: must be a list of strings")
        return tuple(value)
    if type(value) is not type(default):
        wanted = "an integer" if isinstance(default, int) else "a string"
        raise UsageError(f"{where}: must be {wanted}")
    if isinstance(value, str) and "\n" in value:
        raise UsageError(f"{where}: must be one line")
    if isinstance(value, int) and value < 0:
        raise UsageError(f"{where}: must not be negative")
    return value
