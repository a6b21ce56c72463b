"""Whether nothing is left to do for a job, found without engine and weights."""

from af3opt.base.errors import InputError
from af3opt.execution.claims.claim import newest_holder
from af3opt.execution.job.claiming import job_journal
from af3opt.execution.job.loading import find_data, wanted_seeds
from af3opt.execution.job.session import Session
from af3opt.execution.planning.plan import PlannedJob
from af3opt.inputs.digest import input_digest


def is_finished(session: Session, planned: PlannedJob) -> bool:
    """Tells whether nothing is left to do for a job.

    Args:
        session: What all jobs share.
        planned: The job.
    """
    journal = job_journal(session, planned)
    try:
        if not session.settings.resume or not journal.directory.is_dir():
            return False
    except OSError:
        return False  # Its name is too long. Opening the job will say so.
    holder = newest_holder(journal.directory)
    if holder is not None and not holder.released:
        return False  # Held, or its holder died and may have left unfinished files.
    try:
        digest = input_digest(planned.path, planned.position)
    except (InputError, OSError, ValueError, LookupError, AttributeError, TypeError):
        return False  # Opening the job will say what is wrong with it.
    data = find_data(session, journal, planned, digest)
    if data is None or not data.is_unchanged():
        return False
    seeds = wanted_seeds(session.settings, planned, data)
    if not session.settings.run_inference:
        own = data.belongs_to(journal.source, seeds)
        return own and data.seeds == tuple(seeds)
    run = journal.run(session.run_identity(data.resolved, seeds[0]), seeds)
    return run.is_finished(seeds)
