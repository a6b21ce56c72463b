"""A whole `af3opt run`: every input, one after another."""

import datetime
import logging
from collections.abc import Iterator
from pathlib import Path

from af3opt.data.synthetic_weights import read_manifest
from af3opt.engine.bootstrap import bootstrap_engine
from af3opt.engine.discovery import EngineInfo
from af3opt.engine.inputs import FoldInput, load_fold_inputs
from af3opt.engine.msa import DataPipeline
from af3opt.engine.outputs import SYNTHETIC_NOTE
from af3opt.errors import ExitCode, InputError, SetupError
from af3opt.execution.fold_job import FoldJob
from af3opt.execution.interrupt import InterruptGuard
from af3opt.inference.model_runner import ModelRunner, create_model_runner
from af3opt.options.upstream import DEFAULT_BUCKETS
from af3opt.output.tree import JobTree, choose_job_directory
from af3opt.settings import Settings

_log = logging.getLogger(__name__)

_TERMS_NOTICE = (
    "Running AlphaFold 3. Please note that standard AlphaFold 3 model parameters are only "
    "available under terms of use provided at "
    "https://github.com/google-deepmind/alphafold3/blob/main/WEIGHTS_TERMS_OF_USE.md. If you do "
    "not agree to these terms and are using AlphaFold 3 derived model parameters, cancel "
    "execution with Ctrl-C, and do not use the model parameters."
)


def run_batch(settings: Settings, backend: str) -> ExitCode:
    """Folds every input of the settings.

    Args:
        settings: Checked settings; the environment has been applied.
        backend: "cpu", "gpu" or "mps".

    Returns:
        The exit code of the whole run.

    Raises:
        InputError: an input cannot be used; nothing of it was written.
        SetupError: engine, weights, tools or output directory are unusable.
    """
    assert settings.output_dir is not None
    with InterruptGuard().active() as guard:
        engine = bootstrap_engine()
        _log.info("Engine: %s", engine.label)
        inputs = _fold_inputs(settings)
        first = next(inputs, None)
        if first is None:
            raise InputError(f"--input_dir={settings.input_dir}: holds no *.json file")
        _check_first(first, settings)
        pipeline = DataPipeline(settings) if settings.run_data_pipeline else None
        _make_output_directory(settings.output_dir)
        guard.watch(settings.output_dir)
        runner = _make_runner(engine, settings, backend) if settings.run_inference else None
        _log.info(_TERMS_NOTICE)
        done = 0
        for source, fold_input in _chain_first(first, inputs):
            _run_job(source, fold_input, settings, pipeline, runner, guard)
            done += 1
        _log.info("Done running %d fold jobs.", done)
    return ExitCode.OK


def _fold_inputs(settings: Settings) -> Iterator[tuple[Path, FoldInput]]:
    """Reads inputs lazily, in upstream's order."""
    if settings.json_path is not None:
        paths = [settings.json_path]
    else:
        assert settings.input_dir is not None
        paths = sorted(path for path in settings.input_dir.glob("*.json") if path.is_file())
    for path in paths:
        for fold_input in load_fold_inputs(path):
            if settings.num_seeds is not None:
                yield path, _with_seeds(fold_input, settings.num_seeds, path)
            else:
                yield path, fold_input


def _with_seeds(fold_input: FoldInput, number: int, path: Path) -> FoldInput:
    _log.info("Expanding fold job %s to %d seeds", fold_input.name, number)
    try:
        return fold_input.with_multiple_seeds(number)
    except ValueError as error:
        raise InputError(f"{path}: --num_seeds={number}: {error}") from error


def _check_first(first: tuple[Path, FoldInput], settings: Settings) -> None:
    """Fails on a bad first input before the output directory is made."""
    source, fold_input = first
    _new_job(source, fold_input, settings, synthetic=False).check()


def _chain_first(
    first: tuple[Path, FoldInput], rest: Iterator[tuple[Path, FoldInput]]
) -> Iterator[tuple[Path, FoldInput]]:
    yield first
    yield from rest


def _make_output_directory(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / f".af3opt-probe-{id(path)}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise SetupError(f"--output_dir={path}: cannot write there: {error.strerror}") from error


def _make_runner(engine: EngineInfo, settings: Settings, backend: str) -> ModelRunner:
    runner = create_model_runner(engine, settings, backend, settings.gpu_device)
    _log.info("Checking that model parameters can be loaded...")
    runner.load()
    if read_manifest(settings.model_dir) is not None:
        _log.warning("%s", SYNTHETIC_NOTE)
    return runner


def _new_job(
    source: Path, fold_input: FoldInput, settings: Settings, *, synthetic: bool
) -> FoldJob:
    assert settings.output_dir is not None
    name = fold_input.sanitised_name()
    return FoldJob(
        settings=settings,
        source=source,
        fold_input=fold_input,
        tree=JobTree(settings.output_dir / name, name),
        buckets=settings.buckets or DEFAULT_BUCKETS,
        synthetic=synthetic,
    )


def _run_job(
    source: Path,
    fold_input: FoldInput,
    settings: Settings,
    pipeline: DataPipeline | None,
    runner: ModelRunner | None,
    guard: InterruptGuard,
) -> None:
    synthetic = runner is not None and read_manifest(settings.model_dir) is not None
    job = _new_job(source, fold_input, settings, synthetic=synthetic)
    _log.info("Running fold job %s...", fold_input.name)
    job.check()
    root = choose_job_directory(
        job.tree.root, force=settings.force_output_dir, now=datetime.datetime.now()
    )
    if root != job.tree.root:
        _log.info("Output will be written in %s since %s is non-empty.", root, job.tree.root)
        job.tree = JobTree(root, job.tree.name)
    else:
        _log.info("Output will be written in %s", root)
    guard.watch(root)
    job.search(pipeline)
    if runner is None:
        _log.info("Skipping model inference...")
    else:
        seeds = fold_input.rng_seeds
        _log.info("Predicting 3D structure for %s with %d seed(s)...", fold_input.name, len(seeds))
        for seed in seeds:
            job.write_seed(job.infer(job.featurise(seed), seed, runner))
    _log.info("Fold job %s done, output written to %s", fold_input.name, root)
