"""What tests of searches through whole runs have in common."""

import shutil

import pytest

from tests.conftest import REPOSITORY

DATABASES = REPOSITORY / "tests" / "testdata" / "databases"
UBIQUITIN = "MQIFVKTLTGKTITLEVEPSDTIENVKAKIQDKEGIPPDQQRLIFAGKQLEDGRTLSDYNIQKESTLHLVLRLRGG"
_TOOLS = ("jackhmmer", "hmmsearch", "hmmbuild", "nhmmer", "hmmalign")

MARKS = [
    pytest.mark.engine,
    pytest.mark.slow,
    # Importing the engine alone takes minutes on a machine that is busy.
    pytest.mark.timeout(3600),
    pytest.mark.skipif(
        any(shutil.which(tool) is None for tool in _TOOLS), reason="needs HMMER's programs"
    ),
]
