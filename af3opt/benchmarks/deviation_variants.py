"""Ways to run the model that are compared: each the flags of `af3opt run` for it."""

import dataclasses
from collections.abc import Mapping

from af3opt.base.fidelity import EXACT, PRECISION, REORDERED
from af3opt.optimizations import OPTIMIZATIONS
from af3opt.optimizations.base import BFLOAT16, FLOAT32, MIXED, SPLIT, Optimization

# A precision that is asked for by its own flag and may be further from float32.
ON_REQUEST = "on request"

_BACKEND = "cpu"
# Optimisations that only another precision than the engine's has work for:
# name -> precision of the trunk and of the sampler.
_PRECISIONS = {
    "float32_activations": (FLOAT32, FLOAT32),
    "diffusion_products": (BFLOAT16, SPLIT),
    "atom_products": (BFLOAT16, BFLOAT16),
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One way to run the model.

    Attributes:
        name: Short.
        meaning: What runs, in words.
        fidelity: Class of what it does, or ON_REQUEST.
        flags: Flags of `af3opt run`.
        config: Values by dotted path into the engine's configuration, for which there
            is no flag.
        needs: Optimisation without which it is another variant.
    """

    name: str
    meaning: str
    fidelity: str
    flags: tuple[str, ...]
    config: Mapping[str, str] = dataclasses.field(default_factory=dict)
    needs: str | None = None

    @property
    def bound(self) -> bool:
        """Whether it must be no further from float32 than the engine's own run."""
        return self.fidelity in (REORDERED, PRECISION)


REFERENCE = Variant(
    name="float32",
    meaning="the engine's own code with a float32 trunk",
    fidelity=EXACT,
    flags=("--fidelity=exact",),
    config={"global_config.bfloat16": "none"},
)
ENGINE = Variant(
    name="engine",
    meaning="the engine as it is, its trunk in bfloat16",
    fidelity=EXACT,
    flags=("--fidelity=exact",),
)


def all_variants() -> tuple[Variant, ...]:
    """Returns what is compared with REFERENCE and ENGINE: single ones, then sets."""
    changing = [one for one in OPTIMIZATIONS if one.fidelity != EXACT and _BACKEND in one.backends]
    return (*(_alone(one, changing) for one in changing), *_SETS)


def _precisions(trunk: str, diffusion: str) -> tuple[str, ...]:
    return (
        "--fidelity=reordered",
        f"--trunk_precision={trunk}",
        f"--diffusion_precision={diffusion}",
    )


def _alone(optimization: Optimization, changing: list[Optimization]) -> Variant:
    trunk, diffusion = _PRECISIONS.get(optimization.name, (BFLOAT16, FLOAT32))
    others = ",".join(one.name for one in changing if one is not optimization)
    return Variant(
        name=optimization.name,
        meaning=f"`{optimization.name}` alone",
        fidelity=ON_REQUEST if diffusion == BFLOAT16 else optimization.fidelity,
        flags=(*_precisions(trunk, diffusion), f"--disable_optimizations={others}"),
        needs=optimization.name,
    )


_SETS = (
    Variant(
        name="reordered",
        meaning="everything reordered, the engine's number formats",
        fidelity=REORDERED,
        flags=_precisions(BFLOAT16, FLOAT32),
    ),
    Variant(
        name="reordered-float32",
        meaning="everything reordered, float32 trunk",
        fidelity=PRECISION,
        flags=_precisions(FLOAT32, FLOAT32),
    ),
    Variant(
        name="split-float32",
        meaning="the same with a split sampler",
        fidelity=PRECISION,
        flags=_precisions(FLOAT32, SPLIT),
    ),
    Variant(
        name="bfloat16-float32",
        meaning="the same with a bfloat16 sampler",
        fidelity=ON_REQUEST,
        flags=_precisions(FLOAT32, BFLOAT16),
    ),
    Variant(
        name="mixed",
        meaning="everything reordered, mixed trunk",
        fidelity=PRECISION,
        flags=_precisions(MIXED, FLOAT32),
    ),
    Variant(
        name="default",
        meaning="`--fidelity=reordered`",
        fidelity=PRECISION,
        flags=("--fidelity=reordered",),
    ),
    Variant(
        name="bfloat16-sampler",
        meaning="`--fidelity=reordered --diffusion_precision=bfloat16`",
        fidelity=ON_REQUEST,
        flags=("--fidelity=reordered", f"--diffusion_precision={BFLOAT16}"),
    ),
)
