"""A run that reads everything below AF3OPT_HOME, and says what it made of it.

Real are inputs, featurisation with its caches, extraction, files, the weights' local copy,
the executable store and the compile cache. The model itself is a stub, so that a run takes a
second or two.
"""

import hashlib
import json
import os
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

import numpy as np

from af3opt.base.errors import Af3optError, SetupError
from af3opt.data import bootstrap
from tests.engine.trees import comparable, tree_files
from tests.execution import stub

INPUT = {
    "dialect": "alphafold3",
    "version": 1,
    "name": "tiny",
    "modelSeeds": [1, 2],
    "sequences": [
        {
            "protein": {
                "id": "A", "sequence": "MQIFVKTL", "unpairedMsa": "", "pairedMsa": "",
                "templates": [],
            }
        },
        {"ligand": {"id": "B", "ccdCodes": ["GOL", "NAG"]}},
    ],
}  # fmt: skip


class WatchingRunner(stub.StubRunner):
    """Keeps a digest of every batch that would have gone to the model."""

    seen: dict[str, str] = {}  # noqa: RUF012 - one process, one run

    def run_inference(self, batch: Any, seed: Any, samples_at_once: int | None = None) -> Any:
        """Returns the stub's result."""
        digest = hashlib.sha256()
        for name in sorted(batch):
            array = np.asarray(batch[name])
            if array.dtype != object:
                digest.update(name.encode() + str(array.dtype).encode() + array.tobytes())
        self.seen[str(int(seed))] = digest.hexdigest()
        return super().run_inference(batch, seed, samples_at_once)


def child(flags: list[str], model_dir: Path, log: Path, answer: Path) -> None:
    """The forked process: runs, writes down what it found, and ends."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
    code = 1
    for name in [name for name in os.environ if name.startswith("AF3OPT_")]:
        # The developer's variables are for the tests; a run refuses those it does not know.
        if name != "AF3OPT_HOME":
            del os.environ[name]
    # That takes half a minute and has a test of its own: here, such runs are refused.
    bootstrap.repair_prepared = lambda: None
    try:
        stub.make_stub_runner = lambda *_, **__: WatchingRunner()
        code = int(stub.main(flags))
        if code == 0:
            answer.write_text(json.dumps(_findings(flags, model_dir)))
    except Af3optError as error:
        sys.stderr.write(f"af3opt: error: {error}\n")
        code = int(error.exit_code)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stderr.flush()
    os._exit(code)


def _findings(flags: list[str], model_dir: Path) -> dict[str, Any]:
    output = Path(next(flag for flag in flags if flag.startswith("--output_dir=")).split("=")[1])
    files = {
        name: hashlib.sha256(repr(comparable(path)).encode()).hexdigest()
        for name, path in tree_files(output).items()
    }
    return {
        "batches": WatchingRunner.seen,
        "files": files,
        "weights": _weights(model_dir),
        "compiled": _compiled(),
        "prepared": _prepared(),
        "tuned": _learned(flags),
    }


def _learned(flags: list[str]) -> str:
    """What `af3opt tune` chose; memory of programs is read, too, and may be forgotten."""
    from af3opt.environment.tuning import load_tuning
    from af3opt.host.host import probe_host
    from af3opt.memory import JobSize, KnownPrograms, Program
    from af3opt.settings.settings import resolve_settings

    program = Program(kind="kind", family="family", shapes="shapes")
    assert KnownPrograms().need(program, JobSize(tokens=64, samples=1)).bytes > 0
    return repr(load_tuning(resolve_settings(flags, os.environ), probe_host(os.environ)))


def learn() -> None:
    """Keeps a choice and a need, as `af3opt tune` and a run of the real model do."""
    from af3opt.environment.known_flags import LEAN_SCHEDULE
    from af3opt.environment.tuning import Candidate, save_tuning
    from af3opt.host.host import probe_host
    from af3opt.memory import JobSize, KnownPrograms, Program

    program = Program(kind="kind", family="family", shapes="shapes")
    KnownPrograms().learn(program, JobSize(tokens=64, samples=1), 10**9)
    chosen = Candidate(
        xla_flags=(LEAN_SCHEDULE.flag,), trunk_precision="float32", diffusion_precision="split"
    )
    save_tuning(probe_host(os.environ), chosen, [])


def _prepared() -> str:
    """What a process that has not imported the engine yet would get of the prepared data."""
    from af3opt.data.ccd_index import CcdIndex
    from af3opt.data.component_sets import read_component_sets
    from af3opt.data.prepared import find_prepared

    prepared = find_prepared()
    if prepared is None:
        raise SetupError("no prepared data; run `af3opt prepare`")
    sets = read_component_sets(prepared.component_sets)
    index = CcdIndex(prepared.ccd_index)
    content = [{name: sorted(codes) for name, codes in sets.items()}, list(index)]
    content += [index[code] for code in list(index)[::50]]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _weights(model_dir: Path) -> str:
    import jax

    from af3opt.inference.weights import load_weights
    from af3opt.inference.weights_copy import FINISHER_THREAD

    loaded = load_weights(model_dir, jax.local_devices(backend="cpu")[0])
    digest = hashlib.sha256(loaded.identifier + loaded.sha256.encode())
    for scope, named in sorted(loaded.params.items()):
        for name, array in sorted(named.items()):
            digest.update(f"{scope}/{name} {array.dtype} {array.shape}".encode())
            digest.update(np.asarray(array).tobytes())
    for thread in threading.enumerate():
        if thread.name == FINISHER_THREAD:
            thread.join()
    return digest.hexdigest()


def _compiled() -> list[float]:
    import jax

    from af3opt.inference.compile_cache import configure_compile_cache
    from af3opt.inference.executables import ExecutableStore, ProgramIdentity, executable_key
    from af3opt.inference.operations import OperationCount

    device = jax.local_devices(backend="cpu")[0]
    cache = configure_compile_cache(None, device)
    shape = jax.ShapeDtypeStruct((4,), "float32")
    argument = jax.device_put(np.arange(4, dtype=np.float32), device)
    lowered = jax.jit(lambda x: x * 2 + 1).lower(shape)
    compiled: Any = None
    if cache is not None:
        store = ExecutableStore(cache)
        key = executable_key(
            identity=ProgramIdentity(engine_fingerprint="engine"), live_code="code", config={},
            samples_at_once=1, arguments=(shape,), device=device,
        )  # fmt: skip
        stored = store.load(key, device)
        compiled = stored.executable if stored is not None else None
        if compiled is None:
            compiled = lowered.compile()
            store.save(key, compiled, OperationCount(1, 1), {"tokens": 4})
    compiled = compiled or lowered.compile()
    return [*np.asarray(compiled(argument)).tolist(), float(jax.jit(lambda x: x.sum())(argument))]
