"""The engine's own script: found where it was installed from, read without being run."""

import importlib.metadata
import json

import pytest

from af3opt.engine import own_script
from af3opt.engine.own_script import OLDER_BUCKETS, default_buckets, engine_buckets
from af3opt.inference.buckets import choose_buckets
from af3opt.settings.settings import resolve_settings
from af3opt.settings.upstream import DEFAULT_BUCKETS

SCRIPT = """
raise SystemExit("ran")
_BUCKETS = flags.DEFINE_list(
    'buckets',
    {default},
    'Token sizes.',
)
"""


@pytest.fixture
def engine(tmp_path, monkeypatch):
    """An installed engine as `own_script` sees it: a package and its metadata."""
    root = tmp_path / "site" / "alphafold3"
    (root / "data").mkdir(parents=True)
    (root / "data" / "pipeline.py").write_text("jackhmmer_n_cpu: int\n")
    monkeypatch.setattr(own_script, "package_root", lambda: root)
    engine_buckets.cache_clear()
    yield root
    engine_buckets.cache_clear()


def install(root, monkeypatch, name="alphafold3", checkout=None):
    information = root.parent / "x-1.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
    if checkout is not None:
        note = {"url": checkout.as_uri(), "dir_info": {}}
        (information / "direct_url.json").write_text(json.dumps(note))
    distribution = importlib.metadata.Distribution.at(information)
    monkeypatch.setattr(own_script, "distribution_of", lambda _root: distribution)


@pytest.mark.parametrize(
    ("default", "sizes"),
    [
        ("['128', '256']", (128, 256)),
        ("[64, 4096]", (64, 4096)),
        ("sizes()", None),
        ("['512', '256']", None),
        ("['many']", None),
        ("[]", None),
        ("[", None),
    ],
)
def test_default_is_read_and_nothing_is_run(tmp_path, default, sizes):
    script = tmp_path / "run_alphafold.py"
    script.write_text(SCRIPT.format(default=default))
    assert default_buckets(script) == sizes


def test_script_of_the_checkout_decides(engine, tmp_path, monkeypatch):
    checkout = tmp_path / "app"
    checkout.mkdir()
    install(engine, monkeypatch, checkout=checkout)
    assert engine_buckets() == OLDER_BUCKETS
    engine_buckets.cache_clear()
    (checkout / "run_alphafold.py").write_text(SCRIPT.format(default="['100', '200']"))
    assert engine_buckets() == (100, 200)
    settings = resolve_settings([], {})
    assert choose_buckets(settings, "gpu") == (100, 200)
    assert choose_buckets(resolve_settings(["--buckets=7"], {}), "gpu") == (7,)


def test_without_a_script_the_engines_age_tells(engine, monkeypatch):
    install(engine, monkeypatch)
    assert engine_buckets() == OLDER_BUCKETS
    assert len(OLDER_BUCKETS) == 13
    engine_buckets.cache_clear()
    (engine / "data" / "pipeline.py").write_text("hmmsearch_n_cpu: int\n")
    assert engine_buckets() == DEFAULT_BUCKETS


def test_other_engines_get_the_newest_list(engine, monkeypatch):
    install(engine, monkeypatch, name="alphafold3-colabfold")
    assert engine_buckets() == DEFAULT_BUCKETS
