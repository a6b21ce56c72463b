"""What a user can get wrong in an input: found without the engine, with its place."""

import gzip
import os
import re

import pytest

from af3opt.base.errors import InputError
from af3opt.inputs.chain import chain_id
from af3opt.inputs.checking import check_file, check_job
from tests.inputs.bad_jobs import ATP, BAD, OTHER, SERVER_BAD, TEMPLATE, chain
from tests.inputs.conftest import SEQUENCE, dna, job, ligand, protein, rna, server_job


@pytest.mark.parametrize("label", BAD)
def test_a_mistake_is_found_and_placed(found, label):
    content, message = BAD[label]
    text = found(content)
    assert re.search(message, text), text


@pytest.mark.parametrize("label", SERVER_BAD)
def test_a_mistake_in_a_server_job_is_found_and_placed(found, label):
    content, message = SERVER_BAD[label]
    text = found([content])
    assert re.search(message, text), text


def test_jobs_of_a_list_are_told_apart(in_file):
    good = server_job(chain("ion", ion="MG"), name="good")
    bad = server_job(chain("ion", ion="MG", colour=1), name="bad")
    first, second, third = in_file([good, bad, 7])
    first.raise_if_refused()
    with pytest.raises(
        InputError, match=r"input\.json: job 2 \(bad\): chain A: the field 'colour'"
    ):
        second.raise_if_refused()
    with pytest.raises(InputError, match=r"input\.json: job 3: 7 is no fold job"):
        third.raise_if_refused()


def test_an_empty_list_holds_no_job(tmp_path):
    path = tmp_path / "input.json"
    path.write_text("[]")
    for check in (check_file, lambda path: check_job(path, 0)):
        with pytest.raises(InputError, match=r"input\.json: holds no fold job"):
            check(path)


def test_several_mistakes_are_said_together(found):
    text = found(job(protein(sequence="M1"), protein(id="B", sequence="mq"), modelSeeds=[-1]))
    assert "modelSeeds: -1" in text
    assert "chain A: sequence" in text
    assert "chain B: sequence" in text


def test_a_flood_of_mistakes_stays_short(found):
    text = found(job(*(protein(id=chain_id(n), sequence="1") for n in range(1, 500))))
    assert "and 495 more problem(s)" in text
    assert len(text) < 1000


GOOD = [
    job(),
    job(protein(unpairedMsa=None, pairedMsa=None, templates=None)),
    job(protein(unpairedMsa=None, pairedMsa=None)),
    job(protein(templates=None)),
    job(rna(unpairedMsa=None)),
    job(protein(id=["A", "B", "AA"])),
    job(modelSeeds=["7", 3, 2.0, 2**32 - 1]),
    job(version=1),
    job(bondedAtomPairs=None, userCCD=None),
    job(ATP, protein()),
    job(ligand(smiles="", ccdCodes=["ATP"])),
    job(protein(description=None)),
    job(protein(unpairedMsa="\n \n")),
    job(
        protein(
            unpairedMsa=f"#1\n>q\r\n{SEQUENCE[:5]}\r\n{SEQUENCE[5:]}\r\n\r\n>r\r\n{'-' * 20}\r\n"
        )
    ),
    job(protein(unpairedMsa=f">q\n{SEQUENCE}\n>r\nNLYaaéIQWLKDGGPSSGRPPPSx")),
    job(protein(sequence="EUCDX", unpairedMsa=">q\nZXUBJ\n")),
    job(rna(sequence="ACGUN", unpairedMsa=">q\nACGUX\n")),
    job(protein(modifications=[{"ptmType": "SEP", "ptmPosition": 20, "note": 1}])),
    job(name=" two words "),
    [server_job(chain("proteinChain", sequence="MQIF", count=2, useStructureTemplate=False))],
    [server_job(chain("ion", ion="MG"), dialect="alphafoldserver", version=1)],
    [server_job(chain("ligand", ligand="CCD_ATP"), modelSeeds=[])],
    [server_job(chain("rnaSequence", sequence="ACGU", count=0), chain("ion", ion="MG"))],
]


@pytest.mark.parametrize("number", range(len(GOOD)))
def test_what_is_right_passes(found, number):
    assert found(GOOD[number]) == ""


def test_an_alignment_that_is_not_read_is_no_mistake(warned):
    unread = "(AlphaFold 3 does not use it here)"
    (warning,) = warned(job(protein(pairedMsa=">q\n***\n")))
    assert warning.startswith("chain A: pairedMsa: row 1")
    assert warning.endswith(unread)
    (warning,) = warned(job(protein(sequence="MQIF", unpairedMsa=">q\n**\n")))
    assert warning.endswith(unread)
    # The same protein twice needs no pairing, however it is written.
    twice = job(protein(pairedMsa=">q\n***\n"), protein(id="B", pairedMsa=">q\n***\n"))
    assert len(warned(twice)) == 2


