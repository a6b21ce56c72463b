"""Inputs that no one should write: each is its own job's error, and the others are done."""

import json
import os

import pytest

from af3opt.base.errors import ExitCode
from af3opt.inputs.names import longest_name
from tests.execution.conftest import write_input

pytestmark = pytest.mark.engine

# So that the largest files still have names of 255 bytes: seeds of one digit, one sample.
LONGEST = "n" * longest_name(1, 1)


def named(directory, file, name):
    """Writes a right input whose job has a name of its own."""
    path = write_input(directory, file)
    path.write_text(path.read_text().replace(f'"name": "{file}"', f'"name": "{name}"'))
    return path


def hostile_batch(directory):
    """Writes two good jobs among bad ones; returns the files of the bad ones and what is said."""
    write_input(directory, "good")
    named(directory, "longest", LONGEST)
    named(directory, "too_long", LONGEST + "n")
    named(directory, "no_file_name", "n" * 300)
    named(directory, "taken", "failed.json")
    named(directory, "half_a_pair", "\\ud800")
    texts = {
        "deep": "[" * 1_000_000,
        "nested": '{"name": ' + "[" * 3000 + "]" * 3000 + "}",
        "infinite": '{"name": "infinite", "modelSeeds": [Infinity]}',
        "empty": "",
        "number": "7",
        "k" * 245: "{",
    }
    for stem, text in texts.items():
        (directory / f"{stem}.json").write_text(text)
    (directory / "bytes.json").write_bytes(bytes(range(256)))
    (directory / "gone.json").symlink_to("nowhere.json")
    (directory / "ring.json").symlink_to("ring.json")
    (directory / "other_ring").symlink_to("other_ring")
    os.mkfifo(directory / "pipe.json")
    return {
        "too_long": "give at most",
        "no_file_name": "give at most",
        "half_a_pair": "has no character that a file name can have",
        "gone": "cannot be read: no such file or directory",
        "ring": "is a link; links are not followed",
        "taken": "the name 'failed.json' cannot be a job's",
        "deep": "is nested too deeply",
        "nested": "is nested too deeply",
        "infinite": "Infinity is not a JSON value",
        "empty": "is not valid JSON",
        "number": "7 is no fold job",
        "k" * 245: "is not valid JSON",
        "bytes": "is not UTF-8 text",
    }


def test_each_fails_alone(runs, tmp_path):
    directory, output = tmp_path / "inputs", tmp_path / "out"
    bad = hostile_batch(directory)
    assert runs.run(directory, output) == ExitCode.SOME_FAILED
    failed = {
        entry["file"].rpartition("/")[2].removesuffix(".json"): entry["reason"]
        for entry in json.loads((output / "failed.json").read_text())
    }
    assert failed.keys() == bad.keys()
    for stem, said in bad.items():
        assert said in failed[stem]
        assert stem in failed[stem]
        assert "\n" not in failed[stem]
    for name in ("good", LONGEST):
        assert (output / name / f"{name}_model.cif").is_file()
        assert (output / name / f"{name}_data.json").is_file()
    assert max(len(path.name) for path in output.rglob("*")) == 255
    # The same again: what is done stays done, and nothing else has changed.
    assert runs.run(directory, output) == ExitCode.SOME_FAILED
    assert "2 already_done" in runs.output


def test_a_pipe_in_a_list_holds_nothing_up(runs, tmp_path):
    good = write_input(tmp_path, "good")
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "list.txt").write_text(f"pipe.json\n{good.name}\n")
    assert runs.run(tmp_path / "list.txt", tmp_path / "out") == ExitCode.SOME_FAILED
    (failed,) = json.loads((tmp_path / "out" / "failed.json").read_text())
    assert "pipe.json: is not a regular file" in failed["reason"]
    assert (tmp_path / "out" / "good" / "good_model.cif").is_file()


def test_an_input_that_goes_bad_later_fails_alone(runs, tmp_path):
    directory, output = tmp_path / "inputs", tmp_path / "out"
    write_input(directory, "a")
    path = write_input(directory, "b")
    assert runs.run(directory, output) == ExitCode.OK
    path.write_text('{"name": "b", "x": ' + "[" * 1_000_000)
    write_input(directory, "c")
    assert runs.run(directory, output) == ExitCode.SOME_FAILED
    (failed,) = json.loads((output / "failed.json").read_text())
    assert "b.json: is nested too deeply" in failed["reason"]
    assert (output / "c" / "c_model.cif").is_file()


@pytest.mark.parametrize(
    ("raised", "reason", "code"),
    [
        ("EngineRefusalError('no such atom')", "good.json: cannot be featurised", ExitCode.USAGE),
        ("ValueError('ours')", "ValueError: ours", ExitCode.FAILURE),
        ("KeyError('ours')", "KeyError: 'ours'", ExitCode.FAILURE),
    ],
)
def test_our_own_fault_is_not_called_the_inputs(runs, tmp_path, raised, reason, code):
    directory = tmp_path / "inputs"
    path = write_input(directory, "good")

    def before():
        from af3opt.engine.refusals import EngineRefusalError
        from af3opt.features.featurise import JobFeatures

        def failing(_self, _seed, _upcoming=()):
            raise eval(raised, {"EngineRefusalError": EngineRefusalError})

        JobFeatures.features = failing

    write_input(directory, "other")
    assert runs.run(directory, tmp_path / "out", before=before) == ExitCode.SOME_FAILED
    failed = json.loads((tmp_path / "out" / "failed.json").read_text())
    assert reason in next(entry["reason"] for entry in failed if entry["name"] == "good")
    assert ("cannot be featurised" in failed[0]["reason"]) is (code == ExitCode.USAGE)
    assert runs.run(path, tmp_path / "alone", before=before) == code
