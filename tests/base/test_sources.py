"""Digests of af3opt's own sources."""

import shutil
from pathlib import Path

import pytest

import af3opt
from af3opt.base.sources import sources_digest
from af3opt.features import own_material
from af3opt.inference import executables


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """A copy of the package that the digest is made of."""
    package = tmp_path / "af3opt"
    shutil.copytree(Path(af3opt.__file__).parent, package)
    monkeypatch.setattr(af3opt, "__file__", str(package / "__init__.py"))
    sources_digest.cache_clear()
    yield package
    sources_digest.cache_clear()


@pytest.mark.parametrize("parts", [own_material._OWN_PARTS, executables._OWN_PARTS], ids=str)
def test_every_file_of_the_parts_counts(parts, copy):
    plain = sources_digest(*parts)
    for part in parts:
        files = sorted((copy / part).rglob("*.py"))
        assert files
        for path in files:
            before = path.read_bytes()
            path.write_bytes(before + b"\n# changed\n")
            sources_digest.cache_clear()
            assert sources_digest(*parts) != plain
            path.write_bytes(before)
    sources_digest.cache_clear()
    assert sources_digest(*parts) == plain
