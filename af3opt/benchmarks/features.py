"""Featurisation against the engine's own: cold, warm, entry sizes, workers.

    af3opt bench --suite=features -- [--tokens=360] [--rows=6000] [--seeds=5] [--repeats=3]
                                     [--profile] [--entries] [--inputs=20] [--json]

Engine and af3opt take turns in one process, so that a busy machine slows both. Proteins
are random; their alignments are of the kind that `alignments` describes.
"""

import argparse
import dataclasses
import datetime
import functools
import json
import logging
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import psutil

from af3opt.base.command_parser import CommandParser
from af3opt.base.logs import Verbosity, configure_logging
from af3opt.benchmarks.alignments import LETTERS, family_alignment
from af3opt.benchmarks.feature_profile import profiled
from af3opt.caching.manager import CacheManager
from af3opt.data.prepared import find_prepared
from af3opt.data.resources import redirect_resources
from af3opt.engine.inputs import FoldInput, fold_input_from_json, make_ccd
from af3opt.features.cache import FeatureCache
from af3opt.features.compress import compress_features, decompress_features
from af3opt.features.conformer_store import ConformerStore
from af3opt.features.conformers import conformer_memory
from af3opt.features.engine_features import featurise_all_seeds
from af3opt.features.featurise import featurise
from af3opt.features.options import FeatureOptions
from af3opt.features.parallel import FeatureJob, parallel_featurize
from af3opt.settings.upstream import DEFAULT_BUCKETS

_LEVELS = (1, 3, 9)


@dataclasses.dataclass(frozen=True, slots=True)
class Measurement:
    """One line of the table.

    Attributes:
        what: What was measured.
        value: Median of the repeats.
        unit: Its unit; "x" for a ratio to the engine's own time beside it.
    """

    what: str
    value: float
    unit: str


def synthetic_input(tokens: int, rows: int, seeds: int, *, seed: int = 1) -> FoldInput:
    """Makes a fold input of one random protein with an alignment.

    Args:
        tokens: Length of the protein.
        rows: Rows of its alignment, see `family_alignment`.
        seeds: Number of model seeds, 1, 2, ...
        seed: Seed of the input's own random numbers.
    """
    generator = np.random.default_rng(seed)
    sequence = "".join(LETTERS[letter] for letter in generator.integers(0, len(LETTERS), tokens))
    protein = {
        "id": "A",
        "sequence": sequence,
        "unpairedMsa": family_alignment(sequence, rows, generator),
        "pairedMsa": "",
        "templates": [],
    }
    content = {
        "name": f"synthetic_{seed}",
        "modelSeeds": list(range(1, seeds + 1)),
        "sequences": [{"protein": protein}],
        "dialect": "alphafold3",
        "version": 1,
    }
    return fold_input_from_json(json.dumps(content))


def measure_job(tokens: int, rows: int, seeds: int, repeats: int) -> Iterator[Measurement]:
    """Measures one job: engine, cold, with known conformers, and from the cache."""
    fold_input = synthetic_input(tokens, rows, seeds)
    ccd = make_ccd()
    options = FeatureOptions(
        buckets=DEFAULT_BUCKETS, ref_max_modified_date=datetime.date(2021, 9, 30)
    )

    def engine() -> None:
        featurise_all_seeds(fold_input, ccd, options)

    def ours(folder: Path, features: str) -> None:
        store = ConformerStore(CacheManager("conformer cache", folder / "conformers"))
        cache = FeatureCache(CacheManager("feature cache", folder / features), store)
        conformer_memory.cache_clear()
        for _ in featurise(fold_input, fold_input.rng_seeds, ccd, options, cache=cache):
            pass

    names = {
        "engine": "the engine's own",
        "cold": "af3opt, nothing stored",
        "conformers": "af3opt, conformers stored",
        "warm": "af3opt, features stored",
    }
    wall: dict[str, list[float]] = {name: [] for name in names}
    cpu: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            for case, work in (
                ("engine", engine),
                ("cold", functools.partial(ours, folder, "first")),
                ("conformers", functools.partial(ours, folder, "second")),
                ("warm", functools.partial(ours, folder, "second")),
            ):
                seconds, busy = _timed(work)
                wall[case].append(seconds)
                cpu[case].append(busy)
    for case, label in names.items():
        yield Measurement(f"{seeds} seeds, {label}", statistics.median(wall[case]), "s")
        yield Measurement(f"{seeds} seeds, {label}", statistics.median(cpu[case]), "CPU s")
    for case, label in list(names.items())[1:]:
        for times, unit in ((wall, "x"), (cpu, "x (CPU)")):
            ratios = [a / b for a, b in zip(times["engine"], times[case], strict=True)]
            yield Measurement(f"engine / {label}", statistics.median(ratios), unit)


def measure_profile(tokens: int, rows: int, seeds: int) -> Iterator[Measurement]:
    """Measures where the time goes when nothing is stored; the longest part first."""
    fold_input = synthetic_input(tokens, rows, seeds)
    ccd = make_ccd()
    options = FeatureOptions(buckets=DEFAULT_BUCKETS)
    conformer_memory.cache_clear()
    with tempfile.TemporaryDirectory() as name, profiled() as profile:
        store = ConformerStore(CacheManager("conformer cache", Path(name, "conformers")))
        cache = FeatureCache(CacheManager("feature cache", Path(name, "features")), store)
        batches = featurise(fold_input, fold_input.rng_seeds, ccd, options, cache=cache)
        _, whole = _timed(lambda: list(batches))
    parts = sorted(profile.seconds.items(), key=lambda part: -part[1])
    for part, seconds in [*parts, ("everything else", whole - sum(profile.seconds.values()))]:
        calls = f", {profile.calls[part]} calls" if part in profile.calls else ""
        yield Measurement(f"cold: {part}{calls}", seconds, "CPU s")


