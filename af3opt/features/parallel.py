"""Featurises many inputs with several processes, ahead of the model.

Workers are spawned, not forked: a fork of a process that holds an accelerator is
not safe. They are kept off accelerators, open the component dictionary by its index
(so none loads gigabytes), and return packed batches. A worker that dies (a crash in
compiled code, the kernel's memory killer) is replaced and its input tried once more.
"""

import collections
import concurrent.futures
import dataclasses
import itertools
import logging
import multiprocessing.connection
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

import psutil

from af3opt.base.errors import InputError
from af3opt.base.logs import messages_of_job
from af3opt.base.spawning import spawn_context
from af3opt.caching.locations import open_cache
from af3opt.engine.inputs import make_ccd
from af3opt.engine.protocols import FoldInput
from af3opt.engine.refusals import featurising
from af3opt.features.engine_features import Batch
from af3opt.features.options import FeatureOptions

_log = logging.getLogger(__name__)

# What one worker needs for itself, with some room (docs/features-and-caches.md has it measured).
_WORKER_BYTES = 250_000_000
# And for an input: alignments of at most this many rows, as 32-bit numbers, in a few copies.
_MSA_ROWS = 16_384
_BYTES_PER_CELL = 30
# Share of the free memory that workers may take; the model needs the rest.
_MEMORY_SHARE = 0.5
# A worker spends this long importing the engine; less work than that is done here.
_START_S = 4.0
# Seconds of one core for a token's conformer and its share of the rest.
_TOKEN_S = 0.004
# Threads of one process are this many times as fast as one, at most: the rest is Python.
_THREADS_GAIN = 3
# Finished inputs kept for the consumer beyond the one it works on, for each worker.
_AHEAD = 2
# So many inputs tell how many workers pay.
_LOOKED_AT = 32
_ATTEMPTS = 2


@dataclasses.dataclass(frozen=True, slots=True)
class FeatureJob:
    """One input to featurise.

    Attributes:
        fold_input: The engine's input with MSAs and templates filled in.
        seeds: Seeds to featurise it for.
        options: Featurisation options.
    """

    fold_input: FoldInput
    seeds: tuple[int, ...]
    options: FeatureOptions


@dataclasses.dataclass(frozen=True, slots=True)
class FeatureOutcome:
    """What became of one input.

    Attributes:
        job: The input.
        batches: Seed -> batch, in the order of the seeds; empty after an error.
        error: Why it could not be featurised, or None.
    """

    job: FeatureJob
    batches: Mapping[int, Batch]
    error: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class _Store:
    """Where features are kept: the directory, and the GB to keep it within, if any."""

    directory: Path
    max_gb: float | None


def parallel_featurize(
    jobs: Iterable[FeatureJob],
    *,
    workers: int | None = None,
    cache_dir: Path | None = None,
    cache_gb: float | None = None,
) -> Iterator[FeatureOutcome]:
    """Yields the outcome of every input, in the order of the inputs.

    Args:
        jobs: Inputs; a few are taken ahead of the one that is yielded, no more.
        workers: Processes; 1 works in this one, with a thread for each core. None:
            as many as usable cores and free memory allow, or 1 where starting them
            would cost more, by the first inputs.
        cache_dir: Directory of a feature cache that workers look in and add to.
        cache_gb: Size to keep that within, in GB (1e9 bytes); None for no limit.

    Yields:
        One outcome an input. A bad input gives an outcome with an error, and the
        others are featurised all the same.
    """
    store = _Store(cache_dir, cache_gb) if cache_dir is not None else None
    upcoming = iter(jobs)
    first = list(itertools.islice(upcoming, _LOOKED_AT if workers is None else workers))
    count = workers if workers is not None else worthwhile_workers(first)
    all_jobs = itertools.chain(first, upcoming)
    if count <= 1 or len(first) <= 1:
        yield from _in_this_process(all_jobs, store)
        return
    pool = _Pool(min(count, len(first)), store)
    try:
        yield from pool.run(all_jobs)
    finally:
        pool.close()


