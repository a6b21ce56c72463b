"""A device step of chosen length in place of the model, for tests of scheduling.

Everything around it is real: inputs, featurisation, extraction, files, journal. What
it returns has the shapes of a model result and depends on the seed alone, so that
results can be compared between runs. Also a program: `python -m tests.execution.stub`
takes the flags of `af3opt run`; AF3_STUB_SECONDS is the length of a device step and
AF3_STUB_LOG a file that gets a line for each.
"""

import os
import signal
import sys
import time
import types
from pathlib import Path

import numpy as np


class StubRunner:
    """Stands where `ModelRunner` does."""

    def __init__(self, seconds=0.0, samples=1, log=None):
        self._seconds = seconds
        self._samples = samples
        self._log = log
        # Nothing of the stub is in reduced precision.
        self.config = types.SimpleNamespace(global_config=types.SimpleNamespace(bfloat16="none"))
        self.device = None
        self.compile_reports = []
        self.program_kind = "stub"

    def load(self):
        return types.SimpleNamespace(sha256="0" * 64)

    def run_inference(self, batch, seed, samples_at_once=None):
        time.sleep(self._seconds)
        if self._log is not None:
            with Path(self._log).open("a") as log:
                log.write(f"{os.getpid()} {batch_tokens(batch)} {seed}\n")
        self._die_if_told(seed)
        return stub_result(batch, seed, self._samples)

    def _die_if_told(self, seed):
        once = os.environ.get("AF3_STUB_KILLED_ONCE_BY") == str(seed)
        first = once and Path(self._log).read_text().split().count(str(seed)) == 1
        if first or os.environ.get("AF3_STUB_KILLED_BY") == str(seed):
            os.kill(os.getpid(), signal.SIGKILL)


def batch_tokens(batch):
    return int(np.asarray(batch["seq_length"]))


def stub_result(batch, seed, samples):
    """Arrays of the shapes that the engine extracts results from."""
    random = np.random.default_rng(seed)
    tokens = batch["token_index"].shape[0]
    atoms = batch["ref_mask"].shape[1]

    def draw(*shape):
        return random.random(shape, dtype=np.float32)

    pairs = (samples, tokens, tokens)
    return {
        "diffusion_samples": {
            "atom_positions": draw(samples, tokens, atoms, 3) * 30,
            "mask": np.broadcast_to(batch["pred_dense_atom_mask"], (samples, tokens, atoms)),
        },
        "distogram": {"contact_probs": draw(tokens, tokens)},
        "predicted_lddt": draw(samples, tokens, atoms) * 100,
        "full_pde": draw(*pairs) * 30,
        "full_pae": draw(*pairs) * 30,
        "average_pde": draw(samples) * 30,
        "tmscore_adjusted_pae_global": draw(*pairs),
        "tmscore_adjusted_pae_interface": draw(*pairs),
        "predicted_experimentally_resolved": draw(samples, tokens, atoms),
        "__identifier__": b"stub",
    }


def make_stub_runner(engine, settings, backend, device_index=0, *, optimizations=()):
    return StubRunner(
        float(os.environ.get("AF3_STUB_SECONDS", "0")),
        settings.num_diffusion_samples,
        os.environ.get("AF3_STUB_LOG"),
    )


def main(argv):
    from af3opt.errors import Af3optError
    from af3opt.execution.interrupt import InterruptGuard
    from af3opt.execution.launch import run_batch
    from af3opt.settings import check_run_settings, resolve_settings
    from af3opt.startup import prepare_process

    settings = resolve_settings([flag for flag in argv if flag != "run"], os.environ)
    try:
        check_run_settings(settings)
        if settings.cpu_workers is not None:
            from af3opt.execution.pool import find_slots, run_pool
            from af3opt.logs import configure_logging

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
