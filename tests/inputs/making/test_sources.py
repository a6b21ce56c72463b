"""Reading what inputs are made from: what is there, and where what is wrong stands."""

import gzip

import pytest

from af3opt.inputs.making.sources import is_source, read_sources


@pytest.fixture
def read(tmp_path):
    """Writes a source and reads it."""

    def read(name, text, kind=None):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_sources([path], kind)

    return read


def told(harvest, tmp_path):
    """The mistakes without the directory."""
    return [str(mistake).removeprefix(f"{tmp_path}/") for mistake in harvest.mistakes]


def contents(harvest):
    return {
        record.name: [(part.kind, part.content, part.copies) for part in record.parts]
        for record in harvest.records
    }


def test_fasta(read):
    harvest = read("x.fasta", ">a first one\r\nMQI\r\nF KT\r\n\r\n>b\nMQ:rna|ACGU\n")
    assert harvest.mistakes == []
    assert contents(harvest) == {
        "a": [("protein", "MQIFKT", 1)],
        "b": [("protein", "MQ", 1), ("rna", "ACGU", 1)],
    }
    assert [record.origin.line for record in harvest.records] == [1, 5]


# What `str.splitlines` takes for the end of a line, and editors do not.
SEPARATORS = ["\v", "\f", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"]


@pytest.mark.parametrize("separator", SEPARATORS)
def test_no_other_character_ends_a_line(read, separator):
    fasta = read("x.fasta", f">P1 human{separator}KINASE\nMKV\n>P2{separator}>P3\nMQ\n")
    assert contents(fasta) == {"P1": [("protein", "MKV", 1)], "P2": [("protein", "MQ", 1)]}
    smiles = read("x.smi", f"CCO mol{separator}CCN evil\n")
    assert [part.content for record in smiles.records for part in record.parts] == ["CCO"]
    (job,) = read("x.csv", f"name,protein\na{separator}b,MQ\n").records
    assert [part.content for part in job.parts] == ["MQ"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_every_usual_end_of_a_line_is_one(read, end, mark):
    harvest = read("x.fasta", mark + end.join([">a one", "MQ", "IF", ">b", "MK", ""]))
    assert contents(harvest) == {"a": [("protein", "MQIF", 1)], "b": [("protein", "MK", 1)]}
    assert [record.origin.line for record in harvest.records] == [1, 4]
    harvest = read("x.smi", mark + end.join(["CCO one", "CCN two"]))
    assert list(contents(harvest)) == ["one", "two"]


def test_every_mistake_of_a_fasta_file_is_named(read, tmp_path):
    text = ">a\n>b\nMQ\n>\nMQ\n>c\nGATTACAGATTACA\n>d\nxyz|MQ\n"
    harvest = read("x.fa", text)
    assert [record.name for record in harvest.records] == ["b"]
    said = told(harvest, tmp_path)
    assert [line.partition(" ")[0] for line in said] == ["x.fa:1:", "x.fa:4:", "x.fa:6:", "x.fa:8:"]
    assert "'a': is empty" in said[0]
    assert "the header has no name" in said[1]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("x.fasta", "MQIF\n>a\nMQ\n", "x.fasta:1: 'MQIF': a record begins with"),
        ("x.fasta", "", "x.fasta: holds no record"),
        ("x.csv", "", "x.csv:1: no column holds chains"),
        ("x.csv", "name,seqence\na,MQ\n", "x.csv:1: no column holds chains"),
        ("x.csv", "sequence\n", "x.csv: has no rows"),
        ("x.csv", "sequence,Sequence\nA,B\n", "x.csv:1: two columns are named 'sequence'"),
        ("x.csv", "protein,protien2\nA,B\n", "x.csv:1: column protien2: is not known; did you"),
        ("x.csv", "protein,protein2_copies\nA,2\n", "column protein2_copies: is not known"),
        ("x.csv", "protein,copies\nA,2\n", "column copies: is not known; there is no such chain"),
        ("x.csv", 'sequence\n"MQ\n', "x.csv:2: is no table"),
        ("x.csv", "name,sequence\na\n", "x.csv:2: has 1 cells for 2 columns"),
        ("x.csv", "name,sequence\na,\n", "x.csv:2: has no chain"),
        ("x.csv", "sequence,copies\nMQ,x\n", "x.csv:2: column copies: 'x' is no number of copies"),
        ("x.csv", "sequence,copies\nMQ,1\n,2\n", "x.csv:3: column copies: is set, and sequence"),
        ("x.csv", "sequence,seeds\nMQ,x\n", "x.csv:2: column seeds: 'x' is no seed"),
        ("x.csv", "ccd,ccd_msa\nATP,none\n", "x.csv:2: column ccd_msa: is set for a ligand"),
        ("x.csv", "dna,dna_msa\nACGT,none\n", "column dna_msa: is set for DNA"),
        (
            "x.csv",
            "sequence,modifications\nMQ:GG,SEP@1\n",
            "column modifications: is set for several chains",
        ),
        ("x.tsv", "protein\tprotein_modifications\nMQ\tSEP5\n", "'SEP5' is no modification"),
        ("x.smi", "# nothing\n", "x.smi: holds no SMILES"),
        ("x.txt", "MQ", "x.txt: its name does not tell what it is"),
        ("x.json", "[]", "x.json: holds no fold job"),
        ("x.json", "{", "x.json: is not valid JSON"),
        ("x.fasta.gz", b"no gzip", "x.fasta.gz: holds no record|begins with a line"),
        ("x.fasta", b"\xff\xfe", "x.fasta: is not UTF-8"),
    ],
)
def test_what_is_wrong_is_placed(read, tmp_path, name, text, message):
    import re

    harvest = read(name, text)
    said = told(harvest, tmp_path)
    assert len(said) == 1
    assert re.search(message, said[0]), said


