"""`--fidelity=exact` writes the files that the plain library API writes.

Both sides run in processes of their own on the same inputs, weights and bucket: the
reference is `af3opt.benchmarks.baseline`, upstream's order on the untouched engine.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.engine.trees import differences, tree_files

pytestmark = [pytest.mark.engine, pytest.mark.slow]

# At least: protein, complex, ligands of both kinds, nucleic acids, modified residue,
# bonds, ion, template, several seeds, user CCD, MSA.
KINDS = [
    "protein_protein",
    "protein_ligand_ccd",
    "protein_ligand_smiles",
    "dna_duplex",
    "rna_hairpin",
    "modified_residue",
    "glycan",
    "zinc_finger_ion",
    "template_given",
    "several_seeds",
    "user_ccd_ligand",
    "msa_given",
]
BUCKET = "96"


def run(command, cwd=REPOSITORY):
    completed = subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert completed.returncode == 0, completed.stdout + completed.stderr
    return completed


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    directory = tmp_path_factory.mktemp("inputs")
    for kind in KINDS:
        shutil.copy(REPOSITORY / "examples" / f"{kind}.json", directory)
    return directory


def common_flags(inputs: Path, output: Path, weights: Path) -> list[str]:
    return [
        f"--input_dir={inputs}",
        f"--output_dir={output}",
        f"--model_dir={weights}",
        f"--buckets={BUCKET}",
        "--num_recycles=1",
        "--num_diffusion_samples=2",
        # The loop of the sampler is one program for any number of steps.
        "--num_diffusion_steps=20",
    ]


@pytest.mark.full
@pytest.mark.timeout(1800)
def test_exact_holds_at_the_true_depth(tmp_path, full_weights):
    inputs = tmp_path / "inputs"
    inputs.mkdir()
    shutil.copy(REPOSITORY / "examples" / "ubiquitin.json", inputs)
    ours, reference = tmp_path / "ours", tmp_path / "reference"
    flags = [
        f"--input_dir={inputs}",
        f"--model_dir={full_weights}",
        "--buckets=80",
        "--num_recycles=1",
        "--num_diffusion_samples=2",
        "--num_diffusion_steps=5",
    ]
    run(["-m", "af3opt.benchmarks.baseline", *flags, f"--output_dir={reference}"])
    run(["-m", "af3opt", "run", *flags, f"--output_dir={ours}", "--fidelity=exact"])
    assert len(tree_files(reference)) >= 11
    assert differences(ours, reference) == []


@pytest.mark.timeout(1800)
def test_exact_gives_the_files_of_the_plain_library(inputs, tmp_path, small_weights):
    ours, reference = tmp_path / "ours", tmp_path / "reference"
    run(
        [
            *("-m", "af3opt.benchmarks.baseline"),
            *common_flags(inputs, reference, small_weights),
            "--save_embeddings",
            "--save_distogram",
        ]
    )
    run(
        [
            *("-m", "af3opt", "run"),
            *common_flags(inputs, ours, small_weights),
            *("--save_embeddings", "--save_distogram", "--fidelity=exact"),
        ]
    )
    assert len(tree_files(reference)) > 12 * len(KINDS)
    assert differences(ours, reference) == []
