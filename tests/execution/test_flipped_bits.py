"""One bit of what is prepared is another: the run makes it again, says so, and gives the same."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from af3opt.base.errors import ExitCode
from af3opt.data.ccd_index import CcdIndex
from af3opt.data.prepared import check_prepared, find_prepared
from af3opt.inference.weights_copy import check_copies
from tests.conftest import REPOSITORY
from tests.engine.trees import differences
from tests.execution.conftest import RESIDUES

pytestmark = [pytest.mark.engine, pytest.mark.slow]

LONGEST_S = 1800


def flip(path, position):
    """As failing memory or a disk does it: the time stays."""
    status = path.stat()
    with path.open("r+b") as file:
        file.seek(position)
        (byte,) = file.read(1)
        file.seek(position)
        file.write(bytes([byte ^ 1]))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def in_the_weights(home):
    (path,) = (home / "weights").glob("*/arrays.bin")
    flip(path, path.stat().st_size // 3)


def in_an_offset_of_their_index(home):
    (path,) = (home / "weights").glob("*/index.json")
    text = path.read_bytes()
    # A digit becomes another one.
    flip(path, text.index(b'"offset": ', len(text) // 3) + len(b'"offset": '))


def in_a_component(home):
    index = CcdIndex(find_prepared().ccd_index)._file
    table = index.offsets_start + 8 * index.number["GOL"]
    frame = int.from_bytes(index.mapped[table : table + 8], "little")
    flip(index.path, index.frames_start + frame + 20)


def in_the_component_sets(home):
    path = find_prepared().component_sets
    flip(path, path.stat().st_size // 2)


class Folding:
    """The whole program with the small model, in a home of its own."""

    def __init__(self, root, model_dir):
        self.root = root
        protein = {"id": "A", "sequence": RESIDUES, "unpairedMsa": "", "pairedMsa": ""}
        content = {
            "dialect": "alphafold3",
            "version": 1,
            "name": "job",
            "modelSeeds": [1],
            "sequences": [
                {"protein": {**protein, "templates": []}},
                {"ligand": {"id": "B", "ccdCodes": ["GOL"]}},
            ],
        }
        (root / "job.json").write_text(json.dumps(content))
        self.flags = (
            f"--json_path={root / 'job.json'}", f"--model_dir={model_dir}", "--jax_backend=cpu",
            "--buckets=16", "--num_recycles=1", "--num_diffusion_samples=1",
            "--num_diffusion_steps=5", "--noreport",
            "--norun_data_pipeline", "--nofeature_cache",
        )  # fmt: skip

    def run(self, name):
        """Folds into a directory of that name; returns the log."""
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "af3opt",
                "run",
                *self.flags,
                f"--output_dir={self.root / name}",
            ],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=False,
            timeout=LONGEST_S,
        )
        assert done.returncode == ExitCode.OK, done.stderr
        return done.stderr


@pytest.mark.timeout(6 * LONGEST_S)
def test_what_a_flipped_bit_damaged_is_made_again(
    tmp_path, shared_home, small_weights, monkeypatch
):
    home = tmp_path / "home"
    monkeypatch.setenv("AF3OPT_HOME", str(home))
    home.mkdir(mode=0o700)
    ignored = shutil.ignore_patterns("weights-*")
    shutil.copytree(shared_home / "prepared", home / "prepared", ignore=ignored)
    folding = Folding(tmp_path, small_weights)
    assert "made again" not in folding.run("undamaged")
    damages = (in_the_weights, in_an_offset_of_their_index, in_a_component, in_the_component_sets)
    for damage in damages:
        damage(home)
        log = folding.run(damage.__name__)
        assert log.count("; made again from ") == 1, log
        found = differences(tmp_path / damage.__name__, tmp_path / "undamaged")
        assert found == [], damage.__name__
        assert [problem for _, problem in check_copies()] == [None]
        check_prepared(find_prepared().root)
