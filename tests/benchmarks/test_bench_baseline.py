"""The benchmarks' baseline in a process of its own, as `af3opt bench` starts it."""

import subprocess
import sys

import pytest

from af3opt.benchmarks.comparison import build_baseline_data, child_environ

LOAD = """
from af3opt.benchmarks import baseline
own_file = baseline.use_component_pickle()
from af3opt.data.resources import CCD_LOADERS
from af3opt.engine.modules import engine_module
components = engine_module("constants.chemical_components")
(loader,) = [loader for loader in CCD_LOADERS if loader.obstacle() is None]
assert getattr(components, loader.qualname) is loader.original()
with own_file:
    print(components.Ccd()["ALA"]["_chem_comp.type"][0])
"""


@pytest.mark.engine
@pytest.mark.slow
def test_the_baseline_loads_its_dictionary_in_the_engines_own_way(prepared_home):
    build_baseline_data(sys.executable)
    completed = subprocess.run(
        [sys.executable, "-c", LOAD],
        env=child_environ(prepared_home),
        capture_output=True,
        text=True,
        check=False,
    )
    assert completed.returncode == 0, completed.stderr
    assert completed.stdout.strip().upper() == "L-PEPTIDE LINKING"
