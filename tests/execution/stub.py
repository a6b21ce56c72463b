"""A device step of chosen length in place of the model, for tests of scheduling.

Everything around it is real: inputs, featurisation, extraction, files, journal. Also
a program: `python -m tests.execution.stub` takes the flags of `af3opt run`;
DEVICE_STUB_SECONDS is the length of a device step, DEVICE_STUB_LOG a file that gets a line
for each, DEVICE_STUB_KILLED_BY a seed that kills the process, DEVICE_STUB_KILLED_ONCE_BY
one that does so the first time, DEVICE_STUB_TOGETHER how many processes must have begun
their first step before one ends it.
"""

import os
import signal
import sys
import time
from pathlib import Path

from scripts.measure.stubbed_device import StubbedRunner


class StubRunner(StubbedRunner):
    """Writes down its steps, and dies where it is told to."""

    def __init__(self, seconds=0.0, samples=1, log=None):
        super().__init__(seconds, samples)
        self._log = log
        self._together = int(os.environ.get("DEVICE_STUB_TOGETHER", "1"))

    def run_inference(self, batch, seed, samples_at_once=None):
        self._meet_others()
        result = super().run_inference(batch, seed, samples_at_once)
        if self._log is not None:
            with Path(self._log).open("a") as log:
                log.write(f"{os.getpid()} {int(batch['seq_length'])} {seed}\n")
        self._die_if_told(seed)
        return result

    def variant(self, config_overrides, optimizations):
        return self  # There is nothing to make safer.

    def _meet_others(self):
        together, self._together = self._together, 1
        if together == 1:
            return
        begun = Path(f"{self._log}.begun")
        with begun.open("a") as file:
            file.write(f"{os.getpid()}\n")
        end = time.monotonic() + 120
        while len(set(begun.read_text().split())) < together:
            assert time.monotonic() < end, "the other processes have not begun"
            time.sleep(0.02)

    def _die_if_told(self, seed):
        once = os.environ.get("DEVICE_STUB_KILLED_ONCE_BY") == str(seed)
        first = once and Path(self._log).read_text().split().count(str(seed)) == 1
        if first or os.environ.get("DEVICE_STUB_KILLED_BY") == str(seed):
            os.kill(os.getpid(), signal.SIGKILL)


def make_stub_runner(engine, settings, backend, device_index=0, **_):
    return StubRunner(
        float(os.environ.get("DEVICE_STUB_SECONDS", "0")),
        settings.num_diffusion_samples,
        os.environ.get("DEVICE_STUB_LOG"),
    )


def main(argv):
    from af3opt.base.errors import Af3optError
    from af3opt.environment.startup import prepare_process
    from af3opt.execution.interrupt import InterruptGuard
    from af3opt.execution.launch import run_batch
    from af3opt.settings.settings import check_run_settings, resolve_settings

    settings = resolve_settings([flag for flag in argv if flag != "run"], os.environ)
    try:
        check_run_settings(settings)
        if settings.cpu_workers is not None:
            from af3opt.base.logs import configure_logging
            from af3opt.execution.pool.slots import find_slots
            from af3opt.execution.pool.supervisor import run_pool

            configure_logging(settings)
            worker = (sys.executable, "-m", "tests.execution.stub_worker")
            return run_pool(settings, find_slots(settings), worker)
        startup = prepare_process(settings)
        guard = InterruptGuard(resumable=settings.resume, takes_stop_requests=True)
        with guard.active():
            return run_batch(settings, startup, guard, make_runner=make_stub_runner)
    except Af3optError as error:
        print(f"af3opt: error: {error}", file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
