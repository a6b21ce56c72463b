"""A fold job that has been checked."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from af3opt.base.errors import InputError
from af3opt.base.json_types import Json
from af3opt.inputs.bonds import Atom
from af3opt.inputs.chain import Chain
from af3opt.inputs.components import Dictionary, check_components
from af3opt.inputs.findings import Findings, Place, shown
from af3opt.inputs.user_ccd import defined_components


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CheckedJob:
    """One fold job of an input file and what was found in it.

    Attributes:
        path: The file.
        position: Index among the jobs of the file.
        in_list: Whether the file is a list of jobs (AlphaFold Server's dialect).
        name: The job's name as it is written, or "".
        content: The job's JSON with every file that it names read in; of no use if there
            are errors.
        chains: Its chains, as far as they could be read.
        bonds: Its bonds, as far as they could be read.
        findings: Errors and warnings.
    """

    path: Path
    position: int = 0
    in_list: bool = False
    name: str = ""
    content: Mapping[str, Json] = dataclasses.field(default_factory=dict)
    chains: Sequence[Chain] = ()
    bonds: Sequence[tuple[Atom, Atom]] = ()
    findings: Findings = dataclasses.field(default_factory=Findings)

    @property
    def source(self) -> str:
        """How messages name the job: its file, and in a list its name, too."""
        if not self.in_list:
            return str(self.path)
        name = f" ({shown(self.name)[1:-1]})" if self.name else ""
        return f"{self.path}: job {self.position + 1}{name}"

    def raise_if_refused(self) -> None:
        """Raises what was found.

        Raises:
            InputError: the job cannot be run.
        """
        if self.findings.errors:
            raise InputError(f"{self.source}: {self.findings.summary}")

    @property
    def warnings(self) -> list[str]:
        """What the user should know, one line each, with the job."""
        return [f"{self.source}: {warning}" for warning in self.findings.warnings]

    def check_components(self, ccd: Dictionary) -> None:
        """Checks component codes, the job's own components, and the atoms of bonds.

        Args:
            ccd: Chemical component dictionary with the job's own components.

        Raises:
            InputError: one is not there, or cannot be used.
        """
        text = self.content.get("userCCD")
        own = frozenset(defined_components(text) if isinstance(text, str) else ())
        check_components(self.chains, self.bonds, ccd, Place(self.findings), own=own)
        self.raise_if_refused()
