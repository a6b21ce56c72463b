"""Runs both sides of each case in turn, in processes of their own."""

import dataclasses
import logging
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from af3opt.base.child_process import interpreter_command, module_command
from af3opt.base.errors import SetupError
from af3opt.benchmarks.process import ProcessRun, run_measured
from af3opt.benchmarks.results import BASELINE, COLD, WARM, CaseResult, Run
from af3opt.benchmarks.suites import Case, write_inputs
from af3opt.data.prepared import find_prepared, prepared_root
from af3opt.environment.xla_flags import merge_xla_flags
from af3opt.settings.command_line import flags_of
from af3opt.settings.field import Value

_log = logging.getLogger(__name__)

_PACKAGE_PARENT = Path(__file__).parents[2]
_OWN_PREFIX = "AF3OPT_"
# docker/Dockerfile of AlphaFold 3.
_IMAGE_XLA_FLAGS = ("--xla_gpu_enable_triton_gemm=false",)
_STRUCTURES = "*_model.cif*"
_CHUNK_BYTES = 16 << 20


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """What is compared.

    Attributes:
        baseline_python: Interpreter of the baseline.
        baseline_script: A run_alphafold.py to run instead of `baseline`, or None.
        baseline_weights: Its model directory.
        subject_weights: af3opt's model directory.
        subject_flags: Flags for af3opt alone.
        backend: "cpu" or "gpu", for both.
        attention: Attention kernels for both.
    """

    baseline_python: str
    baseline_script: Path | None
    baseline_weights: Path
    subject_weights: Path
    subject_flags: tuple[str, ...]
    backend: str
    attention: str

    def baseline_command(self, case: Case, inputs: Path, output: Path) -> list[str]:
        """The baseline's command line."""
        if self.baseline_script is not None:
            program = [self.baseline_python, str(self.baseline_script)]
        else:
            module = ["-m", "af3opt.benchmarks.baseline", "--component_pickle"]
            program = [self.baseline_python, *module]
        return [*program, *self._common(case, inputs, output, self.baseline_weights)]

    def subject_command(self, case: Case, inputs: Path, output: Path) -> list[str]:
        """The command line of af3opt."""
        common = self._common(case, inputs, output, self.subject_weights)
        return [sys.executable, "-m", "af3opt", "run", *common, *self.subject_flags]

    def baseline_environ(self) -> dict[str, str]:
        """The baseline's environment: on a GPU with what AlphaFold 3's own image sets."""
        environ = child_environ(_original_home())
        if self.backend == "gpu":
            environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "true")
            environ.setdefault("XLA_CLIENT_MEM_FRACTION", "0.95")
            merged = merge_xla_flags(environ.get("XLA_FLAGS", ""), _IMAGE_XLA_FLAGS)
            environ["XLA_FLAGS"] = merged.text
        return environ

    def shown(self, command: Sequence[str], folder: Path) -> str:
        """Returns a command for the report, with names in place of this machine's paths.

        Args:
            command: Program and arguments.
            folder: Scratch directory of the benchmark.
        """
        names = {
            str(folder): "$SCRATCH",
            str(self.baseline_weights): "$BASELINE_WEIGHTS",
            str(self.subject_weights): "$WEIGHTS",
        }
        if self.baseline_script is not None:
            names[str(self.baseline_script)] = "run_alphafold.py"
        words = ["python", *command[1:]]
        for path, name in names.items():
            words = [word.replace(path, name) for word in words]
        return " ".join(words)

    def _common(self, case: Case, inputs: Path, output: Path, weights: Path) -> list[str]:
        both: dict[str, Value] = {
            "input_dir": inputs,
            "output_dir": output,
            "model_dir": weights,
            "jax_backend": self.backend,
            "flash_attention_implementation": self.attention,
        }
        return [*flags_of(both), "--norun_data_pipeline", *flags_of(case.flags)]


def measure_case(case: Case, sides: Sides, repeats: int, folder: Path) -> CaseResult:
    """Measures one case.

    Args:
        case: The case.
        sides: What to compare.
        repeats: How often; each repeat is baseline, af3opt cold, af3opt warm, or af3opt
            first.
        folder: Scratch directory; inputs, outputs, logs and caches go there. It
            should lie in the file system of the prepared data, which is linked.

    Raises:
        SetupError: a process failed, or the sides wrote different structures.
    """
    inputs = write_inputs(case, folder / "inputs")
    runs: list[Run] = []
    commands: dict[str, str] = {}
    for repeat in range(repeats):
        scratch = folder / f"{case.name}-{repeat}"
        home = scratch / "home"
        _link_prepared(home)
        outputs = {role: scratch / f"output-{number}" for number, role in enumerate(_order(repeat))}
        for role, output in outputs.items():
            if role == BASELINE:
                command = sides.baseline_command(case, inputs, output)
                environ = sides.baseline_environ()
            else:
                command = sides.subject_command(case, inputs, output)
                environ = child_environ(home)
            _log.info("%s, repeat %d of %d: %s", case.name, repeat + 1, repeats, role)
            log = scratch / f"{output.name}.log"
            measured = run_measured(command, environ, log, folder=scratch)
            _log.info("%s: %.1f s", role, measured.wall_seconds)
            runs.append(_run(role, repeat, measured))
            commands.setdefault(role, sides.shown(command, folder))
        _check_same_structures(outputs)
        shutil.rmtree(home)
    return CaseResult(name=case.name, description=case.description, commands=commands, runs=runs)


