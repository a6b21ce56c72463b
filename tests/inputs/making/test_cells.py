"""The small languages of cells."""

from pathlib import Path

import pytest

from af3opt.inputs.making.cells import (
    parse_chains,
    parse_copies,
    parse_modifications,
    parse_seeds,
)
from af3opt.inputs.making.records import BadCellError, Origin

ORIGIN = Origin(Path("x.fasta"), 3)


def kinds(text, kind=None):
    return [(part.kind, part.content) for part in parse_chains(text, kind, ORIGIN)]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("MQIF", [("protein", "MQIF")]),
        ("MQIF:GGNG", [("protein", "MQIF"), ("protein", "GGNG")]),
        ("rna|ACGU: DNA | ACGT :ccd|ATP", [("rna", "ACGU"), ("dna", "ACGT"), ("ccd", "ATP")]),
        ("smiles|C[C@H]1CC1;2", [("smiles", "C[C@H]1CC1:2")]),
        # Too short to be taken for an oligonucleotide.
        ("GATTACA", [("protein", "GATTACA")]),
    ],
)
def test_chains(text, parts):
    assert kinds(text) == parts


def test_a_kind_is_taken_where_none_is_named():
    assert kinds("ACGTACGTACGT", "dna") == [("dna", "ACGTACGTACGT")]
    assert kinds("ACGTACGTACGT:rna|AC", "dna") == [("dna", "ACGTACGTACGT"), ("rna", "AC")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("peptide|MQ", "'peptide' is no kind of chain"),
        ("GATTACAGATTACA", "may be a protein, RNA or DNA; say which by --kind"),
    ],
)
def test_bad_chains(text, message):
    with pytest.raises(BadCellError, match=message):
        kinds(text)


def test_modifications():
    assert parse_modifications("SEP@5; HYP@12,TPO@1") == (("SEP", 5), ("HYP", 12), ("TPO", 1))
    for bad in ("SEP", "5@SEP", "SEP@x", "@5", "SEP@-1", "SEP@" + "9" * 5000):
        with pytest.raises(BadCellError, match="is no modification"):
            parse_modifications(bad)


def test_copies():
    assert parse_copies("12") == 12
    for bad in ("0", "-1", "x", "1.5", "", "1001", "²", "9" * 5000):
        with pytest.raises(BadCellError, match="is no number of copies"):
            parse_copies(bad)


@pytest.mark.parametrize(
    ("text", "seeds"),
    [("1", (1,)), ("1,2 3;2", (1, 2, 3)), ("3-5", (3, 4, 5)), ("4294967295", (2**32 - 1,))],
)
def test_seeds(text, seeds):
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize(
    "text",
    [
        *("", "x", "-1", "5-3", "1.5", "4294967296", "0-999999999", "²", "1-٣"),
        *("9" * 5000, "1-" + "9" * 5000),
    ],
)
def test_bad_seeds(text):
    with pytest.raises(BadCellError):
        parse_seeds(text)
