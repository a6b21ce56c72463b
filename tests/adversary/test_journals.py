"""What a batch keeps beside its results goes bad: no other result, no hang, no lost job."""

import dataclasses
import json
import os
import shutil

import pytest

from af3opt.base.errors import ExitCode
from tests.adversary import mutations
from tests.engine.trees import differences
from tests.execution.conftest import RESIDUES, exit_code, leftovers, write_input

pytestmark = [pytest.mark.adversary, pytest.mark.engine, pytest.mark.slow]

SECRET = b"private, and as it was"
OTHER = RESIDUES.replace("Q", "W")
LONGEST_S = 120
TRIES_FOR_EACH = 2


def empty_object(path, secret, generator):
    """JSON without content."""
    path.write_text("{}")


def above(path, secret, generator):
    """It names a directory that is not a job's."""
    content = read(path)
    if "directory" in content:
        path.write_text(json.dumps({**content, "directory": generator.choice(["..", ".", "/"])}))
    else:
        empty_object(path, secret, generator)


def another_job(path, secret, generator):
    """It is what another job has."""
    others = [other for other in path.parents[3].rglob(path.name) if other != path]
    if others:
        shutil.copyfile(generator.choice(others), path)
    else:
        empty_object(path, secret, generator)


def change_a_letter(path, secret, generator):
    """Same size and time, another molecule."""
    mutations._keeping_time(
        path, path.read_bytes().replace(RESIDUES[:5].encode(), OTHER[:5].encode())
    )


def search():
    """Fills in empty MSAs where the input has none, in place of a search."""
    from af3opt.engine.msa import DataPipeline

    def process(_self, fold_input):
        return dataclasses.replace(
            fold_input,
            chains=[
                chain if chain.unpaired_msa is not None else chain.fill_missing_fields()
                for chain in fold_input.chains
            ],
        )

    DataPipeline.process = process
    DataPipeline.check = lambda _self: None


def read(path):
    try:
        content = json.loads(path.read_text())
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


OF_STATE = (
    *(one for one in mutations.OF_FILES if one is not mutations.huge),
    empty_object, above, another_job,
)  # fmt: skip


class Scene:
    """An output directory in a certain state, and what must come of it."""

    def __init__(self, runs, root, name, prepare, whole):
        self.runs, self.name, self.whole = runs, name, whole
        self.kept, self.output, self.secret = root / name, root / "out", root / "secret"
        prepare(self.output)
        shutil.move(self.output, self.kept)

    def restore(self):
        shutil.rmtree(self.output, ignore_errors=True)
        shutil.copytree(self.kept, self.output, symlinks=True)
        self.secret.write_bytes(SECRET)

    def choose(self, generator):
        """A file of the state, or the data of a job, and how it goes bad."""
        files = sorted(path for path in self.output.rglob("*") if path.is_file())
        state = [path for path in files if ".af3opt" in path.parts]
        data = [path for path in files if path.name.endswith("_data.json")]
        if generator.random() < 0.25 and data:
            return generator.choice(data), generator.choice(
                [change_a_letter, *mutations.OF_FILES[:7]]
            )
        return generator.choice(state), generator.choice(OF_STATE)

    def run(self, inputs):
        """Runs the batch; returns its exit code, or None when it hung."""
        return exit_code(self.runs.start(inputs, self.output), LONGEST_S)

    def problem(self, code, path=None):
        """Says what is wrong with how a run ended after a file went bad, or None."""
        log = self.runs.output
        if code is None:
            return "hung"
        if self.secret.read_bytes() != SECRET or self.secret.with_name("made").exists():
            return "wrote through a link"
        if "Traceback" in log:
            return "failed with a traceback"
        if code == ExitCode.OK:
            touched = path if self.name == "done" else None
            left = [*different(self, touched), *leftovers(self.output)]
            return f"exit code 0, but {left}" if left else None
        if code == ExitCode.SOME_FAILED:
            failed = json.loads((self.output / "failed.json").read_text())
            odd = [one for one in failed if "\n" in one["reason"] or "Error: " in one["reason"]]
            return f"failed oddly: {odd}" if odd or not failed else None
        if code == ExitCode.REQUEUE and path.name.startswith("claim-"):
            # Nobody can tell who holds the job: it counts as held until the claim is old.
            return None if " elsewhere" in log else "exit code 75 without a job elsewhere"
        # The state is of no use and says so in one line.
        lines = [line for line in log.splitlines() if line.startswith("af3opt: error: ")]
        refused = code == ExitCode.USAGE and len(lines) == 1
        return None if refused else f"exit code {code}"


