"""What is said when the engine's data pipeline fails."""

import errno
import logging
import os
from types import SimpleNamespace

import pytest

from af3opt.base.errors import SetupError
from af3opt.engine import msa


def pipeline_with(monkeypatch, process):
    """A pipeline whose engine does what is given."""
    engine = SimpleNamespace(DataPipeline=lambda _config: SimpleNamespace(process=process))
    config = SimpleNamespace(pdb_database_path="/db/mmcif_files")
    monkeypatch.setattr(msa, "needs_search", lambda fold_input: True)
    monkeypatch.setattr(msa, "data_pipeline_config", lambda settings: config)
    monkeypatch.setattr(msa, "engine_module", lambda name: engine)
    return msa.DataPipeline(SimpleNamespace())


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_temporary_directory_is_named(monkeypatch, number):
    def process(fold_input):
        raise OSError(number, os.strerror(number))

    pipeline = pipeline_with(monkeypatch, process)
    monkeypatch.setattr("tempfile.tempdir", "/small/scratch")
    with pytest.raises(SetupError, match=r"job1: /small/scratch has no space left; set TMPDIR"):
        pipeline.process(SimpleNamespace(name="job1"))


def test_a_missing_database_is_named_by_the_paths_that_were_tried(tmp_path):
    folders = (f"{tmp_path}/ssd", f"{tmp_path}/disk")
    with pytest.raises(SetupError) as caught:
        msa.expand_database("${DB_DIR}/uniref90.fasta", folders, "uniref90_database_path")
    assert str(caught.value).startswith(
        f"--uniref90_database_path: not found: {tmp_path}/ssd/uniref90.fasta, "
        f"{tmp_path}/disk/uniref90.fasta; set --db_dir"
    )


def test_a_pipe_is_no_database(tmp_path):
    pipe = tmp_path / "uniref90.fasta"
    os.mkfifo(pipe)
    with pytest.raises(SetupError, match=r"--flag: .*uniref90\.fasta is neither a file nor"):
        msa.expand_database("${DB_DIR}/uniref90.fasta", (str(tmp_path),), "flag")


def chain(name, rows=0, **others):
    alignment = ">query\nMQIF\n" + ">x\nMQIF\n" * rows
    values = {"id": name, "sequence": "MQIF", "unpaired_msa": alignment, "paired_msa": ""}
    return SimpleNamespace(**values | others)


def fold_input(proteins, rnas=()):
    return SimpleNamespace(name="job1", protein_chains=proteins, rna_chains=list(rnas))


@pytest.fixture
def searched(monkeypatch):
    """Runs a pipeline whose engine fills in given chains, and says what it says."""

    def run(given, filled, process=None):
        return pipeline_with(monkeypatch, process or (lambda fold_input: filled)).process(given)

    return run


def test_what_was_found_is_said_for_each_chain_that_was_searched(searched, caplog):
    caplog.set_level(logging.INFO)
    unsearched = chain("A", unpaired_msa=None), chain("B", unpaired_msa=None)
    given = fold_input([*unsearched, chain("C", rows=3)], [chain("R", unpaired_msa=None)])
    filled = fold_input(
        [
            chain("A", rows=5, paired_msa=">query\nM\n>y\nM\n", templates=[1, 2]),
            chain("B", templates=[]),
            chain("C", rows=3),
        ],
        [SimpleNamespace(id="R", sequence="ACGU", unpaired_msa=">query\nA\n>x\nA\n")],
    )
    assert searched(given, filled) is filled
    assert [(one.levelname, one.getMessage()) for one in caplog.records] == [
        ("INFO", "Chain A (4 residues): 5 rows, 1 rows for pairing, 2 template(s)"),
        (
            "WARNING",
            "Chain B (4 residues) has no relatives in any database; the model gets the sequence "
            "alone",
        ),
        ("INFO", "Chain R (4 residues): 1 rows, 0 rows for pairing, 0 template(s)"),
    ]


def test_missing_template_files_are_one_line_with_their_number(searched, caplog):
    engine = logging.getLogger("absl")

    def process(fold_input):
        for name in ("9zzz", "1abc", "9zzz"):
            engine.warning("Failed to get mmCIF for %s (author chain %s).", name, "A")
        engine.warning("something else")
        return fold_input

    given = fold_input([chain("A", rows=1)])
    searched(given, None, process)
    assert [one.getMessage() for one in caplog.records] == [
        "something else",
        "2 template file(s) are missing in /db/mmcif_files so far, such as 1abc.cif; these "
        "templates are left out",
    ]
    engine.warning("Failed to get mmCIF for %s (author chain %s).", "2def", "A")
    assert len(caplog.records) == 3


def test_what_the_engine_cannot_read_fails_the_job(searched):
    def process(fold_input):
        raise ValueError('Could not parse description "x"')

    with pytest.raises(SetupError, match="failed for job1: Could not parse description"):
        searched(fold_input([]), None, process)
