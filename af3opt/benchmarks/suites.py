"""What is measured: inputs, flags and the number of repeats of each suite."""

import dataclasses
import json
import random
from collections.abc import Mapping
from pathlib import Path

from af3opt.base.errors import UsageError
from af3opt.base.json_types import JsonObject

# Human ubiquitin (UniProt P0CG48, residues 1-76).
UBIQUITIN = "MQIFVKTLTGKTITLEVEPSDTIENVKAKIQDKEGIPPDQQRLIFAGKQLEDGRTLSDYNIQKESTLHLVLRLRGG"
_AMINO_ACIDS = "ACDEFGHIKLMNPQRSTVWY"
_STEPS_FLAG = "num_diffusion_steps"
_COUNTED = {
    "num_recycles": "recycle",
    "num_diffusion_samples": "sample",
    _STEPS_FLAG: "step",
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One comparison: the same inputs and flags for both sides.

    Attributes:
        name: Short, for tables and file names.
        sizes: Residues of each input: one protein without MSA and templates. 76 is
            ubiquitin, other sizes are random sequences that are always the same.
        seeds: Model seeds of each input.
        flags: Flags of run_alphafold.py (and `num_diffusion_steps`) for both sides, by
            name.
    """

    name: str
    sizes: tuple[int, ...]
    seeds: int = 1
    flags: Mapping[str, int] = dataclasses.field(default_factory=dict)

    @property
    def fits_any_script(self) -> bool:
        """Whether run_alphafold.py has all the flags."""
        return _STEPS_FLAG not in self.flags

    @property
    def description(self) -> str:
        """What is folded and how, in words, such as "76 residues, 3 recycles"."""
        if len(self.sizes) == 1:
            parts = [f"{self.sizes[0]} residues"]
        else:
            span = f"{min(self.sizes)} to {max(self.sizes)} residues"
            parts = [f"{len(self.sizes)} inputs of {span} in one run"]
        if self.seeds > 1:
            parts.append(f"{self.seeds} seeds")
        if not self.flags:
            parts.append("every flag at its default")
        for flag, word in _COUNTED.items():
            if flag in self.flags:
                number = self.flags[flag]
                parts.append(f"{number} {word}{'' if number == 1 else 's'}")
        if "buckets" in self.flags:
            parts.append(f"both padded to {self.flags['buckets']} tokens")
        return ", ".join(parts)

    def with_flags(self, changes: Mapping[str, int]) -> "Case":
        """Returns the case with some flags replaced or added."""
        return dataclasses.replace(self, flags={**self.flags, **changes})


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


# Suites with flags of their own: modules beside this one.
OWN_FLAGS = ("features", "deviation", "search")

_SHORT = {"num_recycles": 3, "num_diffusion_steps": 50}
_QUICK = {"num_recycles": 2, "num_diffusion_samples": 2}
_TINY = {"num_recycles": 1, "num_diffusion_samples": 1, "num_diffusion_steps": 20}
_UBIQUITIN = Case(name="ubiquitin", sizes=(76,))

SUITES: Mapping[str, Suite] = {
    suite.name: suite
    for suite in (
        Suite(
            name="quick",
            description="a model of reduced depth, to test that everything works (minutes)",
            depth="small",
            repeats=2,
            cases=(Case(name="quick", sizes=(76,), flags=_QUICK),),
        ),
        Suite(
            name="cpu",
            description="the whole model in sizes for a CPU (an hour or more)",
            depth="full",
            repeats=2,
            cases=(
                _UBIQUITIN,
                Case(name="128", sizes=(128,), flags={**_SHORT, "buckets": 128}),
                Case(name="199", sizes=(199,), flags=_SHORT),
                Case(name="199-equal-bucket", sizes=(199,), flags={**_SHORT, "buckets": 256}),
                Case(name="384", sizes=(384,), flags={**_TINY, "buckets": 384}),
            ),
        ),
        Suite(
            name="full",
            description="several sizes, seeds and a batch, every flag at its default (for a GPU)",
            depth="full",
            repeats=3,
            cases=(
                _UBIQUITIN,
                Case(name="256", sizes=(256,)),
                Case(name="512", sizes=(512,)),
                Case(name="1024", sizes=(1024,)),
                Case(name="seeds", sizes=(256,), seeds=5),
                Case(name="batch", sizes=(60, 76, 100, 120, 150, 190, 220, 250)),
            ),
        ),
        Suite(
            name="report",
            description="four sizes, 3 recycles, improvements in per cent (hours on a CPU without "
            "--depth=small)",
            depth="full",
            repeats=1,
            cases=tuple(
                Case(name=f"{size}", sizes=(size,), flags={"num_recycles": 3})
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
        raise UsageError(f"--suite={name}: choose one of {', '.join([*SUITES, *OWN_FLAGS])}")
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
        content = input_json(size, case.seeds)
        (target / f"{content['name']}.json").write_text(json.dumps(content, indent=1) + "\n")
    return target


def input_json(size: int, seeds: int = 1) -> JsonObject:
    """One protein chain without MSA and templates, always the same, as an input's content.

    Args:
        size: Residues.
        seeds: Model seeds, from 1.
    """
    chain = {
        "id": "A",
        "sequence": _sequence(size),
        "unpairedMsa": "",
        "pairedMsa": "",
        "templates": [],
    }
    return {
        "name": f"protein_{size}",
        "modelSeeds": list(range(1, seeds + 1)),
        "sequences": [{"protein": chain}],
        "dialect": "alphafold3",
        "version": 1,
    }


def _sequence(size: int) -> str:
    if size == len(UBIQUITIN):
        return UBIQUITIN
    # Reproducible inputs are the point; nothing here is a secret.
    return "".join(random.Random(size).choices(_AMINO_ACIDS, k=size))  # noqa: S311
