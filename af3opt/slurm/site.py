"""What a site's Slurm wants: partitions, limits, how af3opt is started on a node.

A TOML file with a table `[slurm]`; `[slurm.data]` and `[slurm.inference]` repeat or
change its keys for one stage.
"""

import dataclasses
import difflib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from af3opt.base.errors import UsageError

_SHIPPED = Path(__file__).parent.parent / "configs" / "slurm"
STAGES = ("data", "inference")


@dataclasses.dataclass(frozen=True, kw_only=True)
class StageResources:
    """What the tasks of one stage ask for; empty text and 0 leave an option out.

    Attributes:
        partition: `--partition`.
        account: `--account`.
        qos: `--qos`.
        gres: `--gres`, such as "gpu:1".
        cpus_per_task: `--cpus-per-task`.
        mem: `--mem`.
        time: `--time`.
        throttle: Tasks that may run at once (`--array=...%N`).
        term_before_end: Seconds before the time limit at which af3opt is told to end.
        restarts: How often a task whose process was killed is put back in the queue, or one
            that stopped early without having finished anything.
        command: How af3opt is started on a node.
        launcher: What starts it as a job step, so that signals reach it.
        prologue: Shell lines before it, such as `module load`.
        extra: Further sbatch options, such as "--constraint=a100".
    """

    partition: str = ""
    account: str = ""
    qos: str = ""
    gres: str = ""
    cpus_per_task: int = 0
    mem: str = ""
    time: str = ""
    throttle: int = 0
    term_before_end: int = 60
    restarts: int = 2
    command: str = "af3opt"
    launcher: str = "srun"
    prologue: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Site:
    """A site's settings.

    Attributes:
        stages: Resources by stage, "data" and "inference".
        minutes_per_task: Inference that one array task should get, by estimate.
        max_jobs_per_task: Most fold jobs of one array task.
        max_tasks: Most tasks of an array; Slurm's own MaxArraySize is often 1001.
        log_dir: Directory of the logs; relative to the output directory.
    """

    stages: Mapping[str, StageResources]
    minutes_per_task: int = 120
    max_jobs_per_task: int = 200
    max_tasks: int = 1000
    log_dir: str = "slurm-logs"


def shipped_sites() -> tuple[str, ...]:
    """Names of the examples that come with af3opt."""
    return tuple(sorted(path.stem for path in _SHIPPED.glob("*.toml")))


def load_site(name_or_path: str) -> Site:
    """Reads a site's settings.

    Args:
        name_or_path: Name of a shipped example, or a path with a slash or `.toml`.

    Raises:
        UsageError: it cannot be read, or a key or value is wrong.
    """
    where = f"--slurm={name_or_path}"
    if "/" in name_or_path or name_or_path.endswith(".toml"):
        path = Path(name_or_path).expanduser()
    else:
        path = _SHIPPED / f"{name_or_path}.toml"
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UsageError(
            f"{where}: no such file; shipped examples are {', '.join(shipped_sites())}"
        ) from error
    except OSError as error:
        raise UsageError(f"{where}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{where}: not valid TOML: {error}") from error
    table = content.get("slurm")
    if not isinstance(table, dict):
        raise UsageError(f"{where}: has no table [slurm]")
    return _read_site(table, where)


def _read_site(table: dict[str, Any], where: str) -> Site:
    own = {field.name: field for field in dataclasses.fields(Site) if field.name != "stages"}
    shared = {key: value for key, value in table.items() if key not in {*own, *STAGES}}
    stages = {}
    for stage in STAGES:
        changes = table.get(stage, {})
        if not isinstance(changes, dict):
            raise UsageError(f"{where}: slurm.{stage} must be a table")
        stages[stage] = _read(StageResources, {**shared, **changes}, where, f"slurm.{stage}")
    values = {key: value for key, value in table.items() if key in own}
    site: Site = _read(Site, values, where, "slurm", stages=stages)
    return site


def _read(kind: Any, values: dict[str, Any], where: str, name: str, **given: Any) -> Any:
    fields = {field.name: field for field in dataclasses.fields(kind)}
    checked = {}
    for key, value in values.items():
        if key not in fields:
            nearest = difflib.get_close_matches(key, fields, n=1, cutoff=0.0)[0]
            raise UsageError(f"{where}: {name}.{key} is unknown; the nearest is {nearest}")
        checked[key] = _checked(fields[key].default, value, f"{where}: {name}.{key}")
    return kind(**checked, **given)


def _checked(default: Any, value: Any, where: str) -> Any:
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
