"""Planning without the engine: order, shards, lists, and ten thousand inputs."""

import json
import logging
import subprocess
import sys
import time

import pytest

from af3opt.base.errors import InputError, UsageError
from af3opt.execution.job.identity import Identity
from af3opt.execution.job.journal import JobJournal
from af3opt.execution.planning import input_files
from af3opt.execution.planning import plan as planning
from af3opt.execution.state_directory import STATE_DIRECTORY
from af3opt.settings.settings import resolve_settings
from tests.conftest import REPOSITORY
from tests.execution.conftest import write_input


def plan(*flags, environ=None):
    settings = resolve_settings(flags, {})
    return planning.make_plan(settings, (16, 32, 64), environ or {})


@pytest.fixture
def inputs(tmp_path):
    directory = tmp_path / "inputs"
    for name, length in (("a", 40), ("b", 10), ("c", 20), ("d", 8)):
        write_input(directory, name, [1], "M" * length)
    write_input(directory / "below", "e", [1], "M")
    return directory


def test_jobs_come_by_padded_size_or_as_named(inputs):
    assert [job.name for job in plan(f"--input_dir={inputs}")] == ["b", "d", "c", "a"]
    by_name = plan(f"--input_dir={inputs}", "--order=input")
    assert [job.name for job in by_name] == ["a", "b", "c", "d"]


def test_directories_below_are_read_when_asked_for(inputs):
    assert plan(f"--input_dir={inputs}", "--recursive")[0].name == "b"
    assert len(plan(f"--input_dir={inputs}", "--recursive")) == 5


def test_links_to_a_directory_above_are_not_followed(inputs):
    for link, target in (("above", ".."), ("again", ".."), ("self", ".")):
        (inputs / "below" / link).symlink_to(target)
    (inputs / "other").symlink_to("below")
    read = list(input_files.input_files(inputs, recursive=True, left_out=[]))
    assert [str(path.relative_to(inputs)) for path in read] == [
        *("a.json", "b.json", "below/e.json", "c.json", "d.json", "other/e.json"),
    ]


def test_a_link_to_a_missing_file_is_a_job_that_fails(inputs):
    (inputs / "gone.json").symlink_to("nowhere.json")
    (inputs / ".#a.json").symlink_to("user@host.1234")
    assert {job.name for job in plan(f"--input_dir={inputs}")} == {"a", "b", "c", "d", "gone"}


def note_job(output, name, directory):
    """Leaves what a job has noted of its directory, and its input with MSAs in it."""
    journal = JobJournal(output, name)
    journal.directory.mkdir(parents=True)
    journal.data.begin(Identity({"input": name}), directory)
    directory.mkdir(exist_ok=True)
    (directory / f"{name}_data.json").write_text("{}")


def names(directory, *flags):
    return sorted(job.name for job in plan(f"--input_dir={directory}", "--recursive", *flags))


@pytest.mark.parametrize("with_data", [False, True])
def test_directories_of_jobs_alone_are_left_out(inputs, caplog, with_data):
    """An input below the directory of inputs and results is one, whatever lies beside it."""
    caplog.set_level(logging.INFO)
    for name, directory in (("a", "a"), ("b", "b_20260102_030405")):
        note_job(inputs, name, inputs / directory)
        write_input(inputs / directory, "kept", [1], "M")
    if with_data:
        write_input(inputs / "below", "old_data", [1], "M")
    assert names(inputs) == ["a", "b", "c", "d", "e", *(["old_data"] if with_data else [])]
    (line,) = (one.getMessage() for one in caplog.records)
    assert line == (
        f"--input_dir={inputs}: directories of jobs hold results and are left out "
        f"(2, such as {inputs}/a)"
    )


def test_without_a_journal_a_directory_is_a_jobs_if_nothing_else_is_in_it(inputs):
    """As `--noresume` leaves it."""
    (inputs / STATE_DIRECTORY).mkdir()
    for directory, name in (("a", "a"), ("b_20260102_030405", "b"), ("c", "a"), ("d", "d")):
        write_input(inputs / directory, f"{name}_data", [1], "M")
        write_input(inputs / directory, f"{name}_confidences", [1], "M")
    write_input(inputs / "d", "new", [1], "M")
    found = ["a", "a_confidences", "a_data", "b", "c", "d", "d_confidences", "d_data", "e", "new"]
    assert names(inputs) == found


