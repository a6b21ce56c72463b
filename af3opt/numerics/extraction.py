"""From a checked result to samples: those to rank, and those to set apart."""

import dataclasses
import logging
from collections.abc import Mapping

from af3opt.engine.model import extract_inference_results
from af3opt.engine.protocols import Features, InferenceResult
from af3opt.numerics.checked import CheckedResult
from af3opt.numerics.excluded import (
    SUFFIX,
    NonFiniteSample,
    extract_nonfinite,
    select_samples,
)
from af3opt.numerics.expected import UndefinedByDesign, check_summary
from af3opt.numerics.verdict import Action

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ExtractedSamples:
    """A seed's samples.

    Attributes:
        ranked: The engine's result objects by sample number.
        apart: Samples that are not finite; to be written with `write_nonfinite`.
        suffix: What to add to the names of directory and files of those: "" under
            `--on_nonfinite=mark`.
    """

    ranked: Mapping[int, InferenceResult]
    apart: tuple[NonFiniteSample, ...]
    suffix: str


def extract_samples(checked: CheckedResult, batch: Features, target_name: str) -> ExtractedSamples:
    """Extracts what the engine can extract, and gathers the rest.

    Args:
        checked: The checked result, on the host.
        batch: The featurised batch.
        target_name: The job's name, for the engine's messages.

    Returns:
        The samples. Scores that are undefined without being meant to be are logged.
    """
    good = checked.good_samples
    if not checked.bad_samples:
        extracted = extract_inference_results(batch, checked.result, target_name)
    elif good:
        selected = select_samples(checked.result, good)
        extracted = extract_inference_results(batch, selected, target_name)
    else:
        extracted = []
    ranked = dict(zip(good, extracted, strict=True))
    undefined = UndefinedByDesign.from_batch(batch)
    for index, sample in ranked.items():
        for finding in check_summary(sample.metadata, undefined):
            _log.warning(
                "seed %d, sample %d: %s is not finite although it is defined for this input",
                checked.verdict.seed,
                index,
                finding.path,
            )
    return ExtractedSamples(
        ranked=ranked,
        apart=tuple(extract_nonfinite(checked.result, batch, checked.bad_samples))
        if checked.bad_samples
        else (),
        suffix="" if checked.action is Action.MARK else SUFFIX,
    )
