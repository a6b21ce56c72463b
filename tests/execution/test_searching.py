"""What a process says of its searches, in the log and to the run record."""

import tempfile
from pathlib import Path

import pytest

from af3opt.execution.claims.holder import this_process
from af3opt.execution.interrupt import InterruptGuard
from af3opt.execution.scratch import mark_of
from af3opt.execution.searching import faster_searches, searching
from af3opt.search.aside import Aside
from af3opt.search.kernel import instruction_set
from af3opt.settings.settings import resolve_settings


def test_nothing_is_said_where_nothing_is_searched():
    with faster_searches(resolve_settings(["--norun_data_pipeline"], {})) as searches:
        assert searches.exact is None
        assert searches.considered is None


def test_the_switch_is_named():
    with faster_searches(resolve_settings(["--noexact_search"], {})) as searches:
        assert searches.exact is None
        assert searches.considered.reason == "--noexact_search"
        assert not searches.considered.active


@pytest.mark.engine
def test_in_force_it_is_exact_and_the_engine_is_left_as_it_was():
    pytest.importorskip("pyhmmer")
    if isinstance(instruction_set({}), Aside):
        pytest.skip("no compiled part here")
    from alphafold3.data.tools import subprocess_utils

    original = subprocess_utils.run
    with faster_searches(resolve_settings([], {})) as searches:
        assert searches.exact is not None
        assert (searches.considered.fidelity, searches.considered.active) == ("exact", True)
        assert subprocess_utils.run is not original
    assert subprocess_utils.run is original


@pytest.mark.engine
def test_without_the_compiled_part_the_engine_searches(monkeypatch):
    monkeypatch.setenv("AF3OPT_SEARCH_ISA", "abacus")
    with faster_searches(resolve_settings([], {})) as searches:
        assert searches.exact is None
        assert not searches.considered.active
        assert searches.considered.reason


@pytest.mark.parametrize(("flags", "marked"), [([], True), (["--norun_data_pipeline"], False)])
def test_temporary_files_of_searches_carry_the_mark(monkeypatch, tmp_path, flags, marked):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    settings = resolve_settings([*flags, "--noexact_search"], {})
    with searching(settings, InterruptGuard()):
        made = Path(tempfile.mkdtemp())
    assert made.name.startswith(mark_of(this_process())) is marked
