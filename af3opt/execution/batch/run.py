"""The jobs of one process: each once, stage by stage, whatever happens to single ones."""

import contextlib
import logging
from collections.abc import Iterable, Iterator, Sequence

from af3opt.engine.discovery import EngineInfo
from af3opt.engine.outputs import why_no_terms_of_use
from af3opt.execution.batch.failed_searches import FailedSearches
from af3opt.execution.batch.search_ahead import SearchAhead, SearchTools
from af3opt.execution.batch.seed_source import SeedSource
from af3opt.execution.batch.seed_stages import SeedStages
from af3opt.execution.batch.shared import Batch, Tally
from af3opt.execution.batch.stream import Stages
from af3opt.execution.claims.compile_leases import CompileLeases
from af3opt.execution.interrupt import InterruptGuard
from af3opt.execution.job.finished import is_finished
from af3opt.execution.job.loading import check_job
from af3opt.execution.job.session import Session, import_engine
from af3opt.execution.job.tools import Tools, make_pipeline, make_tools, start_model
from af3opt.execution.outcomes import Outcome, Status
from af3opt.execution.output_directory import check_can_be_made, make_output_directory
from af3opt.execution.planning.deadline import Deadline
from af3opt.execution.planning.kept_plans import write_plan
from af3opt.execution.planning.plan import PlannedJob
from af3opt.execution.searching import Searches, searching
from af3opt.execution.state_directory import searches_directory
from af3opt.execution.trace import Trace
from af3opt.features.featurise import usable_threads
from af3opt.features.msa_cache import MsaCache
from af3opt.search.tool import ExactSearch

_log = logging.getLogger(__name__)

_TERMS_NOTICE = (
    "Running AlphaFold 3. Please note that standard AlphaFold 3 model parameters are only "
    "available under terms of use provided at "
    "https://github.com/google-deepmind/alphafold3/blob/main/WEIGHTS_TERMS_OF_USE.md. If you do "
    "not agree to these terms and are using AlphaFold 3 derived model parameters, cancel "
    "execution with Ctrl-C, and do not use the model parameters."
)

# Threads beyond these would wait for each other: the engine's pipeline runs once at a time.
_MOST_THREADS_AHEAD = 3


class BatchRun:
    """The jobs of one process, from plan to outcomes."""

    def __init__(
        self,
        session: Session,
        guard: InterruptGuard,
        deadline: Deadline,
        *,
        leases: CompileLeases | None = None,
        trace: Trace | None = None,
    ) -> None:
        """Connects what the batch needs.

        Args:
            session: What all jobs share.
            guard: Cleans up at a signal; says when to stop.
            deadline: Says whether there is time for another seed.
            leases: Which process of the node compiles which bucket; None to compile
                whatever is needed.
            trace: Takes the times of the stages.
        """
        self._session = session
        self._guard = guard
        self._deadline = deadline
        self._leases = leases
        self._trace = trace or Trace()
        self._tally = Tally(session)

    @property
    def spilling_helps(self) -> bool:
        """Whether a job failed that would fit if the GPU might spill to host memory."""
        return self._tally.spilling_helps

    def run(self, plan: Sequence[PlannedJob], *, alone: bool) -> list[Outcome]:
        """Does the jobs of a plan.

        Args:
            plan: The jobs, in the order they should run.
            alone: The plan is one job that the user asked for by itself: what is wrong
                with it is raised, and nothing is written if that is found in time.

        Returns:
            How each job ended.

        Raises:
            InputError: the only job, or with `--fail_fast` any, cannot be used.
            SetupError: engine, weights, tools or output directory are unusable.
            OutputLostError: nothing can be written any more.
        """
        self._tally.raises = alone or self._session.settings.fail_fast
        waiting = self._unfinished(plan)
        first = next(waiting, None)
        if first is None:
            return self._tally.outcomes
        cache = MsaCache.from_settings(self._session.settings)
        engine = import_engine(self._session)
        _log.info("Engine: %s in %s", engine.label, engine.root)
        with contextlib.ExitStack() as stack:
            searches = stack.enter_context(searching(self._session.settings, self._guard))
            tools = self._start(engine, first if alone else None, cache, searches)
            write_plan(self._session.output_dir, plan)
            batch = Batch(
                tools=tools,
                places={job: number for number, job in enumerate(plan, start=1)},
                guard=self._guard,
                deadline=self._deadline,
                leases=self._leases,
                trace=self._trace,
                tally=self._tally,
                overlapped=self._overlapped(),
            )
            ahead = self._search_ahead(tools, cache, searches.exact, plan)
            if ahead is not None:
                stack.enter_context(ahead.running())
            source = SeedSource(batch, self._unfinished, ahead)
            stack.callback(source.close)
            seeds = SeedStages(batch, tools.model)
            stages = Stages(source.seeds(first, waiting), seeds.featurise, seeds.infer, seeds.write)
            if batch.overlapped:
                stages.run_overlapped(self._threads_ahead())
            else:
                stages.run_in_turn()
        return self._tally.outcomes

    def _unfinished(self, plan: Iterable[PlannedJob]) -> Iterator[PlannedJob]:
        for planned in plan:
            if is_finished(self._session, planned):
                self._tally.add(planned, Status.ALREADY_DONE)
            else:
                yield planned

    def _search_ahead(
        self,
        tools: Tools,
        cache: MsaCache | None,
        searches: ExactSearch | None,
        plan: Sequence[PlannedJob],
    ) -> SearchAhead | None:
        """Plans the searches of all jobs; None where they share nothing."""
        if tools.pipeline is None or cache is None or searches is None:
            return None
        resume = self._session.settings.resume
        leases = searches_directory(self._session.output_dir) if resume else None
        failed = FailedSearches(leases)
        cache.known_failure = failed.reason
        shared = SearchTools(
            pipeline=tools.pipeline,
            cache=cache,
            passes=searches.passes,
            leases=leases,
            failed=failed,
            guard=self._guard,
        )
        return SearchAhead(shared, plan)

    def _start(
        self,
        engine: EngineInfo,
        only: PlannedJob | None,
        cache: MsaCache | None,
        searches: Searches,
    ) -> Tools:
        """Does once what every job needs; fails here rather than in each of them."""
        session = self._session
        pipeline = make_pipeline(session.settings, cache)
        if only is not None:
            check_job(session, pipeline, only)
        check_can_be_made(session.output_dir)
        _log.info(_TERMS_NOTICE)
        if session.settings.run_inference and session.settings.save_terms_of_use:
            reason = why_no_terms_of_use()
            if reason is not None:
                _log.warning("%s", reason)
        # Unusable weights end the run before it writes.
        model = start_model(session, engine) if session.settings.run_inference else None
        make_output_directory(session.output_dir)
        self._tally.wrote = True
        self._guard.watch(session.output_dir)
        return make_tools(session, pipeline, model, searches.considered)

    def _overlapped(self) -> bool:
        choice = self._session.settings.overlap
        return choice == "on" or (choice == "auto" and self._session.backend.name != "cpu")

    def _threads_ahead(self) -> int:
        """Threads that featurise ahead of the device, which must not wait for them."""
        if self._session.settings.featurise_workers is not None:
            return self._session.settings.featurise_workers
        if self._session.backend.name == "cpu":
            return 1
        # One core is left to the thread that feeds the device.
        return max(1, min(usable_threads() - 1, _MOST_THREADS_AHEAD))
