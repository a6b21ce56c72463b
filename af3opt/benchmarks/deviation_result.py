"""What a comparison of variants found, its file, and what follows from it."""

import dataclasses
import json
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from af3opt.base.atomic import atomic_write_text
from af3opt.base.errors import InputError
from af3opt.base.json_types import Json, JsonObject
from af3opt.benchmarks.deviation_metrics import (
    QUANTITIES,
    Deviation,
    Scale,
    pooled,
    pooled_scale,
)

FORMAT = "af3opt deviation 1"
# What a comparison is made with: the float32 reference, or the engine as it is.
FROM_FLOAT32, FROM_ENGINE = "from_float32", "from_engine"
# Two runs of equal precision differ in their distances by chance; more than this is not, and
# more than so many standard errors of the mean over examples.
CHANCE = 0.01
STANDARD_ERRORS = 2
# Examples that tell how much these differ.
_FEWEST = 3
# Of the host, what may change from one call to the next.
_PASSING = "load_average"

# Quantity -> deviation.
Deviations = Mapping[str, Deviation]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class VariantRecord:
    """A variant as it ran; see `deviation_variants.Variant`.

    Attributes:
        name: Short.
        meaning: What ran, in words.
        fidelity: Its class.
        bound: Whether it must be no further from float32 than the engine's own run.
        flags: Flags of `af3opt run`.
        optimizations: Those in force.
        trunk_precision: What `--trunk_precision` came to.
        diffusion_precision: What `--diffusion_precision` came to.
    """

    name: str
    meaning: str
    fidelity: str
    bound: bool
    flags: Sequence[str]
    optimizations: Sequence[str]
    trunk_precision: str
    diffusion_precision: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ExampleResult:
    """One input in every variant.

    Attributes:
        name: Of the input.
        tokens: Without padding.
        atoms: In one sample.
        msa_rows: Rows of its MSA, the query included.
        scales: Quantity -> size of the float32 reference.
        from_float32: Variant -> deviations from the float32 reference.
        from_engine: Variant -> deviations from the engine as it is.
    """

    name: str
    tokens: int
    atoms: int
    msa_rows: int
    scales: Mapping[str, Scale]
    from_float32: Mapping[str, Deviations]
    from_engine: Mapping[str, Deviations]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DeviationResult:
    """Everything that `af3opt bench --suite=deviation` found out.

    Attributes:
        commands: The commands that made it, one for each call that added examples.
        started: Date and time of the first, ISO 8601.
        host: See `describe.describe_host`.
        software: See `describe.describe_here`.
        weights: What kind of weights all used.
        weights_sha256: Digest of their files.
        overrides: What these weights change in the model's configuration.
        run: What all runs have in common, such as bucket and seed, by name of the flag.
        variants: Those compared, the engine as it is first.
        examples: The inputs.
    """

    commands: Sequence[str]
    started: str
    host: Mapping[str, Json]
    software: Mapping[str, Json]
    weights: str
    weights_sha256: str
    overrides: Mapping[str, int]
    run: Mapping[str, int]
    variants: Sequence[VariantRecord]
    examples: Sequence[ExampleResult]

    def circumstances(self) -> JsonObject:
        """What must be equal for two results to be one, as plain JSON."""
        content = plain(dataclasses.replace(self, commands=(), started="", examples=()))
        content["host"].pop(_PASSING, None)
        return content

    def total(self, variant: str, quantity: str, origin: str) -> Deviation:
        """The deviation of a variant over all examples.

        Args:
            variant: Its name.
            quantity: Name in `QUANTITIES`.
            origin: FROM_FLOAT32 or FROM_ENGINE.
        """
        return pooled(
            (getattr(example, origin)[variant][quantity], example.scales[quantity])
            for example in self.examples
        )

    def scale(self, quantity: str) -> Scale:
        """Size of a quantity over all examples."""
        return pooled_scale(example.scales[quantity] for example in self.examples)


@dataclasses.dataclass(frozen=True, slots=True)
class Excess:
    """A variant that is further from float32 than the engine as it is.

    Attributes:
        variant: Its name.
        quantity: Name in `QUANTITIES`.
        ratio: Its RMS by that of the engine's own run.
    """

    variant: str
    quantity: str
    ratio: float


def ratio(result: DeviationResult, variant: str, quantity: str) -> float:
    """RMS of a variant's distance from float32 by that of the engine as it is."""
    own = result.total(result.variants[0].name, quantity, FROM_FLOAT32).rms
    rms = result.total(variant, quantity, FROM_FLOAT32).rms
    return rms / own if own else float(rms > 0)


def standard_error(result: DeviationResult, variant: str, quantity: str) -> float:
    """How uncertain `ratio` is: standard error of the mean over examples of its logarithm.

    0.0 where fewer than three examples have a distance of both runs.
    """
    engine = result.variants[0].name
    pairs = [
        (example.from_float32[variant][quantity].rms, example.from_float32[engine][quantity].rms)
        for example in result.examples
    ]
    logarithms = [math.log(ours / own) for ours, own in pairs if ours > 0 and own > 0]
    few = len(logarithms) < _FEWEST
    return 0.0 if few else statistics.stdev(logarithms) / math.sqrt(len(logarithms))


def excesses(result: DeviationResult) -> Iterator[Excess]:
    """Yields where a bound variant is further from float32 than the engine, by more than chance."""
    for variant in result.variants:
        for quantity in QUANTITIES if variant.bound else ():
            found = ratio(result, variant.name, quantity)
            error = standard_error(result, variant.name, quantity)
            if found > 1 + max(CHANCE, STANDARD_ERRORS * error):
                yield Excess(variant.name, quantity, found)


def plain(result: DeviationResult) -> JsonObject:
    """Returns a result as it is in the file."""
    content: JsonObject = json.loads(json.dumps(dataclasses.asdict(result)))
    return {"format": FORMAT, **content}


def write_deviations(result: DeviationResult, path: Path) -> None:
    """Writes a result as JSON."""
    atomic_write_text(path, json.dumps(plain(result)) + "\n")


def read_deviations(path: Path) -> DeviationResult:
    """Reads a result back.

    Raises:
        InputError: the file is not one of `write_deviations`.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content.pop("format") != FORMAT:
            raise ValueError("another format")
        variants = [VariantRecord(**variant) for variant in content.pop("variants")]
        examples = [_example(example) for example in content.pop("examples")]
        return DeviationResult(variants=variants, examples=examples, **content)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: not a result of the deviation suite ({error})") from error


def _example(content: JsonObject) -> ExampleResult:
    scales = {name: Scale(**scale) for name, scale in content.pop("scales").items()}
    float32, engine = (_deviations(content.pop(origin)) for origin in (FROM_FLOAT32, FROM_ENGINE))
    return ExampleResult(scales=scales, from_float32=float32, from_engine=engine, **content)


def _deviations(content: JsonObject) -> dict[str, Deviations]:
    return {
        variant: {name: Deviation(**found) for name, found in quantities.items()}
        for variant, quantities in content.items()
    }
