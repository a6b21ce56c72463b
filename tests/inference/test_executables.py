"""The executable store: right keys, no trust in files that others could write."""

import dataclasses
import os
import sys
import types

import pytest

jax = pytest.importorskip("jax")

from af3opt.inference import live_code  # noqa: E402
from af3opt.inference.compile_cache import CompileCache  # noqa: E402
from af3opt.inference.executables import ExecutableStore, ProgramIdentity, executable_key  # noqa: E402
from af3opt.inference.operations import OperationCount  # noqa: E402
from tests.other_user import give_away, needs_root  # noqa: E402

WORK = OperationCount(flops=8, bytes=32)


@pytest.fixture
def device():
    return jax.local_devices(backend="cpu")[0]


@pytest.fixture
def cache(tmp_path):
    return CompileCache(root=tmp_path, trusted=True)


@pytest.fixture
def make_key(device):
    def make(engine_fingerprint="e", optimizations=(), **changes):
        arguments = {
            "identity": ProgramIdentity(
                engine_fingerprint=engine_fingerprint, optimizations=optimizations
            ),
            "live_code": "l",
            "config": {"a": {"b": 1}},
            "samples_at_once": 5,
            "arguments": ({"x": jax.ShapeDtypeStruct((4,), "float32")},),
            "device": device,
        }
        return executable_key(**{**arguments, **changes})

    return make


def compiled_double():
    return (
        jax.jit(lambda tree: {"y": tree["x"] * 2})
        .lower({"x": jax.ShapeDtypeStruct((4,), "float32")})
        .compile()
    )


def test_stored_executable_gives_the_same(cache, make_key, device):
    compiled = compiled_double()
    ExecutableStore(cache).save(make_key(), compiled, WORK, {"tokens": 4, "seconds": 2.5})
    stored = ExecutableStore(cache).load(make_key(), device)
    assert (stored.work, stored.seconds) == (WORK, 2.5)
    loaded = stored.executable
    argument = {"x": jax.device_put(jax.numpy.arange(4.0), device)}
    assert loaded(argument)["y"].tolist() == compiled(argument)["y"].tolist() == [0, 2, 4, 6]
    assert loaded.memory_analysis() is not None


def test_missing_executable_is_none(cache, make_key, device):
    assert ExecutableStore(cache).load(make_key(), device) is None


@pytest.mark.parametrize(
    "change",
    [
        {"engine_fingerprint": "other"},
        {"live_code": "other"},
        {"optimizations": ("one",)},
        {"config": {"a": {"b": 2}}},
        {"samples_at_once": 1},
        {"arguments": ({"x": jax.ShapeDtypeStruct((5,), "float32")},)},
        {"arguments": ({"z": jax.ShapeDtypeStruct((4,), "float32")},)},
    ],
)
def test_key_depends_on_everything_given(change, make_key):
    assert make_key(**change).digest != make_key().digest


def test_key_depends_on_flags_but_not_on_logging(make_key, monkeypatch):
    plain = make_key().digest
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    monkeypatch.setenv("AF3_MODEL_PARAMETERS_DIR", "/models")
    monkeypatch.setenv("XLA_CLIENT_MEM_FRACTION", "0.5")
    assert make_key().digest == plain
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=true")
    assert make_key().digest != plain


def test_key_depends_on_jax_settings(make_key):
    plain = make_key().digest
    with jax.default_matmul_precision("highest"):
        jax.config.update("jax_default_matmul_precision", "highest")
    try:
        assert make_key().digest != plain
    finally:
        jax.config.update("jax_default_matmul_precision", None)


def test_damaged_pickle_is_set_aside(cache, make_key, device):
    store = ExecutableStore(cache)
    store._manager.put(make_key(), [b"not a pickle"], {})
    assert store.load(make_key(), device) is None
    assert list((cache.root / "executables" / "quarantine").iterdir())


