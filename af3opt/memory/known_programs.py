"""How much device memory programs need, kept between runs.

XLA says what a program needs once it is compiled. That is certain for this program alone:
another precision, optimisation, number of MSA rows, depth, engine or JAX is another
program. What is known of others serves estimates, which never refuse a job.
"""

import contextlib
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta

from af3opt.base.errors import SetupError
from af3opt.base.json_files import read_json, write_json
from af3opt.base.paths import af3opt_home, private_directory
from af3opt.memory.forecast import (
    WEIGHT_BYTES,
    DeviceNeed,
    JobSize,
    guessed_need,
    scaled_need,
)

# Each change of engine, JAX or optimisations makes new ones; the oldest are forgotten.
_MOST_KEPT = 2000

_Bytes = Annotated[int, Meta(ge=1, le=1 << 60)]
_Number = Annotated[int, Meta(ge=1, le=1 << 30)]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What decides the memory of a program, besides the samples computed at once.

    Attributes:
        kind: Engine, device and attention kernels, which can be told before JAX starts.
        family: Digest of everything but the shapes of the input: engine, model
            configuration, parameters, precision, optimisations, packages, device. "" when
            JAX has not started.
        shapes: Digest of those shapes: tokens, MSA rows, templates, atom slots. "" when
            only the tokens are known.
        flash_attention: Whether attention kernels keep their logits on chip.
    """

    kind: str
    family: str = ""
    shapes: str = ""
    flash_attention: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """A program that was compiled.

    Attributes:
        kind, family, shapes: See `Program`.
        weight_bytes: What of `bytes` are weights, which are the same whatever the size.
        tokens, samples, embeddings, distogram: See `JobSize`.
        bytes: Arguments, results and work arrays, by XLA.
        ran_in_bytes: The smallest room it ran in, where that is less; else None.
    """

    kind: str
    family: str
    shapes: str
    weight_bytes: _Bytes
    tokens: _Number
    samples: _Number
    embeddings: bool
    distogram: bool
    bytes: _Bytes
    ran_in_bytes: _Bytes | None = None

    @property
    def size(self) -> JobSize:
        """What it computes."""
        return JobSize(tokens=self.tokens, samples=self.samples)

    def is_of(self, program: Program, size: JobSize) -> bool:
        """Tells whether it is this very program."""
        return (
            bool(program.family)
            and (self.family, self.shapes) == (program.family, program.shapes)
            and self.samples == size.samples
        )

    def resembles(self, program: Program, size: JobSize) -> bool:
        """Tells whether it is one like this, of another size."""
        if program.family and self.family:
            return self.family == program.family
        results = (size.embeddings, size.distogram)
        return self.kind == program.kind and (self.embeddings, self.distogram) == results


@dataclasses.dataclass(frozen=True, slots=True)
class _File:
    programs: list[_Known]
    format: Literal["af3opt-programs/2"]


# The first layout: "kind|samples+extras" -> tokens -> bytes.
_FirstLayout = dict[str, dict[_Number, _Bytes]]


class KnownPrograms:
    """Memory of programs compiled before, kept in `programs.json` under `af3opt_home()`."""

    def __init__(self, path: Path | None = None) -> None:
        """Reads what is known; a missing or damaged file is an empty one."""
        self._path = path or af3opt_home() / "programs.json"
        self._programs = _read(self._path)

    def learn(
        self,
        program: Program,
        size: JobSize,
        program_bytes: int,
        *,
        weight_bytes: int = WEIGHT_BYTES,
    ) -> None:
        """Keeps what XLA says a compiled program needs.

        Args:
            program: The program.
            size: The job it was compiled for.
            program_bytes: Arguments, results and work arrays.
            weight_bytes: What of the arguments are weights.
        """
        known = self._exact(program, size)
        if known is not None and known.bytes == program_bytes:
            return
        self._keep(
            _Known(
                kind=program.kind,
                family=program.family,
                shapes=program.shapes,
                weight_bytes=max(1, min(weight_bytes, program_bytes)),
                tokens=size.tokens,
                samples=size.samples,
                embeddings=size.embeddings,
                distogram=size.distogram,
                bytes=program_bytes,
            )
        )

    def ran(self, program: Program, size: JobSize, room_bytes: int) -> None:
        """Notes that a program ran in this room, which may be less than XLA reported."""
        known = self._exact(program, size)
        if known is None:
            return
        enough = known.bytes if known.ran_in_bytes is None else known.ran_in_bytes
        if room_bytes < enough:
            self._keep(dataclasses.replace(known, ran_in_bytes=room_bytes))

    def need(self, program: Program, size: JobSize) -> DeviceNeed:
        """Device memory for a job.

        Args:
            program: The program, as far as it is known.
            size: The job.
        """
        exact = self._exact(program, size)
        if exact is not None:
            if exact.ran_in_bytes is not None:
                return DeviceNeed(exact.ran_in_bytes, "measured")
            return DeviceNeed(exact.bytes, "compiled")
        flash_attention = program.flash_attention
        estimates = [
            _by_other_size(known, size, flash_attention=flash_attention)
            for known in self._programs
            if known.resembles(program, size)
        ]
        if not estimates:
            return guessed_need(size.tokens, flash_attention=flash_attention)
        return min(estimates, key=lambda estimate: estimate[0])[1]

    def _exact(self, program: Program, size: JobSize) -> _Known | None:
        return next((known for known in self._programs if known.is_of(program, size)), None)

    def _keep(self, known: _Known) -> None:
        # Another run may have learned meanwhile; losing that costs one estimate.
        program = Program(kind=known.kind, family=known.family, shapes=known.shapes)
        others = [one for one in self._programs if not one.is_of(program, known.size)]
        self._programs = [*others, known][-_MOST_KEPT:]
        with contextlib.suppress(OSError, SetupError):
            private_directory(self._path.parent)
            write_json(self._path, _File(self._programs, "af3opt-programs/2"), mode=0o600)


def _by_other_size(
    known: _Known, size: JobSize, *, flash_attention: bool
) -> tuple[tuple[float, int], DeviceNeed]:
    """Estimates from one known program; the nearest sizes sort first, then the least need."""
    need = scaled_need(
        known.bytes, known.weight_bytes, known.size, size, flash_attention=flash_attention
    )
    basis = "larger" if known.tokens > size.tokens else "smaller"
    distance = max(known.tokens, size.tokens) / min(known.tokens, size.tokens)
    return (distance, need), DeviceNeed(need, basis)


def _read(path: Path) -> list[_Known]:
    content = read_json(path, _File, private=True)
    if content is not None:
        return content.programs
    first = read_json(path, _FirstLayout, private=True) or {}
    return [known for key, sizes in first.items() for known in _from_first_layout(key, sizes)]


def _from_first_layout(key: str, sizes: Mapping[int, int]) -> list[_Known]:
    kind, _, rest = key.rpartition("|")
    samples, *extras = rest.split("+")
    if not (kind and samples.isdecimal() and int(samples)):
        return []
    return [
        _Known(
            kind=kind,
            family="",
            shapes="",
            weight_bytes=min(WEIGHT_BYTES, program_bytes),
            tokens=tokens,
            samples=int(samples),
            embeddings="embeddings" in extras,
            distogram="distogram" in extras,
            bytes=program_bytes,
        )
        for tokens, program_bytes in sizes.items()
    ]
