"""Environment variables: those without effect, those that contradict, those that win over ours."""

import re
from collections.abc import Iterator

from af3opt.doctor.check import Check, Subject, failure, ok, warning
from af3opt.environment.environment import plan_environment

# jaxlib contains neither MKL nor OpenMP, so their settings reach nothing in it.
_INERT = re.compile(r"(MKL|KMP|OMP|GOMP|IOMP)_\w+")
# Read by the tests of JAX, never by JAX.
_TEST_ONLY = re.compile(r"JAX_SKIP_\w+_TESTS|JAX_NUM_GENERATED_CASES")
_FRACTIONS = ("XLA_CLIENT_MEM_FRACTION", "XLA_PYTHON_CLIENT_MEM_FRACTION")


def check_inert(subject: Subject) -> Iterator[Check]:
    """Variables that people set and that do nothing to the model."""
    inert = sorted(name for name in subject.environ if _INERT.fullmatch(name))
    if inert:
        yield warning(
            "inert variables",
            f"{', '.join(inert)}: jaxlib contains neither MKL nor OpenMP, so the model is not "
            "changed by them",
            "leave them out; threads are set with --num_threads. (They can matter to other "
            "programs of the job, such as a NumPy that is built on MKL.)",
        )
    tests = sorted(name for name in subject.environ if _TEST_ONLY.fullmatch(name))
    if tests:
        yield warning(
            "inert variables of JAX",
            f"{', '.join(tests)}: read by JAX's own tests only",
            "leave them out",
        )
    if not inert and not tests:
        yield ok("inert variables", "none set")


def check_contradictions(subject: Subject) -> Iterator[Check]:
    """Variables with which JAX would not start, or not find its own libraries."""
    environ = subject.environ
    if all(name in environ for name in _FRACTIONS):
        yield failure(
            "GPU memory fraction",
            f"both {' and '.join(_FRACTIONS)} are set, with which jaxlib refuses to start",
            f"unset {_FRACTIONS[1]}",
        )
    folders = environ.get("LD_LIBRARY_PATH", "").split(":")
    foreign = [folder for folder in folders if re.search(r"cuda|cudnn|nvidia", folder.lower())]
    if foreign and subject.host.gpus:
        yield warning(
            "LD_LIBRARY_PATH",
            f"{':'.join(foreign)} comes before the CUDA libraries that JAX's packages bring",
            "unload the cuda module unless your JAX was built against it",
        )
    if environ.get("JAX_ENABLE_COMPILATION_CACHE", "").lower() in ("0", "false", "off", "no"):
        yield warning(
            "compile cache",
            "off: JAX_ENABLE_COMPILATION_CACHE is false, so every start compiles again",
            "unset JAX_ENABLE_COMPILATION_CACHE",
        )


def check_kept(subject: Subject) -> Iterator[Check]:
    """Exported variables that differ from what af3opt would set; they win."""
    backend = subject.backend
    if backend is None:
        return
    variables = plan_environment(subject.settings, subject.host, subject.environ, backend=backend)
    notes = [variable.note for variable in variables if variable.note]
    if notes:
        yield warning(
            "exported variables",
            "; ".join(notes),
            "unset them unless you want them; af3opt run --print_env shows af3opt's own",
        )
    else:
        yield ok("exported variables", "none overrides a setting of af3opt")
