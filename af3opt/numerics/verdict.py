"""What a numerical check found, and what to do about it."""

import dataclasses
import enum
from collections.abc import Mapping

from af3opt.base.errors import Af3optError


class NonFinitePolicy(enum.StrEnum):
    """What `--on_nonfinite` asks for when a prediction holds NaN or infinity.

    Attributes:
        RETRY: compute the seed once more in safer numerics; samples that are
            still bad are set apart and not ranked.
        FAIL: stop the job.
        MARK: write everything where it belongs and say so in log and record.
    """

    RETRY = "retry"
    FAIL = "fail"
    MARK = "mark"


class Action(enum.StrEnum):
    """What the caller has to do with a checked seed.

    Attributes:
        ACCEPT: every value is finite; write it.
        RETRY_SAFER: compute the seed again, see `numerics.safer`.
        EXCLUDE: write `SeedVerdict.bad_samples` under a name that says so, leave
            them out of the ranking; the other samples are fine.
        FAIL: stop the job with `SeedVerdict.error()`.
        MARK: write all samples in their usual place; the bad ones are unranked.
    """

    ACCEPT = "accept"
    RETRY_SAFER = "retry_safer"
    EXCLUDE = "exclude"
    FAIL = "fail"
    MARK = "mark"


class NonFiniteError(Af3optError):
    """The job was stopped because the model produced NaN or infinity."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ArrayFinding:
    """Non-finite entries of one array, masked entries not counted.

    Attributes:
        path: Where the array sits in the result, such as
            "diffusion_samples.atom_positions".
        nan: NaN entries, one count per sample, or a single count when the array
            has no sample axis.
        infinite: Infinite entries, counted likewise.
        per_sample: Whether the counts belong to single samples.
    """

    path: str
    nan: tuple[int, ...]
    infinite: tuple[int, ...]
    per_sample: bool

    @property
    def total(self) -> int:
        """All non-finite entries together."""
        return sum(self.nan) + sum(self.infinite)

    def bad_samples(self, num_samples: int) -> frozenset[int]:
        """Samples this array spoils: all of them when it has no sample axis."""
        if not self.total:
            return frozenset()
        if not self.per_sample:
            return frozenset(range(num_samples))
        pairs = zip(self.nan, self.infinite, strict=True)
        return frozenset(index for index, counts in enumerate(pairs) if sum(counts))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SeedVerdict:
    """The outcome of checking one seed.

    Attributes:
        seed: The seed, for messages.
        num_samples: Diffusion samples in the result.
        findings: Arrays with at least one non-finite entry that should be finite.
        stage: First stage with non-finite values, such as "diffusion step 161,
            added noise"; None unless `--debug_numerics` located it.
    """

    seed: int
    num_samples: int
    findings: tuple[ArrayFinding, ...] = ()
    stage: str | None = None

    @property
    def ok(self) -> bool:
        """True when everything that has to be finite is."""
        return not self.findings

    @property
    def bad_samples(self) -> frozenset[int]:
        """Indices of the samples that hold or rest on non-finite values."""
        return frozenset().union(*(f.bad_samples(self.num_samples) for f in self.findings))

    def describe(self) -> str:
        """One line for log and error messages."""
        if self.ok:
            return f"seed {self.seed}: all values finite"
        arrays = ", ".join(
            f"{finding.path} ({sum(finding.nan)} NaN, {sum(finding.infinite)} infinite)"
            for finding in self.findings
        )
        where = f"; first seen in {self.stage}" if self.stage else ""
        samples = ", ".join(map(str, sorted(self.bad_samples)))
        return f"seed {self.seed}: non-finite values in sample(s) {samples}: {arrays}{where}"

    def error(self) -> NonFiniteError:
        """The error that ends the job under `--on_nonfinite=fail`."""
        locate = "" if self.stage else " --debug_numerics locates the first stage;"
        return NonFiniteError(
            f"{self.describe()};{locate} --on_nonfinite=retry computes the seed again in safer "
            "numerics, --on_nonfinite=mark writes it as it is"
        )

    def as_record(self) -> Mapping[str, object]:
        """JSON-ready form for the run record."""
        return {
            "seed": self.seed,
            "ok": self.ok,
            "bad_samples": sorted(self.bad_samples),
            "stage": self.stage,
            "arrays": [
                {
                    "path": finding.path,
                    "nan": list(finding.nan),
                    "infinite": list(finding.infinite),
                    "per_sample": finding.per_sample,
                }
                for finding in self.findings
            ],
        }
