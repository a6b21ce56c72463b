"""The inputs that variants are compared on."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from af3opt.base.errors import InputError, UsageError
from af3opt.benchmarks.features import synthetic_input
from af3opt.engine.inputs import FoldInput, load_fold_inputs, make_ccd
from af3opt.engine.refusals import featurising
from af3opt.features.engine_features import Batch, featurise_with_engine
from af3opt.features.options import FeatureOptions
from af3opt.numerics.arrays import Masks

DEEP_MSA = "deep_msa"
_DEEP_MSA_TOKENS = 48


@dataclasses.dataclass(frozen=True, slots=True)
class Example:
    """A featurised input.

    Attributes:
        name: Of its file, with its place where the file holds several.
        batch: Padded to the bucket.
        masks: Which entries of results are real.
    """

    name: str
    batch: Batch
    masks: Masks


def find_inputs(folder: Path, msa_rows: int, chosen: Sequence[str]) -> dict[str, FoldInput]:
    """Reads the inputs of a directory, and makes one with a deep MSA.

    Args:
        folder: Holds *.json files.
        msa_rows: Rows of the MSA of a random protein, DEEP_MSA; 0 for no such input.
        chosen: Names of those wanted; empty for all.

    Returns:
        Name -> input.

    Raises:
        InputError: an input cannot be read.
        UsageError: the directory holds none, or none of a name.
    """
    inputs = {}
    for path in sorted(path for path in folder.glob("*.json") if path.is_file()):
        found = list(load_fold_inputs(path))
        for place, fold_input in enumerate(found, start=1):
            inputs[path.stem if len(found) == 1 else f"{path.stem}-{place}"] = fold_input
    if not inputs:
        raise UsageError(f"--input_dir={folder}: holds no *.json file")
    if msa_rows:
        inputs[DEEP_MSA] = synthetic_input(_DEEP_MSA_TOKENS, msa_rows, 1)
    for name in chosen:
        if name not in inputs:
            raise UsageError(f"--example={name}: there are {', '.join(inputs)}")
    return {name: inputs[name] for name in chosen or inputs}


def featurise_example(
    name: str, fold_input: FoldInput, seed: int, options: FeatureOptions
) -> Example:
    """Featurises an input with the engine's own code; what it lacks stays empty.

    Args:
        name: For messages and results.
        fold_input: The input.
        seed: Seed of the model run.
        options: With one bucket.

    Raises:
        InputError: it cannot be featurised, or is larger than the bucket.
    """
    assert options.buckets is not None
    filled = fold_input.fill_missing_fields()
    with featurising(name):
        batch = featurise_with_engine(filled, seed, make_ccd(filled.user_ccd), options)
    masks = Masks.from_batch(batch)
    if batch["aatype"].shape[-1] not in options.buckets:
        raise InputError(
            f"{name}: has {masks.token.sum()} tokens, more than --bucket={options.buckets[0]}; "
            "give a larger one, or choose others with --example"
        )
    return Example(name, batch, masks)