def worthwhile_workers(jobs: Sequence[FeatureJob]) -> int:
    """Returns how many processes pay for these inputs on this machine now."""
    # Imported late: spawned workers import this module before they set their environment.
    from af3opt.features.featurise import usable_threads

    cores = usable_threads()
    work = sum(_TOKEN_S * _residues(job.fold_input) * len(job.seeds) for job in jobs)
    largest = max((_residues(job.fold_input) for job in jobs), default=0)
    needed = _WORKER_BYTES + largest * _MSA_ROWS * _BYTES_PER_CELL
    memory = int(psutil.virtual_memory().available * _MEMORY_SHARE / needed)
    count = max(1, min(cores, memory, len(jobs)))
    # Threads here share one interpreter: they gain less from many cores, but start at once.
    alone = work / min(count, _THREADS_GAIN)
    return count if work / count + _START_S < alone else 1


def _residues(fold_input: FoldInput) -> int:
    return sum(len(getattr(chain, "sequence", "")) for chain in fold_input.chains)


# Batches by seed, or why there are none.
type _Featurised = tuple[dict[int, Batch], str | None]
type _Result = tuple[list[tuple[int, bytes]], str | None]


def _outcome(job: FeatureJob, result: tuple[Mapping[int, Batch], str | None]) -> FeatureOutcome:
    return FeatureOutcome(job, *result)


def _in_this_process(jobs: Iterable[FeatureJob], store: _Store | None) -> Iterator[FeatureOutcome]:
    """Featurises with threads: one input's conformers are embedded while others are prepared."""
    from af3opt.features.featurise import usable_threads

    threads = usable_threads()
    ahead: collections.deque[tuple[FeatureJob, concurrent.futures.Future[_Featurised]]]
    ahead = collections.deque()
    with concurrent.futures.ThreadPoolExecutor(threads, "featurise") as executor:
        upcoming = iter(jobs)
        while True:
            for job in itertools.islice(upcoming, threads + _AHEAD - len(ahead)):
                ahead.append((job, executor.submit(_featurise_here, job, store, None)))
            if not ahead:
                return
            job, future = ahead.popleft()
            yield _outcome(job, future.result())


def _featurise_here(job: FeatureJob, store: _Store | None, threads: int | None) -> _Featurised:
    """Featurises one input in this process; an exception becomes a text."""
    from af3opt.features.cache import FeatureCache
    from af3opt.features.conformer_store import ConformerStore
    from af3opt.features.featurise import featurise

    cache = None
    if store is not None:
        manager = open_cache("features", store.directory, store.max_gb)
        cache = FeatureCache(manager, ConformerStore())
    try:
        with featurising(job.fold_input.name), messages_of_job(job.fold_input.name):
            ccd = make_ccd(job.fold_input.user_ccd)
            batches = featurise(
                job.fold_input, job.seeds, ccd, job.options, cache=cache, threads=threads
            )
            return dict(batches), None
    except InputError as error:
        return {}, str(error)
    except Exception as error:
        text = " ".join(str(error).split())
        return {}, f"{job.fold_input.name}: {type(error).__name__}: {text}"


@dataclasses.dataclass(slots=True)
class _Worker:
    process: BaseProcess
    pipe: Connection
    job: int | None = None
    answered: bool = False


