"""Jobs with a mistake, and what is said about each (a regular expression)."""

from tests.inputs.conftest import SEQUENCE, dna, job, ligand, protein, rna, server_job

ATP = ligand(ccdCodes=["ATP"])
OTHER = protein(id="B", sequence="MQIFVKTLTG")
TEMPLATE = {"mmcif": "data_X\n", "queryIndices": [0, 1], "templateIndices": [0, 1]}


def chain(key, **body):
    """One entry of AlphaFold Server's dialect."""
    return {key: body}


def modified(**change):
    return job(protein(modifications=[{"ptmType": "SEP", "ptmPosition": 1} | change]))


def bonded(first, *others):
    return job(protein(), ATP, *others, bondedAtomPairs=[[first, ["B", 1, "PA"]]])


def msa(text, **change):
    return job(protein(unpairedMsa=text, **change))


def template(**change):
    return job(protein(templates=[TEMPLATE | change]))


BAD = {
    # The job.
    "no object": (3, "is no fold job"),
    "no dialect": (job(dialect=None), "`dialect` and `version` must be given"),
    "other dialect": (
        job(dialect="nonsense"),
        "unsupported dialect: nonsense, expected alphafold3",
    ),
    "server object": (job(dialect="alphafoldserver"), "go into a list"),
    "dialect type": (job(dialect=["alphafold3"]), "unsupported dialect: a list"),
    "version 5": (job(version=5), "unsupported version: 5; the engine reads 1, 2, 3, 4"),
    "version text": (job(version="4"), "unsupported version: '4'"),
    "version true": (job(version=True), "unsupported version: True"),
    "unknown field": (job(modelSeed=[1]), "'modelSeed' is not known; did you mean 'modelSeeds'?"),
    "no name": (job(name=None), "the field 'name' is missing"),
    "name type": (job(name=5), "name: give a text, not a number"),
    "empty name": (job(name=" "), "name: ' ' has no character that a file name can have"),
    "strange name": (job(name="日本"), "has no character that a file name can have"),
    "long name": (job(name="n" * 250), "name: .* has 250 characters; .* give at most 214"),
    "no sequences": (job(sequences=None), "the field 'sequences' is missing"),
    "empty sequences": (job(sequences=[]), "'sequences' is empty"),
    "sequences type": (job(sequences={}), "sequences: give a list, not an object"),
    "entry type": (job("MQI"), "entry 1 of sequences: give one of protein, rna, dna, ligand"),
    "empty entry": (job(protein(), {}), "entry 2 of sequences: .* not an empty object"),
    "two in one": (job(protein() | rna()), "entry 1 of sequences: .* not 'protein', 'rna'"),
    "unknown kind": (job({"peptide": {}}), "entry 1 of sequences: .* not 'peptide'"),
    "body type": (job({"protein": "MQI"}), "protein: give an object, not a text"),
    # Seeds.
    "no seeds": (job(modelSeeds=[]), "modelSeeds: is empty"),
    "seeds missing": (job(modelSeeds=None), "the field 'modelSeeds' is missing"),
    "seeds type": (job(modelSeeds="12"), "modelSeeds: give a list, not a text"),
    "negative seed": (job(modelSeeds=[1, -1]), "modelSeeds: -1 is no seed; .* 0 to 4294967295"),
    "huge seed": (job(modelSeeds=[2**32]), "modelSeeds: 4294967296 is no seed"),
    "true seed": (job(modelSeeds=[True]), "modelSeeds: True is no seed"),
    "half seed": (job(modelSeeds=[1.5]), "modelSeeds: 1.5 is no seed"),
    "text seed": (job(modelSeeds=["x"]), "modelSeeds: 'x' is no seed"),
    # Chain ids.
    "no id": (job(protein(id=None)), "entry 1 of sequences: protein: id: is not set"),
    "empty ids": (job(protein(id=[])), "id: is not set"),
    "lower id": (job(protein(id="a")), "id: 'a' is no chain id"),
    "digit id": (job(protein(id="A1")), "id: 'A1' is no chain id"),
    "letter beyond": (job(protein(id="Ü")), "id: 'Ü' is no chain id"),
    "id type": (job(protein(id=[["A"]])), r"id: \['A'\] is no chain id"),
    "twice": (job(protein(), protein()), "chain A is there twice"),
    "twice in list": (job(protein(id=["A", "A"])), "chain A is there twice"),
    # Sequences.
    "no sequence": (job(protein(sequence=None)), "chain A: the field 'sequence' is missing"),
    "empty sequence": (job(protein(sequence="")), "chain A: sequence: is empty"),
    "sequence type": (job(protein(sequence=["M"])), "chain A: sequence: give a text, not a list"),
    "digit": (
        job(protein(sequence="MQI1")),
        "chain A: sequence: must contain only letters, but has '1' at position 4",
    ),
    "gaps": (job(protein(sequence="M-I--Q")), "but has '-' at positions 2, 4-5 \\('M-I--Q'\\)"),
    "line end": (job(protein(sequence="MQ\nIF")), r"has '\\n' at position 3"),
    "blank": (job(dna(sequence="ACG T")), "has ' ' at position 4"),
    "lower": (job(protein(sequence="MQifV")), "lower-case letters at positions 3-4, .* upper case"),
    "lower rna": (job(rna(sequence="acgu")), "lower-case letters at positions 1-4"),
    "far": (
        job(protein(sequence="M" * 500 + "1" + "M" * 500)),
        r"at position 501 \(\.\.\.M+1M+\.\.\.\)",
    ),
    "many": (job(protein(sequence="M1" * 30)), "positions 2, 4, 6, 8, 10, 12, 14, 16, ..."),
    "all unknown": (
        job(protein(sequence="XXX")),
        "chain A: all residues are unknown, .* nothing is left",
    ),
    "ligand unknown": (job(ligand(ccdCodes=["UNK"])), "nothing is left to fold"),
    # Modifications.
    "modifications null": (
        job({"protein": protein()["protein"] | {"modifications": None}}),
        "modifications: give a list, not null",
    ),
    "modification type": (job(protein(modifications=["SEP"])), "modification 1: give an object"),
    "no position": (
        job(protein(modifications=[{"ptmType": "SEP"}])),
        "the field 'ptmPosition' is missing",
    ),
    "rna field": (
        job(rna(modifications=[{"ptmType": "2MG", "ptmPosition": 1}])),
        "the field 'modificationType' is missing",
    ),
    "position 0": (
        modified(ptmPosition=0),
        "chain A: modifications: modification 1: SEP at ptmPosition 0: .* from 1 to 20",
    ),
    "position beyond": (modified(ptmPosition=21), "ptmPosition 21: give an integer from 1 to 20"),
    "position true": (modified(ptmPosition=True), "ptmPosition True"),
    "position half": (
        job(dna(modifications=[{"modificationType": "6OG", "basePosition": 2.0}])),
        "basePosition 2.0",
    ),
    "prefix": (modified(ptmType="CCD_SEP"), "leave out the prefix 'CCD_'"),
    "code type": (modified(ptmType=5), "ptmType: give a CCD code, not 5"),
    # Alignments.
    "msa type": (msa(5), "chain A: unpairedMsa: give a text, not a number"),
    "msa false": (msa(False), "unpairedMsa: give a text, not true or false"),
    "msa is a path": (msa("msas/q.a3m"), "'msas/q.a3m' is no alignment: no line begins with '>'"),
    "msa address": (
        job(protein(unpairedMsa=None, unpairedMsaPath="https://host/q.a3m")),
        "chain A: unpairedMsaPath: 'https://host/q.a3m' is an address, not a file",
    ),
    "ragged": (
        msa(f">q\n{SEQUENCE}\n>r\nNLYIQ\n"),
        r"chain A: unpairedMsa: row 2 \(>r\) has 5 columns, the query has 20",
    ),
    "dots": (
        msa(f">q\n{SEQUENCE}\n>r x\nNLYIQWL..KDGGPSSGRPPPS\n"),
        r"row 2 \(>r x\) has '.' at position 8",
    ),
    "stop": (msa(f">q\n{SEQUENCE}\n>r\n{SEQUENCE[:-1]}*\n"), "row 2 .* has '\\*' at position 20"),
    "msa digit": (msa(f">q\n{SEQUENCE}\n>r\n1{SEQUENCE[1:]}\n"), "row 2 .* has '1' at position 1"),
    "inner blank": (msa(f">q\n{SEQUENCE[:9]} {SEQUENCE[9:]}\n"), "row 1 .* has ' ' at position 10"),
    "empty row": (msa(f">q\n{SEQUENCE}\n>r\n>s\n{SEQUENCE}\n"), r"row 2 \(>r\) has 0 columns"),
    "other query": (
        msa(f">q\n{SEQUENCE[:4]}A{SEQUENCE[5:]}\n"),
        "row 1 must be the sequence .* 'A' at position 5 where the sequence has 'Q'",
    ),
    "short query": (
        msa(">q\nNLYIQ\n"),
        "row 1 must be the sequence of the chain, but has 5 columns for 20 residues",
    ),
    "gap in query": (
        msa(f">q\n-{SEQUENCE[1:]}\n"),
        "has '-' at position 1 where the sequence has 'N'",
    ),
    "B in query": (
        msa(f">q\nB{SEQUENCE[1:]}\n", sequence=f"B{SEQUENCE[1:]}"),
        r"'B' at position 1 .* 'B' \(read as X\)",
    ),
    "rna with T": (
        job(rna(unpairedMsa=">q\nACGTACGT\n")),
        "'T' at position 4 where the sequence has 'U'",
    ),
    "paired": (
        job(protein(pairedMsa=">q\n***\n"), OTHER),
        r"chain A: pairedMsa: row 1 \(>q\) has '\*'",
    ),
    "both msas": (
        job(protein(unpairedMsa=">q", unpairedMsaPath="x")),
        "only one of unpairedMsa and unpairedMsaPath",
    ),
    "no msa file": (
        job(protein(unpairedMsa=None, unpairedMsaPath="gone.a3m")),
        r"chain A: unpairedMsaPath: 'gone.a3m' cannot be read: no such .*relative to",
    ),
    "null in path": (job(protein(unpairedMsa=None, unpairedMsaPath="a\0b")), "is no file name"),
    "path type": (job(protein(unpairedMsaPath=["x"])), "unpairedMsaPath: give a text, not a list"),
    "paired missing": (
        job(protein(pairedMsa=None)),
        "chain A: unpairedMsa is set and pairedMsa is not; set both",
    ),
    "unpaired missing": (
        job(protein(unpairedMsa=None)),
        "chain A: pairedMsa is set and unpairedMsa is not",
    ),
    "paired path empty": (
        job(protein(pairedMsa=None, pairedMsaPath="")),
        r"pairedMsa is not \(its path is empty\)",
    ),
    "templates only": (
        job(protein(unpairedMsa=None, pairedMsa=None, templates=[TEMPLATE])),
        "chain A: templates are set and unpairedMsa and pairedMsa are not",
    ),
    "dna msa": (job(dna(unpairedMsa="")), "chain A: the field 'unpairedMsa' is not known"),
    "rna paired": (job(rna(pairedMsa="")), "'pairedMsa' is not known; did you mean 'unpairedMsa'"),
    # Templates.
    "templates type": (job(protein(templates={})), "templates: give a list, not an object"),
    "template type": (job(protein(templates=["x.cif"])), "template 1: give an object with mmcif"),
    "no structure": (template(mmcif=""), "template 1: has no structure"),
    "pdb": (
        template(mmcif="ATOM      1  N   MET A"),
        "template 1: mmcif: is no mmCIF file: it begins with 'ATOM",
    ),
    "both structures": (
        template(mmcifPath="x.cif"),
        "template 1: mmcifPath: only one of mmcif and mmcifPath",
    ),
    "no structure file": (
        template(mmcif="", mmcifPath="x.cif"),
        "template 1: mmcifPath: 'x.cif' cannot be read",
    ),
    "no indices": (
        job(protein(templates=[{"mmcif": "data_X"}])),
        "template 1: the field 'queryIndices' is missing",
    ),
    "one-based": (
        template(queryIndices=list(range(1, 21)), templateIndices=list(range(20))),
        "chain A: templates: template 1: queryIndices: 20 is beyond .* count from 1",
    ),
    "query beyond": (template(queryIndices=[0, 25]), "queryIndices: 25 is beyond the sequence"),
    "template address": (
        template(mmcif=None, mmcifPath="gs://bucket/t.cif"),
        r"template 1: mmcifPath: 'gs://bucket/t.cif' is an address, not a file; copy",
    ),
    "unequal": (
        template(queryIndices=[0, 1, 2]),
        "queryIndices has 3 entries and templateIndices has 2",
    ),
    "negative": (template(templateIndices=[0, -1]), "templateIndices: -1 at entry 2 is no index"),
    "index null": (
        template(templateIndices=[None, 1]),
        "templateIndices: None at entry 1 is no index",
    ),
    "index true": (template(queryIndices=[True, 1]), "queryIndices: True at entry 1"),
    "index half": (template(queryIndices=[0, 1.0]), "queryIndices: 1.0 at entry 2"),
    "indices text": (template(queryIndices="01"), "queryIndices: give a list, not a text"),
    "second template": (
        job(protein(templates=[TEMPLATE, TEMPLATE | {"queryIndices": [0, 20]}])),
        "template 2: queryIndices: 20",
    ),
    # Ligands.
    "no ligand": (job(ligand()), "chain B: has neither ccdCodes nor smiles"),
    "both ligands": (job(ligand(ccdCodes=["ATP"], smiles="C")), "only one of ccdCodes and smiles"),
    "codes type": (job(ligand(ccdCodes="ATP")), "chain B: ccdCodes: give a list, not a text"),
    "codes empty": (job(ligand(ccdCodes=[])), "ccdCodes: is empty"),
    "codes null": (job(ligand(ccdCodes=None, smiles="C")), "ccdCodes: is null; leave it out"),
    "code number": (job(ligand(ccdCodes=[5])), "ccdCodes: give CCD codes as texts, not 5"),
    "code prefix": (job(ligand(ccdCodes=["CCD_ATP"])), "leave out the prefix 'CCD_' of 'CCD_ATP'"),
    "smiles empty": (job(ligand(smiles="")), "smiles: is empty"),
    "smiles type": (job(ligand(smiles=["C"])), "smiles: give a text, not a list"),
    "description": (job(protein(description=["x"])), "description: give a text"),
    # Bonds.
    "bonds type": (job(ATP, bondedAtomPairs={}), "bondedAtomPairs: give a list, not an object"),
    "bond type": (job(ATP, bondedAtomPairs=[["B", 1, "PA"]]), "bond 1: give two atoms"),
    "atom type": (
        job(ATP, bondedAtomPairs=[[["B", 1], ["B", 1, "PA"]]]),
        r"bond 1: atom \['B', 1\]: give chain, residue and atom name",
    ),
    "bond chain": (
        job(ATP, bondedAtomPairs=[[["C", 1, "PA"], ["B", 1, "PB"]]]),
        "there is no chain 'C'",
    ),
    "bond residue": (bonded(["A", 21, "CA"]), "chain A has residues 1 to 20"),
    "residue text": (bonded(["A", "1", "CA"]), "residue '1' is not an integer"),
    "residue true": (bonded(["A", True, "CA"]), "residue True is not an integer"),
    "atom name": (bonded(["A", 1, 5]), "the atom name is a number"),
    "smiles bond": (
        job(protein(), ligand(smiles="C"), bondedAtomPairs=[[["A", 1, "CA"], ["B", 1, "C1"]]]),
        "chain B is given as SMILES",
    ),
    "bond twice": (
        job(protein(), ATP, bondedAtomPairs=[[["A", 1, "CA"], ["B", 1, "PA"]]] * 2),
        "bond 2: A 1 CA - B 1 PA is there twice",
    ),
    # The user's own components.
    "user ccd type": (job(userCCD=5), "userCCD: give a text, not a number"),
    "user ccd text": (
        job(userCCD="# mine\ndata_X"),
        "userCCD: must start with 'data_', but starts",
    ),
    "user ccd items": (
        job(userCCD="data_X\n_chem_comp.id X\n"),
        "userCCD: component 'X' lacks _chem_comp.name, .* and 14 more",
    ),
    "user ccd empty": (job(userCCD=""), "userCCD: is empty; leave it out"),
    "both ccds": (job(userCCD="data_", userCCDPath="x"), "only one of userCCD and userCCDPath"),
    "no ccd file": (job(userCCDPath="gone.cif"), "userCCDPath: 'gone.cif' cannot be read"),
}


