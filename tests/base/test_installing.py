"""The pip commands in messages work as they are printed: each package is named, none is af3opt."""

import importlib.metadata
import re
import shlex
import tomllib

import pytest

from af3opt.base.installing import pip_install
from tests.conftest import REPOSITORY

EXTRAS = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"][
    "optional-dependencies"
]


@pytest.fixture(autouse=True)
def _forget():
    pip_install.cache_clear()
    yield
    pip_install.cache_clear()


@pytest.mark.parametrize("extra", EXTRAS)
def test_packages_are_those_of_the_extra(extra):
    def names(lines):
        return [re.split(r"[<>=]", line)[0] for line in lines]

    pip, install, *packages = shlex.split(pip_install(extra))
    assert (pip, install) == ("pip", "install")
    assert names(packages) == names(EXTRAS[extra])


def test_without_metadata_the_clone_is_installed(monkeypatch):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "requires", missing)
    assert pip_install("report") == "pip install '.[report]' in the directory of af3opt"


def test_no_text_asks_for_af3opt_from_an_index():
    """It is on none."""
    texts = [
        *(REPOSITORY / "af3opt").rglob("*.py"),
        *(REPOSITORY / "docs").glob("*.md"),
        *REPOSITORY.glob("*.md"),
    ]
    for path in texts:
        assert not re.search(r"pip install '?af3opt\b", path.read_text()), path