def test_results_alone_are_no_inputs_and_it_is_said(tmp_path):
    note_job(tmp_path, "a", tmp_path / "a")
    with pytest.raises(InputError) as caught:
        names(tmp_path)
    assert str(caught.value) == (
        f"--input_dir={tmp_path}: holds no *.json file but those in directories of jobs (1, "
        f"such as {tmp_path}/a), which are left out; to fold a *_data.json of theirs, name it in "
        "--input_list"
    )


@pytest.mark.parametrize(
    ("seeds", "number", "problem"),
    [
        ([1], None, None),
        ([1, 2], None, None),
        ([1], 3, None),
        ([], 1, None),
        ([], 3, None),
        ([1, 2], 3, "modelSeeds must hold one seed, not 2"),
        ([1, 2], 1, "modelSeeds must hold one seed, not 2"),
        ([1], 1, "must be at least 2; leave it out to use the seed of the input"),
    ],
)
def test_num_seeds_needs_one_seed(tmp_path, seeds, number, problem):
    write_input(tmp_path, "a", seeds)
    (job,) = plan(f"--input_dir={tmp_path}")
    expected = problem and f"{tmp_path}/a.json: a: --num_seeds={number}: {problem}"
    assert planning.seeds_problem(job, number) == expected


def test_a_list_names_inputs_relative_to_itself(inputs):
    listing = inputs / "list.txt"
    listing.write_text(f"# two of them\nc.json\n\n{inputs / 'a.json'}\n")
    assert [job.name for job in plan(f"--input_list={listing}")] == ["c", "a"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_list_may_have_a_byte_order_mark_and_comments_behind_names(inputs, end):
    write_input(inputs, "f #1", [1])
    lines = ["c.json", "a.json  # the long one", "\t# none", "f #1.json", "b.json\t#b"]
    listing = inputs / "list.txt"
    listing.write_bytes(("\ufeff" + end.join(lines)).encode())
    names = [job.name for job in plan(f"--input_list={listing}", "--order=input")]
    assert names == ["c", "a", "f #1", "b"]


def test_only_ends_of_lines_separate_the_names_of_a_list(inputs):
    listing = inputs / "list.txt"
    listing.write_text("a\u2028b.json\n")
    assert list(input_files.listed_files(listing)) == [inputs / "a\u2028b.json"]


@pytest.mark.parametrize("comment", ["# " + "why " * 100, "b.json # " + "why " * 100])
def test_a_comment_of_a_list_may_be_longer_than_a_name(inputs, comment):
    listing = inputs / "list.txt"
    listing.write_text(f"{comment}\na.json\n")
    assert inputs / "a.json" in set(input_files.listed_files(listing))


def test_a_list_with_a_null_character_is_refused(inputs):
    listing = inputs / "list.txt"
    listing.write_text("a.json # x\0\n")
    with pytest.raises(InputError, match="holds a null character"):
        list(input_files.listed_files(listing))


@pytest.mark.parametrize("shard", ["²/3", "0/٣", "0/" + "9" * 20, "9" * 5000 + "/1", "3/3"])
def test_a_shard_that_is_no_number_or_too_large_is_refused(inputs, shard):
    with pytest.raises(UsageError, match="give I/N with I from 0 to N-1"):
        plan(f"--input_dir={inputs}", f"--shard={shard}")


def test_files_that_end_in_upper_case_are_said(inputs, caplog):
    for name in ("x.JSON", "y.Json", "z.txt"):
        (inputs / name).write_text("{}")
    assert len(plan(f"--input_dir={inputs}")) == 4
    (line,) = caplog.messages
    assert f"--input_dir={inputs}: files that end in .JSON" in line
    assert line.endswith("are left out: 2 (x.JSON, ...)")


def test_a_missing_list_or_an_empty_directory_is_an_error(tmp_path):
    with pytest.raises(InputError, match="--input_list="):
        plan(f"--input_list={tmp_path / 'none.txt'}")
    with pytest.raises(InputError, match=r"holds no \*.json file"):
        plan(f"--input_dir={tmp_path}")


def test_shards_are_disjoint_and_complete(inputs):
    flags = [f"--input_dir={inputs}", "--order=input"]
    shares = [[job.name for job in plan(*flags, f"--shard={i}/3")] for i in range(3)]
    assert shares == [["a", "d"], ["b"], ["c"]]
    for wrong in ("3/3", "1", "x/2", "-1/2"):
        with pytest.raises(UsageError, match="--shard="):
            plan(*flags, f"--shard={wrong}")


def test_a_slurm_array_gives_the_shard(inputs):
    flags = [f"--input_dir={inputs}", "--order=input", "--array"]
    environ = {
        "SLURM_ARRAY_TASK_ID": "5",
        "SLURM_ARRAY_TASK_MIN": "1",
        "SLURM_ARRAY_TASK_MAX": "9",
        "SLURM_ARRAY_TASK_COUNT": "3",
        "SLURM_ARRAY_TASK_STEP": "4",
    }
    assert [job.name for job in plan(*flags, environ=environ)] == ["b"]
    with pytest.raises(UsageError, match="not a task of an array of Slurm"):
        plan(*flags)


@pytest.mark.parametrize("task", [0, 3, 7])
def test_a_slurm_array_with_gaps_is_refused(inputs, task):
    """As Slurm describes --array=0,3,7; shares of it would leave inputs out."""
    environ = {
        "SLURM_ARRAY_TASK_ID": str(task),
        "SLURM_ARRAY_TASK_MIN": "0",
        "SLURM_ARRAY_TASK_MAX": "7",
        "SLURM_ARRAY_TASK_COUNT": "3",
        "SLURM_ARRAY_TASK_STEP": "1",
    }
    with pytest.raises(UsageError, match="have gaps"):
        plan(f"--input_dir={inputs}", "--array", environ=environ)


def test_unreadable_inputs_keep_their_place(inputs):
    (inputs / "bad.json").write_text("{")
    jobs = plan(f"--input_dir={inputs}", "--order=input")
    assert [job.name for job in jobs] == ["a", "b", "bad", "c", "d"]


def test_names_that_share_a_directory_are_found(inputs):
    content = json.loads((inputs / "a.json").read_text())
    (inputs / "x.json").write_text(json.dumps({**content, "name": "b !"}))
    (inputs / "y.json").write_text(json.dumps({**content, "name": "b_"}))
    duplicates = planning.duplicate_names(plan(f"--input_dir={inputs}"))
    assert {name: len(paths) for name, paths in duplicates.items()} == {"b_": 2}


MEASURE = """
import sys, time
from pathlib import Path
from af3opt.execution.planning import plan as planning
from af3opt.settings.settings import resolve_settings
start = time.perf_counter()
plan = planning.make_plan(resolve_settings([sys.argv[1]], {}), (16, 32, 64, 512), {})
planning.duplicate_names(plan)
seconds = time.perf_counter() - start
# Not getrusage: its peak begins with that of the process that started this one.
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
peak = int(status["VmHWM"].split()[0]) / 1024
print(len(plan), seconds, peak)
"""


@pytest.mark.slow
def test_ten_thousand_inputs_are_planned_in_little_memory(tmp_path):
    sequence = "MQIFVKTLTGKTITLEVEPSDTIENVKAKIQDKEG" * 10
    msa = ">query\n" + sequence + "\n" + (">hit\n" + sequence + "\n") * 20
    template = json.loads(write_input(tmp_path / "one", "x", [1, 2, 3], sequence).read_text())
    template["sequences"][0]["protein"]["unpairedMsa"] = msa
    inputs = tmp_path / "inputs"
    inputs.mkdir()
    for number in range(10_000):
        (inputs / f"{number}.json").write_text(json.dumps({**template, "name": f"job{number}"}))
    answer = subprocess.run(
        [sys.executable, "-c", MEASURE, f"--input_dir={inputs}"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    count, seconds, mebibytes = int(answer[0]), float(answer[1]), float(answer[2])
    print(f"{count} inputs planned in {seconds:.2f} s, {mebibytes:.0f} MiB, {time.ctime()}")
    assert count == 10_000
    assert mebibytes <= 300
