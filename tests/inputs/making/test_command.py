"""`af3opt make-inputs` from the command line to files that a run accepts."""

import json

import pytest

from af3opt import cli
from af3opt.base.errors import ExitCode
from af3opt.execution.planning.plan import read_jobs
from af3opt.inputs.checking import check_file
from tests.conftest import REPOSITORY


@pytest.fixture
def make(tmp_path, capsys, monkeypatch):
    """Runs the command in a directory with sources; returns exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def make(*arguments):
        capsys.readouterr()
        code = cli.main(["make-inputs", "--output_dir=out", *arguments])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    def source(name, text):
        (tmp_path / name).write_text(text)
        return name

    make.source = source
    make.out = tmp_path / "out"
    return make


def written(make):
    """Job name -> chains as (ids, kind, content, has an empty alignment)."""
    jobs = {}
    for path in sorted(make.out.glob("*.json")):
        (checked,) = check_file(path)
        checked.raise_if_refused()
        content = json.loads(path.read_text())
        assert path.stem == content["name"]
        jobs[path.stem] = [
            (
                chain.ids,
                chain.kind,
                chain.sequence or chain.smiles or ",".join(chain.codes),
                chain.body.get("unpairedMsa") == "",
            )
            for chain in checked.chains
        ]
    return jobs


TARGET = ">target\nNLYIQWLKDGGPSSGRPPPS\n"
BINDERS = ">b1\nGSHMKKLLEE\n>b2\nGSHMKKLLEW\n"


def test_single_chains_and_complexes(make):
    make.source("x.fasta", ">one\nMQIF\n>two\nMQIF:GGNG\n")
    code, out, err = make("x.fasta")
    assert (code, err) == (ExitCode.OK, "")
    assert written(make) == {
        "one": [(("A",), "protein", "MQIF", False)],
        "two": [(("A",), "protein", "MQIF", False), (("B",), "protein", "GGNG", False)],
    }
    assert "2 job(s) in 2 file(s) in out" in out
    assert "next: af3opt run --input_dir=out --output_dir=OUTPUT" in out


def test_targets_and_designed_binders(make):
    make.source("t.fasta", TARGET)
    make.source("b.fasta", BINDERS)
    code, _, _ = make("--targets=t.fasta", "--designed", "b.fasta", "--seeds=1-3")
    assert code == ExitCode.OK
    assert written(make) == {
        f"target__{name}": [
            (("A",), "protein", "NLYIQWLKDGGPSSGRPPPS", False),
            (("B",), "protein", sequence, True),
        ]
        for name, sequence in (("b1", "GSHMKKLLEE"), ("b2", "GSHMKKLLEW"))
    }
    content = json.loads((make.out / "target__b1.json").read_text())
    assert content["modelSeeds"] == [1, 2, 3]
    assert content["sequences"][1]["protein"]["templates"] == []
    # Every AlphaFold 3 reads the first version.
    assert content["version"] == 1


def test_targets_and_ligands(make):
    make.source("t.fasta", TARGET)
    make.source("l.smi", "CCO ethanol\n")
    make.source("l.csv", 'name,ccd\natp,ATP\nglycan,"NAG,NAG"\n')
    assert make("--targets=t.fasta", "l.smi", "l.csv")[0] == ExitCode.OK
    assert [chains[1][2] for chains in written(make).values()] == ["ATP", "CCO", "NAG,NAG"]


def test_pairs_homodimers_and_copies(make):
    make.source("x.fasta", ">a\nMQIF\n>b\nGGNG\n>c\nNLYI\n")
    assert make("--pairs", "x.fasta")[0] == ExitCode.OK
    assert list(written(make)) == ["a__b", "a__c", "b__c"]
    assert make("--pairs", "--homodimers", "x.fasta")[0] == ExitCode.OK
    assert list(written(make)) == ["a__a", "a__b", "a__c", "b__b", "b__c", "c__c"]
    assert make("--copies=3", "x.fasta")[0] == ExitCode.OK
    assert written(make)["a_x3"] == [(("A", "B", "C"), "protein", "MQIF", False)]


def test_a_table_with_everything(make, tmp_path):
    (tmp_path / "msas").mkdir()
    (tmp_path / "msas" / "q.a3m").write_text(">q\nNLYIQWL\n")
    make.source(
        "x.csv",
        "name,protein,protein_copies,protein_modifications,protein_msa,rna,ccd,seeds\n"
        "job,NLYIQWL,2,,msas/q.a3m,ACGU,ATP;MG,4 5\n"
        "mod,NLYIQWL,,SEP@2,none,,,\n",
    )
    code, _, err = make("x.csv")
    assert code == ExitCode.OK
    assert "WARNING" not in err
    jobs = written(make)
    assert [chain[0] for chain in jobs["job"]] == [("A", "B"), ("C",), ("D",), ("E",)]
    content = json.loads((make.out / "job.json").read_text())
    assert content["modelSeeds"] == [4, 5]
    assert content["version"] == 2
    assert content["sequences"][0]["protein"]["unpairedMsaPath"] == str(tmp_path / "msas/q.a3m")
    modified = json.loads((make.out / "mod.json").read_text())["sequences"][0]["protein"]
    assert modified["modifications"] == [{"ptmType": "SEP", "ptmPosition": 2}]
    assert modified["unpairedMsa"] == modified["pairedMsa"] == ""


BAD = (
    "name,protein,protein_modifications,protein_msa\n"
    "good,MQIF,,\n"
    "digit,MQ1F,,\n"
    "far,MQIF,SEP@9,\n"
    "msa,MQIF,,gone.a3m\n"
)


def test_all_mistakes_are_named_and_nothing_is_written(make):
    make.source("x.csv", BAD)
    code, out, err = make("x.csv")
    assert code == ExitCode.USAGE
    assert out == ""
    assert not make.out.exists()
    lines = [line.partition(" ERROR ")[2] for line in err.splitlines() if " ERROR " in line]
    assert [line.partition(" ")[0] for line in lines] == ["x.csv:3:", "x.csv:4:", "x.csv:5:"]
    assert "column protein: 'digit': sequence: must contain only letters, but has '1'" in lines[0]
    assert "'far': modifications: modification 1: SEP at ptmPosition 9" in lines[1]
    assert "'msa': unpairedMsaPath: " in lines[2]
    assert err.splitlines()[-1].startswith("af3opt: error: 3 mistake(s) in the sources")


def test_bad_rows_can_be_skipped(make):
    make.source("x.csv", BAD)
    code, _, err = make("--skip_bad", "x.csv")
    assert code == ExitCode.SOME_FAILED
    assert list(written(make)) == ["good"]
    assert err.count(" ERROR ") == 3


def test_where_all_rows_are_bad_nothing_is_written(make):
    make.source("x.fasta", ">a\nMQ1\n")
    code, _, err = make("--skip_bad", "x.fasta")
    assert code == ExitCode.USAGE
    assert not make.out.exists()
    assert "nothing was written; correct them\n" in err


def test_a_bad_target_is_named_once(make):
    make.source("t.fasta", ">t\nMQ1\n")
    make.source("b.fasta", BINDERS)
    code, _, err = make("--targets=t.fasta", "b.fasta")
    assert code == ExitCode.USAGE
    assert err.count(" ERROR ") == 1


def test_names_are_safe_and_unique(make):
    make.source(
        "x.fasta",
        ">sp|P1|A_X\nMQIE\n>a/b|c\nMQIF\n>abc\nMQIW\n>ABC\nMQIY\n>failed.json\nMQIH\n>日本\nMQIK\n>../x\nMQIL\n"
        f">seed-1_sample-0\nMQIP\n>{'n' * 300}\nMQIM\n",
    )
    code, _, err = make("x.fasta")
    assert code == ExitCode.OK
    names = list(written(make))
    assert {
        "sp_P1_A_X",
        "a_b_c",
        "abc",
        "ABC_2",
        "failed.json_",
        "job",
        "x",
        "job_seed-1_sample-0",
    } < {*names}
    assert max(map(len, names)) < 220
    assert "x.fasta:3: 'a/b|c' becomes a_b_c" in err
    for path in make.out.iterdir():
        (job,) = read_jobs(path)
        assert job.sanitised_name == path.stem


def test_what_is_there_is_not_replaced(make):
    make.source("x.fasta", ">a\nMQIF\n>b\nGGNG\n")
    make("x.fasta")
    before = (make.out / "a.json").read_text()
    # The same again is no conflict.
    code, out, _ = make("x.fasta")
    assert code == ExitCode.OK
    assert "2 unchanged" in out
    make.source("x.fasta", ">a\nMQIW\n>c\nGGNG\n")
    code, _, err = make("x.fasta")
    assert code == ExitCode.USAGE
    assert "--output_dir=out: a.json would be replaced; nothing was written" in err
    assert (make.out / "a.json").read_text() == before
    assert not (make.out / "c.json").exists()
    code, _, err = make("--overwrite", "x.fasta")
    assert code == ExitCode.OK
    assert written(make)["a"][0][2] == "MQIW"
    assert "out has 1 other *.json file(s); a run folds them as well" in err


def test_a_dry_run_lists(make):
    make.source("x.fasta", ">a\nMQIF:MQIF:ccd|ATP\n")
    code, out, _ = make("--dry_run", "--copies=2", "--designed", "x.fasta")
    assert code == ExitCode.OK
    assert out == (
        "a_x2: 2 x protein of 4, no alignment, 2 x protein of 4, no alignment, 2 x ATP\n1 job(s)\n"
    )
    assert not make.out.exists()


def test_letters_in_lower_case(make):
    make.source("x.fasta", ">a\nmqif\n")
    code, _, err = make("x.fasta")
    assert code == ExitCode.USAGE
    assert "write it in upper case" in err
    assert make("--upper_case", "x.fasta")[0] == ExitCode.OK
    assert written(make)["a"][0][2] == "MQIF"


def test_both_dialects(make):
    server = [
        {
            "name": "my job",
            "modelSeeds": ["7"],
            "sequences": [
                {
                    "proteinChain": {
                        "sequence": "MQIFVK",
                        "count": 2,
                        "glycans": [],
                        "maxTemplateDate": "2020-01-01",
                        "useStructureTemplate": False,
                        "modifications": [{"ptmType": "CCD_SEP", "ptmPosition": 2}],
                    }
                },
                {"dnaSequence": {"sequence": "ACGT", "count": 1}},
                {"ion": {"ion": "MG", "count": 2}},
                {"ligand": {"ligand": "CCD_ATP", "count": 1}},
            ],
        }
    ]
    make.source("server.json", json.dumps(server))
    code, _, err = make("server.json")
    assert code == ExitCode.OK
    assert "run with --max_template_date=2020-01-01" in err
    content = json.loads((make.out / "my_job.json").read_text())
    assert content["modelSeeds"] == [7]
    assert content["sequences"][0]["protein"] == {
        "id": ["A", "B"],
        "sequence": "MQIFVK",
        "modifications": [{"ptmType": "SEP", "ptmPosition": 2}],
        "templates": [],
    }
    assert [*content["sequences"][2]["ligand"].values()] == [["D", "E"], ["MG"]]
    # And back again.
    code, out, _ = make("--dialect=alphafoldserver", "out/my_job.json", "--overwrite")
    assert code == ExitCode.OK
    assert "next" not in out
    (back,) = json.loads((make.out / "server_jobs_001.json").read_text())
    expected = server[0] | {"name": "my_job", "dialect": "alphafoldserver", "version": 1}
    for field in ("glycans", "maxTemplateDate"):
        del expected["sequences"][0]["proteinChain"][field]
    assert back == expected
    for job in check_file(make.out / "server_jobs_001.json"):
        job.raise_if_refused()


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"ligand": {"id": "A", "smiles": "CCO"}}, "takes no SMILES"),
        ({"ligand": {"id": "A", "ccdCodes": ["NAG", "NAG"]}}, "no ligand of several components"),
        (
            {"protein": {"id": "A", "sequence": "MQ", "unpairedMsa": "", "pairedMsa": ""}},
            "takes no alignments",
        ),
    ],
)
def test_what_the_server_cannot_take_is_said(make, entry, message):
    content = {"dialect": "alphafold3", "version": 1, "name": "x", "modelSeeds": [1]}
    make.source("x.json", json.dumps(content | {"sequences": [entry]}))
    code, _, err = make("--dialect=alphafoldserver", "x.json")
    assert code == ExitCode.USAGE
    assert message in err


def test_bad_jobs_of_a_server_list_are_named(make):
    code, _, err = make(str(REPOSITORY / "tests/testdata/cases/server_list_bad_middle.json"))
    assert code == ExitCode.USAGE
    assert "server_list_bad_middle.json: job 2 (glyco): chain A: glycans" in err


def test_a_searched_target_brings_its_alignment(make):
    make.source("b.fasta", BINDERS)
    target = REPOSITORY / "examples" / "msa_given.json"
    assert make(f"--targets={target}", "--designed", "b.fasta")[0] == ExitCode.OK
    job = json.loads((make.out / "msa_given__b1.json").read_text())
    given = json.loads(target.read_text())["sequences"][0]["protein"]
    assert job["sequences"][0]["protein"]["unpairedMsa"] == given["unpairedMsa"]
    assert job["sequences"][0]["protein"]["id"] == ["A", "B"]
    assert job["sequences"][1]["protein"]["id"] == "C"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--pairs", "--targets=x.fasta", "x.fasta"], "give --pairs or --targets, not both"),
        (["--homodimers", "x.fasta"], "--homodimers goes with --pairs"),
        (["gone.fasta"], "gone.fasta: no such file or directory"),
        (["--copies=0", "x.fasta"], "--copies: '0' is no number"),
        (["--seeds=x", "x.fasta"], "--seeds: 'x' is no seed"),
        (["--pairs", "--most_jobs=0", "x.fasta"], "1 jobs would be made; .* --most_jobs=1"),
        ([], "the following arguments are required"),
    ],
)
def test_flags_that_contradict(make, arguments, message):
    import re

    make.source("x.fasta", ">a\nMQIF\n>b\nGGNG\n")
    code, _, err = make(*arguments)
    assert code == ExitCode.USAGE
    (line,) = err.splitlines()
    assert re.search(message, line), line


@pytest.mark.engine
def test_a_run_of_fasta_says_which_command_to_type(
    make, tmp_path, capsys, monkeypatch, prepared_home
):
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    folder = tmp_path / "my sequences"
    folder.mkdir()
    (folder / "x.fasta").write_text(TARGET)
    for place in (f"--input_dir={folder}", f"--json_path={folder / 'x.fasta'}"):
        capsys.readouterr()
        flags = ["--output_dir=out", "--quiet", "--norun_inference"]
        assert cli.main(["run", place, *flags]) == ExitCode.USAGE
        (line,) = capsys.readouterr().err.splitlines()
        assert "af3opt make-inputs --output_dir=DIR '" in line


@pytest.mark.engine
def test_codes_are_checked_where_there_is_a_dictionary(make, prepared_home):
    make.source("x.csv", "name,ccd\na,QQQQQ\nb,UNL\nc,ATP\n")
    code, _, err = make("x.csv")
    assert code == ExitCode.USAGE
    assert "x.csv:2: column ccd: 'a': ccdCodes: 'QQQQQ' is not in" in err
    assert "x.csv:3: column ccd: 'b': ccdCodes: 'UNL' has no atom" in err