def _order(repeat: int) -> tuple[str, ...]:
    """Who goes first changes, since the second finds files in the system's cache."""
    return (COLD, WARM, BASELINE) if repeat % 2 else (BASELINE, COLD, WARM)


def _run(role: str, repeat: int, measured: ProcessRun) -> Run:
    return Run(
        role=role,
        repeat=repeat,
        wall_seconds=round(measured.wall_seconds, 3),
        cpu_seconds=round(measured.cpu_seconds, 3),
        peak_bytes=measured.peak_bytes,
        stages={stage: round(seconds, 3) for stage, seconds in measured.stages.items()},
    )


def child_environ(home: Path) -> dict[str, str]:
    """Returns the environment of both sides: the user's, with nothing of af3opt's settings.

    Args:
        home: AF3OPT_HOME of the process.
    """
    kept = {name: text for name, text in os.environ.items() if not name.startswith(_OWN_PREFIX)}
    paths = [str(_PACKAGE_PARENT), kept.get("PYTHONPATH", "")]
    return {
        **kept,
        "AF3OPT_HOME": str(home),
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
    }


def _original_home() -> Path:
    return prepared_root().parent


def _link_prepared(home: Path) -> None:
    """Makes an AF3OPT_HOME with the prepared data and nothing else: cold caches."""
    if home.exists():
        shutil.rmtree(home)
    target = home / "prepared"
    target.mkdir(mode=0o700, parents=True)
    prepared = find_prepared()
    if prepared is None:
        return  # The engine has component data of its own.
    shutil.copytree(prepared.root, target / prepared.root.name, copy_function=_link)
    (target / "current").write_text(f"{prepared.root.name}\n")


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # Another file system.
        shutil.copy2(source, target)


def _check_same_structures(outputs: Mapping[str, Path]) -> None:
    """A side that left something out would win easily."""
    names = {
        role: sorted(path.relative_to(output).as_posix() for path in output.rglob(_STRUCTURES))
        for role, output in outputs.items()
    }
    if not names[BASELINE] or any(found != names[BASELINE] for found in names.values()):
        counts = ", ".join(f"{role} {len(found)}" for role, found in names.items())
        raise SetupError(f"the sides wrote different structures ({counts}); nothing is compared")


def synthetic_weights(python: str, depth: str) -> Path:
    """Returns the model directory with synthetic weights for an interpreter's engine.

    Args:
        python: The interpreter.
        depth: "small" or "full".

    Raises:
        SetupError: they cannot be made.
    """
    command = [
        *module_command("af3opt", python),
        "prepare",
        "--synthetic_weights",
        f"--depth={depth}",
    ]
    completed = subprocess.run(
        command, env=child_environ(_original_home()), capture_output=True, text=True, check=False
    )
    if completed.returncode:
        reason = (completed.stderr.strip().splitlines() or ["no message"])[-1]
        raise SetupError(f"{shlex.join(command)}: {reason}")
    return Path(completed.stdout.strip().splitlines()[-1])


def fill_file_cache(sides: Sides) -> None:
    """Reads the weights, so that whoever runs first finds them as whoever runs second."""
    for folder in {sides.baseline_weights, sides.subject_weights}:
        for path in filter(Path.is_file, folder.iterdir()):
            with path.open("rb") as stream:
                while stream.read(_CHUNK_BYTES):
                    pass


def build_baseline_data(python: str) -> None:
    """Has the baseline build its component dictionary, so that no measured run does.

    Raises:
        SetupError: it cannot.
    """
    code = "from af3opt.benchmarks.baseline import build_component_pickle as b; b()"
    completed = subprocess.run(
        [*interpreter_command(python), "-c", code],
        env=child_environ(_original_home()),
        capture_output=True,
        text=True,
        check=False,
    )
    if completed.returncode:
        reason = (completed.stderr.strip().splitlines() or ["no message"])[-1]
        raise SetupError(f"the baseline's component data cannot be built: {reason}")
