"""The calls from the command line down to the engine's program, as a real run makes them."""

import json
import os
import re
import subprocess
import sys
import traceback
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.execution.conftest import write_input

pytestmark = [pytest.mark.engine, pytest.mark.slow]

MOST_FRAMES = 12
# Line of the numbered list in the document: 3. `commands/run.py`: `_run` - what it does
LINE = re.compile(r"^\d+\. `(?P<file>[\w/]+\.py)`: `(?P<function>\w+)`", re.MULTILINE)


def walk_in_the_document():
    text = (REPOSITORY / "docs" / "architecture.md").read_text()
    part = text[text.index("## The walk") :]
    part = part[: part.index("\n## ", 1)]
    return [(found["file"], found["function"]) for found in LINE.finditer(part)]


def note_frames_at_the_engines_call(noted, *flags):
    """Runs with the model; writes down the stack when its program is called, and ends there."""
    import jax

    from af3opt import cli

    def program(_self, *_arguments, **_options):
        root = str(REPOSITORY / "af3opt") + os.sep
        frames = [
            (frame.filename.removeprefix(root), frame.name)
            for frame in traceback.extract_stack()
            if frame.filename.startswith(root)
        ]
        Path(noted).write_text(json.dumps(frames))
        os._exit(0)

    jax.stages.Compiled.__call__ = program
    os._exit(cli.main(["run", *flags]))


def frames_at_the_engines_call(runs, tmp_path):
    """Runs one small job in a process of its own: JAX's threads do not survive a fork."""
    noted = tmp_path / "frames.json"
    inputs = write_input(tmp_path / "in", "job", [1])
    flags = runs.flags(inputs, tmp_path / "out", "--num_recycles=1", "--overlap=off")
    module, function = __name__, note_frames_at_the_engines_call.__name__
    program = f"import sys, {module} as walk; walk.{function}(*sys.argv[1:])"
    ended = subprocess.run(
        [sys.executable, "-c", program, str(noted), *flags],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )
    assert noted.exists(), ended.stderr
    return [tuple(frame) for frame in json.loads(noted.read_text())]


def test_the_walk_is_short_and_is_the_one_in_the_document(runs, tmp_path):
    frames = frames_at_the_engines_call(runs, tmp_path)
    assert len(frames) <= MOST_FRAMES, frames
    assert frames == walk_in_the_document()