class _Pool:
    """Worker processes and the inputs they are busy with."""

    def __init__(self, count: int, store: _Store | None) -> None:
        self._context = spawn_context()
        self._store = store
        self._workers = [self._start() for _ in range(count)]

    def _start(self) -> _Worker:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(
            target=_work, args=(theirs, self._store), name="featurise", daemon=True
        )
        process.start()
        theirs.close()
        return _Worker(process, ours)

    def close(self) -> None:
        """Ends all workers, also in the middle of an input."""
        for worker in self._workers:
            worker.pipe.close()
            worker.process.terminate()
        for worker in self._workers:
            worker.process.join()

    def run(self, jobs: Iterable[FeatureJob]) -> Iterator[FeatureOutcome]:
        upcoming = enumerate(jobs)
        held: dict[int, FeatureJob] = {}
        waiting: list[int] = []
        attempts: collections.Counter[int] = collections.Counter()
        finished: dict[int, _Result] = {}
        for position in itertools.count():
            self._take(upcoming, held, waiting)
            if position not in held:
                return
            while position not in finished:
                self._hand_out(held, waiting, attempts, position)
                self._collect(held, waiting, attempts, finished)
            packed, error = finished.pop(position)
            job = held.pop(position)
            # The next inputs begin before the consumer takes its time with this one.
            self._take(upcoming, held, waiting)
            self._hand_out(held, waiting, attempts, position + 1)
            yield _outcome(job, (_unpack(packed), error))

    def _take(
        self,
        upcoming: Iterator[tuple[int, FeatureJob]],
        held: dict[int, FeatureJob],
        waiting: list[int],
    ) -> None:
        """Takes as many inputs as may be under way, the first to be handed out last."""
        wanted = _AHEAD * len(self._workers) + 1 - len(held)
        for number, job in itertools.islice(upcoming, max(0, wanted)):
            held[number] = job
            waiting.insert(0, number)

    def _hand_out(
        self,
        jobs: Mapping[int, FeatureJob],
        waiting: list[int],
        attempts: collections.Counter[int],
        position: int,
    ) -> None:
        limit = position + _AHEAD * len(self._workers)
        for worker in self._workers:
            if worker.job is None and waiting and waiting[-1] < limit:
                if not worker.process.is_alive():
                    self._replace(worker)  # It died idle: that is no attempt at a job.
                worker.job = waiting.pop()
                attempts[worker.job] += 1
                try:
                    worker.pipe.send(jobs[worker.job])
                except OSError:
                    # It died just now: `_collect` sees the same and replaces it. A worker that
                    # cannot even start must not be tried for ever.
                    attempts[worker.job] -= worker.answered

    def _collect(
        self,
        jobs: Mapping[int, FeatureJob],
        waiting: list[int],
        attempts: collections.Counter[int],
        finished: dict[int, _Result],
    ) -> None:
        """Waits until a worker answers or dies."""
        busy = [worker for worker in self._workers if worker.job is not None]
        worker_of: dict[object, _Worker] = {worker.pipe: worker for worker in busy}
        for ready in multiprocessing.connection.wait([worker.pipe for worker in busy]):
            worker = worker_of[ready]
            assert worker.job is not None
            job = worker.job
            try:
                finished[job] = worker.pipe.recv()
                worker.job, worker.answered = None, True
            except (EOFError, OSError):
                self._replace(worker)
                name = jobs[job].fold_input.name
                if attempts[job] < _ATTEMPTS:
                    _log.warning("A worker died while featurising %s; trying once more", name)
                    waiting.append(job)
                else:
                    text = f"{name}: cannot be featurised: the worker process died twice"
                    finished[job] = [], text

    def _replace(self, worker: _Worker) -> None:
        worker.process.join()
        worker.pipe.close()
        fresh = self._start()
        worker.process, worker.pipe = fresh.process, fresh.pipe
        worker.job, worker.answered = None, False


def _unpack(packed: Sequence[tuple[int, bytes]]) -> dict[int, Batch]:
    from af3opt.features.packing import unpack_batch

    batches: dict[int, Batch] = {}
    for seed, data in packed:
        part, order = unpack_batch(data)
        # Later seeds bring only the arrays in which they differ from the first.
        together = {**next(iter(batches.values()), {}), **part}
        batches[seed] = {name: together[name] for name in order}
    return batches


def _work(pipe: Connection, store: _Store | None) -> None:
    """A worker's life: receives inputs until the pipe closes."""
    os.environ["JAX_PLATFORMS"] = "cpu"
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    from af3opt.data.prepared import find_prepared
    from af3opt.data.resources import redirect_resources

    redirect_resources(find_prepared())
    while True:
        try:
            job = pipe.recv()
        except (EOFError, OSError):
            return
        batches, error = _featurise_here(job, store, 1)
        pipe.send(([], error) if error else _pack(batches))


def _pack(batches: Mapping[int, Batch]) -> _Result:
    from af3opt.engine.feature_objects import UnknownObjectError
    from af3opt.features.packing import pack_batch

    packed: list[tuple[int, bytes]] = []
    first: Batch = {}
    try:
        for seed, batch in batches.items():
            part = {name: array for name, array in batch.items() if array is not first.get(name)}
            packed.append((seed, pack_batch(part, list(batch)).to_bytes()))
            first = first or batch
    except (UnknownObjectError, TypeError) as error:
        return [], f"features cannot be sent between processes: {error}"
    return packed, None
