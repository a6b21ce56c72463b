"""What is measured: inputs, flags and the number of repeats of each suite."""

import dataclasses
import json
import random
from collections.abc import Mapping
from pathlib import Path

from af3opt.errors import UsageError

# Human ubiquitin (UniProt P0CG48, residues 1-76).
UBIQUITIN = "MQIFVKTLTGKTITLEVEPSDTIENVKAKIQDKEGIPPDQQRLIFAGKQLEDGRTLSDYNIQKESTLHLVLRLRGG"
_AMINO_ACIDS = "ACDEFGHIKLMNPQRSTVWY"
_STEPS_FLAG = "--num_diffusion_steps="


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One comparison: the same inputs and flags for both sides.

    Attributes:
        name: Short, for tables and file names.
        description: What it stands for.
        sizes: Residues of each input: one protein without MSA and templates. 76 is
            ubiquitin, other sizes are random sequences that are always the same.
        seeds: Model seeds of each input.
        flags: Flags of run_alphafold.py (and `--num_diffusion_steps`) for both sides.
    """

    name: str
    description: str
    sizes: tuple[int, ...]
    seeds: int = 1
    flags: tuple[str, ...] = ()

    @property
    def fits_any_script(self) -> bool:
        """Whether run_alphafold.py has all the flags."""
        return not any(flag.startswith(_STEPS_FLAG) for flag in self.flags)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """Several cases.

    Attributes:
        name: As on the command line.
        description: What it is for and how long it takes.
        depth: Depth of the synthetic weights when no others are given.
        repeats: Repeats of each case unless asked otherwise.
        cases: The cases.
    """

    name: str
    description: str
    depth: str
    repeats: int
    cases: tuple[Case, ...]


_DEFAULTS = Case(
    name="ubiquitin",
    description="76 residues, every flag at its default (10 recycles, 5 samples, 200 steps)",
    sizes=(76,),
)
_SHORT = ("--num_recycles=3", "--num_diffusion_samples=5", "--num_diffusion_steps=50")
_EQUAL_BUCKET = Case(
    name="199-equal-bucket",
    description="199 residues, 3 recycles, 50 steps, both sides padded to 256 tokens",
    sizes=(199,),
    flags=(*_SHORT, "--buckets=256"),
)

SUITES: Mapping[str, Suite] = {
    suite.name: suite
    for suite in (
        Suite(
            name="quick",
            description="a model of reduced depth: shows that everything works, a few minutes",
            depth="small",
            repeats=2,
            cases=(
                Case(
                    name="quick",
                    description="76 residues, 2 recycles, 2 samples, model of reduced depth",
                    sizes=(76,),
                    flags=("--num_recycles=2", "--num_diffusion_samples=2"),
                ),
            ),
        ),
        Suite(
            name="cpu",
            description="the model at its true depth in sizes that a CPU can do, an hour or more",
            depth="full",
            repeats=2,
            cases=(
                _DEFAULTS,
                Case(
                    name="199",
                    description="199 residues, 3 recycles, 50 steps, each side's own padding",
                    sizes=(199,),
                    flags=_SHORT,
                ),
                _EQUAL_BUCKET,
                Case(
                    name="384",
                    description="384 residues, 1 recycle, 1 sample, 20 steps, no padding",
                    sizes=(384,),
                    flags=(
                        "--num_recycles=1",
                        "--num_diffusion_samples=1",
                        "--num_diffusion_steps=20",
                        "--buckets=384",
                    ),
                ),
            ),
        ),
        Suite(
            name="full",
            description="sizes, seeds and a batch, every flag at its default; meant for a GPU",
            depth="full",
            repeats=3,
            cases=(
                _DEFAULTS,
                Case(name="256", description="256 residues, defaults", sizes=(256,)),
                Case(name="512", description="512 residues, defaults", sizes=(512,)),
                Case(name="1024", description="1024 residues, defaults", sizes=(1024,)),
                Case(name="seeds", description="256 residues, 5 seeds", sizes=(256,), seeds=5),
                Case(
                    name="batch",
                    description="eight inputs of 60 to 250 residues in one run",
                    sizes=(60, 76, 100, 120, 150, 190, 220, 250),
                ),
            ),
        ),
        Suite(
            name="report",
            description="inputs of growing size, 3 recycles, improvements in per cent",
            depth="full",
            repeats=1,
            cases=tuple(
                Case(
                    name=f"{size}",
                    description=f"{size} residues, 3 recycles",
                    sizes=(size,),
                    flags=("--num_recycles=3",),
                )
                for size in (76, 150, 250, 400)
            ),
        ),
    )
}


def find_suite(name: str) -> Suite:
    """Returns a suite by its name.

    Raises:
        UsageError: there is none of this name.
    """
    if name not in SUITES:
        raise UsageError(f"--suite={name}: choose one of {', '.join(SUITES)}, features")
    return SUITES[name]


def write_inputs(case: Case, folder: Path) -> Path:
    """Writes the fold inputs of a case and returns the directory.

    Args:
        case: The case.
        folder: Directory to create them in, as `<case>/<name>.json`.
    """
    target = folder / case.name
    target.mkdir(parents=True, exist_ok=True)
    for size in case.sizes:
        name = f"protein_{size}"
        content = {
            "name": name,
            "modelSeeds": list(range(1, case.seeds + 1)),
            "sequences": [
                {
                    "protein": {
                        "id": "A",
                        "sequence": _sequence(size),
                        "unpairedMsa": "",
                        "pairedMsa": "",
                        "templates": [],
                    }
                }
            ],
            "dialect": "alphafold3",
            "version": 1,
        }
        (target / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")
    return target


def _sequence(size: int) -> str:
    if size == len(UBIQUITIN):
        return UBIQUITIN
    # Reproducible inputs are the point; nothing here is a secret.
    return "".join(random.Random(size).choices(_AMINO_ACIDS, k=size))  # noqa: S311