def test_a_table(read):
    text = (
        "Name,protein1,Protein2,protein2_copies,protein1_modifications,rna,ccd,smiles,seeds,score\n"
        'one,MQIF,GGNG,2,SEP@3,,"ATP;MG","CCO",1-2,0.5\n'
        ",MQIF,,,,ACGU,,,,\n"
        "\n"
        '"two\nlines",MQ,,,,,,,,\n'
        "last,mq,,,,,,,,\n"
    )
    harvest = read("x.csv", text)
    assert harvest.mistakes == []
    assert contents(harvest) == {
        "one": [
            *(("protein", "MQIF", 1), ("protein", "GGNG", 2)),
            *(("ccd", "ATP", 1), ("ccd", "MG", 1), ("smiles", "CCO", 1)),
        ],
        "x_3": [("protein", "MQIF", 1), ("rna", "ACGU", 1)],
        "two\nlines": [("protein", "MQ", 1)],
        "last": [("protein", "mq", 1)],
    }
    assert harvest.records[0].seeds == (1, 2)
    assert harvest.records[0].parts[0].modifications == (("SEP", 3),)
    assert [record.origin.line for record in harvest.records] == [2, 3, 5, 7]
    (remark,) = harvest.remarks
    assert remark.endswith("columns without a meaning here are passed over: score")


@pytest.mark.parametrize("text", ["\ufeffid;sequence\na;MQ:GG\n", "id,sequence\na,MQ:GG\n"])
def test_tables_of_other_programs(read, text):
    assert contents(read("x.csv", text)) == {"a": [("protein", "MQ", 1), ("protein", "GG", 1)]}


def test_alignments_of_a_table(read):
    harvest = read("x.tsv", "sequence\tmsa\nMQ\tnone\nMQ\tmsas/a.a3m\nMQ\t\n")
    assert [record.parts[0].msa for record in harvest.records] == ["", "msas/a.a3m", None]


def test_smiles(read):
    harvest = read("x.smi", "SMILES name\nCCO ethanol\n#c\n\nCC(=O)O\tacetic acid\nC\n")
    assert contents(harvest) == {
        "ethanol": [("smiles", "CCO", 1)],
        "acetic acid": [("smiles", "CC(=O)O", 1)],
        "x_6": [("smiles", "C", 1)],
    }


def test_a_line_without_its_smiles_is_a_mistake(read, tmp_path):
    harvest = read("x.smi", "CCO,ethanol\n,acetate\n,\n")
    assert contents(harvest) == {"ethanol": [("smiles", "CCO", 1)]}
    assert told(harvest, tmp_path) == ["x.smi:2: ',acetate': holds no SMILES"]


MOLECULE = """{title}
     RDKit          2D

  2  1  0  0  0  0  0  0  0  0999 V2000
    0.0000    0.0000    0.0000 C   0  0
    1.2990    0.7500    0.0000 {element}   0  0
  1  2  1  0
M  END
> <price>
5

"""


def test_sdf(read, tmp_path):
    pytest.importorskip("rdkit")
    text = "$$$$\n".join(
        MOLECULE.format(title=title, element=element)
        for title, element in (("methanol", "O"), ("", "N"), ("broken", "Qq"))
    )
    harvest = read("x.sdf", text)
    assert contents(harvest) == {
        "methanol": [("smiles", "CO", 1)],
        "x_13": [("smiles", "CN", 1)],
    }
    assert told(harvest, tmp_path) == ["x.sdf:25: 'broken': RDKit cannot read this molecule"]


def test_molecules_that_nothing_separates_are_a_mistake(read, tmp_path):
    pytest.importorskip("rdkit")
    one, two, three = (MOLECULE.format(title=title, element="O") for title in ("a", "b", "c"))
    harvest = read("x.sdf", f"{one}{two}$$$$\n{three}")
    assert list(contents(harvest)) == ["c"]
    assert told(harvest, tmp_path) == [
        "x.sdf:1: 'a': several molecules; write a line $$$$ behind each of them"
    ]


def test_stereochemistry_of_coordinates_is_kept(read):
    chem = pytest.importorskip("rdkit.Chem")
    from rdkit.Chem import AllChem

    molecule = chem.AddHs(chem.MolFromSmiles("C[C@H](N)C(=O)O"))
    AllChem.EmbedMolecule(molecule, randomSeed=1)
    harvest = read("x.sdf", chem.MolToMolBlock(molecule))
    (record,) = harvest.records
    assert record.parts[0].content == chem.MolToSmiles(chem.MolFromSmiles("C[C@H](N)C(=O)O"))


def test_sdf_without_rdkit_says_what_to_install(read, monkeypatch):
    from af3opt.base.errors import SetupError

    monkeypatch.setitem(__import__("sys").modules, "rdkit", None)
    with pytest.raises(SetupError, match="pip install rdkit, or give a list of SMILES"):
        read("x.sdf", MOLECULE.format(title="m", element="O"))


def test_a_directory_stands_for_its_files(tmp_path):
    (tmp_path / "a.fasta.gz").write_bytes(gzip.compress(b">a\nMQ\n"))
    (tmp_path / "b.csv").write_text("sequence\nGG\n")
    (tmp_path / "notes.txt").write_text("?")
    harvest = read_sources([tmp_path], None)
    assert contents(harvest) == {"a": [("protein", "MQ", 1)], "b_2": [("protein", "GG", 1)]}
    (tmp_path / "empty").mkdir()
    (mistake,) = read_sources([tmp_path / "empty"], None).mistakes
    assert "holds no file ending in .fasta" in str(mistake)
    assert is_source(tmp_path / "a.fasta.gz")
    assert not is_source(tmp_path / "notes.txt")
