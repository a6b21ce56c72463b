"""What every test starts from: a clean environment and, for engine tests, prepared data."""

import contextlib
import dataclasses
import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from af3opt.base.errors import SetupError
from af3opt.data.prepared import find_prepared
from af3opt.data.synthetic_weights import synthetic_weights_dir
from af3opt.engine.discovery import find_engine
from af3opt.execution.claims.verdicts import live_jobs
from af3opt.settings.settings import resolve_settings

REPOSITORY = Path(__file__).parent.parent
# Where prepared data and small weights are kept between test runs; read before the
# environment is cleared. Unset: a directory of this session, prepared from nothing.
TEST_HOME = os.environ.get("AF3OPT_TEST_HOME")
_CLEARED_PREFIXES = (
    *("AF3OPT_", "AF3_", "JAX_", "XLA_", "TF_", "MKL_", "KMP_"),
    *("SLURM_", "PBS_", "LSB_", "SGE_"),
)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch, tmp_path_factory):
    """Hides the developer's settings from every test, and every test from their files."""
    for name in os.environ:
        if name.startswith(_CLEARED_PREFIXES):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AF3OPT_HOME", str(tmp_path_factory.mktemp("af3opt_home")))


@pytest.fixture(autouse=True)
def no_remembered_jobs():
    """Lets every test ask its scheduler anew."""
    live_jobs.cache_clear()


@pytest.fixture(autouse=True)
def untouched_engine():
    """Puts the engine's own functions back after a test that ran the command in process."""
    yield
    optimizations = sys.modules.get("af3opt.optimizations")
    if optimizations is not None:
        optimizations.deactivate()


@pytest.fixture(autouse=True)
def untouched_compile_cache():
    """Switches the compile cache off after a test that ran the command in process.

    What later tests compile would come from the cache, even of an earlier session.
    """
    yield
    jax = sys.modules.get("jax")
    if jax is not None and getattr(jax.config, "jax_compilation_cache_dir", None) is not None:
        from jax.experimental.compilation_cache import compilation_cache

        jax.config.update("jax_compilation_cache_dir", None)
        compilation_cache.reset_cache()


@pytest.fixture(autouse=True)
def untouched_logging():
    """Puts loggers back after a test that ran the command in process."""
    root, own, absl = (logging.getLogger(name) for name in (None, "af3opt", "absl"))
    levels = [(logger, logger.level) for logger in (root, own, absl)]
    handlers, filters = root.handlers[:], absl.filters[:]
    yield
    for logger, level in levels:
        logger.setLevel(level)
    root.handlers[:], absl.filters[:] = handlers, filters


def pytest_collection_modifyitems(items):
    """Skips engine tests where there is no engine, and says why."""
    try:
        find_engine()
    except SetupError as error:
        for item in items:
            if item.get_closest_marker("engine"):
                item.add_marker(pytest.mark.skip(reason=str(error)))


@pytest.fixture(scope="session")
def shared_home(tmp_path_factory):
    """An AF3OPT_HOME with component data and small weights for the installed engine."""
    home = Path(TEST_HOME) if TEST_HOME else tmp_path_factory.mktemp("shared_home")
    _prepare(home, "small")
    return home


def _prepare(home, depth):
    """Runs `af3opt prepare`; quick when everything is there already."""
    command = [sys.executable, "-m", "af3opt", "prepare", "--synthetic_weights", f"--depth={depth}"]
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(_CLEARED_PREFIXES)
    }
    completed = subprocess.run(
        command,
        env={**environment, "AF3OPT_HOME": str(home)},
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    if completed.returncode:
        pytest.fail(f"af3opt prepare failed:\n{completed.stdout}{completed.stderr}")


@pytest.fixture
def prepared_home(shared_home, monkeypatch):
    """Points AF3OPT_HOME at the shared prepared data for one test, and returns it."""
    monkeypatch.setenv("AF3OPT_HOME", str(shared_home))
    return shared_home


@pytest.fixture
def full_weights(prepared_home):
    """The model directory with weights of the true depth for the installed engine."""
    _prepare(prepared_home, "full")
    return synthetic_weights_dir("full", find_engine().fingerprint)


@pytest.fixture
def small_weights(prepared_home):
    """The model directory with weights of reduced depth for the installed engine."""
    return synthetic_weights_dir("small", find_engine().fingerprint)


@dataclasses.dataclass(frozen=True)
class EngineInput:
    """An input as the engine has read it, with the settings of a run."""

    path: Path
    settings: Any
    fold_input: Any

    def featurise(self, tokens):
        """Returns the batch of its first seed, padded to a number of tokens."""
        from af3opt.engine.inputs import make_ccd
        from af3opt.features.engine_features import featurise_with_engine
        from af3opt.features.options import FeatureOptions

        options = FeatureOptions.from_settings(self.settings, (tokens,))
        return featurise_with_engine(
            self.fold_input, self.fold_input.rng_seeds[0], make_ccd(), options
        )


@pytest.fixture
def absent_gpu():
    """A context in which programs are traced and lowered for a GPU that is only described."""
    jax = pytest.importorskip("jax")
    tokamax_config = pytest.importorskip("tokamax.config")
    if not hasattr(jax.sharding, "AbstractDevice"):
        pytest.skip("this JAX cannot describe an absent GPU")

    @contextlib.contextmanager
    def describe():
        hopper = jax.sharding.AbstractDevice("NVIDIA H100 80GB HBM3", None, "gpu")
        mesh = jax.sharding.AbstractMesh((), (), abstract_device=hopper)
        try:
            with tokamax_config.cross_compile(True), jax.sharding.use_abstract_mesh(mesh):
                yield
        except (NotImplementedError, AttributeError, RuntimeError) as error:
            if jax.__version_info__ >= (0, 12):
                raise
            pytest.skip(f"JAX {jax.__version__} with its tokamax needs a real GPU here: {error!r}")

    return describe


@pytest.fixture
def engine_input(prepared_home, tmp_path, monkeypatch):
    """Makes an `EngineInput` from the JSON content of an input and flags of a run."""

    def make(content, *flags):
        from af3opt.data.resources import redirect_resources
        from af3opt.engine.inputs import load_fold_inputs

        # tokamax reads the command line with absl while the model is traced.
        monkeypatch.setattr(sys, "argv", ["af3opt"])
        redirect_resources(find_prepared())
        path = tmp_path / "input.json"
        path.write_text(json.dumps(content))
        common = [f"--json_path={path}", f"--output_dir={tmp_path}", "--jax_backend=cpu"]
        attention = "--flash_attention_implementation=xla"
        settings = resolve_settings([*common, attention, *flags], {})
        (fold_input,) = load_fold_inputs(path)
        return EngineInput(path, settings, fold_input)

    return make
