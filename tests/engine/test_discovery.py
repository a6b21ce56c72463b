"""Finding the engine, and telling it from what only shares its name."""

import importlib.metadata
import importlib.util
import json
import sys

import pytest

from af3opt.base.errors import ExitCode, SetupError
from af3opt.engine import discovery, provenance
from af3opt.engine.modules import source_digest


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An empty package named alphafold3 that shadows the installed one."""
    root = tmp_path / "alphafold3"
    root.mkdir()
    (root / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in [name for name in sys.modules if name.partition(".")[0] == "alphafold3"]:
        monkeypatch.delitem(sys.modules, name)
    discovery.find_engine.cache_clear()
    yield root
    discovery.find_engine.cache_clear()


def _fill(root):
    for name in discovery._REQUIRED_FILES:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# {name}\n")
    (root / "cpp.cpython-312-x86_64-linux-gnu.so").write_bytes(b"ELF")


def test_missing_engine_says_what_to_install(monkeypatch):
    discovery.find_engine.cache_clear()
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(
        SetupError, match=r"no AlphaFold 3 engine .* pip install alphafold3-colabfold=="
    ):
        discovery.find_engine()
    discovery.find_engine.cache_clear()


def test_unrelated_package_of_that_name_is_recognised(package):
    (package / "alphafold3.py").write_text("import torch\n")
    with pytest.raises(SetupError, match=r"is not AlphaFold 3.*pip uninstall") as caught:
        discovery.find_engine()
    assert caught.value.exit_code == ExitCode.USAGE
    assert "\n" not in str(caught.value)


def test_too_old_engine_is_named(package):
    (package / "model" / "diffusion").mkdir(parents=True)
    (package / "model" / "diffusion" / "model.py").touch()
    with pytest.raises(SetupError, match=r"v3\.0\.0, which is too old"):
        discovery.find_engine()


def test_engine_without_its_compiled_module_is_refused(package):
    _fill(package)
    (package / "cpp.cpython-312-x86_64-linux-gnu.so").unlink()
    with pytest.raises(SetupError, match="no compiled module"):
        discovery.find_engine()


def _install(monkeypatch, but=None):
    """Makes it look as if all that an engine needs were installed, but for one package."""
    find = importlib.util.find_spec

    def found(name):
        if name == but:
            return None
        return find(name) if name == discovery.ENGINE else "there"

    monkeypatch.setattr(importlib.util, "find_spec", found)


def test_fingerprint_follows_every_source_and_compiled_file(package, monkeypatch):
    _fill(package)
    _install(monkeypatch)

    def fingerprint():
        discovery.find_engine.cache_clear()
        return discovery.find_engine().fingerprint

    seen = {fingerprint(), fingerprint()}
    assert len(seen) == 1
    (package / "model" / "model.py").write_text("# changed\n")
    seen.add(fingerprint())
    (package / "cpp.cpython-312-x86_64-linux-gnu.so").write_bytes(b"ELF2")
    seen.add(fingerprint())
    assert len(seen) == 3


def _describe(directory, name, version):
    """Distribution metadata as pip leaves it."""
    information = directory / f"{name.replace('-', '_')}-{version}.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    )
    (information / "top_level.txt").write_text("alphafold3\n")


def test_published_engine_is_known_without_reading_all_that_is_installed(package, monkeypatch):
    _fill(package)
    _describe(package.parent, "alphafold3", "3.0.4")
    monkeypatch.setattr(importlib.metadata, "packages_distributions", None)
    engine = discovery.find_engine()
    assert (engine.distribution, engine.version) == ("alphafold3", "3.0.4")


def test_engine_published_under_another_name_is_found(package, monkeypatch):
    _fill(package)
    # Of a distribution that lies elsewhere no more than the name is right.
    elsewhere = package.parent / "elsewhere"
    elsewhere.mkdir()
    _describe(elsewhere, "alphafold3", "3.0.4")
    monkeypatch.syspath_prepend(str(elsewhere))
    _describe(package.parent, "my-alphafold", "1.2")
    names = {"alphafold3": ["my-alphafold"]}
    monkeypatch.setattr(importlib.metadata, "packages_distributions", lambda: names)
    engine = discovery.find_engine()
    assert (engine.distribution, engine.version) == ("my-alphafold", "1.2")


def test_engine_beside_another_ones_metadata_is_named_by_its_own_code(package, monkeypatch):
    _fill(package)
    elsewhere = package.parent / "elsewhere"
    elsewhere.mkdir()
    _describe(elsewhere, "other-alphafold", "9.9")
    monkeypatch.syspath_prepend(str(elsewhere))
    names = {"alphafold3": ["other-alphafold"]}
    monkeypatch.setattr(importlib.metadata, "packages_distributions", lambda: names)
    assert discovery.find_engine().label.startswith("alphafold3 (fingerprint ")
    discovery.find_engine.cache_clear()
    (package / "version.py").write_text("__version__ = '3.0.4'\n")
    engine = discovery.find_engine()
    assert (engine.distribution, engine.version) == (None, "3.0.4")
    assert engine.label.startswith("alphafold3 3.0.4 (fingerprint ")


@pytest.mark.parametrize(
    ("note", "origin"),
    [
        (None, None),
        ("{damaged", None),
        (
            {"url": "https://me:token@host/alphafold3.git", "vcs_info": {"commit_id": "c" * 40}},
            "https://host/alphafold3.git@" + "c" * 12,
        ),
        ({"url": "file:///app/alphafold", "dir_info": {}}, "/app/alphafold"),
        ({"url": "https://host/alphafold3.whl", "archive_info": {}}, None),
    ],
)
def test_origin_is_what_the_installer_noted(note, origin, package):
    _fill(package)
    _describe(package.parent, "alphafold3", "3.0.4")
    if note is not None:
        path = package.parent / "alphafold3-3.0.4.dist-info" / "direct_url.json"
        path.write_text(note if isinstance(note, str) else json.dumps(note))
    assert discovery.find_engine().origin == origin


def test_editable_checkout_is_known_by_its_note(tmp_path, monkeypatch):
    root = tmp_path / "checkout" / "src" / "alphafold3"
    site = tmp_path / "site"
    site.mkdir()
    _describe(site, "alphafold3", "3.0.4")
    note = {"url": (tmp_path / "checkout").as_uri(), "dir_info": {"editable": True}}
    (site / "alphafold3-3.0.4.dist-info" / "direct_url.json").write_text(json.dumps(note))
    monkeypatch.syspath_prepend(str(site))
    assert provenance.distribution_of(root).version == "3.0.4"
    assert provenance.distribution_of(tmp_path / "else" / "alphafold3") is None


def test_missing_dependency_is_named(package, monkeypatch):
    _fill(package)
    _install(monkeypatch, but="haiku")
    with pytest.raises(SetupError, match="needs dm-haiku, which is not installed"):
        discovery.find_engine()


def _documented():
    def target(value):
        """Docstring."""
        return value + 1  # comment

    return target


def _typed():
    def target(value: int) -> int:
        return value + 1

    return target


def _changed():
    def target(value):
        return value + 2

    return target


def test_source_digest_sees_behaviour_only():
    assert source_digest(_documented()) == source_digest(_typed())
    assert source_digest(_documented()) != source_digest(_changed())