def test_what_is_left_out_or_dropped_is_said(warned):
    unknown = protein(id="C", sequence="XXXX")
    bonds = [
        [["A", 1, "CA"], ["B", 1, "CA"]],
        [["A", 1, "CA"], ["D", 1, "PA"]],
        [["C", 1, "CA"], ["D", 1, "PA"]],
    ]
    atp = ligand(id="D", ccdCodes=["ATP"])
    assert warned(job(protein(), OTHER, unknown, atp, bondedAtomPairs=bonds)) == [
        "chain C: all residues are unknown; AlphaFold 3 leaves such a chain out",
        "bondedAtomPairs: bond 1: AlphaFold 3 drops A 1 CA - B 1 CA: it takes no bonds between "
        "proteins or nucleic acids",
        "bondedAtomPairs: bond 3: C 1 CA - D 1 PA is dropped with the chain that is left out",
    ]


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (protein(sequence="MQBU"), "no residue has the letter B, U; .* at positions 3-4"),
        (rna(sequence="ACGTT"), r"no residue has the letter T; .* \(T of RNA is U\)"),
        (dna(sequence="ACGU"), r"\(U of DNA is T\)"),
        (protein(modifications=[{"ptmType": "SEP", "ptmPosition": 1}] * 2), "modified twice"),
        (protein(templates=[TEMPLATE] * 5), "AlphaFold 3 uses the first 4 of 5"),
        (
            protein(templates=[TEMPLATE | {"queryIndices": [1, 1]}]),
            "queryIndices has an index twice",
        ),
    ],
)
def test_what_may_not_be_meant_is_said(warned, entry, words):
    (warning,) = warned(job(entry))
    assert re.search(words, warning), warning


def test_copies_with_other_templates_are_said(warned):
    other = TEMPLATE | {"queryIndices": [1, 2]}
    for templates in ([other], [], None):
        (warning,) = warned(
            job(protein(templates=[TEMPLATE]), protein(id="B", templates=templates))
        )
        assert warning == (
            "chain B: has the sequence of chain A and other templates; AlphaFold 3 uses those of "
            "chain A for both"
        )
    modified = {"modifications": [{"ptmType": "SEP", "ptmPosition": 17}]}
    for change in ({"templates": [TEMPLATE]}, {"sequence": "MQIFVK"}, modified):
        assert warned(job(protein(templates=[TEMPLATE]), protein(id="B", **change))) == []


def test_a_seed_that_is_there_twice_is_said(warned):
    (warning,) = warned(job(modelSeeds=[1, 2, 1]))
    assert warning == "modelSeeds: holds a seed twice; the same seed gives the same result"


def test_files_are_found_beside_the_input_and_read_in(tmp_path, in_file):
    (tmp_path / "msas").mkdir()
    (tmp_path / "msas" / "q.a3m.gz").write_bytes(gzip.compress(f">q\n{SEQUENCE}\n".encode()))
    (tmp_path / "t.cif").write_text("data_X\n")
    (tmp_path / "mine.cif").write_text("data_\n")
    template = {"mmcifPath": "t.cif", "queryIndices": [0], "templateIndices": [0]}
    entry = protein(unpairedMsa=None, unpairedMsaPath="msas/q.a3m.gz", templates=[template])
    (checked,) = in_file(job(entry, userCCDPath=str(tmp_path / "mine.cif")))
    checked.raise_if_refused()
    (resolved,) = checked.content["sequences"]
    assert resolved["protein"]["unpairedMsa"] == f">q\n{SEQUENCE}\n"
    assert resolved["protein"]["templates"][0]["mmcif"] == "data_X\n"
    assert checked.content["userCCD"] == "data_\n"
    assert "Path" not in str(checked.content)


def test_a_pipe_as_alignment_holds_nothing_up(tmp_path, found):
    os.mkfifo(tmp_path / "pipe")
    entry = protein(unpairedMsa=None, unpairedMsaPath="pipe")
    assert "chain A: unpairedMsaPath: 'pipe' is not a regular file" in found(job(entry))


def test_a_version_that_only_the_engine_knows_is_left_to_it(tmp_path):
    from af3opt.inputs.checking import check_content

    content = job(protein(colour="red"), {"membrane": {}}, version=9, extra=1)
    checked = check_content(content, tmp_path / "x.json", versions=(4, 9))
    assert checked.findings.errors == []
    assert checked.content["extra"] == 1
    assert checked.content["sequences"][1] == {"membrane": {}}
    assert "membrane" in check_content(content | {"version": 4}, tmp_path / "x").findings.summary


def test_chain_ids_run_as_the_engines_do():
    assert [chain_id(n) for n in (1, 2, 26, 27, 28, 52, 53, 702, 703)] == [
        *("A", "B", "Z", "AA", "BA", "ZA", "AB", "ZZ", "AAA"),
    ]
