"""Matrix products of one run, by bucket: the engine's own program and af3opt's.

    python -m scripts.measure.products [--backend=gpu] [--buckets=256,512,1024]

The program is traced, not run, so the figures for a GPU need none. They say how much
work is saved, not how much time. Attention is the portable one, whose products can be
seen; a fused kernel does the same products. The input is one protein chain that fills
the bucket: with as many MSA rows as the engine takes at most, and with itself alone.
"""

import argparse
import dataclasses
import itertools
import json
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from af3opt.benchmarks.markdown_rows import table_head, table_row
from af3opt.benchmarks.suites import input_json
from af3opt.data.bootstrap import bootstrap_engine
from af3opt.data.parameter_shapes import parameter_shapes
from af3opt.engine.inputs import fold_input_from_json, make_ccd
from af3opt.engine.model import device_features, forward_function, make_model_config
from af3opt.features.engine_features import Batch, featurise_with_engine
from af3opt.features.options import FeatureOptions
from af3opt.inference.model_inputs import model_features
from af3opt.inference.operations import OperationCount, count_operations
from af3opt.optimizations import activate, deactivate
from af3opt.optimizations.base import Context
from af3opt.optimizations.msa_depth import MSA_DEPTH
from af3opt.settings.settings import Settings, resolve_settings

_SAMPLES = 5
_RECYCLES = 10


@dataclasses.dataclass(frozen=True, slots=True)
class _Row:
    """One line of the table."""

    tokens: int
    program: str
    work: OperationCount

    def cells(self, engine: OperationCount) -> tuple[str, ...]:
        """Bucket, program, TFLOP, TB, and both as shares of the engine's."""
        return (
            str(self.tokens),
            self.program,
            f"{self.work.flops / 1e12:.1f}",
            f"{self.work.bytes / 1e12:.2f}",
            f"{100 * self.work.flops / engine.flops:.1f} %",
            f"{100 * self.work.bytes / engine.bytes:.1f} %",
        )


_HEADER = ("Tokens", "Program", "TFLOP", "TB", "TFLOP of the engine's", "TB of the engine's")


def chain_batch(tokens: int, settings: Settings) -> Batch:
    """Featurises one protein chain without MSA that fills its bucket.

    Args:
        tokens: Residues, and tokens to pad to.
        settings: Read for the options of featurisation.
    """
    fold_input = fold_input_from_json(json.dumps(input_json(tokens)))
    options = FeatureOptions.from_settings(settings, (tokens,))
    return featurise_with_engine(fold_input, 1, make_ccd(), options)


def _count(features: Mapping[str, Any], parameters: Any) -> OperationCount:
    import jax

    config = make_model_config(
        flash_attention_implementation="xla",
        num_diffusion_samples=_SAMPLES,
        num_recycles=_RECYCLES,
    )
    key = jax.eval_shape(lambda: jax.random.PRNGKey(0))
    batch = jax.tree.map(
        lambda array: jax.ShapeDtypeStruct(array.shape, jax.dtypes.canonicalize_dtype(array.dtype)),
        dict(features),
    )
    return count_operations(jax.jit(forward_function(config)).trace(parameters, key, batch).jaxpr)


def _abstract_parameters() -> dict[str, dict[str, Any]]:
    import jax
    import jax.numpy as jnp

    tree: dict[str, dict[str, Any]] = {}
    for (scope, name), shape in parameter_shapes({}).items():
        tree.setdefault(scope, {})[name] = jax.ShapeDtypeStruct(shape, jnp.float32)
    return tree


def _rows(tokens: int, context: Context, settings: Settings, parameters: Any) -> list[_Row]:
    features = device_features(chain_batch(tokens, settings))
    rows = [_Row(tokens, "engine", _count(features, parameters))]
    try:
        active = tuple(one.name for one in activate(settings, context) if one.active)
        others = tuple(name for name in active if name != MSA_DEPTH.name)
        for program, names in (("af3opt, deep MSA", others), ("af3opt, no MSA", active)):
            work = _count(model_features(features, names), parameters)
            rows.append(_Row(tokens, program, work))
    finally:
        deactivate()
    return rows


def main(argv: Sequence[str]) -> int:
    """Prints the table, in Markdown."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--backend", choices=("gpu", "cpu"), default="gpu")
    parser.add_argument("--buckets", default="256,512,1024")
    given = parser.parse_args(argv)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    engine = bootstrap_engine()
    settings = resolve_settings([], os.environ)
    context = Context(backend=given.backend)
    parameters = _abstract_parameters()
    sys.stdout.write(
        f"{engine.label}; {_RECYCLES} recycles, {_SAMPLES} samples; optimisations for a "
        f"{given.backend}\n\n"
    )
    for line in table_head(*_HEADER):
        sys.stdout.write(f"{line}\n")
    for tokens in map(int, given.buckets.split(",")):
        rows = _rows(tokens, context, settings, parameters)
        for row, base in zip(rows, itertools.repeat(rows[0].work)):
            sys.stdout.write(f"{table_row(row.cells(base))}\n")
            sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
