"""The steps of one seed: features, model, structures; each takes values and gives a value."""

import contextlib
import dataclasses
import time
from collections.abc import Iterator, Sequence

from af3opt.base.logs import messages_of_job
from af3opt.engine.model import extract_distogram, extract_embeddings
from af3opt.engine.refusals import featurising
from af3opt.execution.job.resolving import ResolvedJob
from af3opt.execution.job.seed_files import SeedResult
from af3opt.execution.job.tools import Model, Tools
from af3opt.execution.planning.deadline import seed_workload
from af3opt.features.engine_features import Batch
from af3opt.inference.compiled import COMPILED
from af3opt.numerics.checked import CheckedResult
from af3opt.numerics.extraction import extract_samples
from af3opt.progress.stages import EXTRACT, FEATURISE, INFERENCE


@dataclasses.dataclass(frozen=True, slots=True)
class SeedFeatures:
    """A seed that is ready for the device.

    Attributes:
        batch: Its features, padded to its bucket.
        seconds: Time they took.
    """

    batch: Batch
    seconds: float

    @property
    def padded_tokens(self) -> int:
        """Tokens with padding."""
        return int(self.batch["token_index"].shape[0])


def featurise_seed(
    tools: Tools, job: ResolvedJob, seed: int, upcoming: Sequence[int] = ()
) -> SeedFeatures:
    """Returns the features of one seed; several threads may do this for seeds of one job.

    Args:
        tools: What jobs are done with.
        job: Its job.
        seed: The seed.
        upcoming: Seeds that come next; their conformers may be begun meanwhile.

    Raises:
        InputError: the engine refuses the input.
    """
    start, report = time.monotonic(), job.report
    with (
        report.stage(FEATURISE, seed),
        featurising(job.loaded.source),
        messages_of_job(job.loaded.name),
    ):
        found = job.features.features(seed, upcoming)
    if tools.feature_cache is not None:
        report.cache_used("features", hit=found.from_cache, seconds_saved=found.seconds_saved)
    features = SeedFeatures(found.batch, time.monotonic() - start)
    padded = features.padded_tokens
    report.workload = seed_workload(tools.settings, tools.session.device_label, padded)
    if job.record is not None:
        job.record.set_tokens(int(found.batch["seq_length"]), padded)
    return features


@contextlib.contextmanager
def observed_inference(model: Model, job: ResolvedJob, seed: int) -> Iterator[None]:
    """Times the model on a seed, and notes what was compiled for it."""
    runner = model.runner
    compiled_before, once_before = len(runner.compile_reports), runner.once_seconds
    with job.report.stage(INFERENCE, seed) as words:
        yield
        words["once"] = runner.once_seconds - once_before
    for report in runner.compile_reports[compiled_before:]:
        job.report.cache_used(
            "compile", hit=report.origin != COMPILED, seconds_saved=report.seconds_saved
        )


def extract_seed(
    job: ResolvedJob, checked: CheckedResult, batch: Batch, seconds: float
) -> SeedResult:
    """Makes structures and scores of a model result; needs no device.

    Args:
        job: Its job.
        checked: The model's result.
        batch: The seed's features.
        seconds: Time its features and the model took.
    """
    start = time.monotonic()
    with job.report.stage(EXTRACT, checked.verdict.seed) as words:
        samples = extract_samples(checked, batch, job.loaded.name)
        words["samples"] = len(samples.ranked)
        tokens = int(batch["seq_length"])
        return SeedResult(
            checked=checked,
            samples=samples,
            embeddings=extract_embeddings(checked.result, tokens) or {},
            distogram=extract_distogram(checked.result, tokens),
            seconds=seconds + time.monotonic() - start,
        )