def test_a_miss_is_explained_without_digests(cache, make_key, caplog):
    caplog.set_level("INFO")
    store = ExecutableStore(cache)
    store.save(make_key(), compiled_double(), WORK, {"tokens": 4})
    store.explain_miss(make_key(samples_at_once=2), 8)
    store.explain_miss(make_key(samples_at_once=2), 4)
    store.explain_miss(make_key(engine_fingerprint="f", config={}), 4)
    store.explain_miss(make_key(), 4)
    kept = "Compiling for 4 tokens; what is kept for this size differs: "
    assert [record.getMessage() for record in caplog.records] == [
        "Compiling for 8 tokens (first time for this size)",
        f"{kept}samples_at_once: entry has 5, now 2",
        f"{kept}other settings of the model; another engine",
    ]


@pytest.mark.parametrize("level", [0, 1, 2])
def test_nothing_is_unpickled_where_others_can_write(level, cache, make_key, device, caplog):
    store = ExecutableStore(cache)
    store.save(make_key(), compiled_double(), WORK, {})
    path = store._manager.path_of(make_key().digest)
    (path, *path.parents)[level].chmod(0o777)
    assert ExecutableStore(cache).load(make_key(), device) is None
    assert "writable by others" in caplog.text


def test_files_of_another_user_are_not_unpickled(cache, make_key, device, caplog):
    if os.getuid() != 0:
        pytest.skip("needs chown")
    store = ExecutableStore(cache)
    store.save(make_key(), compiled_double(), WORK, {})
    os.chown(store._manager.path_of(make_key().digest), 54321, -1)
    assert ExecutableStore(cache).load(make_key(), device) is None
    assert "belongs to user id 54321" in caplog.text


@needs_root
@pytest.mark.parametrize("level", [0, 1, 2, 3])
def test_nothing_is_unpickled_below_a_level_of_another_user(level, cache, make_key, device, caplog):
    store = ExecutableStore(cache)
    store.save(make_key(), compiled_double(), WORK, {})
    path = store._manager.path_of(make_key().digest)
    give_away((path, *path.parents)[level])
    assert ExecutableStore(cache).load(make_key(), device) is None
    assert "belongs to user id 65534" in caplog.text


def test_untrusted_cache_keeps_no_executables(tmp_path, make_key, device):
    store = ExecutableStore(CompileCache(root=tmp_path, trusted=False))
    store.save(make_key(), compiled_double(), WORK, {})
    assert list(tmp_path.iterdir()) == []
    assert store.load(make_key(), device) is None


@pytest.mark.engine
def test_a_replaced_engine_function_changes_the_digest(prepared_home, monkeypatch):
    from af3opt.data.bootstrap import bootstrap_engine
    from af3opt.engine.modules import engine_module

    bootstrap_engine()
    modules = live_code.model_modules()
    plain = live_code.live_code_digest(modules)
    assert live_code.live_code_digest(modules) == plain
    diffusion_head = engine_module("model.network.diffusion_head")
    original = diffusion_head.DiffusionHead.__call__

    def probed(self, *arguments, **options):
        return original(self, *arguments, **options)

    monkeypatch.setattr(diffusion_head.DiffusionHead, "__call__", probed)
    assert live_code.live_code_digest(modules) != plain
    monkeypatch.undo()
    sample = diffusion_head.sample
    monkeypatch.setattr(diffusion_head, "sample", lambda *args, **options: sample(*args, **options))
    assert live_code.live_code_digest(modules) != plain


def test_what_a_replacement_closes_over_counts():
    @dataclasses.dataclass(frozen=True)
    class Context:
        precision: str

    def replacement(context):
        def function(x):
            return (x, context.precision)

        return function

    def digest_with(context):
        module = types.ModuleType("made_up_module")
        module.function = replacement(context)
        sys.modules["made_up_module"] = module
        try:
            return live_code.live_code_digest(("made_up_module",))
        finally:
            del sys.modules["made_up_module"]

    assert digest_with(Context("float32")) == digest_with(Context("float32"))
    assert digest_with(Context("float32")) != digest_with(Context("bfloat16"))
