"""A script's flags, what it is given of the settings, and what it cannot be given."""

import ast
import logging
import shlex
from pathlib import Path

from af3opt.base.errors import SetupError, UsageError
from af3opt.engine.discovery import find_engine, terms_of_use_path
from af3opt.environment.backend import Backend
from af3opt.inference.buckets import choose_buckets
from af3opt.settings.catalogue import all_options
from af3opt.settings.command_line import as_flag, flags_of
from af3opt.settings.settings import Settings

_log = logging.getLogger(__name__)

# What af3opt's own runner does around the stages, beside what settings refuse with a script
# whatever they come from; the script has its own order of things.
NOT_WITH_A_SCRIPT = frozenset({
    "debug_numerics", "explain_resume", "fail_fast", "featurise_workers", "force_memory",
    "max_runtime", "on_nonfinite", "order", "overlap", "report", "resume", "save_pdb", "trace",
})  # fmt: skip


def script_flags(script: Path) -> frozenset[str]:
    """Finds the flags that a script defines, without running it.

    Args:
        script: Path of a `run_alphafold.py`.

    Raises:
        SetupError: it cannot be read or parsed, or defines no `output_dir`.
    """
    try:
        tree = ast.parse(script.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise SetupError(f"--run_alphafold_script={script}: {error.strerror}") from error
    except (SyntaxError, ValueError) as error:
        raise SetupError(f"--run_alphafold_script={script}: is not Python: {error}") from error
    names = frozenset(
        str(node.args[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr.startswith("DEFINE_")
        and node.args
        and isinstance(node.args[0], ast.Constant)
    )
    if "output_dir" not in names:
        raise SetupError(
            f"--run_alphafold_script={script}: defines no flag --output_dir, so it is not "
            "AlphaFold 3's run_alphafold.py; give the path of that script"
        )
    return names


def script_arguments(
    settings: Settings, backend: Backend, known: frozenset[str], script: Path
) -> list[str]:
    """Builds the script's command line: what the user set, and what fits this host.

    Other flags are not passed, so the script's own defaults hold.

    Raises:
        UsageError: the user set an upstream flag that this script does not have, or one of
            af3opt's that has no effect with a script.
    """
    arguments: list[str] = []
    for name, option in all_options().items():
        source = settings.sources.get(name, "default")
        if source == "default":
            continue
        value = getattr(settings, name)
        if name in NOT_WITH_A_SCRIPT and value != option.default():
            _refuse(name, source, script)
        if not option.spec.upstream:
            continue
        if name not in known:
            raise UsageError(f"--{name} (from {source}): {script} has no such flag; remove it")
        arguments += as_flag(option, value) if value is not None else []
    for name, chosen in _fitting_this_host(settings, backend).items():
        if settings.sources.get(name, "default") == "default" and name in known:
            arguments += flags_of({name: chosen})
    return [*arguments, *settings.absl_flags, *_own_flags(settings, known, script)]


def _own_flags(settings: Settings, known: frozenset[str], script: Path) -> list[str]:
    """The flags that the user has for the script alone.

    Raises:
        UsageError: the script has no such flag, or af3opt has one of that name.
    """
    try:
        own = shlex.split(settings.script_flags or "")
    except ValueError as error:
        raise UsageError(f"--script_flags={settings.script_flags}: {error}") from error
    for argument in own:
        name = argument.lstrip("-").partition("=")[0]
        # A boolean is switched off by its name behind a no.
        names = {name, name.removeprefix("no")}
        if not argument.startswith("-") or not names & known:
            raise UsageError(
                f"--script_flags: {script} has no flag {argument!r}; write --name=value"
            )
        if names & all_options().keys():
            raise UsageError(f"--script_flags: give {argument} itself, af3opt passes it on")
    return own


def _refuse(name: str, source: str, script: Path) -> None:
    """A flag on this command line must do something; a site's common settings need not."""
    if source == "flag":
        raise UsageError(
            f"--{name} needs af3opt's own runner and has no effect on {script}: leave it out, or "
            "--run_alphafold_script"
        )
    _log.info("%s (from %s) has no effect with a script", name, source)


def _fitting_this_host(settings: Settings, backend: Backend) -> dict[str, str]:
    chosen = {
        "jax_backend": backend.name,
        "flash_attention_implementation": backend.flash_attention,
    }
    # Elsewhere the script's own list holds.
    if settings.run_inference and backend.name == "cpu" and settings.fidelity == "fast":
        chosen["buckets"] = ",".join(map(str, choose_buckets(settings, backend.name)))
    return chosen


def check_terms(settings: Settings, script: Path) -> None:
    """Looks for the file of the engine that upstream's script reads after each inference.

    Raises:
        SetupError: the script names it and it is not there.
    """
    path = terms_of_use_path(find_engine())
    if not settings.run_inference or path.is_file():
        return
    if path.name in script.read_text(encoding="utf-8"):
        raise SetupError(
            f"the engine has no {path}, which {script} reads after the inference; reinstall the "
            "engine, or copy the file from its source there"
        )