def different(scene, touched):
    """Jobs of which no directory is as it should be, and files that are another's.

    A job whose state was lost may get a new directory; the old one keeps what it had. Results of
    finished jobs are not read again: a file that went bad and kept its size may stay so.
    """
    wrong, output, whole = [], scene.output, scene.whole
    for right in (path for path in whole.iterdir() if path.is_dir() and path.name[0] != "."):
        found = {
            path: [
                line
                for line in differences(path, right)
                if path / line.removesuffix(" differs") != touched
            ]
            for path in output.glob(f"{right.name}*")
            if path.is_dir()
        }
        wrong += [f"{right.name}: {found}"] if [] not in found.values() else []
        wrong += [
            f"{path.name}: {line}"
            for path, lines in found.items()
            for line in lines
            if line.endswith(" differs")
            and not is_kept(scene, path / line.removesuffix(" differs"))
        ]
    return wrong


def is_kept(scene, path):
    """Tells whether the run has left a file as it was."""
    before = scene.kept / path.relative_to(scene.output)
    return before.is_file() and before.read_bytes() == path.read_bytes()


@pytest.fixture
def inputs(tmp_path):
    """Two jobs with their alignments, and one that needs a search."""
    directory = tmp_path / "inputs"
    write_input(directory, "one", [1, 2])
    write_input(directory, "two", [3], RESIDUES[:6])
    path = write_input(directory, "searched", [4], RESIDUES[:7])
    content = json.loads(path.read_text())
    content["sequences"] = [{"protein": {"id": "A", "sequence": RESIDUES[:7]}}]
    path.write_text(json.dumps(content))
    return directory


@pytest.fixture
def scenes(runs, inputs, tmp_path):
    def search_all(output):
        flags = ("--norun_inference", "--run_data_pipeline")
        assert runs.run(inputs, output, *flags, before=search) == ExitCode.OK

    def fold_half(output):
        search_all(output)

        def die():
            os.environ["DEVICE_STUB_KILLED_BY"] = "2"

        assert runs.run(inputs, output, before=die) != ExitCode.OK

    def fold_all(output):
        search_all(output)
        assert runs.run(inputs, output) == ExitCode.OK

    whole = tmp_path / "whole"
    fold_all(whole)
    return [
        Scene(runs, tmp_path, name, prepare, whole)
        for name, prepare in {"searched": search_all, "half": fold_half, "done": fold_all}.items()
    ]


@pytest.mark.timeout(7200)
def test_no_damage_to_the_state_changes_a_result(inputs, scenes, account, tries):
    journals = account("damage to journals and state of a batch")
    generator = journals.generator
    for scene in scenes:
        scene.restore()
        assert scene.run(inputs) == ExitCode.OK
        assert scene.problem(ExitCode.OK) is None
    while journals.tries < TRIES_FOR_EACH * tries:
        scene = generator.choice(scenes)
        scene.restore()
        path, mutate = scene.choose(generator)
        mutate(path, scene.secret, generator)
        journals.tries += 1
        code = scene.run(inputs)
        problem = scene.problem(code, path)
        if problem:
            what = f"{scene.name}: {mutate.__name__} of {path.relative_to(scene.output)}: {problem}"
            log = scene.runs.output[-1500:]
            journals.lost(f"try {journals.tries}: {what}\n{log}", exit_code=code)
    journals.settle()
