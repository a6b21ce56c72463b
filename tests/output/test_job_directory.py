"""Every job gets a directory of its own, by upstream's rule, whoever asks at that moment."""

import datetime
import multiprocessing

import pytest

from af3opt.output.job_directory import make_job_directory, remove_marks

NOW = datetime.datetime(2024, 5, 6, 7, 8, 9)


@pytest.fixture
def workspace(tmp_path):
    path = tmp_path / ".af3opt"
    path.mkdir()
    return path


def nobodys(_directory):
    return False


@pytest.mark.parametrize("is_anothers", [None, nobodys])
def test_an_empty_or_missing_directory_is_used(tmp_path, workspace, is_anothers):
    job, other = tmp_path / "job", tmp_path / "other"
    other.mkdir()
    assert make_job_directory(job, NOW, workspace, is_anothers) == job
    assert make_job_directory(other, NOW, workspace, is_anothers) == other
    remove_marks(job)
    assert list(job.iterdir()) == list(workspace.iterdir()) == []


@pytest.mark.parametrize("is_anothers", [None, nobodys])
def test_a_directory_in_use_gets_a_time_stamp_and_then_a_number(tmp_path, workspace, is_anothers):
    names = ["job", "job_20240506_070809", "job_20240506_070809_2", "job_20240506_070809_3"]
    for name in names:
        made = make_job_directory(tmp_path / "job", NOW, workspace, is_anothers)
        assert made == tmp_path / name
        (made / "x").touch()


def test_a_file_of_that_name_is_in_use(tmp_path, workspace):
    (tmp_path / "job").touch()
    made = make_job_directory(tmp_path / "job", NOW, workspace)
    assert made.name == "job_20240506_070809"


def test_what_another_job_has_begun_to_use_is_not_used(tmp_path, workspace):
    (tmp_path / "job").mkdir()
    made = make_job_directory(tmp_path / "job", NOW, workspace, lambda path: path.name == "job")
    assert made.name == "job_20240506_070809"


def test_a_claims_holder_takes_what_a_dead_one_has_marked(tmp_path, workspace):
    make_job_directory(tmp_path / "job", NOW, workspace, nobodys)
    assert make_job_directory(tmp_path / "job", NOW, workspace, nobodys).name == "job"
    # Without claims nobody knows who is dead.
    assert make_job_directory(tmp_path / "job", NOW, workspace).name != "job"


def _make(root, workspace, start, made):
    start.wait(60)
    made.put(make_job_directory(root, NOW, workspace).name)


@pytest.mark.parametrize("exists", [False, True])
def test_at_one_moment_each_process_gets_another_directory(tmp_path, workspace, exists):
    if exists:
        (tmp_path / "job").mkdir()
    context = multiprocessing.get_context("spawn")
    start, made = context.Barrier(8), context.Queue()
    arguments = (tmp_path / "job", workspace, start, made)
    processes = [context.Process(target=_make, args=arguments) for _ in range(8)]
    for process in processes:
        process.start()
    names = {made.get(timeout=60) for _ in processes}
    for process in processes:
        process.join(60)
    assert len(names) == 8
    assert "job" in names