def measure_entry(tokens: int, rows: int) -> Iterator[Measurement]:
    """Measures size and time of packing one batch at several levels."""
    fold_input = synthetic_input(tokens, rows, 1)
    ccd = make_ccd()
    options = FeatureOptions(buckets=DEFAULT_BUCKETS)
    (batch,) = (batch for _, batch in featurise(fold_input, (1,), ccd, options))
    arrays = {name: array for name, array in batch.items() if array.dtype != object}
    for level in _LEVELS:
        for sparse in (True, False):
            packed = compress_features(arrays, level=level, sparse=sparse)
            data = packed.to_bytes()
            form = "sparse" if sparse else "dense"
            label = f"{tokens} tokens, {rows} rows, level {level}, {form}"
            yield Measurement(f"{label}: size", 100 * len(data) / packed.raw_bytes, "% of raw")
            yield Measurement(f"{label}: pack", packed.seconds * 1e3, "ms")
            unpack = functools.partial(decompress_features, data)
            load = min(_timed(unpack)[0] for _ in range(5))
            yield Measurement(f"{label}: unpack", load * 1e3, "ms")
            yield Measurement(f"{label}: unpack", packed.raw_bytes / load / 1e9, "GB/s of raw")


def measure_workers(inputs: int, workers: int) -> Iterator[Measurement]:
    """Measures many small inputs, one seed each, on one core and with worker processes."""
    options = FeatureOptions(buckets=DEFAULT_BUCKETS)
    jobs = [
        FeatureJob(synthetic_input(100, 200, 1, seed=number), (number,), options)
        for number in range(1, inputs + 1)
    ]
    ccd = make_ccd()

    def on_one_core() -> None:
        conformer_memory.cache_clear()
        for job in jobs:
            list(featurise(job.fold_input, job.seeds, ccd, options, threads=1))

    def with_threads() -> None:
        conformer_memory.cache_clear()
        list(parallel_featurize(jobs, workers=1))

    alone, _ = _timed(on_one_core)
    threaded, _ = _timed(with_threads)
    start = time.perf_counter()
    outcomes = parallel_featurize(jobs, workers=workers)
    # What comes with the first outcomes has waited for the workers to start.
    ready = [next(outcomes) for _ in range(workers)]
    started = time.perf_counter() - start
    own_memory = max(
        child.memory_full_info().uss for child in psutil.Process().children(recursive=True)
    )
    remaining = list(outcomes)
    together = time.perf_counter() - start
    assert all(outcome.error is None for outcome in [*ready, *remaining])
    steady = (alone / inputs * len(remaining)) / (together - started)
    yield Measurement(f"{inputs} inputs of 100 tokens, one core", alone, "s")
    yield Measurement(f"{inputs} inputs, threads of one process", threaded, "s")
    yield Measurement("one core / threads of one process", alone / threaded, "x")
    yield Measurement(f"{inputs} inputs, {workers} workers, start included", together, "s")
    yield Measurement(f"one core / {workers} workers, start included", alone / together, "x")
    yield Measurement(f"one core / {workers} workers, once started", steady, "x")
    yield Measurement("memory of one worker's own", own_memory / 1e6, "MB")


def _timed(work: Callable[[], object]) -> tuple[float, float]:
    """Returns wall and CPU seconds; CPU time counts all threads and no other process."""
    start, busy = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - start, time.process_time() - busy


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = CommandParser(
        prog="af3opt bench --suite=features --",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--tokens", type=int, default=360)
    parser.add_argument("--rows", type=int, default=6000)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--inputs", type=int, default=0, help="also measure this many inputs with workers"
    )
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--profile", action="store_true", help="also the time of each part")
    parser.add_argument(
        "--entries", action="store_true", help="also the size of entries and the time to pack them"
    )
    parser.add_argument("--json", action="store_true")
    return parser.parse_args(argv)


def main(argv: Sequence[str]) -> int:
    """Measures and prints; see the module's text."""
    flags = _parse(argv)
    configure_logging(Verbosity(quiet=True))
    logging.getLogger("absl").setLevel(logging.ERROR)
    redirect_resources(find_prepared())
    found = list(measure_job(flags.tokens, flags.rows, flags.seeds, flags.repeats))
    if flags.profile:
        found += measure_profile(flags.tokens, flags.rows, flags.seeds)
    if flags.inputs:
        found += measure_workers(flags.inputs, flags.workers)
    if flags.entries:
        for tokens, rows in ((76, 1), (flags.tokens, flags.rows), (2000, 16_000)):
            found += measure_entry(tokens, rows)
    if flags.json:
        sys.stdout.write(json.dumps([dataclasses.asdict(one) for one in found], indent=2) + "\n")
    else:
        for one in found:
            sys.stdout.write(f"{one.what:<60} {one.value:>10.3f} {one.unit}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
