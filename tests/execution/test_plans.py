"""Plans of a batch: written once, read back, nothing unfinished kept."""

from pathlib import Path

import pytest

from af3opt.base.atomic import temporary_sibling
from af3opt.execution.planning import kept_plans as plans
from af3opt.execution.planning.kept_plans import ExpectedJob, read_plans, write_plan
from af3opt.execution.planning.plan import PlannedJob
from tests.execution.conftest import leftovers


@pytest.fixture
def plan() -> list[PlannedJob]:
    return [
        PlannedJob(path=Path(f"{name}.json"), position=0, name=name, seeds=(1, 2), tokens=76)
        for name in ("one", "two")
    ]


def test_a_plan_is_read_back(tmp_path, plan):
    write_plan(tmp_path, plan)
    assert read_plans(tmp_path) == [ExpectedJob("one", 76, 2), ExpectedJob("two", 76, 2)]


@pytest.mark.parametrize("written_since", [False, True])
def test_what_a_killed_process_left_is_removed(tmp_path, plan, written_since):
    write_plan(tmp_path, plan)
    (path,) = tmp_path.rglob("*.json")
    leftover = temporary_sibling(path)
    if written_since:
        leftover.touch()
    else:
        path.rename(leftover)

    write_plan(tmp_path, plan)

    assert leftovers(tmp_path) == []
    assert len(read_plans(tmp_path)) == 2


def test_two_at_once_leave_one_plan(tmp_path, plan, monkeypatch):
    """The second begins, and ends, while the first is about to rename its file."""
    write = plans.atomic_write_text

    def interrupted(path, text):
        monkeypatch.setattr(plans, "atomic_write_text", write)
        leftover = temporary_sibling(path)
        leftover.write_text(text)
        write_plan(tmp_path, plan)
        leftover.replace(path)

    monkeypatch.setattr(plans, "atomic_write_text", interrupted)
    write_plan(tmp_path, plan)
    assert leftovers(tmp_path) == []
    assert len(read_plans(tmp_path)) == 2
