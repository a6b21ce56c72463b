"""What the engine says about an input while it is featurised."""

import logging

from af3opt.base.logs import Verbosity, configure_logging, messages_of_job


class WithoutConformer:
    """A component that no conformer can be found for."""

    def embed(self, _seed, _max_iterations):
        logging.getLogger("absl").warning("Failed to generate conformer for: %s", "XYZ")


def test_threads_that_embed_name_the_job_they_work_for(capsys):
    from af3opt.features.conformers import ConformerPool

    configure_logging(Verbosity())
    for job in ("one", "two"):
        wanted = {(f"made up for {job}", seed): WithoutConformer() for seed in range(5)}
        with messages_of_job(job):
            ConformerPool(2).submit(wanted, 1, None).result()
    lines = [line.split(maxsplit=3)[3] for line in capsys.readouterr().err.splitlines()]
    assert lines == [f"{job}: Failed to generate conformer for: XYZ" for job in ("one", "two")]