SERVER_BAD = {
    "entry": (server_job({"protein": {}}), "entry 1 of sequences: give one of proteinChain"),
    "two": (
        server_job(chain("ion", ion="MG") | chain("ligand", ligand="CCD_ATP")),
        "not 'ion', 'ligand'",
    ),
    "glycans": (
        server_job(chain("proteinChain", sequence="MQIF", glycans=[{}])),
        "chain A: glycans: .* as ligands and bondedAtomPairs",
    ),
    "empty glycans": (
        server_job(chain("proteinChain", sequence="MQIF", glycans=[])),
        "chain A: glycans: .* leave the field out",
    ),
    "date": (
        server_job(chain("proteinChain", sequence="MQIF", maxTemplateDate="2020-01-01")),
        "set --max_template_date",
    ),
    "count text": (
        server_job(chain("dnaSequence", sequence="ACGT", count="2")),
        "count: '2' is no number of copies",
    ),
    "count negative": (
        server_job(chain("dnaSequence", sequence="ACGT", count=-1)),
        "count: -1 is no number",
    ),
    "count huge": (
        server_job(chain("dnaSequence", sequence="ACGT", count=10**9)),
        "count: 1000000000 is no number",
    ),
    "none": (server_job(chain("dnaSequence", sequence="ACGT", count=0)), "'sequences' is empty"),
    "lower": (
        server_job(chain("dnaSequence", sequence="acgt", count=2)),
        "chain A, B: sequence: has lower-case",
    ),
    "second": (
        server_job(
            chain("dnaSequence", sequence="ACGT", count=2), chain("rnaSequence", sequence="AC1")
        ),
        "chain C: sequence: must contain only letters",
    ),
    "ptm": (
        server_job(
            chain(
                "proteinChain",
                sequence="MQIF",
                modifications=[{"ptmType": "CCD_SEP", "ptmPosition": 9}],
            )
        ),
        "SEP at ptmPosition 9: give an integer from 1 to 4",
    ),
    "code": (server_job(chain("ligand", ligand=5)), "chain A: ligand: give CCD codes as texts"),
    "neither": (server_job(chain("ligand", count=1)), "chain A: has neither ligand nor ion"),
    "dialect": (
        server_job(chain("ion", ion="MG"), dialect="alphafold3", version=1),
        "put each job of the alphafold3 dialect into a file of its own",
    ),
    "version": (
        server_job(chain("ion", ion="MG"), dialect="alphafoldserver", version=2),
        "unsupported version: 2, expected 1",
    ),
    "only one": (
        server_job(chain("ion", ion="MG"), dialect="alphafoldserver"),
        "must be given both, or neither",
    ),
    "field": (server_job(chain("ion", ion="MG"), userCCD=""), "the field 'userCCD' is not known"),
    "seeds": (server_job(chain("ion", ion="MG"), modelSeeds=[-1]), "modelSeeds: -1 is no seed"),
}
